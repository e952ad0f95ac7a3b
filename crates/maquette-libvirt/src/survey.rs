//! Everything on a hypervisor, whoever it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::blueprint::Node;
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::{HostPool, Origin};

use crate::client::{self, Client, LibvirtError};
use crate::observe::{
    Found, NetworkFound, ObserveError, Written, domain_xmls, network_xmls, undescribed,
};
use crate::xml::read::{self, Record};

/// A node of some environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// Its name in libvirt.
    pub name: String,
    /// Whether it runs.
    pub active: bool,
    /// What is recorded of it, where that can be read.
    pub recorded: Option<Node>,
    /// Memory that it is defined with, in MiB.
    pub memory_mib: u64,
    /// Who made it, and when, where that was noted.
    pub origin: Option<Origin>,
}

/// Environments, and what belongs to none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Environments that have a domain or network.
    pub environments: BTreeSet<EnvName>,
    /// Their nodes, each with its environment.
    pub nodes: Vec<(EnvName, Surveyed)>,
    /// Domains that are not ours, each with whether it runs.
    pub domains: Vec<(String, bool)>,
    /// Networks that are not ours, each with whether it runs.
    pub networks: Vec<(String, bool)>,
    /// Storage pools, whoever made them.
    pub pools: Vec<String>,
    /// What could not be read of objects, such as `libvirt's description of domain x`.
    pub unreadable: Vec<String>,
    /// Names of domains among these.
    pub unread: BTreeSet<String>,
    /// Environments of which an object has a record and is not called as it says, as copies have, and renamed nodes.
    pub copied: BTreeSet<EnvName>,
}

impl Survey {
    /// Whether there is anything of an environment, also under other names, or something that may be its node.
    pub fn may_have(&self, environment: &EnvName) -> bool {
        self.environments.contains(environment)
            || self.copied.contains(environment)
            || self.unread.iter().any(|name| environment.may_call(name))
    }
}

/// Looks at all domains and networks.
pub fn survey(client: &Client) -> Result<Survey, ObserveError> {
    let pools = client::pool_names(client)?;
    Ok(Survey { pools, ..of(domain_xmls(client)?, network_xmls(client)?) })
}

/// Pools of directories, by name. One that goes meanwhile is not there, and those of other kinds are in no directory.
pub fn pools(client: &Client) -> Result<BTreeMap<String, HostPool>, LibvirtError> {
    let found = client::map(&client::all_pools(client)?, |pool| {
        let (name, xml) = (client::pool_name(pool).ok()?, client::pool_xml(pool).ok()?);
        let (active, _) = client::pool_info(pool).ok()?;
        Some((name, HostPool { path: read::pool_path(&xml).ok()?, active }))
    });
    Ok(found.into_iter().flatten().collect())
}

/// Everything that was found. What libvirt refuses to describe is as what cannot be read.
pub(crate) fn of(domains: Vec<Found>, networks: Vec<NetworkFound>) -> Survey {
    let mut survey = Survey::default();
    note_domains(domains, &mut survey);
    note_networks(networks, &mut survey);
    survey
}

fn note_domains(domains: Vec<Found>, survey: &mut Survey) {
    for found in domains {
        let xml = match &found.defined {
            Ok(None) => continue,
            Ok(Some(xml)) => xml.as_str(),
            Err(_) => "",
        };
        let Ok(parsed) = read::domain(xml) else {
            survey.unreadable.push(undescribed(ObjectKind::Domain, &found.name));
            survey.unread.insert(found.name);
            continue;
        };
        let (environment, recorded) = match parsed.record {
            Record::None => (None, None),
            // A copy of a node is somebody's.
            Record::Good(record) if record.of_another().is_some() => {
                survey.copied.insert(record.environment);
                (None, None)
            }
            Record::Copied(environment, _) => {
                survey.copied.insert(environment);
                (None, None)
            }
            Record::Good(record) => (Some(record.environment), Some(record.node)),
            Record::Bad(environment, _) => (environment, None),
        };
        let (name, active) = (found.name, found.listed.active);
        let Some(environment) = environment else {
            survey.domains.push((name, active));
            continue;
        };
        survey.environments.insert(environment.clone());
        let (memory_mib, origin) = (parsed.hardware.memory_mib, parsed.origin);
        let node = Surveyed { name, active, recorded, memory_mib, origin };
        survey.nodes.push((environment, node));
    }
}

fn note_networks(networks: Vec<NetworkFound>, survey: &mut Survey) {
    for (name, active, xml) in networks {
        let xml = match xml {
            Ok(None) => continue,
            Ok(Some(xml)) => xml,
            Err(_) => String::new(),
        };
        let Ok(parsed) = read::network(&xml) else {
            survey.unreadable.push(undescribed(ObjectKind::Network, &name));
            continue;
        };
        let environment = match parsed.record {
            Record::None => None,
            Record::Good(record) if record.of_another().is_some() => {
                survey.copied.insert(record.environment);
                None
            }
            Record::Copied(environment, _) => {
                survey.copied.insert(environment);
                None
            }
            Record::Good(record) => Some(record.environment),
            Record::Bad(environment, _) => environment,
        };
        match environment {
            Some(environment) => {
                survey.environments.insert(environment);
            }
            None => survey.networks.push((name, active)),
        }
    }
}
