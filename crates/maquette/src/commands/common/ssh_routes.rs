//! How nodes are reached over SSH, as the workspace knows it: what `ssh`, `cp`, `forward` and `exec` have in common. None of
//! them asks the hypervisor for more than whether a node runs, and that only where the hypervisor is this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::object::ObjectKind;
use maquette_core::observed::{Domain, Observed};
use maquette_core::selection::{self, Candidate};
use maquette_core::syntax::Sources;
use maquette_core::values::{HostAddress, Login, ValueError};
use maquette_engine::StepError;
use maquette_engine::guests::{self, Guest};
use maquette_engine::private_file::read_text;

use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::lifecycle::answering;
use crate::load::{self, Located};
use crate::render;
use crate::session::connection::Connection;
use crate::session::{Ask, Session, locking};
use crate::session::{entry, nodes};
use crate::workspace::inventory::{Host, Inventory};
use crate::workspace::outputs::{self, LIMITS};
use crate::world::World;

/// Why nobody can log in to a node that does not run.
pub const OFF: &str = "it is not running";
/// The same of one that somebody has removed.
pub const GONE: &str = "it is not there any more";
/// The same while somebody changes the environment.
pub const COMING: &str = "it is not there yet, or not any more";

/// How one node is reached over SSH.
#[derive(Debug, Clone)]
pub struct Route {
    /// The node, as the inventory calls it.
    pub name: String,
    /// Where `ssh` goes.
    pub destination: String,
    /// Options of both that lead there, and that come before those of the user.
    options: Vec<OsString>,
    /// Whether it is from an inventory of the user's own.
    pub own: bool,
}

impl Route {
    /// Options of `ssh` and `scp` that lead there, with the user's own before what they may change.
    pub fn options<'a>(
        &'a self,
        own: impl IntoIterator<Item = &'a str>,
    ) -> impl Iterator<Item = OsString> {
        let own: Vec<OsString> = own.into_iter().map(OsString::from).collect();
        // The ssh config says it, too, and an inventory of the user's own may not. What the user asks for comes before.
        self.options.iter().cloned().chain(own).chain(limits())
    }

    /// The same as another user.
    fn of_user(self, user: &Login) -> Self {
        let host = self.destination.rsplit_once('@').map_or(self.destination.as_str(), |(_, h)| h);
        let destination = format!("{user}@{host}");
        Self { destination, ..self }
    }

    /// A path there as `scp` has it, for which a colon ends the host.
    pub fn path(&self, path: &str) -> String {
        match self.destination.rsplit_once('@') {
            Some((user, host)) if host.contains(':') => format!("{user}@[{host}]:{path}"),
            _ => format!("{}:{path}", self.destination),
        }
    }

    /// Options that lead there and are the user's inventory's: two nodes of that may differ in them.
    pub fn leads_as(&self, other: &Self) -> bool {
        self.options == other.options
    }
}

/// The limits of every connection, as options of `ssh` and `scp`.
pub fn limits() -> impl Iterator<Item = OsString> {
    LIMITS.iter().flat_map(|(name, value)| ["-o".into(), format!("{name}={value}").into()])
}

/// How all nodes of an environment are reached over SSH.
pub struct Routes {
    located: Located,
    config: PathBuf,
    /// Names in the ssh config.
    configured: Vec<String>,
    inventory: Inventory,
    inventory_file: PathBuf,
}

impl Routes {
    /// Reads the workspace; one without anything of the environment is made to lead into it, if a key here opens that.
    pub fn open(world: &World, place: &EnvironmentArgs) -> Result<Self, Failure> {
        let routes = Self::read(world, place)?;
        if !routes.candidates().is_empty() {
            routes.tell_end(world);
            return Ok(routes);
        }
        match entry::enter(world, &routes.located) {
            Ok(true) => Self::read(world, place),
            Ok(false) => Err(routes.unbuilt()),
            // Where libvirt is not even installed, nothing was built.
            Err(_) if !routes.located.host.is_remote() && !routes.is_served(world) => {
                Err(routes.unbuilt())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Warns whoever logs in of an environment that is removed soon with all that is done in it, as far as is known here:
    /// a colleague may have given it more time.
    fn tell_end(&self, world: &World) {
        let (workspace, environment) = (&self.located.workspace, &self.located.environment);
        let now = (world.clock)().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let Some(lifetime) = outputs::lifetime(workspace, environment) else { return };
        // What is past says that somebody gave it more time, or that its nodes are gone.
        let ahead = lifetime.expires_s.is_some_and(|at| at > now);
        if ahead && lifetime.ends_soon(now) {
            let line = render::lifetime_line(&environment.to_string(), &lifetime, now, true);
            line.into_iter().for_each(|line| world.terminal.talk_once(line));
        }
    }

    /// Whether this machine's libvirt answers.
    fn is_served(&self, world: &World) -> bool {
        world.libvirt.open(&Connection::local(world).uri).is_ok()
    }

    /// Reads the workspace.
    pub fn read(world: &World, place: &EnvironmentArgs) -> Result<Self, Failure> {
        let located = load::located(&world.environment, place)?;
        let config = located.workspace.file(outputs::SSH_CONFIG);
        let text = read_text(&config).unwrap_or_default();
        let names = text.lines().filter_map(|line| line.strip_prefix("Host "));
        let configured = names.filter(|n| *n != "hypervisor").map(String::from).collect();
        let inventory_file = outputs::whole_inventory(&located.workspace);
        let inventory = Inventory::read(&inventory_file).unwrap_or_default();
        Ok(Self { located, config, configured, inventory, inventory_file })
    }

    /// The routes to all nodes that words mean, each of which may name the user as ssh has it; to all that can be logged in
    /// to, where there are no words.
    pub fn select(&self, words: &[String]) -> Result<Vec<Route>, Failure> {
        let candidates = self.candidates();
        if candidates.is_empty() {
            return Err(self.unbuilt());
        }
        let mut names: BTreeSet<&str> = BTreeSet::new();
        if words.is_empty() {
            // Nodes without an operating system are in inventories, and nobody can log in to them.
            let known = |name: &&str| match self.configured.is_empty() {
                true => self.is_node(name),
                false => self.configured.iter().any(|known| known == name),
            };
            names.extend(candidates.iter().map(|c| c.name).filter(known));
        }
        let mut names: BTreeMap<&str, Option<Login>> =
            names.into_iter().map(|name| (name, None)).collect();
        let mut diags = Diagnostics::default();
        for word in words {
            let (user, word) = match self.with_user(word) {
                Ok(parts) => parts,
                Err(error) => {
                    diags.push(error);
                    continue;
                }
            };
            let found = selection::select(word, &self.located.environment, &candidates);
            // The hypervisor, this machine and what cannot be logged in to are meant by their names only.
            let found = found.into_iter().filter(|name| *name == word || self.is_node(name));
            let found: Vec<&str> = found.collect();
            if found.is_empty() {
                diags.push(self.unknown(word, &candidates));
            }
            names.extend(found.into_iter().map(|name| (name, user.clone())));
        }
        if diags.has_errors() {
            return Err(Failure::Input(diags, Sources::default()));
        }
        let route = |(name, user): (&str, Option<Login>)| -> Result<Route, Failure> {
            let route = self.route(name)?;
            Ok(match user {
                Some(user) => route.of_user(&user),
                None => route,
            })
        };
        names.into_iter().map(route).collect()
    }

    /// A word for nodes with the user that it may name, as ssh has it: `root@NODE`.
    fn with_user<'a>(&self, word: &'a str) -> Result<(Option<Login>, &'a str), Diagnostic> {
        let of_user = word.rsplit_once('@').filter(|_| self.inventory.find(word).is_none());
        let Some((user, node)) = of_user else { return Ok((None, word)) };
        let user: Result<Login, ValueError> = user.parse();
        let user = user.map_err(|e| Diagnostic::error("ssh::user", e.to_string()))?;
        Ok((Some(user), node))
    }

    /// Whether it is a node that can be logged in to, as far as the inventory says.
    fn is_node(&self, name: &str) -> bool {
        let host = self.inventory.find(name);
        let off = |host: &Host| host.is_local() || host.var("ansible_host") == Some("NA");
        name != "hypervisor" && !host.is_some_and(off)
    }

    /// The route to the one node that a word means, which may name the user as ssh has it: `root@NODE`.
    pub fn one(&self, word: &str) -> Result<Route, Failure> {
        let mut found = self.select(&[word.to_string()])?;
        match (found.pop(), found.is_empty()) {
            (Some(route), true) => Ok(route),
            (last, _) => {
                let names: Vec<&str> =
                    found.iter().chain(&last).map(|route| route.name.as_str()).collect();
                let node = self.with_user(word).map_or(word, |(_, node)| node);
                Err(nodes::several(node, &names))
            }
        }
    }

    /// What this machine's libvirt has of the environment; nothing where the hypervisor is another one, which would have to be
    /// connected to, or may be, as in a workspace that came in an archive or is of what was built on another hypervisor.
    fn look(&self, world: &World, routes: &[Route]) -> Option<Observed> {
        let is_elsewhere = self.located.host.is_remote()
            || self.located.workspace.saved().is_some_and(|saved| {
                saved.imported || !saved.is_of(&self.located.environment, &self.located.host)
            });
        if is_elsewhere || routes.iter().all(|route| route.own) {
            return None;
        }
        let server = world.libvirt.open(&Connection::local(world).uri).ok()?;
        let located = &self.located;
        let seen = server.observe(&located.environment, &located.pool.name, None).ok()?;
        Some(seen.observed)
    }

    /// What that has of nodes.
    fn seen(&self, world: &World, routes: &[Route]) -> Vec<Domain> {
        self.look(world, routes).map(|observed| of_routes(observed, routes)).unwrap_or_default()
    }

    /// The same, and the names of nodes that are not there any more while others are; an error if nothing is.
    fn there(
        &self,
        world: &World,
        routes: &[Route],
    ) -> Result<(Vec<Domain>, Vec<String>), Failure> {
        let Some(observed) = self.look(world, routes) else { return Ok((Vec::new(), Vec::new())) };
        let gone = self.lacking(&observed, routes)?;
        Ok((of_routes(observed, routes), gone))
    }

    /// Names of nodes that are not there any more while others are; an error if nothing is.
    fn lacking(&self, observed: &Observed, routes: &[Route]) -> Result<Vec<String>, Failure> {
        if observed.domains.is_empty() && observed.edited.is_empty() {
            return Err(self.gone());
        }
        let prefix = self.located.environment.qualify("");
        // The hypervisor has a route as well.
        let is_node = |name: &str| name.starts_with(&prefix) && !role(name, &prefix).is_empty();
        let is_there = |name: &str| {
            observed.domains.contains_key(name)
                || observed.edited(ObjectKind::Domain, name).is_some()
        };
        let lacks = |route: &&Route| !route.own && is_node(&route.name) && !is_there(&route.name);
        Ok(routes.iter().filter(lacks).map(|route| route.name.clone()).collect())
    }

    /// Names of nodes that nobody can log in to, with the reason, as far as that can be found out at once: where the
    /// hypervisor is this machine. An error if nothing of the environment is there any more.
    pub fn away(
        &self,
        world: &World,
        routes: &[Route],
    ) -> Result<BTreeMap<String, &'static str>, Failure> {
        let (seen, gone) = self.there(world, routes)?;
        let off = seen.into_iter().filter(|domain| !domain.active);
        let off = off.map(|domain| (domain.name.to_string(), OFF));
        let changes = !gone.is_empty() && self.changed_by(world).is_some();
        let why = if changes { COMING } else { GONE };
        Ok(off.chain(gone.into_iter().map(|name| (name, why))).collect())
    }

    /// Refuses the route to a node that does not run, and says why one does not answer: `ssh` would need longer to say less.
    pub fn must_run(&self, world: &World, route: &Route) -> Result<(), Failure> {
        self.must_all_run(world, std::slice::from_ref(route))
    }

    /// The same for several.
    pub fn must_all_run(&self, world: &World, routes: &[Route]) -> Result<(), Failure> {
        let (seen, gone) = self.there(world, routes)?;
        if let Some(name) = gone.first() {
            return Err(not_there(name, self.changed_by(world)));
        }
        if let Some(off) = seen.iter().find(|domain| !domain.active) {
            let who = self.changed_by(world);
            return Err(Failure::Failed(nodes::not_running(off.name.as_str(), who.as_deref())));
        }
        silence(world, &seen).iter().for_each(|(name, why)| say_silent(world, name, why));
        Ok(())
    }

    /// Whether nodes are another hypervisor's, which is asked about them only once there was no connection.
    pub fn are_elsewhere(&self, routes: &[Route]) -> bool {
        self.located.host.is_remote() && routes.iter().any(|route| !route.own)
    }

    /// Says of nodes of another hypervisor's why there was no connection to them, once `ssh` has told that there was none:
    /// what [`Routes::must_all_run`] says beforehand of others.
    pub fn explain_lost(&self, world: &World, routes: &[Route]) -> Result<(), Failure> {
        if !self.are_elsewhere(routes) {
            return Ok(());
        }
        for (name, why) in self.silence_there(world, routes)? {
            match why.as_str() {
                OFF => return Err(Failure::Failed(nodes::not_running(&name, None))),
                GONE => return Err(not_there(&name, None)),
                why => say_silent(world, &name, why),
            }
        }
        Ok(())
    }

    /// Who changes the environment at this moment; asked only where the hypervisor is this machine.
    pub fn changed_by(&self, world: &World) -> Option<String> {
        locking::holder(&Connection::local(world), &self.located.environment)
    }

    /// Why nodes do not answer at this moment, by their names, for whom `ssh` has told that it has no connection: another
    /// hypervisor is asked, too, which may say [`OFF`] or [`GONE`]. An error if nothing of the environment is there any more.
    pub fn silence(
        &self,
        world: &World,
        routes: &[Route],
    ) -> Result<BTreeMap<String, String>, Failure> {
        match self.are_elsewhere(routes) {
            true => self.silence_there(world, routes),
            false => Ok(silence(world, &self.seen(world, routes))),
        }
    }

    /// The same on another hypervisor. Where that does not answer, either, there is nothing to tell.
    fn silence_there(
        &self,
        world: &World,
        routes: &[Route],
    ) -> Result<BTreeMap<String, String>, Failure> {
        let Ok(mut session) = Session::open(world, self.located.clone()) else {
            return Ok(BTreeMap::new());
        };
        let Ok(hypervisor) = session.running() else { return Ok(BTreeMap::new()) };
        let mut asked = hypervisor.observed();
        let gone = self.lacking(&asked, routes)?;
        asked.domains.retain(|name, _| routes.iter().any(|route| route.name == name.as_str()));
        let evidence = session.evidence(&asked, Ask::Nodes).unwrap_or_default();
        let mut why = answering::reasons(asked.domains.values(), &evidence);
        let off = asked.domains.values().filter(|domain| !domain.active);
        why.extend(off.map(|domain| (domain.name.to_string(), OFF.to_string())));
        why.extend(gone.into_iter().map(|name| (name, GONE.to_string())));
        Ok(why)
    }

    /// What a user may type for nodes: their names, with the prefix only where something is typed already; with `sets` node
    /// types and groups, too.
    pub fn words(&self, typed: &str, sets: bool) -> BTreeSet<String> {
        let prefix = self.located.environment.qualify("");
        let mut words = BTreeSet::new();
        for Candidate { name, role, groups } in self.candidates() {
            if name == "hypervisor" || self.inventory.find(name).is_some_and(Host::is_local) {
                continue;
            }
            words.insert(name.strip_prefix(&prefix).unwrap_or(name));
            words.extend((!typed.is_empty()).then_some(name));
            if sets {
                words.extend(groups.into_iter().chain([role]));
            }
        }
        words.into_iter().filter(|word| !word.is_empty()).map(String::from).collect()
    }

    fn candidates(&self) -> Vec<Candidate<'_>> {
        let configured = self.configured.iter().map(String::as_str);
        let listed = self.inventory.hosts.iter().map(|host| host.name.as_str());
        let names: BTreeSet<&str> = configured.chain(listed).collect();
        let prefix = self.located.environment.qualify("");
        let candidate = |name| {
            let groups = self.inventory.find(name).map(|host| host.groups.iter());
            let groups = groups.into_iter().flatten().map(String::as_str);
            let groups = groups.filter(|group| *group != "ungrouped").collect();
            Candidate { name, role: role(name, &prefix), groups }
        };
        names.into_iter().map(candidate).collect()
    }

    fn route(&self, name: &str) -> Result<Route, Failure> {
        if self.configured.iter().any(|known| known == name) {
            let options = vec!["-F".into(), self.config.clone().into()];
            let (name, destination) = (name.to_string(), name.to_string());
            return Ok(Route { name, destination, options, own: false });
        }
        // An inventory of the user's own has no ssh config beside it.
        match self.inventory.find(name) {
            Some(host) => by_inventory(host, &self.inventory_file),
            None => Err(self.unbuilt()),
        }
    }

    /// Of an environment that was removed by somebody else, or by its end.
    fn gone(&self) -> Failure {
        let name = &self.located.environment;
        let error = StepError::new(format!("environment `{name}` is not there any more"));
        Failure::Failed(
            error
                .hint("somebody has removed it, or it has expired; `maquette list` shows what there is")
                .hint("`maquette up` builds it again"),
        )
    }

    fn unbuilt(&self) -> Failure {
        let name = &self.located.environment;
        let mut error = StepError::new(format!("environment `{name}` has no ssh config here"));
        if self.located.project.is_none() && name.prefix().is_none() {
            error = error.hint(
                "it is called so since there is no maquette.yaml here; `maquette list` shows what there is",
            );
        }
        Failure::Failed(
            error
                .hint("`--prefix` and `--workspace` choose another environment, or a copy of its workspace")
                .hint("its key is in the workspace of whoever built it; `maquette status` says whether it is there, and which key opens it")
                .hint("if nothing was built yet, `maquette up` writes it"),
        )
    }

    fn unknown(&self, word: &str, candidates: &[Candidate<'_>]) -> Diagnostic {
        let qualified = self.located.environment.qualify(word);
        let local = |name: &str| self.inventory.find(name).is_some_and(Host::is_local);
        let names: Vec<&str> = candidates.iter().map(|c| c.name).filter(|n| !local(n)).collect();
        let list = match names.is_empty() {
            true => "no node of this workspace's environment can be: `--prefix NAME` names another one, `maquette list` shows what there is".into(),
            false => format!("there are: {}", names.join(", ")),
        };
        if selection::is_pattern(word) {
            let message = format!("no node that can be logged in to fits `{word}`");
            return Diagnostic::error("node::unknown", message).help(list);
        }
        let message = format!("no node `{qualified}` can be logged in to");
        Diagnostic::error("node::unknown", message).suggest(&qualified, names).help(list)
    }
}

/// Of a node that somebody has removed while others stay, or that whoever changes the environment has yet to make.
fn not_there(name: &str, changed_by: Option<String>) -> Failure {
    let why = if changed_by.is_some() { COMING } else { GONE };
    let error = StepError::new(format!("`{name}` {}", why.trim_start_matches("it ")));
    Failure::Failed(match changed_by {
        Some(who) => error.hint(being_changed(&who)),
        None => error.hint("`maquette status` shows what there is"),
    })
}

/// What to do about nodes of an environment that somebody changes.
pub fn being_changed(who: &str) -> String {
    format!(
        "the environment is being changed by {who}; `maquette status --watch` shows when nodes are ready"
    )
}

/// Says why a node that runs does not answer.
fn say_silent(world: &World, name: &str, why: &str) {
    world.terminal.talk(&format!(
        "`{name}` does not answer now: {why}; `maquette doctor {name}` looks for the cause"
    ));
}

/// Nodes that routes lead to.
fn of_routes(observed: Observed, routes: &[Route]) -> Vec<Domain> {
    let mut domains = observed.domains;
    routes.iter().filter_map(|route| domains.remove(route.name.as_str())).collect()
}

/// Why nodes of this machine's do not answer at this moment, as `status` says it.
fn silence(world: &World, domains: &[Domain]) -> BTreeMap<String, String> {
    let guest = |domain: &Domain| Guest {
        name: domain.name.to_string(),
        address: domain.recorded.access.address,
        log: Some(maquette_libvirt::serial_log(&domain.recorded)),
    };
    let guests: Vec<Guest> = domains.iter().filter(|d| d.active).map(guest).collect();
    // What cannot be asked is for ssh to find out.
    let found = match guests.is_empty() {
        true => BTreeMap::new(),
        false => guests::look(world.hosts.here().as_ref(), &guests).unwrap_or_default(),
    };
    answering::reasons(domains, &found)
}

/// The node type in a node's name, `[PREFIX-]TYPE-INDEX`; empty if it has none.
fn role<'a>(name: &'a str, prefix: &str) -> &'a str {
    let own = name.strip_prefix(prefix).unwrap_or(name);
    let split = own.rsplit_once('-').filter(|(_, index)| index.parse::<u32>().is_ok());
    split.map_or("", |(role, _)| role)
}

/// As the inventory says: key, arguments, port, user, address.
fn by_inventory(host: &Host, inventory: &Path) -> Result<Route, Failure> {
    let bad = |why: String| Failure::Failed(StepError::new(format!("`{}`: {why}", host.name)));
    if host.is_local() {
        return Err(bad("it is this machine, or not deployed; there is no way to log in".into()));
    }
    let not_valid = |e: ValueError| bad(e.to_string());
    let address = host.var("ansible_host").unwrap_or(&host.name);
    if address == "NA" {
        return Err(bad("it has no operating system to log in to".into()));
    }
    let mut options: Vec<OsString> = Vec::new();
    if let Some(key) = host.var("ansible_ssh_private_key_file") {
        // Relative to the inventory's directory.
        let key = inventory.parent().unwrap_or(Path::new("")).join(key);
        std::fs::File::open(&key)
            .map_err(|e| bad(format!("cannot read its key {}: {e}", key.display())))?;
        options.extend(["-i".into(), key.into()]);
    }
    for name in ["ansible_ssh_common_args", "ansible_ssh_extra_args"] {
        if let Some(words) = host.var(name).and_then(shlex::split) {
            options.extend(words.into_iter().map(OsString::from));
        }
    }
    let user: Login = host.var("ansible_user").unwrap_or("root").parse().map_err(not_valid)?;
    let address: HostAddress = address.trim_matches(['[', ']']).parse().map_err(not_valid)?;
    // Without one it is what the user's ssh configuration says.
    if let Some(port) = host.var("ansible_port") {
        let port: u16 = port.parse().map_err(|_| bad(format!("`{port}` is not a valid port")))?;
        // `-p` means something else to scp.
        options.extend(["-o".into(), format!("Port={port}").into()]);
    }
    let destination = format!("{user}@{address}");
    Ok(Route { name: host.name.clone(), destination, options, own: true })
}
