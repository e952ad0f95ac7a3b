//! A NIC joins a bridge and leaves it, and who asks for that is killed before programs that change something, or
//! while the change is being made: who comes next gets it joined or out again, and in the end all is as it was.
//! In namespaces of its own; `tests/e2e/bridges` has more layouts, other faults, and kills those who make the
//! change and who watch over it. Every sixth program is tried; where MAQUETTE_TEST_ALL is set every one, also of
//! those others, which takes many minutes.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::dying_host::{Dying, Programs, every_point, part, sparser, stride};
use crate::host::Local;

const INSIDE: &str = r#"export PATH="$PATH:/usr/sbin:/sbin"
mount -t sysfs none /sys
mount -t tmpfs none /run
mkdir /run/etc /run/etc.work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/etc.work none /etc
rm -rf /etc/network /etc/systemd/network
mkdir /etc/network
mount -t tmpfs none /var/lib
mount -t tmpfs none /usr/local/sbin
echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
ip link set lo up
ip link add v0 type veth peer name v1
ip link set v1 up
ip link set v0 up
ip address add 10.1.0.2/24 brd + dev v0
ip address add 2001:db8:1::2/64 dev v0 nodad
ip route add 10.5.0.1 dev v0 scope link
ip route add default via 10.5.0.1 dev v0
exec "$@""#;

const CALLED: [&str; 10] =
    ["mkdir", "find", "mkfifo", "mv", "rm", "cp", "setsid", "timeout", "rmdir", "sync"];

fn state() -> Vec<String> {
    let ask = |words: &[&str]| {
        let said = check(&Local, &Command::new("ip").args(words.iter().copied())).unwrap();
        // Of an address nobody has asked about yet, and the moment in which a link is found up.
        let still =
            |line: &str| line.replace(" tentative", "").replace("state LOWERLAYERDOWN", "state UP");
        let mut lines: Vec<String> = said.lines().map(still).collect();
        // What the kernel makes by itself comes in the order in which links went up.
        lines.sort();
        lines
    };
    let mut all = ask(&["-o", "address", "show"]);
    all.extend(ask(&["-br", "link", "show"]));
    all.extend(ask(&["-4", "route", "show", "table", "all"]));
    all.extend(ask(&["-6", "route", "show", "table", "all"]));
    all.extend(ask(&["-4", "rule", "show"]));
    all
}

fn is_back(before: &[String], said: &str) {
    let begun = Instant::now();
    while state() != before || fs::exists(format!("{STATES}/br0")).unwrap() {
        let log = fs::read_to_string(format!("{STATES}/br0/log")).unwrap_or_default();
        let now = state();
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{said}: {now:#?} was {before:#?}; {log}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Not a test of its own: what the next one starts in namespaces.
#[test]
#[ignore = "started by another test"]
fn inside() {
    if part().is_none() {
        return;
    }
    let programs = Programs::new(&CALLED);
    let changes = "case \" $* \" in *\" show \"*) ;; *) count ;; esac\nexec /sbin/ip \"$@\"\n";
    programs.quiet("ip", changes);
    for name in ["networkctl", "nmcli", "resolvectl"] {
        programs.quiet(name, "exit 1\n");
    }
    programs.quiet("logger", "exit 0\n");
    if stride(0) == 0 {
        // Only who asks is killed: when another dies, some waits are long.
        programs.add("setsid", "exec env -u KILLED_HOME /usr/bin/setsid \"$@\"\n");
    }
    // The script sets its path itself.
    for file in fs::read_dir(programs.directory()).unwrap().flatten() {
        fs::copy(file.path(), format!("/usr/local/sbin/{}", file.file_name().display())).unwrap();
    }
    let context =
        StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
    let uplink = Uplink {
        nic: "v0".parse().unwrap(),
        chosen: false,
        address: None,
        stp: false,
        guard: false,
        mtu: None,
    };
    // One that is somewhere else: this machine would ask its gateway, and there is none.
    let whole = &Dying::new(&programs, None);
    let joins = |host: &dyn Host| join(host, "br0", &uplink, &context);
    let leaves = |host: &dyn Host| put_back(host, "br0", "v0", &context);
    let before = state();
    let turn = AtomicBool::new(false);
    let judge = |said: &str| {
        if turn.fetch_xor(true, Ordering::SeqCst) {
            joins(whole).unwrap_or_else(|e| panic!("{said}: joining again: {e:?}"));
            assert!(fs::exists("/sys/class/net/br0/brif/v0").unwrap(), "{said}: it has not joined");
        }
        leaves(whole).unwrap_or_else(|e| panic!("{said}: leaving: {e:?}"));
        is_back(&before, said);
    };
    let begin = |host: &Dying<'_>| joins(host).is_ok();
    let end = |host: &Dying<'_>| {
        joins(whole).unwrap();
        leaves(host).is_ok()
    };
    let mut total = every_point("bridge, joining", &programs, &begin, &judge, stride(6));
    total += every_point("bridge, leaving", &programs, &end, &judge, stride(6));
    println!("bridge: killed at {total} points");
    assert!(total >= (6 / sparser()).max(1), "only {total} points");
}

/// What `tests/e2e/bridges` does not reach, where it kills whole processes at chosen moments.
#[test]
fn killed_before_every_program_a_nic_is_where_it_was() {
    let said = crate::dying_host::in_namespaces(INSIDE, "net::bridge::kill_points::inside", 0);
    assert!(said.contains("bridge: killed at"), "{said}");
}
