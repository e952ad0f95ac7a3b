//! Files, packages and commands that a first boot has besides the node itself.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use super::template_tests::{Template, complete, line};
use super::tests::{IDENTITY, System};

/// A system whose first boot has more to do, and that has a package manager which tells what it was asked.
pub(super) fn with_more(commands: &[&str]) -> System {
    let system = System::new(&IDENTITY.replace("maquette 1", "maquette 2"));
    let first_boot = serde_json::json!({
        "packages": ["nginx", "libc6:amd64"],
        "files": [
            {"path": "/etc/motd", "mode": 0o644, "owner": null, "content": "hello\n"},
            {"path": "/srv/own/secret", "mode": 0o600, "owner": "cloud-user", "content": "\u{e9}\"\n"},
        ],
        "commands": commands,
    });
    fs::write(system.path("seed/first-boot"), first_boot.to_string()).unwrap();
    let manager = system.path("usr/bin/apt-get");
    fs::create_dir_all(manager.parent().unwrap()).unwrap();
    fs::write(&manager, "#!/bin/sh\necho \"apt-get $*\"\n").unwrap();
    fs::set_permissions(&manager, fs::Permissions::from_mode(0o755)).unwrap();
    system
}

pub(super) fn ready_with(system: &System) -> Output {
    let path = format!("{}:/usr/bin:/bin", system.path("usr/bin").display());
    let said = system.command("ready").env("PATH", path).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    said
}

#[test]
fn files_packages_and_commands_of_a_first_boot() {
    let system = with_more(&["echo one\necho two", "pwd"]);
    // Only root may give files to groups that it is not in.
    let own = own_group(&system);
    let readers = if own == 0 { 4 } else { own };
    system.put("etc/group", &format!("adm:x:{readers}:\n"));
    assert_eq!(String::from_utf8_lossy(&system.run("setup").stderr), "");
    // Files are there before services start; nobody may think that it is done.
    assert_eq!((system.text("etc/motd").as_str(), system.mode("etc/motd")), ("hello\n", 0o644));
    assert_eq!(system.text("srv/own/secret"), "\u{e9}\"\n");
    assert_eq!(system.mode("srv/own/secret"), 0o600);
    assert_eq!(system.mode("run/maquette/first-boot.json"), 0o600);
    assert!(!system.path("var/lib/cloud/instances/5f0-1/boot-finished").exists());
    assert!(!system.path("var/lib/cloud/data/instance-id").exists());
    // Whoever logs in meanwhile waits for it.
    assert!(!system.path("run/cloud-init/result.json").is_symlink());
    let report = ready_with(&system);
    let report = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(report.contains("\"errors\": []") && report.ends_with("done\n"), "{report}");
    let log = system.text("var/log/cloud-init-output.log");
    let of_log = fs::metadata(system.path("var/log/cloud-init-output.log")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::gid(&of_log), readers);
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], "apt-get -q update");
    assert!(lines[1].ends_with("install -- nginx libc6:amd64"), "{log}");
    assert_eq!(lines[2..4], ["one", "two"]);
    assert_eq!(system.text("var/lib/cloud/data/instance-id"), "5f0-1\n");
    assert!(system.path("var/lib/cloud/instances/5f0-1/boot-finished").exists());
    assert!(system.path("run/cloud-init/result.json").is_symlink());
    assert!(!system.path("run/maquette/first-boot.json").exists());
    // Once.
    system.run("setup");
    assert!(ready_with(&system).stdout.is_empty());
    assert_eq!(system.text("var/log/cloud-init-output.log"), log);
}

/// What fails is told with what it said last, and the next boot tries again.
#[test]
fn a_command_that_fails_ends_the_others_and_is_told() {
    let system = with_more(&["echo first", "echo 'no such thing' >&2; false", "echo never"]);
    system.run("setup");
    let report = ready_with(&system);
    let report = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(report.contains("commands: /bin/sh ended with status 1: no such thing"), "{report}");
    assert!(!system.text("var/log/cloud-init-output.log").contains("never"));
    let status = system.text("var/lib/cloud/data/status.json");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["v1"]["modules-final"]["errors"].as_array().unwrap().len(), 1);
    assert!(!system.path("var/lib/cloud/data/instance-id").exists());
    fs::write(
        system.path("seed/first-boot"),
        r#"{"packages": [], "files": [], "commands": ["true"]}"#,
    )
    .unwrap();
    system.run("setup");
    let report = String::from_utf8_lossy(&ready_with(&system).stdout).into_owned();
    assert!(report.contains("\"errors\": []"), "{report}");
}

/// A file that cannot be written keeps nothing else from being done.
#[test]
fn a_file_that_cannot_be_written_is_told_and_the_rest_is_done() {
    let system = with_more(&["echo done"]);
    let text = system.text("seed/first-boot").replace("\"cloud-user\"", "\"nobody-here\"");
    fs::write(system.path("seed/first-boot"), text).unwrap();
    system.run("setup");
    let report = String::from_utf8_lossy(&ready_with(&system).stdout).into_owned();
    assert!(report.contains("files: there is no account `nobody-here`"), "{report}");
    assert!(report.ends_with("done\n"), "{report}");
    assert!(system.text("var/log/cloud-init-output.log").ends_with("done\n"));
}

/// A node that has booted, and one of a template, which says the same (the last of what is returned); `end` is what its agent ends with.
fn as_on_a_boot(
    prepared: impl Fn() -> System,
    identity: &str,
    end: &str,
) -> (System, Template, String) {
    let cold = prepared();
    cold.put("seed/identity", identity);
    cold.run("setup");
    let report = String::from_utf8(cold.run("ready").stdout).unwrap();
    let mut warm = Template::new(prepared());
    warm.seed(identity);
    warm.connect().write_all(line().as_bytes()).unwrap();
    assert_eq!(warm.end(), end);
    assert_eq!(warm.said(), format!("template\n{}setting up\n{report}", "clock\n".repeat(3)));
    (cold, warm, report)
}

/// Files, commands and what fails of them, as on a boot.
#[test]
fn what_a_first_boot_has_besides_is_done_in_a_node_of_a_template() {
    let identity = IDENTITY.replace("maquette 1", "maquette 2");
    let first_boot = r#"{"packages": [], "commands": ["echo said; exit 3"],
        "files": [{"path": "/etc/motd", "mode": 416, "owner": "cloud-user:staff", "content": "hello\n"}]}"#;
    let prepared = || {
        let system = complete();
        system.put("etc/group", &format!("staff:x:{}:\n", own_group(&system)));
        system.put("seed/first-boot", first_boot);
        system
    };
    let end = "commands: /bin/sh ended with status 3: said\n";
    let (cold, warm, report) = as_on_a_boot(prepared, &identity, end);
    assert!(report.contains("commands: /bin/sh ended with status 3: said"), "{report}");
    for name in ["etc/motd", "var/log/cloud-init-output.log"] {
        assert_eq!(warm.system.text(name), cold.text(name), "{name}");
    }
    assert_eq!(warm.system.mode("etc/motd"), 0o640);
    assert!(!warm.system.path("run/maquette/first-boot.json").exists());
    // Its next boot tries again.
    assert!(!warm.system.path("var/lib/cloud/data/instance-id").exists());
}

/// Whoever reads a file once, and has done so, reads it again: the kernel's settings, systemd, and sshd.
#[test]
fn files_take_effect_that_would_have_been_read_already() {
    let identity = IDENTITY.replace("maquette 1", "maquette 2");
    let file = |path: &str| serde_json::json!({"path": path, "mode": 420, "owner": null, "content": "x\n"});
    let files = [
        "/etc/sysctl.d/90-own.conf",
        "/etc/systemd/system/own.service",
        "/usr/lib/systemd/system/getty@.service",
        "/etc/systemd/system/own.service.d/x.conf",
        "/etc/systemd/system/serial-getty@.service.d/maquette.conf",
        "/etc/systemd/system/multi-user.target.wants/x.service",
    ]
    .map(file);
    let first_boot =
        serde_json::json!({"packages": [], "commands": [], "files": files}).to_string();
    let wanted = "/usr/lib/systemd/systemd-sysctl\nsystemctl daemon-reload\n";
    let cold = complete();
    cold.put("seed/identity", &identity);
    cold.put("seed/first-boot", &first_boot);
    assert!(cold.run("setup").stderr.is_empty());
    assert_eq!(cold.text("orders"), wanted);
    let system = complete();
    system.put("run/sshd.pid", "4711\n");
    system.put("seed/first-boot", &first_boot);
    let mut warm = Template::new(system);
    assert!(warm.system.path("run/maquette/inherits").exists());
    warm.seed(&identity);
    warm.connect().write_all(line().as_bytes()).unwrap();
    assert_eq!(warm.end(), "");
    let orders = warm.system.text("orders");
    let at = |order: &str| orders.lines().position(|line| line == order).unwrap();
    assert!(at("/usr/lib/systemd/systemd-sysctl") < at("systemctl daemon-reload"), "{orders}");
    // A service that runs already is one that the image has.
    let again =
        "systemctl --no-block try-restart -- own.service getty@*.service serial-getty@*.service";
    assert!(at("systemctl daemon-reload") < at(again), "{orders}");
    assert_eq!(warm.system.text("hangup"), "4711\n");
}

/// Packages and commands come in spite of what failed before, as on a boot.
#[test]
fn commands_run_in_a_node_of_a_template_whose_set_up_had_errors() {
    let identity = IDENTITY.replace("maquette 1", "maquette 2");
    let first_boot = r#"{"packages": [], "commands": ["echo ran"],
        "files": [{"path": "/etc/motd", "mode": 420, "owner": "nobody-here", "content": "x"}]}"#;
    let prepared = || {
        let system = complete();
        system.put("seed/first-boot", first_boot);
        system
    };
    let (_, warm, _) =
        as_on_a_boot(prepared, &identity, "files: there is no account `nobody-here`\n");
    assert_eq!(warm.system.text("var/log/cloud-init-output.log"), "ran\n");
    assert!(!warm.system.path("var/lib/cloud/data/instance-id").exists());
}

/// There may be passwords in them, and a disk may be copied.
#[test]
fn commands_are_not_kept_whether_they_fail_or_not() {
    for command in ["true", "exit 3"] {
        let system = with_more(&[command]);
        system.run("setup");
        ready_with(&system);
        assert!(!system.path("run/maquette/commands").exists(), "{command}");
        assert!(!system.path("run/maquette/first-boot.json").exists(), "{command}");
    }
}

/// As any that failed: what is missing may be there then.
#[test]
fn a_first_boot_with_errors_is_begun_anew() {
    let system = System::new(IDENTITY);
    fs::remove_file(system.path("usr/share/zoneinfo/Europe/Prague")).unwrap();
    system.run("setup");
    let done = system.path("var/lib/cloud/data/instance-id");
    assert!(!done.exists());
    fs::write(system.path("usr/share/zoneinfo/Europe/Prague"), "").unwrap();
    system.run("setup");
    assert!(done.exists());
}

/// The group of whoever runs the test, which it may give files to.
fn own_group(system: &System) -> u32 {
    std::os::unix::fs::MetadataExt::gid(&fs::metadata(system.path("")).unwrap())
}
