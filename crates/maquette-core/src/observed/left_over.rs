//! What libvirt was making when it was killed: it is there, and libvirt does not know of it any more.
//!
//! libvirt finds what it has started again by files in /run/libvirt, which it writes once that is done. What it has begun before
//! goes on without them: a bridge with its DHCP server, and QEMU. Whoever asks libvirt does not see it, so that nothing of
//! ours takes it away.

use std::fmt;

use super::{HostNetwork, Observed};
use crate::blueprint::Carrier;

/// Something that is there, of which libvirt says that it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOver<'a> {
    /// The bridge of a network that does not run.
    Bridge {
        /// The network's name in libvirt.
        network: &'a str,
        /// Its bridge, which is there.
        bridge: &'a str,
    },
    /// A QEMU of a domain that does not run.
    Emulator {
        /// The domain's name in libvirt.
        domain: &'a str,
    },
}

impl LeftOver<'_> {
    /// What ends it, and whatever else was left with it.
    pub fn way_out(&self) -> String {
        match self {
            // Others may be starting it at this moment.
            Self::Bridge { network, bridge } => format!(
                "unless `virsh net-list` names `{network}` by now, in which case run this again, `ip link delete {bridge} \
                 type bridge` on the hypervisor removes it, after `pkill -F /run/libvirt/network/{network}.pid` has ended \
                 its DHCP server, if that runs"
            ),
            Self::Emulator { domain } => format!(
                "unless `virsh list` names `{domain}` by now, in which case run this again, `pgrep -aF /run/libvirt/qemu/{domain}.pid` on the hypervisor shows it, if it is still there, and \
                 `pkill -F /run/libvirt/qemu/{domain}.pid` ends it"
            ),
        }
    }
}

impl fmt::Display for LeftOver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge { network, bridge } => write!(
                f,
                "libvirt says that network `{network}` does not run, and its bridge `{bridge}` is there, as happens \
                 when libvirt is killed while it starts one"
            ),
            Self::Emulator { domain } => write!(
                f,
                "libvirt says that domain `{domain}` does not run, and a QEMU of it does, as happens when libvirt is \
                 killed while it starts one"
            ),
        }
    }
}

impl Observed {
    /// What is left of this environment's objects that libvirt was starting, on a hypervisor with these interfaces. `runs`
    /// tells whether a QEMU of a domain does.
    pub fn left_overs<'a>(
        &'a self,
        host: &HostNetwork,
        mut runs: impl FnMut(&str) -> bool,
    ) -> Vec<LeftOver<'a>> {
        // Other bridges are Maquette's, and are there before libvirt knows their networks.
        let bridges = self.networks.values().filter(|network| {
            let made_by_libvirt = matches!(network.recorded.carrier, Carrier::Libvirt(_));
            !network.active && made_by_libvirt && host.has_bridge(&network.recorded.bridge)
        });
        let bridges = bridges.map(|network| LeftOver::Bridge {
            network: &network.recorded.name,
            bridge: &network.recorded.bridge,
        });
        let off = self.domains.values().filter(|domain| !domain.active && runs(&domain.name));
        bridges.chain(off.map(|domain| LeftOver::Emulator { domain: &domain.name })).collect()
    }
}
