//! What is found out of an image when it comes.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A disk with such words in it, as names in directories are, far from each other; in qcow2, compressed or not.
fn disk(path: &Path, words: &[&str], compressed: bool) {
    let mut bytes = vec![0u8; 8 << 20];
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    for (at, word) in words.iter().enumerate() {
        let start = (at + 1) * (1 << 20) + 40;
        bytes[start..start + word.len()].copy_from_slice(word.as_bytes());
    }
    let plain = path.with_extension("raw");
    fs::write(&plain, bytes).unwrap();
    let mut convert = vec!["convert", "-f", "raw", "-O", "qcow2"];
    convert.extend(compressed.then_some("-c"));
    convert.extend([plain.to_str().unwrap(), path.to_str().unwrap()]);
    check(&Local, &Command::new("qemu-img").args(convert)).unwrap();
}

fn found(source: &Path, pool: &Path, records: &Path) -> Found {
    let context =
        StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
    let image = Image { source: source.display().to_string(), volume: "v.qcow2".parse().unwrap() };
    let path = pool.display().to_string().parse().unwrap();
    let pool = Pool { name: "p".parse().unwrap(), path };
    let transfer = Transfer { records: records.display().to_string(), ..Transfer::default() };
    fetch(&Local, &transfer, &image, &pool, None, &|| Ok(true), &context).unwrap()
}

#[test]
fn a_linux_system_without_cloud_init_is_told_from_all_else() {
    const LINUX: [&str; 2] = ["os-release", "systemd-journald.service"];
    let with = |more: &'static str| [&LINUX[..], &[more]].concat();
    for (words, expected) in [
        (LINUX.to_vec(), Found::NoCloudInit),
        (with("DataSourceNoCloud.py"), Found::Nothing),
        (with("ignition-fetch.service"), Found::Nothing),
        (with("maquette-agent.service"), Found::Nothing),
        // Packages that could be installed name it, too.
        (with("Package: cloud-init"), Found::NoCloudInit),
        // Another system, or none that can be seen.
        (vec!["os-release"], Found::Nothing),
        (vec!["systemd-journald.service"], Found::Nothing),
        (vec![], Found::Nothing),
    ] {
        for compressed in [false, true] {
            let [here, pool, records] = [(); 3].map(|()| tempfile::tempdir().unwrap());
            let source = here.path().join("a.qcow2");
            disk(&source, &words, compressed);
            let seen = found(&source, pool.path(), records.path());
            assert_eq!(seen, expected, "{words:?}, compressed: {compressed}");
            assert_eq!(left(pool.path()), ["v.qcow2"]);
            assert_eq!(fs::read(&source).unwrap(), fs::read(pool.path().join("v.qcow2")).unwrap());
            let record = fs::read_dir(records.path()).unwrap().next().unwrap().unwrap().path();
            let record = fs::read_to_string(record).unwrap();
            let is_noted = record.lines().any(|line| line == "without-cloud-init");
            assert_eq!(is_noted, expected == Found::NoCloudInit, "{record}");
            // It is known from then on, and told to whoever asks.
            assert_eq!(found(&source, pool.path(), records.path()), expected);
        }
    }
}

/// What is unpacked for a look has room of its own, and no more: others fetch beside it.
#[test]
fn a_look_takes_no_more_room_than_the_image_unpacked() {
    let [here, pool] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let source = here.path().join("a.qcow2");
    disk(&source, &["os-release", "systemd-journald.service"], true);
    let noted = here.path().join("noted");
    fs::write(&noted, "").unwrap();
    // QEMU's tools are run as nobody.
    for (path, mode) in [(here.path(), 0o755), (pool.path(), 0o755), (&noted, 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let programs = Programs::new(&[]);
    let claim = pool.path().join(".v.qcow2.part.claim");
    let text = format!(
        "case $* in convert*) cat {} >{} ;; esac\nexec /usr/bin/qemu-img \"$@\"",
        claim.display(),
        noted.display()
    );
    programs.quiet("qemu-img", &text);
    let host = Dying::new(&programs, None);
    bring_to(&host, &Transfer::default(), source.to_str().unwrap(), pool.path(), None).unwrap();
    let claimed: u64 = fs::read_to_string(noted).unwrap().trim().parse().unwrap();
    assert!(claimed > 64 << 20 && claimed < 128 << 20, "{claimed}");
}

/// What earlier releases brought was not looked into; that it is fetched again changes that, even where it is the same.
#[test]
fn what_is_fetched_again_and_has_not_changed_is_looked_into_all_the_same() {
    let [here, pool, records] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let source = here.path().join("a.qcow2");
    disk(&source, &["os-release", "systemd-journald.service"], false);
    let server = servers::Server::start(here.path());
    let url = server.url("etag/a.qcow2");
    let fetched = |force: bool| {
        let context =
            StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
        let image = Image { source: url.clone(), volume: "v.qcow2".parse().unwrap() };
        let path = pool.path().display().to_string().parse().unwrap();
        let pool = Pool { name: "p".parse().unwrap(), path };
        let records = records.path().display().to_string();
        let transfer = Transfer { records, force, ..Transfer::default() };
        fetch(&Local, &transfer, &image, &pool, None, &|| Ok(true), &context).unwrap()
    };
    assert_eq!(fetched(false), Found::NoCloudInit);
    let record = fs::read_dir(records.path()).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read_to_string(&record).unwrap();
    fs::write(&record, whole.replace("without-cloud-init\n", "")).unwrap();
    assert_eq!(fetched(false), Found::Nothing);
    assert_eq!(fetched(true), Found::NoCloudInit);
    assert_eq!(fs::read_to_string(&record).unwrap(), whole);
}
