//! Killed before every program that the shell calls which fetches an image.

use super::servers::Place;
use super::*;
use crate::dying_host::{Dying, Programs, every_point};

const CALLED: [&str; 26] = [
    "mktemp",
    "mkfifo",
    "rm",
    "stat",
    "flock",
    "curl",
    "chmod",
    "chown",
    "mv",
    "head",
    "od",
    "tr",
    "awk",
    "cat",
    "sync",
    "mkdir",
    "id",
    "setpriv",
    "prlimit",
    "env",
    "qemu-img",
    "gzip",
    "cmp",
    "sha256sum",
    "dirname",
    "sleep",
];

/// Faults H1, H6, M7: whatever a run leaves that is killed, the next one ends with the whole image, and with
/// nothing beside it.
#[test]
fn killed_before_every_program_the_next_run_ends_well() {
    let place = Place::new();
    let records = tempfile::tempdir().unwrap();
    let packed = std::process::Command::new("gzip")
        .arg("-c")
        .arg(place.here.path().join("a.qcow2"))
        .output()
        .unwrap();
    fs::write(place.here.path().join("a.gz"), packed.stdout).unwrap();
    raw(&place.here.path().join("a.img"));
    let sum = checksum::sha256(&place.here.path().join("a.gz")).unwrap();
    let programs = Programs::new(&CALLED);
    let total: usize = [
        ("a packed image with a sum", place.server.url(&format!("etag/a.gz#sha256:{sum}"))),
        ("an image that is gone on with", place.server.url("etag/a.qcow2")),
        ("a raw file that is pushed", place.here.path().join("a.img").display().to_string()),
    ]
    .iter()
    .map(|(name, source)| {
        let transfer = Transfer {
            records: records.path().display().to_string(),
            limits: Limits { stall: 2, patience: 30 },
            ..Transfer::default()
        };
        let fetched = |host: &dyn Host| {
            let context = StepContext { progress: &|_| {}, cancelled: &AtomicBool::new(false) };
            let image = Image { source: source.clone(), volume: "v.qcow2".into() };
            let pool = Pool { name: "p".into(), path: place.pool.path().display().to_string() };
            fetch(host, &transfer, &image, &pool, None, &|| Ok(true), &context)
        };
        let run = |host: &Dying<'_>| {
            if name.contains("gone on") {
                place.half(&place.content[..place.content.len() / 2], &place.tag());
            }
            fetched(host).is_ok()
        };
        let judge = |said: &str| {
            fetched(&Local).unwrap_or_else(|e| panic!("{said}: {e:?}"));
            assert_eq!(left(place.pool.path()), ["v.qcow2"], "{said}");
            let brought = fs::read(place.pool.path().join("v.qcow2")).unwrap();
            match name.contains("raw") {
                true => assert!(brought.starts_with(b"QFI\xfb"), "{said}"),
                false => assert!(brought == place.content, "{said}: it is not what was offered"),
            }
            // No image without a record: nobody would ever remove it.
            assert_eq!(left(records.path()).len(), 1, "{said}");
            place.clear();
            fs::remove_file(records.path().join(&left(records.path())[0])).unwrap();
        };
        every_point(name, &programs, &run, &judge, 1)
    })
    .sum();
    println!("fetch: killed at {total} points");
    assert!(total >= 60, "only {total} points");
}
