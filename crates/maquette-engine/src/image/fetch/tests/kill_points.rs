//! Killed before every program that the shell calls which fetches an image.

use super::servers::Place;
use super::*;
use crate::dying_host::{Dying, Programs, every_point, sparser, stride};

/// What is run by a confined shell has none of this in its environment, and no points.
const CALLED: [&str; 22] = [
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
    "env",
    "cmp",
    "sha256sum",
    "dirname",
    "sleep",
];

/// Whatever a run leaves that is killed, the next one ends with the whole image, and with
/// nothing beside it. `prepare` makes what there is before each run.
fn killed_before_every_program(
    name: &str,
    place: &Place,
    source: &str,
    prepare: &dyn Fn(),
    least: usize,
) {
    let records = tempfile::tempdir().unwrap();
    let transfer = Transfer {
        records: records.path().display().to_string(),
        limits: Limits { stall: 2, patience: 30, ..Limits::default() },
        ..Transfer::default()
    };
    let fetched = |host: &dyn Host| bring_to(host, &transfer, source, place.pool.path(), None);
    let run = |host: &Dying<'_>| {
        prepare();
        fetched(host).is_ok()
    };
    let judge = |said: &str| {
        fetched(&Local).unwrap_or_else(|e| panic!("{said}: {e:?}"));
        assert_eq!(left(place.pool.path()), ["v.qcow2"], "{said}");
        let brought = fs::read(place.pool.path().join("v.qcow2")).unwrap();
        match source.starts_with('/') {
            true => assert!(brought.starts_with(b"QFI\xfb"), "{said}"),
            false => assert!(brought == place.content, "{said}: it is not what was offered"),
        }
        // No image without a record: nobody would ever remove it.
        assert_eq!(left(records.path()).len(), 1, "{said}");
        place.clear();
        fs::remove_file(records.path().join(&left(records.path())[0])).unwrap();
    };
    let programs = Programs::as_functions(&CALLED);
    let points = every_point(name, &programs, &run, &judge, stride(2));
    assert!(points >= least / sparser(), "only {points} points");
}

#[test]
fn killed_before_every_program_a_packed_image_with_a_sum_is_whole() {
    let place = Place::new();
    place.pack("gzip", "a.qcow2", "a.gz");
    let sum = checksum::sha256(&place.here.path().join("a.gz")).unwrap();
    let source = place.server.url(&format!("etag/a.gz#sha256:{sum}"));
    killed_before_every_program("a packed image with a sum", &place, &source, &|| (), 20);
}

#[test]
fn killed_before_every_program_an_image_that_is_gone_on_with_is_whole() {
    let place = Place::new();
    let half = || place.half(&place.content[..place.content.len() / 2], &place.tag());
    let source = place.server.url("etag/a.qcow2");
    killed_before_every_program("an image that is gone on with", &place, &source, &half, 20);
}

#[test]
fn killed_before_every_program_a_raw_file_that_is_pushed_is_whole() {
    let place = Place::new();
    let file = place.here.path().join("a.img");
    raw(&file);
    let source = file.display().to_string();
    killed_before_every_program("a raw file that is pushed", &place, &source, &|| (), 15);
}

/// What `copy` and `customize` do, with a stand-in for virt-customize that changes the image and is killed in its middle, too.
/// The image as it comes is there before, as it is where another node type has it.
#[test]
fn killed_before_every_program_a_customized_image_is_whole_and_customized() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let records = tempfile::tempdir().unwrap();
    let path = here.path().join("a.qcow2");
    image(&path, "1G");
    let called: Vec<&str> = CALLED.into_iter().chain(["cp", "grep", "timeout"]).collect();
    let programs = Programs::as_functions(&called);
    let text = "count\nfor word; do case $word in *.part.new) qemu-img resize -q \"$word\" 2G ;; esac; done\ncount\n";
    programs.quiet("virt-customize", text);
    let transfer =
        Transfer { records: records.path().display().to_string(), ..Transfer::default() };
    let source = path.display().to_string();
    let customized = |host: &dyn Host| {
        let context =
            StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
        let image =
            Image { source: source.clone(), volume: "v.qcow2".parse().unwrap() }.customized();
        let path = pool.path().display().to_string().parse().unwrap();
        let pool = Pool { name: "p".parse().unwrap(), path };
        fetch(host, &transfer, &image, &pool, None, &|| Ok(true), &context)
    };
    for there in [true, false] {
        let prepare = || {
            for name in left(pool.path()) {
                fs::remove_file(pool.path().join(name)).unwrap();
            }
            if there {
                fs::copy(&path, pool.path().join("v.qcow2")).unwrap();
            }
        };
        let run = |host: &Dying<'_>| {
            prepare();
            customized(host).is_ok()
        };
        let judge = |said: &str| {
            let host = Dying::new(&programs, None);
            customized(&host).unwrap_or_else(|e| panic!("{said}: {e:?}"));
            let all: &[&str] =
                if there { &["v.customized.qcow2", "v.qcow2"] } else { &["v.customized.qcow2"] };
            assert_eq!(left(pool.path()), all, "{said}");
            let size = |name: &str| {
                let file = pool.path().join(name);
                virtual_size(&Local, file.to_str().unwrap()).unwrap()
            };
            assert_eq!(size("v.customized.qcow2"), 2 << 30, "{said}");
            assert!(!there || size("v.qcow2") == 1 << 30, "{said}");
            assert_eq!(left(records.path()).len(), 1, "{said}");
            fs::remove_file(records.path().join(&left(records.path())[0])).unwrap();
        };
        let name = if there { "an image that is copied" } else { "an image that is customized" };
        let points = every_point(name, &programs, &run, &judge, stride(2));
        assert!(points >= 12 / sparser(), "only {points} points");
    }
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
    let limits = Limits { stall: 30, patience: 30, ..Limits::default() };
    let transfer = Transfer { limits, ..Transfer::default() };
    let fetched =
        |host: &dyn Host, source: &str| bring_to(host, &transfer, source, place.pool.path(), None);
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
