//! A node's BMC: what it speaks, and where.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use uuid::Uuid;

use super::{Blueprint, Node};
use crate::hardware::BmcProtocol;
use crate::units::MacAddr;
use crate::values::{BmcCredentials, InterfaceName, NetworkName, NodeName};

/// A node's BMC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bmc {
    /// What it speaks.
    pub protocol: BmcProtocol,
    /// The network that its address is on.
    pub network: NetworkName,
    /// Its address on the hypervisor.
    pub address: IpAddr,
    /// Whether the address is its alone; else it is the hypervisor's, and BMCs differ by their ports.
    pub own_address: bool,
    /// TCP port of Redfish, whether it speaks that or not.
    pub redfish_port: NonZeroU16,
    /// UDP port of IPMI, whether it speaks that or not.
    pub ipmi_port: NonZeroU16,
    /// The NIC that its node is provisioned on, if that was chosen; files for enrolling nodes tell it.
    pub provisioning: Option<MacAddr>,
}

/// A port that is known beforehand; none has the number 0.
pub(crate) const fn port(number: u16) -> NonZeroU16 {
    match NonZeroU16::new(number) {
        Some(port) => port,
        None => NonZeroU16::MIN,
    }
}

impl Bmc {
    /// The ports of BMCs that have an address of their own.
    pub const STANDARD_PORTS: (NonZeroU16, NonZeroU16) = (port(443), port(623));

    /// Where it is reached over Redfish.
    pub fn redfish(&self) -> Option<SocketAddr> {
        let reached = SocketAddr::new(self.address, self.redfish_port.get());
        self.protocol.has_redfish().then_some(reached)
    }

    /// Its address for Redfish's clients, without a path.
    pub fn redfish_url(&self) -> Option<String> {
        self.redfish().map(|at| match (at.port(), at.ip()) {
            (443, IpAddr::V4(address)) => format!("https://{address}"),
            (443, IpAddr::V6(address)) => format!("https://[{address}]"),
            _ => format!("https://{at}"),
        })
    }

    /// Where it is reached over IPMI.
    pub fn ipmi(&self) -> Option<SocketAddr> {
        self.protocol.has_ipmi().then(|| SocketAddr::new(self.address, self.ipmi_port.get()))
    }

    /// Where it is reached, for people.
    pub fn describe(&self) -> String {
        let ipmi = self.ipmi().map(|at| format!("IPMI {at}"));
        self.redfish_url().into_iter().chain(ipmi).collect::<Vec<_>>().join(", ")
    }
}

/// The BMC of a node, with all that who serves it has to know but for its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BmcNode {
    /// The node, by its libvirt name.
    pub name: NodeName,
    /// UUID of its domain.
    pub uuid: Uuid,
    /// What its BMC speaks, and where.
    pub bmc: Bmc,
    /// The bridge that has the BMC's own address; none if that is the hypervisor's.
    pub bridge: Option<InterfaceName>,
    /// Interfaces on the hypervisor of the environment's networks, where its users may send it, sorted.
    pub networks: Vec<InterfaceName>,
    /// Whether it takes images from, and sends events to, addresses of the hypervisor itself.
    pub hypervisor_urls: bool,
    /// How the account that the BMC has at first is chosen.
    pub credentials: BmcCredentials,
    /// Whether somebody has asked for BMCs.
    pub asked: bool,
    /// Tells it from what it was before, with its secrets.
    pub digest: String,
}

impl BmcNode {
    /// The BMC of a node, if it has one. `tag` tells its secrets from others.
    pub fn of(node: &Node, blueprint: &Blueprint, tag: &str) -> Option<Self> {
        let bmc = node.bmc.clone()?;
        let network = blueprint.networks.iter().find(|network| network.name == bmc.network);
        let bridge = network.map(|n| n.bridge.clone()).filter(|_| bmc.own_address);
        let hypervisor_urls = blueprint.bmc_hypervisor_urls;
        let bridged = blueprint.networks.iter().filter(|n| n.carrier.has_bridge());
        let mut networks: Vec<_> = bridged.map(|n| n.bridge.clone()).collect();
        networks.sort();
        let (name, uuid) = (node.name.clone(), node.uuid);
        // Who serves it is not told that.
        let served = Bmc { provisioning: None, ..bmc.clone() };
        let parts =
            format!("{served:?} {bridge:?} {name} {uuid} {hypervisor_urls} {networks:?} {tag}");
        let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, parts.as_bytes()).simple().to_string();
        let (credentials, asked) = (blueprint.bmc_credentials.clone(), blueprint.bmcs_asked);
        Some(Self {
            name,
            uuid,
            bmc,
            bridge,
            networks,
            hypervisor_urls,
            credentials,
            asked,
            digest,
        })
    }
}
