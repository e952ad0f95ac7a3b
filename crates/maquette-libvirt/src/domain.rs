//! Domains: define, start, stop, undefine. Each does nothing where nothing is to be done.

use std::sync::mpsc;
use std::time::Duration;

use maquette_core::blueprint::{Node, Pool};
use maquette_core::names::EnvName;

use crate::client::{self, Client, Domain, LibvirtError};
use crate::signals;
use crate::xml;

/// How long a guest may take to shut down before the plug is pulled.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// Defines a domain; one that exists keeps the mark of its first boot.
pub fn define(
    client: &Client,
    node: &Node,
    environment: &EnvName,
    pool: &Pool,
) -> Result<(), LibvirtError> {
    let ready = match client.domain(&node.name)? {
        Some(domain) => client::domain_xml(&domain)?
            .is_some_and(|old| xml::read::domain(&old).is_ok_and(|d| d.ready)),
        None => false,
    };
    client.define_domain(&xml::domain(node, environment, pool, ready)).map(|_| ())
}

/// Stops a domain: asks the guest first if `clean`, and pulls the plug after a while.
pub fn stop(client: &Client, name: &str, clean: bool) -> Result<(), LibvirtError> {
    let Some(domain) = client.domain(name)? else { return Ok(()) };
    if !client::is_active(&domain)? {
        return Ok(());
    }
    if clean && shut_down(client, name, &domain).is_ok_and(|stopped| stopped) {
        return Ok(());
    }
    client::pull_plug(&domain)
}

/// Asks the guest and waits until its port closes, which QEMU's end does.
fn shut_down(client: &Client, name: &str, domain: &Domain) -> Result<bool, LibvirtError> {
    let (sender, receiver) = mpsc::channel();
    let listener = signals::listen(client, name, sender)?;
    client::shut_down(domain)?;
    let deadline = std::time::Instant::now() + SHUTDOWN;
    let stopped = loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        match receiver.recv_timeout(left) {
            Ok(maquette_engine::ready::Signal::Stopped) => break true,
            Ok(_) => {}
            Err(_) => break false,
        }
    };
    listener.close();
    // The port closes a moment before libvirt has noted the end.
    Ok(stopped && !client::is_active(domain)?)
}

/// Removes a domain's definition.
pub fn undefine(client: &Client, name: &str) -> Result<(), LibvirtError> {
    match client.domain(name)? {
        Some(domain) => client::undefine_domain(&domain),
        None => Ok(()),
    }
}

/// Notes that the first boot was seen to end.
pub fn mark_ready(domain: &Domain) -> Result<(), LibvirtError> {
    let namespace = xml::metadata::STATE_NAMESPACE;
    client::set_domain_metadata(domain, xml::metadata::READY, "state", namespace)
}
