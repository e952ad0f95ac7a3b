//! `--ansible-args`: options of `ansible-playbook` between `;`, without their dashes. As argparse has it, a name may be cut
//! short as long as only one begins like that.

use maquette_core::diagnostic::slip;

/// An option of `ansible-playbook`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    name: &'static str,
    short: &'static str,
    takes_value: bool,
    /// Whether what is done, and where, is the same with it: how it is done or told may differ.
    is_harmless: bool,
}

macro_rules! known {
    ($($name:literal $short:literal $takes_value:literal $is_harmless:literal;)*) => {
        &[$(Known {
            name: $name,
            short: $short,
            takes_value: $takes_value,
            is_harmless: $is_harmless,
        }),*]
    };
}

/// All of them, from ansible-core 2.9 to 2.20: name, short name, whether there is a value, whether it is harmless.
const KNOWN: &[Known] = known! {
    "ask-become-pass" "K" false true;
    "ask-pass" "k" false true;
    "ask-vault-pass" "" false true;
    "ask-vault-password" "J" false true;
    "become" "b" false false;
    "become-method" "" true false;
    "become-pass-file" "" true true;
    "become-password-file" "" true true;
    "become-user" "" true false;
    "check" "C" false false;
    "conn-pass-file" "" true true;
    "connection" "c" true false;
    "connection-password-file" "" true true;
    "diff" "D" false true;
    "extra-vars" "e" true false;
    "flush-cache" "" false true;
    "force-handlers" "" false true;
    "forks" "f" true true;
    "help" "h" false false;
    "inventory" "i" true false;
    "inventory-file" "" true false;
    "key-file" "" true true;
    "limit" "l" true false;
    "list-hosts" "" false false;
    "list-tags" "" false false;
    "list-tasks" "" false false;
    "module-path" "M" true false;
    "private-key" "" true true;
    "scp-extra-args" "" true true;
    "sftp-extra-args" "" true true;
    "skip-tags" "" true false;
    "ssh-common-args" "" true true;
    "ssh-extra-args" "" true true;
    "start-at-task" "" true false;
    "step" "" false false;
    "syntax-check" "" false false;
    "tags" "t" true false;
    "timeout" "T" true true;
    "user" "u" true false;
    "vault-id" "" true true;
    "vault-pass-file" "" true true;
    "vault-password-file" "" true true;
    "verbose" "v" false true;
    "version" "" false false;
};

/// An argument with its whole name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The option, without dashes.
    pub name: &'static str,
    /// Its value, if it takes one.
    pub value: Option<String>,
    is_harmless: bool,
}

impl Argument {
    /// Whether a removal is the same with it.
    pub fn is_harmless(&self) -> bool {
        self.is_harmless
    }

    fn read(part: &str) -> Result<Self, String> {
        let (written, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().to_string())),
            None => (part, None),
        };
        let known = find(written.trim_start_matches('-'))
            .map_err(|why| format!("`{written}` of --ansible-args {why}"))?;
        let Known { name, takes_value, is_harmless, .. } = *known;
        match (takes_value, &value) {
            (true, None) => Err(format!("`{written}` of --ansible-args needs a value: `{name}=…`")),
            (false, Some(_)) => Err(format!("`{written}` of --ansible-args takes no value")),
            _ => Ok(Self { name, value, is_harmless }),
        }
    }
}

/// The words of an argument that may be there several times.
pub fn words(args: &[Argument], name: &str) -> Vec<String> {
    args.iter()
        .filter(|argument| argument.name == name)
        .filter_map(|argument| argument.value.as_deref())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().to_string())
        .filter(|tag| !tag.is_empty())
        .collect()
}

/// The option that a name means, or why there is none.
fn find(begun: &str) -> Result<&'static Known, String> {
    let is_it = |known: &&Known| known.name == begun || known.short == begun;
    if let Some(known) = KNOWN.iter().find(is_it).filter(|_| !begun.is_empty()) {
        return Ok(known);
    }
    let fits: Vec<&Known> = KNOWN.iter().filter(|known| known.name.starts_with(begun)).collect();
    match fits.as_slice() {
        [only] => Ok(only),
        [] => {
            let near = slip(begun, KNOWN.iter().map(|known| known.name));
            let tip = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            Err(format!("is not an option of ansible-playbook{tip}"))
        }
        _ if begun.is_empty() => Err("is not an option of ansible-playbook".into()),
        several => {
            let names: Vec<String> = several.iter().map(|k| format!("`{}`", k.name)).collect();
            Err(format!("is ambiguous: it may be {}", names.join(", ")))
        }
    }
}

/// Takes `--ansible-args` apart. Empty parts ask for nothing.
pub fn taken_apart(text: &str) -> Result<Vec<Argument>, Vec<String>> {
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    let (mut arguments, mut wrong) = (Vec::new(), Vec::new());
    for part in parts {
        match Argument::read(part) {
            Ok(argument) => arguments.push(argument),
            Err(why) => wrong.push(why),
        }
    }
    if wrong.is_empty() { Ok(arguments) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `--tags=vms`, `tag=vms` and `chec` were words that nobody knew: all was removed, and built.
    #[test]
    fn names_have_dashes_or_are_cut_short_as_argparse_takes_them() {
        let is = |text: &str, expected: &[(&str, &str)]| {
            let read = taken_apart(text).unwrap();
            let read: Vec<(&str, &str)> =
                read.iter().map(|a| (a.name, a.value.as_deref().unwrap_or_default())).collect();
            assert_eq!(read, expected, "{text}");
        };
        is("", &[]);
        is("tags=vms; skip-tags = a,b ;", &[("tags", "vms"), ("skip-tags", "a,b")]);
        is("--tags=vms;ta=x;-t=y", &[("tags", "vms"), ("tags", "x"), ("tags", "y")]);
        is("tag=vms;skip=x", &[("tags", "vms"), ("skip-tags", "x")]);
        is("chec;--check;-C", &[("check", ""), ("check", ""), ("check", "")]);
        is("syntax;--syntax-check", &[("syntax-check", ""), ("syntax-check", "")]);
        is(
            "list-tas;lim=a=b;start=x y",
            &[("list-tasks", ""), ("limit", "a=b"), ("start-at-task", "x y")],
        );
        is("become;forks=", &[("become", ""), ("forks", "")]);
    }

    #[test]
    fn what_ansible_would_not_take_is_refused() {
        let why = |text: &str| taken_apart(text).unwrap_err().join("\n");
        assert!(why("list").contains("it may be `list-hosts`, `list-tags`, `list-tasks`"));
        assert!(why("tgas=vms").contains("did you mean `tags`?"), "{}", why("tgas=vms"));
        for text in ["tags vms", "--", "---=", "=", "prefix=x"] {
            assert!(why(text).contains("is not an option of ansible-playbook"), "{text}");
        }
        assert!(why("tags").contains("needs a value: `tags=…`"));
        assert!(why("check=yes").contains("takes no value"));
        assert_eq!(taken_apart("nope;tags").unwrap_err().len(), 2);
    }
}
