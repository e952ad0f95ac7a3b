//! Listening to router advertisements although the hypervisor forwards: with forwarding on, the kernel does so only
//! if `accept_ra` is 2 (<https://docs.kernel.org/networking/ip-sysctl.html>).

use super::{HostFacts, HypervisorNeeds, Lack, Setting};
use crate::plan::Op;

pub(super) fn lacks(facts: &HostFacts, needs: &HypervisorNeeds) -> Option<Lack> {
    if !needs.ipv6 || facts.router_interfaces.is_empty() {
        return None;
    }
    let detail = format!("accept_ra 2 on {}", facts.router_interfaces.join(", "));
    let reason = "with forwarding it would lose its own default route";
    let interfaces = facts.router_interfaces.iter().map(|name| (name.clone(), "2".into()));
    let setting = Setting::RouterAdverts { interfaces: interfaces.collect() };
    Some(Lack::new(Op::Update, "ipv6", detail, reason, setting))
}

pub(super) fn title() -> String {
    "set IPv6 router advertisements".into()
}

pub(super) fn way_back(before: &[(String, String)]) -> (String, String) {
    let each: Vec<String> =
        before.iter().map(|(name, value)| format!("{value} on {name}")).collect();
    ("ipv6".into(), format!("accept_ra {}", each.join(", ")))
}
