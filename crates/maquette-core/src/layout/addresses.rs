//! Which address a node has on a network: what the networking definition says, and ci-framework's own rule for the
//! network that nodes are reached on.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::definition::{Definition, Range};
use super::vms::Vm;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::{Span, Spanned};

/// On the network that nodes are reached on: the number of the controller's address, and the first of all others.
const CONTROLLER: u32 = 9;
const FIRST: u32 = 30;

/// All that addresses follow from.
pub(super) struct Addresses<'a> {
    /// The networking definition, if there is one.
    pub definition: Option<&'a Definition>,
    /// What networks of the layout are called there.
    pub translations: &'a [(String, Vec<String>)],
    /// The network that nodes are reached on, with its subnet.
    pub public: Option<(&'a str, Ipv4Net)>,
    /// All node types, in their order.
    pub vms: &'a [Vm],
}

impl Addresses<'_> {
    /// The addresses of all nodes of a type on a network; none where they are not all known.
    pub fn of(
        &self,
        vm: &Vm,
        network: &str,
        diags: &mut Diagnostics,
    ) -> Option<Vec<Spanned<Ipv4Addr>>> {
        let public = self.public.filter(|(name, _)| *name == network);
        let nodes = || (0..vm.amount).map(|number| (number, node(&vm.kind.value, number)));
        let mut all = Vec::new();
        for (number, node) in nodes() {
            let address = match public {
                Some((_, net)) => self.on_public(vm, net, number),
                None => self.defined(vm, network, (number, &node)),
            };
            match address {
                Ok(Some(address)) => all.push(address),
                Ok(None) => return None,
                Err((group, range)) => {
                    diags.push(over(vm, network, &group, &range, number));
                    return None;
                }
            }
        }
        (!all.is_empty()).then_some(all)
    }

    /// What the definition says; the error is the range that is over.
    fn defined(&self, vm: &Vm, network: &str, (number, node): (u32, &str)) -> Found {
        let Some(definition) = self.definition else { return Ok(None) };
        let own = [network.to_string()];
        let translated = self.translations.iter().find(|(name, _)| name == network);
        let names = translated.map_or(&own[..], |(_, names)| names.as_slice());
        for name in names {
            let chosen = definition.instances.iter().find(|(m, n, _)| m == node && n == name);
            if let Some((_, _, address)) = chosen {
                return Ok(Some(address.clone()));
            }
            let group = definition.groups.iter().find(|g| g.name == group(&vm.kind.value));
            let Some(group) = group else { continue };
            let Some((_, own)) = group.networks.iter().find(|(n, _)| n == name) else { continue };
            let range = own.or(group.template.flatten());
            let subnet = definition.network(name).filter(|n| !n.vlan).and_then(|n| n.v4);
            let (Some(range), Some(subnet)) = (range, subnet) else { continue };
            return match range.address(subnet, number) {
                Some(address) => Ok(Some(Spanned::new(address, range.span))),
                None => Err((group.name.clone(), range)),
            };
        }
        Ok(None)
    }

    /// On the network that nodes are reached on, the controller is number 9, and all others count up from number 30 in
    /// the order of the layout, unless the definition has a range for their group.
    fn on_public(&self, vm: &Vm, net: Ipv4Net, number: u32) -> Found {
        let (name, _) = self.public.unwrap_or_default();
        if vm.kind.value == "controller" {
            let address = (number == 0).then(|| nth(net, CONTROLLER)).flatten();
            return Ok(address.map(|a| Spanned::new(a, vm.kind.span)));
        }
        let template = |vm: &Vm| {
            let groups = self.definition.map_or(&[][..], |d| d.groups.as_slice());
            groups.iter().find(|g| g.name == group(&vm.kind.value)).and_then(|g| g.template)
        };
        if let Some(range) = template(vm) {
            let found =
                range.map(|r| r.address(net, number).map(|a| Spanned::new(a, r.span)).ok_or(r));
            return match found {
                Some(Err(range)) => Err((group(&vm.kind.value), range)),
                Some(Ok(address)) => Ok(Some(address)),
                None => Ok(None),
            };
        }
        let before = self.vms.iter().take_while(|other| other.kind.value != vm.kind.value);
        let counted = before.filter(|other| {
            let there = other.nets.iter().any(|n| n.value == name);
            other.kind.value != "controller"
                && other.amount > 0
                && there
                && template(other).is_none()
        });
        let start = counted
            .into_iter()
            .try_fold(FIRST, |sum, other| sum.checked_add(other.amount)?.checked_add(1));
        let address = start.and_then(|s| s.checked_add(number)).and_then(|n| nth(net, n));
        Ok(address.map(|a| Spanned::new(a, vm.kind.span)))
    }
}

/// An address, or none; or the range that is over, and whose it is.
type Found = Result<Option<Spanned<Ipv4Addr>>, (String, Range)>;

fn nth(net: Ipv4Net, number: u32) -> Option<Ipv4Addr> {
    let address = u32::from(net.network()).checked_add(number).map(Ipv4Addr::from)?;
    (net.contains(&address) && address != net.broadcast()).then_some(address)
}

fn over(vm: &Vm, network: &str, group: &str, range: &Range, number: u32) -> Diagnostic {
    let (kind, amount) = (&vm.kind.value, vm.amount);
    let message = format!(
        "the range of group `{group}` has no address on `{network}` for `{kind}` number {number} of {amount}"
    );
    Diagnostic::error("layout::range", message)
        .at(range.span, "")
        .at(vm.kind.span, "for these")
        .help("widen the range, or ask for fewer of them")
}

/// The group of a node type.
pub(super) fn group(kind: &str) -> String {
    match kind {
        "crc" => "ocps".into(),
        other => format!("{other}s"),
    }
}

/// What the nodes of a type are called, before their number.
pub(super) fn node_name(kind: &str) -> String {
    match kind {
        "ocp" => "ocp-master".into(),
        other => other.replace('_', "-"),
    }
}

fn node(kind: &str, number: u32) -> String {
    format!("{}-{number}", node_name(kind))
}

/// The place of the first address.
pub(super) fn place(addresses: &[Spanned<Ipv4Addr>], otherwise: Span) -> Span {
    addresses.first().map_or(otherwise, |a| a.span)
}
