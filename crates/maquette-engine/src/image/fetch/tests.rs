use std::fs;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::dying_host::{Dying, Programs};
use crate::host::Local;

mod confined;
mod encrypted;
mod kill_points;
mod servers;

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
    let image = Image { source: source.into(), volume: "v.qcow2".into() };
    let pool = Pool { name: "p".into(), path: pool.display().to_string() };
    fetch(host, transfer, &image, &pool, smallest, &|| Ok(true), &context)
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
        .args([&at("v"), &at(".v.part"), "30", &record])
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
            "sync -- POOL/.v.part",
            "mv -f -T -- POOL/.v.part POOL/v",
            "sync -- POOL",
        ]
    );
}
