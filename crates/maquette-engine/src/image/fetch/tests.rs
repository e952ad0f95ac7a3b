use std::fs;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::dying_host::{Dying, Programs};
use crate::host::Local;

mod confined;
mod customize;
mod encrypted;
mod kill_points;
mod look;
mod relay;
mod servers;
mod slow;

fn image(path: &Path, size: &str) {
    let format = ["create", "-q", "-f", "qcow2", path.to_str().unwrap(), size];
    check(&Local, &Command::new("qemu-img").args(format)).unwrap();
}

fn bring(source: &str, pool: &Path, smallest: Option<u64>) -> Result<(), StepError> {
    bring_to(&Local, &Transfer::default(), source, pool, smallest)
}

fn bring_to(
    host: &dyn Host,
    transfer: &Transfer,
    source: &str,
    pool: &Path,
    smallest: Option<u64>,
) -> Result<(), StepError> {
    let context =
        StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
    let image = Image { source: source.into(), volume: "v.qcow2".parse().unwrap() };
    let pool =
        Pool { name: "p".parse().unwrap(), path: pool.display().to_string().parse().unwrap() };
    fetch(host, transfer, &image, &pool, smallest, &|| Ok(true), &context).map(|_| ())
}

#[test]
fn a_file_arrives_whole_and_leaves_nothing_beside() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.qcow2");
    image(&path, "1G");
    bring(path.to_str().unwrap(), pool.path(), Some(1 << 30)).unwrap();
    let names: Vec<_> =
        fs::read_dir(pool.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["v.qcow2"]);
    assert_eq!(fs::read(path).unwrap(), fs::read(pool.path().join("v.qcow2")).unwrap());
}

/// What was pushed was taken for what was sent.
#[test]
fn a_copy_that_was_damaged_on_its_way_is_not_used() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.img");
    raw(&path);
    let programs = Programs::new(&[]);
    // A connection that loses what a disk can do without: it would be converted without a complaint.
    programs.quiet("cat", "head -c 1048064\nhead -c 512 /dev/zero | tr '\\0' x\n");
    let host = Dying::new(&programs, None);
    let transfer = Transfer { remote: true, ..Transfer::default() };
    let source = path.to_str().unwrap();
    let error = bring_to(&host, &transfer, source, pool.path(), None).unwrap_err();
    assert!(error.message.contains("does not match its checksum"), "{error:?}");
    assert!(left(pool.path()).is_empty(), "{:?}", left(pool.path()));
}

/// A disk with a boot sector.
fn raw(path: &Path) {
    let mut bytes = vec![0u8; 1 << 20];
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs::write(path, bytes).unwrap();
}

fn left(pool: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(pool)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The next run that named the file had what it was called by, and another content.
#[test]
fn a_file_that_was_replaced_since_it_was_named_is_not_used() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.qcow2");
    image(&path, "1G");
    let context =
        StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
    let into = Pool {
        name: "p".parse().unwrap(),
        path: pool.path().display().to_string().parse().unwrap(),
    };
    for remote in [false, true] {
        let volume = super::super::source::resolve(path.to_str().unwrap(), Path::new("/nowhere"));
        let named = volume.unwrap().image;
        image(&path, if remote { "2G" } else { "3G" });
        let transfer = Transfer { remote, ..Transfer::default() };
        let bring = |image| fetch(&Local, &transfer, image, &into, None, &|| Ok(true), &context);
        let error = bring(&named).unwrap_err();
        assert!(error.message.ends_with("was changed meanwhile"), "{error:?}");
        assert!(left(pool.path()).is_empty(), "{:?}", left(pool.path()));
        let volume = super::super::source::resolve(path.to_str().unwrap(), Path::new("/nowhere"));
        let named = volume.unwrap().image;
        bring(&named).unwrap();
        assert_eq!(left(pool.path()), [named.volume.as_str()]);
        fs::remove_file(pool.path().join(named.volume.as_str())).unwrap();
    }
}

/// Whoever found an address with the same first digits had his image taken for it, in every environment.
#[test]
fn an_image_that_has_the_name_of_another_is_told_by_its_record() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let records = here.path().join("records");
    let transfer = Transfer { records: records.display().to_string(), ..Transfer::default() };
    let at = |volume: &str| {
        let target = pool.path().join(volume).display().to_string();
        (record_of(&transfer.records, &target), target)
    };
    let (record, target) = at("v.qcow2");
    fs::create_dir(&records).unwrap();
    fs::write(&target, "").unwrap();
    let source = "https://h.example/x.qcow2";
    let bring = || bring_to(&Local, &transfer, source, pool.path(), None);
    let own = super::super::source::resolve(source, Path::new("/nowhere")).unwrap().identity;
    for (second, fits) in [
        ("".to_string(), true),
        (format!("of {own}\n"), true),
        (format!("of {}\n", "0".repeat(64)), false),
    ] {
        fs::write(&record, format!("{target}\n{second}")).unwrap();
        match bring() {
            Ok(()) => assert!(fits, "{second}"),
            Err(error) => {
                assert!(!fits && error.message.contains("is another image than"), "{error:?}");
            }
        }
    }
    // What is brought is recorded with it.
    let path = here.path().join("a.qcow2");
    image(&path, "1G");
    let source = path.to_str().unwrap();
    let resolved = super::super::source::resolve(source, Path::new("/nowhere")).unwrap();
    let context =
        StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
    let directory = pool.path().display().to_string().parse().unwrap();
    let into = Pool { name: "p".parse().unwrap(), path: directory };
    fetch(&Local, &transfer, &resolved.image, &into, None, &|| Ok(true), &context).unwrap();
    let (record, target) = at(resolved.image.volume.as_str());
    assert_eq!(
        fs::read_to_string(record).unwrap(),
        format!("{target}\nof {}\n", resolved.identity)
    );
}

/// Each counted on the room that the other one was going to take.
#[test]
fn what_is_uploaded_or_converted_has_its_room_as_downloads_have() {
    use std::os::unix::fs::PermissionsExt;
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // What converts may be nobody.
    fs::set_permissions(here.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let held = here.path().join("held");
    let mut mkfifo = std::process::Command::new("mkfifo");
    assert!(mkfifo.args(["-m", "666"]).arg(&held).status().unwrap().success());
    let programs = Programs::new(&[]);
    programs.quiet("qemu-img", &format!("read -r line <{}\n", held.display()));
    fs::set_permissions(programs.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    servers::with_room(&programs, 500);
    let host = Dying::new(&programs, None);
    let cancelled = AtomicBool::new(false);
    let context = StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &cancelled };
    let at = |name: &str| place(&pool.path().display().to_string(), name, &Transfer::default());
    let quiet = &mut |_: &str| {};
    let (mut first, _) = FetchShell::start(&host, &at("a"), &context).unwrap();
    let (mut second, _) = FetchShell::start(&host, &at("b"), &context).unwrap();
    let mut fits = |bytes: u32| {
        let answer = second.order(&format!("fits {bytes}"), &mut |_| {}).unwrap();
        // It only asks, and takes nothing.
        let _ = fs::remove_file(pool.path().join(".b.part.claim"));
        answer
    };
    // Of 500 blocks of 4 KiB, a tenth stays free.
    assert!(first.order("fits 1000000", quiet).unwrap().is_done());
    assert_eq!((fits(900_000).status(), fits(900_000).word(2)), ("large", "843200"));
    // What has come of it takes none of it any more: it is not free.
    fs::write(pool.path().join(".a.part-7"), [0; 400_000]).unwrap();
    assert!(fits(900_000).is_done());
    assert!(first.order("take 7", quiet).unwrap().is_done());
    drop(first);
    let converting = || {
        let context = StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &cancelled };
        let (mut converting, _) = FetchShell::start(&host, &at("c"), &context).unwrap();
        fs::write(pool.path().join(".c.part"), [0; 100]).unwrap();
        converting.order("convert 1000000", &mut |_| {}).unwrap()
    };
    std::thread::scope(|scope| {
        let converted = scope.spawn(converting);
        // Until it is open at the other end.
        let mut go = fs::OpenOptions::new().write(true).open(&held).unwrap();
        assert_eq!(fits(900_000).word(2), "843200");
        std::io::Write::write_all(&mut go, b"go\n").unwrap();
        assert!(converted.join().unwrap().is_done());
    });
    assert!(fits(900_000).is_done());
}

/// Whoever is between the two sees what was to be encrypted.
#[test]
fn nothing_leads_from_an_encrypted_address_to_one_that_is_not() {
    let pool = tempfile::tempdir().unwrap();
    let programs = Programs::new(&[]);
    let hop = |to: &str| format!("HTTP/1.1 302 Found\\r\\nLocation: {to}\\r\\n\\r\\n");
    let bring = |hops: &[&str]| {
        let headers: String = hops.iter().map(|to| hop(to)).collect();
        let curl = format!(
            "for word; do\ncase $last in --dump-header) headers=$word ;; --output) output=$word ;; esac\n\
             [ \"$word\" != --head ] || exit 22\nlast=$word\ndone\n\
             printf '{headers}HTTP/1.1 200 OK\\r\\n\\r\\n' >\"$headers\"\necho x >\"$output\"\n"
        );
        programs.quiet("curl", &curl);
        let host = Dying::new(&programs, None);
        bring_to(&host, &Transfer::default(), "http://a/x", pool.path(), None).unwrap_err()
    };
    let error = bring(&["https://b/x", "/y", "HTTP://c/x"]);
    assert!(error.hints[0].contains("with encryption"), "{error:?}");
    assert!(left(pool.path()).is_empty(), "{:?}", left(pool.path()));
    let error = bring(&["http://b/x", "https://c/x"]);
    assert!(error.message.contains("not a disk image"), "{error:?}");
}

#[test]
fn a_raw_image_is_converted() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.img");
    raw(&path);
    bring(path.to_str().unwrap(), pool.path(), None).unwrap();
    assert!(fs::read(pool.path().join("v.qcow2")).unwrap().starts_with(b"QFI\xfb"));
    assert_eq!(left(pool.path()), ["v.qcow2"]);
}

#[test]
fn images_that_refer_to_other_files_are_refused() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (base, top) = (here.path().join("base.qcow2"), here.path().join("top.qcow2"));
    image(&base, "1G");
    let args = ["create", "-q", "-f", "qcow2", "-b", base.to_str().unwrap(), "-F", "qcow2"];
    check(&Local, &Command::new("qemu-img").args(args).arg(top.to_str().unwrap())).unwrap();
    let error = bring(top.to_str().unwrap(), pool.path(), None).unwrap_err();
    assert!(error.causes[0].contains("refers to another file"), "{error:?}");
    assert_eq!(fs::read_dir(pool.path()).unwrap().count(), 0);
}

#[test]
fn an_image_larger_than_its_disk_is_refused() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.qcow2");
    image(&path, "10G");
    let error = bring(path.to_str().unwrap(), pool.path(), Some(8 << 30)).unwrap_err();
    assert!(error.message.contains("10 GiB, larger than the 8 GiB"), "{error:?}");
}

#[test]
fn curls_meter_is_understood() {
    let line = " 42  350M   42  147M    0     0  24.5M      0  0:00:14  0:00:06  0:00:08 25.1M";
    assert_eq!(meter(line).unwrap(), "42 % of 350M, 25.1M/s");
    assert_eq!(meter("  % Total    % Received"), None);
}

/// After a power cut a name may be there and the content not: it is on the disk before it gets its name.
#[test]
fn an_image_is_on_the_disk_before_it_has_its_name() {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let (pool, shims) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at = |name: &str| pool.path().join(name).display().to_string();
    let (log, record) = (at("log"), at("records/a"));
    // Programs that only tell come first on the path.
    for program in ["sync", "mv"] {
        let file = shims.path().join(program);
        fs::write(&file, format!("#!/bin/sh\necho {program} \"$@\" >>{log}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(at(".v.part"), "x").unwrap();
    let mut shell = std::process::Command::new("sh")
        .args(["-euc", fetch_shell::SCRIPT, "sh"])
        .args([&at("v"), &at(".v.part"), "30", &record, "agent a b"])
        .env("PATH", format!("{}:/usr/bin:/bin", shims.path().display()))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    // The end of its input would end it, and its whole group.
    let mut orders = shell.stdin.take().unwrap();
    orders.write_all(b"place\n").unwrap();
    assert!(shell.wait().unwrap().success());
    drop(orders);
    let told =
        fs::read_to_string(&log).unwrap().replace(&pool.path().display().to_string(), "POOL");
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(
        told,
        [
            "sync -- POOL/records/a.new",
            "mv -f -- POOL/records/a.new POOL/records/a",
            "sync -- POOL/records",
            "sync -- POOL/.v.part",
            "mv -f -T -- POOL/.v.part POOL/v",
            "sync -- POOL",
        ]
    );
    // The second line is for whoever asks for the image elsewhere.
    let recorded = fs::read_to_string(at("records/a.new")).unwrap();
    assert_eq!(recorded, format!("{}\nagent a b\n", at("v")));
}

/// Nobody would remove it.
#[test]
fn an_image_that_cannot_be_recorded_is_not_there() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.qcow2");
    image(&path, "1G");
    // A file where a directory would have to be.
    let records = format!("{}/records", path.display());
    let transfer = Transfer { records, ..Transfer::default() };
    let source = path.to_str().unwrap();
    let error = bring_to(&Local, &transfer, source, pool.path(), None).unwrap_err();
    assert!(error.message.starts_with("cannot put in place image"), "{error:?}");
    assert!(!pool.path().join("v.qcow2").exists());
}

/// The name of a mirror's may have a token in it that nobody was told.
#[test]
fn what_curl_says_of_where_a_server_leads_is_without_secrets() {
    let said =
        "curl: (7) Failed to connect to https://u:hunter2@mirror.example/x?sig=hunter2 port 443";
    let words = ["done", "7", "whole"].map(String::from).to_vec();
    let error = downloaded("https://h/x", &Answer { words, said: vec![said.into()] }).unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    assert!(error.causes[0].contains("***@mirror.example/x"), "{error:?}");
}
