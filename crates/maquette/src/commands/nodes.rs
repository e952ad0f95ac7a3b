//! Finding nodes by what the user calls them.

use std::collections::BTreeSet;

use maquette_core::diagnostic::{Diagnostic, Diagnostics, closest};
use maquette_core::object::ObjectKind;
use maquette_core::observed::{Domain, Observed};
use maquette_core::syntax::Sources;
use maquette_engine::StepError;

use crate::failure::Failure;
use crate::load::Located;

use crate::workspace::inventory::Inventory;
use crate::workspace::outputs;
use crate::world::World;

/// libvirt's names of nodes, which are given with or without the prefix, or by their names in the
/// user's own inventory. With `gone`, a node that has gone already is fine; a name that no node can
/// have never is.
pub fn resolve(
    world: &World,
    words: &[String],
    located: &Located,
    observed: &Observed,
    gone: bool,
) -> Result<BTreeSet<String>, Failure> {
    let environment = &located.environment;
    let noted = observed.networks.values().flat_map(|n| &n.recorded.tenants).map(|t| &t.node);
    let edited = observed.edited.iter().filter(|e| e.kind == ObjectKind::Domain).map(|e| &e.name);
    let noted = noted.chain(edited).filter(|_| gone);
    let known: BTreeSet<&str> = observed.domains.keys().chain(noted).map(String::as_str).collect();
    let inventory =
        Inventory::read(&located.workspace.file(outputs::INVENTORY)).unwrap_or_default();
    let original = |word: &str| Some(inventory.find(word)?.var("original_name")?.to_string());
    let roles: BTreeSet<String> =
        observed.domains.values().map(|d| environment.qualify(&d.recorded.role)).collect();
    let mut names = BTreeSet::new();
    let mut diags = Diagnostics::default();
    for word in words {
        let candidates = [Some(word.clone()), Some(environment.qualify(word)), original(word)];
        let found = candidates.iter().flatten().find(|name| known.contains(name.as_str()));
        if let Some(name) = found {
            names.insert(name.clone());
            continue;
        }
        let numbered = |name: &String| {
            let role = name.rsplit_once('-').filter(|(_, number)| number.parse::<u32>().is_ok());
            role.is_some_and(|(role, _)| roles.contains(role))
        };
        if gone && candidates.iter().flatten().any(numbered) {
            world.terminal.talk(&format!("`{word}` is not there; it may have been removed before"));
            continue;
        }
        let message = format!("environment `{environment}` has no node `{word}`");
        let mut error = Diagnostic::error("node::unknown", message);
        if let Some(name) = closest(&environment.qualify(word), known.iter().copied()) {
            error = error.help(format!("did you mean `{name}`?"));
        }
        let list = known.iter().copied().collect::<Vec<_>>().join(", ");
        let list =
            if list.is_empty() { "there is none".into() } else { format!("there are: {list}") };
        diags.push(error.help(list));
    }
    match diags.has_errors() {
        true => Err(Failure::Input(diags, Sources::default())),
        false => Ok(names),
    }
}

/// The domain of one node that is there.
pub fn one<'a>(
    world: &World,
    word: &str,
    located: &Located,
    observed: &'a Observed,
) -> Result<&'a Domain, Failure> {
    let names = resolve(world, &[word.to_string()], located, observed, false)?;
    let found = names.first().and_then(|name| observed.domains.get(name));
    found.ok_or_else(|| Failure::Failed(StepError::new(format!("there is no domain of `{word}`"))))
}

/// Refuses a domain that does not run.
pub fn must_run(domain: &Domain) -> Result<(), Failure> {
    if domain.active {
        return Ok(());
    }
    let error = StepError::new(format!("`{}` is not running", domain.name));
    Err(Failure::Failed(error.hint(format!("`maquette start {}` starts it", domain.name))))
}
