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

/// curl in the background, and the end of all that is at work here once nearly as much has come as a server sends
/// before it says nothing more: curl writes in blocks.
const DIES: &str = r#"for word; do
    case $last in --output) out=$word ;; --dump-header) headers=$word ;; esac
    last=$word
done
exec 5<&0
@CURL@ "$@" <&5 &
while kill -0 $! 2>/dev/null; do
    if [ -s "$headers" ] && [ "$(stat -c %s -- "$out" 2>/dev/null || echo 0)" -ge @BYTES@ ]; then kill -9 0; fi
    sleep 0.02
done
wait $!
"#;

/// Killed at the n-th byte of a transfer: the next run goes on from there.
#[test]
fn killed_in_the_middle_of_a_transfer_the_next_run_goes_on() {
    let place = Place::new();
    let curl = ["/usr/bin/curl", "/bin/curl"].into_iter().find(|file| Path::new(file).exists());
    let fetched = |host: &dyn Host, source: &str| {
        let context = StepContext { progress: &|_| {}, cancelled: &AtomicBool::new(false) };
        let image = Image { source: source.into(), volume: "v.qcow2".into() };
        let pool = Pool { name: "p".into(), path: place.pool.path().display().to_string() };
        let limits = Limits { stall: 30, patience: 30 };
        let transfer = Transfer { limits, ..Transfer::default() };
        fetch(host, &transfer, &image, &pool, None, &|| Ok(true), &context)
    };
    let total = place.content.len();
    let points = [1, 4096, 4097, 16_384, 65_537, total / 2, total - 4096, total - 1];
    for bytes in points {
        let dies = DIES.replace("@CURL@", curl.unwrap());
        let dies = dies.replace("@BYTES@", &(bytes.saturating_sub(4096)).to_string());
        let programs = Programs::new(&[]);
        programs.quiet("curl", &dies);
        let url = place.server.url(&format!("hold/a.qcow2?{bytes}"));
        let said = format!("killed at byte {bytes} of {total}");
        assert!(fetched(&Dying::new(&programs, None), &url).is_err(), "{said}: it was not killed");
        assert!(!place.pool.path().join("v.qcow2").exists(), "{said}");
        let came = fs::metadata(place.pool.path().join(".v.qcow2.part")).map_or(0, |m| m.len());
        assert!(came <= bytes as u64 && came + 8192 > bytes as u64, "{said}: {came} came");
        place.server.codes();
        fetched(&Local, &place.server.url("etag/a.qcow2"))
            .unwrap_or_else(|e| panic!("{said}: {e:?}"));
        let code = if came == 0 { "200" } else { "206" };
        assert_eq!(place.server.codes(), [code], "{said}");
        assert!(fs::read(place.pool.path().join("v.qcow2")).unwrap() == place.content, "{said}");
        assert_eq!(left(place.pool.path()), ["v.qcow2"], "{said}");
        place.clear();
    }
    println!("transfer: killed at {} points", points.len());
}
