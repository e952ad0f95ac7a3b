//! Parts of a network's definition that somebody has added: Maquette does not write them for what is recorded, and libvirt
//! does not by itself. <https://libvirt.org/formatnetwork.html>

use std::collections::BTreeSet;
use std::net::IpAddr;

use maquette_core::blueprint::Network;
use maquette_core::values::NetworkPart;
use roxmltree::{Document, Node as Element};

use super::network::{self, DNSMASQ};

/// Most parts that are named of one network.
const MOST: usize = 20;

/// Elements that libvirt writes by itself, or that are compared with the record elsewhere, each with those of its attributes
/// of which that is true, too; the network is the first.
const KNOWN: &[(&str, &[&str])] = &[
    ("", &["connections"]),
    ("name", &[]),
    ("uuid", &[]),
    ("mac", &["address"]),
    ("forward", &["mode"]),
    ("forward/nat", &[]),
    // The first is compared with the record elsewhere; the second is there while it runs.
    ("forward/interface", &["dev", "connections"]),
    ("bridge", &["name"]),
    ("mtu", &["size"]),
    ("dns", &[]),
    ("ip", &["family", "address", "netmask", "prefix"]),
    ("ip/dhcp", &[]),
    ("ip/dhcp/range", &["start", "end"]),
    ("ip/dhcp/host", &["mac", "name", "ip"]),
    ("portgroup", &["name", "default"]),
    ("portgroup/vlan", &["trunk"]),
    ("portgroup/vlan/tag", &["id", "nativeMode"]),
];

/// Attributes that libvirt writes where Maquette has said nothing of them.
const DEFAULTS: [(&str, &str); 2] = [("bridge", "stp"), ("bridge", "delay")];

/// Where NAT takes its ports from: libvirt says so of a network that runs.
const NAT_PORTS: [(&str, &str); 2] = [("start", "1024"), ("end", "65535")];

/// What every namespace of Maquette's begins with.
const OURS: &str = "https://maquette.dev/";

/// Parts of a network that neither its record explains nor libvirt adds, by name and in order: at most [`MOST`].
pub(super) fn added(root: Element<'_, '_>, recorded: &Network) -> BTreeSet<NetworkPart> {
    let text = network::bare(recorded);
    // What Maquette writes can be read; of anything else nobody could say what somebody has added.
    let Ok(document) = Document::parse(&text) else { return BTreeSet::new() };
    let mut written = Vec::new();
    list(document.root_element(), "", &mut written);
    let mut found = BTreeSet::new();
    look(root, "", &written, &mut found);
    let named = found.into_iter().take(MOST);
    // A name that libvirt's schema does not have is nothing to show.
    named.map(|part| part.parse().unwrap_or_else(|_| NetworkPart::known("other"))).collect()
}

/// All elements below one, with the names that lead to each.
fn list<'a, 'i>(element: Element<'a, 'i>, path: &str, into: &mut Vec<(String, Element<'a, 'i>)>) {
    for child in element.children().filter(Element::is_element) {
        let path = below(path, &name(child));
        list(child, &path, into);
        into.push((path, child));
    }
}

/// Looks through an element that is no addition itself.
fn look(
    element: Element<'_, '_>,
    path: &str,
    written: &[(String, Element<'_, '_>)],
    found: &mut BTreeSet<String>,
) {
    if let Some((_, known)) = KNOWN.iter().find(|(known, _)| *known == path) {
        let others = element.attributes().filter(|a| !known.contains(&a.name()));
        let others = others.filter(|a| !is_written(path, (a.name(), a.value()), written));
        found.extend(others.map(|a| below(path, a.name())));
    }
    for child in element.children().filter(Element::is_element) {
        let path = below(path, &name(child));
        let somebodys = match path.as_str() {
            "metadata" => child.children().any(is_of_others),
            // Whether it is there is compared elsewhere, and libvirt may fill it in.
            "virtualport" => false,
            "forward/nat/port" => !has(child, NAT_PORTS),
            _ if is_known(child, &path, written) => {
                look(child, &path, written, found);
                false
            }
            _ => true,
        };
        if somebodys {
            found.insert(path);
        }
    }
}

/// Whether an element is one that may be there: by its name, or since Maquette has written it with all that it says.
fn is_known(element: Element<'_, '_>, path: &str, written: &[(String, Element<'_, '_>)]) -> bool {
    let says = |(of, other): &(String, Element<'_, '_>)| {
        let mut all = element.attributes();
        of == path && all.all(|a| other.attribute(a.name()).is_some_and(|v| same(v, a.value())))
    };
    KNOWN.iter().any(|(known, _)| *known == path) || written.iter().any(says)
}

/// Whether Maquette has written an attribute so, or leaves it to libvirt.
fn is_written(
    path: &str,
    (key, value): (&str, &str),
    written: &[(String, Element<'_, '_>)],
) -> bool {
    let of = written.iter().filter(|(of, _)| of == path);
    let mut said = of.filter_map(|(_, element)| element.attribute(key)).peekable();
    match said.peek() {
        None => DEFAULTS.contains(&(path, key)),
        Some(_) => said.any(|said| same(said, value)),
    }
}

/// Whether two values are the same: libvirt may write an address otherwise.
fn same(one: &str, other: &str) -> bool {
    let address = |text: &str| text.parse::<IpAddr>().ok();
    one == other || address(one).is_some_and(|one| Some(one) == address(other))
}

fn has(element: Element<'_, '_>, wanted: [(&str, &str); 2]) -> bool {
    wanted.into_iter().all(|(key, value)| element.attribute(key) == Some(value))
}

/// Whether something in an object's metadata is another program's.
fn is_of_others(element: Element<'_, '_>) -> bool {
    let ours = element.tag_name().namespace().is_some_and(|space| space.starts_with(OURS));
    element.is_element() && !ours
}

/// An element's name, with the prefix that people know it by.
fn name(element: Element<'_, '_>) -> String {
    let tag = element.tag_name();
    match tag.namespace() {
        Some(DNSMASQ) => format!("dnsmasq:{}", tag.name()),
        _ => tag.name().to_string(),
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}/{name}") }
}

#[cfg(test)]
mod tests {
    use crate::xml::read;

    /// As version 0.1 wrote it.
    const NETWORK: &str = include_str!("../../tests/records/0.1.0/network.xml");

    /// What is found in it with something else in the place of something.
    fn found(from: &str, to: &str) -> String {
        assert!(NETWORK.contains(from), "{from}");
        let added = read::network(&NETWORK.replacen(from, to, 1)).unwrap().added;
        added.iter().map(|part| part.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_libvirt_adds_to_a_network_is_nobodys() {
        assert_eq!(found("<network>", "<network>"), "");
        assert_eq!(found("<network>", "<network connections='2'>"), "");
        assert_eq!(found("<mtu ", "<mac address='52:54:00:00:00:01'/><mtu "), "");
        let ports = "<forward mode='nat'><nat><port start='1024' end='65535'/></nat></forward>";
        assert_eq!(found("<forward mode='nat'/>", ports), "");
        assert_eq!(found("<mtu ", "<dns/><mtu "), "");
    }

    #[test]
    fn what_somebody_adds_to_a_network_is_named() {
        let before = |more: &str| found("<mtu ", &format!("{more}<mtu "));
        let dns = "<dns forwardPlainNames='no'><forwarder addr='192.0.2.1'/><txt name='a' value='b'/>\
                   <host ip='172.16.10.9'><hostname>x</hostname></host><srv service='s' protocol='tcp'/></dns>";
        let names = "dns/forwardPlainNames dns/forwarder dns/host dns/srv dns/txt";
        assert_eq!(before(dns), names);
        let more = "<route address='192.0.2.0' prefix='24' gateway='172.16.10.9'/><bandwidth/><title>x</title>";
        assert_eq!(before(more), "bandwidth route title");
        let boot = "<range start='172.16.10.2' end='172.16.10.100'><lease expiry='1'/></range><bootp file='x'/>";
        let range = "<range start='172.16.10.2' end='172.16.10.100'/>";
        assert_eq!(found(range, boot), "ip/dhcp/bootp ip/dhcp/range/lease");
        let bridge = "<bridge name='lab-data' zone='lab' stp='on' delay='2'/>";
        let names = "bridge/delay bridge/stp bridge/zone";
        assert_eq!(found("<bridge name='lab-data' stp='off' delay='0'/>", bridge), names);
        let forward = "<forward mode='nat' dev='eth9'><nat ipv6='yes'><port start='1' end='9'/></nat></forward>";
        let names = "forward/dev forward/nat/ipv6 forward/nat/port";
        assert_eq!(found("<forward mode='nat'/>", forward), names);
        assert_eq!(found("<network>", "<network ipv6='yes'>"), "ipv6");
        assert_eq!(found("<domain name='lab.example'", "<domain name='other.example'"), "domain");
        let dnsmasq = "<d:options xmlns:d='http://libvirt.org/schemas/network/dnsmasq/1.0'><d:option value='a'/></d:options>";
        assert_eq!(before(dnsmasq), "dnsmasq:options");
        let theirs = "<metadata><x:y xmlns:x='https://example.com/x'/>";
        assert_eq!(found("<metadata>", theirs), "metadata");
    }

    #[test]
    fn what_is_named_has_an_end_and_is_a_name() {
        let before = |more: &str| found("<mtu ", &format!("{more}<mtu "));
        let many: String = (0..30).map(|i| format!("<a{i}/>")).collect();
        assert_eq!(before(&many).split(' ').count(), super::MOST);
        assert_eq!(before("<\u{e9}/>"), "other");
        assert_eq!(before(&format!("<{}/>", "a".repeat(100))), "other");
    }
}
