//! `maquette completions`: the script that has a shell complete words of our command line.

use clap::{Arg, Command};
use clap_complete::Shell;

use super::virsh;
use crate::failure::Failure;
use crate::world::World;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    pub shell: Shell,
}

/// Prints the script.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    world.terminal.result(&script(args.shell));
    Ok(0)
}

/// What a shell reads: the words of the command line, and a part that completes names of nodes, environments and images by
/// calling `maquette complete-names`; shells without such a part complete words alone.
fn script(shell: Shell) -> String {
    let mut command = virsh::documented();
    if shell == Shell::Zsh {
        command = without_colons(command);
    }
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "maquette", &mut text);
    let text = String::from_utf8_lossy(&text);
    match shell {
        Shell::Bash => format!("{text}{}", include_str!("../../assets/completions/names.bash")),
        Shell::Fish => {
            let text: String = text.lines().map(named_in_fish).collect();
            format!("{text}{}", include_str!("../../assets/completions/names.fish"))
        }
        Shell::Zsh => format!("{text}{}", include_str!("../../assets/completions/names.zsh")),
        _ => text.into_owned(),
    }
}

/// The command with names of values that zsh reads as names: behind a bare colon in one it sees a command to run.
fn without_colons(command: Command) -> Command {
    let plain = |arg: Arg| {
        let names = arg.get_value_names().unwrap_or_default().iter();
        let names: Vec<String> = names.map(|name| name.replace(':', "\\:")).collect();
        if names.is_empty() { arg } else { arg.value_names(names) }
    };
    let below: Vec<String> =
        command.get_subcommands().map(|below| below.get_name().to_string()).collect();
    below
        .into_iter()
        .fold(command.mut_args(plain), |command, name| command.mut_subcommand(name, without_colons))
}

/// A line for fish, which asks for names of a flag's values only where the flag's own line does. Network files and images
/// are files as well.
fn named_in_fish(line: &str) -> String {
    let is = |flag: &&str| line.contains(&format!(" -l {flag} "));
    let (names, files) = (["prefix", "topology-nodes"], ["topology-network", "image-url"]);
    let bare = || line.trim_end_matches(" -F").trim_end_matches(" -r");
    if names.iter().any(is) {
        format!("{} -x -a '(__maquette_names)'\n", bare())
    } else if files.iter().any(is) {
        format!("{} -r -F -a '(__maquette_names)'\n", bare())
    } else {
        format!("{line}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zsh_sees_no_command_in_a_values_name() {
        let script = script(Shell::Zsh);
        let mut seen = 0;
        for line in script.lines().map(str::trim) {
            // 'FLAG=[HELP]:VALUE:ACTION' \
            let is_flag = line.contains("=[") || line.contains("+[");
            let spec = line.strip_suffix("' \\").filter(|_| is_flag);
            let Some((_, value)) = spec.and_then(|spec| spec.split_once("]:")) else { continue };
            seen += 1;
            // A second colon at the beginning says that the value may be left out.
            let value = value.strip_prefix(':').unwrap_or(value);
            let colons = value.replace("\\:", "").matches(':').count();
            assert_eq!(colons, 1, "{line}");
        }
        assert!(seen > 100, "{seen} flags with values");
        assert!(script.contains(r"TYPE\:COUNT"));
    }
}
