//! What fits on a hypervisor and what does not.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::BTreeMap;

use maquette_core::blueprint::Blueprint;
use maquette_core::capacity::{self, Capacity, Templates};
use maquette_core::diagnostic::{Diagnostics, Severity};
use maquette_core::observed::{Observed, ReservedMemory};
use maquette_core::units::ByteSize;

/// Messages for an environment of two nodes with 1 GiB and 2 vCPUs each.
fn says(blueprint: &Blueprint, observed: &Observed, available: u64, overcommit: bool) -> String {
    let resident = BTreeMap::from([("other".to_string(), 512)]);
    let total_mib = 1 << 20;
    let capacity = Capacity {
        cpus: 2,
        total_mib,
        available_mib: available,
        reserved_mib: 0,
        resident_mib: &resident,
    };
    said(blueprint, observed, &capacity, overcommit)
}

fn said(
    blueprint: &Blueprint,
    observed: &Observed,
    capacity: &Capacity<'_>,
    overcommit: bool,
) -> String {
    let mut diags = Diagnostics::default();
    capacity::check(blueprint, observed, capacity, Templates::default(), overcommit, &mut diags);
    let lines: Vec<String> = diags
        .iter()
        .map(|d| {
            let word = if d.severity == Severity::Error { "error" } else { "warning" };
            format!("{word}: {}", d.message)
        })
        .collect();
    lines.join("\n")
}

const NODE: &str = "n=name: n\ncpu: 2\nmemory: 1024\ndisks: {disk1: {size: 1G}}\n";

fn nodes(count: u32) -> Blueprint {
    built(count, &Observed::default()).0
}

/// A blueprint, and the hypervisor once it is built there.
fn built(count: u32, observed: &Observed) -> (Blueprint, Observed) {
    let input = maquette_testkit::input(&[(NODE, count)], "3_nets", &[]);
    let mut after = observed.clone();
    maquette_testkit::apply(&mut after, &maquette_testkit::plan_of(&input, observed).steps);
    (maquette_testkit::blueprint_of(&input, observed), after)
}

fn promise(memory_mib: u64, active: bool) -> ReservedMemory {
    ReservedMemory { name: "other".into(), memory_mib, vcpus: 2, active }
}

#[test]
fn what_fits_is_let_through_and_what_does_not_is_refused() {
    let (two, nothing) = (nodes(2), Observed::default());
    assert_eq!(says(&two, &nothing, 2048, false), "");
    let tight = [
        says(&two, &nothing, 1800, false),
        says(&two, &nothing, 1000, false),
        says(&two, &nothing, 1000, true),
    ];
    insta::assert_snapshot!(tight.join("\n"));
}

/// Sums wrapped around, and what was far too much was little.
#[test]
fn sums_that_do_not_fit_are_much_and_not_little() {
    let mut two = nodes(2);
    for node in &mut two.nodes {
        node.memory_mib = u64::MAX / 2 + 1;
        node.vcpus = std::num::NonZeroU32::MAX;
    }
    let said = says(&two, &Observed::default(), 4096, false);
    assert!(said.contains("error: not enough memory"), "{said}");
    assert!(said.contains("alone wants 16.0 EiB"), "{said}");
    assert!(said.contains("8589934590 vCPUs would share"), "{said}");
    let mut seen = Observed::default();
    seen.claims.promises = vec![promise(1 << 63, false), promise(1 << 63, false)];
    assert!(says(&nodes(1), &seen, 4096, false).contains("error: not enough memory"));
    // Disks of half of what a number can be, and one byte, for each of two nodes.
    for disk in two.nodes.iter_mut().flat_map(|node| &mut node.disks) {
        disk.size = Some(ByteSize(u64::MAX / 2 + 1));
    }
    let seen = Observed { pool_free: Some(1 << 50), ..Observed::default() };
    let said = says(&two, &seen, 4096, true);
    assert!(said.contains("disks of new nodes may grow to 16.0 EiB"), "{said}");
}

#[test]
fn promises_to_others_count() {
    let two = nodes(2);
    let mut seen = Observed::default();
    // It runs and has touched 512 MiB of its 2 GiB.
    seen.claims.promises = vec![promise(2048, true)];
    assert_eq!(says(&two, &seen, 2048 + 1536, false), "");
    assert!(says(&two, &seen, 2048, false).contains("1.5 GiB promised"));
    // It is off, and may want all of it.
    seen.claims.promises = vec![promise(2048, false)];
    assert!(says(&two, &seen, 2048, false).contains("2 GiB promised"));
}

#[test]
fn growth_counts_only_what_is_added() {
    let (_, seen) = built(2, &Observed::default());
    let (two, _) = built(2, &seen);
    assert_eq!(says(&two, &seen, 0, false), "");
    let (three, _) = built(3, &seen);
    let said = says(&three, &seen, 0, false);
    assert!(said.contains("new nodes need 1 GiB"), "{said}");
}

#[test]
fn space_and_cpus_are_warned_of() {
    let mut seen = Observed { pool_free: Some(1 << 30), ..Observed::default() };
    let said = says(&nodes(6), &seen, 1 << 20, false);
    assert!(said.contains("warning: disks of new nodes may grow to"), "{said}");
    assert!(said.contains("12 vCPUs would share 2 CPUs"), "{said}");
    seen.pool_free = Some(1 << 50);
    assert_eq!(says(&nodes(2), &seen, 1 << 20, false), "");
}

#[test]
fn a_node_larger_than_the_hypervisor_is_refused() {
    let seen = Observed::default();
    let resident = BTreeMap::new();
    let capacity = Capacity {
        cpus: 2,
        total_mib: 1000,
        available_mib: 1000,
        reserved_mib: 0,
        resident_mib: &resident,
    };
    let mut diags = Diagnostics::default();
    capacity::check(&nodes(1), &seen, &capacity, Templates::default(), false, &mut diags);
    let said: Vec<String> = diags.iter().map(|d| d.message.clone()).collect();
    // 24 MiB more than is free would have been let through.
    assert!(said.iter().any(|m| m.contains("`n-0` alone wants 1 GiB")), "{said:?}");
    assert!(diags.has_errors());
    let mut diags = Diagnostics::default();
    capacity::check(&nodes(1), &seen, &capacity, Templates::default(), true, &mut diags);
    assert!(!diags.has_errors());
}

#[test]
fn memory_that_is_reserved_is_not_for_nodes() {
    let resident = BTreeMap::new();
    let capacity = |reserved_mib| Capacity {
        cpus: 2,
        total_mib: 1 << 20,
        available_mib: 4096,
        reserved_mib,
        resident_mib: &resident,
    };
    let (two, nothing) = (nodes(2), Observed::default());
    assert_eq!(said(&two, &nothing, &capacity(2048), false), "");
    let refused = said(&two, &nothing, &capacity(3072), false);
    assert!(refused.starts_with("error: not enough memory"), "{refused}");
    assert!(refused.contains("1 GiB are free") && refused.contains("3 GiB reserved"), "{refused}");
    let everything = said(&two, &nothing, &capacity(u64::MAX), true);
    assert!(everything.starts_with("warning: "), "{everything}");
}

/// Templates that are made beside nodes, and where no node is made.
#[test]
fn templates_count_too() {
    let resident = BTreeMap::new();
    let capacity = Capacity {
        cpus: 2,
        total_mib: 1 << 20,
        available_mib: 2048,
        reserved_mib: 0,
        resident_mib: &resident,
    };
    let seen = Observed { pool_free: Some(3 << 30), ..Observed::default() };
    let none = Blueprint { nodes: Vec::new(), ..nodes(1) };
    let says = |blueprint: &Blueprint, memory_mib, bytes| {
        let mut diags = Diagnostics::default();
        let templates = Templates { memory_mib, bytes };
        capacity::check(blueprint, &seen, &capacity, templates, true, &mut diags);
        diags.iter().map(|d| d.message.clone()).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(says(&nodes(2), 0, 1 << 30), "");
    let memory = says(&nodes(2), 1024, 0);
    assert!(memory.contains("new nodes and templates need 3 GiB"), "{memory}");
    let room = says(&nodes(2), 0, 2 << 30);
    assert!(room.contains("disks of new nodes and templates may grow to 4 GiB"), "{room}");
    assert!(says(&none, 3072, 0).contains("short: templates need 3 GiB"));
}
