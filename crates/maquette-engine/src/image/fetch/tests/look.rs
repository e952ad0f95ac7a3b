//! What is found out of an image when it comes.

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

fn found(source: &Path, pool: &Path, records: &Path, look: bool) -> Found {
    let context =
        StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
    let image = Image { source: source.display().to_string(), volume: "v.qcow2".parse().unwrap() };
    let path = pool.display().to_string().parse().unwrap();
    let pool = Pool { name: "p".parse().unwrap(), path };
    let transfer = Transfer { records: records.display().to_string(), ..Transfer::default() };
    let wants = Wants { smallest: None, look };
    fetch(&Local, &transfer, &image, &pool, wants, &|| Ok(true), &context).unwrap()
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
            let seen = found(&source, pool.path(), records.path(), true);
            assert_eq!(seen, expected, "{words:?}, compressed: {compressed}");
            assert_eq!(left(pool.path()), ["v.qcow2"]);
            assert_eq!(fs::read(&source).unwrap(), fs::read(pool.path().join("v.qcow2")).unwrap());
            let record = fs::read_dir(records.path()).unwrap().next().unwrap().unwrap().path();
            let record = fs::read_to_string(record).unwrap();
            let is_noted = record.lines().any(|line| line == "without-cloud-init");
            assert_eq!(is_noted, expected == Found::NoCloudInit, "{record}");
            // It is known from then on, and told to whoever asks.
            assert_eq!(found(&source, pool.path(), records.path(), true), expected);
            assert_eq!(found(&source, pool.path(), records.path(), false), Found::Nothing);
        }
    }
}

#[test]
fn nothing_is_looked_for_where_nobody_asks() {
    let [here, pool, records] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let source = here.path().join("a.qcow2");
    disk(&source, &["os-release", "systemd-journald.service"], false);
    assert_eq!(found(&source, pool.path(), records.path(), false), Found::Nothing);
    let record = fs::read_dir(records.path()).unwrap().next().unwrap().unwrap().path();
    assert!(!fs::read_to_string(record).unwrap().contains("without-cloud-init"));
}
