//! The interfaces of a running domain, edited as libvirt wants them back: whole, with one thing changed.

use std::fmt;
use std::ops::Range;

use maquette_core::units::MacAddr;
use roxmltree::{Document, Node as Element};

/// Most that goes through an interface in either direction, in KiB a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth {
    /// To the node; none leaves that to others than libvirt.
    pub to_node: Option<u64>,
    /// From the node; none leaves that to others than libvirt.
    pub from_node: Option<u64>,
}

impl Bandwidth {
    /// The same in both directions.
    pub fn both(kib: u64) -> Self {
        Self { to_node: Some(kib), from_node: Some(kib) }
    }

    /// The limit, for people: it is the same in both directions, wherever it is set.
    pub fn kib(self) -> Option<u64> {
        self.to_node.or(self.from_node)
    }
}

/// An interface of a running domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningNic {
    /// MAC address.
    pub mac: MacAddr,
    /// Its tap on the hypervisor: `vnet3`; none if libvirt names none.
    pub tap: Option<String>,
    /// Whether it has a carrier.
    pub up: bool,
    /// Its limit, if it has one.
    pub limit: Option<Bandwidth>,
}

fn children<'a, 'i>(
    element: Element<'a, 'i>,
    name: &'static str,
) -> impl Iterator<Item = Element<'a, 'i>> {
    element.children().filter(move |c| c.has_tag_name(name))
}

fn interfaces<'a, 'i>(document: &'a Document<'i>) -> Vec<Element<'a, 'i>> {
    let devices = children(document.root_element(), "devices");
    devices.flat_map(|d| children(d, "interface")).collect()
}

fn mac(element: Element<'_, '_>) -> Option<MacAddr> {
    children(element, "mac").next()?.attribute("address")?.parse().ok()
}

/// Every interface, in order.
pub fn running_nics(xml: &str) -> Vec<RunningNic> {
    let Ok(document) = Document::parse(xml) else { return Vec::new() };
    let read = |element: Element<'_, '_>| {
        let link = children(element, "link").next().and_then(|l| l.attribute("state"));
        let bandwidth = children(element, "bandwidth").next();
        let average = |direction| {
            let limit = bandwidth.and_then(|b| children(b, direction).next())?;
            limit.attribute("average")?.parse().ok()
        };
        let limit = Bandwidth { to_node: average("inbound"), from_node: average("outbound") };
        Some(RunningNic {
            mac: mac(element)?,
            tap: children(element, "target").find_map(|t| t.attribute("dev")).map(String::from),
            up: link != Some("down"),
            limit: limit.kib().map(|_| limit),
        })
    };
    interfaces(&document).into_iter().filter_map(read).collect()
}

/// Whether an interface has its carrier, in libvirt's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// It has.
    Up,
    /// It has none, as if its cable were pulled.
    Down,
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// An interface with or without its carrier.
pub fn with_link(xml: &str, wanted: MacAddr, state: LinkState) -> Option<String> {
    replaced(xml, wanted, "link", &format!("<link state='{state}'/>"))
}

/// An interface with a limit in both directions, or none.
pub fn with_bandwidth(xml: &str, wanted: MacAddr, limit: Option<Bandwidth>) -> Option<String> {
    // No limit is one of 0; leaving the element out keeps what was.
    let average = |of: fn(Bandwidth) -> Option<u64>| limit.and_then(of).unwrap_or(0);
    let (inbound, outbound) = (average(|l| l.to_node), average(|l| l.from_node));
    let element = format!(
        "<bandwidth><inbound average='{inbound}'/><outbound average='{outbound}'/></bandwidth>"
    );
    replaced(xml, wanted, "bandwidth", &element)
}

/// One interface of a domain's XML, with one of its elements put in the place of what was there.
fn replaced(xml: &str, wanted: MacAddr, name: &'static str, new: &str) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    let element = interfaces(&document).into_iter().find(|e| mac(*e) == Some(wanted))?;
    let whole: Range<usize> = element.range();
    let old = children(element, name).map(|c| c.range()).next();
    let end = whole.start + xml.get(whole.clone())?.rfind("</interface>")?;
    let cut = old.unwrap_or(end..end);
    let (before, after) = (xml.get(whole.start..cut.start)?, xml.get(cut.end..whole.end)?);
    Some(format!("{before}{new}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "<domain><devices>
<interface type='network'><mac address='52:54:00:00:00:01'/><target dev='vnet0'/></interface>
<interface type='bridge'><mac address='52:54:00:00:00:02'/><target dev='vnet1'/>
  <bandwidth><inbound average='128'/></bandwidth><link state='down'/><model type='virtio'/></interface>
</devices></domain>";

    #[test]
    fn interfaces_are_read_and_edited_whole() {
        let first: MacAddr = "52:54:00:00:00:01".parse().unwrap();
        let second: MacAddr = "52:54:00:00:00:02".parse().unwrap();
        let all = running_nics(DOMAIN);
        assert_eq!((all[0].up, all[0].limit), (true, None));
        assert_eq!(
            (all[1].up, all[1].limit),
            (false, Some(Bandwidth { to_node: Some(128), from_node: None }))
        );
        assert_eq!(all[1].tap.as_deref(), Some("vnet1"));
        let pulled = with_link(DOMAIN, first, LinkState::Down).unwrap();
        assert!(
            pulled.ends_with("<target dev='vnet0'/><link state='down'/></interface>"),
            "{pulled}"
        );
        let plugged = with_link(DOMAIN, second, LinkState::Up).unwrap();
        assert_eq!(plugged.matches("<link state='up'/>").count(), 1);
        assert!(!plugged.contains("down") && plugged.contains("average='128'"));
        let limited = with_bandwidth(DOMAIN, second, Some(Bandwidth::both(5))).unwrap();
        assert!(limited.contains("<outbound average='5'/>") && !limited.contains("128"));
        let from = Bandwidth { to_node: None, from_node: Some(7) };
        let limited = with_bandwidth(DOMAIN, second, Some(from)).unwrap();
        assert!(limited.contains("<inbound average='0'/><outbound average='7'/>"), "{limited}");
        assert!(with_link(DOMAIN, "52:54:00:00:00:03".parse().unwrap(), LinkState::Up).is_none());
    }
}
