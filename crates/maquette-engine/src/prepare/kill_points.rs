//! A hypervisor is prepared and put back, and killed before every program that this calls: afterwards it can be
//! prepared and put back as if nothing had happened. In mount and network namespaces of its own, with files and
//! kernel settings that are real to the scripts, and a package manager that keeps a directory.

mod stand_ins;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use maquette_core::blueprint::Pool;
use maquette_core::plan::{self, Action, HypervisorNeeds, LIMITS, Limit, PoolState};

use super::*;
use crate::dying_host::{Dying, Programs, every_point, part, sparser, stride};
use crate::host::{Command, check};
use crate::probe;
use crate::probe::family::FAMILIES;
use stand_ins::{DAEMONS, ENDED, programs};

/// What the namespaces are made of: `$@` goes on inside.
const INSIDE: &str = r#"export PATH="$PATH:/usr/sbin:/sbin"
mount -t tmpfs none /run
mkdir /run/etc /run/etc.work /run/sbin /run/sbin.work /run/packages /run/dev /run/told /run/openvswitch
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/etc.work none /etc
rm -rf /etc/libvirt /etc/ssh/sshd_config.d /etc/modprobe.d /etc/sysctl.d /etc/openvswitch
mkdir -p /etc/ssh/sshd_config.d /etc/modprobe.d /etc/sysctl.d /etc/libvirt
echo 'Include /etc/ssh/sshd_config.d/*.conf' > /etc/ssh/sshd_config
mount -t overlay -o lowerdir=/usr/sbin,upperdir=/run/sbin,workdir=/run/sbin.work none /usr/sbin
rm -f /usr/sbin/virtqemud
: > /usr/sbin/libvirtd
printf 'processor : 0\nflags : vmx\n' > /run/cpuinfo
mount --bind /run/cpuinfo /proc/cpuinfo
ln -snf /usr/share/zoneinfo/Etc/UTC /etc/localtime
echo Etc/UTC > /etc/timezone
grep -q ^kvm: /etc/group || echo kvm:x:9786: >> /etc/group
mount -t tmpfs none /var/lib
mount --bind /dev /run/dev
mount -t tmpfs none /dev
for device in null zero random urandom; do
    : > /dev/$device
    mount --bind /run/dev/$device /dev/$device
done
ln -s /proc/self/fd /dev/fd
: > /dev/kvm
chmod 600 /dev/kvm
mount -t tmpfs none /sys/module
mkdir -p /sys/module/kvm_intel/parameters
echo 0 > /sys/module/kvm_intel/refcnt
echo N > /sys/module/kvm_intel/parameters/nested
ip link set lo up
ip link add v0 type veth peer name v1
ip link set v0 up
ip link set v1 up
ip -6 route add default via fe80::1 dev v0
ip -6 route add default via fe80::2 dev v1 metric 2048
echo 1 > /proc/sys/net/ipv6/conf/v0/accept_ra
echo 1 > /proc/sys/net/ipv6/conf/v1/accept_ra
: > /run/packages/base
exec "$@""#;

/// All that preparation may change.
fn state() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut places: Vec<String> = [
        "/etc/ssh/sshd_config.d",
        "/etc/modprobe.d",
        "/etc/sysctl.d",
        "/etc/libvirt",
        "/var/lib/maquette",
        "/run/packages",
        TOLD,
    ]
    .map(String::from)
    .into();
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            let path = entry.path().display().to_string();
            match entry.path().is_dir() {
                // Directories stay, as other programs leave theirs.
                true => places.push(path),
                false => {
                    drop(all.insert(path, fs::read_to_string(entry.path()).unwrap_or_default()))
                }
            }
        }
    }
    let mut files: Vec<String> = LIMITS.iter().map(Limit::proc_file).collect();
    files.push("/etc/timezone".into());
    files.extend(["v0", "v1"].map(|name| format!("/proc/sys/net/ipv6/conf/{name}/accept_ra")));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        all.insert(file, text);
    }
    all.insert("zone".into(), fs::read_link("/etc/localtime").unwrap().display().to_string());
    let kvm = fs::metadata("/dev/kvm").unwrap();
    all.insert("kvm".into(), format!("{:o}", kvm.permissions().mode()));
    let running = DAEMONS.iter().filter(|daemon| is_alive(daemon));
    all.extend(running.map(|daemon| ((*daemon).to_string(), "runs".to_string())));
    all
}

/// Where daemons note what they were told.
const TOLD: &str = "/run/told";

/// What is not put back: what a daemon knows until it starts again.
const STAYS: &str = "/run/told/libvirtd";

fn is_alive(daemon: &str) -> bool {
    let files = [format!("/run/{daemon}.pid"), format!("/run/openvswitch/{daemon}.pid")];
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).any(|pid| is_process(&pid))
}

fn is_process(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:\t"));
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// Waits for daemons that were told to end by what was then killed: who comes next comes later than that.
fn settle() {
    let told = fs::read_to_string(ENDED).unwrap_or_default();
    // A number may be another process's by then, which does not end.
    for _ in 0..1000 {
        if !told.lines().any(is_process) {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = fs::remove_file(ENDED);
}

/// What is not as in another state.
fn other(now: &BTreeMap<String, String>, then: &BTreeMap<String, String>) -> Vec<String> {
    let keys: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    let differ = keys.into_iter().filter(|key| now.get(*key) != then.get(*key));
    differ.map(|key| format!("{key}: {:?} was {:?}", now.get(key), then.get(key))).collect()
}

fn is_back(before: &BTreeMap<String, String>, said: &str) {
    let mut now = state();
    now.remove(STAYS);
    let other = other(&now, before);
    assert!(other.is_empty(), "{said}: it is not put back: {other:#?}");
}

fn record() -> Record {
    Record::parse(&fs::read_to_string(record::PATH).unwrap_or_default()).unwrap()
}

/// What the next run would do about a thing, by what it sees.
fn planned(host: &dyn Host, name: &str) -> Option<Setting> {
    let facts = probe::gather(host, probe::Reach::Remote).unwrap();
    // Packages and pools are not looked for here: what is asked for is missing.
    let answers = is_alive("libvirtd") || Path::new(TOLD).join("libvirtd.socket").exists();
    let facts = host_facts(&facts, answers.then_some((PoolState::Missing, 0)));
    let needs = HypervisorNeeds {
        pool: Pool { name: "images".parse().unwrap(), path: "/images".parse().unwrap() },
        missing_packages: vec!["one".into(), "two".into()],
        ipv6: true,
        timezone: Some("Europe/Berlin".into()),
        hook: true,
        expiry: false,
        vswitch: true,
        networks: 100,
        interfaces: 1000,
    };
    let steps = plan::prepare(&facts, &needs).steps;
    let all = steps.into_iter().filter_map(|step| match step.action {
        Action::Apply(setting) => Some(setting),
        _ => None,
    });
    all.into_iter().find(|setting| setting.way_back().0 == name)
}

/// Files of the kernel's that are ours to change. A namespace has not all of them: what is missing is made.
fn limits_are_files() {
    for limit in LIMITS {
        let file = limit.proc_file();
        let directory = Path::new(&file).parent().unwrap();
        let there = directory.ancestors().find(|place| place.is_dir()).unwrap();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        if !mounts.lines().any(|line| line.split(' ').nth(1) == there.to_str()) {
            let mut mount = std::process::Command::new("mount");
            assert!(mount.args(["-t", "tmpfs", "none"]).arg(there).status().unwrap().success());
        }
        fs::create_dir_all(directory).unwrap();
        fs::write(&file, "128\n").unwrap();
    }
}

fn put_back(host: &dyn Host, context: &StepContext<'_>) -> Result<(), StepError> {
    let all = undoable(&record());
    all.iter().try_for_each(|before| restore(host, Some(&FAMILIES[0]), before, context))
}

/// What is running while a hypervisor is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    /// Nothing.
    Bare,
    /// libvirt, without systemd.
    Libvirt,
    /// systemd.
    Systemd,
}

impl Ground {
    /// What is prepared there.
    fn things(self) -> &'static [&'static str] {
        match self {
            // One of the limits is enough: each goes the same way.
            Self::Bare => &[
                "packages",
                "/dev/kvm",
                "libvirt",
                "pool images",
                "Open vSwitch",
                "sshd",
                "nested",
                "ipv6",
                "timezone",
                "inotify",
            ],
            Self::Libvirt => &["network hook"],
            Self::Systemd => &["libvirt", "Open vSwitch", "sshd"],
        }
    }

    fn begin(self, host: &dyn Host) {
        match self {
            Self::Bare => {}
            Self::Libvirt => {
                check(host, &Command::new("libvirtd").arg("--daemon")).map(drop).unwrap();
            }
            Self::Systemd => fs::create_dir_all("/run/systemd/system").unwrap(),
        }
    }

    fn end(self, host: &dyn Host) {
        match self {
            Self::Bare => {}
            Self::Libvirt => daemons::restore(host).unwrap(),
            Self::Systemd => fs::remove_dir_all("/run/systemd").unwrap(),
        }
    }
}

/// What is so when the hypervisor starts again: an option of a module is read when that is loaded, and libvirt looks for
/// hooks.
fn restart() {
    fs::write("/sys/module/kvm_intel/parameters/nested", "N\n").unwrap();
    if !Path::new("/etc/libvirt/hooks/network.d/maquette").exists() {
        // It may not have been told anything.
        let _ = fs::remove_file(STAYS);
    }
}

/// Prepares a thing and puts it back, killed at every point; how many there were.
fn story(name: &str, ground: Ground, programs: &Programs) -> usize {
    let whole = &Dying::new(programs, None);
    let context =
        StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
    let family = Some(&FAMILIES[0]);
    restart();
    let before = state();
    let setting = planned(whole, name).unwrap_or_else(|| panic!("{name} is not asked for"));
    apply(whole, family, &setting, &context).unwrap();
    let ready = state();
    assert_ne!(ready, before, "{name}: nothing was changed");
    put_back(whole, &context).unwrap();
    is_back(&before, name);
    // Prepared again, as far as that is seen to be missing, and put back; or put back at once.
    let turn = AtomicBool::new(false);
    let judge = |said: &str| {
        settle();
        if turn.fetch_xor(true, Ordering::SeqCst) {
            if let Some(setting) = planned(whole, name) {
                apply(whole, family, &setting, &context)
                    .unwrap_or_else(|e| panic!("{said}: {e:?}"));
            }
            let mut now = state();
            // The record may name more packages than that of a run that was not killed.
            now.insert(record::PATH.into(), ready[record::PATH].clone());
            let less = other(&now, &ready);
            assert!(less.is_empty(), "{said}: it is not prepared: {less:#?}");
        } else if record().is_empty() {
            // Nothing is noted, so nothing is changed, and nobody has to look for what was being noted.
            let _ = fs::remove_file(format!("{}.new", record::PATH));
        }
        put_back(whole, &context).unwrap_or_else(|e| panic!("{said}: {e:?}"));
        is_back(&before, said);
        restart();
    };
    let run = |host: &Dying<'_>| apply(host, family, &setting, &context).is_ok();
    let mut points =
        every_point(&format!("prepare, {name}, {ground:?}"), programs, &run, &judge, stride(2));
    let run = |host: &Dying<'_>| {
        apply(whole, family, &setting, &context).unwrap();
        restart();
        put_back(host, &context).is_ok()
    };
    points +=
        every_point(&format!("restore, {name}, {ground:?}"), programs, &run, &judge, stride(2));
    points
}

/// Not a test of its own: what the next one starts in namespaces.
#[test]
#[ignore = "started by another test"]
fn inside() {
    let Some(part) = part() else { return };
    limits_are_files();
    // What shows that Open vSwitch may run; whether it does, its programs say.
    let _socket = UnixListener::bind("/run/openvswitch/db.sock").unwrap();
    let programs = programs();
    let whole = &Dying::new(&programs, None);
    let context =
        StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
    let before = state();
    for limit in LIMITS {
        let setting = Setting::Limit { limit, value: 9999 };
        apply(whole, None, &setting, &context).unwrap();
        assert_eq!(fs::read_to_string(limit.proc_file()).unwrap().trim(), "9999");
    }
    put_back(whole, &context).unwrap();
    is_back(&before, "all limits");
    // A run that came as far as the first of two interfaces: the next one sees the second.
    for name in ["v0", "v1"] {
        let interfaces = vec![(name.to_string(), "2".to_string())];
        apply(whole, None, &Setting::RouterAdverts { interfaces }, &context).unwrap();
    }
    let text = fs::read_to_string("/etc/sysctl.d/90-maquette-ipv6.conf").unwrap();
    assert!(text.contains("conf/v0/") && text.contains("conf/v1/"), "{text}");
    put_back(whole, &context).unwrap();
    is_back(&before, "two interfaces");
    let mut total = 0;
    for ground in [Ground::Bare, Ground::Libvirt, Ground::Systemd] {
        ground.begin(whole);
        let things = ground.things().iter().skip(part).step_by(PARTS);
        total += things.map(|name| story(name, ground, &programs)).sum::<usize>();
        ground.end(whole);
    }
    println!("prepare and restore, part {part}: killed at {total} points");
    assert!(total >= 25 / sparser(), "only {total} points");
}

/// How many tests share the work: each thing is tried by itself, and takes as long as all other tests together.
const PARTS: usize = 3;

fn killed(part: usize) {
    let said = crate::dying_host::in_namespaces(INSIDE, "prepare::kill_points::inside", part);
    assert!(said.contains("killed at"), "{said}");
}

/// A record that is half written, a setting that nobody knows of any more,
/// files beside others that stay for ever; and what seems to be prepared and is not, so that the next run
/// leaves it as it is.
#[test]
fn killed_before_every_program_a_hypervisor_can_be_prepared_and_put_back() {
    killed(0);
}

#[test]
fn killed_before_every_program_a_second_part_can_be_prepared_and_put_back() {
    killed(1);
}

#[test]
fn killed_before_every_program_a_third_part_can_be_prepared_and_put_back() {
    killed(2);
}
