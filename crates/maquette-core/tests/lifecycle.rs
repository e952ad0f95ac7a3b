//! Changing, growing, shrinking and mending an environment, on a model of a hypervisor.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use std::collections::BTreeSet;

use maquette_core::diagnostic::Diagnostics;
use maquette_core::expand;
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Op, Plan};
use maquette_testkit::small::{TWO_DISKS, asked, built, extended};
use maquette_testkit::{
    Input, apply, blueprint_of, changes, expand, input, node_volumes, plan_of, titles, topology, up,
};
use proptest::prelude::*;

fn remove(seen: &mut Observed, names: &[&str]) -> Plan {
    let names: BTreeSet<String> = names.iter().map(|n| (*n).to_string()).collect();
    let plan = plan::remove_nodes(seen, &EnvName::default(), &names);
    apply(seen, &plan.steps);
    let again = plan::remove_nodes(seen, &EnvName::default(), &names);
    assert!(again.is_empty(), "{}", changes(&again));
    plan
}

fn names(seen: &Observed) -> Vec<&str> {
    seen.domains.keys().map(|name| name.as_str()).collect()
}

/// Killed while a seed is uploaded: only `up` can send it again, so nothing else starts the node.
#[test]
fn a_node_whose_seed_may_be_half_there_is_started_by_up_alone() {
    use maquette_core::plan::{Power, Shutdown};
    let mut seen = built(&[("controller", 2)], &[]);
    let all: BTreeSet<String> = names(&seen).into_iter().map(String::from).collect();
    for domain in seen.domains.values_mut() {
        domain.active = false;
    }
    let mut torn = seen.clone();
    torn.domains.get_mut("controller-1").unwrap().ready = false;
    for (what, starts) in [
        (Power::Start, true),
        (Power::Restart(Shutdown::within(60)), true),
        (Power::Stop(Shutdown::within(60)), false),
        (Power::Pause, false),
    ] {
        assert!(plan::unproven(&seen, &all, what).is_empty(), "{what:?}");
        let found = plan::unproven(&torn, &all, what);
        assert_eq!(found, if starts { vec!["controller-1"] } else { vec![] }, "{what:?}");
        assert!(plan::unproven(&torn, &["controller-0".into()].into(), what).is_empty());
    }
    up(&mut torn, &asked(&[("controller", 2)], &[]));
    assert!(plan::unproven(&torn, &all, Power::Restart(Shutdown::PullPlug)).is_empty());
}

#[test]
fn less_memory_and_more_room_come_while_it_runs() {
    let mut seen = built(&[("controller", 1)], &[]);
    let more = ["override.controller.memory=4096", "override.controller.disks.disk1.size=20G"];
    let plan = up(&mut seen, &asked(&[("controller", 1)], &more));
    assert!(plan.losses().is_empty());
    assert_eq!(
        changes(&plan),
        "update domain controller-0: memory: 32768 MiB → 4096 MiB; vda: 12 GiB → 20 GiB (while it runs)"
    );
    assert_eq!(
        titles(&plan),
        [
            "change controller-0: memory 4 GiB",
            "change controller-0: vda 20 GiB",
            "define domain controller-0",
        ]
    );
    // Within the maximum it started with, it can have it back.
    let plan = up(&mut seen, &asked(&[("controller", 1)], &more[1..]));
    assert!(changes(&plan).contains("4096 MiB → 32768 MiB (while it runs)"), "{}", changes(&plan));
}

#[test]
fn a_disk_comes_and_goes_while_it_runs() {
    let mut seen = built(&[("controller", 1)], &[]);
    let two = asked(&[("controller", 1)], &[TWO_DISKS]);
    let plan = up(&mut seen, &two);
    // Networks note the volume, too.
    let order = |plan: &Plan| -> Vec<String> {
        titles(plan).into_iter().filter(|t| !t.starts_with("update")).collect()
    };
    assert_eq!(
        order(&plan),
        [
            "define domain controller-0",
            "create volume controller-0-disk2.qcow2",
            "change controller-0: plug in disk vdb",
        ]
    );
    let plan = up(&mut seen, &asked(&[("controller", 1)], &[]));
    assert_eq!(plan.losses(), [(ObjectKind::Volume, "controller-0-disk2.qcow2")]);
    assert_eq!(
        order(&plan),
        [
            "change controller-0: unplug disk vdb",
            "delete volume controller-0-disk2.qcow2",
            "define domain controller-0",
        ]
    );
    assert!(!node_volumes(&seen).contains("controller-0-disk2.qcow2"));
}

/// It went on beside that, and a guest that started from a template looked for a disk that was not there yet.
#[test]
fn a_paused_node_has_what_is_plugged_in_before_it_goes_on() {
    for ready in [true, false] {
        let wanted = asked(&[("controller", 1)], &[TWO_DISKS]);
        let mut seen = built(&[("controller", 1)], &[]);
        up(&mut seen, &wanted);
        let domain = seen.domains.get_mut("controller-0").unwrap();
        (domain.paused, domain.ready) = (true, ready);
        domain.live.as_mut().unwrap().disks.retain(|disk| disk.device != "vdb");
        let plan = plan_of(&wanted, &seen);
        let find =
            |part: &str| plan.steps.iter().find(|s| s.action.title().contains(part)).unwrap();
        let plugged = find("plug in disk vdb");
        let goes_on = find(if ready { "resume" } else { "wait for" });
        assert!(goes_on.after.contains(&plugged.id), "{:?}", titles(&plan));
    }
}

/// Node types are lists of interfaces; an override replaces the list.
fn with_interfaces(networks: &[&str]) -> Input {
    let list: String = networks.iter().map(|n| format!("  - {{network: {n}}}\n")).collect();
    let file = format!(
        "web=name: web\nprefix:\ncpu: 1\nmemory: 512\nswap: 0\ndeploy_os: yes\ndisks:\n  disk1: \
         {{path: /x, dev: /dev/vda, size: 12G, cache: unsafe, preallocation: metadata}}\ninterfaces:\n{list}\
         external_network: {{network: management}}\ngroups: [web]\n"
    );
    input(&[(file.as_str(), 1)], "3_nets", &[])
}

#[test]
fn an_interface_comes_and_goes_while_it_runs() {
    let mut seen = Observed::default();
    up(&mut seen, &with_interfaces(&["data", "management"]));
    let plan = up(&mut seen, &with_interfaces(&["data", "management", "external"]));
    assert!(plan.losses().is_empty(), "{}", changes(&plan));
    assert!(
        changes(&plan).contains("plug in eth2 (external) (while it runs)"),
        "{}",
        changes(&plan)
    );
    let plan = up(&mut seen, &with_interfaces(&["data", "management"]));
    assert!(
        titles(&plan).iter().any(|t| t.contains("unplug eth2 (external)")),
        "{:?}",
        titles(&plan)
    );
    // The guest was set up for the one in the middle.
    let plan = plan_of(&with_interfaces(&["management"]), &seen);
    assert_eq!(plan.losses(), [(ObjectKind::Domain, "web-0")]);
}

#[test]
fn everything_that_somebody_did_is_named_and_mended() {
    let wanted = asked(&[("controller", 2), ("ironic", 1)], &[]);
    let whole = built(&[("controller", 2), ("ironic", 1)], &[]);
    let drift = |damage: &dyn Fn(&mut Observed)| {
        let mut seen = whole.clone();
        damage(&mut seen);
        let plan = plan_of(&wanted, &seen);
        apply(&mut seen, &plan.steps);
        assert!(plan_of(&wanted, &seen).is_empty());
        assert_eq!(seen.volumes, whole.volumes);
        assert_eq!(names(&seen), names(&whole));
        let lost = if plan.losses().is_empty() { "" } else { " LOSS" };
        format!("{}{lost}", changes(&plan))
    };
    let stop = |seen: &mut Observed| {
        let domain = seen.domains.get_mut("controller-0").unwrap();
        (domain.active, domain.live) = (false, None);
    };
    insta::assert_snapshot!(
        [
            drift(&stop),
            drift(&|seen| seen.domains.get_mut("controller-0").unwrap().paused = true),
            drift(&|seen| seen.domains.get_mut("ironic-0").unwrap().persistent = false),
            drift(&|seen| {
                seen.domains.remove("controller-1");
            }),
            drift(&|seen| seen.domains.get_mut("controller-0").unwrap().defined.vcpus = 7),
            drift(&|seen| {
                seen.domains.get_mut("controller-0").unwrap().live.as_mut().unwrap().nics.pop();
            }),
            drift(&|seen| {
                seen.domains.get_mut("controller-0").unwrap().live.as_mut().unwrap().nics.remove(0);
            }),
            drift(&|seen| {
                seen.volumes.values_mut().for_each(|v| {
                    v.remove("controller-0-disk1.qcow2");
                });
            }),
            drift(&|seen| {
                stop(seen);
                seen.volumes.values_mut().for_each(|v| {
                    v.remove("controller-0-disk1.qcow2");
                });
            }),
            drift(&|seen| seen.networks.get_mut("data").unwrap().active = false),
            drift(&|seen| {
                seen.networks.get_mut("external").unwrap().defined.hosts.pop_first();
            }),
        ]
        .join("\n\n")
    );
}

#[test]
fn a_node_on_an_external_snapshot_is_left_alone() {
    let mut seen = built(&[("controller", 1)], &[]);
    let domain = seen.domains.get_mut("controller-0").unwrap();
    let overlay = "/var/lib/libvirt/images/controller-0-disk1.snap1";
    for hardware in std::iter::once(&mut domain.defined).chain(&mut domain.live) {
        let system = hardware.disks.iter_mut().find(|disk| disk.device == "vda");
        system.unwrap().file = overlay.into();
    }
    // Not even what could be changed while it runs is.
    let more = ["override.controller.memory=4096", TWO_DISKS];
    let plan = plan_of(&asked(&[("controller", 1)], &more), &seen);
    let about = |plan: &Plan| titles(plan).into_iter().any(|t| t.contains("controller-0"));
    assert!(!about(&plan), "{:?}", titles(&plan));
    let change = plan.changes.iter().find(|c| c.name == "controller-0").unwrap();
    assert_eq!(change.op, Op::Keep);
    assert_eq!(
        change.reason.to_string(),
        format!("left alone: vda is on {overlay}, which is not Maquette's")
    );
    let domain = seen.domains.get_mut("controller-0").unwrap();
    (domain.active, domain.live) = (false, None);
    let plan = plan_of(&asked(&[("controller", 1)], &[]), &seen);
    assert_eq!(titles(&plan), ["boot domain controller-0"]);
}

#[test]
fn an_undefined_network_is_made_again_under_its_nodes() {
    let wanted = asked(&[("controller", 1)], &[]);
    let mut seen = built(&[("controller", 1)], &[]);
    seen.networks.remove("data");
    let plan = up(&mut seen, &wanted);
    assert!(titles(&plan).contains(&"reconnect nodes to network data".to_string()));
}

#[test]
fn volumes_of_an_undefined_node_go_with_the_environment() {
    let mut seen = built(&[("controller", 2)], &[]);
    seen.domains.remove("controller-1");
    let plan = plan::destroy(&seen, &EnvName::default());
    apply(&mut seen, &plan.steps);
    assert!(node_volumes(&seen).is_empty(), "{:?}", node_volumes(&seen));
    assert!(seen.networks.is_empty());
}

#[test]
fn what_has_the_name_of_an_undefined_node_and_is_not_ours_is_in_the_way() {
    let wanted = asked(&[("controller", 1)], &[]);
    let mut seen = Observed::default();
    seen.volumes.entry("images".into()).or_default().insert("controller-0-disk1.qcow2".into());
    let topology = topology(&wanted, &seen);
    let (blueprint, mut diags) = expand(&topology, &seen);
    expand::conflicts(&topology, &blueprint, &seen, &mut diags);
    assert!(diags.iter().any(|d| d.message.contains("volume `controller-0-disk1.qcow2` exists")));
}

#[test]
fn names_of_bridges_fit_whatever_the_prefix() {
    let mut wanted = asked(&[("controller", 1)], &[]);
    wanted.request.settings.environment = EnvName::from_prefix("a-rather-long-prefix").unwrap();
    let blueprint = blueprint_of(&wanted, &Observed::default());
    let bridges: BTreeSet<&str> = blueprint.networks.iter().map(|n| n.bridge.as_str()).collect();
    assert_eq!(bridges.len(), 3);
    assert!(bridges.iter().all(|b| b.len() <= 15), "{bridges:?}");
    assert_eq!(blueprint.networks[0].name, "a-rather-long-prefix-data");
}

#[test]
fn a_hole_stays_a_hole_and_nothing_else_is_touched() {
    let mut seen = built(&[("controller", 4)], &[]);
    let before = seen.clone();
    let plan = remove(&mut seen, &["controller-1"]);
    assert!(titles(&plan).iter().all(|t| !t.contains("controller-0") && !t.contains("-10")));
    assert_eq!(names(&seen), ["controller-0", "controller-2", "controller-3"]);
    assert!(plan_of(&asked(&[("controller", 3)], &[]), &seen).is_empty());
    for (name, domain) in &seen.domains {
        assert_eq!(*domain, before.domains[name]);
    }
    // An extension goes on above; asking for more nodes fills the hole.
    let mut more = seen.clone();
    let wanted = extended(&[("controller", 2)], &[]);
    let plan = plan_of(&wanted, &more);
    apply(&mut more, &plan.steps);
    assert_eq!(names(&more)[3..], ["controller-4", "controller-5"]);
    up(&mut seen, &asked(&[("controller", 4)], &[]));
    assert_eq!(names(&seen), names(&before));
}

/// A node that is removed gives its lease back to nobody: for an hour the server gave no new node its address.
#[test]
fn addresses_that_others_have_leases_of_are_given_out_last() {
    let whole = built(&[("controller", 2)], &[]);
    let nic = |seen: &Observed, node: &str| {
        let all = &seen.domains[node].recorded.interfaces;
        let nic = all.iter().find(|nic| nic.default_route).expect("it has a default route");
        (nic.ipv4.address().expect("it has an address").addr(), nic.mac)
    };
    let (address, mac) = nic(&whole, "controller-1");
    let mut seen = whole;
    remove(&mut seen, &["controller-1"]);
    seen.dhcp_leases.insert(address.into(), mac);
    // Another node gets another one, and the same node its own.
    let mut other = seen.clone();
    up(
        &mut other,
        &input(
            &[("controller", 1), ("compute", 1)],
            "3_nets",
            &[
                "override.controller.deploy_os=yes",
                "override.controller.disks.disk1.size=12G",
                "override.compute.deploy_os=yes",
            ],
        ),
    );
    assert_ne!(nic(&other, "compute-0").0, address);
    let mut same = seen.clone();
    up(&mut same, &asked(&[("controller", 2)], &[]));
    assert_eq!(nic(&same, "controller-1"), (address, mac));
}

#[test]
fn an_extension_leaves_what_is_there_whatever_the_files_say_now() {
    let mut seen = built(&[("controller", 1), ("ironic", 1)], &[]);
    let before = seen.clone();
    let mut wanted = extended(&[("controller", 1)], &["override.controller.memory=2048"]);
    // Not even the networks are looked at.
    wanted.request.network = input(&[], "1_net", &[]).request.network;
    let plan = plan_of(&wanted, &seen);
    insta::assert_snapshot!(changes(&plan), @"
    update network management: reservations: 1 to add
    create domain controller-1: it does not exist
    ");
    apply(&mut seen, &plan.steps);
    assert_eq!(seen.domains["controller-1"].recorded.memory_mib, 2048);
    for (name, domain) in &before.domains {
        assert_eq!(*domain, seen.domains[name]);
    }
}

/// Runs an extension that is stopped before each of its steps, and again: there are as many nodes as were
/// asked for.
fn ends_with(nodes: usize, wanted: &Input, whole: &Observed, plan: &Plan) {
    for stop in 0..plan.steps.len() {
        let mut seen = whole.clone();
        apply(&mut seen, &plan.steps[..stop]);
        let rest = plan_of(wanted, &seen);
        apply(&mut seen, &rest.steps);
        assert_eq!(names(&seen).len(), nodes, "stopped before step {stop}");
    }
}

#[test]
fn an_interrupted_extension_is_finished_by_the_same_command() {
    let whole = built(&[("controller", 2)], &[]);
    let wanted = extended(&[("controller", 2)], &[]);
    let plan = plan_of(&wanted, &whole);
    ends_with(4, &wanted, &whole, &plan);
}

#[test]
fn an_interrupted_extension_of_several_types_ends_with_as_many_as_were_asked_for() {
    let whole = built(&[("controller", 1), ("compute", 1)], &[]);
    let wanted = extended(&[("controller", 1), ("compute", 2)], &[]);
    let plan = plan_of(&wanted, &whole);
    for stop in 0..plan.steps.len() {
        let mut seen = whole.clone();
        apply(&mut seen, &plan.steps[..stop]);
        let rest = plan_of(&wanted, &seen);
        apply(&mut seen, &rest.steps);
        let there = ["compute-0", "compute-1", "compute-2", "controller-0", "controller-1"];
        assert_eq!(names(&seen), there, "stopped before step {stop}");
        // Once it is through, a build with the same nodes finds nothing to do.
        let all = asked(&[("controller", 2), ("compute", 3)], &[]);
        assert!(plan_of(&all, &seen).is_empty(), "stopped before step {stop}");
    }
}

#[test]
fn an_old_node_that_never_came_up_keeps_nobody_from_extending() {
    let mut seen = built(&[("controller", 2)], &[]);
    seen.domains.get_mut("controller-0").expect("it exists").ready = false;
    let plan = plan_of(&extended(&[("controller", 1)], &[]), &seen);
    apply(&mut seen, &plan.steps);
    assert_eq!(names(&seen), ["controller-0", "controller-1", "controller-2"]);
}

/// Anybody on a shared hypervisor can define a domain with a record that has any number.
#[test]
fn no_number_in_a_record_ends_an_extension_in_a_panic() {
    let whole = built(&[("controller", 2)], &[]);
    for highest in [u32::MAX, u32::MAX - 4, expand::MOST_INDEX, expand::MOST_INDEX - 4] {
        let mut seen = whole.clone();
        seen.domains.get_mut("controller-1").expect("it exists").recorded.index = highest;
        let context = blueprint_of(&extended(&[("controller", 10)], &[]), &seen);
        let numbers: BTreeSet<u32> = context.nodes.iter().map(|node| node.index).collect();
        let new = numbers.iter().filter(|index| **index != 0 && **index != highest);
        assert!(
            new.clone().count() >= 10 && new.clone().all(|n| *n <= expand::MOST_INDEX),
            "{numbers:?}"
        );
    }
}

#[test]
fn an_interrupted_extension_by_nodes_without_a_system_ends_with_as_many_as_were_asked_for() {
    let off = ["override.ironic.deploy_os=no"];
    let mut whole = built(&[("ironic", 2)], &off);
    // Switched off on purpose, which an extension leaves so.
    whole.domains.get_mut("ironic-0").expect("it exists").active = false;
    let wanted = extended(&[("ironic", 2)], &off);
    let plan = plan_of(&wanted, &whole);
    ends_with(4, &wanted, &whole, &plan);
    // Killed within a step, after a node was started and before that was noted.
    let mut cut = whole.clone();
    apply(&mut cut, &plan.steps);
    cut.domains.get_mut("ironic-3").expect("it exists").ready = false;
    let rest = plan_of(&wanted, &cut);
    apply(&mut cut, &rest.steps);
    assert_eq!(names(&cut).len(), 4);
    // Once it is through, the same command is another extension.
    apply(&mut whole, &plan.steps);
    let more = plan_of(&wanted, &whole);
    apply(&mut whole, &more.steps);
    assert_eq!(names(&whole).len(), 6);
}

#[test]
fn an_extension_needs_networks_that_are_there() {
    let seen = built(&[("controller", 1)], &[]);
    let file = "web=name: web\nprefix:\ncpu: 1\nmemory: 512\nswap: 0\ndeploy_os: no\ndisks:\n  disk1: \
         {path: /x, dev: /dev/vda, size: 12G, cache: unsafe, preallocation: metadata}\ninterfaces:\n  \
         - {network: storage}\ngroups: [web]\n";
    let wanted = extended(&[(file, 1)], &[]);
    let mut diags = Diagnostics::default();
    expand::choose(&wanted.request, &seen, &mut diags);
    let messages: Vec<&str> = diags.iter().map(|d| d.message.as_str()).collect();
    assert!(messages.contains(&"the environment has no network `storage`"), "{messages:?}");
}

/// One thing a user may do to an environment.
#[derive(Debug, Clone)]
enum Deed {
    Count(u32, u32),
    Extend(u32),
    Remove(usize),
    Memory(u64),
    /// In the environment's pool, or in a directory of its own.
    SecondDisk(Option<&'static str>),
    /// Somebody undefines a domain that is off.
    Undefine(usize),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        (0u32..4, 0u32..3).prop_map(|(a, b)| Deed::Count(a, b)),
        (1u32..3).prop_map(Deed::Extend),
        (0usize..6).prop_map(Deed::Remove),
        prop_oneof![Just(4096u64), Just(8192), Just(40960)].prop_map(Deed::Memory),
        prop::sample::select(vec![None, Some(""), Some("/srv/a"), Some("/srv/b")])
            .prop_map(Deed::SecondDisk),
        (0usize..6).prop_map(Deed::Undefine),
    ];
    proptest::collection::vec(deed, 10)
}

/// What is compared with a fresh build: everything but addresses, which removed nodes may have freed in
/// another order.
fn shape(seen: &Observed) -> Vec<String> {
    let domains = seen.domains.values().map(|d| {
        let devices = d.defined.disks.iter().map(|x| format!("{}={}", x.device, x.file));
        let nics = d.defined.nics.iter().map(|n| n.network.clone());
        let all: Vec<String> = devices.chain(nics).collect();
        format!("{} {} MiB {} {}", d.name, d.defined.memory_mib, d.defined.vcpus, all.join(" "))
    });
    let networks = seen.networks.values().map(|n| {
        let tenants: Vec<&str> = n.recorded.tenants.iter().map(|t| t.node.as_str()).collect();
        let reserved = n.recorded.reservations.len();
        format!("{} {reserved} {} {tenants:?}", n.name, n.defined.hosts.len())
    });
    let pools = seen.pools.values().map(|pool| pool.path.clone());
    domains.chain(networks).chain(node_volumes(seen)).chain(pools).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn ten_rounds_of_anything_end_where_a_fresh_build_ends(deeds in deeds()) {
        let (mut counts, mut memory, mut second) = ((2u32, 1u32), 32768u64, None::<&str>);
        let wanted = |counts: (u32, u32), memory: u64, second: Option<&str>, extend: bool| {
            let memory = format!("override.controller.memory={memory}");
            let path = format!("override.controller.disks.disk2.path={}", second.unwrap_or_default());
            let mut more = vec![memory.as_str()];
            if second.is_some() {
                more.extend([TWO_DISKS, path.as_str()]);
            }
            let mut wanted = asked(&[("controller", counts.0), ("ironic", counts.1)], &more);
            wanted.request.settings.extend = extend;
            wanted
        };
        let mut seen = Observed::default();
        up(&mut seen, &wanted(counts, memory, second, false));
        for deed in deeds {
            let size = |seen: &Observed, role: &str| {
                seen.domains.values().filter(|d| d.recorded.role == role).count() as u32
            };
            match deed {
                Deed::Count(a, b) => counts = (a, b),
                Deed::Extend(n) => {
                    let plan = plan_of(&wanted((n, 0), memory, second, true), &seen);
                    apply(&mut seen, &plan.steps);
                }
                Deed::Remove(n) => {
                    let name = seen.domains.keys().nth(n).cloned();
                    if let Some(name) = name {
                        remove(&mut seen, &[&name]);
                    }
                }
                Deed::Memory(mib) => memory = mib,
                Deed::SecondDisk(path) => second = path,
                Deed::Undefine(n) => {
                    let name = seen.domains.keys().nth(n).cloned();
                    if let Some(name) = name {
                        seen.domains.remove(&name);
                    }
                }
            }
            if matches!(deed, Deed::Extend(_) | Deed::Remove(_)) {
                counts = (size(&seen, "controller"), size(&seen, "ironic"));
            }
            if seen.domains.is_empty() && counts == (0, 0) {
                continue;
            }
            up(&mut seen, &wanted(counts, memory, second, false));
        }
        // The same nodes from nothing: as many as the highest number says, less the gaps.
        let mut fresh = Observed::default();
        let highest = |role: &str| {
            let own = seen.domains.values().filter(|d| d.recorded.role == role);
            own.map(|d| d.recorded.index + 1).max().unwrap_or(0)
        };
        let all = (highest("controller"), highest("ironic"));
        up(&mut fresh, &wanted(all, memory, second, false));
        let gaps = fresh.domains.keys().filter(|n| !seen.domains.contains_key(*n));
        let gaps: Vec<String> = gaps.map(ToString::to_string).collect();
        remove(&mut fresh, &gaps.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(shape(&seen), shape(&fresh));
    }
}
