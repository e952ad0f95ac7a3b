//! Layouts of ci-framework and tenks as topologies: what their variables say becomes node types and networks with the keys of our
//! own files, each value at the place where it was written. From there on nothing tells them from ours.

mod addresses;
mod build;
mod cifmw;
mod definition;
mod idle;
mod networks;
mod tenks;
mod vms;

use std::collections::BTreeSet;

use ipnet::{Ipv4Net, Ipv6Net};

pub use cifmw::{CONFIGURATION, PARENT, SCENARIO, tells_of};

use self::idle::Idle;
use crate::diagnostic::Diagnostics;
use crate::syntax::{Spanned, Tree, Value};

/// What a layout asks for.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Node types with their keys, as below `nodes` of a project file.
    pub nodes: Tree,
    /// A network file.
    pub network: Tree,
    /// Settings that hold unless somebody says otherwise, by their names.
    pub settings: Vec<(&'static str, Spanned<String>)>,
    /// Variables that it was made of, whether anybody has set them or not.
    pub asked: BTreeSet<String>,
}

/// A network as libvirt's XML describes it, as far as Maquette makes anything of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkXml {
    /// Its name there.
    pub name: String,
    /// The mode of `<forward>`, if there is one.
    pub forward: Option<String>,
    /// Name of its bridge, if the XML says one.
    pub bridge: Option<String>,
    /// The hypervisor's IPv4 address with its subnet, if the XML says one.
    pub ipv4: Option<Ipv4Net>,
    /// What DHCP gives out, from the first to the last address; none if it gives out none.
    pub dhcp: Option<(String, String)>,
    /// The hypervisor's IPv6 address with its subnet, if the XML says one.
    pub ipv6: Option<Ipv6Net>,
    /// What DHCPv6 gives out, from the first to the last address; none if it gives out none.
    pub dhcp6: Option<(String, String)>,
    /// Name servers that are asked what libvirt's does not know.
    pub forwarders: Vec<String>,
    /// Service records: keys of `dns.srvs` with their values.
    pub srvs: Vec<Vec<(&'static str, String)>>,
    /// Directory that is served over TFTP, if one is.
    pub tftp_root: Option<String>,
    /// What DHCP tells machines that boot from it: keys of `bootp` with their values.
    pub bootp: Vec<(&'static str, String)>,
    /// MTU in bytes, if the XML says one.
    pub mtu: Option<String>,
    /// DNS domain, if the XML says one.
    pub domain: Option<String>,
    /// Elements and their attributes that nothing is made of: `dhcp/host`, `forward dev`.
    pub unread: Vec<String>,
}

/// Reads libvirt's XML of a network, or says why that is not one.
pub type ReadXml<'a> = &'a dyn Fn(&str) -> Result<NetworkXml, String>;

/// Understands all that is said of a layout in `variables`; `xml` reads libvirt's XML. Unknown keys are warnings: the files
/// are made for other programs.
pub fn read(variables: &Tree, xml: ReadXml<'_>, diags: &mut Diagnostics) -> Option<Layout> {
    match variables.get(CONFIGURATION).is_none() && tenks::is_one(variables) {
        true => tenks::read(variables, diags),
        false => cifmw::read(variables, xml, diags),
    }
}

/// What was read, with the variables that it was made of, unless there were mistakes: what else would be wrong may be so
/// because of those. All that was found is told.
fn concluded(
    layout: Option<Layout>,
    (asked, idle): (BTreeSet<String>, Idle),
    mut found: Diagnostics,
    diags: &mut Diagnostics,
) -> Option<Layout> {
    idle.tell(&mut found);
    let good = !found.has_errors();
    diags.extend(found);
    layout.filter(|_| good).map(|layout| Layout { asked, ..layout })
}

/// Variables of several files as one mapping: a later file has the word, as with Ansible's `-e @FILE`.
pub fn layered<'a>(files: impl IntoIterator<Item = &'a Tree>) -> Option<Tree> {
    let mut all: Option<Tree> = None;
    for file in files {
        let root = all.get_or_insert_with(|| Tree::empty_map(file.span));
        let Value::Map(into) = &mut root.value else { continue };
        for entry in file.entries() {
            match into.iter_mut().find(|known| known.key == entry.key) {
                Some(known) => *known = entry.clone(),
                None => into.push(entry.clone()),
            }
        }
    }
    all
}
