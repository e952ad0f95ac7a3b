//! From one topology to another, on a hypervisor that has the first; and topologies as files of our own.

use maquette_core::blueprint::Blueprint;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Plan};
use maquette_core::values::Secret;
use maquette_testkit::apply;

use crate::topology::{blueprint_on, on_ground, request};
use crate::{check, pictures};

/// What stands between the two.
const THEN: &str = "\n%% then\n";

/// The input has two topologies, as the target `topology` has one: the first is built, and then changed into the second, or
/// extended by it; whatever comes of that goes, and leaves nothing.
pub fn changes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (before, after) = text.split_once(THEN).unwrap_or((text, text));
    let mut there = maquette_testkit::machine(&["nic1", "nic2", "lo"]);
    let Some(built) = request(before).and_then(|read| blueprint_on(read, &there)) else { return };
    let plan = told(&built, &there);
    apply(&mut there, &plan.steps);
    for extend in [false, true] {
        let Some(mut read) = request(after) else { return };
        read.0.settings.extend = extend;
        let mut seen = there.clone();
        let Some(wanted) = blueprint_on(read, &seen) else { continue };
        // What is of another environment is somebody else's.
        if wanted.environment != built.environment {
            continue;
        }
        let plan = told(&wanted, &seen);
        apply(&mut seen, &plan.steps);
        let removal = plan::destroy(&seen, &wanted.environment);
        pictures::planned(&removal, &wanted.environment.to_string());
        apply(&mut seen, &removal.steps);
        assert!(!seen.exists(), "something is left: {seen:#?}");
        assert!(maquette_testkit::node_volumes(&seen).is_empty(), "disks are left: {seen:#?}");
    }
}

/// A plan, of which nothing is said that a terminal would obey.
fn told(blueprint: &Blueprint, observed: &Observed) -> Plan {
    let plan = plan::create(blueprint, observed, &|_| Secret::new("key"));
    for step in &plan.steps {
        check::no_controls("a step", &step.action.title());
    }
    pictures::planned(&plan, &blueprint.environment.to_string());
    plan
}

/// What a topology without a network file becomes as a file of our own is read again, without a mistake, and means the same nodes and networks.
pub fn convert(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(read) = request(text) else { return };
    let asked = read.0.clone();
    // A network file is found by its name, and where this reads there is another one.
    if !asked.network.is_empty() {
        return;
    }
    let observed = Observed::default();
    let Some(blueprint) = blueprint_on(read, &observed) else { return };
    let (again, files) = on_ground(|ground| ground.converted(&asked)).expect("it can be written");
    files.iter().for_each(|file| check::no_controls("a file", file));
    let again = blueprint_on(again, &observed).unwrap_or_else(|| panic!("refused: {files:#?}"));
    // Under which prefix it is built is not written.
    let names = |b: &Blueprint| {
        let prefix = b.environment.qualify("");
        let bare = |name: &str| name.strip_prefix(&prefix).unwrap_or(name).to_string();
        let nodes = b.nodes.iter().map(|n| bare(&n.name));
        nodes.chain(b.networks.iter().map(|n| bare(&n.name))).collect::<Vec<_>>()
    };
    assert_eq!(names(&again), names(&blueprint), "{files:#?}");
}
