//! One value that is wrong is one error: each value of the built-in files and of the examples is broken, one at a time and in
//! several ways, and whatever is said besides of something else is a follow-up that nobody needs.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::defaults::{self, Kind};
use maquette_core::diagnostic::{Diagnostic, Diagnostics, Severity};
use maquette_core::examples::examples;
use maquette_core::expand;
use maquette_core::observed::Observed;
use maquette_core::syntax::{Entry, Span, Tree, Value, parse};
use maquette_core::topology::{self, Allocation, NodeRequest, Request};
use maquette_testkit::{Input, input, types_for};

/// How many values of one key are broken in a file: networks of BGP files are all alike.
const ALIKE: usize = 2;

/// Where a value is: which of the trees of a request, and which child of which child.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    tree: usize,
    way: Vec<usize>,
    /// For people.
    name: String,
}

/// The trees of a request: the network file, the project file's networks, then the node types.
fn tree(request: &mut Request, number: usize) -> Option<&mut Tree> {
    match number {
        0 => Some(&mut request.network),
        1 => request.networks.as_mut(),
        number => Some(&mut request.nodes.get_mut(number - 2)?.tree),
    }
}

fn child(node: &mut Tree, number: usize) -> &mut Tree {
    match &mut node.value {
        Value::Map(entries) => &mut entries[number].value,
        Value::List(items) => &mut items[number],
        _ => panic!("it has no children"),
    }
}

/// Every value below a node, with its key in general: how entries are called is the user's choice.
fn places(node: &Tree, at: &Place, general: &str, found: &mut Vec<(Place, String)>) {
    let step = |number: usize, name: &str| Place {
        tree: at.tree,
        way: at.way.iter().copied().chain([number]).collect(),
        name: format!("{}.{name}", at.name),
    };
    match &node.value {
        Value::Map(entries) => {
            let free = ["networks", "nodes", "interfaces", "disks", "ips"];
            let is_free = free.contains(&general.rsplit('.').next().unwrap());
            for (number, entry) in entries.iter().enumerate() {
                let key = if is_free { "*" } else { &entry.key };
                let general = format!("{general}.{key}");
                let place = step(number, &entry.key);
                places(&entry.value, &place, &general, found);
                found.push((place, general));
            }
        }
        Value::List(items) => {
            for (number, item) in items.iter().enumerate() {
                let place = step(number, &number.to_string());
                let general = format!("{general}.*");
                places(item, &place, &general, found);
                found.push((place, general));
            }
        }
        Value::Scalar(..) | Value::Null => {}
    }
}

/// A value in ways that are wrong for most keys.
fn broken(node: &Tree) -> Vec<(&'static str, Tree)> {
    let span = node.span;
    let text = |text: &str| Tree::scalar(text, span);
    let list = Tree { value: Value::List(vec![text("[")]), ..text("") };
    let key = Entry { key: "nobody-knows".into(), key_span: span, value: text("1") };
    let map = Tree { value: Value::Map(vec![key]), ..text("") };
    let mut all = vec![("a variable that is not there", text("{{ nobody_knows }}"))];
    match &node.value {
        Value::Scalar(old, _) => {
            all.push(("a part that is not there", text(&format!("{old}{{{{ nobody_knows }}}}"))));
            all.extend([("odd characters", text("%$ ?")), ("a list", list), ("a mapping", map)]);
            if old.parse::<u64>().is_ok() {
                all.extend([("too large", text("99999999999999")), ("below zero", text("-1"))]);
            }
            if old.contains('.') || old.contains(':') {
                all.push(("no address", text("172.16.0.300")));
            }
        }
        Value::Map(_) => all.extend([("a word", text("%$ ?")), ("a list", list)]),
        Value::List(_) => all.extend([("a word", text("%$ ?")), ("a mapping", map)]),
        Value::Null => all.extend([("a word", text("%$ ?")), ("a list", list)]),
    }
    all
}

/// Errors of a request on a hypervisor with nothing.
fn errors(request: &Request) -> Vec<Diagnostic> {
    let mut diags = Diagnostics::lenient();
    if let Some(topology) = topology::compile(request, Allocation::UNPREFIXED, &mut diags) {
        topology::lint(&topology, &mut diags);
    }
    if !diags.has_errors() {
        let mut observed = Observed::default();
        observed.host.default_nic = Some("eno1".into());
        if let Some(topology) = expand::choose(request, &observed, &mut diags) {
            let (blueprint, found) = maquette_testkit::expand(&topology, &observed);
            diags.extend(found);
            expand::conflicts(&topology, &blueprint, &observed, &mut diags);
        }
    }
    diags.iter().filter(|d| d.severity == Severity::Error).cloned().collect()
}

/// Breaks the values of some trees of an input; what is told too much.
fn follow_ups(input: &Input, of: &str, trees: &BTreeSet<usize>) -> Vec<String> {
    let mut request = input.request.clone();
    // This hypervisor has none of the NICs that files name.
    let before = errors(&request);
    assert!(before.iter().all(|d| d.code == "hypervisor::nic"), "{of}: {before:#?}");
    let mut told = Vec::new();
    for number in trees {
        let Some(node) = tree(&mut request, *number) else { continue };
        let root = Place { tree: *number, way: Vec::new(), name: of.into() };
        let mut found = Vec::new();
        places(node, &root, "", &mut found);
        let mut alike: BTreeMap<String, usize> = BTreeMap::new();
        for (place, general) in found {
            let count = alike.entry(general).or_default();
            *count += 1;
            if *count > ALIKE {
                continue;
            }
            let old = value(&mut request, &place).clone();
            for (how, new) in broken(&old) {
                *value(&mut request, &place) = new;
                let mut found = errors(&request);
                found.retain(|d| !before.contains(d));
                let about = |d: &&Diagnostic| !is_at(d, old.span);
                if found.len() > 1 && found.iter().any(|d| about(&d)) {
                    let said: Vec<String> =
                        found.iter().map(|d| format!("{} {}", d.code, d.message)).collect();
                    told.push(format!("{}: {how}: {said:#?}", place.name));
                }
            }
            *value(&mut request, &place) = old;
        }
    }
    told
}

fn value<'a>(request: &'a mut Request, place: &Place) -> &'a mut Tree {
    place.way.iter().fold(tree(request, place.tree).unwrap(), |node, step| child(node, *step))
}

/// Whether an error is about a value, or something in it.
fn is_at(diagnostic: &Diagnostic, span: Span) -> bool {
    diagnostic.labels.first().is_some_and(|label| label.span == span)
}

/// Each node type once, in the first network file that it goes with.
#[test]
fn a_broken_value_of_a_built_in_file_is_one_error() {
    let mut told = Vec::new();
    let mut done: BTreeSet<String> = BTreeSet::new();
    for network in defaults::names(Kind::Network) {
        let (types, bgp) = types_for(network).remove(0);
        let nodes: Vec<(&str, u32)> = types.iter().map(|t| (t.as_str(), 1)).collect();
        let mut wanted = input(&nodes, network, &[]);
        wanted.request.settings.bgp = bgp;
        let new = types.iter().enumerate().filter(|(_, name)| done.insert((*name).clone()));
        let trees = new.map(|(number, _)| number + 2).chain([0]).collect();
        told.extend(follow_ups(&wanted, network, &trees));
    }
    assert!(told.is_empty(), "{} follow-ups: {}", told.len(), told.join("\n"));
}

#[test]
fn a_broken_value_of_an_example_is_one_error() {
    let mut told = Vec::new();
    let mut tried = 0;
    for example in examples() {
        let mut wanted = input(&[], "networks: {}\nnodes: {}\n", &[]);
        let id = wanted.sources.add(example.name, example.text);
        let tree = parse(&wanted.sources, id, &mut wanted.diags).unwrap();
        wanted.request.networks = tree.get("networks").cloned();
        let nodes = tree.get("nodes").map_or(&[][..], Tree::entries);
        // Types that come with Maquette, by number.
        if nodes.iter().any(|entry| !matches!(entry.value.value, Value::Map(_))) {
            continue;
        }
        tried += 1;
        wanted.request.nodes = nodes.iter().enumerate().map(described).collect();
        let trees = (1..nodes.len() + 2).collect();
        told.extend(follow_ups(&wanted, example.name, &trees));
    }
    assert!(tried > 5, "{tried}");
    assert!(told.is_empty(), "{} follow-ups: {}", told.len(), told.join("\n"));
}

/// A node type of a project file, as the program asks for it.
fn described((place, entry): (usize, &Entry)) -> NodeRequest {
    let mut tree = entry.value.clone();
    if let Value::Map(entries) = &mut tree.value {
        entries.retain(|e| e.key != "count");
    }
    let (file, path) = (entry.key.clone(), format!("nodes/{place:05}/{}", entry.key));
    NodeRequest { file, path, tree, count: 2, span: entry.key_span, described: true }
}
