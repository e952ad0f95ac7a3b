//! What the process that serves BMCs may do: have ports below 1024, and nothing else that only root may. It gives the rest
//! away itself, since not each hypervisor has systemd, or `setpriv`.

use std::io::{Error, Result};

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs, set_thread_groups,
};

/// What it keeps, where it has it.
const KEPT: CapabilitySet = CapabilitySet::NET_BIND_SERVICE;

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
