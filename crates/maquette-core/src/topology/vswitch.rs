//! Portgroups, which have VLANs on Open vSwitch, and the hypervisor's own interfaces in these.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::usable::own_is_host;
use super::{Forward, checked_name};
use crate::decode::{self, Fields};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file_keys::{Form, Key, key};
use crate::syntax::{Span, Spanned, Tree};
use crate::values::{Name, VlanId};

pub(super) const IPV4: Form = Form::Parsed("an address such as 10.0.0.1/24", "10.0.0.1/24");
pub(super) const IPV6: Form = Form::Parsed("an address such as 2001:db8::1/64", "2001:db8::1/64");
const TAG: Form = Form::Parsed("a VLAN's number", "10");

/// Keys of a VLAN.
const VLAN: &[Key] = &[
    key("id", TAG, "Its number, 1 to 4094").needed(),
    key("native", Form::YesNo, "Whether it is the one without a tag [default: no]"),
    key("ipv4_address", IPV4, "Address of the hypervisor in it [default: none]"),
    key("ipv6_address", IPV6, "IPv6 address of the hypervisor in it [default: none]"),
];

/// Keys of a portgroup.
pub(super) const PORTGROUP: &[Key] = &[
    key("name", Form::Text, "Its name").example("blue").needed(),
    key(
        "default",
        Form::YesNo,
        "Whether interfaces that name no portgroup are in it [default: no]",
    ),
    key("trunk", Form::YesNo, "Whether frames keep their tags [default: no]"),
    key("vlan_id", TAG, "The VLAN of an access port [default: the one of `vlans`]"),
    key(
        "vlans",
        Form::List(&Form::Map(VLAN)),
        "The VLANs of a trunk [default: that of `vlan_id`, else all]",
    ),
    key(
        "ipv4_address",
        IPV4,
        "Address of the hypervisor in the VLAN of an access port [default: none]",
    ),
    key(
        "ipv6_address",
        IPV6,
        "IPv6 address of the hypervisor in the VLAN of an access port [default: none]",
    ),
];

/// A VLAN of a portgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vlan {
    /// The number of the VLAN.
    pub id: Spanned<VlanId>,
    /// Whether it is the one without a tag.
    pub native: bool,
    /// Addresses of the hypervisor in it.
    pub addresses: Vec<Spanned<IpNet>>,
}

/// Which VLANs an interface is in; none on a bridge of Linux.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portgroup {
    /// Name by which interfaces ask for it.
    pub name: Spanned<Name>,
    /// Whether interfaces that name none are in it.
    pub default: bool,
    /// Whether frames keep their tags.
    pub trunk: bool,
    /// Its VLANs, in file order.
    pub vlans: Vec<Vlan>,
}

/// An Open vSwitch network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vswitch {
    /// Addresses of the bridge itself.
    pub addresses: Vec<Spanned<IpNet>>,
    /// Portgroups, in file order.
    pub portgroups: Vec<Portgroup>,
    /// Whether some could not be read.
    pub lacks_portgroups: bool,
}

impl Vswitch {
    /// All addresses that the hypervisor has on it.
    pub fn addresses(&self) -> impl Iterator<Item = &Spanned<IpNet>> {
        let vlans = self.portgroups.iter().flat_map(|p| &p.vlans);
        self.addresses.iter().chain(vlans.flat_map(|v| &v.addresses))
    }
}

/// Reads what a network has of Open vSwitch, and portgroups that it has without. Where it is not known how it
/// reaches the outside, it may be on one.
pub(super) fn decode(
    fields: &mut Fields<'_>,
    forward: Option<Forward>,
    network: &str,
    diags: &mut Diagnostics,
) -> (Option<Vswitch>, Vec<Portgroup>) {
    let used = forward.is_none_or(|forward| forward == Forward::OpenVswitch);
    let addresses = addresses(fields, diags);
    let groups = fields.take("portgroups");
    if let Some(groups) = groups.filter(|_| forward.is_some_and(Forward::is_direct)) {
        let message = format!("network `{network}` has portgroups and no bridge");
        let error = Diagnostic::error("topology::portgroups", message).at(groups.span, "");
        diags.push(error.help("nodes are on a NIC there, each as its own machine; leave them out"));
        return (None, Vec::new());
    }
    let before = diags.mistakes();
    let items = groups.map_or(&[][..], |n| decode::list(n, "portgroups", diags));
    let is_list = diags.mistakes() == before;
    let portgroups: Vec<Portgroup> =
        items.iter().filter_map(|item| portgroup(item, (network, used), diags)).collect();
    twins(&portgroups, network, diags);
    if !used {
        return (None, portgroups);
    }
    let lacks_portgroups = !is_list || portgroups.len() < items.len();
    (Some(Vswitch { addresses, portgroups, lacks_portgroups }), Vec::new())
}

/// Refuses two portgroups of a name, and two for interfaces that name none.
fn twins(portgroups: &[Portgroup], network: &str, diags: &mut Diagnostics) {
    for (i, group) in portgroups.iter().enumerate() {
        let twin = portgroups[..i]
            .iter()
            .find(|g| g.name.value == group.name.value || (g.default && group.default));
        if let Some(twin) = twin {
            let message = match twin.name.value == group.name.value {
                true => format!("two portgroups are called `{}`", group.name.value),
                false => format!("network `{network}` has two default portgroups"),
            };
            diags.push(
                Diagnostic::error("topology::portgroups", message)
                    .at(group.name.span, "")
                    .at(twin.name.span, "the first is here"),
            );
        }
    }
}

fn addresses(fields: &mut Fields<'_>, diags: &mut Diagnostics) -> Vec<Spanned<IpNet>> {
    let v4 = fields.parsed::<Ipv4Net>("ipv4_address", diags);
    let v6 = fields.parsed::<Ipv6Net>("ipv6_address", diags);
    let v4 = v4.map(|a| Spanned::new(IpNet::V4(a.value), a.span));
    let v6 = v6.map(|a| Spanned::new(IpNet::V6(a.value), a.span));
    let all = v4.into_iter().chain(v6);
    all.filter(|address| own_is_host(address.value, address.span, diags)).collect()
}

/// Reads a portgroup of a network that is on Open vSwitch, or is not.
fn portgroup(
    node: &Tree,
    (network, on_vswitch): (&str, bool),
    diags: &mut Diagnostics,
) -> Option<Portgroup> {
    let what = format!("a portgroup of network `{network}`");
    let before = diags.mistakes();
    let mut fields = Fields::new(node, what, PORTGROUP, diags)?;
    let name = checked_name(&mut fields, diags);
    let default = fields.bool("default", diags).unwrap_or(false);
    let trunk = fields.bool("trunk", diags).unwrap_or(false);
    let of_portgroup = addresses(&mut fields, diags);
    let list = fields.take("vlans");
    let number = fields.take("vlan_id");
    let single = number.and_then(|n| tag(n, "vlan_id", diags));
    fields.finish(diags);
    if !on_vswitch {
        let in_vlan = list.filter(|list| !list.is_empty()).or(number);
        let in_vlan = in_vlan.map(|node| ("VLANs", node.span));
        let addressed = of_portgroup.first().map(|a| ("an address of the hypervisor", a.span));
        let name = name?;
        let refused = |has| diags.push(of_vswitch_alone(&name.value, network, has));
        in_vlan.or(addressed).into_iter().for_each(refused);
        return Some(Portgroup { name, default, trunk, vlans: Vec::new() });
    }
    let vlans: Vec<Vlan> = match (list, single) {
        (Some(list), _) => {
            let items = decode::list(list, "vlans", diags);
            items.iter().filter_map(|item| vlan(item, diags)).collect()
        }
        (None, Some(id)) => vec![Vlan { id, native: false, addresses: Vec::new() }],
        (None, None) => Vec::new(),
    };
    let mut group = Portgroup { name: name?, default, trunk, vlans };
    // What is missed may be what could not be read.
    if diags.mistakes() == before {
        complete(&mut group, of_portgroup, diags);
    }
    Some(group)
}

/// libvirt starts no guest on a bridge of Linux whose portgroup has VLANs, before its version 11.
fn of_vswitch_alone(name: &Name, network: &str, (what, at): (&str, Span)) -> Diagnostic {
    let message =
        format!("portgroup `{name}` has {what}, and network `{network}` is not on Open vSwitch");
    let help = "say `virtualport_type: openvswitch` and `forward: bridge`, or leave that out: a bridge of Linux has no VLANs for libvirt";
    Diagnostic::error("topology::portgroups", message).at(at, "").help(help)
}

/// Gives a portgroup the hypervisor's addresses in it, and reports what does not go together.
fn complete(group: &mut Portgroup, of_portgroup: Vec<Spanned<IpNet>>, diags: &mut Diagnostics) {
    let Portgroup { name, default: _, trunk, vlans } = group;
    let trunk = *trunk;
    if !trunk && vlans.len() != 1 {
        let message =
            format!("portgroup `{}` is in {} VLANs and is not a trunk", name.value, vlans.len());
        diags.push(
            Diagnostic::error("topology::portgroups", message)
                .at(name.span, "")
                .help("give it one `vlan_id`, or say `trunk: yes`"),
        );
    }
    match (vlans.first_mut(), of_portgroup.first()) {
        (Some(vlan), _) if !trunk => vlan.addresses.extend(of_portgroup),
        (_, Some(address)) => diags.push(
            Diagnostic::error(
                "topology::portgroups",
                format!("portgroup `{}` is a trunk: an address needs a VLAN", name.value),
            )
            .at(address.span, "")
            .help("move it to one of its `vlans`"),
        ),
        _ => {}
    }
    if vlans.iter().filter(|v| v.native).count() > 1 {
        let message = format!("portgroup `{}` has two native VLANs", name.value);
        diags.push(Diagnostic::error("topology::portgroups", message).at(name.span, ""));
    }
}

fn vlan(node: &Tree, diags: &mut Diagnostics) -> Option<Vlan> {
    let mut fields = Fields::new(node, "a VLAN", VLAN, diags)?;
    let id = fields.need("id", diags).and_then(|n| tag(n, "id", diags));
    let native = fields.bool("native", diags).unwrap_or(false);
    let addresses = addresses(&mut fields, diags);
    fields.finish(diags);
    Some(Vlan { id: id?, native, addresses })
}

/// A VLAN's number.
fn tag(node: &Tree, what: &str, diags: &mut Diagnostics) -> Option<Spanned<VlanId>> {
    let Spanned { value, span } = decode::parsed::<u16>(node, what, "a VLAN's number", diags)?;
    match VlanId::new(value) {
        Ok(id) => Some(Spanned::new(id, span)),
        Err(error) => {
            let mistake = Diagnostic::error("topology::vlan", error.to_string()).at(span, "");
            diags.push(mistake.help("VLANs are numbered from 1 to 4094"));
            None
        }
    }
}
