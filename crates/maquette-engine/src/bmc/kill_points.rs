//! Bringing the program, serving, forgetting and stopping, killed before every program that the script calls: the next run ends
//! with one process that serves what was asked for, or with nothing.

use std::fs;
use std::path::Path;

use super::tests::{Place, STAND_IN};
use super::*;
use crate::dying_host::{Dying, Programs, every_point, sparser, stride};
use crate::host::Output;

/// Programs that change something. What is asked again and again has no points.
const CALLED: [&str; 10] =
    ["mkdir", "rm", "mv", "cp", "sync", "chmod", "ln", "sha256sum", "setsid", "rmdir"];

const NODES: [&str; 2] = ["a-0", "a-1"];

fn call(place: &Place, host: &dyn Host, what: &str, more: &[&str]) -> Option<Output> {
    let directory = place.at("environment.lab");
    let words = [what, &directory, "maquette-bmc-lab.service"];
    let command = Command::script(SCRIPT, words.into_iter().chain(more.iter().copied()))
        .env("MAQUETTE_SYSTEMD", "/nonexistent")
        .env("MAQUETTE_PROGRAMS", &place.programs())
        .env("MAQUETTE_UNITS", &place.units());
    host.run(&command, &mut |_| {}).ok().filter(|output| output.status == Some(0))
}

/// What `serve` does, by the same calls.
fn serve(place: &Place, host: &dyn Host, nodes: &[&str]) -> Option<Output> {
    let digest = format!("{:x}", Sha256::digest(STAND_IN));
    if call(place, host, "program", &[&digest])?.stdout != "there\n" {
        let new = place.at("environment.lab/maquette.new");
        fs::write(new, STAND_IN).unwrap();
        call(place, host, "install", &[&digest])?;
    }
    place.told("lab", nodes);
    call(place, host, "serve", &[])
}

/// Processes that serve an environment.
fn serving(place: &Place) -> usize {
    let (program, directory) = (place.program_of("lab"), place.at("environment.lab"));
    let serves = |line: &[u8]| {
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.contains(&program.as_os_str().as_encoded_bytes())
            && words.contains(&directory.as_bytes())
    };
    let lines = fs::read_dir("/proc").unwrap().flatten();
    lines.filter(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|l| serves(&l))).count()
}

/// One that was told to end may be there for a moment more.
fn settles(place: &Place, count: usize, said: &str) {
    let mut seen = serving(place);
    for _ in 0..100 {
        if seen == count {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        seen = serving(place);
    }
    assert_eq!(seen, count, "{said}: processes that serve");
}

fn is_gone(place: &Place, said: &str) {
    settles(place, 0, said);
    assert!(!Path::new(&place.at("environment.lab")).exists(), "{said}");
    assert!(!place.program_of("lab").parent().unwrap().exists(), "{said}");
}

/// Serves one node, then two; or goes on from two. `finish` is what the next run does after each death.
fn points(
    name: &str,
    run: &dyn Fn(&Place, &dyn Host) -> bool,
    finish: &dyn Fn(&Place, &str),
    least: usize,
) {
    let place = Place::new();
    let programs = Programs::as_functions(&CALLED);
    let run = |host: &Dying<'_>| run(&place, host);
    let judge = |said: &str| {
        finish(&place, said);
        assert!(call(&place, &crate::host::Local, "stop", &[]).is_some(), "{said}");
        is_gone(&place, said);
    };
    let points = every_point(name, &programs, &run, &judge, stride(1));
    assert!(points >= least / sparser(), "only {points} points");
}

#[test]
fn killed_before_every_program_bmcs_are_served_by_one_process_in_the_end() {
    let run = |place: &Place, host: &dyn Host| {
        serve(place, host, &NODES[..1]).is_some() && serve(place, host, &NODES).is_some()
    };
    let finish = |place: &Place, said: &str| {
        assert!(serve(place, &crate::host::Local, &NODES).is_some(), "{said}");
        assert!(place.seen().ends_with("a-0 a-1 "), "{said}: {}", place.seen());
        assert!(Path::new(&place.at("environment.lab/served")).exists(), "{said}");
        settles(place, 1, said);
        assert!(!Path::new(&place.at("environment.lab/maquette.new")).exists(), "{said}");
    };
    points("BMCs are served", &run, &finish, 26);
}

#[test]
fn killed_before_every_program_a_bmc_is_forgotten_and_the_others_are_served() {
    let run = |place: &Place, host: &dyn Host| {
        let live = crate::host::Local;
        serve(place, &live, &NODES).is_some() && call(place, host, "forget", &["a-0"]).is_some()
    };
    let finish = |place: &Place, said: &str| {
        assert!(call(place, &crate::host::Local, "forget", &["a-0"]).is_some(), "{said}");
        assert!(place.seen().ends_with(" a-1 "), "{said}: {}", place.seen());
        settles(place, 1, said);
    };
    points("a BMC is forgotten", &run, &finish, 12);
}

#[test]
fn killed_before_every_program_the_last_bmc_goes_with_all_that_was_brought() {
    let run = |place: &Place, host: &dyn Host| {
        let live = crate::host::Local;
        serve(place, &live, &NODES).is_some()
            && call(place, host, "forget", &["a-0", "a-1"]).is_some()
    };
    let finish = |place: &Place, said: &str| {
        assert!(call(place, &crate::host::Local, "forget", &NODES).is_some(), "{said}");
        is_gone(place, said);
    };
    points("the last BMC is forgotten", &run, &finish, 18);
}
