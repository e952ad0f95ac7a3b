//! Jinja expressions in scalars, resolved once: those of topology files here, those of Ansible's variables in `ansible`.
//! Nothing else knows minijinja.

mod ansible;
mod filters;

use std::cell::OnceCell;
use std::collections::BTreeMap;

use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value as Jinja};

pub use ansible::Ansible;

use crate::diagnostic::{Diagnostic, Diagnostics, closest};
use crate::syntax::{Node, Plain, Span, Value};

/// What expressions in topology files can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variables {
    /// Third octet of the addressed networks: `{{ net }}`.
    pub net: u8,
    /// Third octet of the data network: `{{ data_net }}`.
    pub data_net: u8,
    /// The virtual switch type in the run, or `None`: `{{ vswitch_type }}`.
    pub vswitch_type: String,
    /// `{{ provision.image.mirror.url }}`.
    pub mirror_url: String,
    /// Extra variables and settings, which win over all of these.
    pub extra: Plain,
}

/// Fourth part of the external IPv6 subnet of an environment without a prefix, as InfraRed has it; it
/// moves on with `net`, so that prefixed environments can live side by side: `{{ net6 }}`, and the one after it
/// `{{ net6_next }}`.
const NET6: u16 = 0x13b8;

/// Steps that one expression may take; real ones take a dozen.
const FUEL: u64 = 10_000;

/// What expressions are resolved with.
pub struct Scope {
    env: Environment<'static>,
    /// The same, in which what has no parent is undefined as well.
    chaining: Environment<'static>,
    variables: Variables,
    /// Made for the first expression: there may be very many extra variables, and no expression.
    context: OnceCell<Jinja>,
}

impl Scope {
    /// One with these variables.
    pub fn new(variables: Variables) -> Self {
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
        Self { env, chaining, variables, context: OnceCell::new() }
    }

    /// Resolves every expression below `node`, in place. The result of an expression is text, as with
    /// InfraRed.
    pub fn resolve(&self, node: &mut Node, diags: &mut Diagnostics) {
        walk(node, self, diags);
    }

    /// The text of a template. What has no parent is undefined, as with Ansible since 2.8, for who asks whether it is.
    fn rendered(&self, text: &str) -> Result<String, minijinja::Error> {
        let strict = self.env.render_str(text, self.context());
        let asks = ["default", "defined", "d"].iter().any(|word| has_word(text, word));
        match strict {
            Err(error) if asks && error.kind() == ErrorKind::UndefinedError => {
                // Why it fails, if it does, is clearer without a chain.
                self.chaining.render_str(text, self.context()).map_err(|_| error)
            }
            result => result,
        }
    }

    fn context(&self) -> &Jinja {
        self.context.get_or_init(|| value(&self.all()))
    }

    /// All variables.
    fn all(&self) -> Plain {
        let Variables { net, data_net, vswitch_type, mirror_url, extra } = &self.variables;
        let within = |key: &str, value: Plain| Plain::Map(BTreeMap::from([(key.into(), value)]));
        let mirror = within("mirror", within("url", Plain::text(mirror_url)));
        let mut all = Plain::Map(BTreeMap::from([
            ("net".into(), Plain::text(net.to_string())),
            ("data_net".into(), Plain::text(data_net.to_string())),
            ("net6".into(), Plain::text(format!("{:x}", NET6 + u16::from(*net)))),
            ("net6_next".into(), Plain::text(format!("{:x}", NET6 + 1 + u16::from(*net)))),
            ("vswitch_type".into(), Plain::text(vswitch_type)),
            ("provision".into(), within("image", mirror)),
        ]));
        lay(&mut all, extra);
        all
    }
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

/// Whether an expression below a tree names a variable.
pub fn names(node: &Node, variable: &str) -> bool {
    match &node.value {
        Value::Null => false,
        Value::Scalar(text, _) => is_expression(text) && has_word(text, variable),
        Value::List(list) => list.iter().any(|item| names(item, variable)),
        Value::Map(map) => map.iter().any(|entry| names(&entry.value, variable)),
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

fn walk(node: &mut Node, scope: &Scope, diags: &mut Diagnostics) {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(text, _) => {
            if is_expression(text) {
                // One end of line at the end is taken off: this one, and none of the text's own.
                match scope.rendered(&format!("{text}\n")) {
                    Ok(result) => *text = result,
                    Err(error) => {
                        let is_named = error.kind() == ErrorKind::UndefinedError
                            && error.range().is_some()
                            && !node.span.secret;
                        let extra = &scope.variables.extra;
                        let diagnostic = describe(&error, text, node.span, extra);
                        diags.push_unknown(diagnostic, is_named);
                    }
                }
            }
        }
        Value::List(list) => list.iter_mut().for_each(|n| walk(n, scope, diags)),
        Value::Map(map) => map.iter_mut().for_each(|e| walk(&mut e.value, scope, diags)),
    }
}

fn describe(error: &minijinja::Error, text: &str, span: Span, extra: &Plain) -> Diagnostic {
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
    let own = ["net", "net6", "net6_next", "data_net", "vswitch_type", "provision"];
    let extra: Vec<&str> = match extra {
        Plain::Map(map) => map.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let known = own.into_iter().chain(extra);
    match error.range().and_then(|range| text.get(range)).and_then(|word| closest(word, known)) {
        Some(name) => diagnostic.help(format!("did you mean `{name}`?")),
        None => diagnostic.help(
            "expressions can use `net`, `data_net`, `vswitch_type`, `provision`, and extra variables: `-e name=value`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{Sources, parse};

    fn resolved(text: &str) -> (Node, Diagnostics) {
        let mut sources = Sources::default();
        let id = sources.add("t", text);
        let mut diags = Diagnostics::default();
        let mut node = parse(&sources, id, &mut diags).unwrap();
        let variables = Variables {
            net: 10,
            data_net: 24,
            vswitch_type: "None".into(),
            mirror_url: "http://m".into(),
            extra: Plain::read("{x: '20', data_net: 7, provision: {disk: {bus: scsi}}}").unwrap(),
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

    #[test]
    fn an_undefined_name_is_an_error() {
        let (_, diags) = resolved("a: \"{{ nets }}\"");
        let first = diags.iter().next().unwrap();
        assert!(first.help[0].contains("did you mean `net`"), "{first:?}");
    }
}
