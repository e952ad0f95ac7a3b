//! Plans, as tests look at them.

use maquette_core::observed::Observed;
use maquette_core::plan::{Action, Op, Plan};

use crate::{Input, apply, plan_of};

/// Plans an input and applies that to what is there; a panic if the plan after it is not empty.
pub fn up(seen: &mut Observed, wanted: &Input) -> Plan {
    let plan = plan_of(wanted, seen);
    apply(seen, &plan.steps);
    let rest = plan_of(wanted, seen);
    assert!(rest.is_empty(), "{}", changes(&rest));
    plan
}

/// What a plan changes, a line each: `OP KIND NAME: REASON`.
pub fn changes(plan: &Plan) -> String {
    let done = plan.changes.iter().filter(|c| c.op != Op::Keep);
    let lines = done.map(|c| format!("{} {} {}: {}", c.op.as_str(), c.kind, c.name, c.reason));
    lines.collect::<Vec<_>>().join("\n")
}

/// The titles of a plan's steps, in order.
pub fn titles(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|s| s.action.title()).collect()
}

/// Where the images come from that a plan fetches, in order.
pub fn fetched(plan: &Plan) -> Vec<String> {
    let source = |action: &Action| match action {
        Action::FetchImage { image, .. } => Some(image.source.clone()),
        _ => None,
    };
    plan.steps.iter().filter_map(|s| source(&s.action)).collect()
}
