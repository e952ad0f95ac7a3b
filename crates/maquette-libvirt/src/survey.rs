//! Everything on a hypervisor, whoever it belongs to.

use std::collections::BTreeSet;

use maquette_core::blueprint::Node;
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::Origin;

use crate::client::Client;
use crate::observe::{Found, NetworkFound, ObserveError, domain_xmls, network_xmls, undescribed};
use crate::xml::read::{self, Record};

/// A node of some environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// libvirt name.
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
    /// Their nodes.
    pub nodes: Vec<(EnvName, Surveyed)>,
    /// Domains that are not ours, each with whether it runs.
    pub domains: Vec<(String, bool)>,
    /// Networks that are not ours, each with whether it runs.
    pub networks: Vec<(String, bool)>,
    /// What could not be read of objects, such as `libvirt's description of domain x`.
    pub unreadable: Vec<String>,
}

/// Looks at all domains and networks.
pub fn survey(client: &Client) -> Result<Survey, ObserveError> {
    Ok(of(domain_xmls(client)?, network_xmls(client)?))
}

/// Everything that was found. What libvirt refuses to describe is as what cannot be read.
pub(crate) fn of(domains: Vec<Found>, networks: Vec<NetworkFound>) -> Survey {
    let mut survey = Survey::default();
    for found in domains {
        let xml = match &found.defined {
            Ok(None) => continue,
            Ok(Some(xml)) => xml.as_str(),
            Err(_) => "",
        };
        let Ok(parsed) = read::domain(xml) else {
            survey.unreadable.push(undescribed(ObjectKind::Domain, &found.name));
            continue;
        };
        let (environment, recorded) = match parsed.record {
            Record::None => (None, None),
            // A copy of a node is somebody's.
            Record::Good(record) if record.node_name() != record.node.name => (None, None),
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
        match owner(parsed.record, |r| r.environment) {
            Some(environment) => {
                survey.environments.insert(environment);
            }
            None => survey.networks.push((name, active)),
        }
    }
    survey
}

fn owner<R>(record: Record<R>, environment: impl Fn(R) -> EnvName) -> Option<EnvName> {
    match record {
        Record::None => None,
        Record::Good(record) => Some(environment(record)),
        Record::Bad(environment, _) => environment,
    }
}
