//! One network: addresses, DHCP, DNS.

use std::borrow::Cow;
use std::net::IpAddr;
use std::num::NonZeroU16;

use ipnet::IpNet;

use super::checked_name;
use super::forward::{self, FORWARD, FORWARD_TYPE, Forward};
use super::netboot::{self, Bootp};
use super::subnet::{self, Fixed, Ipv4, Ipv6};
use super::uplink::{self, Uplink};
use super::vswitch::{self, Portgroup, Vswitch};
use crate::decode::{self, Fields, wrong_type};
use crate::diagnostic::{Diagnostic, Diagnostics, WITHOUT_EFFECT};
use crate::file_keys::Class::{Live, Replace};
use crate::file_keys::{DIRECTORY, DOMAIN_NAME, Form, Key, key, unread};
use crate::settings::Settings;
use crate::syntax::{Entry, Span, Spanned, Tree, Value};
use crate::values::{DnsName, InterfaceName, Mtu, Name, ServiceLabel, TftpRoot};

pub(super) use super::subnet::AUTO;

/// A DNS service record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srv {
    /// Service, such as `ldap`.
    pub name: ServiceLabel,
    /// `tcp` or `udp`.
    pub protocol: ServiceLabel,
    /// Domain it is found in; none is the network's.
    pub domain: Option<DnsName>,
    /// Port that the service is on; none leaves dnsmasq's default, 1.
    pub port: Option<u16>,
    /// Host that offers it, if one is named.
    pub target: Option<DnsName>,
}

/// A network, as a network file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Key in the file: `net1`.
    pub key: String,
    /// Name without prefix.
    pub name: Spanned<Name>,
    /// How it reaches the outside.
    pub forward: Forward,
    /// IPv4, if it has any.
    pub ipv4: Option<Ipv4>,
    /// IPv6, if it has any.
    pub ipv6: Option<Ipv6>,
    /// DNS domain that its nodes' names are in; none if it has none.
    pub domain: Option<DnsName>,
    /// DNS service records.
    pub srvs: Vec<Srv>,
    /// Name servers that are asked what libvirt's does not know; none are the hypervisor's own.
    pub forwarders: Vec<IpAddr>,
    /// Directory of the hypervisor whose files libvirt serves over TFTP, if it serves any.
    pub tftp_root: Option<TftpRoot>,
    /// What DHCP tells machines that boot from it, if it tells them anything.
    pub bootp: Option<Bootp>,
    /// MTU in bytes; none leaves the kernel's, 1500.
    pub mtu: Option<Mtu>,
    /// Whether libvirt starts it with the hypervisor.
    pub autostart: bool,
    /// Spanning tree protocol of a bridge that libvirt makes.
    pub stp: bool,
    /// The LAN that it is bridged to, if it is.
    pub uplink: Option<Uplink>,
    /// NICs of the hypervisor that nodes are on without a bridge; none is the one of its IPv4 default route.
    pub direct: Vec<Spanned<InterfaceName>>,
    /// What it is on Open vSwitch, if it is on one.
    pub vswitch: Option<Vswitch>,
    /// Portgroups where it is not on Open vSwitch, in file order.
    pub portgroups: Vec<Portgroup>,
    /// Addresses that nodes set up by themselves, where nobody gives them any.
    pub fixed: Option<Fixed>,
}

impl Network {
    /// A network with nothing but a name.
    pub fn bare(key: &str, name: Spanned<Name>, forward: Forward) -> Self {
        Self {
            key: key.into(),
            name,
            forward,
            ipv4: None,
            ipv6: None,
            domain: None,
            srvs: Vec::new(),
            forwarders: Vec::new(),
            tftp_root: None,
            bootp: None,
            mtu: None,
            autostart: true,
            stp: false,
            uplink: None,
            direct: Vec::new(),
            vswitch: None,
            portgroups: Vec::new(),
            fixed: None,
        }
    }

    /// Whether libvirt runs a dnsmasq for it: where the hypervisor has an address on a bridge of its
    /// making.
    pub fn has_dnsmasq(&self) -> bool {
        let addressed = self.ipv4.is_some() || self.ipv6.is_some();
        addressed && self.uplink.is_none() && self.vswitch.is_none()
    }

    /// Every subnet that the hypervisor has an address in through it.
    pub fn subnets(&self) -> Vec<(IpNet, Span)> {
        let v4 = self.ipv4.iter().map(|i| (IpNet::V4(i.net), i.span));
        let v6 = self.ipv6.iter().map(|i| (IpNet::V6(i.net), i.span));
        let vswitch = self.vswitch.iter().flat_map(Vswitch::addresses);
        v4.chain(v6).chain(vswitch.map(|a| (a.value, a.span))).collect()
    }
}

/// Keys of an SRV record.
const SRV: &[Key] = &[
    key("name", Form::Parsed("a service", "ldap"), "Service, such as `ldap`").needed(),
    key("protocol", Form::Parsed("`tcp` or `udp`", "tcp"), "`tcp` or `udp`").needed(),
    key("domain", DOMAIN_NAME, "Domain that it is found in [default: the network's]"),
    key("port", Form::Parsed("a port number", "389"), "Port [default: 1]"),
    key(
        "target",
        Form::Parsed("a host name", "ldap.lab.example"),
        "Host that offers it [default: none, and nobody does]",
    ),
];

const ADDRESS: Form = Form::Parsed("an IP address", "192.0.2.53");

/// Keys of `dns`.
const DNS: &[Key] = &[
    key("srvs", Form::List(&Form::Map(SRV)), "Service records [default: none]").takes(Live),
    key(
        "forwarders",
        Form::List(&ADDRESS),
        "Name servers that are asked what libvirt does not know [default: the hypervisor's]",
    )
    .takes(Replace),
];

/// Keys of a network.
pub(crate) const NETWORK: &[Key] = &[
    key("name", Form::Text, "Name, without the prefix").example("front").takes(Replace).needed(),
    key(
        "forward",
        Form::Either(&[FORWARD, Form::Map(FORWARD_TYPE)]),
        "How it reaches the outside; `none` is not at all. `private`, `vepa` and `passthrough` put nodes on NICs of the hypervisor (macvtap), which does not reach them there [default: none]",
    ).example("none").takes(Replace),
    key(
        "virtualport_type",
        Form::Words(&["openvswitch"]),
        "With `forward: bridge`: a bridge of Open vSwitch [default: none]",
    ).takes(Replace),
    key(
        "nic",
        Form::Either(&[Form::Text, Form::List(&Form::Text)]),
        "NIC of the hypervisor in the bridge, or that nodes are on (`private`, `vepa`, `passthrough`); of these several, as a list [default: that of its default route]",
    ).example("eno2").takes(Replace),
    key("stp", Form::YesNo, "Spanning tree protocol of the bridge that the NIC is in [default: no]").takes(Replace),
    key(
        "dhcp_guard",
        Form::YesNo,
        "Whether nodes are kept from serving DHCP and routes to the LAN [default: yes]",
    ).takes(Replace),
    key("ip_address", Form::Text, "The hypervisor's IPv4 address on it, with or without a length [default: the first of `subnet`; without one none]").example("10.9.0.254").takes(Replace),
    key(
        "netmask",
        Form::Parsed("a netmask such as 255.255.255.0", "255.255.255.0"),
        "Netmask [default: 255.255.255.0]",
    ).takes(Replace),
    key(
        "subnet",
        Form::Parsed("a subnet such as 10.9.0.0/24, or auto", "10.9.0.0/24"),
        "IPv4 subnet. `auto` is one that is free, and `none` in maquette.yaml no IPv4 [default: that of `ip_address`]",
    ).example("10.9.0.0/24").takes(Replace),
    key(
        "dhcp",
        Form::Either(&[Form::YesNo, Form::Map(subnet::DHCP)]),
        "Addresses that libvirt gives out; `yes` is all of the subnet [default: no]",
    ).example("yes").takes(Replace),
    key("ipv6", Form::Map(subnet::IPV6), "The hypervisor's IPv6 address on it [default: none]").takes(Replace),
    key("ipv4_address", vswitch::IPV4, "Address of the hypervisor on a bridge of Open vSwitch [default: none]").takes(Replace),
    key(
        "ipv6_address",
        vswitch::IPV6,
        "IPv6 address of the hypervisor on a bridge of Open vSwitch [default: none]",
    ).takes(Replace),
    key(
        "static",
        Form::Map(subnet::STATIC),
        "Addresses of the LAN that nodes set up by themselves [default: none]",
    ).takes(Replace),
    key("floating_ip", Form::Map(subnet::ENDS), "Addresses that DHCP does not give out [default: none]").example("{start: 10.9.0.201, end: 10.9.0.220}").takes(Replace),
    key("portgroups", Form::List(&Form::Map(vswitch::PORTGROUP)), "Portgroups, which have VLANs on Open vSwitch [default: none]").takes(Replace),
    key("domain", DOMAIN_NAME, "DNS domain [default: none]").takes(Replace),
    key("dns", Form::Map(DNS), "DNS records [default: none]"),
    key(
        "tftp_root",
        DIRECTORY,
        "Directory of the hypervisor whose files libvirt serves over TFTP; it is there already, and everybody may read it [default: none]",
    ).example("/srv/tftp").takes(Replace),
    key("bootp", Form::Map(netboot::BOOTP), "What DHCP tells machines that boot from it [default: nothing]").example("{file: undionly.kpxe, uefi: ipxe.efi, ipxe: boot.ipxe}").takes(Replace),
    key("mtu", Form::Parsed("an MTU in bytes", "9000"), "MTU in bytes; on NICs without a bridge that of guests alone, and the NICs have it already [default: that of the setting `mtu`]").example("9000").takes(Replace),
    key("autostart", Form::YesNo, "Whether it starts with the hypervisor [default: yes]").takes(Live),
    unread("external_connectivity").example("no"),
];

/// What is most likely meant by a network that is a word, as its keys.
fn spelt_out(text: &str) -> String {
    match (text.parse::<ipnet::Ipv4Net>(), text) {
        (Ok(subnet), _) => format!("subnet: {subnet}"),
        (_, "isolated" | "none") => "forward: none".into(),
        (_, "nat" | "route" | "open") => format!("forward: {text}"),
        _ => String::new(),
    }
}

/// Reads one entry of `networks` in its full form.
pub fn decode(entry: &Entry, settings: &Settings, diags: &mut Diagnostics) -> Option<Network> {
    let key = &entry.key;
    let write = |text: &str| format!("{key}: {{{}}}", spelt_out(text));
    let own = without_empty(&entry.value);
    let node: &Tree = &own;
    let mut fields = Fields::or_else(node, format!("network `{key}`"), NETWORK, write, diags)?;
    let name = checked_name::<Name>(&mut fields, diags);
    let label = name.as_ref().map_or(key.as_str(), |n| &n.value);
    let virtualport = fields.text("virtualport_type", diags);
    let forward_node = fields.take("forward");
    let forward = forward_node.map_or(Some(Forward::Isolated), |n| forward::forward(n, diags));
    // Whether it is on Open vSwitch is not known if that could not be read.
    let unread = virtualport.is_none() && fields.has_any(&["virtualport_type"]);
    let forward = forward.filter(|_| !unread);
    let forward = forward.and_then(|f| forward::on_vswitch(f, virtualport.as_ref(), label, diags));
    let served = forward.is_none_or(Forward::is_served);
    let (uplink, direct) = uplink::decode(&mut fields, forward, label, diags);
    let (vswitch, portgroups) = vswitch::decode(&mut fields, forward, label, diags);
    let vswitch = vswitch.filter(|_| forward == Some(Forward::OpenVswitch));
    let mut ipv4 = subnet::ipv4(&mut fields, served, diags);
    let ipv6 = fields.take("ipv6").and_then(|node| subnet::ipv6(node, key, diags));
    let fixed = fixed(&mut fields, served, label, diags);
    if !served {
        unserved(node, (ipv4.as_ref(), ipv6.as_ref()), (forward, label), diags);
    }
    if let Some(node) = fields.take("floating_ip") {
        floating_ip(node, ipv4.as_mut(), label, diags);
    }
    let domain = fields.parsed("domain", diags).map(|d| d.value);
    let dns = fields.take("dns");
    let (srvs, forwarders) = dns.map_or_else(Default::default, |node| self::dns(node, key, diags));
    if let Some(forward) = forward {
        let has_name_server = served && (ipv4.is_some() || ipv6.is_some());
        without_effect(node, forward, has_name_server, label, diags);
    }
    let at = (ipv4.as_ref().filter(|_| served), ipv6.as_ref().filter(|_| served));
    let (tftp_root, bootp) = netboot::decode(&mut fields, at, label, diags);
    let mtu = fields.parsed::<Mtu>("mtu", diags).map(|m| m.value).or(settings.mtu);
    let autostart = fields.bool("autostart", diags).unwrap_or(true);
    fields.finish(diags);
    Some(Network {
        ipv4,
        ipv6,
        domain,
        srvs,
        forwarders,
        tftp_root,
        bootp,
        mtu,
        autostart,
        uplink,
        direct,
        vswitch,
        portgroups,
        fixed,
        ..Network::bare(key, name?, forward?)
    })
}

/// A network without keys that say nothing, and of which InfraRed asks whether they say something.
fn without_empty(network: &Tree) -> Cow<'_, Tree> {
    const ASKED: [&str; 4] = ["forward", "virtualport_type", "portgroups", "domain"];
    let is_empty = |entry: &Entry| {
        let says_nothing = match &entry.value.value {
            Value::Scalar(text, _) => text.trim().is_empty(),
            _ => entry.value.is_empty(),
        };
        says_nothing && ASKED.contains(&entry.key.as_str())
    };
    let mut network = Cow::Borrowed(network);
    if network.entries().iter().any(is_empty)
        && let Value::Map(entries) = &mut network.to_mut().value
    {
        entries.retain(|entry| !is_empty(entry));
    }
    network
}

/// Addresses that DHCP does not give out.
fn floating_ip(node: &Tree, ipv4: Option<&mut Ipv4>, network: &str, diags: &mut Diagnostics) {
    if ipv4.as_ref().is_some_and(|i| i.chosen) {
        let message = format!("`floating_ip` of network `{network}` needs a subnet that is known");
        diags.push(
            Diagnostic::error("topology::floating-ip", message)
                .at(node.span, "")
                .help("add one, such as `subnet: 10.9.0.0/24`"),
        );
    }
    subnet::keep_free(node, ipv4, network, diags);
}

/// Addresses that nodes have by themselves, on networks that libvirt gives none on.
fn fixed(
    fields: &mut Fields<'_>,
    served: bool,
    network: &str,
    diags: &mut Diagnostics,
) -> Option<Fixed> {
    let node = fields.take("static")?;
    if !served {
        return subnet::fixed(node, network, diags);
    }
    let message = format!("libvirt gives out the addresses of network `{network}` itself");
    diags.push(
        Diagnostic::error("topology::static", message)
            .at(node.span, "")
            .help("`static` is for bridged and Open vSwitch networks; write `dhcp`"),
    );
    None
}

/// Where a key is that says something.
fn written(network: &Tree, path: &[&str]) -> Option<Span> {
    let node = network.at(path)?;
    let empty = match &node.value {
        Value::Null => true,
        Value::Scalar(text, _) => text.trim().is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(_) => false,
    };
    (!empty).then_some(node.span)
}

/// Keys that would be read and do nothing: what they are about is not there in this mode. (`static`, `dhcp`, `ipv6`,
/// `portgroups` and `virtualport_type` are looked at where they are read.)
fn without_effect(
    network: &Tree,
    forward: Forward,
    has_name_server: bool,
    name: &str,
    diags: &mut Diagnostics,
) {
    let written = |path: &[&str]| written(network, path);
    let mut dead = |path: &[&str], why: String, help: &str| {
        if let (Some(span), Some(key)) = (written(path), path.last()) {
            let help = format!("`{key}` is for {help}");
            let diagnostic = Diagnostic::error(WITHOUT_EFFECT, why).at(span, "").help(help);
            diags.push(diagnostic);
        }
    };
    if !has_name_server {
        for path in [&["domain"][..], &["dns", "srvs"], &["dns", "forwarders"]] {
            let why = format!("libvirt has no name server on network `{name}`");
            let help = "networks that the hypervisor has an address on, and not for bridged ones";
            dead(path, why, help);
        }
    }
    if forward.is_direct() {
        for key in ["stp", "dhcp_guard"] {
            let why = format!("network `{name}` has no bridge");
            dead(&[key], why, "networks with `forward: bridge`");
        }
        let why = format!("the hypervisor has no address on network `{name}`");
        dead(&["ip_address"], why, "other networks; here `static` gives nodes addresses");
    } else if forward != Forward::Bridge {
        for key in ["nic", "stp", "dhcp_guard"] {
            let why = format!("network `{name}` has no NIC of the hypervisor in its bridge");
            dead(&[key], why, "networks with `forward: bridge`");
        }
    }
    if !forward.is_served() {
        let why = format!("the subnet of network `{name}` is the LAN's");
        let help = "networks that libvirt serves; write `static` to give nodes addresses";
        dead(&["subnet"], why, help);
    }
    if forward == Forward::OpenVswitch {
        let why = format!("network `{name}` is a bridge of Open vSwitch");
        let help = "other networks; on this one the hypervisor's address is `ipv4_address`";
        dead(&["ip_address"], why, help);
    } else {
        for key in ["ipv4_address", "ipv6_address"] {
            let why = format!("network `{name}` is not a bridge of Open vSwitch");
            let help = "bridges of Open vSwitch; elsewhere it is `ip_address`, or `ip_address` below `ipv6`";
            dead(&[key], why, help);
        }
    }
    if written(&["ip_address"]).is_none() && written(&["subnet"]).is_none() {
        let why = format!("network `{name}` has no `ip_address`");
        dead(&["netmask"], why, "the subnet of `ip_address`");
    }
}

/// libvirt serves nothing on a bridge that is not its own.
fn unserved(
    network: &Tree,
    (ipv4, ipv6): (Option<&Ipv4>, Option<&Ipv6>),
    (forward, name): (Option<Forward>, &str),
    diags: &mut Diagnostics,
) {
    let is_direct = forward.is_some_and(Forward::is_direct);
    let kind = if is_direct { "network" } else { "bridged network" };
    let dhcp = network.get("dhcp").filter(|n| ipv4.is_none() && !n.is_no());
    let unserved4 = ipv4.filter(|i| i.dhcp.is_some()).map(|i| i.span);
    let unserved4 = unserved4.or(dhcp.map(|n| n.span));
    let Some(span) = unserved4.or(ipv6.map(|i| i.span)) else { return };
    let message = format!("libvirt serves neither DHCP nor IPv6 on the {kind} `{name}`");
    let help = "leave it to the LAN, or give nodes addresses with \
                `static: {subnet: …, range: {start: …, end: …}, gateway: …}`";
    diags.push(Diagnostic::error("topology::bridged-dhcp", message).at(span, "").help(help));
}

/// How name servers are written, if that is what a text has.
fn with_forwarders(text: &str) -> String {
    let servers = decode::pieces(text);
    let are_addresses =
        !servers.is_empty() && servers.iter().all(|server| server.parse::<IpAddr>().is_ok());
    match are_addresses {
        // A colon ends a key.
        true if text.contains(':') => {
            format!("write `dns: {{forwarders: [\"{}\"]}}`", servers.join("\", \""))
        }
        true => format!("write `dns: {{forwarders: [{}]}}`", servers.join(", ")),
        false => "`maquette explain networks.NAME.dns` lists its keys".into(),
    }
}

fn dns(node: &Tree, key: &str, diags: &mut Diagnostics) -> (Vec<Srv>, Vec<IpAddr>) {
    let what = format!("`dns` of network `{key}`");
    if let Value::List(items) = &node.value {
        let address = |item: &Tree| match &item.value {
            Value::Scalar(text, _) => Some(text.trim().to_string()),
            _ => None,
        };
        let servers: Vec<String> = items.iter().filter_map(address).collect();
        diags.push(wrong_type(node, &what, "a mapping").help(with_forwarders(&servers.join(","))));
        return Default::default();
    }
    if let Value::Scalar(text, _) = &node.value {
        diags.push(wrong_type(node, &what, "a mapping").help(with_forwarders(text)));
        return Default::default();
    }
    let Some(mut fields) = Fields::new(node, what, DNS, diags) else {
        return Default::default();
    };
    let srvs = fields.take("srvs").map_or(&[][..], |n| decode::list(n, "srvs", diags));
    let forwarders = fields.take("forwarders");
    let forwarders = forwarders
        .map_or(&[][..], |n| decode::list_of::<IpAddr>(n, ("forwarders", "IP addresses"), diags));
    fields.finish(diags);
    let srvs = srvs.iter().filter_map(|item| srv(item, diags)).collect();
    let write = "an address is one text, such as `1.1.1.1`";
    let forwarders = decode::singles(forwarders, ("forwarders", "an IP address"), write, diags);
    let address = |n| decode::parsed::<IpAddr>(n, "forwarders", "a list of IP addresses", diags);
    (srvs, forwarders.into_iter().filter_map(address).map(|a| a.value).collect())
}

fn srv(node: &Tree, diags: &mut Diagnostics) -> Option<Srv> {
    let mut fields = Fields::new(node, "an SRV record", SRV, diags)?;
    let name = fields.parsed("name", diags);
    let protocol: Option<Spanned<ServiceLabel>> = fields.parsed("protocol", diags);
    if let Some(protocol) = &protocol
        && !matches!(protocol.value.as_str(), "tcp" | "udp")
    {
        diags.push(wrong_type(node.get("protocol")?, "`protocol`", "`tcp` or `udp`"));
    }
    let domain = fields.parsed("domain", diags).map(|d| d.value);
    let port = fields.parsed::<NonZeroU16>("port", diags).map(|p| p.value.get());
    let target = fields.parsed("target", diags).map(|t| t.value);
    fields.finish(diags);
    Some(Srv { name: name?.value, protocol: protocol?.value, domain, port, target })
}
