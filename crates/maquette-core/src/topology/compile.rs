//! Merging, evaluating and decoding: from trees to a [`Topology`].

use std::collections::{BTreeMap, BTreeSet};

use super::file_variables::FileVariables;
use super::{Forward, Interface, Network, Role, Settings, Topology, Vbmc};
use super::{bgp, described, free_subnet, network, role, vbmc};
use crate::decode::{Fields, quoted_list, wrong_type};
use crate::defaults::{self, Kind};
use crate::diagnostic::{Diagnostic, Diagnostics, UNUSED_EXTRA, slip, typo};
use crate::expr::{self, Scope, Variables};
use crate::file_keys::{Form, Key, key};
use crate::image::redact;
use crate::layers::merge;
use crate::names::type_of_node;
use crate::secret_keys;
use crate::settings;
use crate::syntax::{Entry, Plain, Span, Tree, Value};
use crate::values::{NodeType, has_template_marks, is_unprintable};

/// Third octets that a prefixed environment was given, so that two can live on one hypervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allocation {
    /// `{{ net }}`.
    pub net: u8,
    /// `{{ data_net }}`.
    pub data_net: u8,
}

impl Allocation {
    /// What an environment without a prefix uses.
    pub const UNPREFIXED: Self = Self { net: 0, data_net: 24 };

    /// Candidates for a prefixed environment, best first: (10, 24), (20, 34), …
    pub fn candidates() -> impl Iterator<Item = Self> {
        (1u8..=23).map(|k| Self { net: 10 * k, data_net: 14 + 10 * k })
    }
}

/// One part of `--topology-nodes`.
#[derive(Debug, Clone)]
pub struct NodeRequest {
    /// Base name of the file, without `.yml`.
    pub file: String,
    /// The file's path; node types are kept in its order.
    pub path: String,
    /// The file's content.
    pub tree: Tree,
    /// How many nodes.
    pub count: u32,
    /// Where the count was asked for.
    pub span: Span,
    /// Whether it is described in the project file, so that what it leaves out has defaults.
    pub described: bool,
}

/// All that a topology is made from, already read.
#[derive(Debug, Clone)]
pub struct Request {
    /// Node types, each with the count of its nodes.
    pub nodes: Vec<NodeRequest>,
    /// The network file.
    pub network: Tree,
    /// Its name, for messages.
    pub network_name: String,
    /// Whether there is such a file and it could not be read, which was said: `network` is empty then.
    pub network_unread: bool,
    /// Networks that are described in the project file, beside those of the network file, if there are any.
    pub networks: Option<Tree>,
    /// Extra variables; `override` counts.
    pub extra: Tree,
    /// Settings of the whole environment.
    pub settings: Settings,
    /// Whether a hypervisor is asked which operating systems its libosinfo knows.
    pub systems_asked: bool,
}

/// Makes a topology out of all that can be understood, so that [`super::lint()`] can look for further
/// mistakes; it is good for more than that only if `diags` holds no error. `None` means that there
/// is not even a list of networks.
pub fn compile(
    request: &Request,
    allocation: Allocation,
    diags: &mut Diagnostics,
) -> Option<Topology> {
    let variables = variables(request, allocation);
    let overrides = request.extra.get("override");
    warn_about_extras(request, overrides, diags);

    let mut file = request.network.clone();
    if let Some(networks) = &request.networks {
        described::put_beside(&mut file, networks, diags);
    }
    if let Some(over) = overrides.and_then(|o| o.get("networks"))
        && let Some(networks) = file.get_mut("networks")
    {
        added_by_mistake(networks, over, diags);
        lay_networks(networks, over, diags);
    }
    file.get_mut("nodes").into_iter().for_each(secret_keys::mark);
    appliance(&mut file, diags);
    let named = Named::of(request, overrides);
    let of_file = FileVariables::take(&mut file, NETWORK_FILE, &|key| named.has(key));
    Scope::new(of_file.seen_there(&variables)).resolve(&mut file, diags);
    let scope = Scope::new(of_file.seen_elsewhere(variables));
    if let Some(networks) = &request.networks {
        described::complete_networks(&mut file, networks);
    }
    let Read { mut networks, flawed, roles: roles_node, cidrs } = networks(&file, request, diags)?;
    free_subnet::place(&mut networks, |_| None, &[&|_| true], diags);
    let mut nodes: Vec<&NodeRequest> = request.nodes.iter().collect();
    nodes.sort_by(|a, b| a.path.cmp(&b.path));
    let roles: Vec<Role> = nodes
        .into_iter()
        .filter_map(|node| role_of(node, overrides, roles_node, request, &scope, diags))
        .map(|role| with_password(reached(role, &networks), &request.settings))
        .collect();
    same_names(&roles, diags);
    nearly_named(roles_node, request, diags);
    let declared = file.get("networks").map_or(0, |n| n.entries().len());
    let mut topology = Topology {
        roles_complete: roles.len() == request.nodes.len(),
        roles,
        networks_complete: networks.len() == declared && !request.network_unread,
        flawed,
        networks,
        cidrs,
        settings: request.settings.clone(),
        allocation,
        fixed: BTreeSet::new(),
        vbmc: Vbmc::default(),
        systems_asked: request.systems_asked,
    };
    vbmc::read(&mut topology, &request.extra, &|name| is_read(request, name), diags);
    Some(topology)
}

/// What expressions see, but for keys of the network file.
fn variables(request: &Request, allocation: Allocation) -> Variables {
    let mut extra = Plain::of(&request.extra);
    vbmc::hide(&mut extra);
    Variables {
        net: allocation.net,
        data_net: allocation.data_net,
        vswitch_type: vswitch_type(request),
        mirror_url: redact(&request.settings.mirror_url),
        file: Plain::map(),
        hidden: BTreeSet::new(),
        extra,
    }
}

/// The switch appliance in the run; the last of the three words found in a path wins.
fn vswitch_type(request: &Request) -> String {
    ["vqfx", "veos", "ovsvswitch"]
        .into_iter()
        .rfind(|word| request.nodes.iter().any(|n| n.path.contains(word)))
        .unwrap_or("None")
        .into()
}

/// Variables that put a playbook of the user's in the place of a stage.
const INJECTION: [&str; 10] = [
    "provision_cleanup",
    "provision_playbook",
    "provision_pre",
    "validate_hypervisor",
    "prepare_hypervisor",
    "provision_networks",
    "provision_vms",
    "provision_user",
    "provision_vms_timezone",
    "provision_post",
];

/// Variables that are read here or later.
const SETTINGS: [&str; 5] =
    ["override", "provision", "net", "data_net", "provison_virsh_network_name"];

fn warn_about_extras(request: &Request, overrides: Option<&Tree>, diags: &mut Diagnostics) {
    let (playbooks, named) = (has_playbooks(request), Named::of(request, overrides));
    for entry in request.extra.entries() {
        let known = SETTINGS.contains(&entry.key.as_str()) || vbmc::knows(&entry.key);
        if !known && !playbooks && !named.has(&entry.key) {
            let message = format!("`{}` has no effect", entry.key);
            let mut diagnostic = Diagnostic::warning(UNUSED_EXTRA, message)
                .at(entry.key_span, "")
                .suggest(&entry.key, ["override"]);
            let is_type =
                request.nodes.iter().any(|n| n.file == entry.key) || entry.key == "networks";
            if is_type && matches!(entry.value.value, Value::Map(_)) {
                diagnostic = diagnostic.help(format!("did you mean `override.{}`?", entry.key));
            }
            if let Some(help) = settings::in_place_of(&entry.key) {
                diagnostic = diagnostic.help(help);
            }
            diags.push(diagnostic);
        }
    }
    let known: Vec<&str> =
        request.nodes.iter().map(|n| n.file.as_str()).chain(std::iter::once("networks")).collect();
    for entry in overrides.map_or(&[][..], Tree::entries) {
        if !known.contains(&entry.key.as_str()) {
            // Types that come with Maquette may be in other runs of the same overrides.
            let other = defaults::get(Kind::Nodes, &entry.key).is_some();
            let of_node = type_of_node(&entry.key, &known);
            let meant = misspelt(&entry.key, known.iter().copied()).filter(|_| !other).or(of_node);
            let message = format!("nothing in this run is called `{}`", entry.key);
            // Nothing of what is said of one node could be so.
            let diagnostic = match of_node {
                Some(_) => Diagnostic::error(UNUSED_EXTRA, message),
                None => Diagnostic::warning(UNUSED_EXTRA, message),
            };
            let diagnostic = diagnostic.at(entry.key_span, "this override has no effect");
            diags.push(match meant {
                Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
                None => diagnostic.suggest(&entry.key, known.iter().copied()),
            });
        }
    }
}

/// The name that a word is a slip for; `web1` and `web2` are two names.
fn misspelt<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    typo(word, names.into_iter().filter(|name| unnumbered(name) != unnumbered(word)))
}

/// A name without the number that it ends with.
fn unnumbered(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// Whether an extra variable may be read by something that is no setting: by an expression of the topology, or by a playbook
/// of the user's own, which reads whatever it likes.
pub fn is_read(request: &Request, variable: &str) -> bool {
    has_playbooks(request) || Named::of(request, request.extra.get("override")).has(variable)
}

/// Whether there is a playbook of the user's own.
fn has_playbooks(request: &Request) -> bool {
    playbooks(request).next().is_some()
}

/// Extra variables that put a playbook of the user's in the place of a stage.
pub fn playbooks(request: &Request) -> impl Iterator<Item = &str> {
    let names = request.extra.entries().iter().map(|e| e.key.as_str());
    names.filter(|name| INJECTION.contains(name))
}

/// Extra variables that expressions of the topology name, but for those that settings stand for.
pub fn named_extras(request: &Request) -> Vec<&Entry> {
    let named = Named::of(request, request.extra.get("override"));
    let is_own = |e: &&Entry| !SETTINGS.contains(&e.key.as_str()) && named.has(&e.key);
    request.extra.entries().iter().filter(is_own).collect()
}

/// What expressions of the topology name, and those of extra variables that they name.
struct Named<'a> {
    trees: Vec<&'a Tree>,
    words: BTreeSet<&'a str>,
}

impl<'a> Named<'a> {
    fn of(request: &'a Request, overrides: Option<&'a Tree>) -> Self {
        let files = request.nodes.iter().map(|node| &node.tree);
        let all = files.chain([&request.network]).chain(&request.networks).chain(overrides);
        let mut trees: Vec<&Tree> = all.collect();
        let mut words = BTreeSet::new();
        trees.iter().for_each(|tree| expr::words(tree, &mut words));
        let extra = request.extra.entries().iter().filter(|e| e.key != "override");
        let mut extra: BTreeMap<&str, &Tree> = extra.map(|e| (e.key.as_str(), &e.value)).collect();
        let mut open: Vec<&str> = words.iter().copied().collect();
        while let Some(word) = open.pop() {
            let Some(value) = extra.remove(word) else { continue };
            let mut more = BTreeSet::new();
            expr::words(value, &mut more);
            open.extend(more.difference(&words).copied());
            words.extend(more);
            trees.push(value);
        }
        Self { trees, words }
    }

    /// Whether an expression names a variable. What is more than a word stands in quotes there, if it does.
    fn has(&self, variable: &str) -> bool {
        match variable.chars().all(|c| c.is_alphanumeric() || c == '_') {
            true => self.words.contains(variable),
            false => self.trees.iter().any(|tree| expr::names(tree, variable)),
        }
    }
}

/// What appliances are set up from: playbooks see it as it is in the file, and no expressions of ours are in it.
fn appliance(file: &mut Tree, diags: &mut Diagnostics) {
    const KEY: &str = "l3appliance_config";
    if let Some(node) = file.get(KEY) {
        unmarked(node, diags);
    }
    if let Value::Map(entries) = &mut file.value {
        entries.retain(|entry| entry.key != KEY);
    }
}

/// Ansible would evaluate a template in an extra variable, on the machine that it runs on.
fn unmarked(node: &Tree, diags: &mut Diagnostics) {
    let mut refuse = |text: &str, span| {
        if has_template_marks(text) || text.contains(is_unprintable) {
            let message = "`l3appliance_config` is for an Ansible playbook, and takes neither \
                           templates nor control characters";
            diags.push(Diagnostic::error("topology::template", message).at(span, ""));
        }
    };
    match &node.value {
        Value::Scalar(text, _) => refuse(text, node.span),
        Value::List(items) => items.iter().for_each(|item| unmarked(item, diags)),
        Value::Map(entries) => {
            entries.iter().for_each(|e| refuse(&e.key, e.key_span));
            entries.iter().for_each(|e| unmarked(&e.value, diags));
        }
        Value::Null => {}
    }
}

/// How one of `networks` is written: fully, as in the BGP files, or as nothing but a name.
const ANY_NETWORK: Form =
    Form::Either(&[Form::Map(network::NETWORK), Form::Map(bgp::NETWORK), Form::Nothing]);

/// Keys of a network file.
pub(crate) const NETWORK_FILE: &[Key] = &[
    key("networks", Form::Entries("", &ANY_NETWORK), "Networks, by keys of one's own")
        .example("[front, back]")
        .needed(),
    key(
        "nodes",
        Form::Entries("", &Form::Part(role::NODE_TYPE)),
        "What node types without `interfaces` get: keys of node files, by the node type's name [default: none]",
    ),
    key(
        "cidrs",
        Form::List(&Form::Map(bgp::CIDR)),
        "What the hypervisor forwards for nodes (BGP) [default: nothing]",
    ),
    Key {
        read: false,
        ..key("l3appliance_config", Form::Anything, "What the playbook for L3 appliances sets up")
    },
];

/// What a network file says.
struct Read<'a> {
    networks: Vec<Network>,
    /// Names of those in which something was wrong.
    flawed: BTreeSet<String>,
    /// What it says of node types.
    roles: Option<&'a Tree>,
    cidrs: Vec<super::Cidr>,
}

fn networks<'a>(file: &'a Tree, request: &Request, diags: &mut Diagnostics) -> Option<Read<'a>> {
    let what = format!("network file `{}`", request.network_name);
    let mut fields = Fields::new(file, what, NETWORK_FILE, diags)?;
    let list = match request.network_unread {
        true => fields.take("networks"),
        false => fields.need("networks", diags),
    };
    let roles = fields.take("nodes").inspect(|n| drop(Fields::open(n, "`nodes`", diags)));
    let cidrs = fields.take("cidrs");
    let of_cidrs = match cidrs.map(|node| &node.value) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    let of_networks = list.map_or(&[][..], Tree::entries).iter().map(|entry| &entry.value);
    bgp::without_ipv6(of_networks.filter(|n| bgp::is_bgp(n)).chain(of_cidrs), diags);
    let cidrs = cidrs.map_or(Vec::new(), |n| bgp::cidrs(n, diags));
    fields.finish(diags);
    if list.is_none() && request.network_unread {
        return Some(Read { networks: Vec::new(), flawed: BTreeSet::new(), roles, cidrs });
    }
    let list = list?;
    Fields::open(list, "`networks`", diags)?;
    let settings = &request.settings;
    let mut flawed = BTreeSet::new();
    let read = |entry: &Entry| {
        let before = diags.mistakes();
        let network = match bgp::is_bgp(&entry.value) {
            true => bgp::decode(entry, settings.mtu, diags),
            false => network::decode(entry, settings, diags),
        };
        let wrong = network.iter().filter(|_| diags.mistakes() > before);
        flawed.extend(wrong.map(|network| network.name.value.to_string()));
        network
    };
    let networks = list.entries().iter().filter_map(read).collect();
    Some(Read { networks, flawed, roles, cidrs })
}

fn role_of(
    request: &NodeRequest,
    overrides: Option<&Tree>,
    network_roles: Option<&Tree>,
    whole: &Request,
    scope: &Scope,
    diags: &mut Diagnostics,
) -> Option<Role> {
    let mut tree = request.tree.clone();
    if let Some(over) = overrides.and_then(|o| o.get(&request.file)) {
        lay(&mut tree, over, &format!("node type `{}`", request.file), diags);
    }
    secret_keys::mark(&mut tree);
    scope.resolve(&mut tree, diags);
    if request.described {
        described::complete_node(&mut tree, &request.file, request.span);
    }
    let bgp = whole.settings.bgp;
    let named = |key: &str| tree.get(key).is_some_and(|n| !n.is_empty());
    let mut unplugged = false;
    if bgp || !(named("interfaces") || named("networks")) {
        let name = match tree.get("name").map(|n| &n.value) {
            Some(Value::Scalar(name, _)) => name.clone(),
            _ => request.file.clone(),
        };
        // An empty list says as little as none.
        if let Value::Map(entries) = &mut tree.value {
            entries.retain(|e| e.key != "networks");
        }
        let role = network_roles.and_then(|r| r.get(&name).or_else(|| r.get("default")));
        let first = whole.networks.as_ref().and_then(|n| described::first_of(n, request.span));
        match (role, first) {
            (Some(role), _) => merge(&mut tree, role),
            // With lists for each index, all may be said already.
            (None, _) if bgp || whole.network_unread => {}
            (None, Some(first)) => described::set(&mut tree, "networks", first, request.span),
            (None, None) => {
                // What it says of node types, or the name that it is looked for, may be what could not be read.
                let is_read = network_roles.is_none_or(|n| matches!(n.value, Value::Map(_)));
                if is_read && name.parse::<NodeType>().is_ok() {
                    diags.push(no_role(request, &name, network_roles, whole));
                }
                unplugged = true;
            }
        }
    }
    let what = (&*request.file, request.count, request.described);
    let role = role::decode(what, &tree, bgp, diags)?;
    Some(Role { flawed_interfaces: role.flawed_interfaces || unplugged, ..role })
}

/// A node that is set up gives its login user the environment's password.
fn with_password(mut role: Role, settings: &Settings) -> Role {
    if role.deploy_os && role.adapt_image {
        role.first_boot.password.clone_from(&settings.password);
    }
    role
}

/// A node that does not say what it is reached on is reached on the first of its networks that gives it an address.
fn reached(mut role: Role, networks: &[Network]) -> Role {
    if !role.deploy_os || role.external_network.is_some() || role.provision_network.is_some() {
        return role;
    }
    let network = |i: &Interface| networks.iter().find(|n| n.name.value == i.network.value);
    let addressed = |i: &&Interface| {
        let network = network(i).filter(|_| i.connect_to.is_none());
        let served = |n: &Network| {
            n.ipv4.as_ref().is_some_and(|i| i.dhcp.is_some())
                || n.ipv6.as_ref().is_some_and(|i| i.dhcp.is_some())
        };
        // On a bridged network it is the LAN that does.
        let lan = |n: &Network| n.forward == Forward::Bridge;
        // On NICs without a bridge it may have an address, and the hypervisor does not reach it there.
        let network = network.filter(|n| !n.forward.is_direct());
        network.is_some_and(|n| i.ip.is_some() || n.fixed.is_some() || served(n) || lan(n))
    };
    let first = role.every_interface().find(addressed);
    role.external_network =
        first.map(|i| super::ExternalNetwork { network: i.network.clone(), bridged: None });
    role
}

fn no_role(
    request: &NodeRequest,
    name: &str,
    network_roles: Option<&Tree>,
    whole: &Request,
) -> Diagnostic {
    let roles: Vec<&str> =
        network_roles.map_or(&[][..], Tree::entries).iter().map(|e| e.key.as_str()).collect();
    Diagnostic::error(
        "topology::no-role",
        format!(
            "network file `{}` says nothing about `{name}` and has no `default`",
            whole.network_name
        ),
    )
    .at(request.span, "asked for here")
    .help(format!(
        "it has the node types {}; add this one there, or give it `interfaces`",
        quoted_list(&roles)
    ))
}

/// Lays an override on what it changes. One that would replace a mapping as a whole is a mistake, and is left out: what is
/// wrong below it is told as well.
fn lay(base: &mut Tree, over: &Tree, what: &str, diags: &mut Diagnostics) {
    let is_map = |tree: &Tree| matches!(tree.value, Value::Map(_));
    let may_be_map = match &over.value {
        Value::Scalar(text, _) => text.trim_start().starts_with("{{"),
        _ => is_map(over),
    };
    match is_map(base) && !may_be_map {
        true => diags.push(wrong_type(over, what, "a mapping")),
        false => merge(base, over),
    }
}

/// The same for networks, each by its key.
fn lay_networks(networks: &mut Tree, over: &Tree, diags: &mut Diagnostics) {
    let Value::Map(known) = &mut networks.value else { return merge(networks, over) };
    let Value::Map(_) = over.value else { return lay(networks, over, "`networks`", diags) };
    for entry in over.entries() {
        match known.iter_mut().find(|e| e.key == entry.key) {
            Some(network) => {
                lay(&mut network.value, &entry.value, &format!("network `{}`", entry.key), diags);
                network.key_span = entry.key_span;
            }
            None => known.push(entry.clone()),
        }
    }
}

/// An override of one value makes a network where it was to change one.
fn added_by_mistake(networks: &Tree, over: &Tree, diags: &mut Diagnostics) {
    let known: Vec<&str> = networks.entries().iter().map(|e| e.key.as_str()).collect();
    for entry in over.entries() {
        if entry.value.entries().len() == 1 && !known.contains(&entry.key.as_str()) {
            let message = format!("there is no network with the key `{}`", entry.key);
            diags.push(
                Diagnostic::warning("extra::added", message)
                    .at(entry.key_span, "this override adds one")
                    .suggest(&entry.key, known.iter().copied())
                    .help(format!("the keys are {}", quoted_list(&known))),
            );
        }
    }
}

/// A network file that describes the nodes of a type by nearly its name does not describe them at all. (It may well
/// describe types that are not in the run.)
fn nearly_named(described: Option<&Tree>, request: &Request, diags: &mut Diagnostics) {
    let described = described.map_or(&[][..], Tree::entries);
    let is_described = |name: &str| described.iter().any(|e| e.key == name);
    let asked = request.nodes.iter().map(|n| n.file.as_str()).filter(|n| !is_described(n));
    let asked: Vec<&str> = asked.collect();
    for entry in described {
        let other = entry.key == "default" || defaults::get(Kind::Nodes, &entry.key).is_some();
        let near = |name: &&&str| {
            // `web1` and `web2` are two types.
            slip(name, [entry.key.as_str()]).is_some() && unnumbered(name) != unnumbered(&entry.key)
        };
        if let Some(like) = asked.iter().find(near).filter(|_| !other) {
            let file = &request.network_name;
            let message =
                format!("network file `{file}` says nothing of `{like}`, but of `{}`", entry.key);
            diags.push(
                Diagnostic::warning("topology::unused-role", message)
                    .at(entry.key_span, "nothing in this run is called so")
                    .help(format!("did you mean `{like}`?")),
            );
        }
    }
}

/// Two types of one name would overwrite each other's nodes.
fn same_names(roles: &[Role], diags: &mut Diagnostics) {
    for (i, role) in roles.iter().enumerate() {
        if let Some(first) = roles[..i].iter().find(|r| r.name.value == role.name.value) {
            diags.push(
                Diagnostic::error(
                    "topology::duplicate-name",
                    format!(
                        "node types `{}` and `{}` are both called `{}`",
                        first.file, role.file, role.name.value
                    ),
                )
                .at(role.name.span, "")
                .at(first.name.span, "also here")
                .help(format!("rename one: `-e override.{}.name=…`", role.file)),
            );
        }
    }
}
