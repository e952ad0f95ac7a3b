//! Interfaces of running domains: whether they have a carrier, and how much they carry.

use maquette_core::units::MacAddr;
use maquette_engine::StepError;

use crate::client::{self, Client, LibvirtError};
use crate::xml::nic::{self, Bandwidth, LinkState, RunningNic};

/// The interfaces of a running domain, in order.
pub fn running_nics(client: &Client, domain: &str) -> Result<Vec<RunningNic>, StepError> {
    let failed = failed(domain);
    let text = match client.domain(domain).map_err(&failed)? {
        Some(domain) => client::live_xml(&domain).map_err(&failed)?,
        None => None,
    };
    Ok(text.map(|xml| nic::running_nics(&xml)).unwrap_or_default())
}

/// Gives an interface its carrier, or takes it away. It stays so until the domain stops.
pub fn set_link(
    client: &Client,
    domain: &str,
    mac: MacAddr,
    state: LinkState,
) -> Result<(), StepError> {
    change(client, domain, &|xml| nic::with_link(xml, mac, state))
}

/// Limits what goes through an interface in either direction, or lifts the limit. It stays so until the
/// domain stops.
pub fn set_bandwidth(
    client: &Client,
    domain: &str,
    mac: MacAddr,
    limit: Option<Bandwidth>,
) -> Result<(), StepError> {
    let limited = change(client, domain, &|xml| nic::with_bandwidth(xml, mac, limit));
    limited.map_err(|error| StepError {
        message: format!("cannot limit what goes through {mac} of domain `{domain}`"),
        ..error
    })
}

fn failed(domain: &str) -> impl Fn(LibvirtError) -> StepError {
    let message = format!("cannot change interfaces of domain `{domain}`");
    move |error| error.failed(message.clone())
}

fn change(
    client: &Client,
    name: &str,
    edit: &dyn Fn(&str) -> Option<String>,
) -> Result<(), StepError> {
    let failed = failed(name);
    let gone = || StepError::new(format!("domain `{name}` does not run, or lacks that interface"));
    let domain = client.domain(name).map_err(&failed)?.ok_or_else(gone)?;
    let xml = client::live_xml(&domain).map_err(&failed)?.ok_or_else(gone)?;
    let edited = edit(&xml).ok_or_else(gone)?;
    client::update(&domain, &edited).map_err(failed)
}
