//! cloud-config of the user's own, and who does it.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::blueprint::{Blueprint, ColdReason, Template, template};
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Action};
use maquette_core::seed::SeedFile;
use maquette_core::syntax::Plain;
use maquette_core::values::Secret;
use maquette_testkit::{blueprint_of, input};

fn with(keys: &str) -> Blueprint {
    let web = format!(
        "web=name: web\ncpu: 1\nmemory: 768\ndisks: {{disk1: {{import_url: x, size: 12G}}}}\n\
         external_network: management\ninterfaces:\n  nic1: {{network: management}}\n{keys}"
    );
    blueprint_of(&input(&[(&web, 1)], "3_nets", &[]), &Observed::default())
}

/// What its node starts from, whose image has the agent.
fn start(blueprint: &Blueprint) -> Result<Template, ColdReason> {
    let node = &blueprint.nodes[0];
    let first_boot = node.guest.as_ref().and_then(|guest| guest.first_boot);
    let first_boot = first_boot.map(|digest| &blueprint.first_boots[&digest]);
    template(node, first_boot, &blueprint.pool, &|_| true, "QEMU 1")
}

fn seed(blueprint: &Blueprint) -> Vec<SeedFile> {
    let plan = plan::create(blueprint, &Observed::default(), &|_| Secret::new("private"));
    let files = plan.steps.into_iter().find_map(|step| match step.action {
        Action::CreateSeed { files, .. } => Some(files),
        _ => None,
    });
    files.unwrap()
}

fn text<'a>(files: &'a [SeedFile], name: &str) -> &'a str {
    files.iter().find(|file| file.name == name).unwrap().content.reveal()
}

const OWN: &str = "\
packages: [curl]
commands: [first]
user_data:
  ssh_pwauth: yes
  users: [{name: ann, groups: [adm]}]
  bootcmd: [mine]
  packages: [[nginx, '1.22']]
  runcmd: [[touch, /a b], second]
  ntp: {servers: [192.0.2.1], enabled: true}
  write_files: [{path: /x, content: 'a: {b}', append: true}]
";

#[test]
fn one_document_has_what_maquette_needs_and_what_the_user_has() {
    let files = seed(&with(OWN));
    let names: Vec<&str> = files.iter().map(|file| file.name).collect();
    // Without `identity`, the agent of a built image leaves it to cloud-init.
    assert_eq!(names, ["meta-data", "user-data", "network-config"]);
    let read = Plain::read(text(&files, "user-data")).unwrap();
    let of = |path: &[&str]| serde_json::to_string(read.at(path).unwrap()).unwrap();
    assert_eq!(of(&["hostname"]), "\"web-0\"");
    assert_eq!(of(&["ssh_pwauth"]), "true");
    let Some(Plain::List(users)) = read.at(&["users"]) else { panic!("no users") };
    let names: Vec<_> = users.iter().map(|user| user.at(&["name"]).unwrap().clone()).collect();
    assert_eq!(names, ["root", "cloud-user", "ann"].map(Plain::text));
    let Some(Plain::List(boot)) = read.at(&["bootcmd"]) else { panic!("no bootcmd") };
    assert_eq!((boot.len(), &boot[1]), (2, &Plain::text("mine")));
    assert_eq!(of(&["packages"]), r#"["curl",["nginx","1.22"]]"#);
    assert_eq!(of(&["runcmd"]), r#"["set -e","first","set +e",["touch","/a b"],"second"]"#);
    assert_eq!(of(&["ntp"]), r#"{"enabled":true,"servers":["192.0.2.1"]}"#);
    assert_eq!(of(&["write_files"]), r#"[{"append":true,"content":"a: {b}","path":"/x"}]"#);
    assert_eq!(of(&["locale"]), "false");
    // All modules of the image's run.
    assert_eq!(read.at(&["cloud_init_modules"]), None);
}

#[test]
fn what_the_agent_can_do_is_done_like_packages_files_and_commands() {
    let own = "user_data:\n  package_update: true\n  packages: [nginx]\n  write_files: [{path: /x, content: y, \
               permissions: '0600', owner: root:adm}]\n  runcmd: [[echo, it's], 'false']\n";
    let keys = "packages: [nginx]\nfiles: {/x: {content: y, mode: 0600, owner: root:adm}}\n\
                commands: [set +e, \"'echo' 'it'\\\"'\\\"'s'\", 'false']\n";
    let (own, keys) = (with(own), with(keys));
    assert_eq!(own.nodes, keys.nodes);
    assert_eq!(own.first_boots, keys.first_boots);
    assert!(own.nodes[0].guest.as_ref().unwrap().first_boot.is_some());
    assert!(start(&own).is_ok());
}

#[test]
fn what_only_cloud_init_does_boots() {
    for key in [
        "ntp: {}",
        "package_upgrade: true",
        "packages: [[a, '1']]",
        "write_files: [{path: /x, encoding: b64, content: eA==}]",
        "write_files: [{path: /x, permissions: 644}]",
        "write_files: [{path: /x, defer: true}]",
        "runcmd: [{a: b}]",
    ] {
        let blueprint = with(&format!("user_data: {{{key}}}\n"));
        assert_eq!(start(&blueprint).unwrap_err(), ColdReason::UserData, "{key}");
    }
}

#[test]
fn a_console_that_logs_in_is_a_file_and_a_command_before_all_others() {
    let files = seed(&with("console: autologin\ncommands: [mine]\n"));
    let read = Plain::read(text(&files, "user-data")).unwrap();
    let Some(Plain::List(commands)) = read.at(&["runcmd"]) else { panic!("no commands") };
    assert!(matches!(&commands[1], Plain::Text(text) if text.contains("serial-getty@")));
    assert_eq!(commands[2], Plain::text("mine"));
    let agent = text(&files, "first-boot");
    assert!(agent.contains("serial-getty@.service.d/maquette.conf"), "{agent}");
    assert!(agent.contains("--autologin cloud-user "), "{agent}");
    assert_eq!(with("console: login\n").nodes, with("").nodes);
    assert_ne!(with("console: autologin\n").nodes, with("").nodes);
}
