//! Killed before every program that is called while a template is made or a node's copy of its memory.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::dying_host::{Dying, Programs, every_point, sparser, stride};
use crate::host::Local;
use crate::image::{Limits, sweep};

const CALLED: [&str; 18] = [
    "mktemp", "mkfifo", "rm", "stat", "flock", "chmod", "chown", "mv", "cat", "sync", "mkdir",
    "head", "tr", "cp", "base64", "dd", "sleep", "dirname",
];
const MEMORY: &str = "maquette-warm-a.save";
const DISK: &str = "maquette-warm-a.qcow2";
const SEED: &str = "maquette-warm-a-seed.img";

fn left(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What is put in place was whole, and recorded before it was there; the next run makes what is not.
#[test]
fn killed_before_every_program_a_template_is_whole_or_made_again() {
    let (pool, records) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let transfer = Transfer {
        records: records.path().display().to_string(),
        limits: Limits { stall: 2, patience: 30, ..Limits::default() },
        ..Transfer::default()
    };
    let cancelled = AtomicBool::new(false);
    let context = StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &cancelled };
    let directory = pool.path().display().to_string();
    let made = |host: &dyn Host| -> Result<(), StepError> {
        let Some(making) = begin(host, &transfer, &directory, (MEMORY, DISK, SEED), &context)?
        else {
            return Ok(());
        };
        // As libvirt does, to which nothing happens when a run is killed.
        fs::write(pool.path().join(DISK), "disk").unwrap();
        fs::write(making.part(), "memory").unwrap();
        making.place()
    };
    let run = |host: &Dying<'_>| made(host).is_ok();
    let judge = |said: &str| {
        made(&Local).unwrap_or_else(|e| panic!("{said}: {e:?}"));
        assert_eq!(left(pool.path()), [DISK, MEMORY], "{said}");
        assert_eq!(fs::read_to_string(pool.path().join(MEMORY)).unwrap(), "memory", "{said}");
        assert_eq!(left(records.path()).len(), 2, "{said}");
        for directory in [&pool, &records] {
            for name in left(directory.path()) {
                fs::remove_file(directory.path().join(name)).unwrap();
            }
        }
    };
    let points =
        every_point("a template", &Programs::as_functions(&CALLED), &run, &judge, stride(1));
    assert!(points >= 15 / sparser(), "only {points} points");
}

/// A copy has the node's name and keys nothing from the next one, nor from whoever tidies up.
#[test]
fn killed_before_every_program_a_copy_is_made_again_and_leaves_nothing() {
    let pool = tempfile::tempdir().unwrap();
    let path = |name: &str| pool.path().join(name).display().to_string();
    fs::write(path(MEMORY), "old memory").unwrap();
    let name = path(".maquette-warm-a.web-0.qcow2.part");
    let patches = [Patch { at: 0, bytes: b"new".into() }, Patch { at: 4, bytes: b"M".into() }];
    let made = |host: &dyn Host| Copy::make(host, &path(MEMORY), &name, &patches);
    let run = |host: &Dying<'_>| made(host).is_ok();
    let turn = AtomicBool::new(false);
    let judge = |said: &str| {
        if turn.fetch_xor(true, Ordering::SeqCst) {
            let copy = made(&Local).unwrap_or_else(|e| panic!("{said}: {e:?}"));
            assert_eq!(fs::read_to_string(copy.path()).unwrap(), "new Memory", "{said}");
        } else {
            sweep(&Local, &pool.path().display().to_string()).unwrap();
        }
        assert_eq!(left(pool.path()), [MEMORY], "{said}");
        assert_eq!(fs::read_to_string(path(MEMORY)).unwrap(), "old memory", "{said}");
    };
    let points = every_point("a copy", &Programs::as_functions(&CALLED), &run, &judge, stride(1));
    assert!(points >= 6 / sparser(), "only {points} points");
}
