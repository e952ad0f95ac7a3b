//! A hypervisor is prepared and put back, and killed before every program that this calls: afterwards it can be
//! prepared and put back as if nothing had happened. In mount and network namespaces of its own, with files and
//! kernel settings that are real to the scripts, and a package manager that keeps a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::AtomicBool;

use maquette_core::plan::{LIMITS, Limit};

use super::*;
use crate::dying_host::{Dying, Programs, every_point};
use crate::probe::family::FAMILIES;

/// What the namespaces are made of: `$@` goes on inside.
const INSIDE: &str = r#"export PATH="$PATH:/usr/sbin:/sbin"
mount -t tmpfs none /run
mkdir /run/etc /run/etc.work /run/packages /run/dev
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/etc.work none /etc
rm -rf /etc/libvirt /etc/ssh/sshd_config.d /etc/modprobe.d /etc/sysctl.d
mkdir -p /etc/ssh/sshd_config.d /etc/modprobe.d /etc/sysctl.d /etc/libvirt
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
ip link set lo up
ip link add v0 type veth peer name v1
ip link set v0 up
ip link set v1 up
ip -6 route add default via fe80::1 dev v0
echo 1 > /proc/sys/net/ipv6/conf/v0/accept_ra
: > /run/packages/base
exec "$@""#;

/// Those that change something, and some that stand between. What only looks has no points.
const CALLED: [&str; 12] = [
    "dirname",
    "mkdir",
    "cat",
    "chmod",
    "chgrp",
    "sync",
    "mv",
    "rm",
    "rmdir",
    "ln",
    "sleep",
    "timedatectl",
];

/// A package manager: each package comes and goes by itself.
const APT: &str = r#"verb=
dry=
case " $* " in *" -s "*) dry=yes ;; esac
for word; do
    case $word in
    -* | DPkg::*) ;;
    *)
        if [ -z "$verb" ]; then verb=$word; continue; fi
        count
        case $verb$dry in
        installyes) echo "Inst $word (1)"; echo "Inst lib$word (1)" ;;
        install) : >"/run/packages/$word"; : >"/run/packages/lib$word" ;;
        purge) /bin/rm -f "/run/packages/$word" ;;
        purgeyes) echo "Purg $word [1]" ;;
        esac
        ;;
    esac
done
count
"#;

const DPKG_QUERY: &str = r#"case "$*" in
*Essential*) for file in /run/packages/*; do printf 'P\tii \t%s\tno\nO\t\nN\t\nN\t\n' "${file##*/}"; done ;;
*) for file in /run/packages/*; do echo "ii ${file##*/}"; done ;;
esac
"#;

fn programs() -> Programs {
    let programs = Programs::as_functions(&CALLED);
    programs.add("apt-get", APT);
    programs.add("dpkg-query", DPKG_QUERY);
    programs.add("sshd", "exit 0\n");
    programs.add("modprobe", "exit 1\n");
    programs
}

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
    files.extend(["/etc/timezone", "/proc/sys/net/ipv6/conf/v0/accept_ra"].map(String::from));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        all.insert(file, text);
    }
    all.insert("zone".into(), fs::read_link("/etc/localtime").unwrap().display().to_string());
    let kvm = fs::metadata("/dev/kvm").unwrap();
    all.insert("kvm".into(), format!("{:o}", kvm.permissions().mode()));
    all
}

/// What is not as in another state.
fn other(now: &BTreeMap<String, String>, then: &BTreeMap<String, String>) -> Vec<String> {
    let keys: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    let differ = keys.into_iter().filter(|key| now.get(*key) != then.get(*key));
    differ.map(|key| format!("{key}: {:?} was {:?}", now.get(key), then.get(key))).collect()
}

fn is_back(before: &BTreeMap<String, String>, said: &str) {
    let other = other(&state(), before);
    assert!(other.is_empty(), "{said}: it is not put back: {other:#?}");
}

fn record() -> Record {
    Record::parse(&fs::read_to_string(record::PATH).unwrap_or_default()).unwrap()
}

fn settings() -> Vec<(String, Setting)> {
    let text = |text: &str| text.to_string();
    let mut all = vec![
        Setting::Packages { names: vec![text("one"), text("two")] },
        Setting::Kvm { mode: text("0660"), group: text("kvm") },
        Setting::SshLimits,
        Setting::RouterAdverts { interfaces: vec![(text("v0"), text("2"))] },
        Setting::NetworkHook,
        Setting::Timezone { zone: text("Europe/Berlin") },
    ];
    // One for all: each goes the same way.
    all.extend(LIMITS.iter().take(1).map(|limit| Setting::Limit { limit, value: 9999 }));
    all.into_iter().map(|setting| (setting.way_back().0, setting)).collect()
}

/// Files of the kernel's that are ours to change. A namespace has not all of them: what is missing is made.
fn limits_are_files() {
    for limit in LIMITS {
        let file = limit.proc_file();
        let directory = std::path::Path::new(&file).parent().unwrap();
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

/// Not a test of its own: what the next one starts in namespaces.
#[test]
#[ignore = "started by another test"]
fn inside() {
    if std::env::var_os("MAQUETTE_TEST_INSIDE").is_none() {
        return;
    }
    limits_are_files();
    let programs = programs();
    let whole = &Dying::new(&programs, None);
    let context = StepContext { progress: &|_| {}, cancelled: &AtomicBool::new(false) };
    let before = state();
    let mut total = 0;
    for limit in LIMITS {
        let setting = Setting::Limit { limit, value: 9999 };
        apply(whole, None, &setting, &context).unwrap();
        assert_eq!(fs::read_to_string(limit.proc_file()).unwrap().trim(), "9999");
    }
    put_back(whole, &context).unwrap();
    is_back(&before, "all limits");
    for (name, setting) in settings() {
        let apply = |host: &dyn Host, context: &StepContext<'_>| {
            apply(host, Some(&FAMILIES[0]), &setting, context)
        };
        apply(whole, &context).unwrap();
        let ready = state();
        assert_ne!(ready, before, "{name}: nothing was changed");
        put_back(whole, &context).unwrap();
        is_back(&before, &name);
        // Prepared anew and put back, or put back at once.
        let turn = AtomicBool::new(false);
        let judge = |said: &str| {
            if turn.fetch_xor(true, std::sync::atomic::Ordering::SeqCst) {
                apply(whole, &context).unwrap_or_else(|e| panic!("{said}: {e:?}"));
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
        };
        let run = |host: &Dying<'_>| apply(host, &context).is_ok();
        total += every_point(&format!("prepare, {name}"), &programs, &run, &judge, 1);
        let run = |host: &Dying<'_>| {
            apply(whole, &context).unwrap();
            put_back(host, &context).is_ok()
        };
        total += every_point(&format!("restore, {name}"), &programs, &run, &judge, 1);
    }
    println!("prepare and restore: killed at {total} points");
    assert!(total >= 80, "only {total} points");
}

/// Faults M7 and N2, and their kind: a record that is half written, a setting that nobody knows of any more,
/// files beside others that stay for ever.
#[test]
fn killed_before_every_program_a_hypervisor_can_be_prepared_and_put_back() {
    let said = crate::dying_host::in_namespaces(INSIDE, "prepare::kill_points::inside");
    assert!(said.contains("prepare and restore: killed at"), "{said}");
}
