//! The closed list of what preparation changes. What a variant is called is said in its thing's file.

use super::limits::Limit;
use crate::values::Directory;

/// One thing of a hypervisor that preparation changes, with its value: in `Action::Apply` the one that it shall
/// have, in `Action::Restore` the one that it had before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Packages of the family: to install, or that were not there before.
    Packages {
        /// Their names in the family's package manager.
        names: Vec<String>,
    },
    /// Access to `/dev/kvm`.
    Kvm {
        /// Mode in octal digits: `660`.
        mode: String,
        /// Name of the group that owns it.
        group: String,
    },
    /// firewalld has read its zones again; nothing of it is put back.
    Firewalld,
    /// libvirt's daemons run; before, they did not.
    Daemons,
    /// A storage pool is defined, built and started; before, it was not there.
    Pool {
        /// Its name in libvirt.
        name: String,
        /// Its directory; none where it was not there.
        directory: Option<Directory>,
    },
    /// Open vSwitch's daemons run; before, they did not.
    Vswitch,
    /// libvirt's network hook is there; before, it was not.
    NetworkHook,
    /// What removes expired environments is there, and called each minute; before, it was not there.
    Expiry,
    /// The SSH server's limits are higher, by a drop-in that was not there before.
    SshLimits,
    /// Nested virtualisation is on, by an option of the module that was not there before.
    Nested {
        /// `kvm_intel` or `kvm_amd`.
        module: String,
    },
    /// Which interfaces listen to router advertisements.
    RouterAdverts {
        /// Interfaces, each with its `accept_ra`.
        interfaces: Vec<(String, String)>,
    },
    /// The hypervisor's time zone.
    Timezone {
        /// The name of the zone: `Europe/Prague`.
        zone: String,
    },
    /// A limit of the kernel's.
    Limit {
        /// Which of the kernel's limits it is.
        limit: &'static Limit,
        /// Its value, as `sysctl` shows it.
        value: u64,
    },
}
