//! Options that are cut short: any beginning that only one of InfraRed's options has names that one, whatever options
//! there are here besides.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

use super::options::OPTIONS;

/// Options of every command of InfraRed's.
const COMMON: [&str; 9] = [
    "help",
    "verbose",
    "extra-vars",
    "output",
    "inventory",
    "ansible-args",
    "dry-run",
    "from-file",
    "generate-answers-file",
];

/// A command line's words with the whole names of InfraRed's options.
pub fn whole(command: &Command, args: &[String]) -> Vec<String> {
    let mut words = Vec::new();
    let mut is_value = false;
    for word in args {
        let named = word.strip_prefix("--").filter(|_| !is_value);
        let Some(named) = named else {
            words.push(word.clone());
            // The value of `-e` and `-o` may begin with dashes, too.
            is_value = !is_value && ["-e", "-o"].contains(&word.as_str());
            continue;
        };
        let (begun, value) = match named.split_once('=') {
            Some((begun, value)) => (begun, Some(value)),
            None => (named, None),
        };
        let name = option(command, begun);
        let takes = command.get_arguments().find(|arg| arg.get_long() == Some(name));
        is_value = value.is_none() && takes.is_some_and(|arg| arg.get_action().takes_values());
        words.push(match value {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        });
    }
    words
}

/// The option that a name begins, if only one of InfraRed's does and none is called so.
fn option<'a>(command: &Command, begun: &'a str) -> &'a str {
    let is_whole = command.get_arguments().any(|arg| arg.get_long() == Some(begun));
    let names = OPTIONS.iter().map(|option| option.name).chain(COMMON);
    let mut fits = names.filter(|name| name.starts_with(begun));
    match (fits.next(), fits.next()) {
        (Some(name), None) if !is_whole && !begun.is_empty() => name,
        _ => begun,
    }
}

/// clap's error, with a tip where it has none or a wrong one: an option that is cut too short may be several, of which clap
/// names one; and `plan` is a word that stands before all options.
pub fn corrected(mut error: Error, command: &Command, plan: bool) -> Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return error };
    let word = word.clone();
    let begun = word.strip_prefix("--").filter(|begun| !begun.is_empty());
    let names: Vec<String> = begun.map_or(Vec::new(), |begun| {
        let longs = command.get_arguments().filter_map(Arg::get_long);
        longs.filter(|long| long.starts_with(begun)).map(|long| format!("`--{long}`")).collect()
    });
    let tip = match names.as_slice() {
        _ if error.kind() != ErrorKind::UnknownArgument => return error,
        [but_last @ .., last] if !but_last.is_empty() => {
            format!("`{word}` is ambiguous: it may be {} or {last}", but_last.join(", "))
        }
        _ if word == "plan" && !plan => {
            "`plan` stands before all options: `maquette virsh plan --host-address …`".into()
        }
        _ => return error,
    };
    error.remove(ContextKind::SuggestedArg);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `--host-k` was the hypervisor's key until there were options for its host key.
    #[test]
    fn a_beginning_of_one_of_infrareds_options_is_that_option() {
        let command = super::super::command();
        let is = |line: &str, expected: &str| {
            let words: Vec<String> = line.split(' ').map(String::from).collect();
            assert_eq!(whole(&command, &words).join(" "), expected, "{line}");
        };
        is("--host-k k --host-addr=h", "--host-key k --host-address=h");
        is("--ans tags=vms --topology-nod a:1", "--ansible-args tags=vms --topology-nodes a:1");
        is("--dry --out x", "--dry-run --output x");
        // Neither of several, nor one of ours, nor values.
        is("--host-m 5 --topology-n x", "--host-m 5 --topology-n x");
        is("--host-key-fingerprint a --yes", "--host-key-fingerprint a --yes");
        is("--virtopts --host-k --host-k k", "--virtopts --host-k --host-key k");
        is("-e --host-k -o x", "-e --host-k -o x");
        is("-- plan", "-- plan");
    }
}
