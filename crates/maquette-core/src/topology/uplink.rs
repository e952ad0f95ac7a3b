//! Host bridges: a network that a NIC of the hypervisor joins.

use crate::decode::Fields;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::Spanned;
use crate::values::InterfaceName;

/// How a network is connected to a LAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// NIC of the hypervisor; none is the one of its IPv4 default route.
    pub nic: Option<Spanned<InterfaceName>>,
    /// Spanning tree protocol.
    pub stp: bool,
    /// Whether nodes are kept from answering DHCP and from advertising themselves as routers on the LAN.
    pub dhcp_guard: bool,
}

/// Reads the keys of a `forward: bridge` network; `used` says whether it is one.
pub(super) fn decode(
    fields: &mut Fields<'_>,
    used: bool,
    diags: &mut Diagnostics,
) -> Option<Uplink> {
    let nic = fields.text("nic", diags).filter(|n| !n.value.trim().is_empty());
    let stp = fields.bool("stp", diags);
    let guard = fields.bool("dhcp_guard", diags);
    if !used {
        return None;
    }
    let nic = nic.and_then(|nic| match nic.value.parse() {
        Ok(name) => Some(Spanned::new(name, nic.span)),
        Err(_) => {
            let message = format!("`{}` is not a valid network interface", nic.value);
            let help = "names of interfaces have at most 15 letters, digits, `-`, `_` and `.`";
            diags.push(Diagnostic::error("topology::nic", message).at(nic.span, "").help(help));
            None
        }
    });
    Some(Uplink { nic, stp: stp.unwrap_or(false), dhcp_guard: guard.unwrap_or(true) })
}
