//! Jinja expressions in scalars, resolved once: those of topology files here, those of Ansible's variables in `ansible`.
//! Nothing else knows minijinja.

mod ansible;

use minijinja::{Environment, UndefinedBehavior, Value as Jinja, context};

pub use ansible::Ansible;

use crate::diagnostic::{Diagnostic, Diagnostics, closest};
use crate::syntax::{Node, Span, Value};

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
}

/// Fourth part of the external IPv6 subnet of an environment without a prefix, as InfraRed has it; it
/// moves on with `net`, so that prefixed environments can live side by side: `{{ net6 }}`.
const NET6: u16 = 0x13b8;

/// Steps that one expression may take; real ones take a dozen.
const FUEL: u64 = 10_000;

/// Resolves every expression below `node`, in place. The result of an expression is text, as with
/// InfraRed.
pub fn resolve(node: &mut Node, variables: &Variables, diags: &mut Diagnostics) {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    let context = context! {
        net => variables.net.to_string(),
        data_net => variables.data_net.to_string(),
        net6 => format!("{:x}", NET6 + u16::from(variables.net)),
        vswitch_type => variables.vswitch_type.clone(),
        provision => context! {
            image => context! { mirror => context! { url => variables.mirror_url.clone() } }
        },
    };
    walk(node, &env, &context, diags);
}

fn walk(node: &mut Node, env: &Environment<'_>, context: &Jinja, diags: &mut Diagnostics) {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(text, _) => {
            if text.contains("{{") || text.contains("{%") {
                // One end of line at the end is taken off: this one, and none of the text's own.
                match env.render_str(&format!("{text}\n"), context) {
                    Ok(result) => *text = result,
                    Err(error) => diags.push(describe(&error, text, node.span)),
                }
            }
        }
        Value::List(list) => list.iter_mut().for_each(|n| walk(n, env, context, diags)),
        Value::Map(map) => map.iter_mut().for_each(|e| walk(&mut e.value, env, context, diags)),
    }
}

fn describe(error: &minijinja::Error, text: &str, span: Span) -> Diagnostic {
    let message = match error.detail() {
        Some(detail) => format!("the expression fails: {}: {detail}", error.kind()),
        None => format!("the expression fails: {}", error.kind()),
    };
    let place = error
        .range()
        .and_then(|range| text.get(range))
        .map_or(String::new(), |part| format!("at `{part}`"));
    let diagnostic = Diagnostic::error("expression::failed", message).at(span, place);
    let known = ["net", "net6", "data_net", "vswitch_type", "provision"];
    match error.range().and_then(|range| text.get(range)).and_then(|word| closest(word, known)) {
        Some(name) => diagnostic.help(format!("did you mean `{name}`?")),
        None => diagnostic.help(
            "expressions can use `net`, `data_net`, `vswitch_type` and `provision.image.mirror.url`",
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
        };
        resolve(&mut node, &variables, &mut diags);
        (node, diags)
    }

    #[test]
    fn expressions_become_text() {
        for (text, expected) in [
            ("a: 172.16.{{ net }}.1", "172.16.10.1"),
            ("a: \"10.0.{{ net | int + 1 }}.1\"", "10.0.11.1"),
            ("a: \"{{ provision.image.mirror.url }}/x.img\"", "http://m/x.img"),
            ("a: '{{ vswitch_type }}'", "None"),
            ("a: |\n  net {{ net }}\n  end\n", "net 10\nend\n"),
        ] {
            let (node, diags) = resolved(text);
            assert!(diags.is_empty(), "{diags:?}");
            let a = &node.get("a").unwrap().value;
            assert!(matches!(a, Value::Scalar(text, _) if text == expected), "{a:?}");
        }
    }

    #[test]
    fn an_undefined_name_is_an_error() {
        let (_, diags) = resolved("a: \"{{ nets }}\"");
        let first = diags.iter().next().unwrap();
        assert!(first.help[0].contains("did you mean `net`"), "{first:?}");
    }
}
