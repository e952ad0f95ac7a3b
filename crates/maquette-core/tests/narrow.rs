//! Runs about some nodes of an environment, on a model of a hypervisor: nothing else is touched.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::BTreeSet;

use maquette_core::observed::Observed;
use maquette_core::plan::{self, Plan};
use maquette_core::values::Secret;
use maquette_testkit::{
    Input, apply, blueprint_of, blueprint_of_nodes, changes, input, plan_of, titles,
};
use proptest::prelude::*;

const SMALL: [&str; 2] =
    ["override.controller.deploy_os=yes", "override.controller.disks.disk1.size=12G"];

fn asked(nodes: &[(&str, u32)], more: &[&str]) -> Input {
    let extra: Vec<&str> = SMALL.iter().chain(more).copied().collect();
    input(nodes, "3_nets", &extra)
}

fn up(seen: &mut Observed, wanted: &Input) -> Plan {
    let plan = plan_of(wanted, seen);
    apply(seen, &plan.steps);
    plan
}

fn built(nodes: &[(&str, u32)]) -> Observed {
    let mut seen = Observed::default();
    up(&mut seen, &asked(nodes, &[]));
    seen
}

fn plan_of_nodes(wanted: &Input, seen: &Observed, names: &[&str]) -> Plan {
    let blueprint = blueprint_of_nodes(wanted, seen, names);
    plan::create(&blueprint, seen, &|_| Secret::new("private"))
}

/// The plan of some nodes, applied.
fn up_only(seen: &mut Observed, wanted: &Input, names: &[&str]) -> Plan {
    let plan = plan_of_nodes(wanted, seen, names);
    apply(seen, &plan.steps);
    let rest = plan_of_nodes(wanted, seen, names);
    assert!(rest.is_empty(), "{}", changes(&rest));
    plan
}

#[test]
fn one_node_is_built_with_its_networks_and_nothing_else() {
    let mut seen = Observed::default();
    let wanted = asked(&[("controller", 2), ("compute", 1)], &[]);
    let plan = up_only(&mut seen, &wanted, &["controller-1"]);
    assert_eq!(seen.domains.keys().collect::<Vec<_>>(), ["controller-1"]);
    assert!(!titles(&plan).iter().any(|t| t.contains("compute") || t.contains("controller-0")));
    // Its address is the one that it has with all others.
    let mut whole = Observed::default();
    up(&mut whole, &wanted);
    assert_eq!(seen.domains["controller-1"].recorded, whole.domains["controller-1"].recorded);
    // The others come later, and it stays as it is.
    let before = seen.domains["controller-1"].clone();
    let plan = up(&mut seen, &wanted);
    assert_eq!(seen.domains["controller-1"], before);
    assert!(
        !titles(&plan).iter().any(|t| t.contains("domain controller-1")),
        "{:?}",
        titles(&plan)
    );
}

#[test]
fn a_run_about_one_node_leaves_all_others_as_they_are() {
    let mut seen = built(&[("controller", 2), ("compute", 2)]);
    // One is off, one is not asked for any more, one was undefined, and one is to be changed.
    let off = seen.domains.get_mut("compute-0").unwrap();
    (off.active, off.live) = (false, None);
    seen.domains.remove("compute-1").unwrap();
    let before = seen.clone();
    let wanted = asked(&[("controller", 1), ("compute", 1)], &["override.controller.memory=4096"]);
    let plan = up_only(&mut seen, &wanted, &["controller-0"]);
    let said = changes(&plan);
    assert!(said.contains("domain controller-0: memory"), "{said}");
    assert!(plan.losses().is_empty(), "{said}");
    for name in ["controller-1", "compute-0"] {
        assert_eq!(seen.domains[name], before.domains[name], "{said}");
    }
    assert_eq!(seen.volumes, before.volumes, "{said}");
    // What was kept for the one that was undefined is kept.
    assert_eq!(seen.orphans(), before.orphans());
    let kept =
        |seen: &Observed| seen.networks.values().map(|n| n.recorded.clone()).collect::<Vec<_>>();
    assert_eq!(kept(&seen), kept(&before));
}

#[test]
fn a_network_that_others_are_on_is_not_made_again_for_one_node() {
    let seen = built(&[("controller", 2)]);
    let wanted = asked(
        &[("controller", 2)],
        &[
            "override.networks.net1.ip_address=172.20.0.1",
            "override.networks.net1.dhcp.range.start=172.20.0.2",
            "override.networks.net1.dhcp.range.end=172.20.0.9",
        ],
    );
    let blueprint = blueprint_of_nodes(&wanted, &seen, &["controller-0"]);
    let entangled = plan::entangled(&blueprint, &seen);
    assert_eq!(entangled.values().collect::<Vec<_>>(), [&["controller-1"]], "{entangled:?}");
    assert!(plan::entangled(&blueprint_of(&wanted, &seen), &seen).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever is there and whatever is asked for.
    #[test]
    fn what_is_not_named_is_never_touched(
        before in (0..3u32, 0..3u32),
        after in (0..3u32, 0..3u32),
        off in prop::collection::vec(any::<bool>(), 4),
        memory in 1..4u32,
        chosen in 0..4usize,
    ) {
        let counts = |(a, b): (u32, u32)| [("controller", a), ("compute", b)];
        let mut seen = built(&counts(before));
        for (domain, off) in seen.domains.values_mut().zip(off) {
            if off {
                (domain.active, domain.live) = (false, None);
            }
        }
        let memory = format!("override.controller.memory={}", memory * 4096);
        let wanted = asked(&counts(after), &[&memory]);
        let all: Vec<String> =
            blueprint_of(&wanted, &seen).nodes.iter().map(|node| node.name.to_string()).collect();
        let Some(name) = all.get(chosen % all.len().max(1)) else { return Ok(()) };
        let (was, plan) = (seen.clone(), plan_of_nodes(&wanted, &seen, &[name]));
        apply(&mut seen, &plan.steps);
        prop_assert!(seen.domains.contains_key(name.as_str()));
        let others = |seen: &Observed| {
            let others = seen.domains.values().filter(|d| d.name != *name);
            others.cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!(others(&was), others(&seen));
        let gone: BTreeSet<_> = was.volumes.values().flatten()
            .filter(|v| !seen.volumes.values().flatten().any(|now| now == *v)).collect();
        prop_assert!(gone.is_empty(), "{:?}", gone);
        prop_assert!(plan_of_nodes(&wanted, &seen, &[name]).is_empty());
    }
}
