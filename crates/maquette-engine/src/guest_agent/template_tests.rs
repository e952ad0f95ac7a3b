//! A template that becomes a node, on a directory: pipes are its port, since they, too, end at once while nobody is
//! at their other end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use maquette_core::seed::{self, report};

use super::tests::{IDENTITY, System};
use super::wake_tests::is_untouched;

const PORT: &str = "dev/virtio-ports/org.maquette.ready";
pub(super) const WANTS: &str =
    "etc/systemd/system/multi-user.target.wants/systemd-networkd.service";
pub(super) const WAITS: &str =
    "etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service";

pub(super) fn line() -> String {
    format!("wake 1790000000123456789 {}\n", "0123456789abcdef".repeat(8))
}

/// A system whose only NIC is there already.
pub(super) fn complete() -> System {
    let system = System::new(IDENTITY);
    system.nic("eth0", "52:54:00:00:00:01");
    system
}

pub(super) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A system in which a template waits.
pub(super) struct Template {
    pub(super) system: System,
    pub(super) agent: Child,
}

impl Template {
    pub(super) fn new(system: System) -> Self {
        Self::after(system, |_| ())
    }

    /// Something happens before it waits.
    fn after(system: System, before: impl FnOnce(&System)) -> Self {
        Self::started(system, before, |system| system.command("template"))
    }

    /// The same, started by another command.
    pub(super) fn started(
        system: System,
        before: impl FnOnce(&System),
        command: impl FnOnce(&System) -> Command,
    ) -> Self {
        system.boots_as_template();
        before(&system);
        let agent = command(&system).stderr(Stdio::piped()).spawn().unwrap();
        let template = Self { system, agent };
        until("a template", || template.said().starts_with("template\n"));
        for name in ["identity", "user-data", "meta-data"] {
            fs::remove_file(template.system.path(&format!("seed/{name}"))).unwrap();
        }
        // Whoever copies its memory gives it a node's.
        template.system.has_nics("52:54:00:00:00:");
        template
    }

    pub(super) fn said(&self) -> String {
        self.system.text(&format!("{PORT}.out"))
    }

    /// The host's side of the port.
    pub(super) fn connect(&self) -> File {
        File::options().write(true).open(self.system.path(&format!("{PORT}.in"))).unwrap()
    }

    pub(super) fn seed(&self, identity: &str) {
        self.system.put("seed/user-data", "#cloud-config\n");
        self.system.put("seed/identity.part", identity);
        fs::rename(self.system.path("seed/identity.part"), self.system.path("seed/identity"))
            .unwrap();
    }

    /// Until it is no longer there, however it ended.
    pub(super) fn gone(&mut self) -> ExitStatus {
        let agent = &mut self.agent;
        until("an end", || agent.try_wait().unwrap().is_some());
        agent.wait().unwrap()
    }

    /// Until it is done; what it printed of errors.
    pub(super) fn end(&mut self) -> String {
        let ended = self.gone();
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.agent.stderr.take().unwrap(), &mut said).unwrap();
        assert!(ended.success(), "{said}");
        said
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

impl System {
    /// With the seed of a template, and a port to which nobody is connected.
    fn boots_as_template(&self) {
        self.has_nics("62:01:02:03:04:");
        for file in seed::template_files("cloud-user") {
            self.put(&format!("seed/{}", file.name), file.content.reveal());
        }
        self.put(PORT, "");
        let pipe = self.path(&format!("{PORT}.in"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(self.run("setup").status.success());
    }

    pub(super) fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn nic(&self, name: &str, mac: &str) {
        self.put(&format!("sys/class/net/{name}/device/vendor"), "");
        self.put(&format!("sys/class/net/{name}/address"), &format!("{mac}\n"));
    }

    /// Gives the NICs that are there from the start addresses that begin so.
    fn has_nics(&self, begin: &str) {
        for (name, end) in [("eth0", "01"), ("eth1", "02")] {
            if self.path(&format!("sys/class/net/{name}/address")).exists() {
                self.nic(name, &format!("{begin}{end}"));
            }
        }
    }

    /// Everything in it, but for what is a directory's and not a system's.
    pub(super) fn tree(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        let mut open = vec![self.path("")];
        while let Some(place) = open.pop() {
            for entry in fs::read_dir(&place).unwrap().map(Result::unwrap) {
                let path = entry.path();
                let name = path.strip_prefix(self.path("")).unwrap().display().to_string();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    if !["seed", "dev"].contains(&name.as_str()) {
                        files.insert(name.clone(), format!("{:o}", self.mode(&name)));
                        open.push(path);
                    }
                } else if kind.is_symlink() {
                    files.insert(name, fs::read_link(&path).unwrap().display().to_string());
                } else if !["orders", "hangup"].contains(&name.as_str()) {
                    let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                    files.insert(name.clone(), format!("{:o} {text}", self.mode(&name)));
                }
            }
        }
        // When it was.
        for name in ["data/status.json", "instances/5f0-1/boot-finished"] {
            files.insert(format!("var/lib/cloud/{name}"), String::new());
        }
        // It has a number of its own.
        files.insert("swapfile".into(), format!("{:o}", self.mode("swapfile")));
        files
    }
}

#[test]
fn a_template_is_nobody() {
    let template = Template::new(complete());
    let system = &template.system;
    assert!(system.path("run/maquette/template").exists());
    // cloud-init's units look for it.
    assert!(system.path("run/maquette/identity").exists());
    for name in ["run/maquette/first-boot", "etc/hostname", "var/lib/cloud", "swapfile"] {
        assert!(!system.path(name).exists(), "{name}");
    }
    assert!(!system.path("etc/ssh/ssh_host_rsa_key").exists());
    assert!(system.run("ready").stdout.is_empty());
    assert_eq!(template.said(), "template\n");
}

#[test]
fn what_it_becomes_is_what_a_cold_boot_makes() {
    let prepared = || {
        let system = System::new(IDENTITY);
        system.nic("eth0", "52:54:00:00:00:01");
        system.put(WANTS, "");
        system.put(WAITS, "");
        system.put("run/sshd.pid", "4711\n");
        system.put("usr/lib/openssh/sshd-session", "");
        system.put("etc/machine-id", "");
        system.put("run/machine-id", "11111111111111111111111111111111\n");
        system.put("run/log/journal/11111111111111111111111111111111/system.journal", "x");
        system.put("run/systemd/journal/kernel-seqnum", "x");
        system
    };
    let cold = prepared();
    cold.run("setup");
    let report = String::from_utf8(cold.run("ready").stdout).unwrap();
    let mut warm = Template::new(prepared());
    warm.seed(IDENTITY);
    warm.connect().write_all(line().as_bytes()).unwrap();
    assert_eq!(warm.end(), "");
    assert_eq!(warm.said(), format!("template\n{}setting up\n{report}", "clock\n".repeat(3)));
    let (mut cold, mut found) = (cold.tree(), warm.system.tree());
    // systemd's, which is not there to give an identity, and to take back its interim one.
    let id = found["etc/machine-id"].strip_prefix("644 ").unwrap().to_string();
    assert!(id.len() == 33 && id.trim().bytes().all(|c| c.is_ascii_hexdigit()), "{id}");
    assert_eq!(found["run/machine-id"], format!("644 {id}"));
    for name in ["etc/machine-id", "run/machine-id"] {
        cold.remove(name);
        found.remove(name);
    }
    cold.retain(|name, _| !name.starts_with("run/log/journal/"));
    // journald keeps on from where it has read the kernel's messages; in the node it reads them all.
    assert!(cold.remove("run/systemd/journal/kernel-seqnum").is_some());
    let differ: Vec<_> =
        cold.keys().chain(found.keys()).filter(|n| cold.get(*n) != found.get(*n)).collect();
    assert!(differ.is_empty(), "{differ:?}");
    assert_eq!(warm.system.text("hangup"), "4711\n");
    assert_eq!(
        warm.system.text("orders").lines().collect::<Vec<_>>(),
        [
            "start systemd-hostnamed.service",
            "restart systemd-journald.service",
            "reload systemd-networkd.service",
            "restart systemd-journald.service",
        ]
    );
    // Its next boot is a later one.
    assert!(warm.system.run("setup").status.success());
    assert!(!warm.system.path("run/maquette/first-boot").exists());
}

/// What is wrong with a template is said at once: whoever makes it would wait as long as for one that boots slowly.
#[test]
fn a_template_that_cannot_be_prepared_says_so() {
    let system = complete();
    fs::create_dir_all(system.path("var/log/wtmp")).unwrap();
    system.boots_as_template();
    assert!(!system.run("template").status.success());
    let said = system.text(&format!("{PORT}.out"));
    let errors = crate::ready::errors_of(&report::Report::of(said.trim_end())).unwrap();
    assert!(errors[0].starts_with("template: IsADirectoryError: "), "{said}");
}

/// The kernel keeps what it has read, and has as much to spare as it wants to have.
#[test]
fn only_as_much_memory_is_cleared_as_is_to_spare() {
    let assets = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/guest-agent");
    let code = "import sys\nsys.path.insert(0, sys.argv[3])\nsys.dont_write_bytecode = True\nimport maquette_template as t\n\
        for free, reserve in ((700 << 10, 4096), (56 << 10, 4096), (40 << 10, 0), (15 << 20, 65536)):\n\
        \x20   print(t.clearable(f'MemTotal: 1 kB\\nMemFree:  {free} kB\\n', f'{reserve}\\n'))";
    let root = tempfile::tempdir().unwrap();
    let said =
        Command::new("python3").args(["-c", code, "x"]).arg(root.path()).arg(assets).output();
    let said = said.unwrap();
    assert!(said.status.success(), "{said:?}");
    let mib = |mib: i64| mib << 20;
    let bytes: Vec<i64> =
        String::from_utf8_lossy(&said.stdout).lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(bytes, [mib(700 - 48 - 8), 0, mib(-8), mib(1024)]);
}

/// What Debian sets for all interfaces is what its `default` has; a NIC that is named may have something else.
#[test]
fn a_nic_inherits_what_is_set_for_all() {
    let default = "net.ipv4.conf.default.rp_filter = 2\n# net.ipv4.conf.eth0.rp_filter = 0\n; x\n\nkernel.pid_max = 7\n";
    for (text, inherits) in [
        ("", true),
        ("net.ipv4.conf.*.rp_filter = 2\n-net.ipv4.conf.all.rp_filter\n", true),
        ("net/ipv4/conf/*/rp_filter=2\n", true),
        ("net.ipv4.conf.*.rp_filter = 1\n", false),
        ("-net.ipv4.conf.*.rp_filter\n", false),
        ("net.ipv4.conf.eth0.rp_filter = 2\n", false),
        ("-net/ipv4/conf/eth0/rp_filter\n", false),
        ("net.ipv6.neigh.eth*.mcast_solicit = 1\n", false),
        ("net.ipv4.conf.*.unknown = 2\n", false),
        ("net.*.conf.eth0.rp_filter = 2\n", false),
        ("RULE", false),
        ("BINARY", false),
    ] {
        let system = complete();
        let rules = "# RUN\nSUBSYSTEM==\"net\", NAME=\"x\"\n";
        system.put("usr/lib/udev/rules.d/99-systemd.rules", "SUBSYSTEM==\"net\", RUN+=\"x\"\n");
        system.put("usr/lib/udev/rules.d/60-own.rules", rules);
        if text == "RULE" {
            let runs = "SUBSYSTEM!=\"net\", GOTO=\"x\"\nRUN+=\"y\"\nLABEL=\"x\"\n";
            system.put("etc/udev/rules.d/80-own.rules", runs);
        }
        if text == "BINARY" {
            let place = system.path("etc/sysctl.d/90-binary.conf");
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, b"\xff\xfe\n").unwrap();
        }
        system.put("proc/sys/net/ipv4/conf/default/rp_filter", "2\n");
        system.put("usr/lib/sysctl.d/50-default.conf", default);
        system.put("etc/sysctl.d/99-own.conf", text);
        system.put("etc/sysctl.d/README.sysctl", "net.ipv4.conf.eth0.rp_filter = 0\n");
        let mut template = Template::new(system);
        let mark = template.system.path("run/maquette/inherits");
        until("a template", || template.said() == "template\n");
        assert_eq!(mark.exists(), inherits, "{text}");
        // A NIC of a node that is plugged in later is treated as any.
        template.seed(IDENTITY);
        template.connect().write_all(line().as_bytes()).unwrap();
        assert_eq!(template.end(), "");
        assert!(!mark.exists(), "{text}");
    }
}

#[test]
fn rubbish_and_lines_that_were_cut_off_do_not_wake_it() {
    let mut template = Template::new(complete());
    let whole = line();
    let half = &whole[..60];
    let mut host = template.connect();
    host.write_all(b"wake\nwake 12 ab\n\xff\xfe\nWAKE 1 2\n").unwrap();
    host.write_all(&vec![b'x'; 60_000]).unwrap();
    host.write_all(b"\n\n").unwrap();
    host.write_all(half.as_bytes()).unwrap();
    drop(host);
    // Another run comes at once, so that the two halves may meet, or later.
    for pause in [0, 300] {
        std::thread::sleep(Duration::from_millis(pause));
        template.connect().write_all(half.as_bytes()).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(template.said(), "template\n");
    template.seed(IDENTITY);
    let mut host = template.connect();
    // Another run that does not know of this one.
    let mut other = template.connect();
    host.write_all(half.as_bytes()).unwrap();
    host.write_all(whole.as_bytes()).unwrap();
    // It may be a node by then, which listens to nobody.
    let _ = other.write_all(whole.as_bytes());
    assert_eq!(template.end(), "");
    assert_eq!(template.said().matches("setting up\n").count(), 1);
    assert!(template.said().ends_with("done\n"));
    assert_eq!(template.system.text("etc/hostname"), "lab-web-0\n");
}

#[test]
fn waiting_takes_no_time_of_the_processor() {
    let template = Template::new(complete());
    let used = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", template.agent.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    // Somebody was there and has left: the end of the file is there all the time.
    template.connect().write_all(b"x\n").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let before = used();
    std::thread::sleep(Duration::from_secs(1));
    assert!(used() - before <= 5, "{} ticks", used() - before);
}

#[test]
fn the_seed_and_nics_may_come_after_the_line() {
    let system = System::new(IDENTITY);
    let mut template = Template::new(system);
    let mut host = template.connect();
    host.write_all(line().as_bytes()).unwrap();
    until("the beginning", || template.said().ends_with("setting up\n"));
    template.system.nic("eth0", "52:54:00:00:00:03");
    std::thread::sleep(Duration::from_millis(200));
    template.seed(&format!("{IDENTITY}nic eth1 52:54:00:00:00:02\nnic eth2 52:54:00:00:00:03\n"));
    std::thread::sleep(Duration::from_millis(200));
    // In another order than the node has them.
    template.system.nic("eth1", "52:54:00:00:00:01");
    template.system.nic("eth2", "52:54:00:00:00:02");
    assert_eq!(template.end(), "");
    assert!(template.said().ends_with("done\n"), "{}", template.said());
    for (name, mac) in [("eth0", "01"), ("eth1", "02"), ("eth2", "03")] {
        let address = template.system.text(&format!("sys/class/net/{name}/address"));
        assert_eq!(address, format!("52:54:00:00:00:{mac}\n"));
    }
    // networkd, where it runs meanwhile, gives up a NIC whose new name is another's.
    let orders = template.system.text("orders");
    assert!(orders.contains("restart systemd-networkd.service"), "{orders}");
    assert!(!orders.contains("reload systemd-networkd.service"), "{orders}");
}

#[test]
fn a_nic_that_does_not_come_is_told_and_may_come_for_the_next_run() {
    let mut template = Template::new(System::new(IDENTITY));
    template.system.nic("eth7", "52:54:00:00:00:99");
    template.seed(IDENTITY);
    template.connect().write_all(line().as_bytes()).unwrap();
    until("a result", || template.said().ends_with("}\n"));
    let told = "nics: Not all expected physical devices present: eth0";
    assert!(template.said().contains(&format!("\"errors\": [\"{told}\"]")), "{}", template.said());
    // Whoever waits may boot it instead.
    assert!(is_untouched(&template));
    // Nobody's first boot is over.
    assert!(!template.system.path("var/lib/cloud/data/instance-id").exists());
    template.system.nic("eth0", "52:54:00:00:00:01");
    template.connect().write_all(line().as_bytes()).unwrap();
    assert_eq!(template.end(), "");
    assert!(template.said().ends_with("done\n"));
    assert!(template.system.path("swapfile").exists());
}

#[test]
fn a_seed_that_does_not_come_is_told_and_may_come_for_the_next_run() {
    let mut template = Template::new(complete());
    // That of the template may still be there.
    template.seed(seed::template_files("cloud-user")[2].content.reveal());
    template.connect().write_all(line().as_bytes()).unwrap();
    until("a result", || template.said().ends_with("}\n"));
    let said = template.said();
    let result = said.lines().last().unwrap().strip_prefix("result ").unwrap();
    let result: serde_json::Value = serde_json::from_str(result).unwrap();
    let told = "seed: the volume of this node did not come";
    assert_eq!(result["v1"]["errors"][0], told);
    assert!(is_untouched(&template));
    template.seed(IDENTITY);
    template.connect().write_all(line().as_bytes()).unwrap();
    template.end();
    assert!(template.said().ends_with("done\n"));
}

#[test]
fn another_distribution_has_other_units() {
    let system = complete();
    for unit in [
        "multi-user.target.wants/NetworkManager.service",
        "network-online.target.wants/NetworkManager-wait-online.service",
        "multi-user.target.wants/sshd.service",
    ] {
        system.put(&format!("etc/systemd/system/{unit}"), "");
    }
    system.put("var/lib/NetworkManager/secret_key", "of all of them");
    let mut template = Template::new(system);
    assert!(!template.system.path("var/lib/NetworkManager/secret_key").exists());
    // NICs come before what describes them.
    let not_yet = "run/NetworkManager/conf.d/maquette-template.conf";
    assert_eq!(template.system.text(not_yet), "[keyfile]\nunmanaged-devices=*\n");
    template.seed(IDENTITY);
    template.connect().write_all(line().as_bytes()).unwrap();
    template.end();
    assert!(!template.system.path(not_yet).exists());
    assert_eq!(
        template.system.text("orders").lines().collect::<Vec<_>>(),
        [
            "start systemd-hostnamed.service",
            "restart systemd-journald.service",
            // Not one that only has to read its keys again.
            "start sshd.service",
            "restart NetworkManager.service",
            // Now it tells how the kernel has booted.
            "restart systemd-journald.service",
        ]
    );
    let netplan = template.system.text("etc/netplan/50-cloud-init.yaml");
    assert!(netplan.starts_with("network:\n    renderer: NetworkManager\n    version: 2\n"));
}

#[test]
fn the_account_that_was_made_before_is_of_the_day_of_the_node() {
    let day = |system: &System| {
        let shadow = system.text("etc/shadow");
        let line = shadow.lines().find(|l| l.starts_with("cloud-user:")).unwrap();
        line.split(':').nth(2).unwrap().parse::<u64>().unwrap()
    };
    for made in [true, false] {
        let system = complete();
        let shadow = system.text("etc/shadow");
        system.put("etc/shadow", &format!("{shadow}cloud-user:!:3:0:99999:7:::\n"));
        // One that the image has is the image's.
        let marker = if made { "cloud-user\n" } else { "" };
        let mut template =
            Template::after(system, |system| system.put("run/maquette/template", marker));
        template.seed(IDENTITY);
        template.connect().write_all(line().as_bytes()).unwrap();
        template.end();
        assert_eq!(day(&template.system) > 20_000, made);
    }
}

/// A run that was killed leaves a template's disk: whoever boots from it must not go on as the template, nor as its twin.
#[test]
fn nothing_of_the_template_is_left_on_its_disk() {
    let own = [
        "var/lib/systemd/random-seed",
        "var/lib/systemd/credential.secret",
        "var/lib/dhcp/dhclient.eth0.leases",
        "var/log/journal/11111111111111111111111111111111/system.journal",
    ];
    let system = complete();
    for name in own {
        system.put(name, "the template's");
    }
    let mut records = vec![0u8; 2 * 384];
    records[0] = 2;
    let logins = |system: &System| fs::read(system.path("var/log/wtmp")).unwrap();
    fs::create_dir_all(system.path("var/log")).unwrap();
    fs::write(system.path("var/log/wtmp"), &records).unwrap();
    let mut template = Template::new(system);
    for name in own {
        assert!(!template.system.path(name).exists(), "{name}");
    }
    assert!(logins(&template.system).is_empty());
    template.seed(IDENTITY);
    template.connect().write_all(line().as_bytes()).unwrap();
    template.end();
    // A seed for its next boot, and when it was started.
    assert_eq!(fs::read(template.system.path("var/lib/systemd/random-seed")).unwrap().len(), 14);
    assert_ne!(template.system.text("var/lib/systemd/random-seed"), "the template's");
    let found = logins(&template.system);
    let at = |at: usize| i32::from_le_bytes(found[at..at + 4].try_into().unwrap());
    assert!(found.len() == records.len() && at(340) > 1_700_000_000 && at(384 + 340) == at(340));
    records[340..348].copy_from_slice(&found[340..348]);
    assert_eq!(found[..384], records[..384]);
}

#[test]
fn two_nodes_of_one_template_have_other_identities() {
    let id = || {
        let mut template = Template::new(complete());
        template.seed(IDENTITY);
        template.connect().write_all(line().as_bytes()).unwrap();
        template.end();
        template.system.text("etc/machine-id")
    };
    assert_ne!(id(), id());
}

/// The templates' own drop-ins name units that exist by other names elsewhere; what they ask for is one file.
#[test]
fn units_and_agent_speak_of_the_same_marker() {
    let marker = "/run/maquette/template";
    let of = |end: &str| {
        super::FILES.iter().find(|(place, _)| place.ends_with(end)).map(|(_, text)| *text).unwrap()
    };
    assert!(of("wait-online.service.d/maquette.conf").contains(&format!("=!{marker}\n")));
    assert!(of("maquette-template.service").contains(&format!("={marker}\n")));
    assert!(Path::new(marker).starts_with("/run/maquette"));
    assert!(of("99-zz-maquette.rules").contains(r#"TEST=="/run/maquette/inherits""#));
}

/// It is read without being mounted.
#[test]
fn the_seed_is_read_from_the_volume_that_is_made_for_it() {
    let system = System::new("");
    fs::remove_dir_all(system.path("seed")).unwrap();
    let file = |name, content: String| seed::SeedFile {
        name,
        content: maquette_core::values::Secret::new(content),
    };
    for words in [1, 2600, 2700, 4000, 60_000] {
        let long = "# ünïcode is text, too\n".repeat(words);
        let files = vec![
            file("meta-data", "instance-id: x\n".into()),
            file("user-data", long.clone()),
            file("network-config", "version: 2\n".into()),
            file("identity", IDENTITY.replace("5f0-1", &format!("5f0-{words}"))),
            file("host-key", "PRIVATE\n".into()),
        ];
        fs::write(system.path("seed.img"), crate::seed_volume::image(&files).unwrap()).unwrap();
        let said = system.run("setup");
        assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
        assert_eq!(system.text("etc/ssh/ssh_host_ed25519_key"), "PRIVATE\n");
        let place = format!("var/lib/cloud/instances/5f0-{words}");
        assert!(system.text(&format!("{place}/user-data.txt")) == long, "{words}");
    }
    // Anything else is left to cloud-init.
    for bytes in [Vec::new(), vec![0; 512], vec![0xff; 1 << 20]] {
        fs::write(system.path("seed.img"), bytes).unwrap();
        let said = system.run("setup");
        assert!(String::from_utf8_lossy(&said.stdout).contains("cloud-init goes on"), "{said:?}");
    }
}
