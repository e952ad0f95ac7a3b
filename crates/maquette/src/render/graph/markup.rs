//! Pictures that other programs lay out: Mermaid and Graphviz.

use std::fmt::Write;

use super::{Scene, State};

/// Mermaid: <https://mermaid.js.org/syntax/flowchart.html>.
pub fn mermaid(scene: &Scene) -> String {
    let mut out = String::from("flowchart LR\n");
    // Mermaid reads HTML.
    let safe = |text: &str| {
        text.replace('&', "#amp;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
    };
    for (i, net) in scene.nets.iter().enumerate() {
        let detail = net.mark.beside(&net.detail);
        let _ = writeln!(out, "  net{i}([\"{}<br/>{}\"])", safe(&net.name), safe(&detail));
    }
    for (i, item) in scene.items.iter().enumerate() {
        let detail = item.mark.beside(&item.detail);
        let _ = writeln!(out, "  node{i}[\"{}<br/>{}\"]", safe(&item.name), safe(&detail));
    }
    for (i, item) in scene.items.iter().enumerate() {
        for port in &item.ports {
            let Some(net) = port.net else { continue };
            let label = format!("{} {}", port.name, port.detail);
            let _ = writeln!(out, "  node{i} ---|\"{}\"| net{net}", safe(label.trim()));
        }
    }
    for [(a, p), (b, q)] in &scene.cables {
        let (from, to) = (&scene.items[*a].ports[*p].name, &scene.items[*b].ports[*q].name);
        let _ = writeln!(out, "  node{a} ===|\"{} – {}\"| node{b}", safe(from), safe(to));
    }
    let off = |state: State| state == State::Off;
    let nets = scene.nets.iter().enumerate().filter(|(_, n)| off(n.state));
    let nets = nets.map(|(i, _)| format!("net{i}"));
    let items = scene.items.iter().enumerate().filter(|(_, n)| off(n.state));
    let off: Vec<String> = nets.chain(items.map(|(i, _)| format!("node{i}"))).collect();
    if !off.is_empty() {
        out.push_str("  classDef off stroke-dasharray: 4 3,opacity:0.6\n");
        let _ = writeln!(out, "  class {} off", off.join(","));
    }
    out
}

/// Graphviz: <https://graphviz.org/doc/info/lang.html>.
pub fn dot(scene: &Scene) -> String {
    let mut out =
        String::from("graph environment {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
    let safe = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let style = |state: State| if state == State::Off { ", style=dashed" } else { "" };
    for (i, net) in scene.nets.iter().enumerate() {
        let (name, detail) = (safe(&net.name), safe(&net.mark.beside(&net.detail)));
        let style = style(net.state);
        let _ = writeln!(out, "  net{i} [shape=ellipse, label=\"{name}\\n{detail}\"{style}];");
    }
    for (i, item) in scene.items.iter().enumerate() {
        let (name, detail) = (safe(&item.name), safe(&item.mark.beside(&item.detail)));
        let style = style(item.state);
        let _ = writeln!(out, "  node{i} [shape=box, label=\"{name}\\n{detail}\"{style}];");
    }
    for (i, item) in scene.items.iter().enumerate() {
        for port in &item.ports {
            let Some(net) = port.net else { continue };
            let label = safe(format!("{} {}", port.name, port.detail).trim());
            let _ = writeln!(out, "  node{i} -- net{net} [label=\"{label}\"];");
        }
    }
    for [(a, p), (b, q)] in &scene.cables {
        let (from, to) = (&scene.items[*a].ports[*p].name, &scene.items[*b].ports[*q].name);
        let _ = writeln!(
            out,
            "  node{a} -- node{b} [taillabel=\"{from}\", headlabel=\"{to}\", style=bold];"
        );
    }
    out.push_str("}\n");
    out
}
