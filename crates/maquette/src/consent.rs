//! What the user agrees to, one thing at a time: `--yes` answers the question of the command that it
//! is given to, `--accept` names further ones. Whoever agrees to a clean-up has agreed to nothing else.

use clap::ValueEnum;
use maquette_core::diagnostic::Diagnostic;

use crate::failure::Failure;
use crate::world::{Environment, World};

/// What is never done without somebody's having agreed to just that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Nodes or volumes that are there lose their data
    LoseDisks,
    /// Networks lose what somebody edited in them outside Maquette
    UndoEdits,
    /// The NIC with the hypervisor's default route is put into a bridge, although no file names it
    BridgeDefaultNic,
    /// The environment is removed by itself sooner than was noted
    ExpireSooner,
}

impl Kind {
    /// The word of `--accept`.
    fn word(self) -> &'static str {
        match self {
            Self::LoseDisks => "lose-disks",
            Self::UndoEdits => "undo-edits",
            Self::BridgeDefaultNic => "bridge-default-nic",
            Self::ExpireSooner => "expire-sooner",
        }
    }
}

/// How consent is got.
#[derive(Debug, Clone, Default)]
pub struct Consent {
    accepted: Vec<Kind>,
    /// What `--yes` agrees to besides.
    by_yes: &'static [Kind],
    /// Standard output is for programs, so nobody reads a question.
    json: bool,
    /// Ways out besides `--accept`.
    hints: Vec<String>,
}

impl Consent {
    /// What `--accept` says.
    pub fn new(accepted: &[Kind]) -> Self {
        Self { accepted: accepted.to_vec(), ..Self::default() }
    }

    /// What `--yes` says, which agrees to lost disks, also to those that go by themselves and sooner, and to lost edits of
    /// networks: `up` asks for these.
    pub fn yes(mut self, yes: bool) -> Self {
        if yes {
            self.by_yes = &[Kind::UndoEdits, Kind::ExpireSooner, Kind::LoseDisks];
        }
        self
    }

    /// `--yes` agrees to no lost disks where a key of a file was not understood: that may have asked for those that would go.
    pub fn doubted(mut self, doubted: bool) -> Self {
        if doubted {
            self.by_yes = self.by_yes.strip_suffix(&[Kind::LoseDisks]).unwrap_or(self.by_yes);
        }
        self
    }

    /// What `--json` says.
    pub fn json(mut self, json: bool) -> Self {
        self.json = json;
        self
    }

    /// Adds a way out, for whoever cannot be asked.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Whether a kind has been agreed to beforehand.
    pub fn has(&self, kind: Kind) -> bool {
        self.accepted.contains(&kind) || self.by_yes.contains(&kind)
    }

    /// Asks whether to do `what`, unless its kind has been agreed to.
    pub fn ask(&self, world: &World, kind: Kind, what: &str) -> Result<(), Failure> {
        if self.has(kind) {
            return Ok(());
        }
        let mut hints = vec![format!("say `--accept {}` if that is what you want", kind.word())];
        if kind != Kind::BridgeDefaultNic {
            hints.extend(self.hints.iter().cloned());
        }
        question(world, "plan::unconfirmed", what, self.json, &hints)
    }
}

/// Asks at the terminal. Where there is none, it is an error with ways out, and nothing is done.
pub fn question(
    world: &World,
    code: &'static str,
    what: &str,
    json: bool,
    hints: &[String],
) -> Result<(), Failure> {
    if json || !world.terminal.is_interactive() {
        let error = Diagnostic::error(code, format!("this would {what}"));
        return Err(Failure::input(hints.iter().fold(error, |e, hint| e.help(hint.clone()))));
    }
    match world.terminal.ask(&format!("This would {what}. Continue?"))? {
        true => Ok(()),
        false => Err(Failure::Declined),
    }
}

/// What `MAQUETTE_YES` says: 1, or one of YAML's words.
pub fn yes_of_environment(environment: &Environment) -> bool {
    environment
        .text("MAQUETTE_YES")
        .is_some_and(|t| maquette_core::syntax::parse_bool(&t) == Some(true) || t == "1")
}

/// What `MAQUETTE_ACCEPT` says, for command lines without a flag of ours; words it does not know are
/// the error.
pub fn accepted(words: &[String]) -> Result<Vec<Kind>, Failure> {
    let mut kinds = Vec::new();
    for word in words.iter().flat_map(|w| w.split(',')).map(str::trim).filter(|w| !w.is_empty()) {
        match Kind::from_str(word, true) {
            Ok(kind) => kinds.push(kind),
            Err(_) => {
                let error = Diagnostic::error(
                    "consent::unknown",
                    format!("`{word}` is not something that can be accepted"),
                );
                let known: Vec<&str> = Kind::value_variants().iter().map(|k| k.word()).collect();
                return Err(Failure::input(error.help(format!("there are: {}", known.join(", ")))));
            }
        }
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_agrees_to_no_lost_disks_beside_a_key_that_was_not_understood() {
        let yes = Consent::new(&[]).yes(true);
        assert!(yes.has(Kind::LoseDisks) && yes.has(Kind::UndoEdits));
        let doubted = yes.doubted(true);
        assert!(!doubted.has(Kind::LoseDisks));
        assert!(doubted.has(Kind::UndoEdits) && doubted.has(Kind::ExpireSooner));
        // Whoever names it means it.
        assert!(Consent::new(&[Kind::LoseDisks]).yes(true).doubted(true).has(Kind::LoseDisks));
    }
}
