//! What is asked before something is lost, and what counts as the answer.

use std::collections::BTreeSet;

use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Plan};

use crate::consent::{Consent, Kind};

/// Something that wants to be agreed to.
pub(super) struct Question {
    /// What an answer allows.
    pub kind: Kind,
    /// What is going to be done, in words.
    pub what: String,
    /// What it is about, one by one.
    pub about: Vec<String>,
}

/// What has not been agreed to: that nodes lose their disks, that networks lose what somebody edited in them, that a NIC
/// that nobody named is put into a bridge, and that the environment expires sooner. A question for each, since these are
/// different things.
pub(super) fn questions(
    (plan, observed): (&Plan, &Observed),
    lockout: bool,
    sooner: Option<String>,
    (consent, agreed): (&Consent, &BTreeSet<(Kind, String)>),
) -> Vec<Question> {
    let why = if lockout { ", since this workspace has no key to them" } else { "" };
    let losses = plan.losses();
    let lost = Question {
        kind: Kind::LoseDisks,
        what: format!("remove {}{why}", lost(&losses)),
        // A node that somebody makes again while a question is open is another one.
        about: losses
            .iter()
            .map(|(kind, name)| format!("{kind} {name} {:?}", observed.generation(name)))
            .collect(),
    };
    let edits = undone(&plan::undone_edits(plan, observed), observed);
    let bridged = plan.chosen_nics().into_iter().map(|nic| Question {
        kind: Kind::BridgeDefaultNic,
        what: format!("put {nic}, the NIC of the hypervisor's default route, into a bridge"),
        about: vec![nic.into()],
    });
    let sooner = sooner.map(|what| Question {
        kind: Kind::ExpireSooner,
        // Seconds pass while somebody thinks, and the words are others then.
        about: vec![String::new()],
        what,
    });
    let is_open = |q: &Question| {
        let new = |what: &String| !agreed.contains(&(q.kind, what.clone()));
        q.about.iter().any(new) && !consent.has(q.kind)
    };
    [lost, edits].into_iter().chain(bridged).chain(sooner).filter(is_open).collect()
}

/// Whether networks may lose what somebody edited in them.
fn undone(networks: &[&str], observed: &Observed) -> Question {
    // What somebody edits while a question is open is not what was agreed to.
    let edited = |name: &str| observed.networks.get(name).map(|n| (&n.defined, &n.added));
    let word = if networks.len() == 1 { "network" } else { "networks" };
    Question {
        kind: Kind::UndoEdits,
        what: format!("lose what somebody edited in {word} {}", networks.join(", ")),
        about: networks.iter().map(|name| format!("{name} {:?}", edited(name))).collect(),
    }
}

/// Nodes lose all of their disks; others lose one.
fn lost(losses: &[(ObjectKind, &str)]) -> String {
    let (mut nodes, mut volumes) = (Vec::new(), Vec::new());
    for (kind, name) in losses {
        match kind {
            ObjectKind::Volume => volumes.push(format!("volume {name}")),
            _ => nodes.push(name.to_string()),
        }
    }
    let nodes = (!nodes.is_empty()).then(|| format!("the disks of {}", nodes.join(", ")));
    let volumes = (!volumes.is_empty()).then(|| volumes.join(", "));
    nodes.into_iter().chain(volumes).collect::<Vec<_>>().join(" and ")
}
