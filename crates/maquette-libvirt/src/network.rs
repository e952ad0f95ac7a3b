//! Networks: define, start, change reservations, stop, undefine.

use maquette_core::blueprint::{Network, Reservation};
use maquette_core::names::EnvName;
use maquette_core::topology::Allocation;

use crate::client::{self, Client, HostChange, LibvirtError};
use crate::xml;

/// Defines a network.
pub fn define(
    client: &Client,
    network: &Network,
    environment: &EnvName,
    allocation: Allocation,
) -> Result<(), LibvirtError> {
    client.define_network(&xml::network(network, environment, allocation)).map(|_| ())
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

/// Changes reservations: in the running network first, then in the definition with its record, so
/// that an interrupted change is seen and made again.
pub fn update(
    client: &Client,
    wanted: &Network,
    environment: &EnvName,
    allocation: Allocation,
    remove: &[Reservation],
    add: &[Reservation],
) -> Result<(), LibvirtError> {
    if let Some(network) = client.network(&wanted.name)?
        && client::network_active(&network)?
    {
        let second = i32::from(wanted.ipv4.is_some());
        let entries = remove
            .iter()
            .map(|r| (HostChange::Remove, r))
            .chain(add.iter().map(|r| (HostChange::Add, r)));
        for (change, reservation) in entries {
            if wanted.dhcp4.is_some()
                && let Some(xml) = xml::reservation_v4(reservation)
            {
                client::change_host(&network, change, 0, &xml)?;
            }
            if wanted.dhcp6.is_some()
                && let Some(xml) = xml::reservation_v6(reservation)
            {
                client::change_host(&network, change, second, &xml)?;
            }
        }
    }
    define(client, wanted, environment, allocation)?;
    start(client, &wanted.name, wanted.autostart)
}
