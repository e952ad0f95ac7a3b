//! What reads a stranger's bytes on the hypervisor: it is told the format, is nobody, and has limits.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

/// Says in one line how it was called and what it may do, and fails.
const TELLS: &str = r#"
read -r self _ </proc/self/stat
of() { awk -v name="$1:" '$1 == name { $1 = ""; print }' "/proc/$self/status"; }
limits=$(awk '
    /^Max file size/ { file = $(NF - 2) "/" $(NF - 1) }
    /^Max address space/ { memory = $(NF - 2) "/" $(NF - 1) }
    /^Max open files/ { files = $(NF - 2) "/" $(NF - 1) }
    /^Max cpu time/ { time = $(NF - 2) "/" $(NF - 1) }
    /^Max core file size/ { core = $(NF - 2) "/" $(NF - 1) }
    END { print "file " file ", memory " memory ", files " files ", time " time ", core " core }
' "/proc/$self/limits")
names=$(tr '\0' '\n' <"/proc/$self/environ" | sed 's/=.*//' | sort | tr '\n' ' ')
open=$(for file in /proc/$self/fd/*; do readlink "$file"; done | grep -c -e 'part\.lock$' -e '/orders (deleted)$')
echo "${0##*/} $*; $limits; user$(of Uid), group$(of Gid)," \
    "groups$(of Groups), capabilities$(of CapEff), none to come$(of NoNewPrivs); variables $names; ours open $open" >&2
exit 1
"#;

/// Where the shell is root's, it has a group besides, as at many a place.
const ENV: &str = r#"
[ "$(id -u)" != 0 ] || exec setpriv --groups=6 -- /usr/bin/env "$@"
exec /usr/bin/env "$@"
"#;

/// What a program says that is called for a file.
fn told(program: &str, file: &Path, smallest: u64) -> Vec<String> {
    let pool = tempfile::tempdir().unwrap();
    let programs = Programs::new(&[]);
    programs.quiet(program, TELLS);
    programs.quiet("env", ENV);
    fs::set_permissions(programs.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    let host = Dying::new(&programs, None);
    let source = file.to_str().unwrap();
    let error =
        bring_to(&host, &Transfer::default(), source, pool.path(), Some(smallest)).unwrap_err();
    error.causes.last().unwrap().split("; ").map(String::from).collect()
}

fn is_root(here: &Path) -> bool {
    fs::metadata(here).unwrap().uid() == 0
}

/// QEMU was left to guess what a file is, as root.
#[test]
fn whatever_reads_an_image_is_told_its_format_and_may_do_nothing_else() {
    let here = tempfile::tempdir().unwrap();
    let at = |name: &str| here.path().join(name);
    image(&at("a.qcow2"), "1G");
    raw(&at("a.img"));
    let pack = "gzip -c <\"$1\" >\"$1.gz\"";
    check(&Local, &Command::script(pack, [at("a.img").to_str().unwrap()])).unwrap();
    let convert = "qemu-img convert -f raw -O qcow2 /proc/self/fd/0 /proc/self/fd/1";
    let written = (1 << 20) + (1 << 16) + OVERHEAD;
    let cases = [
        // What only looks writes nothing.
        ("qemu-img", "a.qcow2", 1 << 30, "qemu-img check -q -f qcow2 /proc/self/fd/0", 0),
        ("qemu-img", "a.img", 1 << 20, convert, written),
        ("gzip", "a.img.gz", 1 << 20, "gzip -dc", written),
    ];
    for (program, file, smallest, call, most) in cases {
        let said = told(program, &at(file), smallest);
        assert_eq!(said[0], call);
        let limits = format!(
            "file {most}/{most}, memory 4294967296/4294967296, files 64/64, time 3600/3600, core 0/0"
        );
        assert_eq!(said[1], limits, "{call}");
        if is_root(here.path()) {
            let nobody = "65534 65534 65534 65534";
            let expected = format!(
                "user {nobody}, group {nobody}, groups, capabilities 0000000000000000, none to come 1"
            );
            assert_eq!(said[2], expected, "{call}");
        }
        assert_eq!(said[3..], ["variables LC_ALL PATH ", "ours open 0"], "{call}");
    }
}

/// The program that wrote it was nobody, who shall not be able to change it any more.
#[test]
fn what_nobody_has_written_belongs_to_whoever_fetched_it() {
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at = |name: &str| here.path().join(name).display().to_string();
    let (image_file, disk) = (at("a.qcow2"), at("a.img"));
    image(Path::new(&image_file), "1G");
    raw(Path::new(&disk));
    let pack = "gzip -c <\"$1\" >\"$1.gz\"";
    check(&Local, &Command::script(pack, [image_file.as_str()])).unwrap();
    let own = fs::metadata(pool.path()).unwrap();
    for source in [format!("{image_file}.gz"), disk] {
        bring(&source, pool.path(), None).unwrap();
        let target = pool.path().join("v.qcow2");
        let found = fs::metadata(&target).unwrap();
        assert_eq!((found.uid(), found.gid()), (own.uid(), own.gid()), "{source}");
        assert_eq!(found.mode() & 0o7777, 0o644, "{source}");
        fs::remove_file(target).unwrap();
    }
}

/// Where a disk is made that overlays an image, the image is there for long: nobody is asked to guess what it is
/// by now.
#[test]
fn the_size_of_an_image_is_read_from_its_own_header() {
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("a.qcow2");
    image(&path, "3G");
    let size = || virtual_size(&Local, path.to_str().unwrap());
    assert_eq!(size().unwrap(), 3 << 30);
    let mut bytes = fs::read(&path).unwrap();
    bytes[79] |= 4;
    fs::write(&path, &bytes).unwrap();
    let error = size().unwrap_err();
    assert!(error.causes[0].contains("external data file"), "{error:?}");
    fs::write(&path, "# Disk DescriptorFile\nversion=1\nRW 2048 FLAT \"/etc/shadow\" 0\n").unwrap();
    let error = size().unwrap_err();
    assert!(error.causes[0].contains("description of a VMDK"), "{error:?}");
    raw(&path);
    let error = size().unwrap_err();
    assert!(error.hints[0].contains("not the qcow2 image"), "{error:?}");
}

/// A pool that is full stops the guests whose disks are there.
#[test]
fn neither_what_is_pushed_nor_what_is_made_of_it_fills_the_pool() {
    use std::os::unix::fs::FileExt;
    let (here, pool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = here.path().join("a.img");
    raw(&path);
    // Nothing that QEMU would leave out.
    let noise: Vec<u8> =
        (0..8u64 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 1).collect();
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&noise, 512).unwrap();
    let programs = Programs::new(&[]);
    let bring = |blocks: &str| {
        let stat =
            format!("case $1 in -f) {blocks} ;; *) PATH=/usr/bin:/bin exec stat \"$@\" ;; esac\n");
        programs.quiet("stat", &stat);
        let host = Dying::new(&programs, None);
        bring_to(&host, &Transfer::default(), path.to_str().unwrap(), pool.path(), None)
    };
    let error = bring("echo '2000 * 4096'").unwrap_err();
    assert!(error.message.ends_with(", and the pool has room for 7.0 MiB"), "{error:?}");
    assert!(left(pool.path()).is_empty(), "{:?}", left(pool.path()));
    // It has come, and then there is no room for another one.
    let less = "if [ -e \"${5%/}\"/.*.part ]; then echo '2000 * 4096'; else echo '9000 * 4096'; fi";
    let error = bring(less).unwrap_err();
    assert!(
        error.message.contains("is larger as qcow2, and the pool has room for 7.0"),
        "{error:?}"
    );
    assert!(left(pool.path()).is_empty(), "{:?}", left(pool.path()));
    bring("echo '9000 * 4096'").unwrap();
    assert_eq!(left(pool.path()), ["v.qcow2"]);
}

/// It would have had the image open to write when that had been judged.
#[test]
fn what_a_program_has_started_ends_with_it() {
    let pool = tempfile::tempdir().unwrap();
    if !is_root(pool.path()) {
        // Whoever is not root has no namespaces of his own.
        return;
    }
    let programs = Programs::new(&[]);
    let stays =
        "sh -c 'read -r self _ </proc/self/stat; echo $self; exec sleep 100' &\nsleep 0.3\n";
    programs.quiet("gzip", stays);
    fs::set_permissions(programs.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    let host = Dying::new(&programs, None);
    let context =
        StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
    let place = place(&pool.path().display().to_string(), "v", &Transfer::default());
    let (mut shell, _) = FetchShell::start(&host, &place, &context).unwrap();
    fs::write(&place.part, "x").unwrap();
    assert!(shell.order("unpack gzip 1000000", &mut |_| {}).unwrap().is_done());
    let number = fs::read_to_string(&place.part).unwrap();
    assert!(number.trim().parse::<u32>().is_ok(), "{number}");
    assert!(!Path::new(&format!("/proc/{}", number.trim())).exists(), "{number} still runs");
}

/// It went on for up to an hour, and took room in a file that nobody sees.
#[test]
fn who_takes_over_ends_what_reads_an_image() {
    use std::io::Write;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    let (pool, locks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let programs = Programs::new(&[]);
    programs.quiet("gzip", "read -r self _ </proc/self/stat\necho $self\nexec sleep 100\n");
    fs::set_permissions(programs.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = |name: &str| pool.path().join(name).display().to_string();
    fs::write(at(".v.part"), "x").unwrap();
    let mark = "fedcba9876543210";
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("sh")
        .args(["-euc", fetch_shell::SCRIPT, "sh", &at("v"), &at(".v.part"), "30", "", ""])
        .env("PATH", format!("{}:{path}", programs.directory().display()))
        .env("MAQUETTE_RUN", mark)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut orders = shell.stdin.take().unwrap();
    orders.write_all(b"unpack gzip 1000000\n").unwrap();
    let number = loop {
        let said = fs::read_to_string(at(".v.part.new")).unwrap_or_default();
        if let Some(number) = said.strip_suffix('\n') {
            break number.to_string();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    // Somebody has had the environment's lock, and is gone; who takes it ends what he has left.
    fs::write(locks.path().join("l"), format!("1 1 eve\n{mark}\n")).unwrap();
    let next = Command::new("sh")
        .args(["-c", include_str!("../../../../assets/lock.sh"), "sh"])
        .args([locks.path().to_str().unwrap(), "l", "bob", "0", "take", "0123456789abcdef"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&next.stdout).contains("got "), "{next:?}");
    let goes_on = || Path::new(&format!("/proc/{number}")).exists();
    let begun = std::time::Instant::now();
    while goes_on() && begun.elapsed() < std::time::Duration::from_secs(10) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(!goes_on(), "{number} still runs");
    drop(orders);
    let _ = shell.wait();
}
