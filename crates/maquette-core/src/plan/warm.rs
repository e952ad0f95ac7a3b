//! Nodes that start from a template instead of booting.

use std::collections::{BTreeMap, BTreeSet};

use super::fate::{Fate, Fates, fates};
use super::ready::readiness;
use super::{Action, Builder, Change, Op, Plan, describe};
use crate::blueprint::{Blueprint, Cold, Image, Node, Pool, Template};
use crate::object::ObjectKind;
use crate::observed::Observed;
use crate::seed::template_files;
use crate::settings::StartChoice;

/// Why templates are made.
pub(super) const REASON: &str = "nodes start from it";

/// How many nodes have to share a template for it to be worth making, unless it was asked for.
const SHARED: usize = 2;

/// What new nodes start from, or why they boot, by their names; nothing where everything boots.
pub(super) fn starts(
    blueprint: &Blueprint,
    observed: &Observed,
    fates: &Fates,
) -> BTreeMap<String, Result<Template, Cold>> {
    if blueprint.start == StartChoice::Cold {
        return BTreeMap::new();
    }
    let elsewhere = |node: &Node| {
        observed.domains.get(&node.name).is_some_and(|domain| domain.pool != blueprint.pool)
    };
    let able = |node: &Node| match blueprint.templates.get(&node.name)? {
        Ok(_) if elsewhere(node) => Some(Err(Cold::Pool)),
        // Where it answers is known beforehand or reported: else nobody can tell when it is ready.
        Ok(_) if readiness(node).is_none() => Some(Err(Cold::NoAddress)),
        found => Some(found.clone()),
    };
    let new = new(blueprint, observed, fates);
    let mut found: BTreeMap<String, Result<Template, Cold>> =
        new.into_iter().filter_map(|node| Some((node.name.clone(), able(node)?))).collect();
    let mut shared: BTreeMap<String, usize> = BTreeMap::new();
    for template in found.values().flatten() {
        *shared.entry(template.key.clone()).or_default() += 1;
    }
    let worth = |template: &Template| {
        blueprint.start == StartChoice::Warm
            || shared.get(&template.key).is_some_and(|count| *count >= SHARED)
            || is_there(template, &blueprint.pool, observed)
    };
    for start in found.values_mut() {
        if start.as_ref().is_ok_and(|template| !worth(template)) {
            *start = Err(Cold::Alone);
        }
    }
    found
}

/// Nodes whose first disk is made.
fn new<'a>(blueprint: &'a Blueprint, observed: &Observed, fates: &Fates) -> Vec<&'a Node> {
    let orphans = observed.orphans();
    let is_new = |node: &&Node| {
        let made = match fates.nodes.get(&node.name) {
            None | Some(Fate::Create | Fate::Replace(_)) => true,
            Some(Fate::Keep) => is_begun(node, observed),
            Some(_) => false,
        };
        made
            // One that was undefined or edited keeps its disks, and what is on them.
            && observed.edited(ObjectKind::Domain, &node.name).is_none()
            && !orphans.contains_key(&node.name)
    };
    blueprint.nodes.iter().filter(is_new).collect()
}

/// Whether a run that ended before has defined a node, and not come to its first disk.
fn is_begun(node: &Node, observed: &Observed) -> bool {
    let Some(domain) = observed.domains.get(&node.name) else { return false };
    let first = node.disks.first().map(|disk| disk.volume.as_str());
    let missing = observed.missing_volumes(node, &domain.pool);
    !domain.active && !domain.ready && first.is_some_and(|volume| missing.contains(&volume))
}

/// The names of nodes that may start from templates: those whose disks are made.
pub fn fresh(blueprint: &Blueprint, observed: &Observed) -> BTreeSet<String> {
    let new = new(blueprint, observed, &fates(blueprint, observed));
    new.into_iter().map(|node| node.name.clone()).collect()
}

/// Whether a template can be started from: its disk and its memory are there.
pub(super) fn is_there(template: &Template, pool: &Pool, observed: &Observed) -> bool {
    [template.memory(), template.disk()].iter().all(|file| observed.has_volume(pool, file))
}

/// Plans the templates that a blueprint's nodes can start from, and their images; nothing else is made.
pub fn templates(blueprint: &Blueprint, observed: &Observed) -> Plan {
    let pool = &blueprint.pool;
    let (mut builder, mut changes) = (Builder::default(), Vec::new());
    let (mut fetched, mut seen) = (BTreeMap::new(), BTreeSet::new());
    let mut change = |op, name: &str, image: &Image, reason: &str| {
        let (kind, detail) = (ObjectKind::Image, image.shown());
        changes.push(Change { op, kind, name: name.into(), detail, reason: reason.into() });
    };
    for node in &blueprint.nodes {
        let Some(Ok(template)) = blueprint.templates.get(&node.name) else { continue };
        // A node that would boot in spite of it needs none.
        if readiness(node).is_none() || !seen.insert(&template.key) {
            continue;
        }
        let image = &template.image;
        if is_there(template, pool, observed) {
            change(Op::Keep, &template.name(), image, "");
            continue;
        }
        if !observed.has_volume(pool, &image.volume) && !fetched.contains_key(&image.volume) {
            let reason = describe::missing_image(blueprint, image);
            change(Op::Create, &image.volume, image, &reason);
            let fetch = Action::FetchImage {
                image: image.clone(),
                pool: pool.clone(),
                smallest: node.disks.first().and_then(|d| d.size).map(|s| s.0),
            };
            fetched.insert(image.volume.clone(), builder.add(fetch, [], reason));
        }
        change(Op::Create, &template.name(), image, REASON);
        let after = fetched.get(&image.volume).copied();
        builder.add(make(template, node, pool, true), after, REASON);
    }
    Plan { changes, steps: builder.finish() }
}

/// The step's action that makes a template.
pub(super) fn make(template: &Template, node: &Node, pool: &Pool, required: bool) -> Action {
    Action::MakeTemplate {
        template: template.clone(),
        node: Box::new(node.clone()),
        pool: pool.clone(),
        required,
        files: node.guest.as_ref().map(|g| template_files(&g.user)).unwrap_or_default(),
    }
}
