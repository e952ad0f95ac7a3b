//! The agent that built images have in place of cloud-init: one start of Python instead of five, and before the
//! network. It reads the seed that cloud-init would read (`identity` in it is its own), and leaves what cloud-init
//! would leave. An image without it goes through cloud-init, with the same seed.

/// One file of the agent's, by its name in `assets/guest-agent`.
macro_rules! asset {
    ($name:literal) => {
        include_str!(concat!("../assets/guest-agent/", $name))
    };
}

/// What cloud-init's units are given: they have nothing to do where the agent has.
const BESIDE: &str = asset!("cloud-init.conf");
/// What units are given that are not for templates.
const NOT_YET: &str = asset!("template.conf");

/// What an image gets: where, and its text.
pub(crate) const FILES: [(&str, &str); 23] = [
    ("usr/lib/maquette/maquette-agent", asset!("maquette-agent")),
    ("usr/lib/maquette/maquette_agent.py", asset!("maquette_agent.py")),
    ("usr/lib/maquette/maquette_first_boot.py", asset!("maquette_first_boot.py")),
    ("usr/lib/maquette/maquette_state.py", asset!("maquette_state.py")),
    ("usr/lib/maquette/maquette_grow.py", asset!("maquette_grow.py")),
    ("usr/lib/maquette/maquette_hold.py", asset!("maquette_hold.py")),
    ("usr/lib/maquette/maquette_netplan.py", asset!("maquette_netplan.py")),
    ("usr/lib/maquette/maquette_native.py", asset!("maquette_native.py")),
    ("usr/lib/maquette/maquette_swap.py", asset!("maquette_swap.py")),
    ("usr/lib/maquette/maquette_template.py", asset!("maquette_template.py")),
    ("usr/lib/maquette/maquette_wake.py", asset!("maquette_wake.py")),
    ("usr/lib/maquette/maquette_systemd.py", asset!("maquette_systemd.py")),
    ("usr/lib/udev/rules.d/99-zz-maquette.rules", asset!("nic.rules")),
    ("etc/systemd/system/maquette-agent.service", asset!("maquette-agent.service")),
    ("etc/systemd/system/maquette-ready.service", asset!("maquette-ready.service")),
    ("etc/systemd/system/maquette-template.service", asset!("maquette-template.service")),
    ("etc/systemd/system/cloud-init-local.service.d/maquette.conf", BESIDE),
    ("etc/systemd/system/cloud-init.service.d/maquette.conf", BESIDE),
    // Of cloud-init 24.3 and later: its stages are in one process.
    ("etc/systemd/system/cloud-init-main.service.d/maquette.conf", BESIDE),
    ("etc/systemd/system/cloud-init-network.service.d/maquette.conf", BESIDE),
    ("etc/systemd/system/cloud-config.service.d/maquette.conf", BESIDE),
    ("etc/systemd/system/cloud-final.service.d/maquette.conf", BESIDE),
    ("etc/systemd/system/systemd-networkd-wait-online.service.d/maquette.conf", NOT_YET),
];

#[cfg(test)]
mod first_boot_tests;
#[cfg(test)]
mod kill_points;
#[cfg(test)]
mod native_tests;
#[cfg(test)]
mod systemd_tests;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod wake_tests;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::{Command, Output};

    pub(super) const IDENTITY: &str = "maquette 1\ninstance 5f0-1\nhostname lab-web-0\nport org.maquette.ready\n\
        user cloud-user sudo\nkey root ssh-ed25519 AAAA me\nkey cloud-user ssh-ed25519 AAAA me\n\
        host-key ssh-ed25519 BBBB\ntimezone Europe/Prague\nswap 1\nnic eth0 52:54:00:00:00:01\nlater word\n";

    /// A system of which the agent changes files, and its seed.
    pub(super) struct System(tempfile::TempDir);

    impl System {
        pub(super) fn new(identity: &str) -> Self {
            let system = Self(tempfile::tempdir().unwrap());
            let owner = fs::metadata(system.0.path()).unwrap();
            let (user, group) = {
                use std::os::unix::fs::MetadataExt;
                (owner.uid(), owner.gid())
            };
            for (name, text) in [
                (
                    "etc/passwd",
                    format!(
                        "root:x:{user}:{group}::/root:/bin/sh\ncloud-user:x:{user}:{group}::/home/cloud-user:/bin/sh\n"
                    ),
                ),
                ("etc/fstab", "LABEL=root / ext4".into()),
                ("usr/libexec/netplan/generate", String::new()),
                ("etc/shadow", "root:*:1:0:99999:7:::\nrooter:x:1::::::\n".into()),
                ("etc/ssh/ssh_host_rsa_key", "old".into()),
                ("usr/share/zoneinfo/Europe/Prague", String::new()),
                ("root/.ssh/authorized_keys", "ssh-rsa CCCC else\n".into()),
                ("home/cloud-user/.bashrc", String::new()),
                ("seed/identity", identity.into()),
                ("seed/host-key", "PRIVATE\n".into()),
                (
                    "seed/network-config",
                    "version: 2\nethernets:\n  eth0:\n    dhcp4: true\n".into(),
                ),
                ("seed/user-data", "#cloud-config\n".into()),
            ] {
                let path = system.path(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            system
        }

        pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
            self.0.path().join(name)
        }

        pub(super) fn text(&self, name: &str) -> String {
            fs::read_to_string(self.path(name)).unwrap_or_default()
        }

        pub(super) fn mode(&self, name: &str) -> u32 {
            fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
        }

        pub(super) fn run(&self, verb: &str) -> Output {
            self.command(verb).output().unwrap()
        }

        pub(super) fn command(&self, verb: &str) -> Command {
            let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/guest-agent");
            let start = "import sys; sys.path.insert(0, sys.argv.pop(1)); import maquette_agent; maquette_agent.main()";
            let mut command = Command::new("python3");
            command.args(["-ISEBc", start]).arg(place).arg(verb).arg(self.0.path());
            command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            command
        }
    }

    #[test]
    fn a_first_boot_leaves_what_cloud_init_leaves() {
        let system = System::new(IDENTITY);
        let said = system.run("setup");
        assert!(said.status.success(), "{said:?}");
        assert_eq!(String::from_utf8_lossy(&said.stderr), "");
        assert_eq!(system.text("etc/hostname"), "lab-web-0\n");
        assert!(!system.path("etc/ssh/ssh_host_rsa_key").exists());
        assert_eq!(system.text("etc/ssh/ssh_host_ed25519_key"), "PRIVATE\n");
        assert_eq!(system.mode("etc/ssh/ssh_host_ed25519_key"), 0o600);
        assert_eq!(system.text("etc/ssh/ssh_host_ed25519_key.pub"), "ssh-ed25519 BBBB\n");
        // Nobody logs in by a password.
        assert_eq!(system.text("etc/shadow"), "root:!*:1:0:99999:7:::\nrooter:x:1::::::\n");
        assert_eq!(system.text("etc/shadow-"), "root:*:1:0:99999:7:::\nrooter:x:1::::::\n");
        // Keys that are there stay.
        assert_eq!(
            system.text("root/.ssh/authorized_keys"),
            "ssh-rsa CCCC else\nssh-ed25519 AAAA me\n"
        );
        assert_eq!(system.mode("home/cloud-user/.ssh"), 0o700);
        assert_eq!(system.mode("home/cloud-user/.ssh/authorized_keys"), 0o600);
        let rules = system.text("etc/sudoers.d/90-cloud-init-users");
        assert_eq!(rules, "# User rules for cloud-user\ncloud-user ALL=(ALL) NOPASSWD:ALL\n");
        assert_eq!(system.mode("etc/sudoers.d/90-cloud-init-users"), 0o440);
        assert_eq!(system.text("etc/timezone"), "Europe/Prague\n");
        let zone = fs::read_link(system.path("etc/localtime")).unwrap();
        assert_eq!(zone, Path::new("/usr/share/zoneinfo/Europe/Prague"));
        assert_eq!(
            system.text("etc/fstab"),
            "LABEL=root / ext4\n/swapfile\tnone\tswap\tsw,comment=cloudconfig\t0\t0\n"
        );
        assert_eq!(fs::metadata(system.path("swapfile")).unwrap().len(), 1 << 20);
        assert_eq!(system.mode("swapfile"), 0o600);
        let swap = |path: &Path| {
            let mut head = fs::read(path).unwrap()[..4096].to_vec();
            // Its UUID is its own.
            head[1036..1052].fill(0);
            head
        };
        let made = system.path("made");
        fs::write(&made, vec![0; 1 << 20]).unwrap();
        let mkswap = Command::new("mkswap").arg(&made).env("PATH", "/usr/sbin:/sbin").output();
        assert!(mkswap.unwrap().status.success());
        assert!(swap(&system.path("swapfile")) == swap(&made), "another head than mkswap's");
        assert_eq!(
            system.text("etc/netplan/50-cloud-init.yaml"),
            "network:\n    version: 2\n    ethernets:\n      eth0:\n        dhcp4: true\n"
        );
        let result = system.text("var/lib/cloud/data/result.json");
        assert_eq!(
            result,
            "{\"v1\": {\"datasource\": \"DataSourceNoCloud [seed=/dev/test][dsmode=net]\", \"errors\": []}}\n"
        );
        let status = system.text("var/lib/cloud/data/status.json");
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert!(status["v1"]["modules-final"]["finished"].as_f64().unwrap() > 0.0);
        assert_eq!(system.text("var/lib/cloud/data/instance-id"), "5f0-1\n");
        // What `cloud-init query` reads.
        let facts = system.text("run/cloud-init/instance-data.json");
        let facts: serde_json::Value = serde_json::from_str(&facts).unwrap();
        assert_eq!(facts["v1"]["instance_id"], "5f0-1");
        assert!(system.path("var/lib/cloud/instances/5f0-1/vendor-data.txt").exists());
        let report = system.run("ready");
        let report = String::from_utf8_lossy(&report.stdout).into_owned();
        assert_eq!(report, format!("result {result}done\n"));
    }

    #[test]
    fn later_boots_change_nothing_and_report_nothing() {
        let system = System::new(IDENTITY);
        system.run("setup");
        system.run("ready");
        fs::write(system.path("etc/hostname"), "renamed\n").unwrap();
        assert!(system.run("setup").status.success());
        assert_eq!(system.text("etc/hostname"), "renamed\n");
        assert!(system.run("ready").stdout.is_empty());
        // Made again on disks that were kept, it is another instance.
        fs::write(system.path("seed/identity"), IDENTITY.replace("5f0-1", "5f0-2")).unwrap();
        system.run("setup");
        assert_eq!(system.text("etc/hostname"), "lab-web-0\n");
        assert!(system.text("etc/shadow").starts_with("root:!*:"));
        let fstab = system.text("etc/fstab");
        assert_eq!(fstab.matches("/swapfile").count(), 1, "{fstab}");
        assert_eq!(system.text("root/.ssh/authorized_keys").lines().count(), 2);
    }

    #[test]
    fn what_fails_is_told_and_the_rest_is_done() {
        let system = System::new(&IDENTITY.replace("Europe/Prague", "Never/\"Never"));
        let said = system.run("setup");
        assert!(said.status.success());
        let report = system.run("ready");
        let report = String::from_utf8_lossy(&report.stdout).into_owned();
        let result = report.lines().next().unwrap().strip_prefix("result ").unwrap();
        let result: serde_json::Value = serde_json::from_str(result).unwrap();
        let errors = result["v1"]["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0], "time_zone: there is no time zone `Never/.Never` in this image");
        assert!(system.path("swapfile").exists());
    }

    #[test]
    fn a_seed_of_somebody_else_is_left_to_cloud_init() {
        for identity in ["", "maquette 3\ninstance x\n", "other 1\n"] {
            let system = System::new(identity);
            let said = system.run("setup");
            assert!(said.status.success());
            assert!(String::from_utf8_lossy(&said.stdout).contains("cloud-init goes on"));
            assert!(!system.path("run/maquette/identity").exists());
            assert!(!system.path("etc/hostname").exists());
            assert!(system.run("ready").stdout.is_empty());
        }
    }
}
