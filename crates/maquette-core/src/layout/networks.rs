//! `networks` of a layout, each of which is libvirt's XML, as networks of a network file.

use super::build::{Map, bare, list, moving};
use super::idle::Idle;
use super::{NetworkXml, ReadXml};
use crate::decode::Fields;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::{Entry, Span, Tree, Value};

/// A network of a layout.
#[derive(Debug)]
pub(super) struct Net {
    /// Its key, by which nodes name it.
    pub name: String,
    /// What its XML says.
    pub xml: NetworkXml,
    /// The bridge of the hypervisor's own that it stands for, if it does.
    pub bridge: Option<String>,
    key_span: Span,
    span: Span,
}

/// How a layout names networks in libvirt.
pub(super) struct Names {
    /// Whether they get a prefix.
    pub prefixed: bool,
    /// Those that get none.
    pub fixed: Vec<String>,
    /// Those without DHCP.
    pub without_dhcp: Vec<String>,
}

/// Reads all networks.
pub(super) fn read(
    node: &Tree,
    names: &Names,
    xml: ReadXml<'_>,
    idle: &mut Idle,
    diags: &mut Diagnostics,
) -> Vec<Net> {
    if Fields::open(node, "`networks`", diags).is_none() {
        return Vec::new();
    }
    node.entries().iter().filter_map(|entry| net(entry, names, xml, idle, diags)).collect()
}

fn net(
    entry: &Entry,
    names: &Names,
    xml: ReadXml<'_>,
    idle: &mut Idle,
    diags: &mut Diagnostics,
) -> Option<Net> {
    let name = entry.key.clone();
    let span = entry.value.span;
    let Value::Scalar(text, _) = &entry.value.value else {
        let expected = "libvirt's XML of a network";
        // An expression that failed has been reported.
        if entry.value.value != Value::Null {
            diags.push(crate::decode::wrong_type(
                &entry.value,
                &format!("network `{name}`"),
                expected,
            ));
        }
        return None;
    };
    let mut read = match xml(text) {
        Ok(read) => read,
        Err(why) => {
            let message = format!("network `{name}` is not libvirt's XML of a network: {why}");
            diags.push(Diagnostic::error("layout::xml", message).at(span, ""));
            return None;
        }
    };
    if read.name != name {
        idle.note("<name>", "a network is called by its key", span);
    }
    for element in &read.unread {
        idle.note(&format!("<{element}>"), "Maquette has no key for it", span);
    }
    without_names(&mut read, idle, span);
    let bridge = read.bridge.clone().filter(|_| read.forward.as_deref() == Some("bridge"));
    // As there, the name is replaced wherever it stands in the text.
    let prefix = names.prefixed && !names.fixed.contains(&name);
    let bridge =
        bridge.map(|b| if prefix { b.replace(&name, &format!("cifmw-{name}")) } else { b });
    let good = check_mode(&name, read.forward.as_deref(), bridge.is_some(), span, diags);
    good.then_some(Net { name, bridge, xml: read, key_span: entry.key_span, span })
}

/// Takes out what a name server is told where libvirt runs none, since the network has no address.
fn without_names(read: &mut NetworkXml, idle: &mut Idle, span: Span) {
    if read.ipv4.is_some() || read.ipv6.is_some() {
        return;
    }
    let (domain, dns) = (read.domain.take().is_some(), !read.forwarders.is_empty());
    let dns = dns || !read.srvs.is_empty();
    (read.forwarders, read.srvs) = Default::default();
    for (element, _) in [("<domain>", domain), ("<dns>", dns)].iter().filter(|(_, said)| *said) {
        idle.note(element, "libvirt answers for names on networks with an address alone", span);
    }
}

/// Whether Maquette builds networks of a mode.
fn check_mode(
    name: &str,
    mode: Option<&str>,
    has_bridge: bool,
    span: Span,
    diags: &mut Diagnostics,
) -> bool {
    let (error, help) = match mode {
        None | Some("nat" | "route" | "open" | "none") => return true,
        Some("bridge") if has_bridge => return true,
        Some("bridge") => {
            let message = format!(
                "network `{name}` has `<forward mode='bridge'/>` and no `<bridge name='…'/>`"
            );
            (Diagnostic::error("layout::bridge", message), "name the bridge of the hypervisor")
        }
        Some(mode) => {
            let message = format!(
                "network `{name}` has the mode `{mode}`, which Maquette does not build from a layout"
            );
            let help = "modes are `nat`, `route`, `open`, `bridge`, or no `<forward>` at all";
            (Diagnostic::error("layout::forward", message), help)
        }
    };
    diags.push(error.at(span, "").help(help));
    false
}

/// The network file that says the same. Bridges of the hypervisor's own are not in it: nodes name them.
pub(super) fn file(nets: &[Net], names: &Names, whole: Span) -> Tree {
    let mut all = Map::at(whole);
    for net in nets.iter().filter(|net| net.bridge.is_none()) {
        all.put_at(&net.name, net.key_span, network(net, names));
    }
    let mut file = Map::at(whole);
    file.put("networks", all.done());
    file.done()
}

fn network(net: &Net, names: &Names) -> Tree {
    let xml = &net.xml;
    let mut map = Map::at(net.span);
    map.put("name", bare(&net.name, net.key_span));
    match xml.forward.as_deref() {
        Some(mode) => map.text("forward", mode),
        None => map.text("forward", "none"),
    }
    if let Some(ipv4) = xml.ipv4 {
        let subnet = moving(ipv4.network(), ipv4);
        map.text("subnet", format!("{subnet}/{}", ipv4.prefix_len()));
        map.text("ip_address", moving(ipv4.addr(), ipv4));
        match &xml.dhcp {
            _ if names.without_dhcp.contains(&net.name) => {}
            None => map.text("dhcp", "yes"),
            Some((first, last)) => {
                let bound = |text: &String| match text.trim().parse() {
                    Ok(address) => moving(address, ipv4),
                    // What is wrong with it is said where network files are read.
                    Err(_) => text.clone(),
                };
                map.put("dhcp", dhcp(net.span, bound(first), bound(last)));
            }
        }
    }
    if let Some(address) = xml.ipv6 {
        let mut ipv6 = Map::at(net.span);
        ipv6.text("ip_address", address.addr().to_string());
        ipv6.text("prefix", address.prefix_len().to_string());
        let given = xml.dhcp6.as_ref().filter(|_| !names.without_dhcp.contains(&net.name));
        if let Some((first, last)) = given {
            ipv6.put("dhcp", dhcp(net.span, first.trim(), last.trim()));
        }
        map.put("ipv6", ipv6.done());
    }
    let serves = xml.ipv4.is_some() && !names.without_dhcp.contains(&net.name);
    if serves && !xml.bootp.is_empty() {
        let mut bootp = Map::at(net.span);
        xml.bootp.iter().for_each(|(key, value)| bootp.text(key, value));
        map.put("bootp", bootp.done());
    }
    if !xml.forwarders.is_empty() || !xml.srvs.is_empty() {
        map.put("dns", dns(xml, net.span));
    }
    for (key, value) in [("tftp_root", &xml.tftp_root), ("mtu", &xml.mtu), ("domain", &xml.domain)]
    {
        if let Some(value) = value {
            map.text(key, value);
        }
    }
    map.done()
}

/// `dhcp` with its range.
fn dhcp(span: Span, first: impl Into<String>, last: impl Into<String>) -> Tree {
    let mut range = Map::at(span);
    range.text("start", first);
    range.text("end", last);
    let mut dhcp = Map::at(span);
    dhcp.put("range", range.done());
    dhcp.done()
}

/// `dns` with what it has of both.
fn dns(xml: &NetworkXml, span: Span) -> Tree {
    let mut dns = Map::at(span);
    if !xml.forwarders.is_empty() {
        dns.put("forwarders", list(xml.forwarders.iter().map(|f| bare(f, span)).collect(), span));
    }
    if !xml.srvs.is_empty() {
        let srv = |keys: &Vec<(&'static str, String)>| {
            let mut srv = Map::at(span);
            keys.iter().for_each(|(key, value)| srv.text(key, value));
            srv.done()
        };
        dns.put("srvs", list(xml.srvs.iter().map(srv).collect(), span));
    }
    dns.done()
}
