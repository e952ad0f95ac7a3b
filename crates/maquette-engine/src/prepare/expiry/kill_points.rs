//! The removal of what has expired, killed before every program that it calls: the next looks go on with it, nothing of the
//! environment is left, and nothing of others is touched.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;

use super::stand_ins::{NOW, Place};
use crate::dying_host::{Dying, Programs, points_of, sparser, stride};
use crate::host::{Command, Host};

/// Programs that change something. All that libvirt is asked is a point, too.
const CALLED: [&str; 5] = ["mkdir", "flock", "rm", "mv", "sync"];

/// An environment that has expired, beside one that has not, a copy of a node, and what is nobody's environment.
fn scene() -> Place {
    let place = Place::new();
    place.node("lab-web-0", "lab", "lab-web-0-disk1.qcow2");
    place.recorded("lab-web-1", ("lab", "1"), "lab-web-1-data.qcow2");
    place.node("keep", "lab", "lab-web-0-disk1.qcow2");
    place.write("disks/keep", " vda   /x/keep.qcow2\n");
    place.node("qa-web-0", "qa", "qa-web-0-disk1.qcow2");
    place.write("domains/stranger", "");
    let tenant = "<maquette:tenant node=\"lab-db-0\" pool=\"images\" pool-path=\"/x\">\
                  <maquette:volume name=\"lab-db-0-disk1.qcow2\"/></maquette:tenant>";
    place.network("lab-lan", "lab", tenant);
    let made = "<maquette:tenant node=\"lab-db-1\" pool=\"images\" pool-path=\"/x\"><maquette:volume \
                name=\"lab-db-1-disk1.qcow2\" pool=\"own\" pool-path=\"/own\" pool-made=\"true\"/></maquette:tenant>";
    place.network("lab-own", "lab", made);
    place.write("pools/own", "<pool><path>/own</path></pool>");
    place.network("lab-data", "lab", "");
    place.network("qa-lan", "qa", "");
    let clone = place.overlay("clone.qcow2", "/x/lab-web-1-data.qcow2");
    place.write("disks/stranger", &format!(" vda   {clone}\n"));
    let volumes = [
        "lab-web-0-disk1.qcow2",
        "lab-web-0-disk1.before it",
        "lab-web-0-seed.img",
        "lab-web-1-data.qcow2",
        "lab-web-1-seed.img",
        "lab-db-0-disk1.qcow2",
        "qa-web-0-disk1.qcow2",
        "precious.qcow2",
    ];
    let all = volumes.map(|v| format!("images/{v}\n")).concat();
    place.write("volumes", &format!("{all}own/lab-db-1-disk1.qcow2\n"));
    let bmc = "bmc/environment.lab";
    fs::create_dir_all(place.at(bmc)).unwrap();
    fs::create_dir_all(place.at("programs/environment.lab")).unwrap();
    for file in ["bmc/environment.lab/bmcs", "programs/environment.lab/maquette"] {
        place.write(file, "");
    }
    place.write(&format!("{bmc}/bmc.sh"), include_str!("../../../assets/bmc.sh"));
    // A user that is gone: whatever there was of him, the record has no use any more.
    fs::create_dir_all(place.at("forwarding")).unwrap();
    let gone = "user nosuchuser\nfile /nonexistent/.ssh/authorized_keys\nline x maquette:lab@hv\nmade file\n";
    place.write("forwarding/environment.lab", gone);
    place.write("forwarding/environment.qa", gone);
    place.note("lab", NOW);
    // Whoever logs in is told of this one.
    place.note("qa", NOW + 600);
    place
}

fn names(place: &Place, directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(place.at(directory)).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn look(place: &Place, host: &dyn Host) -> bool {
    let at = |name: &str| place.at(name).display().to_string();
    let command = Command::new("sh").arg(at("expire.sh")).arg("once").env("STAND_IN", &at("virsh"));
    let command = command.env("MAQUETTE_NOTES", &at("notes")).env("MAQUETTE_LOCKS", &at("locks"));
    let command = command.env("MAQUETTE_MOTD", &at("motd")).env("MAQUETTE_BMCS", &at("bmc"));
    // The setting, which whoever builds environments may have in theirs, is about something else.
    let command = command.env("MAQUETTE_BMC", "both");
    let command =
        command.env("MAQUETTE_SYSTEMD", "/nonexistent").env("MAQUETTE_UNITS", &at("units"));
    let command = command.env("MAQUETTE_PROGRAMS", &at("programs"));
    let command = command.env("MAQUETTE_FORWARDING", &at("forwarding"));
    let command = command.env("MAQUETTE_IMAGES", &at("images")).env("MAQUETTE_APART", "0");
    let output = host.run(&command, &mut |_| {});
    output.is_ok_and(|output| output.status == Some(0))
}

fn judge(place: &Place, programs: &Programs, said: &str) {
    let whole = Dying::new(programs, None);
    // One look sees that the time is up, and one that it still is.
    for _ in 0..2 {
        assert!(look(place, &whole), "{said}");
    }
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect();
    assert_eq!(names(place, "domains"), all(&["keep", "qa-web-0", "stranger"]), "{said}");
    assert_eq!(names(place, "networks"), all(&["qa-lan"]), "{said}");
    let volumes = fs::read_to_string(place.at("volumes")).unwrap();
    let stay = ["lab-web-1-data.qcow2", "qa-web-0-disk1.qcow2", "precious.qcow2"];
    assert_eq!(volumes, stay.map(|v| format!("images/{v}\n")).concat(), "{said}");
    assert_eq!(names(place, "pools"), all(&[]), "{said}");
    assert_eq!(names(place, "notes"), all(&["environment.qa"]), "{said}");
    assert_eq!(names(place, "bmc"), all(&[]), "{said}");
    assert_eq!(names(place, "programs"), all(&[]), "{said}");
    assert_eq!(names(place, "forwarding"), all(&["environment.qa"]), "{said}");
    assert_eq!(place.kept(), ["/x/lab-web-1-data.qcow2\ndisk\n"], "{said}");
    assert_eq!(names(place, "motd"), all(&["maquette"]), "{said}");
    // Locks that nobody holds are taken by whoever comes next.
    let mut locks = names(place, "locks");
    locks.retain(|name| !["environment.lab", "environment.lab.busy"].contains(&name.as_str()));
    assert_eq!(locks, all(&[]), "{said}");
    assert!(!place.at("off/domains/stranger").exists(), "{said}");
    let done = fs::read_to_string(place.at("done")).unwrap();
    for touched in ["keep", "stranger", "qa-", "precious", "unknown"] {
        assert!(!done.contains(touched), "{said}: {done}");
    }
}

/// In so many tests, each of which takes less than a minute.
const PARTS: usize = 6;

#[test]
fn killed_before_every_call_what_has_expired_goes_and_nothing_else_does_1() {
    part(0);
}

#[test]
fn killed_before_every_call_what_has_expired_goes_and_nothing_else_does_2() {
    part(1);
}

#[test]
fn killed_before_every_call_what_has_expired_goes_and_nothing_else_does_3() {
    part(2);
}

#[test]
fn killed_before_every_call_what_has_expired_goes_and_nothing_else_does_4() {
    part(3);
}

#[test]
fn killed_before_every_call_what_has_expired_goes_and_nothing_else_does_5() {
    part(4);
}

#[test]
fn killed_before_every_call_what_has_expired_goes_and_nothing_else_does_6() {
    part(5);
}

fn part(part: usize) {
    let programs = Programs::new(&CALLED);
    // What the stand-in calls is no point.
    let own = "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nunset KILLED_HOME\n";
    programs.add("date", &format!("echo {NOW}\n"));
    // The real one has a group of its own, which would die by itself. All of `virsh` is called by it, and needs no shell more.
    let virsh = format!("shift\ncount\n{own}. \"$STAND_IN\"\n");
    let timeout =
        format!("[ \"$1\" != -s ] || shift 2\nshift\n[ \"$1\" = virsh ] || exec \"$@\"\n{virsh}");
    programs.quiet("timeout", &timeout);
    let place = RefCell::new(scene());
    let run = |host: &Dying<'_>| {
        *place.borrow_mut() = scene();
        let place = place.borrow();
        look(&place, host) && look(&place, host)
    };
    let judge = |said: &str| judge(&place.borrow(), &programs, said);
    let points = points_of((part, PARTS), "expiry", &programs, &run, &judge, stride(4));
    assert!(sparser() > 1 || points * PARTS >= 20, "only {points} points in part {part}");
}
