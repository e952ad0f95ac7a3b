//! Nodes that run and do not answer: whoever starts or builds waits for them, and has failed as long as they do not.

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::node_state::{Condition, Evidence, NodeState, SshAnswer};
use maquette_core::observed::{Domain, Observed};
use maquette_engine::StepError;

/// What was found out about nodes, by their libvirt names.
type All = BTreeMap<String, Evidence>;

fn of(domain: &Domain, evidence: &All) -> Evidence {
    evidence.get(domain.name.as_str()).cloned().unwrap_or_default()
}

/// Nodes that can be waited for.
pub fn silent(observed: &Observed, evidence: &All) -> BTreeSet<String> {
    let awaited = |d: &&Domain| Condition::is_awaited(d, &of(d, evidence));
    observed.domains.values().filter(awaited).map(|d| d.name.to_string()).collect()
}

/// What is said of nodes that may answer elsewhere by now, which nobody waits for; one line each.
pub fn moved(observed: &Observed, evidence: &All) -> Vec<String> {
    let line = |domain: &Domain| {
        let found = of(domain, evidence);
        let moved = Condition::may_have_moved(domain, &found);
        let why = Condition::of(domain, &found).reason.filter(|_| moved)?;
        let name = &domain.name;
        Some(format!(
            "`{name}` is not waited for: {why}; `maquette console {name}` shows where it is, and after `maquette down \
             {name}` the next `maquette up` makes it again"
        ))
    };
    observed.domains.values().filter_map(line).collect()
}

/// An error if nodes ought to answer and do not, with the reason of each. A first boot that failed was told before.
pub fn failed(observed: &Observed, evidence: &All) -> Option<StepError> {
    let awaited =
        |d: &&Domain| d.failed.is_none() && !Condition::may_have_moved(d, &of(d, evidence));
    let all = observed.domains.values().filter(awaited);
    let dead = |domain: &Domain| {
        let Condition { state, reason } = Condition::of(domain, &of(domain, evidence));
        let dead = matches!(state, NodeState::Unreachable | NodeState::Failed);
        dead.then(|| (domain.name.to_string(), reason.unwrap_or_else(|| state.as_str().into())))
    };
    let dead: Vec<(String, String)> = all.filter_map(dead).collect();
    let mut error = match dead.as_slice() {
        [] => return None,
        [(name, reason)] => {
            let mut error = StepError::new(format!("`{name}` does not answer"));
            error.causes.push(reason.clone());
            error
        }
        several => {
            let mut error = StepError::new(format!("{} nodes do not answer", several.len()));
            error.causes.extend(several.iter().map(|(name, reason)| format!("{name}: {reason}")));
            error
        }
    };
    error.hints.push("`maquette doctor` looks for the cause".into());
    Some(error)
}

/// Why nodes that run do not answer, by their names.
pub fn reasons<'a>(
    domains: impl IntoIterator<Item = &'a Domain>,
    evidence: &All,
) -> BTreeMap<String, String> {
    let silent = |domain: &Domain| {
        let evidence = of(domain, evidence);
        let answers = matches!(evidence.ssh, None | Some(SshAnswer::Greeted | SshAnswer::Unknown));
        let Condition { state, reason } = Condition::of(domain, &evidence);
        let why = reason.filter(|_| !answers)?;
        let why = match state {
            NodeState::Starting | NodeState::Booting => {
                format!("it is still booting, which `maquette up` waits for, and {why}")
            }
            _ => why,
        };
        Some((domain.name.to_string(), why))
    };
    domains.into_iter().filter_map(silent).collect()
}
