//! What is not as Maquette left it, whatever the topology says now.

use super::{devices, in_use, switching};
use crate::object::ObjectKind;
use crate::observed::{Domain, Hardware, Observed, Orphan};

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
        } else if network.defined != crate::observed::Wiring::of(&network.recorded) {
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
