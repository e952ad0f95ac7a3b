//! Starting, stopping and pausing nodes.

use std::collections::BTreeSet;

use super::ready::readiness;
use super::{Action, Builder, Change, Op, Plan, Shutdown, StepId, describe};
use crate::object::ObjectKind;
use crate::observed::{Domain, Observed};

/// What is done to nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Switch on, and let paused ones go on.
    Start,
    /// Shut down.
    Stop(Shutdown),
    /// Shut down, and switch on.
    Restart(Shutdown),
    /// Press the reset button.
    Reset,
    /// Stop all vCPUs.
    Pause,
    /// Let them go on.
    Resume,
}

/// Nodes that would be started from what may be half there, by their libvirt names: `up` makes that again.
pub fn unproven(observed: &Observed, names: &BTreeSet<String>, what: Power) -> Vec<String> {
    let starts = matches!(what, Power::Start | Power::Restart(_));
    let all = observed.domains.values().filter(|d| starts && names.contains(d.name.as_str()));
    all.filter(|d| d.is_unproven()).map(|d| d.name.to_string()).collect()
}

/// Plans it for some nodes, by their libvirt names.
pub fn power(observed: &Observed, names: &BTreeSet<String>, what: Power) -> Plan {
    let mut builder = Builder::default();
    let mut changes = Vec::new();
    let nodes: Vec<&Domain> =
        observed.domains.values().filter(|d| names.contains(d.name.as_str())).collect();
    // A node does not start while one of its networks is off.
    let starts = |d: &&&Domain| match what {
        Power::Start => !d.active,
        Power::Restart(_) => true,
        _ => false,
    };
    let used: BTreeSet<&str> = nodes
        .iter()
        .filter(starts)
        .flat_map(|d| d.defined.nics.iter().map(|n| n.network.as_str()))
        .collect();
    let mut networks = Vec::new();
    for network in observed.networks.values() {
        if network.active || !used.contains(network.name.as_str()) {
            continue;
        }
        let reason = "its nodes need it";
        let (name, autostart) = (network.name.clone(), network.recorded.autostart);
        networks.push(builder.add(Action::StartNetwork { name, autostart }, [], reason));
        changes.push(Change {
            op: Op::Update,
            kind: ObjectKind::Network,
            name: network.name.to_string(),
            detail: describe::network(&network.recorded),
            reason: reason.into(),
        });
    }
    for domain in nodes {
        let reason = one(domain, what, &networks, &mut builder);
        changes.push(Change {
            op: if reason.is_some() { Op::Update } else { Op::Keep },
            kind: ObjectKind::Domain,
            name: domain.name.to_string(),
            detail: state(domain).into(),
            reason: reason.unwrap_or_default().into(),
        });
    }
    Plan { changes, steps: builder.finish() }
}

/// What a domain does now, in libvirt's words.
fn state(domain: &Domain) -> &'static str {
    match (domain.active, domain.paused) {
        (false, _) => "shut off",
        (true, true) => "paused",
        (true, false) => "running",
    }
}

/// Steps of one node, and why; none if there is nothing to do.
fn one(
    domain: &Domain,
    what: Power,
    networks: &[StepId],
    builder: &mut Builder,
) -> Option<&'static str> {
    let name = domain.name.clone();
    let start = |builder: &mut Builder, after: Vec<StepId>| {
        let ready = readiness(&domain.recorded);
        builder.add(Action::StartDomain { name: domain.name.clone(), ready }, after, "start");
    };
    // A guest that is paused hears no request.
    let stop = |shutdown: Shutdown| Action::StopDomain {
        name: domain.name.to_string(),
        shutdown: shutdown.of_guest(!domain.paused),
    };
    match (what, domain.active, domain.paused) {
        (Power::Start, false, _) => {
            start(builder, networks.to_vec());
            Some("start")
        }
        (Power::Start | Power::Resume, true, true) => {
            // One whose first boot was not seen to end may have to hear first who it is.
            let action = match readiness(&domain.recorded).filter(|_| !domain.ready) {
                Some(ready) => Action::AwaitDomain { name, ready },
                None => Action::ResumeDomain { name },
            };
            builder.add(action, [], "resume");
            Some("resume")
        }
        (Power::Stop(shutdown), true, _) => {
            builder.add(stop(shutdown), [], "stop");
            Some("stop")
        }
        (Power::Restart(shutdown), true, _) => {
            let stopped = builder.add(stop(shutdown), [], "restart");
            start(builder, networks.iter().copied().chain([stopped]).collect());
            Some("restart")
        }
        (Power::Restart(_), false, _) => {
            start(builder, networks.to_vec());
            Some("start")
        }
        (Power::Reset, true, _) => {
            builder.add(Action::ResetDomain { name }, [], "reset");
            Some("reset")
        }
        (Power::Pause, true, false) => {
            builder.add(Action::PauseDomain { name }, [], "pause");
            Some("pause")
        }
        _ => None,
    }
}
