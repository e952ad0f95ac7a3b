//! Settings that extra variables have made something else than they can be: refused, by name.

use maquette_core::syntax::Plain;

use super::options::{OPTIONS, Opt, OptionKind};

/// All that a tree has of settings in a form that they cannot have; nobody would read it.
pub fn decided(tree: &Plain) -> Result<(), Vec<String>> {
    let mut mistakes: Vec<String> = Vec::new();
    for option in OPTIONS.iter() {
        let path: Vec<&str> = std::iter::once("provision").chain(option.path()).collect();
        let wrong = match tree.at(&path) {
            None => branch(tree, &path),
            Some(value) => wrong(option, value),
        };
        mistakes.extend(wrong);
    }
    mistakes.dedup();
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

/// What is wrong with a value.
fn wrong(option: &Opt, value: &Plain) -> Option<String> {
    let shown = match (option.kind, value) {
        (_, Plain::Null) => return None,
        // These are compared with what the options say, and read as they are.
        (OptionKind::Addresses | OptionKind::Network | OptionKind::Nodes, _) => return None,
        (OptionKind::List, Plain::List(items)) => {
            let is_name = |item: &Plain| matches!(item, Plain::Text(_) | Plain::Int(_));
            let other = items.iter().find(|item| !is_name(item))?;
            format!("a list with {}", called(other))
        }
        (OptionKind::Value | OptionKind::List, Plain::List(_) | Plain::Map(_)) => called(value),
        (OptionKind::Value | OptionKind::List, _) => return None,
        (OptionKind::Bool, Plain::Bool(_)) => return None,
        (kind, Plain::Text(text)) if text.is_empty() || kind.takes(text) => return None,
        (_, other) => called(other),
    };
    let flag = format!("--{}", option.name);
    Some(match option.kind.words() {
        Some(_) => option.refusal(&flag, &shown),
        None => {
            let path = option.path().join(".");
            let takes = if option.kind == OptionKind::List { "names" } else { "a single value" };
            format!("`provision.{path}` cannot be {shown}; {flag} takes {takes}")
        }
    })
}

/// What is wrong where a setting has no value: something in the place of the mapping that would have it.
fn branch(tree: &Plain, path: &[&str]) -> Option<String> {
    let above = (1..path.len()).map(|count| &path[..count]);
    let in_the_way = above.into_iter().find_map(|above| match tree.at(above) {
        None | Some(Plain::Map(_)) => None,
        Some(other) => Some((above, other)),
    });
    let (above, other) = in_the_way?;
    Some(format!("`{}` holds settings, and cannot be {}", above.join("."), called(other)))
}

/// A value for messages.
fn called(value: &Plain) -> String {
    match value {
        Plain::Null => "without a value".into(),
        Plain::Bool(true) => "`yes`".into(),
        Plain::Bool(false) => "`no`".into(),
        Plain::Int(number) => format!("`{number}`"),
        Plain::Float(number) => format!("`{number:?}`"),
        Plain::Text(text) => format!("`{text}`"),
        Plain::List(_) => "a list".into(),
        Plain::Map(_) => "a mapping".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        decided(&Plain::read(text).unwrap()).err().unwrap_or_default()
    }

    /// They were dropped without a word: an environment without its prefix was built, or the workspace's own removed.
    #[test]
    fn settings_of_a_form_that_nobody_reads_are_refused() {
        for (value, expected) in [
            (
                "virtopts: [--watchdog default]",
                "`provision.virtopts` cannot be a list; --virtopts takes a single value",
            ),
            (
                "prefix: {a: b}",
                "`provision.prefix` cannot be a mapping; --prefix takes a single value",
            ),
            (
                "remove: {nodes: [a, [b]]}",
                "`provision.remove.nodes` cannot be a list with a list; --remove-nodes takes names",
            ),
            (
                "remove: {nodes: {a: 1}}",
                "`provision.remove.nodes` cannot be a mapping; --remove-nodes takes names",
            ),
            ("kill: [yes]", "--kill cannot be a list; it is one of yes, no"),
            ("kill: 1", "--kill cannot be `1`; it is one of yes, no"),
            ("bootmode: coreboot", "--bootmode cannot be `coreboot`; it is one of bios, uefi"),
        ] {
            assert_eq!(of(&format!("provision: {{{value}}}")), [expected], "{value}");
        }
        let wrong = of("provision: {topology: x}");
        assert_eq!(wrong, ["`provision.topology` holds settings, and cannot be `x`"]);
        let wrong = of("provision: {topology: }");
        assert_eq!(wrong, ["`provision.topology` holds settings, and cannot be without a value"]);
    }

    #[test]
    fn numbers_truths_and_nothing_are_what_settings_can_be() {
        for value in [
            "prefix: 17.1",
            "prefix: 17",
            "prefix: ",
            "kill: yes",
            "kill: \"yes\"",
            "host: {mtu: {size: no}, address: [a, b]}",
            "topology: {nodes: {x.yml: 1}, network: a, username: 5}",
            "remove: {nodes: [a, 1]}",
            "remove: {nodes: \"a,b\"}",
            "own: [1]",
        ] {
            assert!(of(&format!("provision: {{{value}}}")).is_empty(), "{value}");
        }
    }
}
