//! Finding nodes by what the user calls them.

use std::collections::BTreeSet;

use maquette_core::blueprint::Node;
use maquette_core::defaults::{self, Kind};
use maquette_core::diagnostic::{Diagnostic, Diagnostics, closest};
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::{Domain, Observed};
use maquette_core::selection::{self, Candidate};
use maquette_core::syntax::Sources;
use maquette_engine::StepError;

use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::load::{self, Located};
use crate::session::Session;
use crate::workspace::inventory::Inventory;
use crate::workspace::outputs;
use crate::world::World;

/// What words may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nodes that are there.
    There,
    /// The same, and nodes that have gone already.
    Gone,
    /// A node each, by its name alone, also one that has gone: as InfraRed has it, which never asks.
    GoneByName,
}

/// What a list of nodes may name, for the help of verbs.
pub const NODES: &str = "Nodes, node types, Ansible groups, or patterns such as 'web-*'";

/// The same where all are shown if none is named.
pub const ALL: &str =
    "Nodes, node types, Ansible groups, or patterns such as 'web-*' [default: all]";

/// The same where all are built if none is named.
pub const WANTED: &str = "Nodes, node types, Ansible groups, or patterns such as 'web-*'; others stay as they are [default: all]";

/// libvirt's names of the nodes that words mean: nodes, which are given with or without the prefix, or by their names in
/// the user's own inventory; node types, Ansible groups and patterns. A node that has gone already may be fine;
/// a name that no node can have never is.
pub fn resolve(
    world: &World,
    words: &[String],
    located: &Located,
    observed: &Observed,
    meaning: Meaning,
) -> Result<BTreeSet<String>, Failure> {
    let gone = meaning != Meaning::There;
    let environment = &located.environment;
    let known = candidates(observed, gone);
    let inventory =
        Inventory::read(&outputs::whole_inventory(&located.workspace)).unwrap_or_default();
    let original = |word: &str| Some(inventory.find(word)?.var("original_name")?.to_string());
    let mut names = BTreeSet::new();
    let mut diags = Diagnostics::default();
    for word in words {
        let select = |word: &str| {
            let mut found = selection::select(word, environment, &known);
            if meaning == Meaning::GoneByName {
                found.retain(|name| *name == word || *name == environment.qualify(word));
            }
            found
        };
        let mut found = select(word);
        if let Some(name) = original(word).filter(|_| found.is_empty()) {
            found = select(&name);
        }
        if !found.is_empty() {
            names.extend(found.into_iter().map(str::to_string));
        } else if gone && was_there(word, original(word), environment, &known) {
            world.terminal.talk(&format!("`{word}` is not there; it may have been removed before"));
        } else {
            diags.push(unknown(word, environment, &known));
        }
    }
    match diags.has_errors() {
        true => Err(Failure::Input(diags, Sources::default())),
        false => Ok(names),
    }
}

fn candidate(node: &Node) -> Candidate<'_> {
    let groups = node.groups.iter().map(|group| group.as_str()).collect();
    Candidate { name: &node.name, role: &node.role, groups }
}

/// Nodes that are there; with `gone`, those too of which only something is left.
fn candidates(observed: &Observed, gone: bool) -> Vec<Candidate<'_>> {
    let noted =
        observed.networks.values().flat_map(|n| &n.recorded.tenants).map(|t| t.node.as_str());
    let edited = observed.edited.iter().filter(|e| e.kind == ObjectKind::Domain);
    let edited = edited.map(|e| e.name.as_str());
    let left: BTreeSet<&str> = noted.chain(edited).filter(|_| gone).collect();
    let left = left.into_iter().filter(|name| !observed.domains.contains_key(*name));
    let there = observed.domains.values().map(|d| candidate(&d.recorded));
    let left = left.map(|name| Candidate { name, role: "", groups: Vec::new() });
    there.chain(left).collect()
}

/// Whether a word is what a node of a type that is there, or that comes with Maquette, could be called: the last of a type leaves
/// nothing that names it.
fn was_there(
    word: &str,
    original: Option<String>,
    environment: &EnvName,
    known: &[Candidate<'_>],
) -> bool {
    let typed = known.iter().filter(|c| !c.role.is_empty());
    let types = typed.map(|c| c.role).chain(defaults::names(Kind::Nodes));
    let roles: BTreeSet<String> = types.map(|role| environment.qualify(role)).collect();
    let names = [Some(word.to_string()), Some(environment.qualify(word)), original];
    names.iter().flatten().any(|name| {
        let role = name.rsplit_once('-').filter(|(_, number)| number.parse::<u32>().is_ok());
        role.is_some_and(|(role, _)| roles.contains(role))
    })
}

/// A word that means no node.
fn unknown(word: &str, environment: &EnvName, known: &[Candidate<'_>]) -> Diagnostic {
    let message = match selection::is_pattern(word) {
        true => format!("no node of environment `{environment}` fits `{word}`"),
        false => format!("environment `{environment}` has no node, node type or group `{word}`"),
    };
    let mut error = Diagnostic::error("node::unknown", message);
    let names = || known.iter().map(|c| c.name);
    // To whoever looks for a node, its type of the same name is none.
    let is_other = |role: &&str| !role.is_empty() && *role != word;
    let types = || known.iter().map(|c| c.role).filter(is_other);
    let numbered = word.rsplit_once('-').is_some_and(|(_, n)| n.parse::<u32>().is_ok());
    let of_type = || closest(word, types());
    let of_node = || closest(&environment.qualify(word), names());
    let near = if numbered { of_node().or_else(of_type) } else { of_type().or_else(of_node) };
    if let Some(name) = near.filter(|_| !selection::is_pattern(word)) {
        error = error.help(format!("did you mean `{name}`?"));
    }
    let list = names().collect::<Vec<_>>().join(", ");
    error.help(if list.is_empty() {
        "the environment has no nodes".into()
    } else {
        format!("there are: {list}")
    })
}

/// libvirt's names of the nodes that words mean, of those that an environment is to have.
pub fn wanted(
    words: &[String],
    environment: &EnvName,
    nodes: &[Node],
) -> Result<BTreeSet<String>, Failure> {
    let known: Vec<Candidate<'_>> = nodes.iter().map(candidate).collect();
    let (mut names, mut diags) = (BTreeSet::new(), Diagnostics::default());
    for word in words {
        let found = selection::select(word, environment, &known);
        if found.is_empty() {
            let error = unknown(word, environment, &known);
            // A node that was there, perhaps, and not a slip in the name of a type.
            let is_node = |(_, number): (&str, &str)| number.parse::<u32>().is_ok();
            diags.push(match word.rsplit_once('-').is_some_and(is_node) {
                true => {
                    error.help("`maquette down NODE` removes one that is not asked for any more")
                }
                false => error,
            });
        }
        names.extend(found.into_iter().map(str::to_string));
    }
    match diags.has_errors() {
        true => Err(Failure::Input(diags, Sources::default())),
        false => Ok(names),
    }
}

/// Nobody said which nodes are meant.
pub fn unnamed(verb: &str) -> Failure {
    let error = Diagnostic::error(
        "node::unnamed",
        format!("`maquette {verb}` needs to know which nodes are meant"),
    );
    Failure::input(
        error
            .help("name nodes, node types, Ansible groups, or patterns such as `'web-*'`")
            .help("`--all` means all nodes of the environment"),
    )
}

/// The domain of one node that is there.
pub fn one<'a>(
    world: &World,
    word: &str,
    located: &Located,
    observed: &'a Observed,
) -> Result<&'a Domain, Failure> {
    let names = resolve(world, &[word.to_string()], located, observed, Meaning::There)?;
    if names.len() > 1 {
        return Err(several(word, &names.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    let found = names.first().and_then(|name| observed.domains.get(name.as_str()));
    found.ok_or_else(|| Failure::Failed(StepError::new(format!("there is no domain of `{word}`"))))
}

/// A word that means several nodes, where one is needed.
pub fn several(word: &str, names: &[&str]) -> Failure {
    let error = Diagnostic::error("node::several", format!("`{word}` means {} nodes", names.len()));
    Failure::input(error.help(format!("name one of them: {}", names.join(", "))))
}

/// A node that runs, for verbs that show or take something of it.
pub struct Running<'w> {
    /// Its environment and hypervisor.
    pub session: Session<'w>,
    /// Its domain, as it was found.
    pub domain: Domain,
}

/// Finds a node by what the user calls it. An error if the word means none or several, or if the node does not run.
pub fn running<'w>(
    world: &'w World,
    place: &EnvironmentArgs,
    word: &str,
) -> Result<Running<'w>, Failure> {
    running_of(world, load::located(&world.environment, place)?, word)
}

/// The same in an environment that was found before.
pub fn running_of<'w>(
    world: &'w World,
    located: Located,
    word: &str,
) -> Result<Running<'w>, Failure> {
    let mut session = Session::open(world, located)?;
    let observed = session.running()?.observed();
    let domain = one(world, word, &session.located, &observed)?.clone();
    if !domain.active {
        let who = session.changed_by();
        return Err(Failure::Failed(not_running(&domain.name, who.as_deref())));
    }
    Ok(Running { session, domain })
}

/// A node that does not run, where it has to; `changed_by` is who changes its environment at this moment.
pub fn not_running(name: &str, changed_by: Option<&str>) -> StepError {
    let error = StepError::new(format!("`{name}` is not running"));
    error.hint(match changed_by {
        Some(who) => format!(
            "the environment is being changed by {who}; `maquette status --watch` shows when the node is ready"
        ),
        None => format!("`maquette start {name}` starts it"),
    })
}
