//! What libvirt makes of a network for dnsmasq: `networkDnsmasqConfContents` in libvirt's
//! `src/network/bridge_driver.c`, as of 9.0, for what Maquette writes.

use std::fmt::Write;

use roxmltree::{Document, Node};

/// Options that such a file has.
const OPTIONS: [&str; 24] = [
    "strict-order",
    "server",
    "no-resolv",
    "domain",
    "expand-hosts",
    "local",
    "port",
    "except-interface",
    "bind-dynamic",
    "interface",
    "srv-host",
    "dhcp-range",
    "dhcp-no-override",
    "dhcp-authoritative",
    "dhcp-lease-max",
    "enable-ra",
    "dhcp-host",
    "enable-tftp",
    "tftp-root",
    "dhcp-boot",
    "dhcp-userclass",
    "dhcp-match",
    "dhcp-option",
    "dhcp-option-force",
];

/// Longest line that dnsmasq reads (`MAXDNAME` in its `config.h`).
const LONGEST: usize = 1024;

fn children<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |c| c.has_tag_name(name))
}

/// The file's text; none if libvirt would start no dnsmasq. Host entries, which libvirt keeps in a file of
/// their own with the same syntax, are in it too.
///
/// # Panics
///
/// If a line of it is not one that a network of ours has, or is not one line.
pub fn configuration(xml: &str) -> Option<String> {
    let document = Document::parse(xml).expect("what is written is XML");
    let root = document.root_element();
    let forward = children(root, "forward").next().and_then(|f| f.attribute("mode"));
    if forward == Some("bridge") {
        return None;
    }
    let mut lines = vec!["strict-order".to_string()];
    let mut line = |text: String| lines.push(text);
    let forwarders = children(root, "dns").flat_map(|d| children(d, "forwarder"));
    let forwarders: Vec<&str> = forwarders.filter_map(|f| f.attribute("addr")).collect();
    forwarders.iter().for_each(|address| line(format!("server={address}")));
    if !forwarders.is_empty() {
        line("no-resolv".into());
    }
    for domain in children(root, "domain") {
        let name = domain.attribute("name").unwrap_or_default();
        line(format!("domain={name}"));
        line("expand-hosts".into());
        if domain.attribute("localOnly") == Some("yes") {
            line(format!("local=/{name}/"));
        }
    }
    line("except-interface=lo".into());
    line("bind-dynamic".into());
    let bridge = children(root, "bridge").next().and_then(|b| b.attribute("name"));
    line(format!("interface={}", bridge.unwrap_or_default()));
    for srv in children(root, "dns").flat_map(|d| children(d, "srv")) {
        let get = |key| srv.attribute(key).unwrap_or_default();
        let mut text = format!("srv-host=_{}._{}", get("service"), get("protocol"));
        if let Some(domain) = srv.attribute("domain") {
            let _ = write!(text, ".{domain}");
        }
        if let Some(target) = srv.attribute("target") {
            let _ = write!(text, ",{target},{}", srv.attribute("port").unwrap_or("1"));
        }
        line(text);
    }
    for tftp in children(root, "ip").flat_map(|ip| children(ip, "tftp")) {
        line("enable-tftp".into());
        line(format!("tftp-root={}", tftp.attribute("root").unwrap_or_default()));
    }
    for dhcp in children(root, "ip").flat_map(|ip| children(ip, "dhcp")) {
        for bootp in children(dhcp, "bootp") {
            let server = bootp.attribute("server").map(|server| format!(",,{server}"));
            let file = bootp.attribute("file").unwrap_or_default();
            line(format!("dhcp-boot={file}{}", server.unwrap_or_default()));
        }
        for range in children(dhcp, "range") {
            let get = |key| range.attribute(key).unwrap_or_default();
            let ip = dhcp.parent_element().filter(|ip| ip.attribute("family") == Some("ipv6"));
            let length = ip.and_then(|ip| ip.attribute("prefix"));
            let length = length.map(|length| format!(",{length}")).unwrap_or_default();
            line(format!("dhcp-range={},{}{length}", get("start"), get("end")));
        }
        for host in children(dhcp, "host") {
            let get = |key| host.attribute(key).unwrap_or_default();
            let ip = get("ip");
            match host.attribute("mac") {
                Some(mac) => line(format!("dhcp-host={mac},{ip},{}", get("name"))),
                None => line(format!("dhcp-host={},[{ip}]", get("name"))),
            }
        }
    }
    let own = root.children().filter(|c| c.tag_name().name() == "options");
    let own = own.flat_map(|o| o.children()).filter_map(|o| o.attribute("value"));
    own.for_each(|text| line(text.into()));
    lines.iter().for_each(|line| checked(line));
    Some(lines.join("\n") + "\n")
}

fn checked(line: &str) {
    let (option, value) = line.split_once('=').unwrap_or((line, ""));
    assert!(OPTIONS.contains(&option), "dnsmasq: {line:?}");
    // A boot file may be an address, and a tag be one that must not be there.
    let boots = option.starts_with("dhcp-boot") || option.starts_with("dhcp-option");
    let signs = if boots { "-_.:,/[]!+~%=&?@" } else { "-_.:,/[]+@=" };
    let plain = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
    assert!(value.chars().all(plain), "dnsmasq: {line:?}");
    assert!(line.len() <= LONGEST, "dnsmasq: {line:?} is longer than it reads");
    let most = match option {
        "dhcp-boot" => 4,
        "dhcp-option" => 3,
        "dhcp-range" | "dhcp-host" | "srv-host" | "dhcp-match" | "dhcp-option-force" => 2,
        "tftp-root" => 0,
        _ => 1,
    };
    assert!(value.matches(',').count() <= most, "dnsmasq: {line:?} has more parts than it should");
}
