//! A drawing: nodes in rows, below each row the networks as bars that its nodes hang on. Networks that lead out of the
//! hypervisor say so at the right end of their bars.

use std::fmt::Write;

use super::{Item, Net, PlannedChange, Scene, State};

/// Most nodes in a row.
const ROW: usize = 8;
/// The same in the live view, where something is beside it.
const NARROW: usize = 4;
/// Width of a node's box, in pixels.
const BOX: usize = 224;
/// Room between boxes.
const GAP: usize = 20;
/// Height of a line of text.
const LINE: usize = 16;
/// Room between bars.
const BAR: usize = 34;
/// Most characters of a network's name and of what is said of it.
const NAME: usize = 30;
const DETAIL: usize = 52;
/// Most interfaces in a box that have room for their whole names between the lines.
const NAMED: usize = 6;
/// Room around everything.
const EDGE: usize = 16;

/// One colour for each network, then from the start again.
const COLOURS: [&str; 8] =
    ["#1f6fb2", "#c2571a", "#2f8f4e", "#8a4fb5", "#b23a48", "#0f8b8d", "#7a6a00", "#5a6470"];

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What fits, with an ellipsis where it does not.
fn fitted(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 1).chain(['…']).collect(),
        false => text.into(),
    }
}

/// About how wide a text is, in pixels: `per` tenths of one for each character.
fn text_width(text: &str, per: usize) -> usize {
    text.chars().count() * per / 10
}

fn name(net: &Net) -> String {
    fitted(&net.name, NAME)
}

fn detail(net: &Net) -> String {
    fitted(&net.mark.beside(&net.detail), DETAIL)
}

/// Room on the left, where bars have their names.
fn left(scene: &Scene) -> usize {
    let each = scene.nets.iter();
    let widths = each.map(|net| text_width(&name(net), 76).max(text_width(&detail(net), 62)));
    EDGE + widths.max().unwrap_or(0) + GAP
}

/// Room on the right, where bars say how they lead outside.
fn right(scene: &Scene) -> usize {
    let outside = scene.nets.iter().filter_map(|net| net.outside.as_deref());
    outside.map(|text| text_width(text, 62) + 24).max().unwrap_or(0)
}

/// Draws a scene.
pub fn svg(scene: &Scene) -> String {
    drawn(scene, ROW)
}

/// The same for the live view, whose page finds nodes by their names and has colours of its own.
pub fn narrow_svg(scene: &Scene) -> String {
    drawn(scene, NARROW)
}

fn drawn(scene: &Scene, most: usize) -> String {
    let mut body = String::new();
    let left = left(scene);
    let end = |columns: usize| left + columns * (BOX + GAP);
    let width = end(scene.items.len().clamp(1, most)) + right(scene) + EDGE;
    let title = escape(&scene.title);
    let _ = writeln!(
        body,
        "<title>{title}</title>\
         <text class=\"title\" x=\"{EDGE}\" y=\"{}\" font-weight=\"bold\" font-size=\"15\">{title}</text>",
        EDGE + 14
    );
    let mut top = EDGE + 2 * LINE;
    let mut drawn = vec![false; scene.nets.len()];
    for row in scene.items.chunks(most) {
        top = draw_row(&mut body, scene, row, (left, top), end(row.len()), &mut drawn);
    }
    // Networks that nobody is on.
    for n in (0..scene.nets.len()).filter(|n| !drawn[*n]) {
        bar(&mut body, scene, n, top + BAR / 2, (left, end(1)));
        top += BAR;
    }
    let height = top + EDGE;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect class=\"ground\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

/// What style sheets know a network's colour by.
fn class(net: usize) -> String {
    format!("net{}", net % COLOURS.len())
}

/// What style sheets know it by, what there is of an object and what becomes of it.
fn state(state: State, mark: PlannedChange) -> &'static str {
    match (mark, state) {
        (PlannedChange::Goes, _) => "goes",
        (PlannedChange::Changes, _) => "changes",
        (PlannedChange::Stays, State::Planned) => "planned",
        (PlannedChange::Stays, State::Active) => "active",
        (PlannedChange::Stays, State::Off) => "off",
    }
}

fn colour(net: usize) -> &'static str {
    COLOURS[net % COLOURS.len()]
}

/// Draws some nodes and the bars that they hang on, up to `end`; returns where the next row begins.
fn draw_row(
    body: &mut String,
    scene: &Scene,
    row: &[Item],
    (begin, top): (usize, usize),
    end: usize,
    drawn: &mut [bool],
) -> usize {
    let ports = row.iter().map(|i| i.ports.len()).max().unwrap_or(0);
    let height = 2 * LINE + ports * LINE + 14;
    let used: Vec<usize> = (0..scene.nets.len())
        .filter(|n| row.iter().any(|i| i.ports.iter().any(|p| p.net == Some(*n))))
        .collect();
    let bars = top + height + BAR;
    for (k, net) in used.iter().enumerate() {
        bar(body, scene, *net, bars + k * BAR, (begin, end));
        drawn[*net] = true;
    }
    for (column, item) in row.iter().enumerate() {
        let left = begin + column * (BOX + GAP);
        // Lines first, so that boxes and text lie above them.
        for (p, port) in item.ports.iter().enumerate() {
            let Some(net) = port.net else { continue };
            let Some(k) = used.iter().position(|u| *u == net) else { continue };
            let step = (BOX - 30) / item.ports.len().max(1);
            let x = left + 15 + step / 2 + p * step;
            let (from, to, colour) = (top + height, bars + k * BAR, colour(net));
            let _ = writeln!(
                body,
                "<g class=\"line {}\" data-node=\"{}\" data-interface=\"{}\"><line x1=\"{x}\" y1=\"{from}\" x2=\"{x}\" y2=\"{to}\" stroke=\"{colour}\" \
                 stroke-width=\"2\"/><circle cx=\"{x}\" cy=\"{to}\" r=\"4\" fill=\"{colour}\"/>\
                 <text x=\"{}\" y=\"{}\" font-size=\"10\" fill=\"{colour}\">{}</text></g>",
                class(net),
                escape(&item.name),
                escape(&port.name),
                x + 4,
                from + 14,
                escape(match item.ports.len() > NAMED {
                    true => port.name.trim_start_matches("eth"),
                    false => &port.name,
                }),
            );
        }
        node(body, item, left, top, height);
    }
    bars + used.len() * BAR + GAP
}

/// A network as a bar at a height, from where nodes begin to where they end.
fn bar(body: &mut String, scene: &Scene, net: usize, y: usize, (begin, end): (usize, usize)) {
    let (item, colour) = (&scene.nets[net], colour(net));
    let dash = if item.state == State::Off { " stroke-dasharray=\"8 5\"" } else { "" };
    let _ = writeln!(
        body,
        "<g class=\"net {} {}\" data-net=\"{}\"><line x1=\"{begin}\" y1=\"{y}\" x2=\"{end}\" y2=\"{y}\" stroke=\"{colour}\" \
         stroke-width=\"5\" stroke-linecap=\"round\"{dash}/>\
         <text x=\"{EDGE}\" y=\"{}\" fill=\"{colour}\" font-weight=\"bold\">{}</text>\
         <text class=\"detail\" x=\"{EDGE}\" y=\"{}\" fill=\"#555555\" font-size=\"11\">{}</text>",
        class(net),
        state(item.state, item.mark),
        escape(&item.name),
        y - 2,
        escape(&name(item)),
        y + 12,
        escape(&detail(item)),
    );
    if let Some(outside) = &item.outside {
        let _ = writeln!(
            body,
            "<text x=\"{}\" y=\"{}\" fill=\"{colour}\" font-size=\"11\">→ {}</text>",
            end + 8,
            y + 4,
            escape(outside),
        );
    }
    body.push_str("</g>\n");
}

fn node(body: &mut String, item: &Item, left: usize, top: usize, height: usize) {
    let (fill, stroke, dash) = match item.state {
        _ if item.mark == PlannedChange::Goes => {
            ("#fbeeee", "#b23a48", " stroke-dasharray=\"2 3\"")
        }
        State::Active => ("#eef7ee", "#2f8f4e", ""),
        State::Off => ("#f3f3f3", "#888888", " stroke-dasharray=\"5 4\""),
        State::Planned => ("#f4f7fb", "#4a5a6a", ""),
    };
    let _ = writeln!(
        body,
        "<g class=\"node {}\" data-node=\"{}\"><rect x=\"{left}\" y=\"{top}\" width=\"{BOX}\" height=\"{height}\" rx=\"6\" \
         fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"1.5\"{dash}/>\
         <text x=\"{}\" y=\"{}\" font-weight=\"bold\" font-size=\"13\">{}</text>\
         <text class=\"detail\" x=\"{}\" y=\"{}\" fill=\"#555555\" font-size=\"11\">{}</text>",
        state(item.state, item.mark),
        escape(&item.name),
        left + 10,
        top + 18,
        escape(&fitted(&item.name, 27)),
        left + 10,
        top + 33,
        escape(&item.mark.beside(&item.detail)),
    );
    for (p, port) in item.ports.iter().enumerate() {
        let colour = port.net.map_or("#333333", colour);
        let to = match (port.net, port.detail.is_empty()) {
            (None, _) => format!("⇄ {}", port.to),
            (Some(_), true) => port.to.clone(),
            (Some(_), false) => port.detail.clone(),
        };
        let _ = writeln!(
            body,
            "<text class=\"port {}\" data-interface=\"{}\" x=\"{}\" y=\"{}\" fill=\"{colour}\" font-size=\"11\">{}  {}</text>",
            port.net.map_or("cable".into(), class),
            escape(&port.name),
            left + 10,
            top + 2 * LINE + 18 + p * LINE,
            escape(&port.name),
            escape(&fitted(&to, 28)),
        );
    }
    body.push_str("</g>\n");
}
