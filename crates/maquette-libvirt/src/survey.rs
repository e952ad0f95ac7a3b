//! Everything on a hypervisor, whoever it belongs to.

use std::collections::BTreeSet;

use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;

use crate::client::Client;
use crate::observe::{ObserveError, domain_xmls, network_xmls, undescribed};
use crate::xml::read::{self, Record};

/// Environments, and what belongs to none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Environments that have a domain or network.
    pub environments: BTreeSet<EnvName>,
    /// Domains that are not ours, each with whether it runs.
    pub domains: Vec<(String, bool)>,
    /// Networks that are not ours, each with whether it runs.
    pub networks: Vec<(String, bool)>,
    /// What could not be read of objects, such as `libvirt's description of domain x`.
    pub unreadable: Vec<String>,
}

/// Looks at all domains and networks.
pub fn survey(client: &Client) -> Result<Survey, ObserveError> {
    let mut survey = Survey::default();
    for found in domain_xmls(client)? {
        let Some(xml) = &found.defined else { continue };
        let Ok(parsed) = read::domain(xml) else {
            survey.unreadable.push(undescribed(ObjectKind::Domain, &found.name));
            continue;
        };
        match owner(parsed.record, |r| r.environment) {
            Some(environment) => {
                survey.environments.insert(environment);
            }
            None => survey.domains.push((found.name, found.listed.active)),
        }
    }
    for (name, active, xml) in network_xmls(client)? {
        let Some(xml) = xml else { continue };
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
    Ok(survey)
}

fn owner<R>(record: Record<R>, environment: impl Fn(R) -> EnvName) -> Option<EnvName> {
    match record {
        Record::None => None,
        Record::Good(record) => Some(environment(record)),
        Record::Bad(environment, _) => environment,
    }
}
