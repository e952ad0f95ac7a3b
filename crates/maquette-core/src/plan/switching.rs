//! What a network needs on the hypervisor besides libvirt's own: made after its definition records it,
//! gone before that forgets it.

use super::Action;
use crate::blueprint::{Network, Vswitch};
use crate::names::EnvName;
use crate::observed::{HostNetwork, Observed};

/// Makes the bridge that libvirt does not make.
pub(super) fn make(network: &Network, environment: &EnvName) -> Option<Action> {
    let bridge = network.bridge.clone();
    if let Some(uplink) = &network.uplink {
        return Some(Action::BridgeNic { bridge, uplink: uplink.clone() });
    }
    let vswitch = network.vswitch.clone()?;
    let (environment, mtu) = (environment.clone(), network.mtu);
    Some(Action::MakeVswitch { bridge, vswitch, environment, mtu })
}

/// Removes it.
pub(super) fn unmake(network: &Network, environment: &EnvName) -> Option<Action> {
    let bridge = network.bridge.clone();
    match (&network.uplink, &network.vswitch) {
        (Some(uplink), _) => Some(Action::ReleaseNic { bridge, nic: uplink.nic.clone() }),
        (None, Some(_)) => Some(Action::RemoveVswitch { bridge, environment: environment.clone() }),
        (None, None) => None,
    }
}

/// What is not there any more of a network that was made, in words.
pub(super) fn missing(network: &Network, observed: &Observed) -> Option<String> {
    let host = &observed.host;
    if let Some(uplink) = &network.uplink {
        let gone = !host.is_port(&uplink.nic, &network.bridge);
        return gone.then(|| format!("{} is not in its bridge", uplink.nic));
    }
    lost_port(network.vswitch.as_ref()?, host).map(|name| format!("interface {name} is gone"))
}

/// Whether somebody has removed what keeps nodes from serving DHCP on the LAN, as flushing all firewall
/// rules does. It is there again when the network has started again, which its nodes do not notice.
pub(super) fn unguarded(network: &Network, observed: &Observed) -> bool {
    let wanted = network.uplink.as_ref().is_some_and(|u| u.guard);
    wanted && !observed.host.guarded.contains(&network.bridge)
}

fn lost_port<'a>(vswitch: &'a Vswitch, host: &HostNetwork) -> Option<&'a str> {
    let names = vswitch.ports.iter().map(|p| p.name.as_str());
    names.into_iter().find(|name| !host.links.contains_key(*name))
}
