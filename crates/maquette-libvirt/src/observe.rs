//! What is there: libvirt's lists and XML to an [`Observed`].

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use maquette_core::names::EnvName;
use maquette_core::observed::{self, Claims, Observed};
use maquette_core::plan::PoolState;
use thiserror::Error;

use crate::client::{self, Client, LibvirtError};
use crate::xml::read;

/// Why the hypervisor's state cannot be read.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// libvirt refused a call.
    #[error("cannot ask libvirt what there is")]
    Call(#[from] LibvirtError),
    /// An object's XML cannot be used.
    #[error("cannot read {kind} `{name}`")]
    Read {
        /// Kind of object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: read::ReadError,
    },
}

/// Reads all that concerns an environment. `pool` is the one it is built in; pools that its domains
/// name are read too.
pub fn observe(
    client: &Client,
    environment: &EnvName,
    pool: &str,
    routes: &[(IpNet, String)],
    interfaces: &[String],
) -> Result<Observed, ObserveError> {
    let mut seen = Observed::default();
    let mut own_bridges = BTreeSet::new();
    domains(client, environment, &mut seen)?;
    networks(client, environment, &mut seen, &mut own_bridges)?;
    claims_of_host(&mut seen.claims, routes, interfaces, &own_bridges);
    let mut pools = BTreeSet::from([pool.to_string()]);
    pools.extend(seen.domains.values().map(|d| d.pool.name.clone()));
    seen.volumes = volumes(client, &pools)?;
    Ok(seen)
}

fn domains(
    client: &Client,
    environment: &EnvName,
    seen: &mut Observed,
) -> Result<(), ObserveError> {
    for (domain, active) in client.domains()? {
        let name = client::domain_name(&domain)?;
        let Some(xml) = client::domain_xml(&domain)? else { continue };
        let parsed = read::domain(&xml).map_err(|source| ObserveError::Read {
            kind: "domain",
            name: name.clone(),
            source,
        })?;
        match parsed.record {
            Some(record) if record.environment == *environment => {
                let domain = observed::Domain {
                    name: name.clone(),
                    recorded: record.node,
                    pool: record.pool,
                    active,
                    ready: parsed.ready,
                    memory_mib: parsed.memory_mib,
                    vcpus: parsed.vcpus,
                };
                seen.domains.insert(name, domain);
            }
            _ => {
                seen.claims.domains.insert(name);
                seen.claims.macs.extend(parsed.macs);
            }
        }
    }
    Ok(())
}

fn networks(
    client: &Client,
    environment: &EnvName,
    seen: &mut Observed,
    own_bridges: &mut BTreeSet<String>,
) -> Result<(), ObserveError> {
    for (network, active) in client.networks()? {
        let name = client::network_name(&network)?;
        let Some(xml) = client::network_xml(&network)? else { continue };
        let parsed = read::network(&xml).map_err(|source| ObserveError::Read {
            kind: "network",
            name: name.clone(),
            source,
        })?;
        match parsed.record {
            Some(record) if record.environment == *environment => {
                own_bridges.extend(parsed.bridge);
                let network = observed::Network {
                    name: name.clone(),
                    recorded: record.network,
                    allocation: record.allocation,
                    active,
                };
                seen.networks.insert(name, network);
            }
            _ => {
                seen.claims.bridges.extend(parsed.bridge);
                let owner = format!("network `{name}`");
                seen.claims.subnets.extend(parsed.subnets.into_iter().map(|n| (n, owner.clone())));
                seen.claims.networks.insert(name);
            }
        }
    }
    Ok(())
}

/// Bridges of our own networks are interfaces of the host with routes, too.
fn claims_of_host(
    claims: &mut Claims,
    routes: &[(IpNet, String)],
    interfaces: &[String],
    own_bridges: &BTreeSet<String>,
) {
    let own = |name: &str| own_bridges.contains(name);
    claims.bridges.extend(interfaces.iter().filter(|i| !own(i)).cloned());
    let foreign = routes.iter().filter(|(_, owner)| {
        let name = owner.strip_prefix("interface ").unwrap_or(owner);
        !own(name)
    });
    for (net, owner) in foreign {
        // A libvirt network that is known by name need not be reported as a bridge again.
        if !claims.subnets.iter().any(|(known, _)| known.trunc() == net.trunc()) {
            claims.subnets.push((*net, owner.clone()));
        }
    }
}

fn volumes(
    client: &Client,
    pools: &BTreeSet<String>,
) -> Result<BTreeMap<String, BTreeSet<String>>, ObserveError> {
    let mut all = BTreeMap::new();
    for name in pools {
        let Some(pool) = client.pool(name)? else { continue };
        let (_, active) = client::pool_xml(&pool)?;
        if active {
            client::refresh_pool(&pool);
            all.insert(name.clone(), client::volume_names(&pool)?.into_iter().collect());
        }
    }
    Ok(all)
}

/// State of a storage pool.
pub fn pool_state(client: &Client, name: &str) -> Result<PoolState, ObserveError> {
    let Some(pool) = client.pool(name)? else { return Ok(PoolState::Missing) };
    let (xml, active) = client::pool_xml(&pool)?;
    let path = read::pool_path(&xml).map_err(|source| ObserveError::Read {
        kind: "pool",
        name: name.into(),
        source,
    })?;
    Ok(if active { PoolState::Active(path) } else { PoolState::Inactive(path) })
}
