//! Jinja expressions in scalars, resolved once: those of topology files here, those of Ansible's variables in `ansible`.
//! Nothing else knows minijinja.

mod ansible;
mod filters;
mod literals;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value as Jinja};

pub use ansible::Ansible;

use crate::diagnostic::{Diagnostic, Diagnostics, closest};
use crate::syntax::{Plain, Span, Tree, Value};

/// What expressions in topology files can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variables {
    /// Third octet of the addressed networks: `{{ net }}`.
    pub net: u8,
    /// Third octet of the data network: `{{ data_net }}`.
    pub data_net: u8,
    /// The virtual switch type in the run, or `None`: `{{ vswitch_type }}`.
    pub vswitch_type: String,
    /// `{{ provision.image.mirror.url }}`, without credentials.
    pub mirror_url: String,
    /// Keys of the network file, as far as these expressions see them: a mapping.
    pub file: Plain,
    /// Those that they do not see, since they are named like secrets.
    pub hidden: BTreeSet<String>,
    /// Extra variables and settings, which win over all of these.
    pub extra: Plain,
}

/// Fourth part of the external IPv6 subnet of an environment without a prefix, as InfraRed has it; it
/// moves on with `net`, so that prefixed environments can live side by side: `{{ net6 }}`, and the one after it
/// `{{ net6_next }}`.
const NET6: u16 = 0x13b8;

/// Steps that one expression may take; real ones take a dozen.
const FUEL: u64 = 10_000;

/// Bytes of a variable's text that others are in: in a circle it would grow with every step.
const LONGEST_TEXT: usize = 64 << 10;

/// The extra variable whose values take the place of others, and are resolved there. No expression sees it: with the values of
/// one node type come its passwords, and the file of another one may be a stranger's.
const OVERRIDE: &str = "override";

/// What expressions are resolved with.
pub struct Scope {
    env: Environment<'static>,
    /// The same, in which what has no parent is undefined as well.
    chaining: Environment<'static>,
    variables: Variables,
    /// Made for the first expression: there may be very many extra variables, and no expression.
    context: OnceCell<Context>,
}

/// Variables as expressions see them.
struct Context {
    all: Jinja,
    /// Keys of the network file that are not among them, since expressions in them have no result.
    endless: BTreeSet<String>,
}

impl Scope {
    /// One with these variables.
    pub fn new(variables: Variables) -> Self {
        let (env, chaining) = environments();
        Self { env, chaining, variables, context: OnceCell::new() }
    }

    /// Resolves every expression below `node`, in place. The result of an expression is text, as with
    /// InfraRed, or the list or mapping that it is alone.
    pub fn resolve(&self, node: &mut Tree, diags: &mut Diagnostics) {
        walk(node, self, diags);
    }

    /// The text of a template. What has no parent is undefined, as with Ansible since 2.8, for who asks whether it is.
    fn rendered(&self, text: &str, context: &Jinja) -> Result<String, minijinja::Error> {
        // One end of line at the end is taken off: this one, and none of the text's own.
        let text = &format!("{text}\n");
        let strict = self.env.render_str(text, context);
        match strict {
            Err(error) if asks_for(&error, text) => {
                // Why it fails, if it does, is clearer without a chain.
                self.chaining.render_str(text, context).map_err(|_| error)
            }
            result => result,
        }
    }

    /// The list or mapping that an expression is, where it is all of a text.
    fn tree(&self, text: &str, context: &Jinja) -> Option<Plain> {
        let whole = ansible::whole(text)?;
        let of = |env: &Environment<'_>| env.compile_expression(whole)?.eval(context);
        let value = of(&self.env).or_else(|error| match asks_for(&error, text) {
            true => of(&self.chaining),
            false => Err(error),
        });
        let value = value.ok()?;
        // A sum of lists, and what filters make of one, is gone through as it is asked for.
        let is_tree = matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable);
        is_tree.then(|| plain(&value))
    }

    fn context(&self) -> &Context {
        self.context.get_or_init(|| {
            let mut all = self.settled(self.all());
            let Variables { file, extra, .. } = &self.variables;
            let mut endless = BTreeSet::new();
            if let Plain::Map(all) = &mut all {
                // What a file says would go on as it is written there.
                let of_file = keys(file).filter(|key| extra.at(&[key]).is_none());
                endless = of_file
                    .filter(|key| all.get(*key).is_some_and(has_expression))
                    .map(Into::into)
                    .collect();
                all.retain(|key, _| !endless.contains(key));
            }
            Context { all: value(&all), endless }
        })
    }

    /// Variables without expressions, which may name others: as with Ansible, one that fails is what whoever asks for it sees.
    fn settled(&self, mut all: Plain) -> Plain {
        /// Variables that name each other in a longer chain surely go on for ever.
        const LONGEST: usize = 6;
        for _ in 0..LONGEST {
            let Plain::Map(known) = &all else { break };
            if !known.values().any(has_expression) {
                break;
            }
            let context = value(&all);
            let mut next = known.clone();
            for plain in next.values_mut() {
                self.settle(plain, &context);
            }
            let next = Plain::Map(next);
            if next == all {
                break;
            }
            all = next;
        }
        all
    }

    fn settle(&self, plain: &mut Plain, context: &Jinja) {
        match plain {
            Plain::Text(text) if is_expression(text) => {
                let text = literals::rewritten(text).into_owned();
                let result = self.tree(&text, context).or_else(|| {
                    let result = self.rendered(&text, context).ok()?;
                    (result.len() <= LONGEST_TEXT).then_some(Plain::Text(result))
                });
                if let Some(result) = result {
                    *plain = result;
                }
            }
            Plain::List(items) => items.iter_mut().for_each(|item| self.settle(item, context)),
            Plain::Map(map) => map.values_mut().for_each(|value| self.settle(value, context)),
            _ => {}
        }
    }

    /// All variables.
    fn all(&self) -> Plain {
        let Variables { net, data_net, vswitch_type, mirror_url, file, extra, .. } =
            &self.variables;
        let within = |key: &str, value: Plain| Plain::Map(BTreeMap::from([(key.into(), value)]));
        let mirror = within("mirror", within("url", Plain::text(mirror_url)));
        let mut all = BTreeMap::from([
            ("net6".into(), Plain::text(format!("{:x}", NET6 + u16::from(*net)))),
            ("net6_next".into(), Plain::text(format!("{:x}", NET6 + 1 + u16::from(*net)))),
        ]);
        if let Plain::Map(file) = file {
            // An extra variable takes the place of all of one of a file, and is not merged into it.
            let own = file.iter().filter(|(key, _)| extra.at(&[key]).is_none());
            all.extend(own.map(|(key, value)| (key.clone(), value.clone())));
        }
        all.extend([
            ("net".into(), Plain::text(net.to_string())),
            ("data_net".into(), Plain::text(data_net.to_string())),
            ("vswitch_type".into(), Plain::text(vswitch_type)),
            ("provision".into(), within("image", mirror)),
        ]);
        let mut all = Plain::Map(all);
        lay(&mut all, extra);
        if let Plain::Map(all) = &mut all {
            all.remove(OVERRIDE);
        }
        all
    }
}

/// What evaluates expressions, with Ansible's filters; and the same, in which what has no parent is undefined as well.
fn environments() -> (Environment<'static>, Environment<'static>) {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    filters::add(&mut env);
    let mut chaining = env.clone();
    chaining.set_undefined_behavior(UndefinedBehavior::Chainable);
    chaining.set_formatter(|out, state, value| match value.is_undefined() {
        true => Err(ErrorKind::UndefinedError.into()),
        false => minijinja::escape_formatter(out, state, value),
    });
    (env, chaining)
}

/// Whether what is undefined in a template is asked for there.
fn asks_for(error: &minijinja::Error, text: &str) -> bool {
    let asks = || ["default", "defined", "d"].iter().any(|word| has_word(text, word));
    error.kind() == ErrorKind::UndefinedError && asks()
}

/// Lays a tree over another one.
fn lay(below: &mut Plain, above: &Plain) {
    match (below, above) {
        (Plain::Map(below), Plain::Map(above)) => {
            for (key, value) in above {
                match below.get_mut(key) {
                    Some(known) => lay(known, value),
                    None => {
                        below.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (below, above) => *below = above.clone(),
    }
}

fn value(plain: &Plain) -> Jinja {
    match plain {
        Plain::Null => Jinja::from(()),
        Plain::Bool(truth) => Jinja::from(*truth),
        Plain::Int(number) => Jinja::from(*number),
        Plain::Float(number) => Jinja::from(*number),
        Plain::Text(text) => Jinja::from(text.as_str()),
        Plain::List(list) => list.iter().map(value).collect(),
        Plain::Map(map) => {
            let map: BTreeMap<String, Jinja> =
                map.iter().map(|(key, plain)| (key.clone(), value(plain))).collect();
            Jinja::from(map)
        }
    }
}

/// A value of an expression, as far as Ansible's variables have such.
fn plain(value: &Jinja) -> Plain {
    let items = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::Bool => Plain::Bool(value.is_true()),
        ValueKind::Number => match (i64::try_from(value.clone()), f64::try_from(value.clone())) {
            (Ok(number), _) => Plain::Int(number),
            (_, Ok(number)) if number.is_finite() => Plain::Float(number),
            _ => Plain::text(value.to_string()),
        },
        ValueKind::None | ValueKind::Undefined => Plain::Null,
        ValueKind::Seq | ValueKind::Iterable => {
            Plain::List(items().map(|item| plain(&item)).collect())
        }
        ValueKind::Map => {
            let entry = |key: Jinja| Some((key.to_string(), plain(&value.get_item(&key).ok()?)));
            Plain::Map(items().filter_map(entry).collect())
        }
        _ => Plain::text(value.to_string()),
    }
}

/// Whether an expression below a tree names a variable.
pub fn names(node: &Tree, variable: &str) -> bool {
    match &node.value {
        Value::Null => false,
        Value::Scalar(text, _) => is_expression(text) && has_word(text, variable),
        Value::List(list) => list.iter().any(|item| names(item, variable)),
        Value::Map(map) => map.iter().any(|entry| names(&entry.value, variable)),
    }
}

/// The words in all expressions below a tree, names of variables among them.
pub fn words<'a>(node: &'a Tree, into: &mut BTreeSet<&'a str>) {
    match &node.value {
        Value::Null => {}
        Value::Scalar(text, _) => {
            if is_expression(text) {
                into.extend(text.split(|c: char| !c.is_alphanumeric() && c != '_'));
            }
        }
        Value::List(list) => list.iter().for_each(|item| words(item, into)),
        Value::Map(map) => map.iter().for_each(|entry| words(&entry.value, into)),
    }
}

/// Whether there is an expression in it.
fn has_expression(plain: &Plain) -> bool {
    match plain {
        Plain::Text(text) => is_expression(text),
        Plain::List(items) => items.iter().any(has_expression),
        Plain::Map(map) => map.values().any(has_expression),
        _ => false,
    }
}

fn is_expression(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

fn walk(node: &mut Tree, scope: &Scope, diags: &mut Diagnostics) {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(text, _) => {
            if is_expression(text) {
                let source = literals::rewritten(text).into_owned();
                let context = &scope.context().all;
                if let Some(tree) = scope.tree(&source, context) {
                    node.value = tree.located(node.span).value;
                    return;
                }
                match scope.rendered(&source, context) {
                    Ok(result) => *text = result,
                    Err(error) => {
                        let is_named = error.kind() == ErrorKind::UndefinedError
                            && error.range().is_some()
                            && !node.span.secret;
                        let diagnostic = describe(&error, &source, node.span, scope);
                        diags.push_unknown(diagnostic, is_named);
                    }
                }
            }
        }
        Value::List(list) => list.iter_mut().for_each(|n| walk(n, scope, diags)),
        Value::Map(map) => map.iter_mut().for_each(|e| walk(&mut e.value, scope, diags)),
    }
}

fn describe(error: &minijinja::Error, text: &str, span: Span, scope: &Scope) -> Diagnostic {
    // Details have words of the text and values of variables in them.
    let message = match error.detail().filter(|_| !span.secret) {
        Some(detail) => format!("the expression fails: {}: {detail}", error.kind()),
        None => format!("the expression fails: {}", error.kind()),
    };
    let place = error
        .range()
        .and_then(|range| text.get(range))
        .filter(|_| !span.secret)
        .map_or(String::new(), |part| format!("at `{part}`"));
    let diagnostic = Diagnostic::error("expression::failed", message).at(span, place);
    let word = error.range().and_then(|range| text.get(range));
    let variables = &scope.variables;
    let of_file = |why: &str| format!("`{}` of the network file {why}", word.unwrap_or_default());
    if word.is_some_and(|word| variables.hidden.contains(word)) {
        return diagnostic.help(of_file(
            "is named like a secret, and is seen in that file alone: an extra variable (`-e`) is seen in all",
        ));
    }
    if word.is_some_and(|word| scope.context().endless.contains(word)) {
        return diagnostic
            .help(of_file("has an expression in it that names itself, or what is not there"));
    }
    let own = ["net", "net6", "net6_next", "data_net", "vswitch_type", "provision"];
    let known = own.into_iter().chain(keys(&variables.file)).chain(keys(&variables.extra));
    match (error.kind(), error.detail().filter(|_| !span.secret)) {
        (ErrorKind::UnknownFilter, detail) => diagnostic.help(filters::instead_of(detail)),
        (ErrorKind::InvalidOperation, Some(_)) if adds_up(text) => {
            diagnostic.help("variables are text: `int` makes a number of one, as in `{{ net | int + 1 }}`")
        }
        (ErrorKind::UndefinedError, _) => match word.and_then(|word| closest(word, known)) {
            Some(name) => diagnostic.help(format!("did you mean `{name}`?")),
            None => diagnostic.help(
                "expressions can use `net`, `data_net`, `vswitch_type`, `provision`, keys of the network file, and extra \
                 variables: `-e name=value`",
            ),
        },
        _ => diagnostic,
    }
}

/// Whether a text has an operation of numbers in it: variables are text, and `+` and its like take none.
fn adds_up(text: &str) -> bool {
    text.contains(" + ") || text.contains(" - ") || text.contains(" * ")
}

fn keys(plain: &Plain) -> impl Iterator<Item = &str> {
    let map = match plain {
        Plain::Map(map) => Some(map),
        _ => None,
    };
    map.into_iter().flat_map(|map| map.keys().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{Sources, parse};

    fn resolved(text: &str) -> (Tree, Diagnostics) {
        let mut sources = Sources::default();
        let id = sources.add("t", text);
        let mut diags = Diagnostics::default();
        let mut node = parse(&sources, id, &mut diags).unwrap();
        let variables = Variables {
            net: 10,
            data_net: 24,
            vswitch_type: "None".into(),
            mirror_url: "http://m".into(),
            file: Plain::map(),
            hidden: BTreeSet::new(),
            extra: Plain::read(
                "{x: '20', data_net: 7, provision: {disk: {bus: scsi}}, all: [a, b], base: '{{ net }}', \
                 third: '{{ base }}.{{ x }}', lists: '{{ all }}', one: '{{ two }}', two: '{{ one }}'}",
            )
            .unwrap(),
        };
        Scope::new(variables).resolve(&mut node, &mut diags);
        (node, diags)
    }

    #[test]
    fn expressions_become_text() {
        for (text, expected) in [
            ("a: 172.16.{{ net }}.1", "172.16.10.1"),
            ("a: \"10.0.{{ net | int + 1 }}.1\"", "10.0.11.1"),
            ("a: \"{{ provision.image.mirror.url }}/x.img\"", "http://m/x.img"),
            ("a: '{{ vswitch_type }}'", "None"),
            // Extra variables are seen, and win.
            ("a: '172.{{ x }}.{{ data_net }}.1'", "172.20.7.1"),
            ("a: '{{ provision.disk.bus }} {{ provision.image.mirror.url }}'", "scsi http://m"),
            ("a: '{{ nobody | default(16) }}'", "16"),
            ("a: \"{{ ('10.' ~ x ~ '.0.0/24') | ipaddr(5) | ipaddr('address') }}\"", "10.20.0.5"),
            ("a: '{{ provision.no.such | default(17) }}'", "17"),
            ("a: '{{ no.such.thing is defined }}'", "False"),
            ("a: |\n  net {{ net }}\n  end\n", "net 10\nend\n"),
        ] {
            let (node, diags) = resolved(text);
            assert!(diags.is_empty(), "{diags:?}");
            let a = &node.get("a").unwrap().value;
            assert!(matches!(a, Value::Scalar(text, _) if text == expected), "{a:?}");
        }
    }

    /// A list was text, and so was another variable's name in a variable.
    #[test]
    fn a_list_stays_one_and_variables_name_others() {
        for (text, expected) in [
            ("a: '{{ all }}'", "[a, b]"),
            ("a: ' {{ lists }} '", "[a, b]"),
            ("a: '{{ provision.disk }}'", "{bus: scsi}"),
            ("a: 172.{{ third }}.1", "172.10.20.1"),
            ("a: '{{ all | first }}'", "a"),
            ("a: '{{ all | length }}'", "'2'"),
            ("a: '{{ unknown | default([]) }}'", "[]"),
            ("a: \"{{ ['a'] + ['b'] }}\"", "[a, b]"),
            ("a: \"{{ all | map('upper') }}\"", "[A, B]"),
            ("a: '{{ unknown.part | default([1]) }}'", "[1]"),
            ("a: '{{ provision.none.part | default([]) }}'", "[]"),
        ] {
            let (node, diags) = resolved(text);
            assert!(diags.is_empty(), "{text}: {diags:?}");
            let expected = Plain::read(&format!("a: {expected}")).unwrap();
            assert_eq!(Plain::of(&node), expected, "{text}");
        }
        // A circle ends, and is an expression still.
        let (node, _) = resolved("a: '{{ one }}'");
        assert!(
            matches!(&node.get("a").unwrap().value, Value::Scalar(text, _) if is_expression(text))
        );
    }

    #[test]
    fn names_of_variables_are_whole_words_of_expressions() {
        let mut sources = Sources::default();
        let id = sources.add("t", "{a: ['{{ net_x }}', 'x'], b: {c: '{{ y.z }}'}}");
        let node = parse(&sources, id, &mut Diagnostics::default()).unwrap();
        let found = ["net_x", "y", "x", "net"].map(|word| names(&node, word));
        assert_eq!(found, [true, true, false, false]);
    }

    #[test]
    fn what_has_no_parent_is_an_error_unless_somebody_asks_for_it() {
        for text in ["a: '{{ no.such }}'", "a: \"{{ no.such }}{{ x | default('y') }}\""] {
            assert!(resolved(text).1.has_errors(), "{text}");
        }
    }

    /// `{{ net + 1 }}` got "did you mean `net`?", and an unknown filter the names of variables.
    #[test]
    fn what_is_advised_can_help() {
        for (text, help) in [
            ("a: '{{ net + 1 }}'", Some("`{{ net | int + 1 }}`")),
            ("a: '{{ net | ipadr }}'", Some("did you mean the filter `ipaddr`?")),
            (
                "a: \"{{ net | regex_replaces('a', 'b') }}\"",
                Some("did you mean the filter `regex_replace`?"),
            ),
            ("a: '{{ net | random }}'", Some("the same on every machine")),
            ("a: '{{ 1 + }}'", None),
        ] {
            let (_, diags) = resolved(text);
            let first = diags.iter().next().unwrap();
            match help {
                Some(help) => assert!(first.help[0].contains(help), "{text}: {first:?}"),
                None => assert!(first.help.is_empty(), "{text}: {first:?}"),
            }
        }
    }

    #[test]
    fn an_undefined_name_is_an_error() {
        let (_, diags) = resolved("a: \"{{ nets }}\"");
        let first = diags.iter().next().unwrap();
        assert!(first.help[0].contains("did you mean `net`"), "{first:?}");
    }
}
