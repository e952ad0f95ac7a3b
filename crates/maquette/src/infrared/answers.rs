//! Answers files: INI, of which one section counts.

use std::fmt::Write;

use maquette_core::syntax::Plain;

use super::options::OPTIONS;

/// A value from an answers file.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Option name, in lower case.
    pub name: String,
    /// Its values; one, unless it was written as a list.
    pub values: Vec<String>,
    /// Whether it was.
    pub is_list: bool,
    /// Line it is on.
    pub line: usize,
}

/// The section that counts, besides `[DEFAULT]`.
const SECTION: &str = "virsh";

/// Which section a line is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    /// The one that counts.
    Own,
    /// `[DEFAULT]`, which holds where that says nothing, wherever it stands.
    Default,
    /// Any other, or none.
    Other,
}

/// A value as it is written.
struct Raw {
    section: Section,
    name: String,
    value: String,
    line: usize,
}

/// Reads a file's text; `variable` looks an environment variable up.
pub fn read(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Answer>, String> {
    let all = raw(text)?;
    let is_own = |name: &str| all.iter().any(|r| r.section == Section::Own && r.name == name);
    all.iter()
        .filter(|raw| raw.section == Section::Own || !is_own(&raw.name))
        .map(|Raw { name, value, line, .. }| {
            let wrong = |why| format!("line {line}: {why}");
            let (values, is_list) = values(value, variable).map_err(wrong)?;
            Ok(Answer { name: name.clone(), values, is_list, line: *line })
        })
        .collect()
}

/// The values of both sections that count, as Python's `configparser` takes lines apart: one that is indented deeper than the
/// key above it continues that key's value, and keys may be indented.
fn raw(text: &str) -> Result<Vec<Raw>, String> {
    // Some editors begin files with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut all: Vec<Raw> = Vec::new();
    let (mut section, mut seen) = (Section::Other, false);
    // How deep the key above is indented; none at the begin of a section.
    let mut key_at: Option<usize> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let depth = line.chars().take_while(|c| c.is_whitespace()).count();
        if key_at.is_some_and(|at| depth > at) {
            if let Some(raw) = all.last_mut().filter(|_| section != Section::Other) {
                raw.value.push('\n');
                raw.value.push_str(trimmed);
            }
            continue;
        }
        // What is behind the brackets is passed over.
        if let Some((name, _)) = trimmed.strip_prefix('[').and_then(|t| t.rsplit_once(']')) {
            section = match name {
                SECTION => Section::Own,
                "DEFAULT" => Section::Default,
                _ => Section::Other,
            };
            seen |= section == Section::Own;
            key_at = None;
            continue;
        }
        key_at = Some(depth);
        if section == Section::Other {
            continue;
        }
        let Some(at) = trimmed.find(['=', ':']) else {
            return Err(format!("line {number}: `{trimmed}` is not of the form `name = value`"));
        };
        let (name, value) = (trimmed[..at].trim().to_lowercase(), trimmed[at + 1..].trim());
        all.retain(|known| known.section != section || known.name != name);
        all.push(Raw { section, name, value: value.to_string(), line: number });
    }
    match seen {
        true => Ok(all),
        false => Err(format!("there is no section [{SECTION}]")),
    }
}

/// Variables replaced, `%%` a single `%`, and a list taken apart; and whether it is one.
fn values(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(Vec<String>, bool), String> {
    let text = expand(&text.replace("%%", "%"), variable)?;
    if !(text.starts_with('[') && text.ends_with(']')) {
        return Ok((vec![text], false));
    }
    // Python's lists of strings are YAML's, too.
    match Plain::read(&text) {
        Ok(Plain::List(items)) => items
            .into_iter()
            .map(|item| match item {
                Plain::Text(text) => Ok(text),
                Plain::Int(number) => Ok(number.to_string()),
                Plain::Float(number) => Ok(number.to_string()),
                other => Err(format!("a list holds texts, not {}", other.yaml().trim())),
            })
            .collect::<Result<_, _>>()
            .map(|values| (values, true)),
        _ => Err(format!("`{text}` is not a list; write it like ['a', 'b']")),
    }
}

/// Replaces `$NAME` and `${NAME}`; `$$` is a `$`.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, after) = match rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
            Some(parts) => parts,
            None => rest.split_at(rest.find(|c| !word(c)).unwrap_or(rest.len())),
        };
        if name.is_empty() || !name.chars().all(word) {
            return Err(
                "a `$` is not followed by a variable's name; write `$$` for a plain `$`".into()
            );
        }
        out.push_str(&variable(name).ok_or(format!("environment variable {name} is not set"))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The text of an answers file: every option with its help, and those of `given` with their values.
pub fn write(given: &dyn Fn(&str) -> Vec<String>) -> String {
    let mut out = format!("[{SECTION}]\n");
    for option in OPTIONS.iter() {
        let _ = writeln!(out, "# {}", option.help);
        let values = given(option.name);
        match values.as_slice() {
            [] if option.required => {
                let _ = writeln!(out, "# {} = Required argument. Edit with one", option.name);
            }
            [] => {}
            [one] if option.kind != super::options::OptionKind::Addresses => {
                let _ = writeln!(out, "{} = {}", option.name, escape(one));
            }
            all => {
                let _ = writeln!(out, "{} = {}", option.name, list(all));
            }
        }
        out.push('\n');
    }
    let extra = given("extra-vars");
    if !extra.is_empty() {
        let _ = writeln!(out, "# Extra variables\nextra-vars = {}\n", list(&extra));
    }
    out
}

fn escape(value: &str) -> String {
    value.replace('%', "%%").replace('$', "$$").replace('\n', "\n    ")
}

fn list(values: &[String]) -> String {
    let quoted: Vec<String> =
        values.iter().map(|v| format!("'{}'", escape(v).replace('\'', "''"))).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<(String, Vec<String>)>, String> {
        let variable = |name: &str| (name == "HOME_LAB").then(|| "lab".to_string());
        Ok(read(text, &variable)?.into_iter().map(|a| (a.name, a.values)).collect())
    }

    fn one(name: &str, value: &str) -> (String, Vec<String>) {
        (name.into(), vec![value.into()])
    }

    #[test]
    fn only_one_section_counts() {
        let text = "[other]\nprefix = x\n[DEFAULT]\nhost-user = me\n[virsh]  # ours\nPrefix: ab\n";
        assert_eq!(of(text).unwrap(), [one("host-user", "me"), one("prefix", "ab")]);
        assert!(of("[other]\na = b\n").unwrap_err().contains("[virsh]"));
    }

    /// Below `[virsh]` it won, and `--kill yes` met another environment than InfraRed's.
    #[test]
    fn a_default_holds_only_where_the_section_says_nothing() {
        let text = "[virsh]\nprefix = mine\n[DEFAULT]\nprefix = other\nhost-user = me\n\
                    [virsh]\nhost-key = k\n";
        let read = of(text).unwrap();
        assert_eq!(read, [one("prefix", "mine"), one("host-user", "me"), one("host-key", "k")]);
        assert_eq!(of("[DEFAULT]\nprefix = a\n[virsh]\nprefix =\n"), Ok(vec![one("prefix", "")]));
    }

    /// They were taken for a value that goes on.
    #[test]
    fn keys_may_be_indented_and_values_go_on_deeper() {
        let text = "[virsh]\n    prefix = ab\n    host-user =\n        me,\n        you\n    host-key: k\n";
        let expected = [one("prefix", "ab"), one("host-user", "\nme,\nyou"), one("host-key", "k")];
        assert_eq!(of(text).unwrap(), expected);
        assert_eq!(of("  [virsh]\n\ta = b\n [other]\n c = d\n"), Ok(vec![one("a", "b")]));
        // A value that goes on may look like a section.
        assert_eq!(of("[virsh]\na =\n  ['b']\n").unwrap()[0].0, "a");
        assert_eq!(of("[x]\na = b\n [virsh]\n[virsh]\nc = d\n"), Ok(vec![one("c", "d")]));
    }

    #[test]
    fn values_are_literal_but_for_variables_and_lists() {
        let text = "[virsh]\na = \"quoted\"\nb = $HOME_LAB-${HOME_LAB}x$$\nc = 50%% %d\n\
                    d = ['10.0.0.1', \"b\"]\n# no\n; no\ne = first,\n    second # stays\n";
        let read = of(text).unwrap();
        assert_eq!(read[0], one("a", "\"quoted\""));
        assert_eq!(read[1], one("b", "lab-labx$"));
        assert_eq!(read[2], one("c", "50% %d"));
        assert_eq!(read[3].1, ["10.0.0.1", "b"]);
        assert_eq!(read[4], one("e", "first,\nsecond # stays"));
    }

    #[test]
    fn a_byte_order_mark_before_a_file_means_nothing() {
        for text in [
            "\u{feff}[virsh]\nprefix = ab\n",
            "\u{feff}[virsh]\r\nprefix = ab\r\n",
            "\u{feff}  [virsh]  # ours\n  prefix: ab\n",
            "\u{feff}[DEFAULT]\nprefix = ab\n[virsh]\n",
        ] {
            assert_eq!(of(text), Ok(vec![one("prefix", "ab")]), "{text:?}");
        }
    }

    #[test]
    fn mistakes_name_the_line() {
        assert!(
            of("[virsh]\na = $NOPE\n").unwrap_err().contains("line 2: environment variable NOPE")
        );
        assert!(of("[virsh]\nnonsense\n").unwrap_err().contains("line 2"));
        assert!(of("[virsh]\na = [1, {b: c}]\n").unwrap_err().contains("a list holds texts"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let given = |name: &str| -> Vec<String> {
            match name {
                "host-address" => vec!["10.0.0.1".into()],
                "prefix" => vec!["50%$x".into()],
                "extra-vars" => vec!["a.b=it's".into(), "@f".into()],
                _ => Vec::new(),
            }
        };
        let read = of(&write(&given)).unwrap();
        assert_eq!(
            read,
            [
                one("host-address", "10.0.0.1"),
                one("prefix", "50%$x"),
                ("extra-vars".into(), vec!["a.b=it's".into(), "@f".into()]),
            ]
        );
    }
}
