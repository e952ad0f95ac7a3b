//! `maquette virsh`: InfraRed's provisioner, option by option. Options become a settings tree,
//! the tree a request, and from there on everything is as with `maquette up`.

mod abbreviated;
mod ansible;
pub mod answers;
mod facts;
mod form;
mod log;
mod options;
pub mod plugin;
mod remove;
mod tags;
mod values;

use std::path::Path;
use std::time::Duration;

use maquette_core::convert::HIDDEN;
use maquette_core::diagnostic::{Diagnostic, Diagnostics, UNUSED_EXTRA};
use maquette_core::image::redact;
use maquette_core::secret_keys;
use maquette_core::settings::{SETTINGS, Setting, SettingKind};
use maquette_core::syntax::{Plain, Sources};
use maquette_core::topology::is_read;
use maquette_engine::{Cause, StepError};

use crate::cli;
use crate::consent::Consent;
use crate::failure::Failure;
use crate::lifecycle::build;
use crate::load::{self, Extra};
use crate::playbooks::output::{self, Output};
use crate::playbooks::stages::{Stage, Stages};
use crate::playbooks::{Hooks, Point};
use crate::session::{Session, authorities};
use crate::userfile::{self, Content};
use crate::workspace::Workspace;
use crate::workspace::inventory::{self, Inventory};
use crate::workspace::named::{self, Workspaces};
use crate::workspace::outputs;
use crate::world::{Environment, World};
use crate::{pipeline, reading};
pub use log::now;
use options::{OPTIONS, Support};
pub use values::documented as command;
use values::{InfraredValues, Line};

/// How long a first boot may take, in seconds: InfraRed waited 300 for the lease and 300 more
/// for SSH.
const BOOT: Duration = Duration::from_secs(600);

/// Runs the provisioner.
pub fn run(world: &World, args: &[String], logged: bool) -> Result<u8, Failure> {
    let line = match Line::parse(args) {
        Ok(line) => line,
        Err(said) => return Ok(world.terminal.of_arguments(&said)),
    };
    let given = InfraredValues::read(world, &line)?;
    for warning in &given.warnings {
        world.terminal.talk(&format!("warning: {warning}"));
    }
    if let Some(file) = &given.generate {
        return generate(world, &given, file);
    }
    given.check().map_err(refuse)?;
    output::check(&world.environment)?;
    let options = given.tree(&world.environment).map_err(refuse)?;
    let extra = Extra::read(&world.environment, &given.extra).map_err(refuse)?;
    let tree = extra.over(&world.environment, &options).map_err(refuse)?;
    form::decided(&tree).map_err(refuse)?;
    let own = given.inventory.as_deref().map(own_inventory).transpose()?;
    // Nothing is written of what is refused.
    later(&given, &options, &tree)?;
    let downloaded = downloaded(world, &tree)?;
    let (options, tree) = (with_network(options, &downloaded), with_network(tree, &downloaded));
    let known = OPTIONS.iter().map(|option| option.path().join(".")).collect();
    let extra = extra.with_settings(&options, known);

    give_settings(world, &given, &tree)?;
    let workspace = active_workspace(world)?;
    log::arguments(&workspace, &given)?;
    if logged {
        log::command(world, args, &given)?;
    }
    if let Some(text) = &own {
        outputs::adopt(&workspace, text).map_err(|e| workspace.unwritten(e))?;
    }
    ignored(world, &given, &options, &tree);
    if given.dry_run {
        return look_only(world, &given, tree, &extra, (workspace, downloaded));
    }
    output::keep_settings(world, &workspace, &tree).map_err(|e| workspace.unwritten(e))?;
    build(world, &given, tree, &extra, (workspace, downloaded))
}

/// Writes the settings where they are wanted.
fn give_settings(world: &World, given: &InfraredValues, tree: &Plain) -> Result<(), Failure> {
    match &given.output {
        Some(file) => {
            let secret = masked(tree) != *tree;
            let content = if secret { Content::Secret } else { Content::Private };
            userfile::write(&world.terminal, file, tree.yaml().as_bytes(), content)?;
            world.terminal.touched(file.display().to_string());
        }
        None if given.plan => {}
        None => world.terminal.result(&masked(tree).yaml()),
    }
    Ok(())
}

/// The active workspace, which is made if there is none.
fn active_workspace(world: &World) -> Result<Workspace, Failure> {
    let (workspace, made) = Workspaces::of(&world.environment).ensure(&now(world))?;
    if let Some(name) = made {
        world.terminal.talk(&format!("warning: there was no active workspace; made `{name}`"));
    }
    world.terminal.touched(format!("workspace `{}`", named::name_of(&workspace)));
    Ok(workspace)
}

/// The network file that is downloaded, if one is: its path, or why there is none, which is told once the settings are.
type Downloaded = Option<Result<String, Failure>>;

/// Downloads the network file before anybody is told of its path: settings, expressions, playbooks.
fn downloaded(world: &World, tree: &Plain) -> Result<Downloaded, Failure> {
    let Some(url) = text(tree, "topology.net.url") else { return Ok(None) };
    let workspace = active_workspace(world)?;
    Ok(Some(download(&url, &workspace)))
}

/// Settings with the network file that is used.
fn with_network(mut settings: Plain, downloaded: &Downloaded) -> Plain {
    let path = ["provision", "topology", "network"];
    if let Some(Ok(file)) = downloaded
        && let Ok(place) = settings.place(&path)
    {
        *place = Plain::text(file);
    }
    settings
}

/// Shows what would be built, beside the settings. They are good also where the hypervisor cannot be reached from here: InfraRed
/// did not look at it.
fn look_only(
    world: &World,
    given: &InfraredValues,
    tree: Plain,
    extra: &Extra,
    place: (Workspace, Downloaded),
) -> Result<u8, Failure> {
    match build(world, given, tree, extra, place) {
        Err(Failure::Failed(error)) => {
            let why = error.in_one_line();
            world.terminal.talk(&format!(
                "what would be built cannot be shown, and the settings alone are given: {why}"
            ));
            error.hints.iter().for_each(|hint| world.terminal.talk(&format!("  help: {hint}")));
            Ok(0)
        }
        other => other,
    }
}

/// Writes an answers file of what is given.
fn generate(world: &World, given: &InfraredValues, file: &Path) -> Result<u8, Failure> {
    let ignored = |name: &str| {
        let option = options::find(name);
        option.is_some_and(|o| matches!(o.support, Support::Ignored(_))) && !given.by_user(name)
    };
    // Who uses the file is not to be warned of what nobody gave.
    let text = answers::write(&|name| match ignored(name) {
        true => Vec::new(),
        false => given.texts(name),
    });
    let secret = OPTIONS.iter().any(|o| o.secret && !given.texts(o.name).is_empty());
    let content = if secret { Content::Secret } else { Content::Plain };
    userfile::write(&world.terminal, file, text.as_bytes(), content)?;
    world.terminal.talk(&format!("wrote {}", file.display()));
    Ok(0)
}

/// An inventory that the user names, for the workspace: text in Ansible's INI form, since what is built is written beside what
/// is in it.
fn own_inventory(file: &Path) -> Result<String, Failure> {
    let unusable = |why: String| {
        let message = format!("cannot use inventory {}: {why}", file.display());
        Diagnostic::error("inventory::unusable", message)
    };
    let refuse = |why: String| Failure::input(unusable(why));
    let text = reading::text(file).map_err(|e| refuse(e.to_string()))?;
    let form = match file.extension().and_then(|end| end.to_str()) {
        Some("yml" | "yaml") => Some("YAML"),
        Some("json") => Some("JSON"),
        _ => inventory::other_form(&text),
    };
    if let Some(form) = form {
        let error = unusable(format!("it is {form}, and the workspace's inventory is INI"))
            .help("write its hosts as lines (`mon0 ansible_host=10.0.0.7`) and its groups as sections (`[ceph]`, below it `mon0`)")
            .help(format!(
                "`ansible-inventory -i {0} --list` shows all hosts with their variables, and `ansible-inventory -i {0} --graph` all groups",
                file.display()
            ));
        return Err(Failure::input(error));
    }
    match Inventory::mistake(&text) {
        Some((line, why)) => Err(refuse(format!("line {line} {why}"))),
        None => Ok(text),
    }
}

/// Mistakes of InfraRed's own checks have its exit code, as those in answers files have: its users' scripts know 1, and 2 of
/// its own command line.
fn refuse(mistakes: Vec<String>) -> Failure {
    let mut mistakes = mistakes.into_iter();
    let mut error = StepError::new(mistakes.next().unwrap_or_default());
    error.causes.extend(mistakes);
    Failure::Failed(error.hint("nothing was touched; `maquette virsh --help` lists all options"))
}

/// The tree as it may be shown.
fn masked(tree: &Plain) -> Plain {
    secret_keys::masked(tree, HIDDEN)
}

/// Refuses, by name, what is not there yet, whoever has put it into the tree: an option, or an extra variable.
fn later(given: &InfraredValues, options: &Plain, tree: &Plain) -> Result<(), Failure> {
    let mut diags = Diagnostics::default();
    let mut refuse = |what: String| {
        diags.push(Diagnostic::error("feature::later", format!("{what} not supported yet")));
    };
    for option in OPTIONS.iter() {
        let Support::Later { harmless } = option.support else { continue };
        let asked = match at(tree, option) {
            None | Some(Plain::Null) => false,
            Some(Plain::Bool(truth)) => *truth || harmless != "no",
            Some(Plain::Text(text)) => {
                let no = maquette_core::syntax::parse_bool(text) == Some(false);
                text != harmless && !(harmless == "no" && no)
            }
            Some(_) => true,
        };
        if asked {
            refuse(format!("{} is", called(given, options, tree, option)));
        }
    }
    let hosts = match tree.at(&["provision", "host", "address"]) {
        Some(Plain::List(hosts)) => hosts.len(),
        Some(Plain::Text(text)) => text.split(',').filter(|host| !host.trim().is_empty()).count(),
        _ => 1,
    };
    if hosts > 1 {
        let by = match given.texts("host-address").len() > 1 {
            true => "--host-address more than once",
            false => "more than one in `provision.host.address`",
        };
        refuse(format!("several hypervisors ({by}) are"));
    }
    if diags.has_errors() { Err(Failure::Input(diags, Sources::default())) } else { Ok(()) }
}

/// An option's value in a tree.
fn at<'a>(tree: &'a Plain, option: &options::Opt) -> Option<&'a Plain> {
    let path: Vec<&str> = std::iter::once("provision").chain(option.path()).collect();
    tree.at(&path)
}

/// What whoever has set an option's value knows it as: the option, or an extra variable.
fn called(given: &InfraredValues, options: &Plain, tree: &Plain, option: &options::Opt) -> String {
    match at(options, option) == at(tree, option) {
        true => given.called(option.name),
        false => format!("`provision.{}`", option.path().join(".")),
    }
}

/// Says which settings have no effect, whoever has put them into the tree.
fn ignored(world: &World, given: &InfraredValues, options: &Plain, tree: &Plain) {
    for option in OPTIONS.iter() {
        let is_set = given.by_user(option.name) || at(options, option) != at(tree, option);
        if let Support::Ignored(why) = option.support
            && is_set
        {
            let called = called(given, options, tree, option);
            world.terminal.talk(&format!("warning: {called} has no effect: {why}"));
        }
    }
}

/// Says which keys of the answers file nobody reads, since they are neither options nor for a playbook or an expression.
fn unread(given: &InfraredValues, loaded: &mut load::Loaded) {
    const PASSWORD: &str = "topology-password";
    if is_read(&loaded.request, "provision") {
        return;
    }
    // What is likely misspelt has been told.
    let told = |called: &str| !given.strict && given.warnings.iter().any(|w| w.starts_with(called));
    let unknown = given.unknown().filter(|(name, called)| *name != PASSWORD && !told(called));
    for (name, called) in unknown {
        let path = name.replace('-', ".");
        let message =
            format!("{called} is not an option; it becomes `provision.{path}`, which nobody reads");
        loaded.diags.push(Diagnostic::warning(UNUSED_EXTRA, message));
    }
}

/// Text at a path below `provision`.
fn text(tree: &Plain, path: &str) -> Option<String> {
    let keys: Vec<&str> = std::iter::once("provision").chain(path.split('.')).collect();
    match tree.at(&keys)? {
        Plain::Text(text) if text.is_empty() => None,
        Plain::Text(text) => Some(text.clone()),
        Plain::Int(number) => Some(number.to_string()),
        // With its point, as Ansible writes it.
        Plain::Float(number) => Some(format!("{number:?}")),
        Plain::Bool(true) => Some("yes".into()),
        Plain::Bool(false) => Some("no".into()),
        // Refused by `form::decided`.
        Plain::Null | Plain::List(_) | Plain::Map(_) => None,
    }
}

fn truth(tree: &Plain, path: &str) -> Option<bool> {
    text(tree, path).and_then(|t| maquette_core::syntax::parse_bool(&t))
}

fn build(
    world: &World,
    given: &InfraredValues,
    tree: Plain,
    extra: &Extra,
    (workspace, downloaded): (Workspace, Downloaded),
) -> Result<u8, Failure> {
    let wanted = wanted(world, given, &tree, (&workspace, downloaded))?;
    if let Some(removal) = remove::Removal::of(&tree, &wanted) {
        let code = removal.carry_out(world, given, (&tree, extra), wanted)?;
        collect_facts(world, given, &tree, &workspace);
        return Ok(code);
    }
    let nodes = wanted.flags.0.has("topology-nodes");
    let mut loaded = load::wanted_leniently(&world.environment, &wanted, extra);
    loaded.host.forwards = true;
    unread(given, &mut loaded);
    let selected = tags::select(&world.terminal, &given.ansible_args, nodes);
    let look = tags::look(given)?;
    // A plan, too, is to find that a playbook is missing, and to show what is not left to one.
    let hooks = Hooks::read(world, &loaded.request, &tree, &given.playbook_args())?.only(&selected);
    let stages = selected.without(hooks.replaced());
    // As with InfraRed, whoever leaves the validation out wants no refusal.
    loaded.request.settings.overcommit |= !stages.has(Stage::Validate);
    if let Some(look) = look {
        // The settings of a dry run are for programs.
        return look.show(world, &mut loaded, (&hooks, &stages), given.dry_run);
    }
    let output = Output::of(&world.environment, &workspace).map_err(|e| workspace.unwritten(e))?;
    let hooks = hooks.with_infrareds(world, output);
    if hooks.at(world, Point::Whole, &workspace)? {
        collect_facts(world, given, &tree, &workspace);
        return Ok(0);
    }
    carry_out(world, given, (loaded, hooks, &stages), &workspace)?;
    collect_facts(world, given, &tree, &workspace);
    Ok(0)
}

/// Builds what is wanted, with the playbooks in the place of stages.
fn carry_out(
    world: &World,
    given: &InfraredValues,
    (mut loaded, hooks, stages): (load::Loaded, Hooks, &Stages),
    workspace: &Workspace,
) -> Result<(), Failure> {
    let requirements =
        pipeline::check(world, &mut loaded).map_err(|failure| match given.inventory {
            Some(_) => {
                failure.after("the workspace uses that inventory now, and nothing else was changed")
            }
            None => failure,
        })?;
    if loaded.request.nodes.is_empty() {
        world
            .terminal
            .talk("no --topology-nodes: only the hypervisor and its networks are prepared");
    }
    let authorities = authorities::authorities(
        &world.terminal,
        &loaded.called("tls-ca"),
        &loaded.request.settings.tls_ca,
    )?;
    let mut session = Session::open(world, loaded.located())?;
    outputs::write_local(workspace).map_err(|e| workspace.unwritten(e))?;
    // MAQUETTE_YES is there for whoever runs `--cleanup`: it says nothing about this environment's disks.
    let consent = Consent::new(&given.accepted()?)
        .yes(given.yes_on_line)
        .hint("or `--yes`, or remove the environment first with `--kill yes`");
    let how = build::How::of_all(consent, BOOT, stages.clone(), given.locking, authorities);
    build::build(world, &loaded, &requirements, &mut session, hooks, &how)?;
    facts::deployment(world, &mut session, given.locking)
}

/// Collects facts at the end of a run that did something, where they are asked for: as with InfraRed, after a removal, too, but not
/// after `--cleanup`.
fn collect_facts(world: &World, given: &InfraredValues, tree: &Plain, workspace: &Workspace) {
    let is_true = |path| truth(tree, path) == Some(true);
    let shown_only = given.dry_run || given.plan || is_true("cleanup");
    if is_true("collect.ansible.facts")
        && !shown_only
        && tags::chosen(&given.ansible_args, true).has(Stage::Facts)
    {
        facts::collect(world, workspace);
    }
}

/// Words of a list.
fn names(tree: &Plain, path: &str) -> Vec<String> {
    let keys: Vec<&str> = std::iter::once("provision").chain(path.split('.')).collect();
    match tree.at(&keys) {
        Some(Plain::List(list)) => list
            .iter()
            .filter_map(|item| match item {
                Plain::Text(text) if !text.trim().is_empty() => Some(text.trim().to_string()),
                Plain::Int(number) => Some(number.to_string()),
                _ => None,
            })
            .collect(),
        Some(Plain::Text(text)) => {
            text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(String::from).collect()
        }
        _ => Vec::new(),
    }
}

/// The same as arguments of `maquette up`. Values come from the tree, since extra variables may have
/// changed it; settings that InfraRed does not have, from our environment variables.
fn wanted(
    world: &World,
    given: &InfraredValues,
    tree: &Plain,
    (workspace, downloaded): (&Workspace, Downloaded),
) -> Result<cli::TopologyArgs, Failure> {
    let mut wanted = cli::TopologyArgs::default();
    wanted.place.workspace = Some(workspace.path.clone());
    wanted.strict = given.strict;
    let options = given.tree(&world.environment).map_err(refuse)?;
    for row in SETTINGS {
        let texts = match (row.infrared, row.kind) {
            // Handed on as they were read.
            (None, SettingKind::Changes) => Vec::new(),
            (None, _) if given.trusted.iter().any(|(name, ..)| *name == row.name) => Vec::new(),
            (None, _) => of_environment(&world.environment, row)?.into_iter().collect(),
            (Some(_), SettingKind::Nodes | SettingKind::Network | SettingKind::Address) => {
                let changed = changed(world, row, &options, tree)?;
                let texts = changed.unwrap_or_else(|| given.texts(row.name));
                // The tree has all addresses.
                let most = if row.kind == SettingKind::Address { 1 } else { texts.len() };
                texts.into_iter().take(most).collect()
            }
            (Some(_), _) => of_tree(row, tree, given)?.into_iter().collect(),
        };
        if !texts.is_empty() {
            let flags = &mut wanted.place.flags.0;
            let told = match (row.infrared, row.variable()) {
                (None, Some(variable)) => variable,
                _ => given.called(row.name),
            };
            if row.locates { flags } else { &mut wanted.flags.0 }.set_as(row.name, texts, told);
        }
    }
    for (name, text, told) in &given.trusted {
        wanted.place.flags.0.set_as(name, vec![text.clone()], told.clone());
    }
    if let Some(downloaded) = downloaded {
        if given.by_user("topology-network") {
            let (called, wins) =
                (given.called("topology-network"), given.called("topology-net-url"));
            world
                .terminal
                .talk(&format!("warning: {called} has no effect: {wins} is used instead"));
        }
        wanted.flags.0.set("topology-network", vec![downloaded?]);
    }
    Ok(wanted)
}

/// What extra variables have made of nodes, of the network file or of the hypervisor, whose form in the tree is another than
/// their options'; none if they have not changed it.
fn changed(
    world: &World,
    row: &Setting,
    options: &Plain,
    tree: &Plain,
) -> Result<Option<Vec<String>>, Failure> {
    let path: Vec<&str> = std::iter::once("provision").chain(row.name.split('-')).collect();
    let now = tree.at(&path);
    if now == options.at(&path) {
        return Ok(None);
    }
    let file = |path: &str| load::built_in::named(&world.environment, path);
    let one = |value: &Plain| match value {
        Plain::Text(text) if row.kind == SettingKind::Address => Some(text.clone()),
        Plain::Text(text) => Some(file(text)),
        _ => None,
    };
    let counted = |(path, count): (&String, &Plain)| match count {
        Plain::Int(count) => Some(format!("{}:{count}", file(path))),
        Plain::Text(count) => Some(format!("{}:{count}", file(path))),
        _ => None,
    };
    let texts = match now {
        None | Some(Plain::Null) => Some(Vec::new()),
        Some(Plain::List(list)) if row.kind == SettingKind::Address => {
            list.iter().map(one).collect()
        }
        Some(Plain::Map(map)) if row.kind == SettingKind::Nodes => {
            let all: Option<Vec<String>> = map.iter().map(counted).collect();
            all.map(|all| vec![all.join(",")])
        }
        Some(value) => one(value).map(|text| vec![text]),
    };
    let wrong =
        || refuse(vec![format!("`{}` has another form than --{}", path.join("."), row.name)]);
    texts.map(Some).ok_or_else(wrong)
}

/// What the tree has of a setting. Any `no` stands for the absence of a number.
fn of_tree(row: &Setting, tree: &Plain, given: &InfraredValues) -> Result<Option<String>, Failure> {
    let Some(text) = text(tree, &row.name.replace('-', ".")) else { return Ok(None) };
    if !matches!(row.kind, SettingKind::Number(..)) {
        return Ok(Some(text));
    }
    match (maquette_core::syntax::parse_bool(&text), row.kind.takes(&text)) {
        (Some(false), _) => Ok(None),
        (_, true) => Ok(Some(text)),
        _ => {
            let (called, expected) = (given.called(row.name), row.kind.expected());
            Err(refuse(vec![format!("{called} takes {expected}, not `{text}`")]))
        }
    }
}

/// What our environment variable says of a setting that no option of InfraRed's does.
fn of_environment(environment: &Environment, row: &Setting) -> Result<Option<String>, Failure> {
    let Some(variable) = row.variable() else { return Ok(None) };
    let text: Option<String> = reading::variable(environment, &variable, "text")?;
    match text {
        Some(text) if !row.kind.takes(&text) => {
            let message = format!("{variable} has to be {}, not `{text}`", row.kind.expected());
            Err(Failure::input(Diagnostic::error("environment::value", message)))
        }
        other => Ok(other),
    }
}

/// Fetches a network file into the workspace, where InfraRed meant to.
fn download(url: &str, workspace: &Workspace) -> Result<String, Failure> {
    let failed =
        |e: Cause| Failure::because(format!("cannot keep network file {}", redact(url)), e);
    let content =
        maquette_engine::download(url, &["https", "http", "file"], 16 << 20).map_err(|error| {
            StepError { message: format!("cannot download network file {}", redact(url)), ..error }
        })?;
    let name = url.split(['?', '#']).next().unwrap_or_default().rsplit('/').next();
    let name = name.filter(|n| !n.is_empty() && !n.starts_with('.')).unwrap_or("network");
    let file = workspace.file(&format!("topology_{}.yml", name.trim_end_matches(".yml")));
    maquette_engine::private_file::write_private(&file, &content).map_err(|e| failed(e.into()))?;
    Ok(file.display().to_string())
}
