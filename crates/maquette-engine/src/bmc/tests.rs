//! The script on the hypervisor, with a program that stands in for the one that serves.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Output, Stdio};

use maquette_core::blueprint::Bmc;
use maquette_core::topology::BmcProtocol;
use maquette_core::values::BmcCredentials;

use super::*;
use crate::host::Output as HostOutput;

/// Serves by holding the lock, and notes what it was told to serve; `bad` is refused.
pub(super) const STAND_IN: &str = "#!/bin/sh
case $1 in --version) exit ;; esac
case $3 in --check) ! grep -q bad \"$4\"; exit ;; esac
exec 9>>\"$3/lock\"
cat \"$3/bmcs\" >>\"$3/../seen\"
flock 9
while :; do sleep 0.1 9>&-; done
";

/// Starts and stops what a unit says, and knows nothing else.
const SYSTEMCTL: &str = "#!/bin/sh
case $1 in
start)
    setsid $(sed -n 's/^ExecStart=//p' \"$MAQUETTE_UNITS/$2\") </dev/null >/dev/null 2>&1 &
    echo $! >\"$MAQUETTE_UNITS/pid\"
    ;;
stop) kill $(cat \"$MAQUETTE_UNITS/pid\") ;;
esac
";

/// Directories of two environments.
pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn at(&self, name: &str) -> String {
        format!("{}/bmc/{name}", self.0.path().display())
    }

    /// Where programs are, and units.
    pub(super) fn programs(&self) -> String {
        self.0.path().join("libexec/maquette").display().to_string()
    }

    pub(super) fn units(&self) -> String {
        self.0.path().display().to_string()
    }

    /// Calls the script for an environment, where there is no systemd.
    fn call(&self, what: &str, environment: &str, more: &[&str]) -> Output {
        let mut command = self.command(what, environment, more);
        command.env("MAQUETTE_SYSTEMD", "/nonexistent").output().unwrap()
    }

    /// The same where something stands in for systemd.
    fn under_systemd(&self, what: &str, environment: &str, more: &[&str]) {
        let tools = self.0.path().join("tools");
        fs::create_dir_all(&tools).unwrap();
        let systemctl = tools.join("systemctl");
        fs::write(&systemctl, SYSTEMCTL).unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
        let mut command = self.command(what, environment, more);
        let output = command.env("MAQUETTE_SYSTEMD", "/").env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{what}: {output:?}");
    }

    fn command(&self, what: &str, environment: &str, more: &[&str]) -> std::process::Command {
        let directory = self.at(&format!("environment.{environment}"));
        let unit = format!("maquette-bmc-{environment}.service");
        let mut command = std::process::Command::new("sh");
        command
            .args(["-euc", SCRIPT, "sh", what, &directory, &unit])
            .args(more)
            .env("MAQUETTE_PROGRAMS", self.0.path().join("libexec/maquette"))
            .env("MAQUETTE_UNITS", self.0.path())
            .stdin(Stdio::null());
        command
    }

    fn done(&self, what: &str, environment: &str, more: &[&str]) -> String {
        let output = self.call(what, environment, more);
        assert!(output.status.success(), "{what}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Brings the program that stands in.
    fn program(&self, environment: &str) {
        let digest = format!("{:x}", Sha256::digest(STAND_IN));
        if self.done("program", environment, &[&digest]) == "there\n" {
            return;
        }
        fs::write(self.at(&format!("environment.{environment}/maquette.new")), STAND_IN).unwrap();
        self.done("install", environment, &[&digest]);
    }

    pub(super) fn program_of(&self, environment: &str) -> PathBuf {
        self.0.path().join(format!("libexec/maquette/environment.{environment}/maquette"))
    }

    pub(super) fn told(&self, environment: &str, nodes: &[&str]) {
        let directory = self.at(&format!("environment.{environment}"));
        let line = |node: &&str| format!("{{\"node\":\"{node}\",\"digest\":\"1\"}}\n");
        fs::write(format!("{directory}/bmcs.new"), nodes.iter().map(line).collect::<String>())
            .unwrap();
        fs::write(format!("{directory}/addresses.new"), "").unwrap();
    }

    fn serve(&self, environment: &str, nodes: &[&str]) -> Output {
        self.told(environment, nodes);
        self.call("serve", environment, &[])
    }

    pub(super) fn seen(&self) -> String {
        let text = fs::read_to_string(self.at("seen")).unwrap_or_default();
        text.replace("{\"node\":\"", "").replace("\",\"digest\":\"1\"}\n", " ")
    }

    fn pid(&self, environment: &str) -> Option<String> {
        let file = self.at(&format!("environment.{environment}/pid"));
        fs::read_to_string(file).ok().map(|pid| pid.trim().to_string())
    }

    /// Whether a process still runs: one that ended is nobody's child here.
    fn runs(pid: &str) -> bool {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for environment in ["lab", "other"] {
            let _ = self.call("stop", environment, &[]);
        }
    }
}

#[test]
fn bmcs_are_served_changed_forgotten_and_stopped() {
    let place = Place::new();
    place.program("lab");
    let mode = |name: &str| fs::metadata(place.at(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("environment.lab"), 0o700);
    assert!(place.serve("lab", &["a-0", "a-1"]).status.success());
    let first = place.pid("lab").unwrap();
    assert!(Place::runs(&first));
    // Another environment has the program already.
    place.program("other");
    assert!(place.serve("other", &["b-0"]).status.success());
    place.done("forget", "lab", &["a-0"]);
    let second = place.pid("lab").unwrap();
    assert!(!Place::runs(&first) && Place::runs(&second));
    assert_eq!(place.seen(), "a-0 a-1 b-0 a-1 ");
    // Those of the last node go with all.
    place.done("forget", "lab", &["a-1"]);
    assert!(!Place::runs(&second) && !Path::new(&place.at("environment.lab")).exists());
    let other = place.pid("other").unwrap();
    assert!(Place::runs(&other));
    place.done("stop", "other", &[]);
    place.done("stop", "other", &[]);
    assert!(!Place::runs(&other));
    assert!(!place.program_of("other").parent().unwrap().parent().unwrap().exists());
}

/// The script was gone first, and nothing went on with the rest.
#[test]
fn what_is_stopped_half_way_is_seen_and_stopped_by_whoever_comes_next() {
    let place = Place::new();
    let tools = place.0.path().join("tools");
    fs::create_dir_all(&tools).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    // Dies instead of removing anything more.
    let rm = tools.join("rm");
    let dies = |after: usize| {
        format!(
            "#!/bin/sh\necho >>'{0}'\n[ \"$(wc -l <'{0}')\" -le {after} ] || {{ kill -9 $PPID; exit 9; }}\nexec /bin/rm \"$@\"\n",
            place.at("removals")
        )
    };
    let directory = PathBuf::from(place.at("environment.lab"));
    let mut killed = 0;
    for after in 0..20 {
        place.program("lab");
        assert!(place.serve("lab", &["a-0"]).status.success());
        fs::write(directory.join("bmc.sh"), SCRIPT).unwrap();
        let _ = fs::remove_file(place.at("removals"));
        fs::write(&rm, dies(after)).unwrap();
        fs::set_permissions(&rm, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = place.command("stop", "lab", &[]);
        let output = command.env("MAQUETTE_SYSTEMD", "/nonexistent").env("PATH", &path).output();
        if output.unwrap().status.success() {
            break;
        }
        killed += 1;
        let left: Vec<_> = fs::read_dir(&directory).into_iter().flatten().flatten().collect();
        let is_left = !left.is_empty() || place.program_of("lab").parent().unwrap().exists();
        assert!(!is_left || directory.join("bmc.sh").exists(), "{after}: {left:?}");
        place.done("stop", "lab", &[]);
        assert!(!directory.exists() && !place.program_of("lab").exists(), "{after}");
    }
    assert!(killed >= 5, "only {killed}");
}

/// systemd may not start what is below `/var/lib` where SELinux is enforced.
#[test]
fn the_program_is_where_programs_are_and_anybody_may_read_it() {
    let place = Place::new();
    place.program("lab");
    let file = place.program_of("lab");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o755);
    assert!(!Path::new(&place.at("environment.lab/maquette.new")).exists());
    // Another environment has the same file.
    place.program("other");
    assert_eq!(fs::metadata(&file).unwrap().nlink(), 2);
}

/// The process serves the others, and tries again; the run that has it served says which address it is.
#[test]
fn an_address_that_cannot_be_had_is_said_and_the_others_are_served() {
    let place = Place::new();
    place.program("lab");
    let line = "a-0 IPMI 10.0.0.1:6230 the BMC of `a-0` cannot be at IPMI 10.0.0.1:6230";
    let taken =
        STAND_IN.replace("flock 9\n", &format!("echo '{line}' >\"$3/unreached\"\nflock 9\n"));
    fs::write(place.program_of("lab"), &taken).unwrap();
    let output = place.serve("lab", &["a-0", "a-1"]);
    assert_eq!(output.status.code(), Some(i32::from(ADDRESS_TAKEN)));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "the BMC of `a-0` cannot be at IPMI 10.0.0.1:6230\n"
    );
    assert!(Place::runs(&place.pid("lab").unwrap()));
    // It stays so while others go.
    let refuses = taken.replace("! grep -q bad \"$4\"; exit", "exit 3");
    fs::write(place.program_of("lab"), refuses).unwrap();
    let output = place.call("forget", "lab", &["a-1"]);
    assert!(output.status.success(), "{output:?}");
    assert!(Path::new(&place.at("environment.lab/unreached")).exists());
    assert!(place.seen().ends_with("a-0 "), "{}", place.seen());
}

#[test]
fn a_bridge_that_is_away_keeps_no_other_bmc_from_being_served() {
    let place = Place::new();
    place.program("lab");
    place.told("lab", &["a-0", "a-1"]);
    let addresses = "192.0.2.9/32 mqt-is-away a-0\n";
    fs::write(place.at("environment.lab/addresses.new"), addresses).unwrap();
    let output = place.call("serve", "lab", &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(Place::runs(&place.pid("lab").unwrap()));
    assert_eq!(fs::read_to_string(place.at("environment.lab/addresses")).unwrap(), addresses);
}

/// It is of another architecture, for instance. Nothing is left of it, passwords least of all.
#[test]
fn a_program_that_does_not_run_there_is_told_apart_and_leaves_nothing() {
    let place = Place::new();
    place.program("lab");
    fs::write(place.program_of("lab"), "#!/no/such/loader\n").unwrap();
    let output = place.serve("lab", &["a-0"]);
    assert_eq!(output.status.code(), Some(i32::from(UNFIT)));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("the program that serves them does not run"), "{said}");
    assert!(!Path::new(&place.at("environment.lab")).exists());
    assert!(!place.program_of("lab").exists());
}

/// A newer one may need a C library that is not there: the one that serves goes on, and others can be forgotten.
#[test]
fn a_program_is_tried_before_it_takes_the_place_of_the_one_that_serves() {
    let place = Place::new();
    place.program("lab");
    assert!(place.serve("lab", &["a-0", "a-1"]).status.success());
    let pid = place.pid("lab").unwrap();
    let newer = "#!/no/such/loader\n";
    let digest = format!("{:x}", Sha256::digest(newer));
    assert_eq!(place.done("program", "lab", &[&digest]), "");
    fs::write(place.at("environment.lab/maquette.new"), newer).unwrap();
    let output = place.call("install", "lab", &[&digest]);
    assert_eq!(output.status.code(), Some(i32::from(UNFIT_AND_SERVED)), "{output:?}");
    assert!(Place::runs(&pid));
    assert_eq!(fs::read_to_string(place.program_of("lab")).unwrap(), STAND_IN);
    assert_eq!(fs::read_dir(place.program_of("lab").parent().unwrap()).unwrap().count(), 2);
    place.done("forget", "lab", &["a-1"]);
    assert!(place.seen().ends_with("a-0 "), "{}", place.seen());
    assert!(Place::runs(&place.pid("lab").unwrap()));
}

/// A hypervisor on which the program does not run.
struct Elsewhere;

impl Host for Elsewhere {
    fn run(&self, command: &Command, _: &mut dyn FnMut(&str)) -> Result<HostOutput, HostError> {
        let is = |what: &str| command.args.iter().any(|word| word == what);
        Ok(HostOutput {
            status: Some(if is("serve") { i32::from(UNFIT) } else { 0 }),
            stdout: if is("program") { "there\n".into() } else { String::new() },
            stderr: if is("serve") { "it does not run\n".into() } else { String::new() },
        })
    }

    fn spawn(&self, command: &Command) -> Result<std::process::Child, HostError> {
        crate::host::Local.spawn(command)
    }

    fn write(&self, _: &str, _: &[u8], _: u32) -> Result<(), HostError> {
        Ok(())
    }

    fn read_tail(&self, _: &str, _: u64) -> Result<Option<Vec<u8>>, HostError> {
        Ok(None)
    }

    fn exists(&self, _: &str) -> bool {
        false
    }

    fn answers(&self, _: SocketAddr) -> bool {
        false
    }
}

#[test]
fn bmcs_that_nobody_asked_for_are_done_without_where_they_cannot_be_served() {
    let environment = EnvName::from_prefix("lab").unwrap();
    let key = RecordKey::made_of([1; 32]);
    let said = std::cell::RefCell::new(Vec::new());
    let context = StepContext {
        progress: &|_| {},
        remark: &|line| said.borrow_mut().push(line),
        cancelled: &std::sync::atomic::AtomicBool::new(false),
    };
    let served = |asked| {
        let nodes = [BmcNode { asked, ..node("10.9.0.1") }];
        serve(&Elsewhere, &environment, &nodes, Some(&key), &context)
    };
    assert!(served(true).is_err() && said.borrow().is_empty());
    served(false).unwrap();
    let said = said.borrow().join("");
    assert!(said.contains("it does not run") && said.ends_with("nodes do without"), "{said}");
}

#[test]
fn accounts_are_of_each_node_of_all_or_chosen() {
    let environment = EnvName::from_prefix("lab").unwrap();
    let key = RecordKey::made_of([1; 32]);
    let of = |text: &str| {
        let secrets = BmcSecrets::new(&key, &environment, &text.parse().unwrap());
        let password = |node| secrets.password(Uuid::from_u128(node)).reveal().to_string();
        (secrets.user().to_string(), password(1), password(2))
    };
    let (user, one, other) = of("node");
    assert!(user == "admin" && one != other);
    let (user, one, other) = of("environment");
    assert!(user == "admin" && one == other && one.len() == 16 && one != of("node").1);
    let chosen = of("root:Only-4:trials");
    assert_eq!(chosen, ("root".into(), "Only-4:trials".into(), "Only-4:trials".into()));
}

#[test]
fn what_cannot_be_served_leaves_what_is_served() {
    let place = Place::new();
    place.program("lab");
    assert!(place.serve("lab", &["a-0"]).status.success());
    let pid = place.pid("lab").unwrap();
    assert!(!place.serve("lab", &["bad"]).status.success());
    assert!(Place::runs(&pid));
    assert_eq!(place.seen(), "a-0 ");
}

/// A run that was killed after it had changed what is served, and before that was served, is seen to be unfinished.
#[test]
fn what_was_not_seen_to_serve_does_not_count() {
    let place = Place::new();
    place.program("lab");
    assert!(place.serve("lab", &["a-0"]).status.success());
    let served = place.at("environment.lab/served");
    assert!(Path::new(&served).exists());
    let broken = STAND_IN.replace("flock 9", "echo no >&2; exit 1");
    fs::write(place.program_of("lab"), broken).unwrap();
    let output = place.serve("lab", &["a-0", "a-1"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.ends_with("environment.lab/log:\nno\n"), "{said}");
    assert!(!Path::new(&served).exists());
    // Also where it has no last words.
    let broken = STAND_IN.replace("flock 9", "exit 1");
    fs::write(place.program_of("lab"), broken).unwrap();
    let output = place.serve("lab", &["a-0", "a-1"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.ends_with("log:\nnothing was logged\n"), "{said}");
}

/// What it says of that: nothing, and that little is left which it may do.
#[test]
fn systemd_takes_the_unit() {
    let place = Place::new();
    place.program("lab");
    place.told("lab", &["a-0"]);
    place.under_systemd("serve", "lab", &[]);
    assert_eq!(place.seen(), "a-0 ");
    let unit = place.0.path().join("maquette-bmc-lab.service");
    let limited: &[&str] = &["security", "--offline=yes", "--threshold=40", "--no-pager"];
    for words in [&["verify"][..], limited] {
        let mut command = std::process::Command::new("systemd-analyze");
        let output = command.args(words).arg(&unit).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
    place.under_systemd("stop", "lab", &[]);
    assert!(!unit.exists() && !Path::new(&place.at("environment.lab")).exists());
}

/// Nobody can be bound to an address of IPv6 as long as the kernel looks whether somebody else has it.
#[test]
fn addresses_of_ipv6_are_there_at_once() {
    let line = |address: &str| {
        let bridge = Some("mqt-oob".parse().unwrap());
        own_address(&BmcNode { bridge, ..node(address) })
    };
    assert_eq!(line("10.2.0.14").unwrap(), "10.2.0.14/32 mqt-oob lab-a-0\n");
    assert_eq!(line("fd00::9").unwrap(), "fd00::9/128 mqt-oob lab-a-0\n");
    assert_eq!(own_address(&node("10.9.0.1")), None);
    let place = Place::new();
    place.program("lab");
    place.told("lab", &["a-0"]);
    fs::write(place.at("environment.lab/addresses.new"), line("fd00::9").unwrap()).unwrap();
    let (tools, calls) = (place.0.path().join("ip"), place.0.path().join("calls"));
    fs::create_dir(&tools).unwrap();
    fs::write(tools.join("ip"), format!("#!/bin/sh\necho \"$*\" >>{}\n", calls.display())).unwrap();
    fs::set_permissions(tools.join("ip"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    for what in ["serve", "stop"] {
        let mut command = place.command(what, "lab", &[]);
        command.env("MAQUETTE_SYSTEMD", "/nonexistent").env("PATH", &path);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let called = fs::read_to_string(calls).unwrap();
    let there = "address replace fd00::9/128 dev mqt-oob nodad\n";
    assert_eq!(called, format!("{there}address del fd00::9/128 dev mqt-oob\n"));
}

/// libvirtd is ready before its networks are, and a bridge comes two seconds later; once it has booted nobody waits.
#[test]
fn addresses_wait_for_their_bridges_while_the_hypervisor_boots() {
    for (uptime, tries) in [(20, 3), (4_000, 1)] {
        let place = Place::new();
        place.program("lab");
        place.told("lab", &["a-0"]);
        place.under_systemd("serve", "lab", &[]);
        let addresses = place.at("environment.lab/addresses");
        fs::write(addresses, "192.0.2.1/32 br0 lab-a-0\nfd00::9/128 br0 lab-a-1\n").unwrap();
        let unit = fs::read_to_string(place.0.path().join("maquette-bmc-lab.service")).unwrap();
        let mut lines = unit.lines();
        let words = lines.find_map(|line| line.strip_prefix("ExecStartPre=+/bin/sh -ec "));
        // As systemd reads it.
        let script = words.unwrap().trim_matches('\'').replace("$$", "$");
        let (tools, calls) = (place.0.path().join("boot"), place.0.path().join("calls"));
        fs::create_dir(&tools).unwrap();
        let ip =
            format!("echo \"$*\" >>{calls}; [ $(wc -l <{calls}) -ge 3 ]", calls = calls.display());
        for (name, text) in [("ip", ip), ("cut", format!("echo {uptime}")), ("sleep", ":".into())] {
            fs::write(tools.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(tools.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
        let mut shell = std::process::Command::new("/bin/sh");
        let output = shell.args(["-ec", &script]).env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let called = fs::read_to_string(calls).unwrap();
        let first = "address replace 192.0.2.1/32 dev br0\n".repeat(tries);
        let second = "address replace fd00::9/128 dev br0 nodad\n";
        assert_eq!(called, format!("{first}{second}"), "{uptime}");
        place.under_systemd("stop", "lab", &[]);
    }
}

fn node(address: &str) -> BmcNode {
    BmcNode {
        name: "lab-a-0".parse().unwrap(),
        uuid: Uuid::from_u128(7),
        bmc: Bmc {
            protocol: BmcProtocol::Both,
            network: "lab-front".parse().unwrap(),
            address: address.parse().unwrap(),
            own_address: false,
            redfish_port: 8443.try_into().unwrap(),
            ipmi_port: 6230.try_into().unwrap(),
            provisioning: None,
        },
        bridge: None,
        networks: Vec::new(),
        hypervisor_urls: false,
        credentials: BmcCredentials::Node,
        asked: false,
        digest: "1".into(),
    }
}

#[test]
fn secrets_follow_from_that_of_the_environment_and_differ_between_nodes() {
    let environment = EnvName::from_prefix("lab").unwrap();
    let of_each = BmcCredentials::Node;
    let secrets = |byte| BmcSecrets::new(&RecordKey::made_of([byte; 32]), &environment, &of_each);
    let (one, other) = (secrets(1), secrets(2));
    let password = |s: &BmcSecrets, node| s.password(Uuid::from_u128(node)).reveal().to_string();
    assert_eq!(password(&one, 7), password(&secrets(1), 7));
    assert_eq!(password(&one, 7).len(), 16);
    assert_ne!(password(&one, 7), password(&one, 8));
    assert_ne!(password(&one, 7), password(&other, 7));
    let of = |s: &BmcSecrets, address| s.certificate(&node(address)).unwrap().0;
    assert_eq!(of(&one, "10.9.0.1"), of(&secrets(1), "10.9.0.1"));
    assert_ne!(of(&one, "10.9.0.1"), of(&one, "10.9.0.2"));
    assert!(of(&one, "10.9.0.1").ends_with(&one.authority().unwrap()));
    assert_ne!(one.authority().unwrap(), other.authority().unwrap());
}

/// The shell on the hypervisor finds nodes and digests at the beginning of each line.
#[test]
fn what_is_written_is_read() {
    let environment = EnvName::from_prefix("lab").unwrap();
    let secrets =
        BmcSecrets::new(&RecordKey::made_of([1; 32]), &environment, &BmcCredentials::Node);
    let served = Served::of(&node("10.9.0.1"), &secrets).unwrap();
    let line = serde_json::to_string(&served).unwrap();
    assert!(line.starts_with("{\"node\":\"lab-a-0\",\"digest\":\"1\","), "{line}");
    let read = Served::parse_all(&format!("{line}\n")).unwrap();
    assert_eq!(read[0].uuid, Uuid::from_u128(7));
    assert_eq!(read[0].redfish, Some("10.9.0.1:8443".parse().unwrap()));
    assert!(Served::parse_all("{}").is_err());
}
