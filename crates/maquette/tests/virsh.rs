//! `maquette virsh` and `maquette workspace`, as far as no hypervisor is needed: options and where
//! their values come from, settings, checks, workspaces.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

#[path = "virsh/inventory.rs"]
mod inventory;
#[path = "virsh/network_file.rs"]
mod network_file;
#[path = "virsh/tree.rs"]
mod tree;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::write(home.path("key"), "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run_with(&self, env: &[(&str, &str)], args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_maquette"))
            .args(args)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .env("IR_HOME", self.path("ir"))
            .env("TZ", "UTC")
            .envs(env.iter().copied())
            .output()
            .unwrap()
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_with(&[], args)
    }

    fn clean(&self, text: &[u8]) -> String {
        let text = String::from_utf8_lossy(text).into_owned();
        text.replace(&self.0.path().display().to_string(), "HOME")
    }

    /// Standard output of a command that must succeed.
    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{}", self.clean(&output.stderr));
        self.clean(&output.stdout)
    }

    /// Standard error of a command that must fail with `code`.
    fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let text = self.clean(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    }

    /// The settings of a dry run with the two required options.
    fn settings(&self, args: &[&str]) -> String {
        self.settings_with(&[], args)
    }

    fn settings_with(&self, env: &[(&str, &str)], args: &[&str]) -> String {
        let mut all =
            vec!["virsh", "--dry-run", "--host-address", "hv.invalid", "--host-key", "key"];
        all.extend(args);
        let output = self.run_with(env, &all);
        assert_eq!(output.status.code(), Some(0), "{}", self.clean(&output.stderr));
        self.clean(&output.stdout)
    }
}

#[test]
fn help_lists_every_option() {
    let home = Home::new();
    insta::assert_snapshot!(home.says(&["virsh", "--help"]));
    // Without a subcommand's action nothing is done and nothing is wrong.
    assert_eq!(home.run(&["plugin", "add", "virsh"]).status.code(), Some(0));
    assert_eq!(home.run(&["plugin", "add", "plugins/virsh"]).status.code(), Some(0));
    assert!(home.says(&["plugin", "list"]).contains("| provision | virsh |"));
    home.fails(1, &["plugin", "add", "tripleo-undercloud"]);
}

/// The command line that the manual begins with.
#[test]
fn the_first_command_line_becomes_settings() {
    let home = Home::new();
    insta::assert_snapshot!(home.settings(&[
        "--topology-nodes",
        "undercloud:1,controller:3",
        "--topology-network=3_nets",
    ]));
    let log = fs::read_to_string(home.path("ir/ir-commands.log")).unwrap();
    assert!(log.contains("--topology-nodes undercloud:1,controller:3"), "{log}");
    // Playbooks include what the settings name.
    for name in ["network/3_nets.yml", "nodes/undercloud.yml"] {
        assert!(home.path(".cache/maquette/topology").join(name).is_file(), "{name}");
    }
}

#[test]
fn options_may_be_shortened_and_repeated() {
    let home = Home::new();
    let settings = home.settings(&["--topology-nod", "controller:1", "--host-mem", "yes"]);
    assert!(settings.contains("controller.yml: 1"), "{settings}");
    assert!(settings.contains("overcommit: true"));
    // The last wins, except for those that collect.
    let settings = home.settings(&["--prefix", "a", "--prefix", "b", "-e", "x=1", "-e", "y=2"]);
    assert!(settings.contains("prefix: b"));
    assert!(settings.contains("x: \"1\"\ny: \"2\""), "{settings}");
    let two = [
        "virsh",
        "--host-address",
        "hv.invalid",
        "--host-address",
        "hv2.invalid",
        "--host-key",
        "key",
    ];
    let said = home.fails(2, &two);
    assert!(said.contains("several hypervisors"), "{said}");
    // Ambiguous, unknown and leftover words are usage errors.
    for args in [&["--host", "x"][..], &["--nope", "x"], &["leftover"], &["-d"]] {
        let all: Vec<&str> = std::iter::once("virsh").chain(args.iter().copied()).collect();
        home.fails(2, &all);
    }
}

#[test]
fn answers_win_over_the_environment_and_flags_over_both() {
    let home = Home::new();
    fs::write(home.path("answers.ini"), "[virsh]\nHost-User = file\nprefix = file\n").unwrap();
    let env = [("IR_HOST_USER", "env"), ("IR_PREFIX", "env"), ("IR_POOL_NAME", "env")];
    let args = ["--from-file", "answers.ini", "--prefix", "flag"];
    let settings = home.settings_with(&env, &args);
    assert!(settings.contains("user: file"), "{settings}");
    assert!(settings.contains("prefix: flag"));
    assert!(settings.contains("pool:\n    name: env"), "{settings}");
}

/// Playbooks see what a node file would have been read as; PyYAML reads it so, too.
#[test]
fn files_of_extra_variables_merge_as_yaml_does() {
    let home = Home::new();
    let text = "small: &small {memory: 1, disks: {a: 1}}\nbig: &big {memory: 9, cpu: 4}\n\
                node: {<<: [*small, *big], disks: {b: 2}}\nlist: [1, '1']\n";
    fs::write(home.path("more.yml"), text).unwrap();
    fs::write(home.path("one.yml"), "[1, 2]\n").unwrap();
    let settings = home.settings(&["-e", "list=@one.yml", "-e", "@more.yml", "-e", "node.cpu=2"]);
    let node = "node:\n  cpu: \"2\"\n  disks:\n    b: 2\n  memory: 1\n";
    assert!(settings.contains(node), "{settings}");
    assert!(settings.contains("list:\n  - 1\n  - 2\n  - \"1\"\n"), "{settings}");
}

#[test]
fn an_answers_file_says_everything() {
    let home = Home::new();
    fs::write(home.path("more.yml"), "override: {controller: {groups: [a]}}\n").unwrap();
    let text = "[virsh]\n# a comment\nhost-address = ['hv.invalid']\nhost-key = ${HOME}/key\n\
                topology-nodes = undercloud:1,\n    controller:1\ntopology-password = secret\n\
                extra-vars = [\"override.controller.memory=4096\", \"@more.yml\"]\ndry-run = True\n";
    fs::write(home.path("answers.ini"), text).unwrap();
    let settings = home.says(&["virsh", "--from-file", "answers.ini"]);
    insta::assert_snapshot!(settings);
    // Plain text does for a list, too.
    let text = "[virsh]\nhost-address = hv.invalid\nhost-key = key\nextra-vars = a.b=1\n";
    fs::write(home.path("plain.ini"), text).unwrap();
    let settings = home.says(&["virsh", "--from-file", "plain.ini", "--dry-run"]);
    assert!(settings.contains("- hv.invalid\n"), "{settings}");
    assert!(settings.starts_with("a:\n  b: \"1\"\n"), "{settings}");
    let missing = home.fails(1, &["virsh", "--from-file", "nowhere.ini"]);
    assert!(missing.contains("answers file nowhere.ini"));
    fs::write(home.path("bad.ini"), "[virsh]\nhost-key = $NOT_SET\n").unwrap();
    let bad = home.fails(1, &["virsh", "--from-file", "bad.ini"]);
    assert!(bad.contains("line 2: environment variable NOT_SET is not set"), "{bad}");
}

#[test]
fn a_generated_answers_file_can_be_used() {
    let home = Home::new();
    let args = [
        "virsh",
        "--generate-answers-file",
        "new.ini",
        "--host-address",
        "hv.invalid",
        "--prefix",
        "ab",
        "--dry-run",
    ];
    home.says(&args);
    let text = fs::read_to_string(home.path("new.ini")).unwrap();
    insta::assert_snapshot!(text);
    // It was written, and nothing else was done.
    assert!(!home.path("ir").exists());
    let settings =
        home.says(&["virsh", "--from-file", "new.ini", "--host-key", "key", "--dry-run"]);
    assert!(settings.contains("prefix: ab"));
    // What nobody changed is read as what it was, and nothing is said of it.
    assert!(settings.contains("size: false") && !settings.contains("size: \"no\""), "{settings}");
    let said = home
        .clean(&home.run(&["virsh", "--from-file", "new.ini", "--host-key", "key", "plan"]).stderr);
    assert!(!said.contains("has no effect"), "{said}");
}

#[test]
fn environment_lists_and_flags_are_read_as_such() {
    let home = Home::new();
    let env = [
        ("IR_HOST_ADDRESS", "hv.invalid"),
        ("IR_HOST_KEY", "key"),
        ("IR_EXTRA_VARS", "a.b=1"),
        ("IR_DRY_RUN", "yes"),
    ];
    let output = home.run_with(&env, &["virsh"]);
    assert_eq!(output.status.code(), Some(0), "{}", home.clean(&output.stderr));
    let settings = home.clean(&output.stdout);
    assert!(settings.contains("address:\n      - hv.invalid"), "{settings}");
    assert!(settings.starts_with("a:\n  b: \"1\""));
}

#[test]
fn every_check_names_every_offender() {
    let home = Home::new();
    fs::write(home.path("list.yml"), "[1, 2]\n").unwrap();
    fs::write(home.path("latin.yml"), b"a: gr\xfcn\n").unwrap();
    fs::write(home.path("vault.yml"), "a: !vault |\n  abc\n").unwrap();
    fs::write(home.path("twice.yml"), "a: 1\nb: 2\n'b': 3\n").unwrap();
    let text = home.fails(1, &["virsh"]);
    assert!(text.contains("--host-address") && text.contains("--host-key"), "{text}");
    let with = |args: &[&'static str]| {
        let mut all = vec!["virsh", "--host-address", "hv.invalid", "--host-key", "key"];
        all.extend(args);
        all
    };
    for (args, code, said) in [
        (
            &["--virsh-snapshot-create", "True"][..],
            2,
            "--virsh-snapshot-create is not supported yet",
        ),
        (&["--prefix", "a-prefix-that-is-longer-than-any-host-name"], 1, "longer than 40"),
        (&["--bootmode", "coreboot"], 2, "coreboot"),
        (&["--host-validate", "1"], 1, "expects yes or no"),
        (&["--force-image-download", ""], 1, "expects yes or no"),
        (
            &["--topology-nodes", "controller"],
            1,
            "the number of nodes of type `controller` is missing",
        ),
        (&["--topology-nodes", "controler:1"], 1, "did you mean `controller`?"),
        (&["--topology-network", "4_net"], 1, "no network file `4_net`"),
        (&["-e", "nonsense"], 1, "no `=`"),
        (&["-e", "{\"a\": \"b=c\"}"], 1, "this extra variable is JSON or YAML (put it into a file"),
        (&["-e", "a=@latin.yml"], 1, "cannot read latin.yml: it is not UTF-8"),
        (&["-e", "@vault.yml"], 1, "vault.yml, line 1: the tag `!vault` is not understood"),
        (&["-e", "a..b=1"], 1, "extra variable `a..b=1`: a part of the key is empty"),
        (&["-e", "@nowhere.yml"], 1, "cannot read nowhere.yml"),
        (&["-e", "a=@twice.yml"], 1, "twice.yml, line 3: `b` is here twice"),
        (&["-e", "@list.yml"], 1, "a file of extra variables is a mapping, not a list"),
        (
            &["-e", "provision.prefix.x=1", "--prefix", "ab"],
            1,
            "`provision.prefix` is a single value",
        ),
    ] {
        let text = home.fails(code, &with(args));
        assert!(text.contains(said), "{args:?}: {text}");
    }
    // Everything that is wrong is said at once.
    let text = home.fails(1, &with(&["-e", "one", "-e", "two"]));
    assert!(text.contains("`one`") && text.contains("`two`"), "{text}");
    // A bad choice in a file is found by the check, not by the parser.
    fs::write(home.path("answers.ini"), "[virsh]\nbootmode = coreboot\n").unwrap();
    home.fails(1, &with(&["--from-file", "answers.ini"]));
    // Nothing of this made a workspace.
    assert!(!home.path("ir/.workspaces").exists());
    // A look at what would be done finds missing playbooks, too.
    let look = ["-e", "provision_post=nope.yml", "--ansible-args", "syntax-check"];
    assert!(home.fails(2, &with(&look)).contains("there is no playbook nope.yml"));
}

#[test]
fn what_comes_later_is_refused_by_name_and_touches_nothing() {
    let home = Home::new();
    for (args, name) in [
        (
            &[
                "--virsh-snapshot-upload",
                "yes",
                "--virsh-snapshot-path",
                "/x",
                "--virsh-snapshot-container",
                "s3://b",
            ][..],
            "--virsh-snapshot-upload",
        ),
        (&["--host-address", "hv2.invalid"], "several hypervisors"),
    ] {
        let mut all = vec!["virsh", "--host-address", "hv.invalid", "--host-key", "key"];
        all.extend(args);
        let text = home.fails(2, &all);
        assert!(text.contains(name), "{name}: {text}");
    }
    // What asks for nothing is not refused.
    home.settings(&["--cleanup", "no", "--virtopts", "", "--virsh-snapshot-servers", ".*"]);
    let text = home.fails(
        2,
        &[
            "virsh",
            "--host-address",
            "hv.invalid",
            "--host-key",
            "key",
            "-e",
            "provision_post=provision_post_veos.yml",
        ],
    );
    assert!(text.contains("provision_post_veos.yml"), "{text}");
    assert!(text.contains("switch_ports"), "{text}");
}

#[test]
fn files_of_infrared_may_hold_keys_that_nobody_reads() {
    let home = Home::new();
    fs::create_dir_all(home.path("topology/nodes")).unwrap();
    let node = "name: web\ncpu: 1\nmemory: 64\nflavour: old\ndisks: {disk1: {size: huge}}\n";
    fs::write(home.path("topology/nodes/web.yml"), node).unwrap();
    let text = home.fails(
        2,
        &[
            "virsh",
            "--host-address",
            "hv.invalid",
            "--host-key",
            "key",
            "--topology-nodes",
            "web:1",
        ],
    );
    assert!(text.contains("warning[topology::unknown-key]"), "{text}");
    assert!(text.contains("has no key `flavour`") && text.contains("1 error;"), "{text}");
}

#[test]
fn secrets_are_masked_and_files_private() {
    let home = Home::new();
    let args = [
        "virsh",
        "--host-address",
        "hv.invalid",
        "--host-key",
        "key",
        "--vnc-password",
        "geheim",
        "-e",
        "provision.topology.password=geheim",
        "-o",
        "tree.yml",
        "--dry-run",
    ];
    let output = home.run(&args);
    assert_eq!(output.status.code(), Some(0));
    let shown = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&shown).contains("geheim"));
    home.settings(&["-e", "provision.topology.password=geheim"]);
    let log = fs::read_to_string(home.path("ir/ir-commands.log")).unwrap();
    assert!(!log.contains("geheim"), "{log}");
    let active = home.path("ir/.workspaces/active");
    for file in [
        home.path("tree.yml"),
        home.path("ir/ir-commands.log"),
        active.join("virsh_all_argument_file.txt"),
    ] {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
    // A file that the user asked for holds what it must.
    assert!(fs::read_to_string(home.path("tree.yml")).unwrap().contains("geheim"));
    assert_eq!(
        fs::read_to_string(active.join("virsh_all_argument_file.txt")).unwrap(),
        "plugin: virsh\nhost-address: ['hv.invalid']\nhost-key: key\n"
    );
}

#[test]
fn commands_need_not_be_logged() {
    let home = Home::new();
    home.says(&[
        "--no-log-commands",
        "virsh",
        "--host-address",
        "hv.invalid",
        "--host-key",
        "key",
        "--dry-run",
    ]);
    assert!(!home.path("ir/ir-commands.log").exists());
}

#[test]
fn workspaces_come_and_go() {
    let home = Home::new();
    assert!(home.fails(1, &["workspace", "list", "--active"]).contains("no active workspace"));
    assert_eq!(home.says(&["workspace", "create", "one"]), "Workspace 'one' has been added\n");
    home.fails(1, &["workspace", "create", "one"]);
    home.fails(1, &["workspace", "create", "active"]);
    home.fails(1, &["workspace", "create", "../two"]);
    home.fails(1, &["workspace", "inventory"]);
    assert_eq!(
        home.says(&["workspace", "checkout", "two", "-c"]),
        "Workspace 'two' has been added\nNow using workspace: 'two'\n"
    );
    home.fails(1, &["workspace", "checkout", "two", "-c"]);
    assert!(home.fails(1, &["workspace", "checkout", "twoo"]).contains("did you mean `two`?"));
    insta::assert_snapshot!(home.says(&["workspace", "list"]));
    assert_eq!(home.says(&["workspace", "list", "--active"]), "two\n");
    assert_eq!(home.says(&["workspace", "inventory"]), "HOME/ir/.workspaces/two/hosts\n");
    assert_eq!(home.says(&["workspace", "inventory", "one"]), "HOME/ir/.workspaces/one/hosts\n");
    home.fails(1, &["workspace", "inventory", "three"]);
    // The environment's choice holds for the process, and cannot be changed in it.
    let output = home.run_with(&[("IR_WORKSPACE", "one")], &["workspace", "list", "--active"]);
    assert_eq!(home.clean(&output.stdout), "one\n");
    let output = home.run_with(&[("IR_WORKSPACE", "one")], &["workspace", "checkout", "two"]);
    assert_eq!(output.status.code(), Some(1));
    home.says(&["workspace", "cleanup", "two"]);
    assert_eq!(home.says(&["workspace", "list", "--active"]), "two\n");
    assert_eq!(
        home.says(&["workspace", "delete", "one", "two"]),
        "Workspace 'one' deleted\nWorkspace 'two' deleted\n"
    );
    home.fails(1, &["workspace", "list", "--active"]);
}

/// An inventory as InfraRed leaves it.
const INVENTORY: &str = "
localhost ansible_connection=local
hypervisor  ansible_host=hv.invalid ansible_connection=ssh ansible_user=root ansible_ssh_private_key_file=/k
undercloud-0  ansible_host=172.16.0.10 ansible_connection=ssh ansible_user=stack ansible_ssh_private_key_file=id_rsa
controller-0  ansible_host=NA ansible_connection=ssh

[local]
localhost

[hypervisor]
hypervisor

[undercloud]
undercloud-0

[overcloud_nodes]
controller-0
";

#[test]
fn an_inventory_of_the_users_own_is_used() {
    let home = Home::new();
    fs::write(home.path("mine"), INVENTORY).unwrap();
    home.settings(&["--inventory", "mine"]);
    insta::assert_snapshot!(home.says(&["workspace", "node-list"]));
    insta::assert_snapshot!("node-list-json", home.says(&["workspace", "node-list", "-f", "json"]));
    insta::assert_snapshot!("group-list", home.says(&["workspace", "group-list"]));
    assert!(home.says(&["workspace", "node-list", "-g", "undercloud"]).contains("172.16.0.10"));
    home.fails(1, &["workspace", "node-list", "-g", "compute"]);
    // ssh: as the inventory says, and with an error where it cannot.
    assert!(home.fails(1, &["ssh", "controller-0"]).contains("no operating system"));
    assert!(home.fails(1, &["ssh", "undercloud-0"]).contains("cannot read its key"));
    assert!(home.fails(1, &["ssh", "localhost"]).contains("this machine"));
    assert!(home.fails(2, &["ssh", "undercloud-1"]).contains("did you mean `undercloud-0`?"));
    let fake = home.path("bin");
    fs::create_dir(&fake).unwrap();
    fs::write(fake.join("ssh"), "#!/bin/sh\nfor a; do echo \"$a\"; done\n").unwrap();
    fs::set_permissions(fake.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(home.path("ir/.workspaces/active/id_rsa"), "k").unwrap();
    let path = format!("{}:/usr/bin:/bin", fake.display());
    let output = home.run_with(&[("PATH", &path)], &["ssh", "undercloud-0", "echo \"a b\"; id"]);
    let said = home.clean(&output.stdout);
    let said = said.replace(workspace(&home).as_str(), "NAME");
    assert_eq!(
        said,
        "-i\nHOME/ir/.workspaces/NAME/id_rsa\n-o\nConnectTimeout=20\n-o\nServerAliveInterval=30\n-t\n--\nstack@172.16.0.10\necho \"a b\"; id\n"
    );
}

fn workspace(home: &Home) -> String {
    home.says(&["workspace", "list", "--active"]).trim().to_string()
}

#[test]
fn a_workspace_is_exported_and_imported() {
    let home = Home::new();
    home.says(&["workspace", "checkout", "-c", "old"]);
    let path = home.path("ir/.workspaces/old");
    fs::write(path.join("hosts-prov"), format!("a x={}/id_rsa\n", path.display())).unwrap();
    std::os::unix::fs::symlink(path.join("hosts-prov"), path.join("hosts")).unwrap();
    let said = home.says(&["workspace", "export", "-f", "out"]);
    assert!(said.contains("old") && said.contains("out.tgz"), "{said}");
    assert_eq!(home.says(&["workspace", "import", "out.tgz", "-n", "new"]), "");
    assert_eq!(workspace(&home), "new");
    let read = fs::read_to_string(home.path("ir/.workspaces/new/hosts")).unwrap();
    assert_eq!(home.clean(read.as_bytes()), "a x=HOME/ir/.workspaces/new/id_rsa\n");
    home.fails(1, &["workspace", "import", "out.tgz", "-n", "new"]);
    home.fails(2, &["workspace", "import", "nowhere.tgz"]);
    fs::write(home.path("broken.tgz"), "no archive").unwrap();
    home.fails(2, &["workspace", "import", "broken.tgz"]);
    assert!(!home.path("ir/.workspaces/broken").exists());
    assert!(Path::new(&home.path("out.tgz")).exists());
}

#[test]
fn files_that_the_user_names_are_written_through_and_never_replaced() {
    let home = Home::new();
    let all = ["virsh", "--dry-run", "--host-address", "hv.invalid", "--host-key", "key", "-o"];
    let settings = |name: &str| {
        let mut args = all.to_vec();
        args.push(name);
        home.says(&args)
    };
    // A link, and a file that others may read.
    fs::write(home.path("target"), "").unwrap();
    fs::set_permissions(home.path("target"), fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink("target", home.path("link")).unwrap();
    settings("link");
    assert!(fs::symlink_metadata(home.path("link")).unwrap().is_symlink());
    assert!(fs::read_to_string(home.path("target")).unwrap().starts_with("provision:"));
    let mode = fs::metadata(home.path("target")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert!(settings("/dev/stdout").starts_with("provision:"));
    // An answers file with a password is its owner's.
    home.says(&["virsh", "--vnc-password", "secret", "--generate-answers-file", "answers"]);
    let mode = fs::metadata(home.path("answers")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_setting_that_is_no_word_of_its_option_is_refused() {
    let home = Home::new();
    let given = ["virsh", "--dry-run", "--host-address", "hv.invalid", "--host-key", "key"];
    for (setting, said) in [
        ("provision.kill=perhaps", "--kill cannot be `perhaps`; it is one of yes, no"),
        ("provision.topology.extend=maybe", "--topology-extend cannot be `maybe`"),
        ("provision.disk.bus=ide", "--disk-bus cannot be `ide`; it is one of virtio, scsi"),
        ("provision.bootmode=foo", "--bootmode cannot be `foo`"),
        ("provision.host.memory.overcommit=2", "--host-memory-overcommit cannot be `2`"),
    ] {
        let all: Vec<&str> = given.into_iter().chain(["-e", setting]).collect();
        let text = home.fails(1, &all);
        assert!(text.contains(said), "{text}");
    }
    home.settings(&["-e", "provision.kill=no", "-e", "provision.bootmode=uefi"]);
}

#[test]
fn what_an_address_may_hide_is_shown_nowhere() {
    let home = Home::new();
    let url = "https://me:cAnArY@example.invalid/x.qcow2?token=cAnArY";
    let image = format!("--image-url={url}");
    let net = format!("provision.image.mirror.url={url}");
    let shown = home.settings(&[&image, "--topology-net-url", url, "-e", &net]);
    assert!(shown.contains("https://***@example.invalid/x.qcow2?***"), "{shown}");
    let mut all = shown;
    for name in fs::read_dir(home.path("ir/.workspaces")).unwrap().flatten() {
        for file in fs::read_dir(name.path()).into_iter().flatten().flatten() {
            all.push_str(&fs::read_to_string(file.path()).unwrap_or_default());
        }
    }
    all.push_str(&fs::read_to_string(home.path("ir/ir-commands.log")).unwrap());
    assert!(!all.contains("cAnArY"), "{all}");
    // Whoever asks for a file gets all of it, and nobody else may read it.
    home.settings(&[&image, "-o", "settings.yml"]);
    assert!(fs::read_to_string(home.path("settings.yml")).unwrap().contains("cAnArY"));
    let mode = fs::metadata(home.path("settings.yml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
