//! What verbs ask before they take something away, and what they leave alone: the program on libvirt's
//! own test driver, which has domains and networks and no guests.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The test driver inside the daemon: it keeps what is made while somebody is connected.
const URI: &str = "test+unix:///default?socket=/var/run/libvirt/libvirt-sock";

/// An environment, gone with the test.
struct Ground {
    /// With the process's number, so that tests of two checkouts do not meet on one machine.
    prefix: String,
    home: tempfile::TempDir,
    holder: Child,
}

impl Ground {
    fn new(name: &str) -> Self {
        let prefix = format!("{name}{}", std::process::id());
        // It reads commands from a pipe that nothing is written to.
        let holder = Command::new("virsh")
            .args(["-c", URI])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { prefix, home: tempfile::tempdir().unwrap(), holder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let nodes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e");
        let mut command = Command::new(env!("CARGO_BIN_EXE_maquette"));
        command
            .args(args)
            .args(["--pool-name", "default-pool", "--disk-pool", "/default-pool"])
            .current_dir(nodes)
            .stdin(Stdio::null())
            .env("HOME", self.home.path())
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("MAQUETTE_LIBVIRT_URI", URI)
            .env_remove("MAQUETTE_YES")
            .env_remove("MAQUETTE_ACCEPT");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).args(["--prefix", &self.prefix]).output().unwrap()
    }

    /// Runs a command that must end with `code`; all that it says.
    fn says(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(code), "{args:?}:\n{text}");
        text
    }

    fn up(&self, nodes: &str, more: &[&str]) -> String {
        let mut args = vec!["up", "--virt-type", "test", "--topology-nodes", nodes];
        args.extend(more);
        self.says(0, &args)
    }

    /// libvirt's name of a node.
    fn node(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Names of its domains.
    fn nodes(&self) -> Vec<String> {
        let list = ["-q", "-c", URI, "list", "--all", "--name"];
        let output = Command::new("virsh").args(list).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mine = |n: &&str| n.starts_with(&format!("{}-", self.prefix));
        let mut names: Vec<String> = text.lines().filter(mine).map(String::from).collect();
        names.sort();
        names
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = self.run(&["down", "--yes"]);
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[test]
fn down_shows_what_goes_and_asks() {
    let ground = Ground::new("vdown");
    ground.up("bare.yml:2", &[]);
    for args in [&["down"][..], &["down", "--json"], &["down", "bare-1"]] {
        let said = ground.says(2, args);
        assert!(said.contains("nothing was touched") && said.contains("`--yes`"), "{said}");
    }
    let said = ground.says(2, &["down"]);
    assert!(said.contains(&format!("- domain   {}", ground.node("bare-1"))), "{said}");
    assert!(said.contains("remove 2 nodes with all data on their disks and 3 networks"), "{said}");
    assert_eq!(ground.nodes(), [ground.node("bare-0"), ground.node("bare-1")]);
    let down = ["down", "--prefix", &ground.prefix];
    let agreed = ground.command(&down).env("MAQUETTE_YES", "1").output();
    assert!(agreed.unwrap().status.success());
    assert!(ground.nodes().is_empty());
    // Nothing there is nothing to ask for.
    ground.says(0, &["down"]);
}

/// A program at a terminal, whose user thinks.
struct Asked {
    child: Child,
    heard: std::io::BufReader<std::process::ChildStdout>,
    said: String,
}

impl Asked {
    fn new(ground: &Ground, args: &[&str]) -> Self {
        let mut inner = ground.command(args);
        inner.args(["--prefix", &ground.prefix]);
        let words = std::iter::once(inner.get_program()).chain(inner.get_args());
        let line: Vec<String> = words.map(|w| format!("'{}'", w.to_string_lossy())).collect();
        let mut script = Command::new("script");
        script.args(["-qec", &line.join(" "), "/dev/null"]);
        let set = inner.get_envs().filter_map(|(name, value)| Some((name, value?)));
        script.envs(set).current_dir(inner.get_current_dir().unwrap());
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let heard = std::io::BufReader::new(child.stdout.take().unwrap());
        Self { child, heard, said: String::new() }
    }

    /// Waits for the question; all that was said before it.
    fn question(&mut self) -> String {
        use std::io::Read;
        let mut byte = [0u8];
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"[y/N]") {
            let text = || String::from_utf8_lossy(&bytes).into_owned();
            assert_eq!(self.heard.read(&mut byte).unwrap_or(0), 1, "no question: {}", text());
            bytes.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.said.push_str(&text);
        text
    }

    fn answer(&mut self, word: &str) {
        use std::io::Write;
        writeln!(self.child.stdin.as_mut().unwrap(), "{word}").unwrap();
    }

    fn end(mut self) -> Option<i32> {
        use std::io::Read;
        let mut rest = String::new();
        let _ = self.heard.read_to_string(&mut rest);
        self.child.wait().unwrap().code()
    }
}

/// While the user thought, everybody else stood in front of a lock; and what came up meanwhile was
/// done without a question.
#[test]
fn nothing_is_locked_while_somebody_is_asked() {
    let ground = Ground::new("vask");
    ground.up("bare.yml:2", &[]);
    let lock = PathBuf::from(format!("/run/maquette/environment.{}", ground.prefix));
    let fewer = ["up", "--virt-type", "test", "--topology-nodes", "bare.yml:1"];
    let mut asked = Asked::new(&ground, &fewer);
    let said = asked.question();
    assert!(said.contains(&format!("the disks of {}.", ground.node("bare-1"))), "{said}");
    assert!(!lock.exists());
    // Somebody else goes on building.
    ground.up("bare.yml:3", &[]);
    asked.answer("y");
    let said = asked.question();
    let both = format!("the disks of {}, {}.", ground.node("bare-1"), ground.node("bare-2"));
    assert!(said.contains(&both), "{said}");
    assert_eq!(ground.nodes().len(), 3);
    asked.answer("y");
    assert_eq!(asked.end(), Some(0));
    assert_eq!(ground.nodes(), [ground.node("bare-0")]);

    let mut asked = Asked::new(&ground, &["down"]);
    assert!(asked.question().contains("remove 1 node with"));
    ground.up("bare.yml:2", &[]);
    asked.answer("y");
    assert!(asked.question().contains("remove 2 nodes with"));
    assert!(!lock.exists());
    asked.answer("n");
    assert_eq!(asked.end(), Some(1));
    assert_eq!(ground.nodes().len(), 2);
}

/// The lock was taken, and the run that had it went on. One that stands still in the middle of its
/// steps, and goes on when another has taken over and is through.
#[test]
fn a_run_that_was_taken_over_changes_nothing_any_more() {
    let ground = Ground::new("vtake");
    let mut first = ground
        .command(&["up", "--virt-type", "test", "--topology-nodes", "bare.yml:60"])
        .args(["--prefix", &ground.prefix])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let signal = |name: &str| {
        let done = Command::new("kill").args([name, &first.id().to_string()]).status().unwrap();
        assert!(done.success(), "it ended before it was stopped");
    };
    let begun = std::time::Instant::now();
    while ground.nodes().is_empty() {
        assert!(begun.elapsed().as_secs() < 120, "it makes no node");
    }
    signal("-STOP");
    assert!(ground.nodes().len() < 60, "it was through already");
    let held = ground.says(1, &["down", "--yes"]);
    assert!(held.contains("is being changed by") && held.contains("--take-over"), "{held}");
    ground.says(0, &["down", "--yes", "--take-over"]);
    assert!(ground.nodes().is_empty());
    signal("-CONT");
    let mut said = String::new();
    std::io::Read::read_to_string(&mut first.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("another run has taken"), "{said}");
    // Each of its hands may have stood between the look at the lock and one call, which nobody can take back.
    const HANDS: usize = 8;
    assert!(ground.nodes().len() <= HANDS, "it went on: {:?}", ground.nodes());
    ground.says(0, &["down", "--yes"]);
    assert_eq!(ground.nodes(), [""; 0]);
}

#[test]
fn the_wrong_directory_asks_for_nothing() {
    let ground = Ground::new("vdir");
    ground.up("bare.yml:1", &[]);
    for args in [&["plan"][..], &["up"], &["up", "--yes"]] {
        let run = ground
            .command(args)
            .args(["--prefix", &ground.prefix])
            .current_dir(ground.home.path())
            .output();
        let output = run.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("there is no maquette.yaml here"), "{said}");
    }
    assert_eq!(ground.nodes(), [ground.node("bare-0")]);
}

#[test]
fn removing_an_environment_leaves_the_workspace_of_another_alone() {
    let ground = Ground::new("vmine");
    let place = ground.path("ws").display().to_string();
    ground.up("bare.yml:1", &["--workspace", &place]);
    let files = ["id_ed25519", "id_rsa", "hosts-prov", "known_hosts", "ansible.ssh.config"];
    let there = || files.iter().all(|name| ground.path("ws").join(name).exists());
    assert!(there());
    let other = format!("o{}", ground.prefix);
    let other = ["down", "--yes", "--prefix", &other, "--workspace", &place];
    let output = ground.command(&other).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("stays as it is"), "{said}");
    assert!(there());
    ground.says(0, &["down", "--yes", "--workspace", &place]);
    assert!(!ground.path("ws").exists());
}

#[test]
fn agreeing_to_a_clean_up_is_not_agreeing_to_lose_disks() {
    let ground = Ground::new("vagree");
    ground.up("bare.yml:2", &[]);
    let fewer = ["up", "--virt-type", "test", "--topology-nodes", "bare.yml:1"];
    let run = |args: &[&str], name: &str, value: &str| {
        let mut command = ground.command(args);
        command.args(["--prefix", &ground.prefix]).env(name, value).output().unwrap().status.code()
    };
    assert_eq!(run(&fewer, "MAQUETTE_YES", "1"), Some(2));
    assert_eq!(run(&fewer, "MAQUETTE_ACCEPT", "bridge-default-nic"), Some(2));
    assert_eq!(ground.nodes().len(), 2);
    assert_eq!(run(&fewer, "MAQUETTE_ACCEPT", "lose-disks"), Some(0));
    assert_eq!(ground.nodes(), [ground.node("bare-0")]);
}

/// Who reads the inventory elsewhere must not connect directly to what may be somebody else's machine.
#[test]
fn nodes_without_a_system_have_key_and_arguments_in_the_inventory() {
    let ground = Ground::new("vnoos");
    ground.up("bare.yml:1", &[]);
    let hosts = ground.path(&format!("data/maquette/workspaces/{}/hosts-prov", ground.prefix));
    let text = std::fs::read_to_string(hosts).unwrap();
    let line =
        text.lines().find(|l| l.starts_with(&format!("{} ", ground.node("bare-0")))).unwrap();
    for variable in ["ansible_ssh_private_key_file=", "ansible_ssh_common_args="] {
        assert!(line.contains(variable), "{line}");
    }
}

/// What a terminal shows and is told while `line` runs in one: util-linux's `script` plays it.
struct Terminal {
    script: Child,
    shown: Vec<u8>,
}

impl Terminal {
    fn new(ground: &Ground, args: &[&str]) -> Self {
        let command = ground.command(args);
        let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap());
        let line: Vec<String> =
            std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
        let mut script = Command::new("script");
        script.args(["-qefc", &format!("exec {}", line.join(" ")), "/dev/null"]);
        script.current_dir(command.get_current_dir().unwrap()).env_remove("MAQUETTE_YES");
        script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Self { script, shown: Vec::new() }
    }

    /// Reads until something is shown, or all.
    fn until(&mut self, what: &str) -> String {
        use std::io::Read;
        let out = self.script.stdout.as_mut().unwrap();
        let mut byte = [0u8];
        while !self.shown.ends_with(what.as_bytes()) || what.is_empty() {
            if out.read(&mut byte).unwrap_or(0) == 0 {
                break;
            }
            self.shown.push(byte[0]);
        }
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    fn press(&mut self, keys: &[u8]) {
        use std::io::Write;
        self.script.stdin.as_mut().unwrap().write_all(keys).unwrap();
    }
}

/// Ctrl-C was noted for later, and the question stayed.
#[test]
fn a_question_can_be_answered_with_ctrl_c() {
    let ground = Ground::new("vctrlc");
    ground.up("bare.yml:2", &[]);
    let fewer = ["up", "--virt-type", "test", "--topology-nodes", "bare.yml:1"];
    for args in [&["down"][..], &fewer] {
        let args = [args, &["--prefix", &ground.prefix]].concat();
        let mut terminal = Terminal::new(&ground, &args);
        let asked = terminal.until("[y/N]");
        assert!(asked.contains("This would remove"), "{asked}");
        terminal.press(b"\x03");
        let said = terminal.until("");
        assert!(said.contains("interrupted at the question"), "{said}");
        assert_eq!(terminal.script.wait().unwrap().code(), Some(130), "{said}");
        assert_eq!(ground.nodes().len(), 2);
    }
    // Whoever asks again says what is wanted.
    let mut terminal = Terminal::new(&ground, &["down", "--prefix", &ground.prefix]);
    terminal.until("[y/N]");
    terminal.press(b"yes\n");
    terminal.until("");
    assert!(terminal.script.wait().unwrap().success() && ground.nodes().is_empty());
}

/// A guest's own words went to the terminal as they are.
#[test]
fn a_serial_log_tells_a_terminal_nothing_but_text() {
    let ground = Ground::new("vlogs");
    ground.up("bare.yml:1", &[]);
    let log = format!("/var/log/libvirt/qemu/{}-serial.log", ground.node("bare-0"));
    std::fs::create_dir_all("/var/log/libvirt/qemu").unwrap();
    let evil = "a\u{1b}]0;title\u{7}b\u{1b}]52;c;aWQ=\u{1b}\\c\u{1b}[2Jd\u{9b}2Je\u{202e}f\n";
    std::fs::write(&log, evil).unwrap();
    let args = ["logs", "bare-0", "--prefix", &ground.prefix];
    let mut terminal = Terminal::new(&ground, &args);
    let shown = terminal.until("");
    let piped = ground.command(&args).output().unwrap();
    std::fs::remove_file(&log).unwrap();
    assert!(terminal.script.wait().unwrap().success(), "{shown}");
    let controls = |c: char| c.is_control() && !matches!(c, '\r' | '\n');
    assert!(!shown.contains(controls) && !shown.contains('\u{202e}'), "{shown:?}");
    assert!(shown.contains('a') && shown.contains('f'), "{shown:?}");
    // What goes into a file is what the guest wrote.
    assert_eq!(String::from_utf8_lossy(&piped.stdout), evil);
}

/// A full disk cut a capture off, and that was a success.
#[test]
fn a_capture_that_cannot_be_kept_is_a_failure() {
    let ground = Ground::new("vcap");
    ground.up("bare.yml:1", &[]);
    let capture = ["capture", "bare-0", "eth0", "--write", "/dev/full", "--prefix", &ground.prefix];
    let capture = ground.command(&capture);
    // The test driver's taps are names and nothing else.
    let script = "ip link add testnet0 type veth && ip link set testnet0 up && exec \"$@\"";
    let mut apart = Command::new("unshare");
    apart.args(["-n", "sh", "-c", script, "sh"]).arg(capture.get_program());
    apart.args(capture.get_args()).current_dir(capture.get_current_dir().unwrap());
    apart.envs(capture.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = apart.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write /dev/full"), "{said}");
}

/// An image that is there already is named by nobody until the node that needs it is defined.
#[test]
fn images_are_not_pruned_while_somebody_builds() {
    let ground = Ground::new("vprune");
    let lock = format!("/run/maquette/environment.{}", ground.prefix);
    std::fs::create_dir_all("/run/maquette").unwrap();
    std::fs::write(&lock, "1 2 ann@desk, maquette up\n").unwrap();
    let mut holder = Command::new("flock")
        .args([&lock, "-c", "echo got; read x"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut got = [0u8; 4];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut got).unwrap();
    let said = ground.says(1, &["image", "prune"]);
    drop(holder.stdin.take());
    holder.wait().unwrap();
    std::fs::remove_file(&lock).unwrap();
    assert!(said.contains("is being changed by") && said.contains("nothing was removed"), "{said}");
}

/// Once the workspace was lost, guests were given host keys that follow from the new secret, and the old
/// ones stayed recorded and pinned: nobody could log in. The test driver takes no seeds, so each run ends
/// there; everything else is done.
#[test]
fn after_the_workspace_is_lost_known_hosts_is_what_the_seed_gives_the_guest() {
    use maquette_engine::ssh_keys::EnvironmentKey;
    let ground = Ground::new("vlost");
    let node = ground.path("guest.yml");
    // Where it mattered what is in the image, all would wait for that.
    let text = "name: guest\ncpu: 1\nmemory: 64\ndisks: {disk1: {size: 9G}}\ncustomize: no\n\
                external_network: {network: external}\n";
    std::fs::write(&node, text).unwrap();
    let image = ground.path("a.qcow2").display().to_string();
    let mut make = Command::new("qemu-img");
    make.args(["create", "-q", "-f", "qcow2", &image, "1G"]);
    assert!(make.status().unwrap().success());
    let nodes = format!("{}:1", node.display());
    let up = ["up", "--virt-type", "test", "--topology-nodes", &nodes, "--image-url", &image];
    let workspace = ground.path(&format!("data/maquette/workspaces/{}", ground.prefix));
    let attribute = |xml: &str, name: &str| {
        let value =
            xml.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        value.unwrap_or_else(|| panic!("{name}: {xml}")).to_string()
    };
    let mut keys = Vec::new();
    for more in [&[][..], &["--yes"]] {
        let said = ground.says(1, &[&up, more].concat());
        assert!(said.contains("define domain"), "{said}");
        let name = ground.node("guest-0");
        let dump =
            Command::new("virsh").args(["-q", "-c", URI, "dumpxml", &name]).output().unwrap();
        let xml = String::from_utf8(dump.stdout).unwrap();
        let recorded = attribute(&xml, "host-key");
        let recorded = recorded.split(' ').nth(1).unwrap();
        let uuid = xml.split("<uuid>").nth(1).unwrap().split('<').next().unwrap();
        let generation = attribute(&xml, "generation").parse().unwrap();
        // What the seed would hold.
        let key = EnvironmentKey::read(&workspace).unwrap().unwrap();
        let given = key.host_private(&name, uuid.parse().unwrap(), Some(generation)).unwrap();
        let private = ground.path("private");
        std::fs::write(&private, given.reveal()).unwrap();
        std::fs::set_permissions(&private, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        let public = Command::new("ssh-keygen").arg("-yf").arg(&private).output().unwrap();
        let public = String::from_utf8(public.stdout).unwrap();
        assert_eq!(public.split_whitespace().nth(1), Some(recorded));
        let known = std::fs::read_to_string(workspace.join("known_hosts")).unwrap();
        let pinned: Vec<&str> =
            known.split_whitespace().filter(|w| w.starts_with("AAAA")).collect();
        assert_eq!(pinned, [recorded]);
        let login = std::fs::read_to_string(workspace.join("id_ed25519.pub")).unwrap();
        assert_eq!(
            attribute(&xml, "authorized-key").split(' ').nth(1),
            login.split_whitespace().nth(1)
        );
        keys.push(recorded.to_string());
        std::fs::remove_dir_all(&workspace).unwrap();
    }
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn a_password_can_be_in_a_file() {
    let ground = Ground::new("vpass");
    let missing = ["plan", "--topology-nodes", "bare.yml:1", "--vnc-password", "@/no/such/file"];
    assert!(ground.says(2, &missing).contains("cannot read password file /no/such/file"));
    std::fs::write(ground.path("pw"), "secret12\n").unwrap();
    let file = format!("@{}", ground.path("pw").display());
    ground.up("bare.yml:1", &["--vnc-external", "yes", "--vnc-password", &file]);
    let kept = ground.path(&format!("data/maquette/workspaces/{}/vnc-password", ground.prefix));
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "secret12\n");
}

#[test]
fn the_dynamic_inventory_has_every_node() {
    let ground = Ground::new("vinv");
    let file = ground.path("bare.yml");
    let bare = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/bare.yml");
    let text = std::fs::read_to_string(bare).unwrap();
    let without: Vec<&str> = text.lines().filter(|l| !l.starts_with("groups:")).collect();
    std::fs::write(&file, without.join("\n")).unwrap();
    ground.up(&format!("{}:3", file.display()), &[]);
    let output = ground.run(&["inventory", "--list", "--everything"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let hosts: Vec<&String> = value["_meta"]["hostvars"].as_object().unwrap().keys().collect();
    let nodes = (0..3).map(|index| format!("{}-bare-{index}", ground.prefix)).collect::<Vec<_>>();
    let named: Vec<&String> = hosts.into_iter().filter(|h| h.starts_with(&ground.prefix)).collect();
    assert_eq!(named, nodes.iter().collect::<Vec<_>>());
    let everybody: Vec<&str> = value
        .as_object()
        .unwrap()
        .values()
        .flat_map(|group| group["hosts"].as_array().into_iter().flatten())
        .filter_map(|host| host.as_str())
        .collect();
    for host in value["_meta"]["hostvars"].as_object().unwrap().keys() {
        assert!(everybody.contains(&host.as_str()), "{host} is in no group: {value:#}");
    }
}

#[test]
fn nodes_that_nobody_names_are_not_lost() {
    let ground = Ground::new("vnob");
    ground.up("bare.yml:1", &["--topology-network", "3_nets"]);
    for verb in ["plan", "up"] {
        let said = ground.says(2, &[verb, "--virt-type", "test", "--topology-network", "3_nets"]);
        assert!(said.contains("has a node, and nothing says which it is to have"), "{said}");
        assert!(said.contains("nothing was touched"), "{said}");
    }
    let file = ground.path("maquette.yaml");
    std::fs::write(&file, "nodes: {}\n").unwrap();
    let project = file.display().to_string();
    let said = ground.says(0, &["plan", "--virt-type", "test", "--project", &project]);
    assert!(said.contains("1 to remove"), "{said}");
}
