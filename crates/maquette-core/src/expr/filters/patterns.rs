//! Ansible's filters and tests with patterns. What Python's patterns have and these do not (looking around, references to
//! groups inside of a pattern) is an error; matches are the same, also empty ones.

use minijinja::value::{Kwargs, Rest};
use minijinja::{Environment, Error, State, Value};
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

/// A pattern with the flags among named arguments.
fn compiled(pattern: &str, named: &Kwargs) -> Result<Regex, Error> {
    let any_case = named.get::<Option<bool>>("ignorecase")?.unwrap_or(false);
    let by_line = named.get::<Option<bool>>("multiline")?.unwrap_or(false);
    named.assert_all_used()?;
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
    pattern: Option<&str>,
    replacement: Option<&str>,
    named: Kwargs,
) -> Result<String, Error> {
    let text = written(value)?;
    let pattern = pattern.or(named.get("pattern")?).unwrap_or_default();
    let replacement = replacement.or(named.get("replacement")?).unwrap_or_default();
    let count = named.get::<Option<usize>>("count")?.unwrap_or(0);
    let mandatory = named.get::<Option<usize>>("mandatory_count")?.unwrap_or(0);
    let regex = compiled(pattern, &named)?;
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
        expanded(replacement, captures, &text, &mut result)?;
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
    let regex = compiled(pattern, &named)?;
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
    named: Kwargs,
) -> Result<Vec<Value>, Error> {
    let text = written(value)?;
    let regex = compiled(pattern, &named)?;
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

/// Whether the beginning of a text matches, as with Python's `re.match`.
fn is_match(value: &Value, pattern: &str, named: Kwargs) -> Result<bool, Error> {
    let text = written(value)?;
    Ok(compiled(pattern, &named)?.is_match(Input::new(&text).anchored(Anchored::Yes)))
}

fn is_found(value: &Value, pattern: &str, named: Kwargs) -> Result<bool, Error> {
    let text = written(value)?;
    Ok(compiled(pattern, &named)?.is_match(text.as_str()))
}

fn is_regex(value: &Value, pattern: &str, named: Kwargs) -> Result<bool, Error> {
    match named.get::<Option<&str>>("match_type")?.unwrap_or("search") {
        "match" => is_match(value, pattern, named.clone()),
        "search" => is_found(value, pattern, named.clone()),
        "fullmatch" => is_match(value, &format!("(?:{pattern})$"), named.clone()),
        other => Err(failed(format!("the test `regex` has no match_type `{other}`"))),
    }
}
