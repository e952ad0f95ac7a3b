//! libvirt's XML of networks, as users write it in layouts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use maquette_core::layout::NetworkXml;
use roxmltree::{Document, Node as Element};

/// Elements that Maquette writes by itself.
const OWN: [&str; 3] = ["name", "uuid", "mac"];

/// A row of [`ATTRIBUTES`]: an element, attributes that are read, and those whose value is libvirt's default.
type Attributes = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

/// Attributes that are read, or are Maquette's own choice, by their element; of some the value that says nothing.
const ATTRIBUTES: &[Attributes] = &[
    ("network", &[], &[("ipv6", "no"), ("trustGuestRxFilters", "no")]),
    ("forward", &["mode"], &[]),
    ("bridge", &["name", "stp", "delay"], &[("macTableManager", "kernel")]),
    ("mtu", &["size"], &[]),
    ("domain", &["name"], &[("localOnly", "no"), ("register", "no")]),
    ("dns", &[], &[("enable", "yes"), ("forwardPlainNames", "yes")]),
    ("forwarder", &["addr"], &[]),
    (
        "srv",
        &["service", "protocol", "domain", "target", "port"],
        &[("priority", "0"), ("weight", "0")],
    ),
    ("ip", &["address", "prefix", "netmask", "family"], &[("localPtr", "no")]),
    ("tftp", &["root"], &[]),
    ("dhcp", &[], &[]),
    ("range", &["start", "end"], &[]),
    ("bootp", &["file", "server"], &[]),
];

/// Reads a network, or says why it is not one.
///
/// # Errors
///
/// What is wrong with the XML, as the end of a sentence.
pub fn network(text: &str) -> Result<NetworkXml, String> {
    let document = Document::parse(text.trim()).map_err(|error| error.to_string())?;
    let root = document.root_element();
    if !root.has_tag_name("network") {
        return Err(format!("its element is `{}`", root.tag_name().name()));
    }
    let mut network = NetworkXml::default();
    note_attributes(root, &mut network);
    for element in root.children().filter(Element::is_element) {
        let attribute = |name| element.attribute(name).map(String::from);
        match element.tag_name().name() {
            "name" => network.name = element.text().unwrap_or_default().trim().into(),
            "forward" => {
                network.forward = Some(attribute("mode").unwrap_or("nat".into()));
                children(element).filter(|e| !is_usual_nat(*e)).for_each(|e| note(e, &mut network));
            }
            "bridge" => network.bridge = attribute("name"),
            "mtu" => network.mtu = attribute("size"),
            "domain" => network.domain = attribute("name"),
            "dns" => dns(element, &mut network),
            "ip" => address(element, &mut network)?,
            own if OWN.contains(&own) => continue,
            _ => {
                note(element, &mut network);
                continue;
            }
        }
        note_attributes(element, &mut network);
    }
    if network.name.is_empty() {
        return Err("it has no `<name>`".into());
    }
    Ok(network)
}

fn children<'a, 'i>(element: Element<'a, 'i>) -> impl Iterator<Item = Element<'a, 'i>> {
    element.children().filter(Element::is_element)
}

/// An element with those that it is in, but for the network: `dhcp/host`. Addresses are not told apart.
fn path(element: Element<'_, '_>) -> String {
    let outer = element.ancestors().skip(1).filter(Element::is_element);
    let outer = outer.map(|e| e.tag_name().name()).filter(|name| !["network", "ip"].contains(name));
    let mut names: Vec<&str> = std::iter::once(element.tag_name().name()).chain(outer).collect();
    names.reverse();
    names.join("/")
}

/// Notes an element that nothing is made of.
fn note(element: Element<'_, '_>, network: &mut NetworkXml) {
    network.unread.push(path(element));
}

/// Notes attributes that nothing is made of.
fn note_attributes(element: Element<'_, '_>, network: &mut NetworkXml) {
    let name = element.tag_name().name();
    let known = ATTRIBUTES.iter().find(|(known, ..)| *known == name);
    let (read, usual) = known.map_or((&[][..], &[][..]), |(_, read, usual)| (*read, *usual));
    for attribute in element.attributes() {
        let (name, value) = (attribute.name(), attribute.value());
        if !read.contains(&name) && !usual.contains(&(name, value)) {
            network.unread.push(format!("{} {name}", path(element)));
        }
    }
}

/// What libvirt adds to a network that it translates addresses of.
fn is_usual_nat(element: Element<'_, '_>) -> bool {
    let is_usual_port = |port: Element<'_, '_>| {
        port.has_tag_name("port")
            && port.attribute("start") == Some("1024")
            && port.attribute("end") == Some("65535")
    };
    element.has_tag_name("nat")
        && element.attributes().next().is_none()
        && children(element).all(is_usual_port)
}

fn dns(element: Element<'_, '_>, network: &mut NetworkXml) {
    for child in children(element) {
        match (child.tag_name().name(), child.attribute("addr"), child.attribute("domain")) {
            // One for a domain alone would, for all names, leave nodes without any others.
            ("forwarder", Some(address), None) => network.forwarders.push(address.into()),
            ("srv", ..) => {
                let keys = [
                    ("name", "service"),
                    ("protocol", "protocol"),
                    ("domain", "domain"),
                    ("target", "target"),
                    ("port", "port"),
                ];
                let said = |(key, name)| Some((key, String::from(child.attribute(name)?)));
                network.srvs.push(keys.into_iter().filter_map(said).collect());
            }
            _ => {
                note(child, network);
                continue;
            }
        }
        note_attributes(child, network);
    }
}

fn address(element: Element<'_, '_>, network: &mut NetworkXml) -> Result<(), String> {
    let text = element.attribute("address").ok_or("its `<ip>` has no `address`")?;
    let address: IpAddr =
        text.trim().parse().map_err(|_| format!("`{text}` is not an IP address"))?;
    let net = match length(element, address)? {
        Some(length) => IpNet::new(address, length),
        None => return Err("its `<ip>` has neither `prefix` nor `netmask`".into()),
    };
    match net.map_err(|_| format!("the prefix of {address} is too long"))? {
        IpNet::V4(net) => set4(network, net)?,
        IpNet::V6(net) => set6(network, net)?,
    }
    for child in children(element) {
        match (child.tag_name().name(), address) {
            ("dhcp", _) => dhcp(child, address, network),
            ("tftp", IpAddr::V4(_)) => {
                network.tftp_root = child.attribute("root").map(String::from)
            }
            _ => {
                note(child, network);
                continue;
            }
        }
        note_attributes(child, network);
    }
    Ok(())
}

fn set4(network: &mut NetworkXml, net: Ipv4Net) -> Result<(), String> {
    match network.ipv4.replace(net) {
        None => Ok(()),
        Some(first) => {
            Err(format!("it has two IPv4 addresses, {} and {}", first.addr(), net.addr()))
        }
    }
}

fn set6(network: &mut NetworkXml, net: Ipv6Net) -> Result<(), String> {
    match network.ipv6.replace(net) {
        None => Ok(()),
        Some(first) => {
            Err(format!("it has two IPv6 addresses, {} and {}", first.addr(), net.addr()))
        }
    }
}

fn length(element: Element<'_, '_>, address: IpAddr) -> Result<Option<u8>, String> {
    if let Some(prefix) = element.attribute("prefix") {
        let length = prefix.trim().parse().map_err(|_| format!("`{prefix}` is not a length"))?;
        return Ok(Some(length));
    }
    let Some(mask) = element.attribute("netmask") else { return Ok(None) };
    let wrong = |_| format!("`{mask}` is not a netmask");
    let length = match address {
        IpAddr::V4(_) => {
            let mask: Ipv4Addr = mask.trim().parse().map_err(|_| wrong(()))?;
            ipnet::ip_mask_to_prefix(mask.into())
        }
        IpAddr::V6(_) => {
            let mask: Ipv6Addr = mask.trim().parse().map_err(|_| wrong(()))?;
            ipnet::ip_mask_to_prefix(mask.into())
        }
    };
    length.map(Some).map_err(|_| wrong(()))
}

fn dhcp(element: Element<'_, '_>, address: IpAddr, network: &mut NetworkXml) {
    for child in children(element) {
        let bounds = (child.attribute("start"), child.attribute("end"));
        let given = match address {
            IpAddr::V4(_) => &mut network.dhcp,
            IpAddr::V6(_) => &mut network.dhcp6,
        };
        match (child.tag_name().name(), bounds) {
            ("range", (Some(start), Some(end))) if given.is_none() => {
                *given = Some((start.into(), end.into()));
                children(child).for_each(|inner| note(inner, network));
            }
            ("bootp", _) if address.is_ipv4() => {
                let words = ["file", "server"].map(|key| Some((key, child.attribute(key)?.into())));
                network.bootp = words.into_iter().flatten().collect();
            }
            _ => {
                note(child, network);
                continue;
            }
        }
        note_attributes(child, network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_a_layout_is_read() {
        let read = network(
            "<network>\n<name>net</name><forward mode='nat'/><bridge name='net' stp='on' delay='0'/>\
             <mac address='52:54:00:6a:f2:dc'/><dns enable='no'/><mtu size='9000'/><portgroup name='x'/>\
             <ip family='ipv4'\n address='192.0.2.1' netmask='255.255.255.0'><dhcp>\
             <range start='192.0.2.9' end='192.0.2.20'/><host mac='a' ip='b'/>\
             <bootp file='pxelinux.0' server='192.0.2.3'/></dhcp><tftp root='/srv/tftp'/></ip>\
             <ip family='ipv6' address='fd00::1' prefix='64'><dhcp><range start='fd00::9' end='fd00::20'/></dhcp></ip>\
             </network>\n",
        );
        let expected = NetworkXml {
            name: "net".into(),
            forward: Some("nat".into()),
            bridge: Some("net".into()),
            ipv4: Some("192.0.2.1/24".parse().unwrap()),
            dhcp: Some(("192.0.2.9".into(), "192.0.2.20".into())),
            ipv6: Some("fd00::1/64".parse().unwrap()),
            tftp_root: Some("/srv/tftp".into()),
            bootp: vec![("file", "pxelinux.0".into()), ("server", "192.0.2.3".into())],
            mtu: Some("9000".into()),
            dhcp6: Some(("fd00::9".into(), "fd00::20".into())),
            unread: vec!["dns enable".into(), "portgroup".into(), "dhcp/host".into()],
            ..NetworkXml::default()
        };
        assert_eq!(read, Ok(expected));
    }

    /// They had no effect, and nothing was said.
    #[test]
    fn each_part_is_read_or_told() {
        for (part, unread) in [
            (
                "<dns><forwarder domain='a.example' addr='192.0.2.53'/></dns>",
                &["dns/forwarder"][..],
            ),
            ("<dns><forwarder addr='192.0.2.53'/></dns>", &[]),
            ("<dns><forwarder domain='a.example'/></dns>", &["dns/forwarder"]),
            ("<dns><host ip='192.0.2.9'><hostname>r</hostname></host></dns>", &["dns/host"]),
            ("<dns><srv service='ldap' protocol='tcp' port='389' priority='0'/></dns>", &[]),
            ("<dns><srv service='ldap' protocol='tcp' weight='5'/></dns>", &["dns/srv weight"]),
            ("<dns forwardPlainNames='no'/>", &["dns forwardPlainNames"]),
            ("<forward mode='nat' dev='eno9'/>", &["forward dev"]),
            ("<forward mode='nat'><nat><port start='1024' end='65535'/></nat></forward>", &[]),
            ("<forward><nat><port start='1' end='9'/></nat></forward>", &["forward/nat"]),
            ("<forward><nat ipv6='yes'/></forward>", &["forward/nat"]),
            ("<forward mode='route'><interface dev='eno9'/></forward>", &["forward/interface"]),
            ("<bridge name='b' zone='trusted'/>", &["bridge zone"]),
            ("<bridge name='b' stp='on' delay='0' macTableManager='kernel'/>", &[]),
            ("<domain name='a.example' localOnly='yes'/>", &["domain localOnly"]),
            ("<route address='192.0.2.0' prefix='24' gateway='192.0.2.1'/>", &["route"]),
            (
                "<ip address='192.0.2.1' prefix='24'><dhcp><range start='192.0.2.9' end='192.0.2.20'>\
                 <lease expiry='1' unit='hours'/></range></dhcp></ip>",
                &["dhcp/range/lease"],
            ),
            ("<ip address='192.0.2.1' prefix='24' localPtr='yes'/>", &["ip localPtr"]),
            ("<bandwidth/>", &["bandwidth"]),
        ] {
            let read = network(&format!("<network><name>n</name>{part}</network>")).unwrap();
            assert_eq!(read.unread, unread, "{part}");
        }
        let read = network("<network ipv6='yes'><name>n</name></network>").unwrap();
        assert_eq!(read.unread, ["network ipv6"]);
    }

    #[test]
    fn what_is_not_a_network_is_refused() {
        for (text, why) in [
            ("<network>", "never closed"),
            ("<domain/>", "`domain`"),
            ("<network/>", "`<name>`"),
            ("<network><name>a</name><ip/></network>", "`address`"),
            ("<network><name>a</name><ip address='x'/></network>", "not an IP address"),
            ("<network><name>a</name><ip address='10.0.0.1'/></network>", "neither"),
            ("<network><name>a</name><ip address='10.0.0.1' prefix='40'/></network>", "too long"),
            (
                "<network><name>a</name><ip address='10.0.0.1' netmask='255.0.255.0'/></network>",
                "netmask",
            ),
        ] {
            let said = network(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
