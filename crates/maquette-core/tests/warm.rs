//! Nodes that start from templates, planned and done on the model.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::{BTreeMap, BTreeSet};

use crate::templates::{DB, WEB, counts, plan, warm};
use maquette_core::blueprint::{
    self, Blueprint, ColdReason, Image, Ipv4Setup, Node, Pool, Template,
};
use maquette_core::object::ObjectKind;
use maquette_core::observed::{Nic, Observed};
use maquette_core::plan::{self, Action, Step};
use maquette_core::settings::StartChoice;
use maquette_core::start_times::{Came, How, Starts};
use maquette_core::topology::{BootDevice, BootFile, BootMode, Bus, FirstBoot};
use maquette_core::values::{FileName, Secret};
use maquette_testkit::{apply, blueprint_of, input};

#[test]
fn nodes_that_are_alike_share_a_template() {
    let nothing = Observed::default();
    let blueprint = warm(&[(WEB, 3), (DB, 1)], &nothing, StartChoice::Auto);
    let first = plan(&blueprint, &nothing);
    // The one that is alone boots: making a template for it would take longer.
    assert_eq!(counts(&first), [1, 3, 1]);
    let mut after = nothing.clone();
    apply(&mut after, &first.steps);
    assert!(after.domains.values().all(|d| d.active && d.ready));
    assert!(plan(&blueprint, &after).is_empty());
    // Its template is there for one that comes later.
    let grown = warm(&[(WEB, 4), (DB, 1)], &after, StartChoice::Auto);
    assert_eq!(counts(&plan(&grown, &after)), [0, 1, 0]);
    let asked = warm(&[(WEB, 3), (DB, 1)], &nothing, StartChoice::Warm);
    assert_eq!(counts(&plan(&asked, &nothing)), [2, 4, 0]);
    let cold = warm(&[(WEB, 3), (DB, 1)], &nothing, StartChoice::Cold);
    assert_eq!(counts(&plan(&cold, &nothing)), [0, 0, 4]);
}

/// Where a CPU is idle, the first `up` takes no longer for it, and the second one is warm.
#[test]
fn a_template_is_made_beside_nodes_that_boot_at_once_where_a_cpu_is_idle() {
    for (cpus, count, beside) in [(4, 3, 1), (3, 3, 0), (16, 3, 1), (16, 15, 1), (16, 16, 0)] {
        let seen = Observed { cpus, ..Observed::default() };
        let blueprint = warm(&[(WEB, count)], &seen, StartChoice::Auto);
        let first = plan(&blueprint, &seen);
        assert_eq!(counts(&first), [beside, 0, count as usize], "{cpus} {count}");
        let made = first.steps.iter().find(|s| matches!(s.action, Action::MakeTemplate { .. }));
        let takes = plan::made_for_nodes(&blueprint, &seen);
        assert_eq!((takes.memory_mib > 0, takes.bytes > 0), (beside > 0, beside > 0));
        let Some(made) = made else { continue };
        // Nobody waits for it, and nobody's `up` fails because of it.
        assert!(first.steps.iter().all(|step| !step.after.contains(&made.id)));
        assert!(matches!(made.action, Action::MakeTemplate { required: false, .. }));
        assert!(
            first.changes.iter().any(|c| c
                .reason
                .all
                .iter()
                .any(|r| r.contains("the next nodes start from it")))
        );
        // Not where the pool has no room for it besides a tenth that stays free.
        let full = Observed { pool_free: Some(takes.bytes), ..seen.clone() };
        assert_eq!(counts(&plan(&blueprint, &full)), [0, 0, count as usize]);
    }
}

/// A copy of an image, or one that was built before this version: whoever made its template knew that it has an agent.
#[test]
fn a_template_that_is_there_is_believed_of_exactly_its_image() {
    let mut seen = Observed::default();
    let blueprint = warm(&[(WEB, 2)], &seen, StartChoice::Auto);
    let (node, pool) = (&blueprint.nodes[0], &blueprint.pool);
    let made = blueprint.templates[&node.name].clone().unwrap();
    let known = |node: &Node, emulator: &str, seen: &Observed| {
        plan::known_template(node, None, pool, emulator, seen)
    };
    assert_eq!(known(node, "QEMU 1", &seen), None);
    assert!(!plan::has_templates(pool, &seen));
    let steps = plan(&blueprint, &seen).steps;
    apply(&mut seen, &steps);
    assert!(plan::has_templates(pool, &seen));
    assert_eq!(known(node, "QEMU 1", &seen), Some(made.clone()));
    assert_eq!(known(node, "QEMU 2", &seen), None);
    let mut other = node.clone();
    other.disks[0].backing.as_mut().unwrap().volume = "maquette-other-0.qcow2".parse().unwrap();
    assert_eq!(known(&other, "QEMU 1", &seen), None);
    // What lacks its memory was not finished, or was removed.
    seen.volumes.get_mut(pool.name.as_str()).unwrap().remove(made.memory().as_str());
    assert_eq!(known(node, "QEMU 1", &seen), None);
}

/// Its name tells whether it is of use, and with what.
#[test]
fn a_template_of_another_emulator_is_known_by_its_name() {
    let blueprint = warm(&[(WEB, 1), (DB, 1)], &Observed::default(), StartChoice::Warm);
    for template in blueprint.templates.values() {
        let name = template.as_ref().unwrap().name();
        assert!(Template::is_called_so(&name));
        assert!(Template::is_of(&name, "QEMU 1") && !Template::is_of(&name, "QEMU 2"));
    }
}

/// After an update of QEMU or of Maquette, whoever had nodes warm the day before learns why these boot, or why a template is made.
#[test]
fn a_template_of_another_emulator_is_why_a_node_boots_or_one_is_made() {
    let words = "the one that is there was made with another libvirt, QEMU, CPU or Maquette";
    let with = |count: u32, cpus: usize, emulator: Option<&str>| -> (Vec<String>, usize) {
        let mut seen = Observed { cpus, ..Observed::default() };
        let blueprint = warm(&[(WEB, count)], &seen, StartChoice::Auto);
        let (node, pool) = (&blueprint.nodes[0], &blueprint.pool);
        if let Some(emulator) = emulator {
            let there = blueprint::template(node, None, pool, &|_| true, emulator).unwrap();
            let volumes = [there.disk(), there.memory()].map(String::from);
            seen.volumes.insert(pool.name.to_string(), volumes.into());
        }
        let plan = plan(&blueprint, &seen);
        let told = plan.changes.iter().filter(|change| {
            change.detail.contains(words) || change.reason.all.iter().any(|r| r.contains(words))
        });
        (told.map(|change| change.name.clone()).collect(), counts(&plan)[0])
    };
    for (count, cpus, made) in [(1, 2, 0), (2, 2, 0), (3, 2, 1), (3, 4, 1)] {
        let (told, steps) = with(count, cpus, Some("QEMU 0"));
        let nodes = told.iter().filter(|name| name.starts_with("web-")).count();
        // Where nodes start from one that is made, that says it.
        let booting = if (count, cpus) == (3, 2) { 0 } else { count as usize };
        assert_eq!((nodes, told.len() - nodes, steps), (booting, usize::from(booting == 0), made));
        assert_eq!(with(count, cpus, None), (Vec::new(), made));
    }
    // It is of use, or of other nodes.
    assert_eq!(with(1, 2, Some("QEMU 1")).0, Vec::<String>::new());
    let seen = Observed::default();
    let [web, db] = [WEB, DB].map(|nodes| {
        let blueprint = warm(&[(nodes, 1)], &seen, StartChoice::Auto);
        blueprint::template(&blueprint.nodes[0], None, &blueprint.pool, &|_| true, "QEMU 0")
            .unwrap()
    });
    assert!(!web.is_for_another_emulator(&db.name()) && !web.is_for_another_emulator(&web.name()));
}

/// How long a node took is told of the next one like it, and of no other; restarts and nodes that booted in spite of a
/// template do not count as warm.
#[test]
fn how_long_it_took_is_told_the_next_time() {
    let nothing = Observed::default();
    let blueprint = warm(&[(WEB, 2), (DB, 1)], &nothing, StartChoice::Auto);
    let first = plan(&blueprint, &nothing);
    let took = first.steps.iter().map(|s| (s.id, s.id.index() as u64 + 1)).collect();
    // What was tried before is not in it.
    let booted = BTreeMap::from([("web-1".to_string(), 7_777)]);
    let measured = plan::measured(&first.steps, &took, &booted);
    let known: Vec<_> = measured.iter().map(|(node, how, _)| (node.name.as_str(), *how)).collect();
    let wanted = [("db-0", How::Cold), ("web-0", How::Warm), ("web-1", How::Cold)];
    assert_eq!(BTreeSet::from_iter(known), BTreeSet::from(wanted));
    assert!(measured.iter().all(|(node, _, s)| (node.name == "web-1") == (*s == 7_777)));
    let mut later = Observed::default();
    later.starts.learn(&measured);
    let told = |blueprint: &Blueprint, observed: &Observed| -> Vec<String> {
        let changes = plan(blueprint, observed).changes;
        changes.into_iter().filter(|c| c.kind == ObjectKind::Domain).map(|c| c.detail).collect()
    };
    let details = |observed: &Observed| told(&blueprint, observed);
    let seconds = |name: &str| measured.iter().find(|(n, ..)| n.name == name).unwrap().2;
    let [db, web] = [
        format!("({} s last time)", seconds("db-0")),
        format!("({} s last time)", seconds("web-0")),
    ];
    assert!(details(&nothing).iter().all(|detail| !detail.contains("last time")));
    let booting = warm(&[(WEB, 2), (DB, 1)], &nothing, StartChoice::Cold);
    assert!(told(&booting, &later)[0].ends_with(&db), "{:?}", told(&booting, &later));
    assert!(details(&later)[1].ends_with(&format!("warm {web}")), "{:?}", details(&later));
    // Nobody has seen a first start where a node only starts again.
    let mut after = nothing.clone();
    apply(&mut after, &first.steps);
    after.domains.get_mut("web-0").unwrap().active = false;
    let again = plan(&blueprint, &after);
    let took = again.steps.iter().map(|s| (s.id, 1)).collect();
    assert!(!again.steps.is_empty());
    assert!(plan::measured(&again.steps, &took, &BTreeMap::new()).is_empty());
}

/// How each new node starts is told before it does, with the reason where it boots.
#[test]
fn a_plan_says_how_nodes_start() {
    let nothing = Observed::default();
    let told = |blueprint: &Blueprint| -> BTreeSet<String> {
        let plan = plan(blueprint, &nothing);
        let domains = plan.changes.into_iter().filter(|c| c.kind == ObjectKind::Domain);
        let starts = |detail: String| {
            let at = detail.find(", cold").or(detail.find(", warm")).unwrap_or(detail.len());
            detail[at..].trim_start_matches(", ").to_string()
        };
        domains.map(|change| starts(change.detail)).collect()
    };
    let mut blueprint = warm(&[(WEB, 2), (DB, 1)], &nothing, StartChoice::Auto);
    let alone = "cold: no other node would start from its template";
    assert_eq!(told(&blueprint), BTreeSet::from(["warm".to_string(), alone.into()]));
    for why in blueprint.templates.values_mut() {
        *why = Err(ColdReason::NoAgent);
    }
    assert_eq!(told(&blueprint), BTreeSet::from(["cold: the image has no agent".to_string()]));
    blueprint.start = StartChoice::Cold;
    assert_eq!(told(&blueprint), BTreeSet::from(["cold: as `--start` says".to_string()]));
}

/// A time in seconds since 1970.
const WHEN: u64 = 1_795_000_000;

/// A template that failed is not made again by every run, and whoever asks for it has it tried.
#[test]
fn what_failed_before_is_tried_again_when_it_is_asked_for() {
    let mut seen = Observed::default();
    let blueprint = warm(&[(WEB, 2)], &seen, StartChoice::Auto);
    let key = blueprint.templates["web-0"].as_ref().unwrap().key.clone();
    let mut came = |came: Came| {
        seen.starts.learn_templates(&[(key.clone(), came)].into(), WHEN);
        seen.clone()
    };
    let failed = came(Came::Failed("no agent\nthat waits".into()));
    let auto = plan(&blueprint, &failed);
    assert_eq!(counts(&auto), [0, 0, 2]);
    let told = "cold: it failed before (no agent that waits); `--start warm` tries again";
    let domains = || auto.changes.iter().filter(|c| c.kind == ObjectKind::Domain);
    assert!(domains().all(|c| c.detail.ends_with(told)), "{:?}", auto.changes);
    let asked = warm(&[(WEB, 2)], &failed, StartChoice::Warm);
    assert_eq!(counts(&plan(&asked, &failed)), [1, 2, 0]);
    assert_eq!(counts(&plan::templates(&blueprint, &failed)), [1, 0, 0]);
    // It is told to the next run, and to earlier versions as nothing.
    let text = failed.starts.text();
    assert_eq!(Starts::parse(&text), failed.starts);
    assert_eq!(Starts::parse(&text).text(), text);
    // What was wrong may have been a full disk, or a hypervisor that was busy.
    for (later, tries) in [(0, false), (23 * 3600, false), (24 * 3600, true), (9 * 24 * 3600, true)]
    {
        let mut seen = failed.clone();
        seen.starts = seen.starts.as_of(WHEN + later);
        assert_eq!(counts(&plan(&blueprint, &seen)) == [1, 2, 0], tries, "{later}");
    }
    for worked in [Came::Made, Came::Started] {
        came(Came::Failed("no".into()));
        let made = came(worked);
        assert_eq!(counts(&plan(&blueprint, &made)), [1, 2, 0]);
        assert_eq!(made.starts, Starts::default());
    }
}

/// A plan said that nodes start warm, although the template cannot be made while disks overlay what is left of it.
#[test]
fn a_template_without_memory_is_not_made_while_its_disk_is_there() {
    let mut seen = Observed::default();
    let blueprint = warm(&[(WEB, 2)], &seen, StartChoice::Auto);
    let template = blueprint.templates["web-0"].as_ref().unwrap().clone();
    let gone = Came::Gone("load of migration failed".into());
    seen.starts.learn_templates(&[(template.key.clone(), gone)].into(), WHEN);
    seen.starts = Starts::parse(&seen.starts.text()).as_of(WHEN + 9 * 24 * 3600);
    // Its disk has gone, too: nothing is in the way.
    assert_eq!(counts(&plan(&blueprint, &seen)), [1, 2, 0]);
    let there = |seen: &mut Observed, volume: FileName| {
        seen.volumes.entry(blueprint.pool.name.to_string()).or_default().insert(volume.into());
    };
    there(&mut seen, template.disk());
    let cold = plan(&blueprint, &seen);
    assert_eq!(counts(&cold), [0, 0, 2]);
    let told = "its template's memory was of no use (load of migration failed)";
    let mut domains = cold.changes.iter().filter(|c| c.kind == ObjectKind::Domain);
    assert!(domains.all(|c| c.detail.contains(told)), "{:?}", cold.changes);
    // Somebody has made it again.
    there(&mut seen, template.memory());
    assert_eq!(counts(&plan(&blueprint, &seen)), [0, 2, 0]);
}

/// What a node may be because of which it boots, and the words for it.
#[test]
fn why_a_node_boots_is_told() {
    type Change = fn(&mut Node);
    let cases: [(Change, &str); 8] = [
        (|n| n.guest = None, "Maquette does not set it up"),
        (|n| n.disks[0].backing = None, "its first disk does not overlay an image"),
        (|n| n.disks.clear(), "its first disk does not overlay an image"),
        (
            |n| n.virtopts = "--tpm default".parse().unwrap(),
            "no template has its options of virt-install (`--virtopts`)",
        ),
        (|n| n.boot = vec![BootDevice::Network], "it says what it boots from (`boot`)"),
        (|n| n.vnc.external = true, "it has a USB tablet for external VNC"),
        (|n| n.firmware = BootMode::Uefi, "images with an agent boot from BIOS, and it has UEFI"),
        (|n| n.disks[0].bus = Bus::Sata, "disks on sata cannot be plugged in while it runs"),
    ];
    let nothing = Observed::default();
    let told = |blueprint: &Blueprint, seen: &Observed| -> String {
        let changes = plan(blueprint, seen).changes;
        let change = changes.into_iter().find(|c| c.kind == ObjectKind::Domain).unwrap();
        change.detail.split_once(", cold: ").unwrap_or_default().1.to_string()
    };
    for (change, words) in cases {
        let mut blueprint = blueprint_of(&input(&[(WEB, 1)], "3_nets", &[]), &nothing);
        change(&mut blueprint.nodes[0]);
        let node = &blueprint.nodes[0];
        let template = blueprint::template(node, None, &blueprint.pool, &|_| true, "QEMU 1");
        assert!(template.is_err(), "{words}");
        blueprint.templates.insert(node.name.clone(), template);
        assert_eq!(told(&blueprint, &nothing), words);
    }
    // What only the whole of an environment tells.
    let mut blueprint = warm(&[(WEB, 1)], &nothing, StartChoice::Warm);
    let node = &mut blueprint.nodes[0];
    node.access.address = None;
    node.interfaces.iter_mut().for_each(|nic| nic.ipv4 = Ipv4Setup::Off);
    assert_eq!(told(&blueprint, &nothing), "nothing tells under which address it answers");
    let (mut seen, first) = (nothing.clone(), warm(&[(WEB, 1)], &nothing, StartChoice::Warm));
    apply(&mut seen, &plan(&first, &nothing).steps);
    seen.domains.get_mut("web-0").unwrap().pool.name = "another".parse().unwrap();
    let other = WEB.replace("import_url: x", "import_url: y");
    let replaced = warm(&[(&other, 1)], &seen, StartChoice::Warm);
    assert_eq!(told(&replaced, &seen), "its disks are in another pool");
    // What only whoever looks at images and asks libvirt knows.
    for (why, words) in [
        (ColdReason::OtherAgent, "nothing tells that the image has an agent of this version"),
        (ColdReason::NoEmulator, "libvirt does not tell its version and that of QEMU"),
        (ColdReason::TestDriver, "libvirt's test driver cannot save memory"),
    ] {
        let mut blueprint = warm(&[(WEB, 1)], &nothing, StartChoice::Warm);
        blueprint.templates.insert(blueprint.nodes[0].name.clone(), Err(why));
        assert_eq!(told(&blueprint, &nothing), words);
    }
}

/// What the guest would not get, or not see, is known before it is tried.
#[test]
fn nics_that_cannot_be_plugged_in_have_nodes_boot() {
    let nothing = Observed::default();
    for (model, machine, cold) in [
        ("virtio", "pc", false),
        ("e1000", "pc", false),
        ("rtl8139", "pc", false),
        ("ne2k_isa", "pc", true),
        ("virtio", "q35", false),
        ("e1000e", "q35", false),
        ("e1000", "q35", true),
    ] {
        let mut blueprint = blueprint_of(&input(&[(WEB, 1)], "3_nets", &[]), &nothing);
        let node = &mut blueprint.nodes[0];
        node.interfaces[0].model = model.parse().unwrap();
        node.machine = machine.parse().unwrap();
        let found = blueprint::template(node, None, &blueprint.pool, &|_| true, "");
        let wanted = cold.then(|| ColdReason::Nic(model.into()));
        assert_eq!(found.err(), wanted, "{model} on {machine}");
    }
}

/// Twins are told apart by it, and QEMU does not start an old machine that has one.
#[test]
fn nodes_of_machine_types_without_generation_ids_boot() {
    for (machine, cold) in [("pc-i440fx-2.4", true), ("pc-i440fx-2.5", false)] {
        let nothing = Observed::default();
        let mut blueprint = blueprint_of(&input(&[(WEB, 1)], "3_nets", &[]), &nothing);
        let node = &mut blueprint.nodes[0];
        node.machine = machine.parse().unwrap();
        let found = blueprint::template(node, None, &blueprint.pool, &|_| true, "");
        assert_eq!(found.err(), cold.then_some(ColdReason::Machine), "{machine}");
    }
}

/// Whoever did not insist on templates has nodes that boot where none can be made.
#[test]
fn nodes_boot_where_a_template_cannot_be_made() {
    let nothing = Observed::default();
    for (start, insists) in [(StartChoice::Auto, false), (StartChoice::Warm, true)] {
        let steps = plan(&warm(&[(WEB, 2)], &nothing, start), &nothing).steps;
        let required = |a: &Action| matches!(a, Action::MakeTemplate { required: true, .. });
        assert_eq!(steps.iter().any(|s| required(&s.action)), insists);
        let others = |s: &&Step| !matches!(s.action, Action::MakeTemplate { .. });
        let others: Vec<Step> = steps.iter().filter(others).cloned().collect();
        let mut seen = nothing.clone();
        apply(&mut seen, &others);
        assert!(seen.domains.values().all(|d| d.active && d.ready));
    }
}

/// Whoever is killed between two steps leaves what the next run makes whole, by booting what has not run yet.
#[test]
fn a_run_that_ends_after_any_step_is_gone_on_from() {
    let nothing = Observed::default();
    let blueprint = warm(&[(WEB, 2)], &nothing, StartChoice::Auto);
    let steps = plan(&blueprint, &nothing).steps;
    for done in 0..=steps.len() {
        let mut seen = nothing.clone();
        apply(&mut seen, &steps[..done]);
        let blueprint = warm(&[(WEB, 2)], &seen, StartChoice::Auto);
        let rest = plan(&blueprint, &seen);
        // Until there is a disk, nothing is lost.
        let disk = |a: &Action| matches!(a, Action::CreateVolume { .. });
        if !steps[..done].iter().any(|s| disk(&s.action)) {
            assert_eq!(counts(&rest)[1..], [2, 0], "after {done} steps");
        }
        let rest = rest.steps;
        apply(&mut seen, &rest);
        assert!(seen.domains.values().all(|d| d.active && d.ready), "after {done} steps");
        assert!(plan(&warm(&[(WEB, 2)], &seen, StartChoice::Auto), &seen).is_empty());
    }
}

/// A run that ended while devices were plugged in, or one that is at it: nobody has taken anything out.
#[test]
fn a_node_that_gets_its_devices_was_not_changed_by_others() {
    let mut seen = Observed::default();
    let blueprint = warm(&[(WEB, 1)], &seen, StartChoice::Warm);
    let steps = plan(&blueprint, &seen).steps;
    apply(&mut seen, &steps);
    let domain = seen.domains.get_mut("web-0").unwrap();
    domain.live.as_mut().unwrap().nics.clear();
    for (ready, told) in [(false, "does not have all of its devices yet"), (true, "taken out")] {
        seen.domains.get_mut("web-0").unwrap().ready = ready;
        let blueprint = warm(&[(WEB, 1)], &seen, StartChoice::Warm);
        let changes = plan(&blueprint, &seen).changes;
        let change = changes.iter().find(|c| c.name == "web-0").unwrap();
        assert!(change.reason.all.join("; ").contains(told), "{change:?}");
        let drifts = plan::drifts(&seen);
        assert!(drifts.len() == 1 && drifts[0].what.contains(told), "{drifts:?}");
    }
}

/// A NIC that was plugged in came after one that was in the template's memory, and the next `up` restarted the node.
#[test]
fn nics_of_a_warm_node_are_where_they_are_whenever_they_came() {
    let nodes = format!("{WEB}  nic2: {{network: data}}\n");
    let mut seen = Observed::default();
    let blueprint = warm(&[(&nodes, 1)], &seen, StartChoice::Warm);
    let steps = plan(&blueprint, &seen).steps;
    apply(&mut seen, &steps);
    let domain = |seen: &mut Observed, change: fn(&mut Vec<Nic>)| {
        change(&mut seen.domains.get_mut("web-0").unwrap().live.as_mut().unwrap().nics);
    };
    domain(&mut seen, |nics| nics.reverse());
    assert!(plan::drifts(&seen).is_empty(), "{:?}", plan::drifts(&seen));
    assert!(plan(&warm(&[(&nodes, 1)], &seen, StartChoice::Auto), &seen).is_empty());
    // A third one is plugged in, and nothing restarts.
    let more = format!("{nodes}  nic3: {{network: external}}\n");
    let grown = plan(&warm(&[(&more, 1)], &seen, StartChoice::Auto), &seen);
    let stops = |a: &Action| matches!(a, Action::StopDomain { .. });
    assert!(!grown.steps.is_empty() && !grown.steps.iter().any(|s| stops(&s.action)));
    // A guest that nobody has set up counts its NICs.
    let mut counted = seen.clone();
    counted.domains.get_mut("web-0").unwrap().recorded.guest = None;
    assert_eq!(plan::drifts(&counted).len(), 1);
    // What somebody takes out is missed.
    domain(&mut seen, |nics| drop(nics.pop()));
    assert_eq!(plan::drifts(&seen).len(), 1);
}

/// What a memory image depends on, and what not.
#[test]
fn a_template_is_for_nodes_of_one_shape() {
    let nothing = Observed::default();
    let key = |nodes: &str, emulator: &str| {
        let blueprint = blueprint_of(&input(&[(nodes, 1)], "3_nets", &[]), &nothing);
        blueprint::template(&blueprint.nodes[0], None, &blueprint.pool, &|_| true, emulator)
            .unwrap()
            .key
    };
    let same = key(WEB, "QEMU 1");
    for other in [WEB.replace("size: 4G", "size: 9G"), WEB.replace("web", "other")] {
        assert_eq!(key(&other, "QEMU 1"), same, "{other}");
    }
    let further = "disks: {disk1: {import_url: x, size: 4G}, disk2: {size: 1G}}";
    let keys: BTreeSet<String> = [
        same.clone(),
        key(WEB, "QEMU 2"),
        key(DB, "QEMU 1"),
        key(&WEB.replace("768", "1024"), "QEMU 1"),
        key(&WEB.replace("import_url: x", "import_url: y"), "QEMU 1"),
        key(&WEB.replace("disks: {disk1: {import_url: x, size: 4G}}", further), "QEMU 1"),
        key(&format!("{WEB}  nic2: {{network: data}}\n"), "QEMU 1"),
    ]
    .into();
    assert_eq!(keys.len(), 7);
    let blueprint = blueprint_of(&input(&[(WEB, 1)], "3_nets", &[]), &nothing);
    let none = |_: &Image| false;
    let first = &blueprint.nodes[0];
    assert_eq!(
        blueprint::template(first, None, &blueprint.pool, &none, ""),
        Err(ColdReason::NoAgent)
    );
    // Its files are in that pool, and its domain is called after it.
    let other = Pool { path: "/other".parse().unwrap(), ..blueprint.pool.clone() };
    let of = |pool: &Pool| blueprint::template(first, None, pool, &|_: &Image| true, "QEMU 1");
    assert_ne!(of(&blueprint.pool).unwrap().key, of(&other).unwrap().key);
    // What would have to be there as it starts.
    let writing = |path: &str| FirstBoot {
        files: vec![BootFile {
            path: path.parse().unwrap(),
            content: Secret::new(String::new()),
            mode: "0644".parse().unwrap(),
            owner: None,
        }],
        ..FirstBoot::default()
    };
    let start = |path: &str| {
        blueprint::template(first, Some(&writing(path)), &blueprint.pool, &|_: &Image| true, "")
    };
    assert!(start("/etc/motd").is_ok());
    let cold = start("/etc/udev/rules.d/70-own.rules").unwrap_err().to_string();
    assert_eq!(cold, "`/etc/udev/rules.d/70-own.rules` is read while a system starts");
}

#[test]
fn templates_are_made_beforehand() {
    let nothing = Observed::default();
    let blueprint = warm(&[(WEB, 3), (DB, 1)], &nothing, StartChoice::Warm);
    let plan = plan::templates(&blueprint, &nothing);
    assert_eq!(counts(&plan), [2, 0, 0]);
    let titles: Vec<String> = plan.steps.iter().map(|s| s.action.title()).collect();
    assert_eq!(titles.len(), 3, "{titles:?}");
    let mut seen = Observed::default();
    seen.volumes.insert(blueprint.pool.name.to_string(), BTreeSet::new());
    apply(&mut seen, &plan.steps);
    assert!(plan::templates(&blueprint, &seen).is_empty());
    // A node whose disks are in another pool cannot start from one in this.
    let mut elsewhere = Observed::default();
    let steps = self::plan(&blueprint, &elsewhere).steps;
    apply(&mut elsewhere, &steps);
    elsewhere.volumes.clear();
    for (name, domain) in &mut elsewhere.domains {
        if name.as_str() != "db-0" {
            domain.pool.name = "another".parse().unwrap();
        }
    }
    let blueprint = warm(&[(WEB, 3), (DB, 1)], &elsewhere, StartChoice::Warm);
    assert_eq!(counts(&plan::templates(&blueprint, &elsewhere)), [1, 0, 0]);
}
