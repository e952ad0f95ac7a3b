//! libvirt's XML of networks, as users write it in layouts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use maquette_core::layout::NetworkXml;
use roxmltree::{Document, Node as Element};

/// Elements that are libvirt's defaults, or that Maquette writes by itself.
const MET: [&str; 5] = ["name", "uuid", "bridge", "mac", "dns"];

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
    for element in root.children().filter(Element::is_element) {
        let attribute = |name| element.attribute(name).map(String::from);
        match element.tag_name().name() {
            "name" => network.name = element.text().unwrap_or_default().trim().into(),
            "forward" => network.forward = Some(attribute("mode").unwrap_or("nat".into())),
            "bridge" => network.bridge = attribute("name"),
            "mtu" => network.mtu = attribute("size"),
            "domain" => network.domain = attribute("name"),
            "ip" => address(element, &mut network)?,
            met if MET.contains(&met) => {}
            other => network.unread.push(other.into()),
        }
    }
    if network.name.is_empty() {
        return Err("it has no `<name>`".into());
    }
    Ok(network)
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
    for child in element.children().filter(Element::is_element) {
        match (child.tag_name().name(), address) {
            ("dhcp", IpAddr::V4(_)) => dhcp(child, network),
            ("tftp", IpAddr::V4(_)) => {
                network.tftp_root = child.attribute("root").map(String::from)
            }
            (other, _) => network.unread.push(other.into()),
        }
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

fn dhcp(element: Element<'_, '_>, network: &mut NetworkXml) {
    for child in element.children().filter(Element::is_element) {
        let bounds = (child.attribute("start"), child.attribute("end"));
        match (child.tag_name().name(), bounds) {
            ("range", (Some(start), Some(end))) if network.dhcp.is_none() => {
                network.dhcp = Some((start.into(), end.into()));
            }
            ("bootp", _) => {
                let words = ["file", "server"].map(|key| Some((key, child.attribute(key)?.into())));
                network.bootp = words.into_iter().flatten().collect();
            }
            (other, _) => network.unread.push(format!("dhcp/{other}")),
        }
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
             <ip family='ipv6' address='fd00::1' prefix='64'/></network>\n",
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
            domain: None,
            unread: vec!["portgroup".into(), "dhcp/host".into()],
        };
        assert_eq!(read, Ok(expected));
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
