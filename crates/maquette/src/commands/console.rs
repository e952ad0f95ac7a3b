//! `maquette console`: a node's serial console in this terminal.

use std::io::IsTerminal;

use maquette_engine::StepError;
use maquette_libvirt::{Ended, Others};
use rustix::termios::{self, OptionalActions, Termios};

use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::session::nodes;
use crate::world::World;

/// Arguments of `console`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// The node
    pub node: String,
    /// Take the console from whoever is connected to it
    #[arg(long)]
    pub force: bool,
}

/// The terminal in raw mode, in which every key reaches the node, Ctrl-C too; as it was before once this is dropped.
struct Raw(Termios);

impl Raw {
    /// None if standard input is not a terminal.
    fn new() -> Option<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = termios::tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that has gone needs no restoring.
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Connects the terminal with a node's serial console, until Ctrl-] or until the node stops.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let node = nodes::running(world, &args.place, &args.node)?;
    let name = &node.domain.name;
    let mut raw = None;
    let others = if args.force { Others::Leave } else { Others::Stay };
    let ended = node.session.libvirt()?.console(
        name,
        others,
        world.terminal.keys(),
        &mut world.terminal.raw(),
        &mut || {
            world.terminal.talk(&format!(
                "connected to the console of {name}; Enter shows its prompt, Ctrl-] leaves it"
            ));
            raw = Raw::new();
        },
    );
    drop(raw);
    match ended {
        Ok(Ended::Escaped) => {
            world.terminal.talk("");
            Ok(0)
        }
        Ok(Ended::Closed) => {
            world.terminal.talk(&format!(
                "\nthe console of {name} was closed: it stopped, or somebody took it"
            ));
            Ok(0)
        }
        Err(error) => {
            let said = StepError::new(format!("cannot open the console of `{name}`"));
            let taken = error.is_console_taken();
            let said = said.because(error);
            Err(Failure::Failed(match taken {
                true => said.hint("`--force` takes it from whoever is connected"),
                false => said,
            }))
        }
    }
}
