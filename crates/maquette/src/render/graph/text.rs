//! A picture for the terminal: each network with who is on it.

use std::fmt::Write;

use super::{Scene, State};

/// Draws a scene.
pub fn text(scene: &Scene) -> String {
    let mut out = String::new();
    let mut rows: Vec<(usize, [String; 3])> = Vec::new();
    for (n, _) in scene.nets.iter().enumerate() {
        for item in &scene.items {
            for port in item.ports.iter().filter(|p| p.net == Some(n)) {
                let name = format!("{} {}", item.state.sign(), item.name);
                rows.push((n, [name, port.name.clone(), item.mark.beside(&port.detail)]));
            }
        }
    }
    let width =
        |column: usize| rows.iter().map(|(_, r)| r[column].chars().count()).max().unwrap_or(0);
    let (names, ports) = (width(0), width(1));
    for (n, net) in scene.nets.iter().enumerate() {
        let detail = net.mark.beside(&net.detail);
        let _ = writeln!(out, "{} {}  {detail}", net.state.sign(), net.name);
        let own: Vec<&[String; 3]> =
            rows.iter().filter(|(of, _)| *of == n).map(|(_, r)| r).collect();
        for (i, [name, port, detail]) in own.iter().enumerate() {
            let branch = if i + 1 == own.len() { "└─" } else { "├─" };
            let line = format!("{branch} {name:names$}  {port:ports$}  {detail}");
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out.push('\n');
    }
    if !scene.cables.is_empty() {
        out.push_str("links\n");
        for (i, [a, b]) in scene.cables.iter().enumerate() {
            let end = |(n, p): (usize, usize)| {
                let item = &scene.items[n];
                format!("{} {}", item.name, item.ports[p].name)
            };
            let branch = if i + 1 == scene.cables.len() { "└─" } else { "├─" };
            let _ = writeln!(out, "{branch} {} ── {}", end(*a), end(*b));
        }
        out.push('\n');
    }
    let alone = scene.items.iter().filter(|i| i.ports.is_empty());
    for item in alone {
        let detail = item.mark.beside("no interface");
        let _ = writeln!(out, "{} {}  {detail}", item.state.sign(), item.name);
    }
    let states = scene.nets.iter().map(|n| n.state).chain(scene.items.iter().map(|i| i.state));
    if states.clone().any(|s| s != State::Planned) {
        out.push_str("● running  ◌ off  ○ not built\n");
    }
    out
}
