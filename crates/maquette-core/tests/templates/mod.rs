//! What tests of templates share.

#![allow(clippy::unwrap_used, dead_code, reason = "a test that panics fails; not each uses all")]

use maquette_core::blueprint::{self, Blueprint};
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Action, Plan};
use maquette_core::settings::StartChoice;
use maquette_core::values::Secret;
use maquette_testkit::{blueprint_of, input};

pub const WEB: &str = "web=name: web\ncpu: 1\nmemory: 768\ndisks: {disk1: {import_url: x, size: 4G}}\n\
    external_network: management\ninterfaces:\n  nic1: {network: management}\n";
pub const DB: &str = "db=name: db\ncpu: 2\nmemory: 768\ndisks: {disk1: {import_url: x, size: 4G}}\n\
    external_network: management\ninterfaces:\n  nic1: {network: management}\n";

/// A blueprint whose nodes may start from templates.
pub fn warm(nodes: &[(&str, u32)], observed: &Observed, start: StartChoice) -> Blueprint {
    let mut blueprint = blueprint_of(&input(nodes, "3_nets", &[]), observed);
    blueprint.start = start;
    for node in &blueprint.nodes {
        let template = blueprint::template(node, None, &blueprint.pool, &|_| true, "QEMU 1");
        blueprint.templates.insert(node.name.clone(), template);
    }
    blueprint
}

pub fn plan(blueprint: &Blueprint, observed: &Observed) -> Plan {
    plan::create(blueprint, observed, &|_| Secret::new("private"))
}

/// What a plan does of templates: made, started from, booted.
pub fn counts(plan: &Plan) -> [usize; 3] {
    let count = |is: fn(&Action) -> bool| plan.steps.iter().filter(|s| is(&s.action)).count();
    [
        count(|a| matches!(a, Action::MakeTemplate { .. })),
        count(|a| matches!(a, Action::RestoreDomain { .. })),
        count(|a| matches!(a, Action::StartDomain { ready: Some(_), .. })),
    ]
}
