//! Room in the pool and memory that templates take, and nodes that boot where there is none.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use crate::templates::{DB, WEB, counts, plan, warm};
use maquette_core::blueprint::{ColdReason, ImageOrigin};
use maquette_core::capacity::{self, Capacity};
use maquette_core::diagnostic::Diagnostics;
use maquette_core::observed::Observed;
use maquette_core::plan;
use maquette_core::settings::StartChoice;
use maquette_testkit::apply;

/// What a memory image takes of a node with 768 MiB, and what a template does, in bytes.
const IMAGE: u64 = (512 + 48) << 20;
const MADE: u64 = IMAGE + (64 << 20);

/// As much free room as it takes to have so much to spare: a tenth of it stays free.
fn sparing(bytes: u64) -> u64 {
    (bytes * 10).div_ceil(9)
}

/// Nobody starts to make what there is no room for; what is there needs room for the copy of one node.
#[test]
fn a_pool_without_room_has_nodes_boot() {
    let mut seen = Observed::default();
    for (start, free, made) in [
        (StartChoice::Auto, sparing(MADE + IMAGE) + 10, 1),
        (StartChoice::Auto, sparing(MADE + IMAGE) - 10, 0),
        // What is asked for by name is tried.
        (StartChoice::Warm, 0, 1),
    ] {
        seen.pool_free = Some(free);
        let plan = plan(&warm(&[(WEB, 2)], &seen, start), &seen);
        assert_eq!(counts(&plan), [made, 2 * made, 2 - 2 * made], "{free}");
        let told = plan
            .changes
            .iter()
            .any(|change| change.detail.contains("cold: the pool has no room for its memory"));
        assert_eq!(told, made == 0, "{free}");
    }
    // Two of which only one fits.
    seen.pool_free = Some(sparing(MADE + 2 * IMAGE) + 10);
    assert_eq!(counts(&plan(&warm(&[(WEB, 2), (DB, 2)], &seen, StartChoice::Auto), &seen))[0], 1);
    seen.pool_free = Some(u64::MAX);
    let blueprint = warm(&[(WEB, 2)], &seen, StartChoice::Auto);
    let steps = plan(&blueprint, &seen).steps;
    apply(&mut seen, &steps);
    for (free, cold) in [(sparing(IMAGE) + 10, false), (sparing(IMAGE) - 10, true)] {
        seen.pool_free = Some(free);
        let blueprint = warm(&[(WEB, 3)], &seen, StartChoice::Auto);
        assert_eq!(counts(&plan(&blueprint, &seen))[2] == 1, cold, "{free}");
    }
}

/// What comes into the pool before the templates has to fit as well.
#[test]
fn an_image_that_is_fetched_in_the_same_plan_takes_room_too() {
    let mut seen = Observed::default();
    let mut blueprint = warm(&[(WEB, 2)], &seen, StartChoice::Auto);
    let image = blueprint.nodes[0].disks[0].backing.clone().unwrap();
    let bytes = 100 << 20;
    blueprint.image_origins.insert(image.clone(), ImageOrigin::File { bytes });
    for (free, there, made) in
        [(MADE + IMAGE + bytes, false, 1), (MADE + IMAGE, false, 0), (MADE + IMAGE, true, 1)]
    {
        seen.pool_free = Some(sparing(free) + 10);
        let volumes = seen.volumes.entry(blueprint.pool.name.to_string()).or_default();
        volumes.clear();
        volumes.extend(there.then(|| image.volume.to_string()));
        assert_eq!(counts(&plan(&blueprint, &seen))[0], made, "{free} {there}");
    }
}

/// `image warm` says so before it has anything boot.
#[test]
fn templates_that_do_not_fit_are_refused_beforehand() {
    let mut seen = Observed::default();
    let mut blueprint = warm(&[(WEB, 2)], &seen, StartChoice::Warm);
    let image = blueprint.nodes[0].disks[0].backing.clone().unwrap();
    let bytes = 100 << 20;
    for (origin, free, fits) in [
        (None, sparing(MADE) + 10, true),
        (None, sparing(MADE) - 10, false),
        // The image that they are made from comes first.
        (Some(ImageOrigin::File { bytes }), sparing(MADE) + 10, false),
        (Some(ImageOrigin::File { bytes }), sparing(MADE + bytes) + 10, true),
    ] {
        seen.pool_free = Some(free);
        blueprint.image_origins =
            origin.map(|origin| (image.clone(), origin)).into_iter().collect();
        let made = plan::made_beforehand(&blueprint, &seen);
        let mut diags = Diagnostics::default();
        capacity::check_templates(&blueprint, &seen, made, &mut diags);
        assert_eq!(!diags.has_errors(), fits, "{free}");
    }
}

/// A node starts when its template's domain is gone; one that is replaced still runs.
#[test]
fn what_templates_take_is_counted() {
    let mut seen = Observed::default();
    let blueprint = warm(&[(WEB, 2), (DB, 1)], &seen, StartChoice::Auto);
    let templates = |memory_mib, bytes| capacity::Templates { memory_mib, bytes };
    assert_eq!(plan::made_for_nodes(&blueprint, &seen), templates(0, MADE));
    assert_eq!(plan::made_beforehand(&blueprint, &seen), templates(2 * 768, 2 * MADE));
    let steps = plan(&blueprint, &seen).steps;
    apply(&mut seen, &steps);
    assert_eq!(plan::made_for_nodes(&blueprint, &seen), templates(0, 0));
    assert_eq!(plan::made_beforehand(&blueprint, &seen), templates(768, MADE));
    // Another image replaces them.
    let other = WEB.replace("import_url: x", "import_url: y");
    let replaced = warm(&[(&other, 2), (DB, 1)], &seen, StartChoice::Auto);
    assert_eq!(plan::made_for_nodes(&replaced, &seen), templates(768, MADE));
}

/// The same of memory: those that are replaced run while their template is made.
#[test]
fn a_hypervisor_without_memory_for_a_template_has_nodes_boot() {
    let mut seen = Observed::default();
    let steps = plan(&warm(&[(WEB, 2), (DB, 1)], &seen, StartChoice::Auto), &seen).steps;
    apply(&mut seen, &steps);
    let resident = ["web-0", "web-1", "db-0"].map(|name| (name.to_string(), 768)).into();
    let other = WEB.replace("import_url: x", "import_url: y");
    for (start, available_mib, short) in [
        (StartChoice::Auto, 768, false),
        // A fifth more than there is is let through.
        (StartChoice::Auto, 640, false),
        (StartChoice::Auto, 639, true),
        (StartChoice::Auto, 0, true),
        (StartChoice::Warm, 0, false),
    ] {
        let mut blueprint = warm(&[(&other, 2), (DB, 1)], &seen, start);
        let capacity = Capacity {
            cpus: 2,
            total_mib: 4096,
            available_mib,
            reserved_mib: 0,
            resident_mib: &resident,
        };
        let names = plan::without_memory(&blueprint, &seen, &capacity);
        assert_eq!(names, if short { vec!["web-0", "web-1"] } else { vec![] }, "{available_mib}");
        for name in names {
            blueprint.templates.insert(name, Err(ColdReason::NoMemory));
        }
        let plan = plan(&blueprint, &seen);
        assert_eq!(counts(&plan)[0], usize::from(!short), "{available_mib}");
        let words = "cold: the hypervisor has no memory to make its template in";
        assert_eq!(plan.changes.iter().any(|c| c.detail.ends_with(words)), short);
        // Which is what would have been refused.
        let mut diags = Diagnostics::default();
        let made = plan::made_for_nodes(&blueprint, &seen);
        capacity::check(&blueprint, &seen, &capacity, made, false, &mut diags);
        assert_eq!(diags.has_errors(), start == StartChoice::Warm, "{available_mib}");
    }
}
