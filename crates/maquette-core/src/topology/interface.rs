//! The network interfaces of a role.

use crate::decode::{self, Fields, wrong_type};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::{Node, Spanned, Value};

/// One network interface; its position is its number in the guest (`eth0`, `eth1`, …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Network, without prefix.
    pub network: Spanned<String>,
    /// Model, where the file names one.
    pub model: Option<String>,
}

/// Reads `interfaces`: a list, or the manual's mapping of `nicN`.
pub fn decode(node: &Node, role: &str, diags: &mut Diagnostics) -> Vec<Interface> {
    match &node.value {
        Value::Null => Vec::new(),
        Value::List(items) => items
            .iter()
            .enumerate()
            .filter_map(|(i, item)| interface(item, i, role, diags))
            .collect(),
        Value::Map(entries) if entries.iter().any(|e| e.key == "basic") => {
            diags.push(unsupported("a BGP topology").at(node.span, "interfaces listed per index"));
            Vec::new()
        }
        Value::Map(entries) => {
            let mut numbered = Vec::new();
            for entry in entries {
                match entry.key.strip_prefix("nic").and_then(|n| n.parse::<u32>().ok()) {
                    Some(number) => numbered.push((number, &entry.value)),
                    None => diags.push(
                        Diagnostic::error(
                            "topology::interface-key",
                            format!("`{}` does not number an interface", entry.key),
                        )
                        .at(entry.key_span, "")
                        .help("write `nic1`, `nic2`, …, or a list"),
                    ),
                }
            }
            numbered.sort_by_key(|(number, _)| *number);
            numbered
                .iter()
                .enumerate()
                .filter_map(|(i, (_, item))| interface(item, i, role, diags))
                .collect()
        }
        Value::Scalar(_) => {
            diags.push(wrong_type(node, "`interfaces`", "a list"));
            Vec::new()
        }
    }
}

fn interface(node: &Node, index: usize, role: &str, diags: &mut Diagnostics) -> Option<Interface> {
    let what = format!("interface {} of node type `{role}`", index + 1);
    let mut fields = Fields::new(node, what, diags)?;
    if let Some(wire) = fields.take("connect_to") {
        diags.push(unsupported("a wired link (`connect_to`)").at(wire.span, ""));
    } else if let Some(bridged) = fields.take("bridged")
        && decode::boolean(bridged, "bridged", diags) == Some(true)
    {
        diags.push(unsupported("an interface on a host bridge").at(bridged.span, ""));
    }
    if let Some(portgroup) = fields.take("portgroup") {
        diags.push(unsupported("a portgroup (Open vSwitch)").at(portgroup.span, ""));
    }
    fields.ignore(&["bridged", "src_model", "hub", "needs_formatting"]);
    let network = fields.need("network", diags).and_then(|n| decode::text(n, "network", diags));
    let model = fields.text("model", diags).map(|m| m.value);
    fields.finish(diags);
    Some(Interface { network: network?, model })
}

/// What this version does not build yet.
pub fn unsupported(what: &str) -> Diagnostic {
    Diagnostic::error("topology::unsupported", format!("{what} cannot be built yet"))
        .help("isolated, `nat` and `route` networks work")
}
