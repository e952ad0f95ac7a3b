//! Networks on NICs of the hypervisor: one in their bridge, or some that nodes are on without one.

use super::forward::{DirectMode, Forward};
use crate::decode::{self, Fields};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::{Spanned, Tree, Value};
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

/// Reads the keys of networks on NICs of the hypervisor: what a `forward: bridge` network is connected by, and the NICs that
/// nodes of a network without a bridge are on.
pub(super) fn decode(
    fields: &mut Fields<'_>,
    forward: Option<Forward>,
    network: &str,
    diags: &mut Diagnostics,
) -> (Option<Uplink>, Vec<Spanned<InterfaceName>>) {
    let node = fields.take("nic");
    let stp = fields.bool("stp", diags);
    let guard = fields.bool("dhcp_guard", diags);
    let on_bridge = forward == Some(Forward::Bridge);
    if !on_bridge && !forward.is_some_and(Forward::is_direct) {
        return (None, Vec::new());
    }
    let before = diags.mistakes();
    let nics = node.map_or_else(Vec::new, |node| nics(node, diags));
    if !on_bridge {
        // What is missed may be what could not be read.
        let whole = forward == Some(Forward::Direct(DirectMode::Passthrough));
        if whole && nics.is_empty() && diags.mistakes() == before {
            let message = format!("network `{network}` has `forward: passthrough` and no `nic`");
            diags.push(
                Diagnostic::error("topology::nic", message)
                    .at(node.map_or(fields.span(), |node| node.span), "")
                    .help("each interface takes a whole NIC from the hypervisor: name as many, `nic: [eno2, eno3]`"),
            );
        }
        return (None, nics);
    }
    if let (Some(first), Some(_), Some(node)) = (nics.first(), nics.get(1), node) {
        let message = format!("network `{network}` has several NICs, and its bridge takes one");
        let help = format!("name one, `nic: {}`", first.value);
        diags.push(Diagnostic::error("topology::nic", message).at(node.span, "").help(help));
    }
    let nic = nics.into_iter().next();
    let uplink = Uplink { nic, stp: stp.unwrap_or(false), dhcp_guard: guard.unwrap_or(true) };
    (Some(uplink), Vec::new())
}

/// The names of NICs: one, or a list. One that says nothing counts as absent.
fn nics(node: &Tree, diags: &mut Diagnostics) -> Vec<Spanned<InterfaceName>> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut nics: Vec<Spanned<InterfaceName>> = Vec::new();
    for item in items {
        let Some(text) = decode::text(item, "nic", diags) else { continue };
        if text.value.trim().is_empty() {
            continue;
        }
        match text.value.parse::<InterfaceName>() {
            Ok(name) if nics.iter().any(|known| known.value == name) => {
                let message = format!("the NIC `{name}` is named twice");
                let error = Diagnostic::error("topology::nic", message).at(text.span, "");
                diags.push(error.help("a NIC is in the list once"));
            }
            Ok(name) => nics.push(Spanned::new(name, text.span)),
            Err(_) => {
                let message = format!("`{}` is not a valid network interface", text.value);
                let help = "names of interfaces have at most 15 letters, digits, `-`, `_` and `.`";
                let error = Diagnostic::error("topology::nic", message).at(text.span, "");
                diags.push(error.help(help));
            }
        }
    }
    nics
}
