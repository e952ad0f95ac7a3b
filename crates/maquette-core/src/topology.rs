//! What the user asked for: node types with counts, networks and settings, all names resolved.
//!
//! Nothing here is concrete yet: no MAC address, no volume, no index. [`compile()`] merges, evaluates
//! and decodes; [`lint()`] then checks what only shows when everything is known.

mod access;
mod bgp;
mod built_in;
mod compile;
mod described;
mod disk;
mod file_variables;
mod first_boot;
mod forward;
mod free_subnet;
mod interface;
mod lint;
mod netboot;
mod network;
mod role;
mod subnet;
mod uplink;
mod usable;
mod user_data;
mod vbmc;
mod vswitch;

pub use crate::hardware::{
    BmcChoice, BmcProtocol, BootDevice, BootMode, Bus, OsVariant, SeedDrive, VirtType,
};
pub use crate::settings::Settings;
pub use crate::virtopts;
pub use bgp::Cidr;
pub use built_in::{BuiltInNetworks, BuiltInType, built_in_networks, built_in_types};
pub(crate) use compile::NETWORK_FILE;
pub use compile::{Allocation, NodeRequest, Request, compile, is_read, named_extras, playbooks};
pub use described::only_network;
pub(crate) use described::{NETWORK_DEFAULTS, NODE_DEFAULTS};
pub use disk::{Disk, Preallocation};
pub use first_boot::{BootDigest, BootFile, FirstBoot};
pub use forward::{DirectMode, Forward};
pub use free_subnet::place;
pub use interface::{ConnectTo, Interface, Interfaces, Ips};
pub use lint::{ADDRESS_RULE, lint, overlap, unknown_system};
pub use netboot::Bootp;
pub(crate) use network::NETWORK;
pub use network::{Network, Srv};
pub(crate) use role::{DESCRIBED, NODE_TYPE};
pub use role::{ExternalNetwork, MOST_NODES, Role};
pub use subnet::{Dhcp, Fixed, Ipv4, Ipv6};
pub use uplink::Uplink;
pub use vbmc::Vbmc;
pub use vswitch::{Portgroup, Vlan, Vswitch};

use std::collections::BTreeSet;
use std::str::FromStr;

use ipnet::IpNet;

use crate::decode::Fields;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::Spanned;
use crate::values::ValueError;

/// Everything that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Kinds of nodes, in the order of their files' paths (InfraRed's order).
    pub roles: Vec<Role>,
    /// Networks, in file order.
    pub networks: Vec<Network>,
    /// What the hypervisor forwards for the nodes besides (BGP).
    pub cidrs: Vec<Cidr>,
    /// Whether every node type could be read; if not, a link to an unknown one may be right.
    pub roles_complete: bool,
    /// Whether every network could be read; if not, a reference to an unknown one may be right.
    pub networks_complete: bool,
    /// Names of networks in which something was wrong: one that gives no addresses may be meant to.
    pub flawed: BTreeSet<String>,
    /// What holds for the whole environment.
    pub settings: Settings,
    /// The third octets that templates were evaluated with.
    pub allocation: Allocation,
    /// Subnets that would be the same with any other allocation; known where a subnet is taken.
    pub fixed: BTreeSet<IpNet>,
    /// Where variables of InfraRed's have BMCs.
    pub vbmc: Vbmc,
    /// Whether a hypervisor is asked which operating systems its libosinfo knows, so that nothing is said of them here.
    pub systems_asked: bool,
}

impl Topology {
    /// The network of a (not prefixed) name.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|n| n.name.value == name)
    }

    /// What the BMCs of a type's nodes speak, if they have any. Where nobody has said that, those of nodes without an operating
    /// system speak all there is, as long as there is an address that they can have.
    pub fn bmc_of(&self, role: &Role) -> Option<BmcProtocol> {
        let usual = match self.has_bmc_address() {
            true => BmcChoice::On(BmcProtocol::Both),
            false => BmcChoice::Off,
        };
        let choice = match (role.bmc, role.deploy_os) {
            (Some(chosen), _) => chosen,
            (None, true) => BmcChoice::Off,
            (None, false) => self.settings.bmc.unwrap_or(usual),
        };
        choice.protocol()
    }

    /// Whether a network for BMCs was chosen, or the hypervisor has an address on any.
    fn has_bmc_address(&self) -> bool {
        let has = |n: &Network| n.forward.is_served() && (n.ipv4.is_some() || n.ipv6.is_some());
        self.settings.bmc_network.is_some() || self.networks.iter().any(has)
    }
}

/// The `name` of a node type, a network or a portgroup.
fn checked_name<T>(fields: &mut Fields<'_>, diags: &mut Diagnostics) -> Option<Spanned<T>>
where
    T: FromStr<Err = ValueError>,
{
    let name = fields.text("name", diags)?;
    match name.value.parse() {
        Ok(checked) => Some(Spanned::new(checked, name.span)),
        Err(error) => {
            diags.push(Diagnostic::error("topology::name", error.to_string()).at(name.span, ""));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DESCRIBED, NETWORK};
    use crate::file_keys::Key;
    use crate::file_keys::peers::{ROWS, instead};

    fn names(keys: &'static [Key]) -> Vec<&'static str> {
        keys.iter().map(|key| key.name).collect()
    }

    #[test]
    fn words_of_other_tools_lead_to_keys() {
        let node = names(DESCRIBED);
        let says = |word: &str| instead(word, &node).unwrap_or_default();
        assert_eq!(says("ram"), "did you mean `memory`?");
        assert_eq!(says("runcmd"), "did you mean `commands`?");
        assert!(says("ip").contains("networks: [{network: NAME, ip: "), "{}", says("ip"));
        assert!(says("ports").contains("maquette forward"), "{}", says("ports"));
        // `user_data` and `machine_type` are what these look like.
        assert!(says("user").contains("`ansible_user`"), "{}", says("user"));
        assert!(says("mac").contains("maquette status --json"), "{}", says("mac"));
        assert_eq!(says("tags"), "did you mean `groups`?");
        assert_eq!(instead("vms", &["nodes", "image"]).as_deref(), Some("did you mean `nodes`?"));
        assert_eq!(instead("ram", &["size"]), None);
        assert!(instead("cidr", &names(NETWORK)).is_some());
    }

    #[test]
    fn no_word_of_other_tools_is_a_key_where_it_counts() {
        for keys in [names(DESCRIBED), names(NETWORK)] {
            for (words, key, _) in ROWS.iter().filter(|(_, key, _)| keys.contains(key)) {
                let known = words.iter().find(|word| keys.contains(word));
                assert_eq!(known, None, "{key}");
            }
        }
    }
}
