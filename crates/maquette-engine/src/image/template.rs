//! Files of templates: nodes' memory images.
//!
//! A template's own is made under the lock that images have, and is there when it is whole. A node's copy is removed by
//! the shell that made it when whoever wanted it is gone; what is left of one that was killed goes with what downloads
//! leave.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Child;
use std::time::Duration;

use base64ct::{Base64, Encoding};

use super::fetch::Transfer;
use super::fetch_shell::{FetchPaths, FetchShell};
use super::leftovers::{record, record_of};
use crate::host::heard::{Heard, SILENCE};
use crate::host::{Command, Host, HostError, check};
use crate::{StepContext, StepError};

mod search;

pub use search::{Found, Ids, Kind, MARK, Searched, search};

const COPY: &str = concat!(
    include_str!("../../assets/image/room.sh"),
    include_str!("../../assets/image/memory-copy.sh")
);

const FORGET: &str = include_str!("../../assets/image/memory-forget.sh");

/// Longest line of the shell that is read, in bytes.
const LONGEST: u64 = 4096;

/// How long a copy may take to go once nobody needs it.
const END_LIMIT: Duration = Duration::from_secs(60);

/// A template that is being made, under its lock.
pub struct Making<'a> {
    agent: FetchShell<'a>,
    part: String,
}

/// Begins to make a template's memory image, a file of a pool's directory; none if it is there. `disk` is the volume
/// that comes with it, and both are recorded as ours before they exist. What is there and is not recorded is somebody's,
/// whatever it is called: `besides` is called like the template and goes with it, too.
///
/// # Errors
///
/// The hypervisor cannot be worked on, another run has held the lock for too long, or somebody has files of these names.
pub fn begin<'a>(
    host: &dyn Host,
    transfer: &Transfer,
    directory: &str,
    (memory, disk, besides): (&str, &str, &str),
    context: &'a StepContext<'a>,
) -> Result<Option<Making<'a>>, StepError> {
    let target = format!("{directory}/{memory}");
    // Named so that what is left of it is found as what is left of images.
    let part = format!("{directory}/.{disk}.part");
    let place = FetchPaths {
        record: record_of(&transfer.records, &target),
        target,
        part: part.clone(),
        patience: transfer.limits.patience,
        about: String::new(),
    };
    let (agent, there) = FetchShell::start(host, &place, context)?;
    let mut making = Making { agent, part };
    let disk_path = format!("{directory}/{disk}");
    let is_whole = there.is_some() && host.exists(&disk_path);
    if !is_whole {
        let recorded = |path: &str| {
            let record = record_of(&transfer.records, path);
            record.is_empty() || host.exists(&record)
        };
        let (memory, besides) = (format!("{directory}/{memory}"), format!("{directory}/{besides}"));
        let of_disk = recorded(&disk_path);
        let all = [(&memory, recorded(&memory)), (&disk_path, of_disk), (&besides, of_disk)];
        if let Some((path, _)) = all.into_iter().find(|(path, known)| !known && host.exists(path)) {
            making.leave();
            let message = format!(
                "{path} is called like a part of a template, and is not recorded as one of ours"
            );
            return Err(
                StepError::new(message).hint("move it away if it is somebody's, or remove it")
            );
        }
    }
    match (there.is_some(), is_whole) {
        (true, true) => {
            making.leave();
            return Ok(None);
        }
        // Memory is of no use without the disk that it remembers.
        (true, false) => host
            .remove(&format!("{directory}/{memory}"))
            .map_err(|e| StepError::new(format!("cannot remove {memory}")).because(e))?,
        (false, _) => {}
    }
    record(host, &transfer.records, &disk_path)
        .map_err(|e| StepError::new(format!("cannot record template {disk}")).because(e))?;
    Ok(Some(making))
}

/// Removes the memory image of a template, under the lock that whoever makes one holds.
///
/// # Errors
///
/// Another run holds the lock, or it cannot be removed.
pub fn forget_memory(
    host: &dyn Host,
    directory: &str,
    memory: &str,
    disk: &str,
) -> Result<(), HostError> {
    let part = format!("{directory}/.{disk}.part");
    check(host, &Command::script(FORGET, [format!("{directory}/{memory}"), part])).map(|_| ())
}

impl Making<'_> {
    /// The file that the memory is to be saved to.
    pub fn part(&self) -> &str {
        &self.part
    }

    /// What was saved takes its place.
    ///
    /// # Errors
    ///
    /// It cannot be put there.
    pub fn place(mut self) -> Result<(), StepError> {
        let answer = self.agent.order("place 600", &mut |_| {})?;
        if answer.is_done() {
            return Ok(());
        }
        let mut error = StepError::new("cannot put the template's memory image in its place");
        error.causes.extend(answer.said.last().cloned());
        Err(error)
    }

    /// Removes what was saved, if anything was, and lets go of the lock. What cannot be removed is found by whoever
    /// takes the lock next.
    pub fn leave(&mut self) {
        let _ = self.agent.order("forget", &mut |_| {});
        let _ = self.agent.order("leave", &mut |_| {});
    }
}

/// Bytes of a copy that are not the template's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Where they begin, in bytes.
    pub at: u64,
    /// What stands there instead of the template's bytes.
    pub bytes: Vec<u8>,
}

/// A node's copy of a memory image, which is there as long as this. It has a name: where AppArmor confines domains,
/// libvirt has to find out which file it is that one of them reads.
pub struct Copy {
    child: Child,
    path: String,
}

impl Copy {
    /// Copies the memory image `from`; the copy has `patches` in place of as many bytes. `name` is what it is called
    /// for a moment, in the same directory.
    ///
    /// # Errors
    ///
    /// There is no room, or no such image.
    pub fn make(
        host: &dyn Host,
        from: &str,
        name: &str,
        patches: &[Patch],
    ) -> Result<Self, StepError> {
        let failed = || StepError::new(format!("cannot copy {from}"));
        let command = Command::script(COPY, [from, name]);
        let mut child = host.spawn(&command).map_err(|e| failed().because(e))?;
        // One that is gone does not read; its last words tell why.
        let line = |patch: &Patch| format!("{} {}\n", patch.at, patch.bytes.len());
        let mut lines: String = patches.iter().map(line).chain(["\n".to_string()]).collect();
        let bytes: Vec<u8> = patches.iter().flat_map(|patch| patch.bytes.iter().copied()).collect();
        lines.push_str(&Base64::encode_string(&bytes));
        lines.push('\n');
        let sent = child.stdin.as_mut().map(|pipe| pipe.write_all(lines.as_bytes()));
        let mut copy = Self { child, path: String::new() };
        drop(sent);
        match copy.answer() {
            Some(path) => {
                copy.path = path;
                Ok(copy)
            }
            None => {
                let mut said = String::new();
                let heard = Heard::new(copy.child.id(), END_LIMIT);
                if let Some(pipe) = copy.child.stderr.take() {
                    // What cannot be read tells nothing.
                    let _ = heard.listen(pipe).take(LONGEST).read_to_string(&mut said);
                }
                let mut error = failed();
                error.causes.extend(said.lines().last().map(String::from));
                Err(error)
            }
        }
    }

    /// The path that it says the copy has; none if it ended before.
    fn answer(&mut self) -> Option<String> {
        let heard = Heard::new(self.child.id(), SILENCE);
        let pipe = heard.listen(self.child.stdout.take()?);
        let mut lines = BufReader::new(pipe.take(LONGEST)).lines();
        lines.find_map(|line| line.ok()?.strip_prefix(":: ").map(String::from))
    }

    /// Where it is, on the hypervisor.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.child.stdin.take());
        Heard::new(self.child.id(), END_LIMIT).await_end();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod kill_points;

#[cfg(test)]
mod tests {
    use std::fs;

    use uuid::Uuid;

    use super::*;
    use crate::host::Local;
    use crate::image::sweep;

    fn ids_of_the_template() -> Ids {
        Ids {
            uuid: Uuid::from_u128(u128::MAX / 7),
            boot: Uuid::from_u128(u128::MAX / 11),
            macs: Vec::new(),
        }
    }

    #[test]
    fn a_copy_begins_with_other_bytes_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let ids = |n: u128| Ids {
            uuid: Uuid::from_u128(u128::MAX / n),
            boot: Uuid::from_u128(n),
            macs: Vec::new(),
        };
        let content = |begins: &str, ids: &Ids| {
            let of = |kind: Kind| kind.bytes(ids);
            let (uuid, boot) = (of(Kind::Firmware), of(Kind::BootId));
            // What is text stays.
            let said = format!("{MARK}{}", ids_of_the_template().boot);
            let parts = [b" header \n\0 ".to_vec(), uuid, b"\0and ".to_vec(), of(Kind::Text), boot];
            [begins.as_bytes(), &parts.concat(), said.as_bytes()].concat()
        };
        let old = content("old", &ids_of_the_template());
        fs::write(path("a.save"), &old).unwrap();
        let Searched { head, found } =
            search(&Local, &path("a.save"), 3, ids_of_the_template().uuid, &[]).unwrap();
        assert_eq!(head, b"old");
        let kinds: Vec<(u64, Kind)> = found.iter().map(|found| (found.at, found.kind)).collect();
        assert_eq!(kinds, [(14, Kind::Firmware), (35, Kind::Text), (71, Kind::BootId)]);
        let name = ".maquette-warm-a.b.qcow2.part";
        let mut patches = vec![Patch { at: 0, bytes: b"new".into() }];
        patches.extend(found.iter().map(|f| Patch { at: f.at, bytes: f.kind.bytes(&ids(9)) }));
        let copy = Copy::make(&Local, &path("a.save"), &path(name), &patches).unwrap();
        assert_eq!(copy.path(), path(name));
        assert_eq!(fs::read(copy.path()).unwrap(), content("new", &ids(9)));
        let mode = fs::metadata(copy.path()).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
        // Whoever removes what runs left sees that somebody is at work on it.
        assert!(sweep(&Local, directory.path().to_str().unwrap()).unwrap().is_empty());
        assert!(Copy::make(&Local, &path("a.save"), &path(name), &patches).is_err());
        assert_eq!(fs::read(copy.path()).unwrap(), content("new", &ids(9)));
        drop(copy);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(fs::read(path("a.save")).unwrap(), old);
    }

    /// A run that is killed while it waits for its copy hears no answer.
    #[test]
    fn a_copy_that_nobody_waits_for_any_more_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        fs::write(path("a.save"), "memory").unwrap();
        let command =
            Command::script(COPY, [path("a.save"), path(".maquette-warm-a.b.qcow2.part")]);
        let mut child = Local.spawn(&command).unwrap();
        drop((child.stdout.take(), child.stdin.take()));
        child.wait().unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    /// Guests whose disks are in the pool stop when it is full.
    #[test]
    fn a_copy_leaves_a_tenth_of_the_room() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        fs::create_dir(path("bin")).unwrap();
        fs::create_dir(path("pool")).unwrap();
        fs::write(path("pool/a.save"), vec![7; 9000]).unwrap();
        for (tool, does) in [
            // A file system that cannot clone files, with 10 blocks of 1000 bytes.
            ("cp", "[ \"$1\" = --reflink=always ] && exit 1\nalone\nexec /bin/cp \"$@\""),
            ("stat", "alone\n[ \"$1\" = -f ] && echo \"10 * 1000\" || echo \"$BYTES * 1\""),
        ] {
            // Nobody else looks for room between that and the copy.
            let alone =
                format!("alone() {{ if flock -n '{}' true; then exit 1; fi; }}", path("pool"));
            fs::write(path(&format!("bin/{tool}")), format!("#!/bin/sh\n{alone}\n{does}\n"))
                .unwrap();
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(path(&format!("bin/{tool}")), executable).unwrap();
        }
        let copied = |bytes: &str| {
            let mut sh = std::process::Command::new("sh");
            sh.args(["-euc", COPY, "sh", &path("pool/a.save"), &path("pool/.b.part")]);
            sh.env("PATH", format!("{}:/usr/bin:/bin", path("bin"))).env("BYTES", bytes);
            sh.stdin(std::process::Stdio::null()).output().unwrap()
        };
        let whole = copied("9000");
        assert!(whole.status.success() && whole.stdout.starts_with(b":: "), "{whole:?}");
        let refused = copied("9001");
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("MiB to spare"), "{refused:?}");
        assert_eq!(fs::read_dir(path("pool")).unwrap().count(), 1);
    }

    /// A file system that can has no copy made, and it needs neither room nor a turn.
    #[test]
    fn a_copy_is_a_clone_where_files_can_be_cloned() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        fs::create_dir(path("bin")).unwrap();
        fs::create_dir(path("pool")).unwrap();
        fs::write(path("pool/a.save"), "memory").unwrap();
        for (tool, does) in [
            (
                "cp",
                "[ \"$1\" = --reflink=always ] && exec /bin/cp --reflink=never -- \"$3\" \"$4\"",
            ),
            // Nobody asks how much room there is.
            ("stat", ":"),
        ] {
            let asked = format!("echo {tool} \"$1\" >>'{}'", path("asked"));
            fs::write(path(&format!("bin/{tool}")), format!("#!/bin/sh\n{asked}\n{does}\n"))
                .unwrap();
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(path(&format!("bin/{tool}")), executable).unwrap();
        }
        // Others are at their copies meanwhile.
        let busy = fs::File::open(path("pool")).unwrap();
        busy.lock().unwrap();
        let mut sh = std::process::Command::new("sh");
        sh.args(["-euc", COPY, "sh", &path("pool/a.save"), &path("pool/.b.part")]);
        sh.env("PATH", format!("{}:/usr/bin:/bin", path("bin")));
        let output = sh.stdin(std::process::Stdio::null()).output().unwrap();
        assert!(output.status.success() && output.stdout.starts_with(b":: "), "{output:?}");
        assert_eq!(fs::read_to_string(path("asked")).unwrap(), "cp --reflink=always\n");
        assert_eq!(fs::read_dir(path("pool")).unwrap().count(), 1);
    }

    /// Whoever sweeps may have removed the lock between its opening and its locking.
    #[test]
    fn a_copy_has_a_lock_that_others_see() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        fs::create_dir(path("bin")).unwrap();
        fs::create_dir(path("pool")).unwrap();
        fs::write(path("pool/a.save"), "memory").unwrap();
        let lock = path("pool/.b.part.lock");
        let removes = format!(
            "#!/bin/sh\n[ -e '{0}' ] || {{ : >'{0}'; rm '{lock}'; }}\nexec /usr/bin/flock \"$@\"\n",
            path("once")
        );
        fs::write(path("bin/flock"), removes).unwrap();
        fs::set_permissions(path("bin/flock"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut sh = std::process::Command::new("sh");
        sh.args(["-euc", COPY, "sh", &path("pool/a.save"), &path("pool/.b.part")]);
        sh.env("PATH", format!("{}:/usr/bin:/bin", path("bin")));
        sh.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = sh.spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"\n\n").unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, format!(":: {}\n", path("pool/.b.part")));
        assert!(sweep(&Local, &path("pool")).unwrap().is_empty());
        let held = fs::File::open(&lock).unwrap();
        assert!(held.try_lock().is_err());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(fs::read_dir(path("pool")).unwrap().count(), 1);
    }

    /// It went while another run was making it, or had just found it there.
    #[test]
    fn memory_is_removed_under_its_templates_lock_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        fs::write(path("a.save"), "memory").unwrap();
        let forget = || forget_memory(&Local, &path(""), "a.save", "a.qcow2");
        let held = fs::File::create(path(".a.qcow2.part.lock")).unwrap();
        held.lock().unwrap();
        let error = forget().unwrap_err().to_string();
        assert!(error.contains("another run is at work"), "{error}");
        assert_eq!(fs::read_to_string(path("a.save")).unwrap(), "memory");
        drop(held);
        forget().unwrap();
        assert_eq!(fs::read_dir(path("")).unwrap().count(), 0);
        forget().unwrap();
    }

    /// What is called like a template was deleted, whosever it was.
    #[test]
    fn a_template_takes_no_file_of_that_name_that_is_not_recorded() {
        use std::sync::atomic::AtomicBool;
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        fs::create_dir(path("records")).unwrap();
        fs::create_dir(path("pool")).unwrap();
        let transfer = Transfer { records: path("records"), ..Transfer::default() };
        let context =
            StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
        let begin =
            || begin(&Local, &transfer, &path("pool"), ("a.save", "a.qcow2", "a.img"), &context);
        for name in ["a.save", "a.qcow2", "a.img"] {
            let file = path(&format!("pool/{name}"));
            fs::write(&file, "precious").unwrap();
            let error = begin().err().unwrap();
            assert!(format!("{error:?}").contains("not recorded"), "{name}: {error:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
            assert_eq!(fs::read_dir(path("pool")).unwrap().count(), 1, "{name}");
            fs::remove_file(&file).unwrap();
        }
        begin().unwrap().unwrap().leave();
        // From now on it is ours.
        fs::write(path("pool/a.qcow2"), "left").unwrap();
        begin().unwrap().unwrap().leave();
    }

    #[test]
    fn what_cannot_be_copied_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let error = Copy::make(&Local, &path("none"), &path("x"), &[]).err().unwrap();
        assert!(error.causes[0].contains("No such file"), "{error:?}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
