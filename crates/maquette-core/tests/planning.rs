//! Blueprint and plan, carried out on a model of a hypervisor.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use std::collections::BTreeSet;

use maquette_core::blueprint::{Blueprint, Pool};
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use maquette_core::plan::{
    self, Action, HostFacts, HypervisorNeeds, LibvirtState, Op, Plan, PoolState,
};
use maquette_core::seed::seed_files;
use maquette_core::values::Secret;
use maquette_core::values::{Login, TimeZone};
use maquette_testkit::{apply, blueprint_of, fetched, input, node_volumes, plan_of};
use proptest::prelude::*;

const SMALL: [&str; 2] =
    ["override.controller.deploy_os=yes", "override.controller.disks.disk1.size=12G"];

fn lines(plan: &Plan) -> String {
    plan.changes
        .iter()
        .map(|c| format!("{} {} {}: {}", c.op.as_str(), c.kind, c.name, c.reason))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A hypervisor on which an input is built.
fn built(nodes: &[(&str, u32)], extra: &[&str]) -> Observed {
    let mut seen = Observed::default();
    let plan = plan_of(&input(nodes, "3_nets", extra), &seen);
    apply(&mut seen, &plan.steps);
    seen
}

#[test]
fn a_new_environment() {
    let plan = plan_of(
        &input(&[("controller", 1), ("ironic", 1)], "3_nets", &SMALL),
        &Observed::default(),
    );
    let steps: Vec<String> = plan
        .steps
        .iter()
        .map(|s| {
            format!(
                "{} {} after {:?} in {}",
                s.id,
                s.action.title(),
                s.after.iter().map(|a| a.index()).collect::<Vec<_>>(),
                s.action.lane().as_str()
            )
        })
        .collect();
    insta::assert_snapshot!(format!("{}\n\n{}", lines(&plan), steps.join("\n")));
}

#[test]
fn a_second_run_has_nothing_to_do() {
    let nodes = [("controller", 2), ("ironic", 1), ("undercloud", 1)];
    let seen = built(&nodes, &SMALL);
    let plan = plan_of(&input(&nodes, "3_nets", &SMALL), &seen);
    assert!(plan.is_empty(), "{}", lines(&plan));
    assert!(plan.changes.iter().all(|c| c.op == Op::Keep));
}

#[test]
fn growing_touches_only_what_is_new() {
    let seen = built(&[("controller", 1)], &SMALL);
    let plan = plan_of(&input(&[("controller", 2)], "3_nets", &SMALL), &seen);
    insta::assert_snapshot!(lines(&plan), @"
    keep image maquette-debian-12.qcow2: 
    update network data: controller-1 joins it
    update network management: reservations: 1 to add
    update network external: reservations: 2 to add
    keep domain controller-0: 
    create domain controller-1: it does not exist
    ");
}

#[test]
fn more_memory_than_the_maximum_restarts_and_keeps_the_disks() {
    let mut seen = built(&[("controller", 1)], &SMALL);
    let extra = [SMALL[0], SMALL[1], "override.controller.memory=40960"];
    let plan = plan_of(&input(&[("controller", 1)], "3_nets", &extra), &seen);
    assert!(
        lines(&plan)
            .contains("update domain controller-0: memory: 32768 MiB → 40960 MiB (restarts)")
    );
    assert!(plan.losses().is_empty());
    let titles: Vec<String> = plan.steps.iter().map(|s| s.action.title()).collect();
    assert_eq!(
        titles,
        ["stop domain controller-0", "define domain controller-0", "boot domain controller-0"]
    );
    apply(&mut seen, &plan.steps);
    assert!(plan_of(&input(&[("controller", 1)], "3_nets", &extra), &seen).is_empty());
}

#[test]
fn what_only_a_first_boot_sets_up_replaces_the_node() {
    let seen = built(&[("controller", 1)], &SMALL);
    let mut changed = input(&[("controller", 1)], "3_nets", &SMALL);
    changed.request.settings.username = Login::known("ann");
    let plan = plan_of(&changed, &seen);
    assert_eq!(plan.losses(), [(ObjectKind::Domain, "controller-0")]);
    assert!(lines(&plan).contains("replace domain controller-0: user: cloud-user → ann"));
}

#[test]
fn another_time_zone_is_set_in_guests_that_go_on() {
    let mut seen = built(&[("controller", 1), ("ironic", 1)], &SMALL);
    let mut changed = input(&[("controller", 1), ("ironic", 1)], "3_nets", &SMALL);
    changed.request.settings.timezone = Some(TimeZone::known("Europe/Prague"));
    let plan = plan_of(&changed, &seen);
    assert!(plan.losses().is_empty());
    let steps = |plan: &Plan| plan.steps.iter().map(|s| s.action.title()).collect::<Vec<_>>();
    let (define, set) =
        ("define domain controller-0", "set time zone of domain controller-0 to Europe/Prague");
    assert_eq!(steps(&plan), [define, set]);
    // A run that ends before the last step leaves it to the next one.
    apply(&mut seen, &plan.steps[..1]);
    let again = plan_of(&changed, &seen);
    assert_eq!(steps(&again), [define, set]);
    apply(&mut seen, &again.steps);
    assert!(plan_of(&changed, &seen).is_empty());
    // What nobody asks for any more stays; what is off gets it when it runs.
    let mut other = input(&[("controller", 1), ("ironic", 1)], "3_nets", &SMALL);
    assert!(plan_of(&other, &seen).is_empty());
    let domain = seen.domains.get_mut("controller-0").unwrap();
    (domain.active, domain.live) = (false, None);
    other.request.settings.timezone = Some(TimeZone::known("Etc/UTC"));
    let plan = plan_of(&other, &seen);
    let last = "set time zone of domain controller-0 to Etc/UTC";
    assert_eq!(steps(&plan), [define, "boot domain controller-0", last]);
    apply(&mut seen, &plan.steps);
    assert!(plan_of(&other, &seen).is_empty());
}

#[test]
fn a_changed_subnet_makes_the_network_again() {
    let mut seen = built(&[("ironic", 1)], &[]);
    let extra = ["override.networks.net1.ip_address=192.168.99.254"];
    let wanted = input(&[("ironic", 1)], "3_nets", &extra);
    let plan = plan_of(&wanted, &seen);
    assert!(
        lines(&plan)
            .contains("replace network data: address: 192.168.24.254/24 → 192.168.99.254/24")
    );
    assert!(lines(&plan).contains("update domain ironic-0: network data is made again (restarts)"));
    apply(&mut seen, &plan.steps);
    assert!(plan_of(&wanted, &seen).is_empty());
}

#[test]
fn changes_made_by_hand_are_noticed() {
    let mut seen = built(&[("ironic", 1)], &[]);
    let domain = seen.domains.get_mut("ironic-0").unwrap();
    domain.defined.memory_mib = 99;
    domain.defined.maximum_mib = 99;
    let plan = plan_of(&input(&[("ironic", 1)], "3_nets", &[]), &seen);
    assert!(lines(&plan).contains("memory was changed to 99 MiB outside Maquette"));
}

#[test]
fn prefixed_environments_get_free_subnets_and_keep_them() {
    let mut wanted = input(&[("ironic", 1)], "3_nets_ipv4", &[]);
    wanted.request.settings.environment = EnvName::from_prefix("lab").unwrap();
    let subnet = |b: &Blueprint| b.networks[0].ipv4.unwrap().to_string();
    assert_eq!(subnet(&blueprint_of(&wanted, &Observed::default())), "192.168.24.254/24");
    // 192.168.24.0/24 belongs to somebody else now.
    let mut seen = Observed::default();
    seen.claims.subnets.push(("192.168.24.0/24".parse().unwrap(), "network `data`".into()));
    let blueprint = blueprint_of(&wanted, &seen);
    assert_eq!(subnet(&blueprint), "192.168.34.254/24");
    assert_eq!(blueprint.networks[1].ipv4.unwrap().to_string(), "172.16.20.1/24");
    let plan = plan_of(&wanted, &seen);
    apply(&mut seen, &plan.steps);
    seen.claims.subnets.clear();
    assert_eq!(subnet(&blueprint_of(&wanted, &seen)), "192.168.34.254/24");
    assert!(plan_of(&wanted, &seen).is_empty());
}

#[test]
fn addresses_run_out_with_an_error() {
    let wanted = input(&[("undercloud", 100)], "3_nets", &[]);
    let topology = maquette_testkit::topology(&wanted, &Observed::default());
    let (_, diags) = maquette_testkit::expand(&topology, &Observed::default());
    let first = diags.iter().next().unwrap();
    assert_eq!(
        first.message,
        "the DHCP range of network `management` has no address left for `undercloud-99`"
    );
}

#[test]
fn the_seed_of_a_node() {
    let extra = [SMALL[0], SMALL[1], "override.controller.swap=1024"];
    let mut wanted = input(&[("controller", 1)], "3_nets", &extra);
    wanted.request.settings.timezone = Some(TimeZone::known("Europe/Prague"));
    let blueprint = blueprint_of(&wanted, &Observed::default());
    let node = &blueprint.nodes[0];
    let guest = node.guest.as_ref().unwrap();
    let key = Secret::new(
        "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n",
    );
    let text: String = seed_files(node, guest, &key, None)
        .iter()
        .map(|f| format!("--- {}\n{}", f.name, f.content.reveal()))
        .collect();
    insta::assert_snapshot!(text);
}

#[test]
fn expanding_is_deterministic() {
    let wanted = input(&[("controller", 3), ("ceph", 2)], "3_nets", &SMALL);
    let seen = Observed::default();
    assert_eq!(blueprint_of(&wanted, &seen), blueprint_of(&wanted, &seen));
}

/// For every step: stop before it, plan again, and get to the same end. `same` says what must be
/// the same: addresses that a removed node leaves may be given out in another order.
fn interrupt_everywhere(from: &[(&str, u32)], to: &[(&str, u32)], same: fn(&Observed, &Observed)) {
    let before = built(from, &SMALL);
    let extra = [SMALL[0], SMALL[1], "override.controller.memory=4096"];
    let wanted = input(to, "3_nets", &extra);
    let plan = plan_of(&wanted, &before);
    let mut end = before.clone();
    apply(&mut end, &plan.steps);
    for stop in 0..plan.steps.len() {
        let mut seen = before.clone();
        apply(&mut seen, &plan.steps[..stop]);
        let rest = plan_of(&wanted, &seen);
        apply(&mut seen, &rest.steps);
        same(&seen, &end);
        assert!(plan_of(&wanted, &seen).is_empty(), "stopped before step {stop}");
    }
}

#[test]
fn an_interrupted_growth_is_continued_wherever_it_stopped() {
    let same = |a: &Observed, b: &Observed| assert!(a == b);
    interrupt_everywhere(&[("controller", 1)], &[("controller", 2), ("ironic", 1)], same);
}

#[test]
fn an_interrupted_change_is_continued_wherever_it_stopped() {
    let same = |a: &Observed, b: &Observed| {
        let domains = |o: &Observed| {
            o.domains.values().map(|d| (d.name.clone(), d.active, d.ready)).collect::<Vec<_>>()
        };
        assert_eq!(domains(a), domains(b));
        assert_eq!(a.volumes, b.volumes);
    };
    let to = [("controller", 2), ("undercloud", 1)];
    interrupt_everywhere(&[("controller", 1), ("ironic", 1)], &to, same);
}

/// A part of a plan's steps as a run with many hands may have done it: in any order that the waits
/// allow, and not to the end.
fn some_order(plan: &Plan, mut seed: u64, stop: usize) -> Vec<plan::Step> {
    let mut done: BTreeSet<plan::StepId> = BTreeSet::new();
    let mut order = Vec::new();
    while order.len() < stop {
        let ready: Vec<&plan::Step> = plan
            .steps
            .iter()
            .filter(|s| !done.contains(&s.id) && s.after.iter().all(|a| done.contains(a)))
            .collect();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let step = ready[(seed >> 33) as usize % ready.len()];
        done.insert(step.id);
        order.push(step.clone());
    }
    order
}

#[test]
fn a_run_with_many_hands_is_continued_wherever_it_stopped() {
    let wanted = input(&[("controller", 2), ("ironic", 1)], "3_nets", &SMALL);
    let plan = plan_of(&wanted, &Observed::default());
    let mut end = Observed::default();
    apply(&mut end, &plan.steps);
    let changed = [SMALL[0], SMALL[1], "override.controller.memory=4096"];
    let changed = input(&[("controller", 2), ("ironic", 1)], "3_nets", &changed);
    for stop in 0..plan.steps.len() {
        for seed in 0..40 {
            let mut seen = Observed::default();
            apply(&mut seen, &some_order(&plan, seed, stop));
            let interrupted = seen.clone();
            let rest = plan_of(&wanted, &seen);
            apply(&mut seen, &rest.steps);
            assert!(seen == end, "stopped after {stop} steps in order {seed}");
            // Somebody may have changed his mind meanwhile.
            let mut seen = interrupted;
            let rest = plan_of(&changed, &seen);
            apply(&mut seen, &rest.steps);
            assert!(plan_of(&changed, &seen).is_empty(), "{stop} steps in order {seed}, changed");
            assert_eq!(seen.volumes, end.volumes);
        }
    }
}

/// A run that is killed while it uploads a seed leaves a volume of the right name and half its content.
#[test]
fn a_seed_is_made_again_until_a_first_boot_was_seen_to_end() {
    let nodes = [("controller", 1)];
    let mut seen = built(&nodes, &SMALL);
    let name = seen.domains.keys().next().unwrap().clone();
    let seeds = |seen: &Observed| {
        let plan = plan_of(&input(&nodes, "3_nets", &SMALL), seen);
        let is_seed = |s: &&plan::Step| matches!(s.action, Action::CreateSeed { .. });
        let seed = plan.steps.iter().find(is_seed).map(|s| s.id);
        let is_start = |s: &&plan::Step| matches!(s.action, Action::StartDomain { .. });
        let starts = plan.steps.iter().find(is_start).map(|s| s.after.clone());
        (seed, starts)
    };
    // A node that runs was started from a whole one.
    assert_eq!(seeds(&seen).0, None);
    let domain = seen.domains.get_mut(&name).unwrap();
    (domain.active, domain.live) = (false, None);
    assert_eq!(seeds(&seen).0, None);
    seen.domains.get_mut(&name).unwrap().ready = false;
    let (seed, starts) = seeds(&seen);
    assert!(starts.unwrap().contains(&seed.unwrap()), "it starts from the new seed");
}

#[test]
fn a_disk_can_have_an_image_of_its_own() {
    let more =
        [SMALL[0], SMALL[1], "override.controller.disks.disk2.import_url=http://x/data.qcow2"];
    let input = input(&[("controller", 1)], "3_nets", &more);
    let nothing = Observed::default();
    let blueprint = blueprint_of(&input, &nothing);
    let disks = &blueprint.nodes[0].disks;
    assert_eq!(disks[0].backing.as_ref().unwrap().source, "debian-12");
    let data = &disks[1];
    assert_eq!(data.backing.as_ref().unwrap().source, "http://x/data.qcow2");
    // It is as large as its image.
    assert_eq!(data.size, None);
    assert_eq!(fetched(&plan_of(&input, &nothing)), ["debian-12", "http://x/data.qcow2"]);
}

#[test]
fn a_forced_download_concerns_new_nodes_only() {
    let one = input(&[("controller", 1)], "3_nets", &SMALL);
    let mut seen = Observed::default();
    let plan = plan_of(&one, &seen);
    apply(&mut seen, &plan.steps);
    let fetches = |count: u32| {
        let mut wanted = input(&[("controller", count)], "3_nets", &SMALL);
        wanted.request.settings.force_image_download = true;
        fetched(&plan_of(&wanted, &seen)).len()
    };
    assert_eq!(fetches(1), 0);
    assert_eq!(fetches(2), 1);
}

#[test]
fn steps_can_be_repeated() {
    let wanted = input(&[("controller", 1), ("ironic", 1)], "3_nets", &SMALL);
    let plan = plan_of(&wanted, &Observed::default());
    let mut once = Observed::default();
    apply(&mut once, &plan.steps);
    let mut twice = Observed::default();
    for step in &plan.steps {
        apply(&mut twice, std::slice::from_ref(step));
        apply(&mut twice, std::slice::from_ref(step));
    }
    assert_eq!(once, twice);
}

fn counts() -> impl Strategy<Value = Vec<(&'static str, u32)>> {
    (0u32..4, 0u32..3, 0u32..3)
        .prop_map(|(a, b, c)| vec![("controller", a), ("ironic", b), ("undercloud", c)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_change_ends_where_a_fresh_build_ends(from in counts(), to in counts()) {
        let mut seen = built(&from, &SMALL);
        let wanted = input(&to, "3_nets", &SMALL);
        let plan = plan_of(&wanted, &seen);
        for step in &plan.steps {
            prop_assert!(step.after.iter().all(|a| *a < step.id));
            prop_assert!(!step.reason.is_empty());
        }
        apply(&mut seen, &plan.steps);
        prop_assert!(plan_of(&wanted, &seen).is_empty());
        let fresh = built(&to, &SMALL);
        let names = |o: &Observed| o.domains.keys().cloned().collect::<Vec<_>>();
        prop_assert_eq!(names(&seen), names(&fresh));
        prop_assert_eq!(node_volumes(&seen), node_volumes(&fresh));
    }

    #[test]
    fn addresses_are_unique_and_kept(from in counts(), to in counts()) {
        let seen = built(&from, &SMALL);
        let blueprint = blueprint_of(&input(&to, "3_nets", &SMALL), &seen);
        let mut macs = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for node in &blueprint.nodes {
            for interface in &node.interfaces {
                prop_assert!(macs.insert(interface.mac));
                if let Some(ip) = interface.ipv4.address() {
                    prop_assert!(addresses.insert((interface.network.clone(), ip.addr())));
                }
            }
            if let Some(old) = seen.domains.get(&node.name) {
                prop_assert_eq!(&old.recorded.interfaces, &node.interfaces);
            }
        }
    }

    #[test]
    fn destroying_leaves_nothing(nodes in counts()) {
        let mut seen = built(&nodes, &SMALL);
        let plan = plan::destroy(&seen, &EnvName::default());
        apply(&mut seen, &plan.steps);
        prop_assert!(seen.domains.is_empty() && seen.networks.is_empty());
        prop_assert!(node_volumes(&seen).is_empty());
    }
}

/// A hypervisor that lacks nothing of what is needed. Others have some networks there.
fn prepared(networks: usize) -> (HostFacts, HypervisorNeeds) {
    let pool =
        Pool { name: "images".parse().unwrap(), path: "/var/lib/libvirt/images".parse().unwrap() };
    let facts = HostFacts {
        kvm_closed: false,
        zone_unknown: false,
        libvirt: LibvirtState::Running,
        pool: PoolState::Active(pool.path.to_string()),
        ssh_limits_low: false,
        nested_off: None,
        router_interfaces: Vec::new(),
        timezone: Some("Europe/Prague".into()),
        hook: true,
        expiry: false,
        vswitch: true,
        limits: [
            ("fs.inotify.max_user_instances", 129),
            ("net.ipv4.neigh.default.gc_thresh3", 1024),
            ("net.ipv6.neigh.default.gc_thresh3", 1024),
        ]
        .map(|(key, value)| (key.to_string(), value))
        .into(),
        networks,
    };
    let needs = HypervisorNeeds {
        pool,
        missing_packages: Vec::new(),
        ipv6: true,
        timezone: Some("Europe/Prague".into()),
        hook: true,
        expiry: false,
        vswitch: true,
        networks: 5,
        interfaces: 12,
    };
    (facts, needs)
}

#[test]
fn a_hypervisor_is_prepared_where_it_lacks_something_and_only_there() {
    let bare = HostFacts {
        kvm_closed: true,
        zone_unknown: true,
        libvirt: LibvirtState::Missing,
        pool: PoolState::Unknown,
        ssh_limits_low: true,
        nested_off: Some("kvm_intel".into()),
        router_interfaces: vec!["eno1".into()],
        timezone: Some("UTC".into()),
        hook: false,
        expiry: false,
        vswitch: false,
        limits: [("fs.inotify.max_user_instances".to_string(), 128)].into(),
        networks: 60,
    };
    let (ready, met) = prepared(60);
    let needs = HypervisorNeeds { missing_packages: vec!["libvirt".into()], ..met.clone() };
    let plan = plan::prepare(&bare, &needs);
    let shown: Vec<String> = plan
        .changes
        .iter()
        .map(|c| format!("{} {}: {}; {}", c.op.sign(), c.name, c.detail, c.reason))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
    assert!(plan::prepare(&ready, &met).is_empty());
}

/// With a thousand neighbours, which is all that a kernel takes by itself, nodes are unreachable by turns.
#[test]
fn a_hypervisor_of_many_nodes_may_have_as_many_neighbours() {
    let (facts, needs) = prepared(60);
    let raised = |interfaces, ipv6| -> Vec<String> {
        let plan = plan::prepare(&facts, &HypervisorNeeds { interfaces, ipv6, ..needs.clone() });
        plan.changes.iter().map(|c| format!("{}: {}", c.name, c.detail)).collect()
    };
    assert_eq!(raised(12, true), [""; 0]);
    let ipv4 = "neighbours: gc_thresh3 1024 → 4096";
    assert_eq!(raised(800, false), [ipv4]);
    // The address of its link, and that of its network.
    assert_eq!(raised(500, true), ["ipv6-neighbours: gc_thresh3 1024 → 4096"]);
    assert_eq!(raised(800, true), [ipv4, "ipv6-neighbours: gc_thresh3 1024 → 4096"]);
}

#[test]
fn a_part_of_a_plan_keeps_its_order() {
    let input = input(&[("compute", 1)], "3_nets", &["override.compute.deploy_os=true"]);
    let whole = plan_of(&input, &Observed::default());
    let networks =
        |a: &Action| matches!(a, Action::DefineNetwork { .. } | Action::StartNetwork { .. });
    let part = whole.clone().only(networks, |kind| kind == ObjectKind::Network);
    assert_eq!(part.steps.len(), 6);
    assert!(part.changes.iter().all(|c| c.kind == ObjectKind::Network));
    let rest = whole.clone().only(|a| !networks(a), |kind| kind != ObjectKind::Network);
    assert_eq!(part.steps.len() + rest.steps.len(), whole.steps.len());
    for step in part.steps.iter().chain(&rest.steps) {
        assert!(step.after.iter().all(|a| *a < step.id));
    }
    // What waited for a network waits for what is left of its own chain.
    let mut seen = Observed::default();
    apply(&mut seen, &part.steps);
    apply(&mut seen, &rest.steps);
    assert!(plan_of(&input, &seen).is_empty());
}

#[test]
fn everything_that_somebody_changed_by_hand_is_named() {
    let wanted = input(&[("ironic", 1)], "3_nets", &[]);
    let mut seen = Observed::default();
    let plan = plan_of(&wanted, &seen);
    apply(&mut seen, &plan.steps);
    let domain = seen.domains.values_mut().next().unwrap();
    domain.defined.memory_mib = 99;
    domain.defined.vcpus = 7;
    let text = lines(&plan_of(&wanted, &seen));
    for what in ["memory was changed to 99 MiB", "vCPUs were changed to 7"] {
        assert!(text.contains(&format!("{what} outside Maquette")), "{text}");
    }
}

/// What a first boot installs, writes and runs reaches cloud-init and the agent, is recorded by its digest, and a node is
/// made again when it changes.
#[test]
fn packages_files_and_commands_of_a_first_boot() {
    let web = |content: &str| {
        format!(
            "web=name: web\ncpu: 1\nmemory: 768\ndisks: {{disk1: {{import_url: x, size: 12G}}}}\n\
             external_network: management\ninterfaces:\n  nic1: {{network: management}}\n\
             packages: [nginx]\nfiles:\n  /etc/motd: \"{content}\\n\"\n  /srv/run: {{content: \"#!/bin/sh\\n\", \
             mode: 0755, owner: www-data}}\ncommands:\n  - systemctl enable --now nginx\n"
        )
    };
    let nothing = Observed::default();
    let blueprint = blueprint_of(&input(&[(&web("hello"), 1)], "3_nets", &[]), &nothing);
    let plan = plan::create(&blueprint, &nothing, &|_| Secret::new("private"));
    let files = plan.steps.iter().find_map(|step| match &step.action {
        Action::CreateSeed { files, .. } => Some(files),
        _ => None,
    });
    let text = |name: &str| {
        let file = files.unwrap().iter().find(|file| file.name == name).unwrap();
        file.content.reveal().to_string()
    };
    let user_data = text("user-data");
    let after = user_data.split("cloud_init_modules").nth(1).unwrap();
    insta::assert_snapshot!("first_boot_cloud_init", after);
    insta::assert_snapshot!("first_boot_agent", text("first-boot"));
    assert!(text("identity").starts_with("maquette 2\n"));
    let mut observed = nothing.clone();
    apply(&mut observed, &plan.steps);
    assert!(plan::create(&blueprint, &observed, &|_| Secret::new("private")).is_empty());
    let changed = blueprint_of(&input(&[(&web("bye"), 1)], "3_nets", &[]), &observed);
    let changed = plan::create(&changed, &observed, &|_| Secret::new("private"));
    let node = changed.changes.iter().find(|c| c.name == "web-0").unwrap();
    assert_eq!(node.op, Op::Replace);
    let why = "its first boot changes: files (/etc/motd); all data on vda is lost";
    assert_eq!(node.reason.to_string(), why);
}
