//! What a record on the hypervisor is believed, and that a plan names every change.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use maquette_core::blueprint::{Blueprint, Guest};
use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Op, Plan};
use maquette_core::seed::seed_files;
use maquette_core::values::PublicKey;
use maquette_core::values::Secret;
use maquette_testkit::{
    Input, apply, blueprint_of, edit, expand, input, node_volumes, plan_of, titles, topology,
};
use uuid::Uuid;

/// A record has any number there, and checks for overflow see no shift.
#[test]
fn swap_that_no_disk_could_hold_is_no_smaller_swap() {
    let guest = Guest { swap_mib: u64::MAX / 2, ..maquette_testkit::guest() };
    let files = seed_files(&maquette_testkit::node("n-0"), &guest, &Secret::new("key"), None);
    let size = format!("  size: {}\n", u64::MAX);
    assert!(files.iter().any(|file| file.content.reveal().contains(&size)));
}

fn asked(extra: &[&str]) -> Input {
    let small = ["override.controller.deploy_os=yes", "override.controller.disks.disk1.size=12G"];
    let all: Vec<&str> = small.iter().chain(extra).copied().collect();
    input(&[("controller", 2)], "3_nets", &all)
}

fn built() -> Observed {
    let mut seen = Observed::default();
    let plan = plan_of(&asked(&[]), &seen);
    apply(&mut seen, &plan.steps);
    seen
}

/// What another workspace makes of it: other keys, and a generation of its own.
fn with_keys(wanted: &Input, seen: &Observed, generation: u64) -> (Blueprint, Plan) {
    let keys = |name: &str, _: Uuid, generation: Option<u64>| other(name, generation);
    let (mut blueprint, diags) = expand(&topology(wanted, seen), seen);
    assert!(!diags.has_errors());
    for node in &mut blueprint.nodes {
        let (name, uuid) = (node.name.clone(), node.uuid);
        let guest = node.guest.as_mut().unwrap();
        guest.host_key = keys(&name, uuid, guest.generation);
    }
    plan::renew(&mut blueprint, seen, generation, &keys);
    let plan = plan::create(&blueprint, seen, &|_| Secret::new("private"));
    (blueprint, plan)
}

fn other(name: &str, generation: Option<u64>) -> PublicKey {
    let number = generation.unwrap_or_default();
    format!("ssh-ed25519 OTHER{}{number} {name}", name.replace('-', "/")).parse().unwrap()
}

fn of_nodes(plan: &Plan) -> Vec<String> {
    let nodes = plan.changes.iter().filter(|c| c.kind == ObjectKind::Domain);
    nodes.map(|c| format!("{} {}: {}", c.op.as_str(), c.name, c.reason)).collect()
}

/// Once the workspace was lost, nodes were made again with a host key that follows from the new
/// key while the old one stayed recorded and pinned.
#[test]
fn after_the_workspace_is_lost_record_and_derived_host_keys_agree() {
    let mut seen = built();
    let (blueprint, plan) = with_keys(&asked(&[]), &seen, 9);
    assert_eq!(plan.count(Op::Replace), 2, "{:?}", of_nodes(&plan));
    apply(&mut seen, &plan.steps);
    for node in &blueprint.nodes {
        let derived = other(&node.name, Some(9));
        let recorded = seen.domains[&node.name].recorded.guest.as_ref().unwrap();
        assert_eq!(recorded.host_key, derived);
        assert_eq!(recorded.generation, Some(9));
        assert_eq!(node.guest.as_ref(), Some(recorded), "known_hosts is made from the blueprint");
    }
    let (_, again) = with_keys(&asked(&[]), &seen, 10);
    assert!(again.is_empty(), "{:?}", of_nodes(&again));
}

/// A node that was made again had the host key of its predecessor.
#[test]
fn a_node_that_is_made_anew_gets_a_generation_and_the_others_keep_theirs() {
    let seen = built();
    let mut blueprint = blueprint_of(&asked(&["override.controller.swap=1024"]), &seen);
    let one = blueprint.nodes[1].clone();
    blueprint.nodes[1] = seen.domains[&one.name].recorded.clone();
    let keys = |name: &str, _: Uuid, generation: Option<u64>| other(name, generation);
    blueprint.nodes[0].guest.as_mut().unwrap().swap_mib += 512;
    plan::renew(&mut blueprint, &seen, 77, &keys);
    let guest = |i: usize| blueprint.nodes[i].guest.as_ref().unwrap();
    assert_eq!(guest(0).generation, Some(77));
    assert_eq!(guest(0).host_key, other(&blueprint.nodes[0].name, Some(77)));
    assert_eq!(guest(1).generation, Some(1));
}

/// A host key in the metadata was believed whoever wrote it there.
#[test]
fn a_host_key_that_somebody_else_recorded_is_not_believed() {
    let mut seen = built();
    let domain = seen.domains.get_mut("controller-0").unwrap();
    domain.recorded.guest.as_mut().unwrap().host_key = PublicKey::known("ssh-ed25519 EVIL evil");
    let plan = plan_of(&asked(&[]), &seen);
    assert_eq!(
        of_nodes(&plan),
        [
            "replace controller-0: its host key is not the one that this workspace's secret gives it; all data on vda (12 GiB) is lost",
            "keep controller-1: ",
        ]
    );
}

/// A plan named the first change of an object only.
#[test]
fn every_change_of_a_node_is_named() {
    let seen = built();
    let more = [
        "override.controller.memory=9000",
        "override.controller.cpu=3",
        "override.controller.disks.disk1.size=20G",
    ];
    let plan = plan_of(&asked(&more), &seen);
    let change = plan.changes.iter().find(|c| c.name == "controller-0").unwrap();
    let text = change.reason.to_string();
    for word in ["vCPUs: ", "memory: ", "controller-0-disk1.qcow2: 12"] {
        assert!(change.reason.all.iter().any(|r| r.contains(word)), "{word}: {text}");
    }
    assert!(text.ends_with(" (restarts)"), "{text}");
}

/// A definition that somebody had edited was rewritten without a word where something else was done, too.
#[test]
fn what_somebody_edited_in_a_definition_is_named_whatever_else_is_done() {
    let mut seen = built();
    seen.domains.get_mut("controller-0").unwrap().defined.vcpus += 7;
    let edited = seen.domains["controller-0"].defined.vcpus;
    let words = format!("vCPUs were changed to {edited} outside Maquette");
    for more in ["disks.disk1.size=20G", "cpu=3"] {
        let plan = plan_of(&asked(&[&format!("override.controller.{more}")]), &seen);
        let of = |name: &str| plan.changes.iter().find(|c| c.name == name).unwrap();
        let reason = &of("controller-0").reason;
        assert_eq!(reason.all.iter().filter(|r| **r == words).count(), 1, "{more}: {reason}");
        assert!(reason.all.len() > 1, "{more}: {reason}");
        assert!(!of("controller-1").reason.to_string().contains("outside"), "{more}");
    }
}

/// Tokens of an address were in the plan.
#[test]
fn no_secret_of_an_address_is_in_a_plan() {
    let mut wanted = asked(&[]);
    wanted.request.settings.image = Some("https://me:hidden@host/x.qcow2?token=hidden".into());
    let plan = plan_of(&wanted, &Observed::default());
    let fetched =
        plan.steps.iter().any(|s| s.action.title().contains("https://***@host/x.qcow2?***"));
    assert!(fetched);
    for step in &plan.steps {
        assert!(!step.action.title().contains("hidden") && !step.reason.contains("hidden"));
    }
    for change in &plan.changes {
        let shown = format!("{} {}", change.detail, change.reason);
        assert!(!shown.contains("hidden"), "{shown}");
    }
}

/// What there is in an environment, each with its kind.
fn objects(seen: &Observed) -> Vec<(ObjectKind, String)> {
    let networks = seen.networks.keys().map(|n| (ObjectKind::Network, n.to_string()));
    networks.chain(seen.domains.keys().map(|d| (ObjectKind::Domain, d.to_string()))).collect()
}

/// A record that was edited by hand stopped every command of its environment, `down` included.
#[test]
fn what_was_edited_by_hand_is_named_and_mended_wherever_that_is_interrupted() {
    let whole = built();
    for (kind, name) in objects(&whole) {
        let mut edited = whole.clone();
        edit(&mut edited, kind, &name);
        let drifts = plan::drifts(&edited);
        let named = drifts.iter().find(|d| d.kind == kind && d.name == name).expect("it is named");
        assert_eq!(named.what, "its metadata was changed by hand");
        assert!(drifts.iter().all(|d| !d.what.contains("undefined")), "{drifts:?}");
        let plan = plan_of(&asked(&[]), &edited);
        assert!(
            plan.changes.iter().any(|c| c.name == name && c.reason.to_string().contains("by hand"))
        );
        assert!(plan.losses().is_empty(), "{:?}", plan.losses());
        // A node keeps its disks; of a network nothing is kept.
        let undone = plan::undone_edits(&plan, &edited);
        assert_eq!(undone.contains(&name.as_str()), kind == ObjectKind::Network, "{undone:?}");
        for stop in 0..=plan.steps.len() {
            let mut seen = edited.clone();
            apply(&mut seen, &plan.steps[..stop]);
            let rest = plan_of(&asked(&[]), &seen);
            apply(&mut seen, &rest.steps);
            assert!(seen.edited.is_empty());
            assert_eq!(objects(&seen), objects(&whole), "{name}, stopped before {stop}");
            assert_eq!(node_volumes(&seen), node_volumes(&whole));
            let again = plan_of(&asked(&[]), &seen);
            assert!(again.is_empty(), "{:?}", again.changes);
        }
    }
}

/// The plug of a guest was pulled that only its record was changed of; what it had not written yet was lost unasked.
#[test]
fn a_guest_whose_record_was_edited_shuts_down_before_its_domain_is_defined_anew() {
    let mut seen = built();
    edit(&mut seen, ObjectKind::Domain, "controller-1");
    let stops = |plan: &Plan| {
        let all = titles(plan).into_iter();
        all.filter(|t| t.starts_with("stop ") || t.starts_with("power off ")).collect::<Vec<_>>()
    };
    assert_eq!(stops(&plan_of(&asked(&[]), &seen)), ["stop domain controller-1"]);
    // Of one that goes nothing is kept.
    let gone = plan::destroy(&seen, &maquette_core::names::EnvName::default());
    assert!(stops(&gone).contains(&"power off domain controller-1".to_string()), "{gone:?}");
}

#[test]
fn what_was_edited_by_hand_goes_with_its_environment_and_what_nobody_recorded_is_named() {
    let whole = built();
    let environment = maquette_core::names::EnvName::default();
    for (kind, name) in objects(&whole) {
        let mut edited = whole.clone();
        edit(&mut edited, kind, &name);
        let plan = plan::destroy(&edited, &environment);
        for stop in 0..=plan.steps.len() {
            let mut seen = edited.clone();
            apply(&mut seen, &plan.steps[..stop]);
            let rest = plan::destroy(&seen, &environment);
            apply(&mut seen, &rest.steps);
            assert_eq!((objects(&seen), seen.edited.len()), (Vec::new(), 0), "{name}");
            assert!(node_volumes(&seen).is_empty(), "{name}, stopped before {stop}");
        }
    }
    // Only some nodes.
    let mut edited = whole.clone();
    edit(&mut edited, ObjectKind::Domain, "controller-1");
    let names = std::collections::BTreeSet::from(["controller-1".to_string()]);
    let plan = plan::remove_nodes(&edited, &environment, &names);
    apply(&mut edited, &plan.steps);
    assert!(edited.edited.is_empty() && edited.domains.len() == 1);
    assert!(node_volumes(&edited).iter().all(|v| v.starts_with("controller-0")));
    // Nothing tells whose the disks are any more.
    let mut seen = whole.clone();
    objects(&whole).iter().for_each(|(kind, name)| edit(&mut seen, *kind, name));
    let plan = plan::destroy(&seen, &environment);
    let domain = plan.changes.iter().find(|c| c.name == "controller-0").unwrap();
    assert!(domain.detail.starts_with("leaves /"), "{}", domain.detail);
    assert!(domain.detail.contains("controller-0-disk1.qcow2"), "{}", domain.detail);
    apply(&mut seen, &plan.steps);
    assert!(seen.edited.is_empty() && !node_volumes(&seen).is_empty());
    // They are still its nodes' own where these are made again.
    let mut seen = whole.clone();
    objects(&whole).iter().for_each(|(kind, name)| edit(&mut seen, *kind, name));
    let plan = plan_of(&asked(&[]), &seen);
    apply(&mut seen, &plan.steps);
    assert!(plan_of(&asked(&[]), &seen).is_empty());
    assert_eq!(node_volumes(&seen), node_volumes(&whole));
}
