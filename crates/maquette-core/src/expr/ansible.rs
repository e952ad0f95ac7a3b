//! Ansible's variables: each may be an expression that names others, and is evaluated when it is asked for.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value as Jinja};

use super::filters::there;
use super::{asks_for, environments, has_word, is_expression};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::{Entry, Plain, Span, Style, Tree, Value};

/// Variables that name each other in a longer chain surely go on for ever.
const DEEPEST: usize = 64;

/// Evaluates expressions with a mapping of variables.
pub struct Ansible<'a> {
    variables: &'a Tree,
    /// What holds for variables that nobody has set.
    defaults: &'a [(&'a str, &'a str)],
    env: Environment<'static>,
    /// The same, in which what has no parent is undefined as well.
    chaining: Environment<'static>,
    /// Variables that were asked for, as they are evaluated.
    known: BTreeMap<String, Tree>,
    /// Those that are being evaluated, the first one first.
    open: Vec<String>,
    asked: BTreeSet<String>,
}

impl<'a> Ansible<'a> {
    /// `defaults` are texts of variables that are not among `variables`.
    pub fn new(variables: &'a Tree, defaults: &'a [(&'a str, &'a str)]) -> Self {
        let (known, open, asked) = Default::default();
        let (env, chaining) = environments();
        Self { variables, defaults, env, chaining, known, open, asked }
    }

    /// The variables that were asked for so far, whether they exist or not.
    pub fn asked(&self) -> &BTreeSet<String> {
        &self.asked
    }

    /// A variable without any expressions in it, if it is there; `span` is who asks.
    pub fn value(&mut self, name: &str, span: Span, diags: &mut Diagnostics) -> Option<Tree> {
        self.asked.insert(name.into());
        if let Some(known) = self.known.get(name) {
            return Some(known.clone());
        }
        let default = || self.defaults.iter().find(|(known, _)| *known == name);
        let mut node = match (self.variables.get(name), default()) {
            (Some(node), _) => node.clone(),
            (None, Some((_, text))) => {
                // A home directory alone would be nothing.
                let style = if text.starts_with('~') { Style::Text } else { Style::Bare };
                Tree { value: Value::Scalar((*text).into(), style), span }
            }
            (None, None) => return None,
        };
        if self.open.iter().any(|open| open == name) || self.open.len() >= DEEPEST {
            let message = format!("`{name}` is made of itself");
            let chain = format!("{} → {name}", self.open.join(" → "));
            let diagnostic = Diagnostic::error("expression::circle", message).at(node.span, "");
            diags.push(diagnostic.help(chain));
            return Some(Tree { value: Value::Null, span });
        }
        self.open.push(name.into());
        self.resolve(&mut node, diags);
        self.open.pop();
        self.known.insert(name.into(), node.clone());
        Some(node)
    }

    /// Resolves every expression below `node`, in place. One that fails is reported, and becomes nothing.
    pub fn resolve(&mut self, node: &mut Tree, diags: &mut Diagnostics) {
        match &mut node.value {
            Value::Null => {}
            Value::Scalar(text, _) => {
                if is_expression(text) {
                    let text = std::mem::take(text);
                    node.value = self.evaluated(&text, node.span, diags);
                }
            }
            Value::List(items) => items.iter_mut().for_each(|item| self.resolve(item, diags)),
            Value::Map(map) => map.iter_mut().for_each(|e| self.resolve(&mut e.value, diags)),
        }
    }

    fn evaluated(&mut self, text: &str, span: Span, diags: &mut Diagnostics) -> Value {
        let rewritten = super::literals::rewritten(text);
        let text = &*rewritten;
        let whole = whole(text);
        // A variable alone is what it is, in the order in which it was written.
        if let Some(name) = whole.filter(|inner| is_name(inner))
            && let Some(node) = self.value(name, span, diags)
        {
            return node.value;
        }
        let names = match self.env.template_from_str(text) {
            Ok(template) => template.undeclared_variables(false),
            Err(error) => {
                diags.push(failed(&error, text, span));
                return Value::Null;
            }
        };
        let mut context: BTreeMap<String, Jinja> = BTreeMap::new();
        for name in names.into_iter().collect::<BTreeSet<_>>() {
            if let Some(node) = self.value(&name, span, diags) {
                context.insert(name, super::value(&Plain::of(&node)));
            }
        }
        let context = Jinja::from_pairs(context);
        let expression = whole.filter(|inner| self.env.compile_expression(inner).is_ok());
        let result = match expression {
            Some(inner) => self.either(text, &|env: &Environment<'static>| {
                let value = env.compile_expression(inner)?.eval(&context)?;
                there(&value).cloned()
            }),
            None => {
                // One end of line at the end is taken off: this one, and none of the text's own.
                let ended = format!("{text}\n");
                self.either(text, &|env: &Environment<'static>| {
                    env.render_str(&ended, &context).map(Jinja::from)
                })
            }
        };
        match result {
            Ok(value) => located(&value, span),
            Err(error) => {
                let missing: Vec<&str> =
                    self.asked.iter().map(String::as_str).filter(|n| has_word(text, n)).collect();
                let missing = missing.into_iter().filter(|n| !self.known.contains_key(*n));
                // An error's place is one in what was evaluated.
                let evaluated = expression.unwrap_or(text);
                diags.push(self.told(&error, evaluated, span, &missing.collect::<Vec<_>>()));
                Value::Null
            }
        }
    }

    /// What comes of a text; where something is undefined and is asked for, with what has no parent undefined as well.
    fn either(
        &self,
        text: &str,
        evaluate: &dyn Fn(&Environment<'static>) -> Result<Jinja, Error>,
    ) -> Result<Jinja, Error> {
        evaluate(&self.env).or_else(|error| match asks_for(&error, text) {
            // Why it fails, if it does, is clearer without a chain.
            true => evaluate(&self.chaining).map_err(|_| error),
            false => Err(error),
        })
    }

    /// Why an expression fails; `missing` are the variables in it that nobody has set.
    fn told(&self, error: &Error, text: &str, span: Span, missing: &[&str]) -> Diagnostic {
        let undefined = error.kind() == ErrorKind::UndefinedError
            || error.detail().is_some_and(|detail| detail.contains("undefined"));
        let Some(name) = missing.first().filter(|_| undefined) else {
            return failed(error, text, span);
        };
        let known = self.variables.entries().iter().map(|e| e.key.as_str());
        Diagnostic::error("expression::undefined", format!("there is no variable `{name}`"))
            .at(span, "")
            .suggest(name, known)
            .help(format!("`-e {name}=VALUE` gives it a value, or another file of `--layout`"))
    }
}

/// What is inside of a text that is one expression.
pub(super) fn whole(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let one = !inner.contains("{{") && !inner.contains("}}") && !inner.contains("{%");
    one.then(|| inner.trim_matches('-').trim())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn failed(error: &Error, text: &str, span: Span) -> Diagnostic {
    let message = match error.detail() {
        Some(detail) => format!("the expression fails: {}: {detail}", error.kind()),
        None => format!("the expression fails: {}", error.kind()),
    };
    let place = error.range().and_then(|range| text.get(range)).map(str::trim);
    let place = place.filter(|part| !part.is_empty()).map(|part| format!("at `{part}`"));
    Diagnostic::error("expression::failed", message).at(span, place.unwrap_or_default())
}

fn located(value: &Jinja, span: Span) -> Value {
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => Value::Null,
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().into_iter().flatten();
            Value::List(items.map(|item| Tree { value: located(&item, span), span }).collect())
        }
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten();
            let entry = |key: Jinja| Entry {
                value: Tree {
                    value: value.get_item(&key).map_or(Value::Null, |v| located(&v, span)),
                    span,
                },
                key: key.to_string(),
                key_span: span,
            };
            Value::Map(keys.map(entry).collect())
        }
        ValueKind::String => Value::Scalar(value.to_string(), Style::Text),
        _ => Value::Scalar(value.to_string(), Style::Bare),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{Sources, parse};

    fn value(text: &str, name: &str) -> (Option<Plain>, Diagnostics) {
        let mut sources = Sources::default();
        let id = sources.add("t", text);
        let mut diags = Diagnostics::default();
        let node = parse(&sources, id, &mut diags).unwrap();
        let mut ansible = Ansible::new(&node, &[("home", "~")]);
        let value = ansible.value(name, node.span, &mut diags);
        (value.map(|node| Plain::of(&node)), diags)
    }

    #[test]
    fn variables_name_each_other() {
        for (text, expected) in [
            ("{b: 2, a: '{{ b }}'}", Plain::Int(2)),
            ("{b: '3', a: '{{ [b | int, 1] | max }}'}", Plain::Int(3)),
            ("{c: 4, b: '{{ c }}', a: 'n{{ b }}'}", Plain::text("n4")),
            ("{a: '{{ home }}/images'}", Plain::text("~/images")),
            ("{a: \"{{ x | default('') }}\"}", Plain::text("")),
            ("{a: '{{ (x is defined and x == 1) | bool }}'}", Plain::Bool(false)),
            ("{b: 'no', a: '{{ b | bool }}'}", Plain::Bool(false)),
            (
                "{b: {c: 10.1.0.0/20}, a: '{{ b.c | ansible.utils.nthhost(257) }}'}",
                Plain::text("10.1.1.1"),
            ),
            ("{b: 10.1.0.0/20, a: \"{{ b | ansible.utils.ipaddr('prefix') }}\"}", Plain::Int(20)),
            ("{b: 10.1.0.0/24, a: \"{{ b | ipaddr('-1') }}\"}", Plain::text("10.1.0.255/24")),
            ("{a: \"{{ ('x', 'y') | path_join }}\"}", Plain::text("x/y")),
            ("{b: [1, {c: d}], a: '{{ b }}'}", Plain::read("[1, {c: d}]").unwrap()),
            ("{b: '', a: '{{ b | int(default=3) }}'}", Plain::Int(3)),
            ("{b: '', a: '{{ b | default(4, boolean=True) }}'}", Plain::Int(4)),
            ("{a: \"{{ 'yes' | ternary(4, 2) }}\"}", Plain::Int(4)),
            ("{a: '{{ b.c.d | default(4) }}'}", Plain::Int(4)),
            ("{b: {}, a: '{{ b.c.d | default(4) }}'}", Plain::Int(4)),
            ("{b: {}, a: 'n{{ b.c.d | default(4) }}'}", Plain::text("n4")),
            (
                "{b: {c: 1}, a: '{{ b | combine({\"d\": 2}) }}'}",
                Plain::read("{c: 1, d: 2}").unwrap(),
            ),
        ] {
            let (value, diags) = value(text, "a");
            assert!(diags.is_empty(), "{text}: {diags:?}");
            assert_eq!(value, Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_its_place() {
        for (text, code, message) in [
            ("{a: '{{ b }}', b: '{{ a }}'}", "expression::circle", "`a` is made of itself"),
            ("{cd: 1, a: '{{ ce + 1 }}'}", "expression::undefined", "no variable `ce`"),
            ("{a: '{{ 1 + }}'}", "expression::failed", "syntax error"),
            // These were 0 and no: a node type had no nodes.
            ("{cd: 1, a: '{{ ce | int }}'}", "expression::undefined", "no variable `ce`"),
            ("{cd: 1, a: '{{ ce | bool }}'}", "expression::undefined", "no variable `ce`"),
            (
                "{cd: 1, a: '{{ ce | int(default=3) }}'}",
                "expression::undefined",
                "no variable `ce`",
            ),
            ("{a: \"{{ 'x' | nthhost(1) }}\"}", "expression::failed", "`x` is not an address"),
            (
                "{a: \"{{ '10.0.0.0/30' | ipaddr('no-such') }}\"}",
                "expression::failed",
                "does not know",
            ),
        ] {
            let (_, diags) = value(text, "a");
            let first = diags.iter().next().unwrap();
            assert_eq!(first.code, code, "{text}: {first:?}");
            let said = &first.message;
            assert!(said.contains(message), "{text}: {first:?}");
        }
    }
    /// The place was one in the whole text.
    #[test]
    fn the_part_that_fails_is_shown() {
        let (_, diags) = value("{b: {}, a: '{{ b.there.gone }}'}", "a");
        let first = diags.iter().next().unwrap();
        let places: Vec<&str> = first.labels.iter().map(|label| label.text.as_str()).collect();
        let is_part = |place: &&str| {
            !place.is_empty() && "at `b.there.gone`".ends_with(place.trim_start_matches("at `"))
        };
        assert!(places.iter().any(is_part), "{first:?}");
    }
}
