//! Which files of a hypervisor's pools are images that Maquette brought, and what interrupted runs left.

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::hex::hex;
use sha2::{Digest, Sha256};

use crate::host::{Command, Host, HostError, check};

/// Prints the paths that are recorded.
const RECORDED: &str = include_str!("../../assets/image/recorded.sh");

/// Forgets what is recorded of one path.
const FORGET: &str = include_str!("../../assets/image/forget.sh");

/// Records that a path is an image of ours.
const RECORD: &str = include_str!("../../assets/image/record.sh");

/// The second line of a record of a disk that stayed; `assets/expire/volumes.sh` writes it, too.
const KEPT: &str = "disk";

/// Removes what downloads left in a directory, unless a run is at work on it, and prints what it was.
/// `.VOLUME.part` and what begins so are names that no volume of an environment can have.
const SWEEP: &str = include_str!("../../assets/image/sweep.sh");

/// Prints what as many files as `$1` says are over, each with the number of the one that is over it, and then the names without
/// links of the others.
const BELOW: &str = concat!(
    include_str!("../../assets/image/below.sh"),
    "silent=$(mktemp) || silent=\ntrap '[ -z \"$silent\" ] || rm -f -- \"$silent\"' EXIT\n",
    "n=0 count=$1\nshift\nwhile [ $n -lt \"$count\" ]; do\nbelow \"$1\" | sed \"s/^/$n /\"\n",
    "n=$((n + 1))\nshift\ndone\n[ $# = 0 ] || resolved \"$@\"\n"
);

/// What disks are over, as far as qcow2 names files.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Below<'a> {
    /// Files that they are over, and those that these are over; each with a disk that is over it.
    pub files: Vec<(String, &'a str)>,
    /// Disks of which that cannot be told, or not wholly.
    pub unknown: Vec<&'a str>,
    /// Files that have other names without links.
    pub real: BTreeMap<&'a str, String>,
}

/// Finds out what disks are over.
pub fn below<'a>(host: &dyn Host, disks: &'a BTreeSet<String>) -> Result<Below<'a>, HostError> {
    below_and_real(host, disks, &BTreeSet::new())
}

/// Finds out what disks are over, and what files are called without links.
pub fn below_and_real<'a>(
    host: &dyn Host,
    disks: &'a BTreeSet<String>,
    files: &BTreeSet<&'a str>,
) -> Result<Below<'a>, HostError> {
    let disks: Vec<&str> = disks.iter().map(String::as_str).collect();
    // An answer has a line for each.
    let files: Vec<&str> = files.iter().copied().filter(|f| !f.contains('\n')).collect();
    let mut found = Below::default();
    // A command line has an end.
    let (mut disks, mut files) = (disks.chunks(200), files.chunks(400));
    loop {
        let (disks, files) = match (disks.next(), files.next()) {
            (None, None) => return Ok(found),
            (disks, files) => (disks.unwrap_or_default(), files.unwrap_or_default()),
        };
        let count = disks.len().to_string();
        let words = std::iter::once(count.as_str()).chain(disks.iter().chain(files).copied());
        let text = check(host, &Command::script(BELOW, words))?;
        let mut named = files.iter();
        for line in text.lines() {
            if let Some(real) = line.strip_prefix('=') {
                let other = named.next().filter(|file| **file != real);
                found.real.extend(other.map(|file| (*file, real.to_string())));
                continue;
            }
            let Some((number, file)) = line.split_once(' ') else { continue };
            let disk = number.parse().ok().and_then(|number: usize| disks.get(number));
            match (disk, file) {
                (Some(disk), "?") => found.unknown.push(disk),
                (Some(disk), file) => found.files.push((file.to_string(), disk)),
                (None, _) => {}
            }
        }
    }
}

/// Paths of all images that were brought, in whatever pool they are or were.
pub fn recorded(host: &dyn Host, records: &str) -> Result<BTreeSet<String>, HostError> {
    let text = check(host, &Command::script(RECORDED, [records]))?;
    Ok(text.lines().filter(|l| l.starts_with('/')).map(String::from).collect())
}

/// Records that a path is ours, before there is anything.
pub fn record(host: &dyn Host, records: &str, path: &str) -> Result<(), HostError> {
    let record = record_of(records, path);
    if record.is_empty() {
        return Ok(());
    }
    check(host, &Command::script(RECORD, [record.as_str(), path])).map(|_| ())
}

/// Records that a path is a disk of a node that has gone, which stayed since others have clones of it: from then on it is
/// removed as images are.
pub fn keep(host: &dyn Host, records: &str, path: &str) -> Result<(), HostError> {
    let record = record_of(records, path);
    if record.is_empty() {
        return Ok(());
    }
    check(host, &Command::script(RECORD, [record.as_str(), path, KEPT])).map(|_| ())
}

/// Those of the recorded paths that are disks which stayed.
pub fn kept(host: &dyn Host, records: &str) -> Result<BTreeSet<String>, HostError> {
    let text = check(host, &Command::script(RECORDED, [records, KEPT]))?;
    Ok(text.lines().filter(|l| l.starts_with('/')).map(String::from).collect())
}

/// The file that records a path; empty where nothing is recorded.
pub(super) fn record_of(records: &str, path: &str) -> String {
    if records.is_empty() {
        return String::new();
    }
    let digest = Sha256::digest(path.as_bytes());
    format!("{records}/{}", hex(&digest[..16]))
}

/// Forgets an image that is gone.
pub fn forget(host: &dyn Host, records: &str, path: &str) -> Result<(), HostError> {
    check(host, &Command::script(FORGET, [records, path])).map(|_| ())
}

/// Removes what interrupted downloads left in a pool's directory; returns their paths.
pub fn sweep(host: &dyn Host, directory: &str) -> Result<Vec<String>, HostError> {
    let text = check(host, &Command::script(SWEEP, [directory, ""]))?;
    Ok(text.lines().map(String::from).collect())
}

/// The same of what was left of templates and copies of their memory alone: a download that was broken off is gone on with.
pub fn sweep_templates(host: &dyn Host, directory: &str) -> Result<(), HostError> {
    check(host, &Command::script(SWEEP, [directory, "warm-"])).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::host::Local;

    #[test]
    fn what_interrupted_runs_left_goes_unless_one_is_at_work() {
        let pool = tempfile::tempdir().unwrap();
        let write = |name: &str| fs::write(pool.path().join(name), "x").unwrap();
        for name in [
            ".maquette-a.qcow2.part",
            ".maquette-a.qcow2.part.from",
            ".maquette-a.qcow2.part.lock",
            ".maquette-a.qcow2.part-0123",
            ".maquette-b.qcow2.part",
            ".maquette-b.qcow2.part.lock",
            ".maquette-c.qcow2.part-77",
            "maquette-a.qcow2",
            "maquette-0-disk1.qcow2",
            ".other.part",
        ] {
            write(name);
        }
        let busy = pool.path().join(".maquette-b.qcow2.part.lock");
        let mut holder = std::process::Command::new("flock")
            .args([busy.to_str().unwrap(), "-c", "echo got; read x"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        use std::io::{BufRead, BufReader};
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        let swept = sweep(&Local, pool.path().to_str().unwrap()).unwrap();
        drop(holder.stdin.take());
        holder.wait().unwrap();
        assert_eq!(swept.len(), 4, "{swept:?}");
        let mut left: Vec<_> = fs::read_dir(pool.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                ".maquette-b.qcow2.part",
                ".maquette-b.qcow2.part.lock",
                ".other.part",
                "maquette-0-disk1.qcow2",
                "maquette-a.qcow2"
            ]
        );
    }

    /// A server that is gone held a look up for ten seconds for each volume.
    #[test]
    fn a_directory_that_does_not_answer_is_asked_once() {
        let programs = crate::dying_host::Programs::new(&[]);
        let log = programs.directory().join("log");
        // What is in `dead` never answers.
        let text = format!(
            "shift 3\ncase $* in *dead*) echo \"$*\" >>{}; exit 137 ;; esac\nexec \"$@\"\n",
            log.display()
        );
        programs.quiet("timeout", &text);
        let host = crate::dying_host::Dying::new(&programs, None);
        let names = (0..9).map(|n| format!("/dead/{n}.qcow2"));
        let disks: BTreeSet<String> = names.chain(["/nowhere/x".into()]).collect();
        let found = below_and_real(&host, &disks, &BTreeSet::from(["/dead/a", "/dead/b"])).unwrap();
        assert_eq!(found.unknown.len(), 9, "{found:?}");
        let asked = fs::read_to_string(log).unwrap();
        // The first file, its directory, and once for all names together.
        assert_eq!(asked.lines().count(), 3, "{asked}");
    }

    /// A link to a server that has gone says nothing of the disks beside it.
    #[test]
    fn a_file_that_does_not_answer_keeps_no_other_from_being_asked() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let qemu_img = |args: &[&str]| {
            let done = check(&Local, &Command::new("qemu-img").args(args.iter().copied()));
            done.unwrap();
        };
        qemu_img(&["create", "-q", "-f", "qcow2", &at("base"), "1M"]);
        let (base, clone) = (at("base"), at("z-clone"));
        qemu_img(&["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &base, &clone]);
        let programs = crate::dying_host::Programs::new(&[]);
        programs.quiet("timeout", "shift 3\ncase $* in *hung*) exit 137 ;; esac\nexec \"$@\"\n");
        let host = crate::dying_host::Dying::new(&programs, None);
        let disks = BTreeSet::from([at("a-hung"), clone.clone()]);
        let found = below(&host, &disks).unwrap();
        assert_eq!(found.unknown, [at("a-hung")]);
        assert_eq!(found.files, [(base, clone.as_str())]);
    }

    #[test]
    fn records_are_read_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let records = directory.path().join("images");
        let records = records.to_str().unwrap();
        assert!(recorded(&Local, records).unwrap().is_empty());
        fs::create_dir(records).unwrap();
        fs::write(format!("{records}/a"), "/pool/x\n").unwrap();
        fs::write(format!("{records}/b.new"), "/pool/y\n").unwrap();
        let all: Vec<String> = recorded(&Local, records).unwrap().into_iter().collect();
        assert_eq!(all, ["/pool/x"]);
        forget(&Local, records, "/pool/x").unwrap();
        assert!(recorded(&Local, records).unwrap().is_empty());
    }
}
