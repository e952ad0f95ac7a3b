//! What is not as Maquette left it, whatever the topology says now.

use super::{Action, Change, Op, Plan, Step, compare, devices, in_use, switching};
use crate::object::ObjectKind;
use crate::observed::{Domain, Hardware, Network, Observed, Orphan, Wiring};

/// Something that somebody changed, stopped or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// A domain or a network.
    pub kind: ObjectKind,
    /// The object's libvirt name.
    pub name: String,
    /// What is the matter with it.
    pub what: String,
}

/// Everything that drifted; `up` repairs it.
pub fn drifts(observed: &Observed) -> Vec<Drift> {
    let mut drifts = Vec::new();
    for domain in observed.domains.values() {
        let found = of_domain(domain, observed);
        drifts.extend(found.map(|what| Drift {
            kind: ObjectKind::Domain,
            name: domain.name.to_string(),
            what,
        }));
    }
    for edited in &observed.edited {
        let (kind, name, what) = (edited.kind, edited.name.clone(), edited.why.clone());
        drifts.push(Drift { kind, name, what });
    }
    let undefined = |o: &Orphan| observed.edited(ObjectKind::Domain, &o.node).is_none();
    for orphan in observed.orphans().into_values().filter(undefined) {
        let what = "it was undefined outside Maquette; its disks are there".into();
        drifts.push(Drift { kind: ObjectKind::Domain, name: orphan.node.into(), what });
    }
    drifts.extend(in_use::of_undefined(observed).map(|(name, what)| Drift {
        kind: ObjectKind::Domain,
        name,
        what,
    }));
    for network in observed.networks.values() {
        let name = network.name.to_string();
        if !network.active {
            drifts.push(Drift {
                kind: ObjectKind::Network,
                name,
                what: "it is not running".into(),
            });
        } else if network.defined != Wiring::of(&network.recorded) {
            let what = "its definition was changed outside Maquette".into();
            drifts.push(Drift { kind: ObjectKind::Network, name, what });
        } else if let Some(what) = switching::missing(&network.recorded, observed) {
            drifts.push(Drift { kind: ObjectKind::Network, name, what });
        } else if switching::unguarded(&network.recorded, observed) {
            drifts.push(Drift {
                kind: ObjectKind::Network,
                name,
                what: "its DHCP guard is gone".into(),
            });
        }
    }
    drifts
}

/// Networks that a plan removes, makes again or defines again, so that something goes which somebody edited in them outside
/// Maquette, in the plan's order. Nobody else has what was edited, so that it wants a confirmation.
pub fn undone_edits<'a>(plan: &'a Plan, observed: &Observed) -> Vec<&'a str> {
    let goes = |change: &&Change| undone(change, &plan.steps, observed).is_some();
    plan.changes.iter().filter(goes).map(|change| change.name.as_str()).collect()
}

/// Has a plan say of such networks what becomes of that.
pub(super) fn tell_undone_edits(plan: &mut Plan, observed: &Observed) {
    let Plan { changes, steps } = plan;
    for change in changes {
        let Some(parts) = undone(change, steps, observed) else { continue };
        let which =
            if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
        change.reason.all.push(format!("what was edited in it is lost{which}"));
    }
}

/// What a change of a network takes away of what somebody edited in it: names of parts of its definition that Maquette does
/// not write, which may be none beside others. None if nothing goes.
fn undone(change: &Change, steps: &[Step], observed: &Observed) -> Option<Vec<String>> {
    if change.kind != ObjectKind::Network {
        return None;
    }
    let network = observed.networks.get(change.name.as_str());
    let mut parts: Vec<String> =
        network.into_iter().flat_map(|n| &n.added).map(ToString::to_string).collect();
    let goes = match change.op {
        Op::Replace | Op::Delete => {
            let reserves = network.is_some_and(has_reservations_of_others);
            parts.extend(reserves.then(|| "ip/dhcp/host".to_string()));
            !parts.is_empty() || is_edited_network(&change.name, observed)
        }
        // What changes while it runs is put into its definition, which is written whole.
        Op::Update => !parts.is_empty() && is_defined_again(&change.name, steps),
        Op::Create | Op::Keep => false,
    };
    goes.then_some(parts)
}

/// Whether a network keeps addresses for what its record does not name.
fn has_reservations_of_others(network: &Network) -> bool {
    !network.defined.hosts.is_subset(&Wiring::of(&network.recorded).hosts)
}

fn is_defined_again(name: &str, steps: &[Step]) -> bool {
    steps.iter().any(
        |step| matches!(&step.action, Action::UpdateNetwork { network, .. } if network.name == *name),
    )
}

/// Whether somebody edited a network: its record, which is not believed then, or what libvirt makes of it.
fn is_edited_network(name: &str, observed: &Observed) -> bool {
    let differs = observed.networks.get(name).is_some_and(|network| {
        let expected = Wiring::of(&network.recorded);
        !compare::outside(&network.defined, &expected).is_empty()
    });
    differs || observed.edited(ObjectKind::Network, name).is_some()
}

fn of_domain(domain: &Domain, observed: &Observed) -> impl Iterator<Item = String> {
    let expected = Hardware::of(&domain.recorded, &domain.pool);
    let edited = devices::drift(&expected, &domain.defined);
    // Memory is the guest's own business as long as it runs.
    let live = domain.live.as_ref().map(|live| devices::running(domain, &expected, live));
    let live = live.unwrap_or_default().into_iter().filter(|l| !edited.contains(l));
    let deviations: Vec<_> = edited.iter().cloned().chain(live).collect();
    let transient = (!domain.persistent).then(|| "it was undefined outside Maquette".to_string());
    let missing = observed.missing_volumes(&domain.recorded, &domain.pool);
    let missing = (!missing.is_empty()).then(|| format!("{} missing", missing.join(", ")));
    let deviations = deviations.into_iter().map(|deviation| deviation.to_string());
    deviations.chain(transient).chain(missing)
}
