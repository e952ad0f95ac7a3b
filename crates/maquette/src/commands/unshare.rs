//! `maquette unshare`: a key that nodes were shared with no longer opens them.

use maquette_core::diagnostic::Diagnostic;
use maquette_core::observed::Observed;
use maquette_core::plan::Extent;
use maquette_core::values::PublicKey;
use maquette_engine::ssh_keys::fingerprint;

use super::share::{self, NO_NAME, Verb};
use crate::cli::{EnvironmentArgs, Locking};
use crate::failure::Failure;
use crate::load;
use crate::world::World;

/// Arguments of `unshare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// What to do if somebody else is changing it.
    #[command(flatten)]
    pub locking: Locking,
    /// Whose keys go: names or fingerprints as `maquette share` shows them, or keys as it takes them
    #[arg(value_name = "KEY", required = true)]
    pub keys: Vec<String>,
    /// Take them away where a login works, and leave the other nodes
    #[arg(long)]
    pub reachable: bool,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    pub json: bool,
}

/// Runs it; the exit code if it did not fail.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let located = load::located(&world.environment, &args.place)?;
    let verb = Verb::Unshare(if args.reachable { Extent::Reachable } else { Extent::All });
    share::change(world, &located, verb, args.locking, args.json, |observed| {
        let mut keys = Vec::new();
        for word in &args.keys {
            keys.extend(meant(world, word, observed)?);
        }
        Ok(keys)
    })
}

/// The keys that a word means. A whole key goes whether it is recorded or not.
fn meant(world: &World, word: &str, observed: &Observed) -> Result<Vec<PublicKey>, Failure> {
    let shared = observed.shared_keys();
    // A fingerprint is one key's; a name may be what somebody has written, another's fingerprint too.
    let print = |key: &&PublicKey| fingerprint(key).as_deref() == Some(word);
    let name = |key: &&PublicKey| key.comment() == Some(word);
    let mut found: Vec<PublicKey> = shared.iter().filter(print).cloned().collect();
    if found.is_empty() {
        found = shared.iter().filter(name).cloned().collect();
    }
    if found.len() > 1 {
        return Err(several(word, &found));
    }
    let keys = match found.is_empty() {
        false => found,
        true => share::all_keys(world, &[word.to_string()]).map_err(|failure| {
            match word == "-" || std::path::Path::new(word).exists() {
                true => failure,
                false => unknown(word, &shared),
            }
        })?,
    };
    match observed
        .guests()
        .any(|(_, guest)| keys.iter().any(|key| key.is_same(&guest.authorized_key)))
    {
        true => Err(Failure::input(Diagnostic::error(
            "share::own",
            "this is the key that the environment was built with, which cannot be taken away",
        ))),
        false => Ok(keys),
    }
}

/// Two people, or two computers, may call their keys the same.
fn several(word: &str, found: &[PublicKey]) -> Failure {
    let prints = found.iter().filter_map(|key| fingerprint(key));
    let message = format!("{} keys have the name `{word}`", found.len());
    let error = Diagnostic::error("share::several", message);
    let help =
        |error: Diagnostic, print| error.help(format!("`maquette unshare {print}` takes one"));
    Failure::input(prints.fold(error, help))
}

fn unknown(word: &str, shared: &[PublicKey]) -> Failure {
    let message = format!("the environment is not shared with `{word}`");
    let error = Diagnostic::error("share::unknown", message);
    let name = |key: &PublicKey| match (key.comment(), fingerprint(key)) {
        (Some(name), _) => name.to_string(),
        (None, print) => format!("{NO_NAME} {}", print.unwrap_or_default()),
    };
    let names = shared.iter().map(name).collect::<Vec<_>>().join(", ");
    Failure::input(error.help(match names.is_empty() {
        true => "it is shared with nobody".into(),
        false => format!("it is shared with: {names}"),
    }))
}
