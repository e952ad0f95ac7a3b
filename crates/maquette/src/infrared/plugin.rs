//! `maquette plugin`: InfraRed's users add the provisioner before they use it.

use maquette_engine::StepError;

use crate::failure::Failure;

use crate::world::World;

/// Accepts the built-in provisioner, and nothing else.
pub fn run(world: &World, args: &[String]) -> Result<u8, Failure> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let built_in = |word: &&str| {
        matches!(word.trim_end_matches('/').rsplit('/').next(), Some("virsh")) || *word == "all"
    };
    match words.as_slice() {
        ["add", sources @ ..] => {
            let mut names = sources.iter().filter(|w| !w.starts_with('-')).peekable();
            if names.peek().is_none() || !names.all(built_in) {
                return Err(other("only `virsh` is built in; other plugins cannot be added"));
            }
            world.terminal.talk("plugin virsh is built in");
            Ok(0)
        }
        ["list", ..] => {
            world.terminal.result(&crate::render::boxes(
                &["Type", "Name"],
                &[vec!["provision".into(), "virsh".into()]],
            ));
            Ok(0)
        }
        ["remove" | "update", names @ ..] if names.iter().all(built_in) => Ok(0),
        ["freeze" | "search", ..] | [] => Ok(0),
        [verb, ..] => Err(other(&format!("`plugin {verb}` has no meaning here"))),
    }
}

fn other(message: &str) -> Failure {
    Failure::Failed(
        StepError::new(message).hint(
            "run InfraRed's other plugins with InfraRed; they read this workspace's inventory",
        ),
    )
}
