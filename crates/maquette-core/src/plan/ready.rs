//! When a node is up.

use super::Readiness;
use crate::blueprint::Node;

/// How to know that a node is up; appliances and empty nodes cannot tell.
pub(super) fn readiness(node: &Node) -> Option<Readiness> {
    let guest = node.guest.as_ref()?;
    let reports = node.interfaces.iter().any(|i| i.ipv4.asks_dhcp());
    if node.access.address.is_none() && !reports {
        return None;
    }
    Some(Readiness {
        address: node.access.address,
        leased: node.access.address.is_none() || node.is_leased(),
        direct: node.access.direct,
        user: node.access.user.clone(),
        host_key: guest.host_key.clone(),
    })
}
