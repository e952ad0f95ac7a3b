//! Values for examples.

use crate::file_keys::{Form, Key};
use crate::settings::{Setting, SettingKind};

/// A value for a setting.
pub(super) fn of_setting(row: &Setting) -> String {
    let other = if row.default == Some("yes") { "no" } else { "yes" };
    let yes = (row.kind == SettingKind::YesNo).then_some(other);
    let last = match row.kind {
        SettingKind::Words(words) => words.iter().rfind(|w| !w.hidden).map(|w| w.word),
        _ => None,
    };
    let own = row.example.or(yes).or(last).or(row.default);
    own.unwrap_or("…").into()
}

/// A value for a key.
pub(super) fn of_key(key: &Key) -> String {
    key.example.map_or_else(|| of_form(&key.form), String::from)
}

/// What goes with a key of an interface: the network that it is on.
pub(super) fn beside(key: &str) -> Option<&'static str> {
    match key {
        "ip" | "portgroup" | "model" | "bridged" => Some("network: front"),
        "src_model" | "hub" => Some("connect_to: spine"),
        _ => None,
    }
}

/// An example whose addresses are of the family that it is about, and whose disk is one that a key of it is for.
pub(super) fn settled(example: &str) -> String {
    // The first disk of a node with an operating system is made from its image.
    if example.contains("{disk1: {preallocation") {
        return example.replace("{disk1: {", "{disk1: {size: 20G}, disk2: {size: 20G, ");
    }
    match example.contains("ipv6: {") {
        true => {
            let range = "{range: {start: 10.9.0.100, end: 10.9.0.200}}";
            let example = example.replace("dhcp: yes", &format!("dhcp: {range}"));
            example.replace("10.9.0.", "2001:db8::")
        }
        false => example.into(),
    }
}

fn of_form(form: &Form) -> String {
    match form {
        Form::Text | Form::Anything => "…".into(),
        Form::Parsed(_, example) => (*example).into(),
        Form::YesNo => "yes".into(),
        Form::Number(least, ..) => least.to_string(),
        Form::Words(words) => words.last().map_or(String::new(), |word| (*word).into()),
        Form::Map(keys) | Form::Part(keys) => {
            let needed: Vec<&Key> = keys.iter().filter(|k| k.needed).collect();
            let shown = if needed.is_empty() { keys.iter().take(1).collect() } else { needed };
            let shown = shown.iter().map(|k| format!("{}: {}", k.name, of_key(k)));
            format!("{{{}}}", shown.collect::<Vec<_>>().join(", "))
        }
        Form::Entries(_, form) => format!("{{front: {}}}", of_form(form)),
        Form::List(form) => format!("[{}]", of_form(form)),
        Form::Either(forms) => forms.first().map_or(String::new(), of_form),
        Form::Nothing => "null".into(),
    }
}
