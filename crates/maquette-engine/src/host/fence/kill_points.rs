//! The lock's own script, killed before every program that it calls: the next run has the lock, and nothing is
//! left once that is through.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::super::lock::{Lock, Patience, directory};
use super::*;
use crate::dying_host::{Dying, Programs, every_point, sparser, stride};
use crate::host::Local;

fn take(host: &dyn Host, name: &str, patience: Patience) -> Option<Lock> {
    let lost = Arc::new(AtomicBool::new(false));
    Lock::acquire(host, name, "ann", patience, &lost, &mut |_| {}).ok()
}

#[test]
fn killed_before_every_program_a_lock_can_be_had_again() {
    let called =
        ["mkdir", "flock", "stat", "date", "grep", "sed", "timeout", "head", "touch", "rm", "cat"];
    let programs = Programs::new(&called);
    let name = format!("points-{}", std::process::id());
    let gone = || {
        let all = std::fs::read_dir(directory()).unwrap().flatten();
        all.map(|e| e.file_name().display().to_string()).all(|n| !n.starts_with(&name))
    };
    let patient = Patience { wait: 20, take_over: false };
    let judge = |said: &str| {
        let lock = take(&Local, &name, patient).unwrap_or_else(|| panic!("{said}: it is not free"));
        let fenced = lock.fence(&Local);
        let output = fenced.run(&Command::new("true"), &mut |_| {});
        assert_eq!(output.unwrap_or_else(|e| panic!("{said}: {e}")).status, Some(0), "{said}");
        drop(lock);
        assert!(gone(), "{said}: something is left");
    };
    let free = |host: &Dying<'_>| {
        // Its end is part of it.
        take(host, &name, patient).map(drop).is_some()
    };
    let over = |host: &Dying<'_>| {
        let first = take(&Local, &name, patient);
        let second = take(host, &name, Patience { wait: 0, take_over: true });
        let had = second.is_some();
        drop((second, first));
        had
    };
    let mut total = every_point("a free lock", &programs, &free, &judge, stride(1));
    total += every_point("a lock that is taken over", &programs, &over, &judge, stride(1));
    // What is fenced is done wholly or not at all, and holds nobody up.
    let command = |host: &Dying<'_>| {
        let Some(lock) = take(&Local, &name, patient) else { return false };
        let fenced = lock.fence(host);
        let done = fenced.run(&Command::new("cat").arg("/dev/null"), &mut |_| {});
        done.is_ok_and(|output| output.status == Some(0))
    };
    total += every_point("a fenced command", &programs, &command, &judge, stride(1));
    println!("lock: killed at {total} points");
    assert!(total >= 20 / sparser(), "only {total} points");
}
