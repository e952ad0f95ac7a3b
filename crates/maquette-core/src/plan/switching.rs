//! What a network needs on the hypervisor besides libvirt's own: made after its definition records it,
//! gone before that forgets it.

use super::Action;
use crate::blueprint::{Carrier, Network, Vswitch};
use crate::names::EnvName;
use crate::observed::{HostNetwork, Observed};

/// Makes the bridge that libvirt does not make.
pub(super) fn make(network: &Network, environment: &EnvName) -> Option<Action> {
    let bridge = network.bridge.clone();
    match network.carrier.clone() {
        Carrier::Libvirt(_) | Carrier::Direct(..) => None,
        Carrier::Nic(uplink) => Some(Action::BridgeNic { bridge, uplink }),
        Carrier::OpenVswitch(vswitch) => {
            let (environment, mtu) = (environment.clone(), network.mtu);
            Some(Action::MakeVswitch { bridge, vswitch, environment, mtu })
        }
    }
}

/// Removes it.
pub(super) fn unmake(network: &Network, environment: &EnvName) -> Option<Action> {
    let bridge = network.bridge.clone();
    match &network.carrier {
        Carrier::Libvirt(_) | Carrier::Direct(..) => None,
        Carrier::Nic(uplink) => Some(Action::ReleaseNic { bridge, nic: uplink.nic.clone() }),
        Carrier::OpenVswitch(_) => {
            Some(Action::RemoveVswitch { bridge, environment: environment.clone() })
        }
    }
}

/// What is not there any more of a network that was made, in words.
pub(super) fn missing(network: &Network, observed: &Observed) -> Option<String> {
    let host = &observed.host;
    match &network.carrier {
        Carrier::Libvirt(_) | Carrier::Direct(..) => None,
        Carrier::Nic(uplink) => {
            let gone = !host.is_port(&uplink.nic, &network.bridge);
            gone.then(|| format!("{} is not in its bridge", uplink.nic))
        }
        Carrier::OpenVswitch(vswitch) => {
            lost_port(vswitch, host).map(|name| format!("interface {name} is gone"))
        }
    }
}

/// Whether somebody has removed what keeps nodes from serving DHCP on the LAN, as flushing all firewall
/// rules does. It is there again when the network has started again, which its nodes do not notice.
pub(super) fn unguarded(network: &Network, observed: &Observed) -> bool {
    let wanted = network.carrier.uplink().is_some_and(|u| u.guard);
    wanted && !observed.host.guarded.contains(network.bridge.as_str())
}

fn lost_port<'a>(vswitch: &'a Vswitch, host: &HostNetwork) -> Option<&'a str> {
    let names = vswitch.ports.iter().map(|p| p.name.as_str());
    names.into_iter().find(|name| !host.links.contains_key(*name))
}
