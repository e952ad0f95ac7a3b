//! What the processes that serve BMCs may do. The one that serves them has ports below 1024, and nothing else that only root
//! may; it changes files of its own directory, and starts no program. The one that looks names up for it changes nothing. They
//! give the rest away themselves, since not each hypervisor has systemd, or `setpriv`.

use std::io::{Error, Result};
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};
use maquette_libvirt::SERIAL_LOGS;
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs, set_thread_gid, set_thread_groups, set_thread_uid,
};

/// What the process that serves BMCs keeps, where it has it.
const KEPT: CapabilitySet = CapabilitySet::NET_BIND_SERVICE;

/// The user and the group that own no files: `nobody` in all distributions, and the kernel's `overflowuid`.
const NOBODY: u32 = 65_534;

/// What both processes read: the system's libraries and time zones; what the kernel says of this process; random numbers. No pool,
/// no home directory, no other environment.
const SYSTEM: [&str; 7] =
    ["/usr", "/lib", "/lib64", "/proc/self", "/proc/sys", "/sys/devices/system", "/dev/urandom"];

/// Where authorities are (`rustls-native-certs`, which looks where distributions have them). Keys are elsewhere (`private`).
const AUTHORITIES: [&str; 8] = [
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/var/lib/ca-certificates",
];

/// What the C library may look at while it serves. A rule is about a file and not about its name: where one of these is replaced
/// it is not read any more, which the library can do without.
const ACCOUNTS: [&str; 5] =
    ["/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/ld.so.cache"];

/// Where libvirt's client reads `libvirt.conf` each time it connects as root; no variable leads it elsewhere
/// (`virConfLoadConfigPath` in libvirt's `virconf.c`), and a file that is there and cannot be read is an error. The whole
/// directory, whose files are not listed, since a file that a package replaces is another one, and no lost connection would
/// come back after that. What else is in there (domains, secrets) is no more than what libvirt's socket, which is as good as root, gives.
const LIBVIRT: [&str; 1] = ["/etc/libvirt"];

/// Names of servers, and who resolves them. These files are replaced by others at any time, and so their directories are read.
const NAMES: [&str; 5] =
    ["/etc", "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf", "/run/netconfig"];

/// A domain of Landlock's in which no file is read or written yet, no program run, and no other process gets a signal.
fn nothing() -> std::result::Result<RulesetCreated, RulesetError> {
    let ruleset = Ruleset::default().handle_access(AccessFs::from_all(ABI::V6))?;
    ruleset.scope(Scope::from_all(ABI::V6))?.create()
}

/// Enters a domain; false where the kernel has none.
fn enter(domain: RulesetCreated) -> std::result::Result<bool, RulesetError> {
    Ok(domain.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

/// Confines this thread and all that it begins to a directory, for good: other files are read at most (see [`SYSTEM`]), no
/// program is run, no other process gets a signal. False where the kernel cannot do that, which Linux can since 5.13; a
/// kernel that knows a part of it does that part.
///
/// Sockets are none of it: libvirt's is reached as before.
pub(super) fn confine(directory: &Path) -> std::result::Result<bool, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let changed = AccessFs::from_all(ABI::V6) & !AccessFs::Execute;
    enter(
        nothing()?
            .add_rules(path_beneath_rules(SYSTEM, read))?
            .add_rules(path_beneath_rules(AUTHORITIES, read))?
            .add_rules(path_beneath_rules(ACCOUNTS, AccessFs::ReadFile))?
            .add_rules(path_beneath_rules(LIBVIRT, AccessFs::ReadFile))?
            .add_rules(path_beneath_rules(SERIAL_LOGS, AccessFs::ReadFile))?
            .add_rules(path_beneath_rules([directory], changed))?,
    )
}

/// Confines this thread and all that it begins to looking names up, for good, in the same way: nothing is changed anywhere, and
/// no environment's directory is read.
pub(super) fn confine_to_names() -> std::result::Result<bool, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    enter(
        nothing()?
            .add_rules(path_beneath_rules(SYSTEM, read))?
            .add_rules(path_beneath_rules(NAMES, read))?,
    )
}

/// Gives away all other rights than [`KEPT`], for good: no program that is run from here gets them back. Threads have what their
/// first one had when they began, so that this comes before all of them.
pub(super) fn give_away() -> Result<()> {
    bound(KEPT)?;
    keep(KEPT)
}

/// Gives away all rights in the same way, and those of root's files, too, where this process may choose whose it is: under
/// systemd it has no such choice, and the unit hides files that only root reads.
pub(super) fn give_all_away() -> Result<()> {
    bound(CapabilitySet::empty())?;
    be_nobody()?;
    keep(CapabilitySet::empty())
}

/// Becomes another user, who has no file.
fn be_nobody() -> Result<()> {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    if !capabilities(None)?.effective.contains(needed) {
        return Ok(());
    }
    let became =
        set_thread_gid(Gid::from_raw(NOBODY)).and_then(|()| set_thread_uid(Uid::from_raw(NOBODY)));
    match became {
        // A container may know of no such user.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Leaves a thread what it is to keep.
fn keep(kept: CapabilitySet) -> Result<()> {
    let has = capabilities(None)?;
    let sets = CapabilitySets {
        effective: has.effective & kept,
        permitted: has.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)?;
    set_no_new_privs(true)?;
    Ok(())
}

/// Leaves programs nothing else to be given, and no groups.
fn bound(kept: CapabilitySet) -> Result<()> {
    let has = capabilities(None)?;
    if has.effective.contains(CapabilitySet::SETGID) {
        set_thread_groups(&[])?;
    }
    if has.effective.contains(CapabilitySet::SETPCAP) {
        drop_from_bounds(kept)?;
    }
    match clear_ambient_capability_set() {
        // Kernels before 4.3 know of none.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn drop_from_bounds(kept: CapabilitySet) -> Result<()> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        let there = match capability_is_in_bounding_set(one) {
            Ok(there) => there,
            // The kernel has no more of them.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(Error::from(error)),
        };
        if there && !kept.contains(one) {
            remove_capability_from_bounding_set(one)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a thread of its own, as the other one.
    #[test]
    fn files_are_those_of_a_directory_and_no_program_is_run() {
        use std::fs::{read, read_dir, rename, write};
        use std::io::ErrorKind::PermissionDenied;
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [log, new, secret] =
            [own.path().join("log"), own.path().join("new"), other.path().join("secret")];
        write(&secret, "of somebody else").unwrap();
        let directory = own.path().to_path_buf();
        let confined = std::thread::spawn(move || {
            assert!(
                confine(&directory).unwrap(),
                "this kernel has no Landlock: 5.13 or later is needed"
            );
            write(&new, "a line").unwrap();
            rename(&new, &log).unwrap();
            assert_eq!(read(&log).unwrap(), b"a line");
            assert!(read_dir(&directory).is_ok());
            for known in ["/etc/ssl/certs", "/etc/pki/tls/certs"].map(Path::new) {
                assert!(!known.exists() || read_dir(known).is_ok(), "{}", known.display());
            }
            // Where users of BMCs may send it is a matter of these.
            assert!(read("/proc/self/net/route").is_ok() && read("/proc/self/net/dev").is_ok());
            let refused =
                |result: Result<()>| assert_eq!(result.unwrap_err().kind(), PermissionDenied);
            refused(read(&secret).map(|_| ()));
            refused(write(&secret, "of nobody"));
            refused(std::fs::remove_file(&secret));
            refused(read_dir("/root").map(|_| ()));
            for file in ["/etc/shadow", "/etc/hosts"] {
                refused(read(file).map(|_| ()));
            }
            refused(read_dir("/etc").map(|_| ()));
            refused(write("/etc/maquette-was-here", ""));
            refused(rename(&log, secret.with_file_name("log")));
            refused(
                std::process::Command::new("/bin/sh").arg("-c").arg("true").status().map(|_| ()),
            );
        });
        confined.join().unwrap();
        assert_eq!(read(other.path().join("secret")).unwrap(), b"of somebody else");
    }

    /// On a thread of its own, too: it reads what is there now, and changes nothing.
    #[test]
    fn whoever_looks_names_up_reads_the_systems_files_and_changes_none() {
        use std::fs::{read, read_dir, write};
        use std::io::ErrorKind::PermissionDenied;
        let own = tempfile::tempdir().unwrap();
        let (kept, new) = (own.path().join("kept"), own.path().join("new"));
        write(&kept, "of an environment").unwrap();
        let confined = std::thread::spawn(move || {
            assert!(confine_to_names().unwrap(), "this kernel has no Landlock");
            assert!(read("/etc/hosts").is_ok() && read_dir("/etc").is_ok());
            let refused =
                |result: Result<()>| assert_eq!(result.unwrap_err().kind(), PermissionDenied);
            refused(read(&kept).map(|_| ()));
            refused(write(&kept, ""));
            refused(write(&new, ""));
            refused(write("/etc/maquette-was-here", ""));
            refused(
                std::process::Command::new("/bin/sh").arg("-c").arg("true").status().map(|_| ()),
            );
        });
        confined.join().unwrap();
    }

    /// On a thread of its own, too, which alone becomes nobody.
    #[test]
    fn nothing_at_all_is_left_to_whoever_looks_names_up() {
        let status = std::thread::spawn(|| {
            give_all_away().unwrap();
            // Once more, as somebody who has nothing left.
            give_all_away().unwrap();
            std::fs::read_to_string("/proc/thread-self/status").unwrap()
        });
        let status = status.join().unwrap();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').split_whitespace().map(String::from).collect::<Vec<_>>()
        };
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
            assert_eq!(of(set), ["0000000000000000"], "{set}: {status}");
        }
        assert_eq!(of("NoNewPrivs"), ["1"]);
        if rustix::process::geteuid().is_root() {
            assert_eq!(of("CapBnd"), ["0000000000000000"], "{status}");
            assert_eq!([of("Uid"), of("Gid")], [["65534"; 4], ["65534"; 4]], "{status}");
            assert!(of("Groups").is_empty(), "{status}");
        }
    }

    /// On a thread of its own, whose rights are no other's. As root it has all of them before; as anybody else none.
    #[test]
    fn nothing_is_left_but_low_ports() {
        let status = std::thread::spawn(|| {
            give_away().unwrap();
            // Once more, as where systemd has begun with it.
            give_away().unwrap();
            std::fs::read_to_string("/proc/thread-self/status").unwrap()
        });
        let status = status.join().unwrap();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().to_string()
        };
        let number = |name: &str| u64::from_str_radix(&of(name), 16).unwrap();
        for set in ["CapEff", "CapPrm"] {
            assert_eq!(number(set) & !KEPT.bits(), 0, "{set}: {status}");
        }
        for set in ["CapInh", "CapAmb"] {
            assert_eq!(number(set), 0, "{set}: {status}");
        }
        assert_eq!(of("NoNewPrivs"), "1");
        if rustix::process::geteuid().is_root() {
            assert_eq!(number("CapBnd") & !KEPT.bits(), 0, "{status}");
            assert_eq!(of("Groups"), "", "{status}");
        }
    }
}
