//! What is done with one network.

use virt::network::Network;
use virt::sys;

use super::{Result, gate, optional, settled};

/// What is changed in a running network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// An address that DHCP keeps for an interface.
    Host {
        /// Position of its `ip` element.
        element: i32,
        /// Its `host` element.
        xml: &'a str,
    },
    /// A DNS service record.
    Srv {
        /// Its `srv` element.
        xml: &'a str,
    },
}

/// Whether an entry of a running network comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryChange {
    /// The entry comes.
    Add,
    /// The entry goes.
    Remove,
}

/// Name of a network.
pub fn network_name(network: &Network) -> Result<String> {
    Ok(network.name()?)
}

/// Persistent definition of a network; none if it has gone since it was listed. Drivers that keep
/// only one definition refuse to be asked for the persistent one.
pub fn network_xml(network: &Network) -> Result<Option<String>> {
    optional(network.xml_desc(sys::VIR_NETWORK_XML_INACTIVE))
        .or_else(|_| optional(network.xml_desc(0)))
}

/// Says whether a network starts with the hypervisor.
pub fn autostart_network(network: &Network, autostart: bool) -> Result<()> {
    gate::call("set autostart", || network.set_autostart(autostart))?;
    Ok(())
}

/// Starts a network. One that runs is left alone.
pub fn start_network(network: &Network, autostart: bool) -> Result<()> {
    gate::call("set autostart", || network.set_autostart(autostart))?;
    settled(gate::call("start", || network.create()), || network.is_active().unwrap_or(false))
}

/// Stops a network. One that is off is left alone.
pub fn stop_network(network: &Network) -> Result<()> {
    settled(gate::call("stop", || network.destroy()), || !network.is_active().unwrap_or(true))
}

/// Removes a network's definition; it is fine if somebody else just did. One that was being started
/// when it was looked at would live on without a definition, so it is stopped.
pub fn undefine_network(network: &Network) -> Result<()> {
    optional(gate::call("undefine", || network.undefine()))?;
    match network.is_active() {
        Ok(true) => stop_network(network),
        _ => Ok(()),
    }
}

/// Whether a network runs.
pub fn network_active(network: &Network) -> Result<bool> {
    gate::call("look whether a network runs", || network.is_active())
}

/// Changes one entry of a running network.
pub fn change_network(network: &Network, change: EntryChange, entry: Entry<'_>) -> Result<()> {
    let command = match change {
        EntryChange::Add => sys::VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
        EntryChange::Remove => sys::VIR_NETWORK_UPDATE_COMMAND_DELETE,
    };
    let (section, element, xml) = match entry {
        Entry::Host { element, xml } => (sys::VIR_NETWORK_SECTION_IP_DHCP_HOST, element, xml),
        Entry::Srv { xml } => (sys::VIR_NETWORK_SECTION_DNS_SRV, -1, xml),
    };
    let live = sys::VIR_NETWORK_UPDATE_AFFECT_LIVE;
    let result =
        gate::call("change a network", || network.update(command, section, element, xml, live));
    // An interrupted run may have done it already.
    settled(result, || true)
}
