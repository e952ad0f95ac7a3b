//! `maquette share`: another person's public key opens the nodes, and `maquette unshare`, which takes it away again.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::Duration;

use maquette_core::blueprint::Guest;
use maquette_core::diagnostic::Diagnostic;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Away, Extent, Op, Plan};
use maquette_core::values::PublicKey;
use maquette_engine::private_file::write_private;
use maquette_engine::ssh_keys::{EnvironmentKey, KEY_FILE, SECRET_FILE, fingerprint};
use maquette_engine::{StepError, public_keys};
use serde_json::{Value, json};

use super::power;
use crate::cli::{EnvironmentArgs, Locking};
use crate::failure::Failure;
use crate::lifecycle::answering;
use crate::load::{self, Located};
use crate::render;
use crate::session::{Ask, Session, locking};
use crate::session::{entry, lockout};
use crate::workspace::identity::{self, Way};
use crate::workspace::{Owner, outputs};
use crate::world::World;

/// Arguments of `share`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// What to do if somebody else is changing it.
    #[command(flatten)]
    pub locking: Locking,
    /// Public keys: files, `-` for standard input, or a key in quotes; without any, who may log in is shown
    #[arg(value_name = "KEY")]
    pub keys: Vec<String>,
    /// Print the public key of this workspace, for whoever built an environment elsewhere; it is made if there is none
    #[arg(long, conflicts_with_all = ["keys", "json"])]
    pub export: bool,
    /// Print what happens as JSON, one event a line; without keys, who may log in
    #[arg(long)]
    pub json: bool,
}

/// What is done with keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// They come.
    Share,
    /// They go.
    Unshare(Extent),
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Unshare(_) => "unshare",
        }
    }
}

/// Runs it; the exit code if it did not fail.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let located = load::located(&world.environment, &args.place)?;
    if args.export {
        return export(world, &located);
    }
    if args.keys.is_empty() {
        return list(world, &located, args.json);
    }
    let keys = all_keys(world, &args.keys)?;
    change(world, &located, Verb::Share, args.locking, args.json, |observed| {
        let own = |(_, guest): (_, &Guest)| keys.iter().any(|k| k.is_same(&guest.authorized_key));
        match observed.guests().any(own) {
            true => Err(Failure::input(Diagnostic::error(
                "share::own",
                "this is the key that the environment was built with; it opens the nodes already",
            ))),
            false => Ok(keys.clone()),
        }
    })
}

/// Changes whose keys open the nodes; `which` says which keys, once it is known what is there.
pub fn change(
    world: &World,
    located: &Located,
    verb: Verb,
    how: Locking,
    json: bool,
    which: impl Fn(&Observed) -> Result<Vec<PublicKey>, Failure>,
) -> Result<u8, Failure> {
    let mut session = Session::open(world, located.clone())?;
    session.prepare_runs(json, Duration::from_secs(power::START_TIMEOUT))?;
    session.lock(verb.word(), how)?;
    let observed = session.running()?.observed();
    if observed.guests().next().is_none() {
        let message = format!("{} has no nodes that can be logged in to", session.title());
        return Err(Failure::input(
            Diagnostic::error("environment::unknown", message)
                .help("`--prefix NAME` and `--host-address ADDRESS` choose another environment"),
        ));
    }
    must_have_built(world, located, &observed, session.connection.records.is_some())?;
    let keys = which(&observed)?;
    let away = plan::out_of_reach(&observed);
    if verb == Verb::Unshare(Extent::All) && !away.is_empty() {
        return Err(unshared_by_none(&away));
    }
    let plan = match verb {
        Verb::Share => plan::share(&observed, &located.environment, &keys),
        Verb::Unshare(extent) => plan::unshare(&observed, &located.environment, &keys, extent),
    };
    if plan.is_empty() {
        let error =
            StepError::new("there is no node that can be logged in to now; nothing was changed");
        return Err(Failure::Failed(error.hint("`maquette start --all` starts them")));
    }
    if !json {
        world.terminal.plan(&plan, &session.title());
    }
    if let Some(domain) = observed.domains.values().next() {
        session.starts(domain.recorded.virt);
    }
    let done = session.run(&plan);
    match verb {
        Verb::Share if done.is_ok() && !json => invite(world, located, &observed, &away),
        Verb::Unshare(Extent::All) if done.is_err() => world.terminal.talk(
            "the nodes are still recorded with the key; `unshare --reachable` takes it from all that can be logged in to",
        ),
        Verb::Unshare(Extent::Reachable) if done.is_err() || !away.is_empty() => {
            left_open(world, &away, &keys);
        }
        _ => {}
    }
    let is_done = away.is_empty() || verb == Verb::Share;
    note(located, &shared_after(&observed, verb, &keys, is_done && done.is_ok()));
    done.inspect_err(|_| tell_silence(world, &session, &observed))?;
    if json {
        world.terminal.result(&told(verb, &plan, &away).to_string());
    }
    // Who asked for a key to go has to know that it opens something still.
    Ok(u8::from(!is_done))
}

/// Whose keys are recorded after a run that was to change them.
fn shared_after(
    observed: &Observed,
    verb: Verb,
    keys: &[PublicKey],
    is_done: bool,
) -> Vec<PublicKey> {
    let mut all = observed.shared_keys();
    if is_done {
        all.retain(|known| !keys.iter().any(|key| key.is_same(known)));
        if verb == Verb::Share {
            all.extend(keys.iter().cloned());
        }
    }
    all
}

/// Keeps in the environment's workspace whose keys open the nodes, for whoever types `maquette unshare` and presses Tab. A name
/// that is missing there is no reason to fail.
fn note(located: &Located, keys: &[PublicKey]) {
    let (workspace, owner) = (&located.workspace, Owner::new(&located.environment, &located.host));
    if outputs::is_built(workspace) && outputs::belongs(workspace, &owner) {
        let _ = outputs::write_colleagues(workspace, keys);
    }
}

/// Says why nodes do not answer: that the connection failed is all that `ssh` knew.
fn tell_silence(world: &World, session: &Session<'_>, observed: &Observed) {
    // Who cannot be asked any more has no answer to be told.
    let evidence = session.evidence(observed, Ask::Nodes);
    let evidence = evidence.unwrap_or_default();
    for (name, why) in answering::reasons(observed.domains.values(), &evidence) {
        world.terminal.talk(&format!(
            "`{name}` does not answer: {why}; `maquette doctor {name}` looks for the cause"
        ));
    }
}

/// The last line of events: which nodes were changed, and which could not be. Those of `share` have a key too few, those of
/// `unshare` may still open to one.
fn told(verb: Verb, plan: &Plan, away: &[(&str, Away)]) -> Value {
    let changed = plan.changes.iter().filter(|change| change.op == Op::Update);
    let changed: Vec<&str> = changed.map(|change| change.name.as_str()).collect();
    let left: Vec<&str> = away.iter().map(|(name, _)| *name).collect();
    let word = if verb == Verb::Share { "still_closed" } else { "still_open" };
    json!({"schema": 1, "event": "keys", "changed": changed, word: left})
}

/// Why no key was taken from any node: it would not have been taken from these.
fn unshared_by_none(away: &[(&str, Away)]) -> Failure {
    let are = |why: &[Away]| {
        let some = away.iter().filter(|(_, away)| why.contains(away));
        some.map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let (off, not_ready) = (are(&[Away::Off]), are(&[Away::NotReady]));
    let records = are(&[Away::Undefined, Away::Edited]);
    let names = away.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let message = format!("the keys of {names} cannot be changed now; nothing was changed");
    let mut error = StepError::new(message);
    if !off.is_empty() {
        let start = format!("`maquette start {}` first", off.join(" "));
        error = error.hint(format!("a key goes from all nodes or from none: {start}"));
    }
    if !records.is_empty() {
        let text = "was changed outside Maquette: `maquette up` repairs that first";
        error = error.hint(format!("what is recorded of {} {text}", records.join(", ")));
    }
    if !not_ready.is_empty() {
        let doctor = format!("`maquette doctor {}` says why", not_ready.join(" "));
        error = error.hint(format!("{} never booted to the end: {doctor}", not_ready.join(", ")));
    }
    Failure::Failed(error.hint("`--reachable` takes the key from all other nodes"))
}

/// Says which nodes may still open to keys that were taken away, and how that ends.
fn left_open(world: &World, away: &[(&str, Away)], keys: &[PublicKey]) {
    let mut which: Vec<&str> = away.iter().map(|(name, _)| *name).collect();
    if which.is_empty() {
        which.push("what could not be changed");
    }
    let again: Vec<String> = keys.iter().map(|key| format!("'{key}'")).collect();
    let (which, again) = (which.join(", "), again.join(" "));
    let text = format!(
        "{which} may still open to it; once it can be logged in to, this takes it from there, too:"
    );
    world.terminal.talk(&format!("{text}\n  maquette unshare {again}"));
}

/// Says what the colleague types, and which nodes are still to come.
fn invite(world: &World, located: &Located, observed: &Observed, away: &[(&str, Away)]) {
    if !away.is_empty() {
        let away: Vec<&str> = away.iter().map(|(name, _)| *name).collect();
        let text = "not running, or not ready: `maquette up` gives them the key once they are";
        world.terminal.talk(&format!("{} {text}", away.join(", ")));
    }
    let mut words = vec!["maquette ssh".to_string()];
    words.extend(located.environment.prefix().map(|prefix| format!("--prefix {prefix}")));
    words.extend(located.host.address.as_ref().map(|address| format!("--host-address {address}")));
    // Nobody logs in to a blank node, nor to one that does not run.
    let is_away = |name: &str| away.iter().any(|(node, _)| *node == name);
    let mut in_reach = observed.guests().map(|(node, _)| node.name.to_string());
    words.extend(in_reach.find(|name| !is_away(name)));
    world.terminal.talk(&format!("whose key it is logs in with `{}` there", words.join(" ")));
}

/// Only whoever built an environment can record who may log in: records carry a seal.
fn must_have_built(
    world: &World,
    located: &Located,
    observed: &Observed,
    has_secret: bool,
) -> Result<(), Failure> {
    let workspace = &located.workspace;
    match identity::way(observed, workspace, &world.environment) {
        Some(Way::Built) if has_secret => Ok(()),
        Some(Way::Built) => {
            let what = "the nodes were made with a secret that this workspace does not have";
            let error = StepError::new(format!("{what}: {SECRET_FILE}"));
            Err(Failure::Failed(error.hint("run this in the workspace that built them")))
        }
        Some(Way::Shared(_)) => Err(Failure::Failed(entry::only_shared(located))),
        None => {
            let lockout = lockout::of(observed, workspace, &world.environment);
            let error = lockout.map(|lockout| lockout.error(&located.environment));
            Err(Failure::Failed(error.unwrap_or_else(|| StepError::new("no key opens the nodes"))))
        }
    }
}

/// Prints the workspace's public key, with the name of whoever asks; it is made first if there is none.
fn export(world: &World, located: &Located) -> Result<u8, Failure> {
    let (workspace, failed) =
        (&located.workspace, |e| Failure::because("cannot use the workspace's key", e));
    let there = EnvironmentKey::read(&workspace.path).map_err(failed)?;
    let made = there.is_none();
    let key = match there {
        Some(key) => key,
        None => {
            workspace.create().map_err(|e| workspace.unwritten(e))?;
            let key = EnvironmentKey::generate().map_err(failed)?;
            key.write_login(&workspace.path).map_err(failed)?;
            world.terminal.talk(&format!("made {}", workspace.file(KEY_FILE).display()));
            key
        }
    };
    let bare = key.public().as_str().rsplit_once(' ').map_or(key.public().as_str(), |(key, _)| key);
    let named = format!("{bare} {}", locking::whoami(&world.environment));
    let named: Option<PublicKey> = named.parse().ok();
    let named = named.as_ref().unwrap_or(key.public());
    if made {
        let file = workspace.file(&format!("{KEY_FILE}.pub"));
        write_private(&file, format!("{named}\n").as_bytes())
            .map_err(|e| workspace.unwritten(e))?;
    }
    world.terminal.result(named);
    Ok(0)
}

/// What stands for the name of a key that has none.
pub const NO_NAME: &str = "(no name)";

/// A key that opens nodes.
struct Known {
    key: PublicKey,
    /// Whether the environment was built with it.
    built: bool,
    /// The nodes that it opens.
    nodes: BTreeSet<String>,
}

/// Keys that open nodes, those of whoever built them first.
fn known(observed: &Observed) -> Vec<Known> {
    let mut all: Vec<Known> = Vec::new();
    let built = observed.guests().map(|(d, guest)| (d, &guest.authorized_key, true));
    let shared = observed
        .guests()
        .flat_map(|(d, guest)| guest.shared.iter().map(move |key| (d, key, false)));
    for (domain, key, built) in built.chain(shared) {
        let at = all.iter().position(|known| known.key.is_same(key)).unwrap_or_else(|| {
            all.push(Known { key: key.clone(), built, nodes: BTreeSet::new() });
            all.len() - 1
        });
        all[at].nodes.insert(domain.name.to_string());
    }
    all
}

impl Known {
    fn who(&self) -> &str {
        match self.built {
            // No comment of a key can have brackets.
            true => "(who built it)",
            false => self.key.comment().unwrap_or(NO_NAME),
        }
    }
}

/// Shows who may log in.
fn list(world: &World, located: &Located, json: bool) -> Result<u8, Failure> {
    let mut session = Session::open(world, located.clone())?;
    let observed = session.running()?.observed();
    let all = known(&observed);
    note(located, &observed.shared_keys());
    if json {
        let keys: Vec<Value> = all
            .iter()
            .map(|known| {
                json!({
                    "who": known.key.comment().filter(|_| !known.built),
                    "fingerprint": fingerprint(&known.key),
                    "key": known.key.as_str(),
                    "built": known.built,
                    "nodes": known.nodes,
                })
            })
            .collect();
        let name = located.environment.to_string();
        let value = json!({"schema": 1, "environment": name, "keys": keys});
        world.terminal.result(&format!("{value:#}"));
        return Ok(0);
    }
    if all.is_empty() {
        let text = format!("{} has no nodes that can be logged in to", session.title());
        world.terminal.talk(&text);
        return Ok(0);
    }
    let guests = observed.guests().count();
    let rows = all.iter().map(|known| {
        let nodes = format!("{} of {guests}", known.nodes.len());
        vec![known.who().into(), fingerprint(&known.key).unwrap_or("-".into()), nodes]
    });
    world.terminal.result(&render::columns(&["WHO MAY LOG IN", "KEY", "NODES"], rows));
    Ok(0)
}

/// The keys that words mean: files, standard input, or keys themselves.
pub fn all_keys(world: &World, words: &[String]) -> Result<Vec<PublicKey>, Failure> {
    let mut keys = Vec::new();
    for word in words {
        keys.extend(keys_of(world, word)?);
    }
    Ok(keys)
}

/// Most bytes of keys that are read.
const LONGEST: u64 = 1 << 20;

/// Whether a word is a key itself.
fn is_key(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|begin| word.starts_with(begin)) && word.contains(' ')
}

fn keys_of(world: &World, word: &str) -> Result<Vec<PublicKey>, Failure> {
    let refused = |message: String| Failure::input(Diagnostic::error("share::key", message));
    let unread = |what: &str, e: std::io::Error| refused(format!("cannot read {what}: {e}"));
    let (text, whence) = match word {
        "-" => {
            let mut text = String::new();
            let read = world.terminal.keys().take(LONGEST).read_to_string(&mut text);
            read.map_err(|e| unread("standard input", e))?;
            (text, "standard input".to_string())
        }
        key if is_key(key) => (key.to_string(), format!("`{key}`")),
        file => (crate::reading::text(file).map_err(|e| unread(file, e))?, file.to_string()),
    };
    if text.contains("PRIVATE KEY") {
        let error = Diagnostic::error("share::key", format!("{whence} is a private key"));
        return Err(Failure::input(
            error.help("nobody else should have it; give the public key, whose file ends in .pub"),
        ));
    }
    let mut keys = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let key = public_keys::line(line).and_then(|line| line.trim().parse().ok());
        keys.push(key.ok_or_else(|| {
            let error = Diagnostic::error("share::key", format!("{whence} is not a public SSH key"));
            Failure::input(error.help("such a key is a line of a type, the key and perhaps a name; options are not allowed"))
        })?);
    }
    match keys.is_empty() {
        true => Err(refused(format!("{whence} has no public SSH key"))),
        false => Ok(keys),
    }
}
