//! What libvirt shows of why nodes are not ready: states with their reasons, and counters of devices.

use std::collections::BTreeMap;

use maquette_core::doctor::{self as core, Finding, NodeSigns, Subject};
use maquette_core::node_state::SshAnswer;
use maquette_core::object::ObjectKind;
use maquette_core::observed::{Domain, Observed};
use maquette_core::topology::SeedDrive;
use maquette_engine::doctor::{self, Network, Node};
use maquette_engine::guests::{self, Guest};
use maquette_engine::host::Host;
use maquette_engine::ssh_keys::RecordKey;

use crate::client::{self, Client, LibvirtError};
use crate::observe::observe;
use crate::xml::nic::running_nics;
use crate::xml::read::Record;
use crate::xml::{self, serial_log};

/// What libvirt says of a domain.
pub fn signs(client: &Client, domain: &Domain, signs: &mut NodeSigns) -> Result<(), LibvirtError> {
    let Some(found) = client.domain(&domain.name)? else { return Ok(()) };
    signs.power = Some(client::power(&found)?);
    if !domain.active {
        return Ok(());
    }
    let disks = domain.live.iter().flat_map(|live| &live.disks).map(|disk| disk.device.clone());
    let disks: Vec<String> =
        disks.filter(|device| SeedDrive::of_device(device).is_none()).collect();
    signs.reads = client::reads_and_writes(&found, &disks).map(|(reads, _)| reads);
    let xml = client::live_xml(&found)?.unwrap_or_default();
    let taps = running_nics(&xml).into_iter().filter_map(|nic| Some((nic.mac, nic.tap?)));
    let counted = taps.filter_map(|(mac, tap)| Some((mac, client::frames(&found, &tap)?)));
    signs.frames = counted.collect();
    Ok(())
}

/// What libvirt has of a domain or network, as it is now. It leaves passwords out unless it is asked for them.
pub fn definition(
    client: &Client,
    kind: ObjectKind,
    name: &str,
) -> Result<Option<String>, LibvirtError> {
    match kind {
        ObjectKind::Network => client.network(name)?.as_ref().map_or(Ok(None), client::network_xml),
        _ => client.domain(name)?.as_ref().map_or(Ok(None), client::live_xml),
    }
}

/// Networks to look at: those of libvirt's that some nodes are on.
pub fn networks(observed: &Observed, nodes: &BTreeMap<String, NodeSigns>) -> Vec<Network> {
    let on = |network: &str| {
        let known = nodes.keys().filter_map(|name| observed.domains.get(name.as_str()));
        let mut all = known.flat_map(|domain| &domain.recorded.interfaces);
        nodes.is_empty() || all.any(|i| i.network == network)
    };
    let all = observed.networks.values().filter(|network| on(&network.name));
    let network = |n: &maquette_core::observed::Network| Network {
        name: n.name.to_string(),
        bridge: n.recorded.bridge.to_string(),
    };
    all.map(network).collect()
}

/// A node to look at. Its disk is looked at where its guest does not answer; what its console has may be of an earlier boot.
pub fn node(domain: &Domain, signs: &NodeSigns) -> Node {
    let evidence = &signs.evidence;
    let heard = evidence.ssh == Some(SshAnswer::Greeted);
    let silent = domain.active && domain.recorded.guest.is_some() && !heard;
    let disk = domain.recorded.disks.first().filter(|_| silent);
    Node {
        name: domain.name.to_string(),
        address: domain.recorded.access.address,
        disk: disk.map(|disk| disk.file(&domain.pool)),
        pools: domain.recorded.disk_pools().map(|own| own.pool.path.to_string()).collect(),
        macs: domain.recorded.interfaces.iter().map(|i| i.mac).collect(),
    }
}

/// Who is not ready, and what is known of that.
pub struct Waiting<'a> {
    /// Name of its domain.
    pub name: &'a str,
    /// What the last login said, if any was tried.
    pub login: Option<&'a str>,
}

/// Why a node that is waited for is not ready: the lowest layer that is at fault. None if nothing was found, or if it
/// cannot be looked at: whoever waits has an error already.
pub fn explain(
    client: &Client,
    host: &dyn Host,
    key: Option<&RecordKey>,
    waiting: &Waiting<'_>,
) -> Option<Finding> {
    let name = waiting.name;
    let found = client.domain(name).ok()??;
    let read = xml::read::domain(&client::domain_xml(&found).ok()??).ok()?;
    let Record::Good(record) = read.record else { return None };
    let seen = observe(client, &record.environment, &record.pool.name, key).ok()?;
    let observed = seen.observed;
    let domain = observed.domains.get(name)?;
    let log = serial_log(&domain.recorded);
    let address = domain.recorded.access.address.filter(|_| !domain.recorded.access.direct);
    let guest = Guest { name: name.into(), address, log: Some(log) };
    let evidence = guests::look(host, &[guest]).ok()?.remove(name)?;
    let mut one = NodeSigns { evidence, ..NodeSigns::default() };
    one.login = waiting.login.map(doctor::login_failed);
    signs(client, domain, &mut one).ok()?;
    let node = node(domain, &one);
    let mut all = BTreeMap::from([(name.to_string(), one)]);
    let networks = networks(&observed, &all);
    let host = doctor::look(host, &domain.pool.path, &networks, &[node], &mut all).ok()?;
    let subject = Subject::Node(name.into());
    core::diagnose(&host, &observed, &all).into_iter().find(|finding| finding.subject == subject)
}
