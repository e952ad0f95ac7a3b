//! A stranger's project, node and network files, and extra variables, to every output.

use std::cell::RefCell;
use std::path::Path;

use maquette::fuzzing::{self, Ground, Read};
use maquette_core::blueprint::{Blueprint, Vnc};
use maquette_core::expand::{self, CloudInit, Context, ImageMap};
use maquette_core::observed::Observed;
use maquette_core::plan;
use maquette_core::topology::{self as core, VirtType};
use maquette_core::values::PublicKey;
use maquette_core::values::Secret;
use maquette_libvirt::xml::{self, read};
use tempfile::TempDir;

use crate::xml::without_secrets;
use crate::{Parts, check, dnsmasq, pictures};

/// More nodes say nothing new, and take long.
const MOST_NODES: u32 = 12;

thread_local! {
    static GROUND: RefCell<Option<(TempDir, Ground)>> = const { RefCell::new(None) };
}

/// The input has the parts `project`, `node`, `network` and `extra` (a line for each variable); without `node`, there is
/// a `layout`, or the project file describes nodes and networks itself.
pub fn topology(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some((blueprint, observed)) = blueprint(text) {
        outputs(&blueprint, &observed);
    }
}

/// The blueprint of an input, unless it is refused.
pub fn blueprint(text: &str) -> Option<(Blueprint, Observed)> {
    let observed = Observed::default();
    let blueprint = blueprint_on(request(text)?, &observed)?;
    Some((blueprint, observed))
}

/// Does something with the directory in which files are read.
pub fn on_ground<T>(read: impl FnOnce(&mut Ground) -> T) -> T {
    GROUND.with_borrow_mut(|ground| {
        let (_, ground) = ground.get_or_insert_with(|| {
            let directory = tempfile::tempdir().expect("there is room");
            let ground = Ground::new(directory.path()).expect("the flags are as they were");
            (directory, ground)
        });
        read(ground)
    })
}

/// What an input asks for, with what there is to say about it; unless it is refused.
pub fn request(text: &str) -> Option<Read> {
    let parts = Parts::of(text);
    let extra: Vec<&str> = parts.get("extra").lines().filter(|l| !l.is_empty()).collect();
    let network = (parts.get("network"), parts.get("layout"));
    let read = on_ground(|g| g.read(parts.get("project"), parts.get("node"), network, &extra));
    match read {
        // More of them say nothing new.
        Ok((request, ..)) if request.nodes.iter().any(|n| n.count > MOST_NODES) => None,
        Ok(read) => Some(read),
        Err(drawn) => {
            check::told(&drawn);
            None
        }
    }
}

/// What is asked for on a hypervisor, unless it is refused or something is in its way.
pub fn blueprint_on(read: Read, observed: &Observed) -> Option<Blueprint> {
    let (request, mut diags, sources) = read;
    let topology = expand::choose(&request, observed, &mut diags);
    if let Some(topology) = &topology {
        core::lint(topology, &mut diags);
    }
    check::told(&fuzzing::drawn(&diags, &sources));
    let topology = topology.filter(|_| !diags.has_errors())?;
    // What an address or a file holds is another target's.
    let mut images = ImageMap::new();
    for word in expand::image_sources(&topology) {
        if word.contains('/') && !word.contains("://") {
            return None;
        }
        let resolved = maquette_engine::image::resolve(&word, Path::new("/nonexistent")).ok()?;
        images.insert(word, resolved.image);
    }
    let context = Context {
        observed,
        virt: VirtType::Qemu,
        images: &images,
        cloud_init: &CloudInit::default(),
        authorized_key: &PublicKey::known("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA maquette"),
        host_keys: &|_, _, _| PublicKey::known("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBB host"),
        generation: 1,
        vnc: &Vnc::default(),
        tag: &|secret| secret.reveal().to_string(),
    };
    let mut diags = diags.fresh();
    let blueprint = expand::expand(&topology, &context, &mut diags);
    // Without one, no hypervisor is meant.
    if !observed.host.links.is_empty() {
        expand::conflicts(&topology, &blueprint, observed, &mut diags);
        plan::replaced_in_use(&blueprint, observed, &mut diags);
        check::told(&fuzzing::drawn(&diags, &sources));
    }
    (!diags.has_errors()).then_some(blueprint)
}

/// Everything that is made of a blueprint.
fn outputs(blueprint: &Blueprint, observed: &Observed) {
    let nodes: Vec<_> = blueprint.nodes.iter().collect();
    check::operators_files(&nodes);
    for node in &nodes {
        let digest = node.guest.as_ref().and_then(|guest| guest.first_boot);
        check::seed(node, digest.and_then(|digest| blueprint.first_boots.get(&digest)));
        let mark = xml::Mark { address: node.access.address, ..xml::Mark::ready() };
        let written = xml::domain(node, &blueprint.environment, &blueprint.pool, &mark);
        written_xml(&written);
        let read = read::domain(&written).expect("what is written can be read");
        let read::Record::Good(record) = read.record else { panic!("{:?}", read.record) };
        assert_eq!(record.node, without_secrets((*node).clone()));
        assert_eq!(record.environment, blueprint.environment);
        for disk in &node.disks {
            written_xml(&xml::volume(disk, &blueprint.pool, 1 << 20));
            assert!(!disk.volume.contains('/') && !disk.volume.starts_with('.'), "{}", disk.volume);
        }
    }
    for network in &blueprint.networks {
        let written = xml::network(network, &blueprint.environment, blueprint.allocation);
        written_xml(&written);
        let read = read::network(&written).expect("what is written can be read");
        let read::Record::Good(record) = read.record else { panic!("{:?}", read.record) };
        assert_eq!(record.network, *network);
        dnsmasq::configuration(&written);
    }
    let plan = plan::create(blueprint, observed, &|_| Secret::new("key"));
    for step in &plan.steps {
        check::no_controls("a step", &step.action.title());
    }
    pictures::planned(&plan, &blueprint.environment.to_string());
    pictures::drawn(blueprint);
}

/// Well-formed, and without anything that had to be escaped because it would be another line.
fn written_xml(text: &str) {
    if let Err(error) = roxmltree::Document::parse(text) {
        panic!("{error}: {text}");
    }
    check::no_controls("XML", text);
    for bad in ["&#10;", "&#13;", "&#9;", "\u{fffd}"] {
        assert!(!text.contains(bad), "XML: {text}");
    }
}
