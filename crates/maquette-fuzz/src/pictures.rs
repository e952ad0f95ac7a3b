//! Pictures of an environment, and plans, as people and other programs get them.

use maquette::fuzzing::{self, Pictures};
use maquette_core::blueprint::Blueprint;
use maquette_core::plan::Plan;

use crate::check;

/// Elements of a drawing. None runs anything, or leads anywhere.
const ELEMENTS: [&str; 7] = ["svg", "g", "rect", "text", "circle", "line", "title"];

/// The form in which texts stand in Graphviz' and Mermaid's languages has no quote in it that is not escaped.
fn quotes(what: &str, line: &str, escaped: &str) {
    let plain = line.replace("\\\\", "").replace(escaped, "");
    assert_eq!(plain.matches('"').count() % 2, 0, "{what}: {line:?}");
    for outside in plain.split('"').step_by(2) {
        let plain = |c: char| c.is_ascii_alphanumeric() || " []()=-|,;:.{}".contains(c);
        assert!(outside.chars().all(plain), "{what}: {line:?}");
    }
}

/// Every form of a picture is what it claims to be, whatever names are in it.
pub fn drawn(blueprint: &Blueprint) {
    let Pictures { text, svg, mermaid, dot } = fuzzing::pictures(blueprint);
    check::no_controls("a picture", &text);
    check::no_controls("SVG", &svg);
    match roxmltree::Document::parse(&svg) {
        Err(error) => panic!("{error}: {svg}"),
        Ok(document) => {
            for element in document.descendants().filter(roxmltree::Node::is_element) {
                let name = element.tag_name().name();
                assert!(ELEMENTS.contains(&name), "SVG: {name}: {svg}");
                let mut attributes = element.attributes().map(|attribute| attribute.name());
                assert!(!attributes.any(|a| a.starts_with("on") || a == "href"), "{svg}");
            }
        }
    }
    check::no_controls("Mermaid", &mermaid);
    assert!(!mermaid.replace("<br/>", "").contains('<'), "Mermaid reads HTML: {mermaid}");
    mermaid.lines().for_each(|line| quotes("Mermaid", line, "#quot;"));
    check::no_controls("Graphviz", &dot);
    dot.lines().for_each(|line| quotes("Graphviz", line, "\\\""));
    assert_eq!(dot.lines().filter(|line| *line == "}").count(), 1, "{dot}");
}

/// A plan does nothing to a terminal but colours, and has no text in its JSON that would.
pub fn planned(plan: &Plan, environment: &str) {
    let (drawn, json) = fuzzing::plan(plan, environment);
    check::told(&drawn);
    texts(&json);
}

fn texts(json: &serde_json::Value) {
    match json {
        serde_json::Value::String(text) => check::no_controls("the plan as JSON", text),
        serde_json::Value::Array(items) => items.iter().for_each(texts),
        serde_json::Value::Object(entries) => entries.values().for_each(texts),
        _ => {}
    }
}
