//! Images that virt-customize makes ready, with a stand-in for it; and what it puts into them, in a directory.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use super::*;
use crate::image::fetch::customize::setup;

/// Notes its arguments, one a line, and the file that it was to put in; then does what `text` says.
fn tool(programs: &Programs, place: &Path, text: &str) {
    let note = format!(
        "printf '%s\\n' \"$@\" >{0}/arguments\nfor word; do case $word in *:/usr/lib/maquette/setup) \
         cp \"${{word%%:*}}\" {0}/setup ;; esac; done\necho \"$LIBGUESTFS_BACKEND\" >{0}/backend\n{text}",
        place.display()
    );
    programs.quiet("virt-customize", &note);
}

fn customized(host: &dyn Host, source: &Path, pool: &Path) -> Result<(), StepError> {
    let context =
        StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
    let image = Image { source: source.display().to_string(), volume: "v.qcow2".parse().unwrap() }
        .customized();
    let pool =
        Pool { name: "p".parse().unwrap(), path: pool.display().to_string().parse().unwrap() };
    fetch(host, &Transfer::default(), &image, &pool, None, &|| Ok(true), &context).map(|_| ())
}

#[test]
fn virt_customize_works_on_a_copy_and_the_image_as_it_comes_stays() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.qcow2");
    image(&path, "1G");
    let programs = Programs::new(&[]);
    tool(
        &programs,
        here.path(),
        "for word; do case $word in *.part.new) qemu-img resize -q \"$word\" 2G ;; esac; done\n",
    );
    let host = Dying::new(&programs, None);
    customized(&host, &path, pool.path()).unwrap();
    assert_eq!(left(pool.path()), ["v.customized.qcow2"]);
    let size = |file: &Path| virtual_size(&Local, file.to_str().unwrap()).unwrap();
    assert_eq!((size(&path), size(&pool.path().join("v.customized.qcow2"))), (1 << 30, 2 << 30));
    let read = |name: &str| fs::read_to_string(here.path().join(name)).unwrap();
    assert_eq!(read("setup").trim_end(), setup());
    assert_eq!(read("backend"), "direct\n");
    let arguments = read("arguments");
    assert!(arguments.contains("--format\nqcow2\n--add\n"), "{arguments}");
    assert!(arguments.contains("/bin/sh /usr/lib/maquette/setup has network\n"), "{arguments}");
    assert!(
        arguments.ends_with("/bin/sh /usr/lib/maquette/setup install\n--selinux-relabel\n"),
        "{arguments}"
    );
    // Another node type has it as it comes: then that is taken, and brought no second time.
    bring(path.to_str().unwrap(), pool.path(), None).unwrap();
    fs::remove_file(pool.path().join("v.customized.qcow2")).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"something else").unwrap();
    customized(&host, &path, pool.path()).unwrap();
    assert_eq!(left(pool.path()), ["v.customized.qcow2", "v.qcow2"]);
    assert_eq!(size(&pool.path().join("v.qcow2")), 1 << 30);
}

/// Whoever escapes from the guest has the image open to write: what it says by then would be a guest's disk.
#[test]
fn what_virt_customize_has_made_is_judged_as_what_came() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.qcow2");
    image(&path, "1G");
    let programs = Programs::new(&[]);
    let text = "for word; do case $word in *.part.new) qemu-img create -q -u -f qcow2 -F raw \
        -b /etc/passwd \"$word\" 1G ;; esac; done\n";
    tool(&programs, here.path(), text);
    let error = customized(&Dying::new(&programs, None), &path, pool.path()).unwrap_err();
    assert!(error.causes[0].contains("refers to another file"), "{error:?}");
    assert!(left(pool.path()).is_empty(), "{:?}", left(pool.path()));
}

/// A guest of libguestfs that does not start with KVM starts without.
#[test]
fn where_kvm_is_broken_virt_customize_does_without() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.qcow2");
    image(&path, "1G");
    let programs = Programs::new(&[]);
    let text = "[ \"$LIBGUESTFS_BACKEND_SETTINGS\" = force_tcg ] && exit 0\n\
        echo 'virt-customize: error: libguestfs error: guestfs_launch failed.' >&2\nexit 1\n";
    tool(&programs, here.path(), text);
    customized(&Dying::new(&programs, None), &path, pool.path()).unwrap();
    assert_eq!(left(pool.path()), ["v.customized.qcow2"]);
}

/// Some machines in a cloud have a /dev/kvm that no ordinary guest gets anywhere in: it was waited for half an hour.
#[test]
fn where_the_cpu_shows_no_virtualisation_kvm_is_not_tried() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.qcow2");
    image(&path, "1G");
    let programs = Programs::new(&[]);
    let settings = here.path().join("settings");
    let text = format!("echo \"$LIBGUESTFS_BACKEND_SETTINGS\" >>{}\n", settings.display());
    tool(&programs, here.path(), &text);
    customized(&Dying::new(&programs, None), &path, pool.path()).unwrap();
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap();
    let flags = cpus.lines().find(|line| line.starts_with("flags"));
    let can = flags.is_none_or(|line| line.split(' ').any(|flag| ["vmx", "svm"].contains(&flag)));
    let expected = if can { "\n" } else { "force_tcg\n" };
    assert_eq!(fs::read_to_string(settings).unwrap(), expected);
}

/// Programs of a stranger's image run in libguestfs' QEMU. Whoever escapes from that was root.
#[test]
fn the_emulator_that_works_on_an_image_is_nobody_and_gets_the_image_alone() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.qcow2");
    image(&path, "1G");
    let programs = Programs::new(&[]);
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for directory in [here.path(), programs.directory()] {
        open(directory, 0o711);
    }
    // Nobody gets to the pool, and only root reads the kernel.
    open(pool.path(), 0o700);
    let (kernel, socket) = (here.path().join("kernel"), here.path().join("socket"));
    fs::write(&kernel, "a kernel").unwrap();
    open(&kernel, 0o600);
    let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    programs.quiet(
        "qemu-system-x86_64",
        "id -u; id -G; ulimit -c; for word; do echo \"$word\"; case $word in\n\
         file=*) image=${word#file=}; printf x | dd bs=1 seek=300000 conv=notrunc of=\"${image%%,*}\" ;;\n\
         /proc/*) cat \"$word\"; echo ;; esac; done\n",
    );
    let text = format!(
        "for word; do case $word in *.part.new) image=$word ;; esac; done\n\
         \"${{LIBGUESTFS_HV-qemu-system-x86_64}}\" -kernel {} -drive \"file=$image,cache=writeback,id=hd0\" \
         -chardev socket,path={},id=channel0 'a  b' >{}/emulator\n",
        kernel.display(),
        socket.display(),
        here.path().display()
    );
    tool(&programs, here.path(), &text);
    customized(&Dying::new(&programs, None), &path, pool.path()).unwrap();
    assert_eq!(left(pool.path()), ["v.customized.qcow2"]);
    let said = fs::read_to_string(here.path().join("emulator")).unwrap();
    let said: Vec<&str> = said.lines().collect();
    if !rustix::process::geteuid().is_root() {
        return assert_ne!(said[0], "0");
    }
    assert_eq!((said[0], said[2]), ("65534", "0"), "{said:?}");
    assert!(!said[1].split(' ').any(|group| group == "0"), "{said:?}");
    let words = ["-kernel", "/proc/self/fd/4", "a kernel", "-drive"];
    assert_eq!(said[3..7], words, "{said:?}");
    assert_eq!(said[7], "file=/proc/self/fd/3,cache=writeback,id=hd0");
    assert_eq!(said[10..], ["a  b"], "{said:?}");
    let made = fs::read(pool.path().join("v.customized.qcow2")).unwrap();
    assert_eq!(made[300_000], b'x');
}

/// A host with file systems from which nothing is run.
struct NoExec<'a> {
    host: Dying<'a>,
    /// A directory on such a one.
    pool: &'a Path,
    /// How root's own directories are mounted.
    others: &'a str,
}

impl NoExec<'_> {
    fn mounted(&self, command: &Command) -> Command {
        const MOUNT: &str = "mount --bind \"$1\" \"$1\"; mount -o remount,bind,noexec \"$1\"\n\
            for place in /var/lib/maquette /root; do\n\
            [ ! -d $place ] || mount -t tmpfs -o \"$2\" none $place\ndone\nshift 2; exec \"$@\"";
        let mount = ["-m", "--propagation", "private", "sh", "-euc", MOUNT, "sh"];
        let mut all = Command::new("unshare").args(mount);
        all.args.extend([self.pool.display().to_string(), self.others.into()]);
        all.args.push(command.program.clone());
        all.args.extend(command.args.iter().cloned());
        all.env.clone_from(&command.env);
        all
    }
}

impl Host for NoExec<'_> {
    fn run(
        &self,
        command: &Command,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<crate::host::Output, crate::host::HostError> {
        self.host.run(&self.mounted(command), on_line)
    }

    fn spawn(&self, command: &Command) -> Result<std::process::Child, crate::host::HostError> {
        self.host.spawn(&self.mounted(command))
    }

    fn feed(
        &self,
        command: &Command,
        input: &mut dyn FnMut(&mut dyn std::io::Write) -> std::io::Result<()>,
    ) -> Result<(), crate::host::HostError> {
        self.host.feed(&self.mounted(command), input)
    }

    fn read_tail(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, crate::host::HostError> {
        self.host.read_tail(path, limit)
    }

    fn exists(&self, path: &str) -> bool {
        self.host.exists(path)
    }

    fn answers(&self, _: std::net::SocketAddr) -> bool {
        false
    }
}

/// libguestfs said that it could not start its QEMU where the pool is on such a file system, and not why.
#[test]
fn an_emulator_that_cannot_be_run_from_the_pool_is_run_from_elsewhere() {
    if !rustix::process::geteuid().is_root() {
        // Whoever is not root has QEMU started as it is.
        return;
    }
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.qcow2");
    image(&path, "1G");
    let programs = Programs::new(&[]);
    for directory in [here.path(), programs.directory()] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o711)).unwrap();
    }
    programs.quiet("qemu-system-x86_64", "id -u\n");
    let text = format!(
        "echo \"$LIBGUESTFS_HV\" >{0}/where\n\"$LIBGUESTFS_HV\" -version >{0}/emulator\n",
        here.path().display()
    );
    tool(&programs, here.path(), &text);
    let bring = |others| {
        let host = NoExec { host: Dying::new(&programs, None), pool: pool.path(), others };
        customized(&host, &path, pool.path())
    };
    bring("mode=700").unwrap();
    assert_eq!(left(pool.path()), ["v.customized.qcow2"]);
    let read = |name: &str| fs::read_to_string(here.path().join(name)).unwrap();
    let place = read("where");
    assert!(["/var/lib/maquette/.", "/root/."].iter().any(|p| place.starts_with(p)), "{place}");
    assert_eq!(read("emulator"), "65534\n");
    fs::remove_file(pool.path().join("v.customized.qcow2")).unwrap();
    let error = bring("noexec").unwrap_err();
    assert!(error.hints.iter().any(|hint| hint.contains("without `noexec`")), "{error:?}");
    assert!(left(pool.path()).iter().all(|name| name.ends_with(".part")), "{error:?}");
}

#[test]
fn an_image_that_cannot_be_set_up_is_refused_with_what_it_lacks() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.qcow2");
    image(&path, "1G");
    let programs = Programs::new(&[]);
    let error = |text: &str| {
        tool(&programs, here.path(), text);
        let error = customized(&Dying::new(&programs, None), &path, pool.path()).unwrap_err();
        assert!(
            !left(pool.path())
                .iter()
                .any(|name| name.ends_with(".customized.qcow2") && !name.starts_with('.'))
        );
        error
    };
    for (word, what) in [("systemd", "systemd"), ("sshd", "an SSH server"), ("vfat", "(vfat)")] {
        let said = format!(
            "virt-customize: error: /bin/sh /usr/lib/maquette/setup has {word}: command exited with an error"
        );
        let error = error(&format!(
            "echo '{said}' >&2\necho >&2\necho 'If reporting bugs, …' >&2\nexit 1\n"
        ));
        assert!(
            error.message.contains("neither cloud-init nor ") && error.message.ends_with(what),
            "{error:?}"
        );
    }
    let other = error(
        "echo 'virt-customize: error: no operating systems were found in the guest image' >&2\nexit 1\n",
    );
    assert!(other.message.starts_with("virt-customize cannot make image"), "{other:?}");
    assert_eq!(other.causes, ["error: no operating systems were found in the guest image"]);
    let missing = error("exit 127\n");
    assert!(
        missing.hints.iter().any(|hint| hint.contains("has no `virt-customize`")),
        "{missing:?}"
    );
}

/// A system in a directory, with stand-ins for what would change accounts and the kernel.
struct System {
    root: tempfile::TempDir,
    programs: Programs,
}

const IDENTITY: &str = "maquette 1\ninstance 1234\nhostname lab-web-0\nport org.maquette.ready\n\
    user cloud-user sudo\nkey root ssh-ed25519 AAAA one\nkey cloud-user ssh-ed25519 AAAA one\n\
    host-key ssh-ed25519 BBBB\ntimezone Europe/Prague\nswap 2\n\
    nic eth0 52:54:00:00:00:01\nnic eth1 52:54:00:00:00:02\n";

const NETWORK: &str = "version: 2\nethernets:\n  eth0:\n    match: {macaddress: \"52:54:00:00:00:01\"}\n    set-name: eth0\n    dhcp4: true\n    dhcp6: false\n    mtu: 1400\n  eth1:\n    match: {macaddress: \"52:54:00:00:00:02\"}\n    set-name: eth1\n    dhcp4: false\n    dhcp6: false\n    addresses: [\"10.9.0.5/24\", \"fd00::5/64\"]\n    routes: [{to: 0.0.0.0/0, via: 10.9.0.1}]\n    nameservers: {addresses: [10.9.0.1]}\n    accept-ra: false\n    optional: true\n";

impl System {
    fn new(there: &[&str]) -> Self {
        let system = Self { root: tempfile::tempdir().unwrap(), programs: Programs::new(&[]) };
        system.write("setup", SETUP_TEXT);
        system.write("seed/identity", IDENTITY);
        system.write("seed/network-config", NETWORK);
        system.write("seed/host-key", "private\n");
        // Of this name is what other agents read.
        system.write("seed/first-boot", "{}");
        system.write("usr/share/zoneinfo/Europe/Prague", "");
        system.write("etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n");
        system.write("etc/timezone", "Etc/UTC\n");
        for file in
            ["usr/bin/sudo", "usr/sbin/useradd", "usr/lib/systemd/systemd", "usr/bin/systemctl"]
                .iter()
                .chain(there)
        {
            system.write(file, "");
        }
        for (nic, mac) in [("ens3", "52:54:00:00:00:02"), ("eth0", "52:54:00:00:00:01")] {
            system.write(&format!("sys/class/net/{nic}/address"), &format!("{mac}\n"));
        }
        let root = system.root.path().display();
        let log = format!("echo \"${{0##*/}} $*\" >>{root}/called\n");
        for name in [
            "useradd",
            "usermod",
            "ip",
            "chown",
            "mkswap",
            "systemctl",
            "modprobe",
            "apt-get",
            "restorecon",
        ] {
            system.programs.quiet(name, &log);
        }
        system.programs.quiet("id", &format!("grep -q \"useradd.* $2\\$\" {root}/called\n"));
        system.programs.quiet(
            "getent",
            "case $2 in root) h=/root ;; *) h=/home/$2 ;; esac\necho \"$2:x:0:0::$h:/bin/sh\"\n",
        );
        system
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.path().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.root.path().join(path)).unwrap().permissions().mode() & 0o777
    }

    fn run(&self, words: &[&str]) -> Output {
        let path =
            format!("{}:{}", self.programs.directory().display(), std::env::var("PATH").unwrap());
        let mut command = std::process::Command::new("sh");
        command.arg(self.root.path().join("setup")).args(words);
        command.env("MAQUETTE_ROOT", self.root.path()).env("PATH", path).output().unwrap()
    }

    fn boots(&self) {
        for word in ["boot", "ready"] {
            let output = self.run(&[word]);
            assert!(output.status.success(), "{word}: {output:?}");
        }
    }
}

const SETUP_TEXT: &str = include_str!("../../../../assets/image/setup.sh");

#[test]
fn a_guest_is_set_up_from_its_seed_by_a_shell() {
    let system =
        System::new(&["etc/systemd/system/multi-user.target.wants/systemd-networkd.service"]);
    system.boots();
    assert_eq!(
        system.read("port"),
        "cloud-init\nresult {\"v1\": {\"datasource\": \"Maquette\", \"errors\": []}}\ndone\n"
    );
    assert_eq!(system.read("etc/hostname"), "lab-web-0\n");
    assert_eq!(
        (system.read("etc/ssh/ssh_host_ed25519_key"), system.mode("etc/ssh/ssh_host_ed25519_key")),
        ("private\n".into(), 0o600)
    );
    assert_eq!(system.read("etc/ssh/ssh_host_ed25519_key.pub"), "ssh-ed25519 BBBB\n");
    for home in ["root", "home/cloud-user"] {
        assert_eq!(system.read(&format!("{home}/.ssh/authorized_keys")), "ssh-ed25519 AAAA one\n");
        assert_eq!(system.mode(&format!("{home}/.ssh")), 0o700);
    }
    assert_eq!(
        system.read("etc/sudoers.d/90-maquette-users"),
        "cloud-user ALL=(ALL) NOPASSWD:ALL\n"
    );
    assert_eq!(system.mode("etc/sudoers.d/90-maquette-users"), 0o440);
    assert_eq!(system.read("etc/timezone"), "Europe/Prague\n");
    assert_eq!(
        fs::read_link(system.root.path().join("etc/localtime")).unwrap(),
        Path::new("/usr/share/zoneinfo/Europe/Prague")
    );
    assert!(system.read("etc/fstab").ends_with("/swapfile none swap sw 0 0\n"));
    assert_eq!(system.mode("swapfile"), 0o600);
    let called = system.read("called");
    assert!(called.contains("useradd -m -s /bin/sh -- cloud-user\n"), "{called}");
    assert!(
        called
            .contains("ip link set dev ens3 name maquette1\nip link set dev maquette1 name eth1\n"),
        "{called}"
    );
    let first = system.read("etc/systemd/network/20-maquette-eth0.network");
    assert!(
        first
            .contains("Name=eth0\n[Link]\nMTUBytes=1400\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=yes\n"),
        "{first}"
    );
    let second = system.read("etc/systemd/network/20-maquette-eth1.network");
    assert!(second.contains("RequiredForOnline=no\n[Network]\nDHCP=no\nIPv6AcceptRA=no\nAddress=10.9.0.5/24\nAddress=fd00::5/64\nGateway=10.9.0.1\nDNS=10.9.0.1\n"), "{second}");
    // A later boot of the same node changes nothing and says nothing.
    let said = system.read("port");
    system.write("etc/hostname", "renamed\n");
    let _ = fs::remove_file(system.root.path().join("run/maquette/pending"));
    // What is below /run goes with each boot.
    let _ = fs::remove_dir_all(system.root.path().join("run/cloud-init"));
    assert!(system.run(&["boot"]).status.success());
    let again = system.read("run/cloud-init/result.json");
    assert_eq!(again, "{\"v1\": {\"datasource\": \"Maquette\", \"errors\": []}}\n");
    assert_eq!((system.read("etc/hostname"), system.read("port")), ("renamed\n".into(), said));
    assert!(!system.root.path().join("run/maquette/pending").exists());
}

#[test]
fn whoever_keeps_the_network_of_an_image_gets_its_own_files() {
    let system =
        System::new(&["etc/systemd/system/multi-user.target.wants/NetworkManager.service"]);
    system.boots();
    let keyfile = "etc/NetworkManager/system-connections/maquette-eth1.nmconnection";
    assert_eq!(system.mode(keyfile), 0o600);
    let text = system.read(keyfile);
    assert!(text.contains("[ipv4]\nmethod=manual\naddress1=10.9.0.5/24,10.9.0.1\ndns=10.9.0.1;\nnever-default=true\n[ipv6]\naddress1=fd00::5/64\nmethod=manual\nnever-default=true\n"), "{text}");
    let system = System::new(&["usr/sbin/ifup", "etc/network/interfaces"]);
    system.boots();
    let text = system.read("etc/network/interfaces");
    assert!(
        text.starts_with("auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n"),
        "{text}"
    );
    assert!(text.contains("iface eth1 inet6 static\n    address fd00::5/64\n    accept_ra 0\niface eth1 inet static\n    address 10.9.0.5/24\n    gateway 10.9.0.1\n"), "{text}");
}

#[test]
fn files_packages_and_commands_are_done_and_what_fails_is_told() {
    let system = System::new(&[
        "etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
        "usr/bin/apt-get",
    ]);
    let root = system.root.path().display();
    system.write("seed/identity", &IDENTITY.replace("maquette 1", "maquette 2"));
    system.write("seed/first-boot.sh", &format!(
        "file 0640 root:adm /etc/app/key 'it'\\''s\n' || return\npackages nginx || return\ncommands 'set -e\necho hello > {root}/hello\necho \"no \\\"way\\\"\" >&2\nfalse' || return\n"
    ));
    system.boots();
    assert_eq!(
        (system.read("etc/app/key"), system.mode("etc/app/key"), system.read("hello")),
        ("it's\n".into(), 0o640, "hello\n".into())
    );
    let called = system.read("called");
    assert!(
        called.contains("chown root:adm ") && called.contains("apt-get -q update\n"),
        "{called}"
    );
    let said = system.read("port");
    assert!(said.contains("\"errors\": [\"first_boot: no 'way'\"]}}\ndone\n"), "{said}");
    for secret in ["host-key", "first-boot.sh", "commands"] {
        assert!(!system.root.path().join("run/maquette").join(secret).exists(), "{secret}");
    }
    // Where nothing of it came, that is told.
    let system =
        System::new(&["etc/systemd/system/multi-user.target.wants/systemd-networkd.service"]);
    system.write(
        "seed/identity",
        &IDENTITY.replace("maquette 1", "maquette 2").replace("Prague", "Nowhere"),
    );
    system.boots();
    let said = system.read("port");
    assert!(
        said.contains("time_zone: there is no time zone Europe/Nowhere in this image")
            && said.contains("first_boot: the seed has no packages"),
        "{said}"
    );
}

#[test]
fn an_image_is_looked_into_before_anything_is_put_there() {
    let whole = [
        "usr/sbin/sshd",
        "usr/lib/systemd/system/systemd-networkd.service",
        "usr/lib/modules/6.1/kernel/fs/fat/vfat.ko.xz",
    ];
    let lacks = |there: &[&str], drop: &str| {
        let system = System::new(there);
        let _ = fs::remove_file(system.root.path().join(drop));
        let words = ["systemd", "sshd", "network", "accounts", "vfat"];
        words
            .into_iter()
            .filter(|word| !system.run(&["has", word]).status.success())
            .collect::<Vec<_>>()
    };
    assert_eq!(lacks(&whole, "none"), Vec::<&str>::new());
    assert_eq!(lacks(&[], "usr/sbin/useradd"), ["sshd", "network", "accounts", "vfat"]);
    assert_eq!(lacks(&whole, "usr/lib/systemd/systemd"), ["systemd"]);
    // One with cloud-init needs nothing of it, and gets nothing.
    assert_eq!(lacks(&["usr/bin/cloud-init"], "usr/lib/systemd/systemd"), Vec::<&str>::new());
    let system = System::new(&["usr/bin/cloud-init", "usr/lib/maquette/setup", "etc/machine-id"]);
    assert!(system.run(&["install"]).status.success());
    assert!(
        !system.root.path().join("usr/lib/maquette").exists()
            && !system.root.path().join("etc/systemd/system/maquette-setup.service").exists()
    );
    let system = System::new(&[
        "usr/lib/maquette/setup",
        "etc/netplan/50-cloud.yaml",
        "etc/ssh/ssh_host_rsa_key",
        "usr/lib/systemd/system/systemd-networkd.service",
    ]);
    system.write("etc/machine-id", "0123\n");
    assert!(system.run(&["install"]).status.success());
    assert_eq!(system.read("etc/machine-id"), "");
    assert!(
        !system.root.path().join("etc/ssh/ssh_host_rsa_key").exists()
            && !system.root.path().join("etc/netplan/50-cloud.yaml").exists()
    );
    let called = system.read("called");
    assert!(
        called.contains("systemctl enable maquette-setup.service maquette-ready.service\n")
            && called.contains("enable systemd-networkd.service"),
        "{called}"
    );
}
