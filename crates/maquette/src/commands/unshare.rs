//! `maquette unshare`: a key that nodes were shared with opens them no more.

use maquette_core::diagnostic::Diagnostic;
use maquette_core::observed::Observed;
use maquette_core::values::PublicKey;
use maquette_engine::ssh_keys::fingerprint;

use super::share::{self, Verb};
use crate::cli::{Locking, Place};
use crate::failure::Failure;
use crate::load;
use crate::world::World;

/// Arguments of `unshare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// What to do if somebody else is changing it.
    #[command(flatten)]
    pub locking: Locking,
    /// Whose keys go: names or fingerprints as `maquette share` shows them, or keys as it takes them
    #[arg(value_name = "KEY", required = true)]
    pub keys: Vec<String>,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    pub json: bool,
}

/// Runs it; the exit code if it did not fail.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let located = load::located(&world.environment, &args.place)?;
    share::change(world, &located, Verb::Unshare, args.locking, args.json, |observed| {
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
    let is_it =
        |key: &&PublicKey| key.comment() == Some(word) || fingerprint(key).as_deref() == Some(word);
    let found: Vec<PublicKey> = shared.iter().filter(is_it).cloned().collect();
    let keys = match found.is_empty() {
        false => found,
        true => share::all_keys(world, &[word.to_string()]).map_err(|failure| {
            match word == "-" || std::path::Path::new(word).exists() {
                true => failure,
                false => unknown(word, &shared),
            }
        })?,
    };
    let guests = || observed.domains.values().filter_map(|d| d.recorded.guest.as_ref());
    match guests().any(|guest| keys.iter().any(|key| key.is_same(&guest.authorized_key))) {
        true => Err(Failure::input(Diagnostic::error(
            "share::own",
            "this is the key that the environment was built with, which cannot be taken away",
        ))),
        false => Ok(keys),
    }
}

fn unknown(word: &str, shared: &[PublicKey]) -> Failure {
    let message = format!("the environment is not shared with `{word}`");
    let error = Diagnostic::error("share::unknown", message);
    let names = shared.iter().map(|key| key.comment().unwrap_or(key.as_str()));
    let names = names.collect::<Vec<_>>().join(", ");
    Failure::input(error.help(match names.is_empty() {
        true => "it is shared with nobody".into(),
        false => format!("it is shared with: {names}"),
    }))
}
