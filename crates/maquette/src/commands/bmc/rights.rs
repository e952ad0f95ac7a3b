//! What the process that serves BMCs may do: have ports below 1024, and nothing else that only root may; change files of its
//! own directory, and start no program. It gives the rest away itself, since not each hypervisor has systemd, or `setpriv`.

use std::io::{Error, Result};
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, path_beneath_rules,
};
use maquette_libvirt::SERIAL_LOGS;
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs, set_thread_groups,
};

/// What it keeps, where it has it.
const KEPT: CapabilitySet = CapabilitySet::NET_BIND_SERVICE;

/// What it reads besides nodes' consoles: the system's libraries, names of servers and who resolves them, authorities, time
/// zones; what the kernel says of this process; random numbers. No pool, no home directory, no other environment.
const READ: [&str; 11] = [
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/proc/self",
    "/proc/sys",
    "/sys/devices/system",
    "/dev/urandom",
];

/// Confines this thread and all that it begins to a directory, for good: other files are read at most (see [`READ`]), no
/// program is run, no other process gets a signal. False where the kernel cannot do that, which Linux can since 5.13; a
/// kernel that knows a part of it does that part.
///
/// Sockets are none of it: libvirt's is reached as before.
pub(super) fn confine(directory: &Path) -> std::result::Result<bool, RulesetError> {
    let all = AccessFs::from_all(ABI::V6);
    let status = Ruleset::default()
        .handle_access(all)?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(READ, AccessFs::ReadFile | AccessFs::ReadDir))?
        .add_rules(path_beneath_rules(SERIAL_LOGS, AccessFs::ReadFile))?
        .add_rules(path_beneath_rules([directory], all & !AccessFs::Execute))?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// Gives away all other rights, for good: no program that is run from here gets them back. Threads have what their first one
/// had when they began, so that this comes before all of them.
pub(super) fn give_away() -> Result<()> {
    let has = capabilities(None)?;
    if has.effective.contains(CapabilitySet::SETGID) {
        set_thread_groups(&[])?;
    }
    if has.effective.contains(CapabilitySet::SETPCAP) {
        bound()?;
    }
    match clear_ambient_capability_set() {
        // Kernels before 4.3 know of none.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    set_capabilities(
        None,
        CapabilitySets {
            effective: has.effective & KEPT,
            permitted: has.permitted & KEPT,
            inheritable: CapabilitySet::empty(),
        },
    )?;
    set_no_new_privs(true)?;
    Ok(())
}

/// Leaves nothing else for programs to be given.
fn bound() -> Result<()> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        let there = match capability_is_in_bounding_set(one) {
            Ok(there) => there,
            // The kernel has no more of them.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(Error::from(error)),
        };
        if there && one != KEPT {
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
            assert!(read("/etc/hosts").is_ok() && read_dir(&directory).is_ok());
            // Where users of BMCs may send it is a matter of these.
            assert!(read("/proc/self/net/route").is_ok() && read("/proc/self/net/dev").is_ok());
            let refused =
                |result: Result<()>| assert_eq!(result.unwrap_err().kind(), PermissionDenied);
            refused(read(&secret).map(|_| ()));
            refused(write(&secret, "of nobody"));
            refused(std::fs::remove_file(&secret));
            refused(read_dir("/root").map(|_| ()));
            refused(write("/etc/maquette-was-here", ""));
            refused(rename(&log, secret.with_file_name("log")));
            refused(
                std::process::Command::new("/bin/sh").arg("-c").arg("true").status().map(|_| ()),
            );
        });
        confined.join().unwrap();
        assert_eq!(read(other.path().join("secret")).unwrap(), b"of somebody else");
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
