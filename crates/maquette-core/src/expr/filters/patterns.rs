//! Ansible's filters and tests with patterns. What Python's patterns have and these do not (looking around, references to
//! groups inside of a pattern) is an error; matches are the same, also empty ones.

use minijinja::value::{Kwargs, Rest};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use regex_automata::meta::Regex;
use regex_automata::util::captures::Captures;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, Span};

use super::texts::written;
use super::{failed, spend};

/// Bytes that a pattern may take; those of topology files take some hundreds.
const LARGEST: usize = 4 << 20;

/// Groups that a pattern may have: the memory of a search grows with their number.
const MOST_GROUPS: usize = 64;

/// Adds them; `name` is a filter's name with its collection.
pub(super) fn add(env: &mut Environment<'_>, name: &dyn Fn(&str) -> String) {
    env.add_filter(name("regex_search"), search);
    env.add_filter(name("regex_findall"), find_all);
    env.add_filter(name("regex_replace"), replace);
    env.add_filter(name("regex_escape"), escape);
    env.add_test(name("match"), is_match);
    env.add_test(name("search"), is_found);
    env.add_test(name("regex"), is_regex);
}

/// Further arguments by their names, in the order in which Ansible takes them without.
struct Further<'a> {
    names: &'static [&'static str],
    values: &'a [Value],
    named: &'a Kwargs,
}

impl<'a> Further<'a> {
    fn of(
        names: &'static [&'static str],
        values: &'a [Value],
        named: &'a Kwargs,
    ) -> Result<Self, Error> {
        match values.len() > names.len() {
            true => Err(Error::from(ErrorKind::TooManyArguments)),
            false => Ok(Self { names, values, named }),
        }
    }

    /// What was given for a name; none is as much as nothing.
    fn value(&self, name: &'static str) -> Result<Option<Value>, Error> {
        let place = self.names.iter().position(|own| *own == name);
        let Some(value) = place.and_then(|place| self.values.get(place)) else {
            return self.named.get(name);
        };
        match self.named.has(name) {
            true => Err(failed(format!("`{name}` is given twice"))),
            false => Ok(Some(value.clone()).filter(|v| !v.is_none() && !v.is_undefined())),
        }
    }

    fn text(&self, name: &'static str) -> Result<String, Error> {
        let Some(value) = self.value(name)? else { return Ok(String::new()) };
        let text = value.as_str().map(String::from);
        text.ok_or_else(|| failed(format!("`{name}` has to be a text")))
    }

    fn number(&self, name: &'static str) -> Result<usize, Error> {
        self.value(name)?.map_or(Ok(0), usize::try_from)
    }

    fn truth(&self, name: &'static str) -> Result<bool, Error> {
        Ok(self.value(name)?.is_some_and(|value| value.is_true()))
    }

    /// A pattern with the flags that were given; all other arguments have been taken before.
    fn compiled(&self, pattern: &str) -> Result<Regex, Error> {
        let flags = (self.truth("ignorecase")?, self.truth("multiline")?);
        self.named.assert_all_used()?;
        compiled(pattern, flags)
    }
}

/// A pattern, for any case of letters, and with lines that begin and end.
fn compiled(pattern: &str, (any_case, by_line): (bool, bool)) -> Result<Regex, Error> {
    let syntax = syntax::Config::new().case_insensitive(any_case).multi_line(by_line);
    let limits = Regex::config().nfa_size_limit(Some(LARGEST));
    let mut builder = Regex::builder();
    builder.syntax(syntax).configure(limits);
    // Python's name for the end of all of a text.
    let regex = builder.build(&pattern.replace(r"\Z", r"\z")).map_err(|_| {
        failed(format!("`{pattern}` is not a pattern, or has what only Python's patterns have"))
    })?;
    match regex.captures_len() > MOST_GROUPS {
        true => Err(failed(format!("a pattern has at most {MOST_GROUPS} groups"))),
        false => Ok(regex),
    }
}

/// All matches. As with Python, an empty one may follow another one at once.
fn found(state: &State, regex: &Regex, text: &str, most: usize) -> Result<Vec<Captures>, Error> {
    let mut found = Vec::new();
    let mut at = 0;
    while at <= text.len() && found.len() < most {
        let mut captures = regex.create_captures();
        regex.captures(Input::new(text).span(at..text.len()), &mut captures);
        let Some(whole) = captures.get_match() else { break };
        let next = || text[whole.end()..].chars().next().map_or(1, char::len_utf8);
        // All that follows may have been looked at.
        spend(state, 1 + (text.len() - at) / 64)?;
        at = whole.end() + if whole.is_empty() { next() } else { 0 };
        found.push(captures);
    }
    Ok(found)
}

/// The text of a group, if it took part in the match.
fn part(text: &str, span: Option<Span>) -> Option<&str> {
    text.get(span?.range())
}

/// A group that is named as Python's replacements do, after the backslash: `1`, `g<1>`, `g<name>`; and how long that is.
fn group(captures: &Captures, name: &str) -> Option<(Option<Span>, usize)> {
    let (word, length) = match name.strip_prefix("g<") {
        Some(rest) => {
            let word = &rest[..rest.find('>')?];
            (word, word.len() + 3)
        }
        None => {
            let digits = name.bytes().take(2).take_while(u8::is_ascii_digit).count();
            (&name[..digits], digits)
        }
    };
    let span = match word.parse::<usize>() {
        Ok(number) if number < captures.group_len() => captures.get_group(number),
        Ok(_) => return None,
        Err(_) => {
            let pattern = captures.pattern()?;
            captures.get_group(captures.group_info().to_index(pattern, word)?)
        }
    };
    Some((span, length))
}

/// What stands for a match.
fn expanded(template: &str, captures: &Captures, text: &str, to: &mut String) -> Result<(), Error> {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('\\') {
        to.push_str(before);
        rest = match after.chars().next() {
            Some('1'..='9' | 'g') => {
                let Some((span, length)) = group(captures, after) else {
                    return Err(failed(format!("`{template}` names a group that is not there")));
                };
                to.push_str(part(text, span).unwrap_or_default());
                &after[length..]
            }
            Some(c @ ('n' | 't' | 'r' | '\\')) => {
                to.push(match c {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
                &after[1..]
            }
            Some(c) if c.is_ascii_alphanumeric() => {
                return Err(failed(format!("`{template}` has `\\{c}`, which means nothing")));
            }
            _ => {
                to.push('\\');
                after
            }
        };
    }
    to.push_str(rest);
    Ok(())
}

fn replace(
    state: &State,
    value: &Value,
    values: Rest<Value>,
    named: Kwargs,
) -> Result<String, Error> {
    const NAMES: &[&str] =
        &["pattern", "replacement", "ignorecase", "multiline", "count", "mandatory_count"];
    let text = written(value)?;
    let given = Further::of(NAMES, &values, &named)?;
    let (pattern, replacement) = (given.text("pattern")?, given.text("replacement")?);
    let (count, mandatory) = (given.number("count")?, given.number("mandatory_count")?);
    let regex = given.compiled(&pattern)?;
    let most = if count == 0 { usize::MAX } else { count };
    let matches = found(state, &regex, &text, most)?;
    if mandatory != 0 && mandatory != matches.len() {
        let is = matches.len();
        return Err(failed(format!("`{pattern}` has to match {mandatory} times, and does {is}")));
    }
    let (mut result, mut at) = (String::new(), 0);
    for captures in &matches {
        let Some(whole) = captures.get_match() else { continue };
        result.push_str(&text[at..whole.start()]);
        let before = result.len();
        expanded(&replacement, captures, &text, &mut result)?;
        spend(state, 1 + (result.len() - before) / 64)?;
        at = whole.end();
    }
    result.push_str(&text[at..]);
    Ok(result)
}

/// The first match, or the groups of it that are asked for; nothing if there is none.
fn search(
    value: &Value,
    pattern: &str,
    groups: Rest<String>,
    named: Kwargs,
) -> Result<Value, Error> {
    let text = written(value)?;
    // What stands without a name is a group.
    let regex = Further::of(&[], &[], &named)?.compiled(pattern)?;
    let mut captures = regex.create_captures();
    regex.captures(text.as_str(), &mut captures);
    let Some(whole) = captures.get_match() else { return Ok(Value::from(())) };
    if groups.is_empty() {
        return Ok(Value::from(part(&text, Some(whole.span()))));
    }
    let mut parts = Vec::new();
    for name in groups.iter() {
        let group = name.strip_prefix('\\').and_then(|name| group(&captures, name));
        let Some((span, _)) = group else {
            return Err(failed(format!("`{pattern}` has no group `{name}`")));
        };
        parts.push(Value::from(part(&text, span)));
    }
    Ok(Value::from(parts))
}

/// All matches: each its own text, that of its group, or a list of those of its groups.
fn find_all(
    state: &State,
    value: &Value,
    pattern: &str,
    flags: Rest<Value>,
    named: Kwargs,
) -> Result<Vec<Value>, Error> {
    let text = written(value)?;
    let regex = Further::of(&["multiline", "ignorecase"], &flags, &named)?.compiled(pattern)?;
    let of_group = |captures: &Captures, number: usize| {
        Value::from(part(&text, captures.get_group(number)).unwrap_or_default())
    };
    let all = found(state, &regex, &text, usize::MAX)?;
    let answer = |captures: &Captures| match captures.group_len() {
        0 | 1 => of_group(captures, 0),
        2 => of_group(captures, 1),
        count => (1..count).map(|number| of_group(captures, number)).collect(),
    };
    Ok(all.iter().map(answer).collect())
}

/// A pattern that only the text itself matches.
fn escape(value: &Value) -> Result<String, Error> {
    let mut escaped = String::new();
    for c in written(value)?.chars() {
        if r"()[]{}?*+-|^$\.&~# ".contains(c) || matches!(c, '\t' | '\n' | '\r' | '\x0b' | '\x0c') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    Ok(escaped)
}

/// Flags of tests.
const FLAGS: &[&str] = &["ignorecase", "multiline"];

/// Whether the beginning of a text matches, as with Python's `re.match`.
fn is_match(
    value: &Value,
    pattern: &str,
    flags: Rest<Value>,
    named: Kwargs,
) -> Result<bool, Error> {
    let text = written(value)?;
    let regex = Further::of(FLAGS, &flags, &named)?.compiled(pattern)?;
    Ok(regex.is_match(Input::new(&text).anchored(Anchored::Yes)))
}

fn is_found(
    value: &Value,
    pattern: &str,
    flags: Rest<Value>,
    named: Kwargs,
) -> Result<bool, Error> {
    let text = written(value)?;
    Ok(Further::of(FLAGS, &flags, &named)?.compiled(pattern)?.is_match(text.as_str()))
}

fn is_regex(
    value: &Value,
    pattern: &str,
    flags: Rest<Value>,
    named: Kwargs,
) -> Result<bool, Error> {
    let text = written(value)?;
    let given = Further::of(&["ignorecase", "multiline", "match_type"], &flags, &named)?;
    let (how, whole) = (given.text("match_type")?, format!(r"(?:{pattern})\z"));
    let (pattern, anchored) = match how.as_str() {
        "" | "search" => (pattern, Anchored::No),
        "match" => (pattern, Anchored::Yes),
        "fullmatch" => (whole.as_str(), Anchored::Yes),
        other => return Err(failed(format!("the test `regex` has no match_type `{other}`"))),
    };
    Ok(given.compiled(pattern)?.is_match(Input::new(&text).anchored(anchored)))
}
