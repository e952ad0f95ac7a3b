//! Networks: define, start, change reservations, stop, undefine.

use maquette_core::blueprint::Network;
use maquette_core::names::EnvName;
use maquette_core::plan::NetworkChange;
use maquette_core::topology::Allocation;
use maquette_engine::ssh_keys::RecordKey;

use crate::client::{self, Client, Entry, EntryChange, LibvirtError};
use crate::xml;

/// Defines a network. Its record is sealed with `key`.
pub fn define(
    client: &Client,
    network: &Network,
    environment: &EnvName,
    allocation: Allocation,
    key: Option<&RecordKey>,
) -> Result<(), LibvirtError> {
    let xml = xml::network(network, environment, allocation);
    client.define_network(&xml::sealed(xml, key)).map(|_| ())
}

/// Starts a network.
pub fn start(client: &Client, name: &str, autostart: bool) -> Result<(), LibvirtError> {
    match client.network(name)? {
        Some(network) => client::start_network(&network, autostart),
        None => Ok(()),
    }
}

/// Stops a network.
pub fn stop(client: &Client, name: &str) -> Result<(), LibvirtError> {
    match client.network(name)? {
        Some(network) => client::stop_network(&network),
        None => Ok(()),
    }
}

/// Removes a network's definition.
pub fn undefine(client: &Client, name: &str) -> Result<(), LibvirtError> {
    match client.network(name)? {
        Some(network) => client::undefine_network(&network),
        None => Ok(()),
    }
}

/// Changes a network: the running one first, then the definition with its record, so that an
/// interrupted change is seen and made again.
pub fn update(
    client: &Client,
    wanted: &Network,
    environment: &EnvName,
    allocation: Allocation,
    change: &NetworkChange,
    key: Option<&RecordKey>,
) -> Result<(), LibvirtError> {
    if let Some(network) = client.network(&wanted.name)?
        && client::network_active(&network)?
    {
        let hosts = [(EntryChange::Remove, &change.remove), (EntryChange::Add, &change.add)];
        for (what, hosts) in hosts {
            for host in hosts {
                let second = host.ip.is_ipv6() && wanted.ipv4.is_some();
                let (element, xml) = (i32::from(second), xml::reservation(host));
                client::change_network(&network, what, Entry::Host { element, xml: &xml })?;
            }
        }
        let srvs =
            [(EntryChange::Remove, &change.remove_srvs), (EntryChange::Add, &change.add_srvs)];
        for (what, srvs) in srvs {
            for srv in srvs {
                client::change_network(&network, what, Entry::Srv { xml: &xml::srv(srv) })?;
            }
        }
    }
    define(client, wanted, environment, allocation, key)?;
    match client.network(&wanted.name)? {
        Some(network) => client::autostart_network(&network, wanted.autostart),
        None => Ok(()),
    }
}
