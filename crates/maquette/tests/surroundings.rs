//! What the program does where its surroundings are not as it would like them: outputs that are full,
//! directories of somebody else's, files without end, variables that are not text, a workspace whose memory
//! is damaged. Nothing here needs a hypervisor but libvirt's test driver, which each run has to itself.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A home of its own.
struct Home {
    directory: tempfile::TempDir,
    /// A prefix that no other test has, on this machine and at this moment.
    prefix: String,
}

impl Home {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let prefix = format!("around{}x{number}", std::process::id());
        Self { directory: tempfile::tempdir().unwrap(), prefix }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maquette"));
        command
            .args(args)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.directory.path())
            .env("MAQUETTE_LIBVIRT_URI", "test:///default");
        command
    }

    /// The arguments of a run that builds one node without a system.
    fn up(&self, verb: &str) -> Vec<String> {
        let bare = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/bare.yml");
        let nodes = format!("{}:1", bare.display());
        [verb, "--virt-type", "test", "--pool-name", "default-pool", "--disk-pool", "/default-pool"]
            .into_iter()
            .chain(["--prefix", &self.prefix, "--topology-nodes", &nodes])
            .map(String::from)
            .collect()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }
}

fn words(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// Runs a command that must end with `code`; what it says of it.
fn says(command: &mut Command, code: i32) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(code), "{command:?}: {said}");
    said
}

/// Whoever asked for an answer and has none must not take that for a success; who wants no more of it may.
#[test]
fn an_answer_that_is_lost_is_a_failure() {
    let home = Home::new();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut plan = home.up("plan");
    plan.push("--json".into());
    for args in [&["topology", "list"][..], &["image", "list", "--json"], &words(&plan)] {
        let said = says(home.command(args).stdout(full()), 1);
        assert!(said.contains("cannot write to standard output"), "{said}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        says(home.command(args).stdout(writer), 0);
    }
    let mut graph = home.up("graph");
    graph.extend(["-o".into(), "/dev/full".into()]);
    assert!(says(&mut home.command(&words(&graph)), 1).contains("cannot write /dev/full"));
}

/// A directory that the user named and that holds other things was made private: as root, `/tmp`.
#[test]
fn a_directory_with_other_things_in_it_keeps_its_mode() {
    let home = Home::new();
    fs::create_dir(home.path("mine")).unwrap();
    fs::write(home.path("mine/other"), "").unwrap();
    fs::create_dir(home.path("empty")).unwrap();
    for (name, mode) in [("mine", 0o755), ("empty", 0o700), ("new", 0o700)] {
        if home.path(name).exists() {
            fs::set_permissions(home.path(name), Permissions::from_mode(0o755)).unwrap();
        }
        let mut up = home.up("up");
        up.extend(["--workspace".into(), home.path(name).display().to_string()]);
        says(&mut home.command(&words(&up)), 0);
        assert_eq!(home.mode(name), mode, "{name}");
        for file in ["id_ed25519", "environment.secret", "hosts-prov", "ansible.ssh.config"] {
            assert_eq!(home.mode(&format!("{name}/{file}")), 0o600, "{name}/{file}");
        }
    }
}

/// Whoever can write there chooses the ssh config that `ssh` and Ansible obey.
#[test]
fn a_workspace_that_everybody_can_write_to_is_refused() {
    let home = Home::new();
    fs::create_dir(home.path("open")).unwrap();
    fs::set_permissions(home.path("open"), Permissions::from_mode(0o1777)).unwrap();
    let evil = "Host around-bare-0\n  ProxyCommand touch pwned\n";
    fs::write(home.path("open/ansible.ssh.config"), evil).unwrap();
    let place = ["--prefix", &home.prefix, "--workspace", "open"];
    for verb in [&["ssh", "bare-0"][..], &["status"], &["down", "--yes"], &["inventory", "--list"]]
    {
        let said = says(&mut home.command(&[verb, &place].concat()), 2);
        assert!(said.contains("everybody can write to workspace"), "{said}");
    }
    assert!(!home.path("pwned").exists());
}

/// What is in its ssh config is run as whoever looks.
#[test]
fn a_workspace_of_another_user_or_of_a_group_is_refused() {
    const NOBODY: u32 = 65534;
    let home = Home::new();
    let files = ["", "ansible.ssh.config", "hosts", "maquette.json"];
    let cases = files
        .iter()
        .flat_map(|file| [(*file, 0o755, Some(NOBODY), None), (*file, 0o775, None, Some(NOBODY))]);
    for (at, (file, mode, owner, group)) in cases.enumerate() {
        let name = format!("w{at}");
        let place = home.path(&name);
        fs::create_dir(&place).unwrap();
        for file in &files[1..] {
            fs::write(place.join(file), "Match exec \"touch pwned\"\n").unwrap();
        }
        fs::write(place.join("maquette.json"), "{}").unwrap();
        let odd = place.join(file);
        fs::set_permissions(&odd, Permissions::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(&odd, owner, group).unwrap();
        for verb in [&["ssh", "bare-0"][..], &["status"], &["down", "--yes"]] {
            let args = [verb, &["--prefix", &home.prefix, "--workspace", &name]].concat();
            let said = says(&mut home.command(&args), 2);
            let why = if owner.is_some() { "is another user's" } else { "a group can write to" };
            assert!(said.contains(why), "{said}");
        }
    }
    assert!(!home.path("pwned").exists());
}

/// It decides which hypervisor is meant.
#[test]
fn a_project_file_that_somebody_else_has_put_there_has_to_be_named() {
    let home = Home::new();
    let there = home.path("there");
    fs::create_dir(&there).unwrap();
    fs::set_permissions(&there, Permissions::from_mode(0o1777)).unwrap();
    fs::write(there.join("maquette.yaml"), "prefix: theirs\n").unwrap();
    let said = |args: &[&str], code| says(home.command(args).current_dir(&there), code);
    assert!(said(&["status"], 0).contains("`theirs`"));
    std::os::unix::fs::chown(there.join("maquette.yaml"), Some(65534), None).unwrap();
    for verb in [&["status"][..], &["down", "--yes"], &["plan"]] {
        let said = said(verb, 2);
        assert!(said.contains("was put here by another user"), "{said}");
        assert!(said.contains("`--project maquette.yaml` says that it is meant"), "{said}");
    }
    assert!(said(&["status", "--project", "maquette.yaml"], 0).contains("`theirs`"));
    // It was brought there by who alone can write there.
    fs::set_permissions(&there, Permissions::from_mode(0o755)).unwrap();
    assert!(said(&["status"], 0).contains("`theirs`"));
}

/// Without it, this machine would have been meant, and lost what it has.
#[test]
fn a_workspace_whose_memory_is_damaged_is_not_taken_for_one_without() {
    let home = Home::new();
    let place = home.path(&format!(".local/share/maquette/workspaces/{}", home.prefix));
    fs::create_dir_all(&place).unwrap();
    let cut = r#"{"schema": 1, "prefix": "around", "hypervisor": {"address": "hv.exam"#;
    let wrong = r#"{"schema": 1, "prefix": "around", "hypervisor": {"address": "a b"}}"#;
    for text in [cut, wrong, "", "\u{1}"] {
        fs::write(place.join("maquette.json"), text).unwrap();
        for args in [
            &["down", "--yes", "--prefix", &home.prefix][..],
            &["status", "--prefix", &home.prefix],
            &["down", "--yes", "--workspace", place.to_str().unwrap()],
        ] {
            let said = says(&mut home.command(args), 2);
            assert!(said.contains("maquette.json: it is damaged"), "{said}");
        }
    }
    // A workspace that was named and is not there was taken for none, and `default` on this machine went.
    let down = &mut home.command(&["down", "--yes"]);
    let said = says(down.env("IR_WORKSPACE", "nowhere"), 2);
    assert!(said.contains("there is no workspace `nowhere`"), "{said}");
}

/// A link to a workspace, or a mount: all of it went, and then the removal failed.
#[test]
fn a_workspace_may_be_a_link() {
    let home = Home::new();
    fs::create_dir(home.path("real")).unwrap();
    std::os::unix::fs::symlink("real", home.path("link")).unwrap();
    let mut up = home.up("up");
    up.extend(["--workspace".into(), "link".into()]);
    says(&mut home.command(&words(&up)), 0);
    assert!(home.path("real/hosts-prov").exists());
    let down = ["down", "--yes", "--prefix", &home.prefix, "--workspace", "link"];
    says(&mut home.command(&down), 0);
    assert_eq!(fs::read_dir(home.path("real")).unwrap().count(), 0);
    assert!(home.path("link").symlink_metadata().unwrap().is_symlink());
}

/// They were read until there was no memory left. A pipe is as good as a file.
#[test]
fn files_without_end_are_mistakes_and_pipes_are_files() {
    let home = Home::new();
    let plan = home.up("plan");
    for (flag, value) in
        [("--project", "/dev/zero"), ("-e", "@/dev/zero"), ("--vnc-password", "@/dev/zero")]
    {
        let args: Vec<&str> = words(&plan).into_iter().chain([flag, value]).collect();
        let said = says(&mut home.command(&args), 2);
        assert!(said.contains("it has more than 16 MiB"), "{flag}: {said}");
    }
    let mut plan = home.command(&["plan", "--virt-type", "test", "--project", "/dev/stdin"]);
    let mut plan = plan.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    plan.stdin.take().unwrap().write_all(b"nodes: {nothing: 1}\n").unwrap();
    let said = plan.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(2), "{text}");
    assert!(text.contains("/dev/stdin:1"), "{text}");
}

/// They said nothing, and nobody said so: another libvirt, another workspace, no patience.
#[test]
fn variables_that_cannot_be_understood_are_mistakes() {
    let home = Home::new();
    for name in ["MAQUETTE_LIBVIRT_URI", "IR_WORKSPACE", "MAQUETTE_YES", "IR_HOST_ADDRESS"] {
        let mut status = home.command(&["status"]);
        let said = says(status.env(name, OsStr::from_bytes(b"a\xffb")), 2);
        assert!(said.contains(name) && said.contains("UTF-8"), "{said}");
    }
    for value in ["soon", "-1"] {
        let mut link = home.command(&["link", "down", "n-0", "eth0"]);
        let said = says(link.env("MAQUETTE_LOCK_WAIT", value), 2);
        assert!(said.contains("MAQUETTE_LOCK_WAIT") && said.contains(value), "{said}");
    }
    // Directories may be called anything.
    says(home.command(&["workspace", "list"]).env("IR_HOME", OsStr::from_bytes(b"/x\xff")), 0);
    let odd = home.command(&["status"]).arg(OsStr::from_bytes(b"--prefix=\xff")).output().unwrap();
    assert_eq!(odd.status.code(), Some(2));
}

/// An inventory of the user's own: its words are arguments of `ssh`.
#[test]
fn an_inventory_gives_ssh_a_user_an_address_and_a_port_and_nothing_else() {
    let home = Home::new();
    let place = home.path("ws");
    fs::create_dir(&place).unwrap();
    let vars = "ansible_host=192.0.2.1";
    for (vars, said) in [
        (format!("{vars} 'ansible_user=-oProxyCommand=touch pwned;'"), "not a valid login name"),
        ("'ansible_host=192.0.2.1 -oProxyCommand=x'".into(), "not a valid host name"),
        (format!("{vars} ansible_port=22x"), "`22x` is not a valid port"),
    ] {
        fs::write(place.join("hosts"), format!("n-0 {vars}\n")).unwrap();
        let text = says(&mut home.command(&["ssh", "--workspace", "ws", "n-0", "true"]), 1);
        assert!(text.contains(said), "{text}");
    }
    assert!(!home.path("pwned").exists());
}

/// Nothing is begun where nothing can be noted.
#[test]
fn a_home_that_cannot_be_written_to_is_told_of_before_anything_is_made() {
    let home = Home::new();
    let up = home.command(&words(&home.up("up")));
    let mut apart = Command::new("unshare");
    let script =
        "mount --bind \"$HOME\" \"$HOME\" && mount -o remount,bind,ro \"$HOME\" && exec \"$@\"";
    apart.args(["-m", "sh", "-c", script, "sh"]).arg(up.get_program()).args(up.get_args());
    apart.envs(up.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = says(&mut apart, 1);
    assert!(said.contains("cannot write workspace") && said.contains("Read-only"), "{said}");
    assert!(!said.contains("define"), "{said}");
}

/// A hypervisor without domains, for libvirt's test driver.
const HYPERVISOR: &str = "<node>
  <pool type='dir'><name>first</name><target><path>/default-pool</path></target></pool>
  <pool type='dir'><name>second</name><target><path>/second-pool</path></target></pool>
</node>";

/// Somebody prepares the hypervisor while a restoring waits for them: $1 says what by then.
const MEANWHILE: &str = r#"
mkdir -p /var/lib/maquette /run/maquette
mount -t tmpfs none /var/lib/maquette
mount -t tmpfs none /run/maquette
record() { printf '{"schema": 1, "pools": [%s]}\n' "$1" >/var/lib/maquette/preparation.json; }
record '"first"'
mkfifo leash
sh -euc "$LOCK" sh /run/maquette hypervisor 'ann@desk, maquette up' 0 '' '' <leash >got &
exec 3>leash
until grep -q got got; do :; done
"$MAQUETTE" host restore --yes 2>said &
restore=$!
until grep -q 'waiting for ann@desk' said || ! kill -0 $restore; do :; done
record "$1"
exec 3>&-
code=0
wait $restore || code=$?
cat said
echo "code $code"
cat /var/lib/maquette/preparation.json 2>/dev/null || echo "no record""#;

/// It took no lock, and undid what it had seen before its question.
#[test]
fn a_restoring_waits_for_who_is_at_work_and_looks_again() {
    let home = Home::new();
    fs::write(home.path("node.xml"), HYPERVISOR).unwrap();
    let said = |record: &str| {
        let _ = fs::remove_file(home.path("leash"));
        let _ = fs::remove_file(home.path("said"));
        let _ = fs::remove_file(home.path("got"));
        let command = home.command(&[]);
        let mut apart = Command::new("unshare");
        apart
            .args(["-m", "sh", "-euc", MEANWHILE, "sh", record])
            .current_dir(home.directory.path());
        apart.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        apart.env("MAQUETTE", command.get_program());
        apart.env("LOCK", include_str!("../../maquette-engine/assets/lock.sh"));
        apart.env(
            "MAQUETTE_LIBVIRT_URI",
            format!("test://{}/node.xml", home.directory.path().display()),
        );
        let output = apart.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let same = said(r#""first""#);
    assert!(same.contains("waiting for ann@desk") && same.contains("code 0"), "{same}");
    assert!(same.contains("no record"), "{same}");
    let more = said(r#""first", "second""#);
    assert!(more.contains("has just prepared this hypervisor further"), "{more}");
    assert!(more.contains("code 1") && more.contains("nothing was undone"), "{more}");
    assert!(more.contains("first") && more.contains("second"), "{more}");
}

/// With what most systems allow unless somebody asks for more, guests would boot a few at a time.
#[test]
fn as_many_files_may_be_open_as_the_user_is_allowed() {
    let home = Home::new();
    fs::create_dir(home.path("bin")).unwrap();
    // What the program starts may have as many as itself.
    const SSH: &str = "#!/bin/sh\nulimit -n >told\necho user root\necho hostname h\necho port 22\n";
    fs::write(home.path("bin/ssh"), SSH).unwrap();
    fs::set_permissions(home.path("bin/ssh"), Permissions::from_mode(0o755)).unwrap();
    let maquette = home.command(&["host", "check", "--host-address", "h"]);
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=256:4096").arg(maquette.get_program()).args(maquette.get_args());
    limited.current_dir(home.directory.path());
    limited.envs(maquette.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let path = std::env::var("PATH").unwrap();
    limited.env("PATH", format!("{}:{path}", home.path("bin").display()));
    says(&mut limited, 1);
    assert_eq!(fs::read_to_string(home.path("told")).unwrap(), "4096\n");
}
