//! The README's picture of a terminal: what `scripts/record-session` has recorded, played on a terminal without a window and
//! drawn as an animated SVG.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use avt::{Color, Line, Pen, Terminal};
use regex_automata::meta::Regex;

use super::commands::understood;
use super::{compare, pages};

/// In pixels.
const LINE: f64 = 18.0;
const COLUMN: f64 = 8.4;
const MARGIN: f64 = 20.0;

/// The longest that nothing changes, and how far apart two pictures are, in seconds.
const STILL: f64 = 2.0;
const APART: f64 = 0.2;

/// An asciicast, version 2: <https://docs.asciinema.org/manual/asciicast/v2/>.
struct Recording {
    columns: usize,
    rows: usize,
    /// What the terminal was sent, and when, in seconds.
    events: Vec<(f64, String)>,
}

impl Recording {
    fn read() -> Self {
        let text = fs::read_to_string(pages().join("session.cast")).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let header: serde_json::Value = lines.next().unwrap();
        let size = |name: &str| usize::try_from(header[name].as_u64().unwrap()).unwrap();
        let events =
            lines.map(|line| (line[0].as_f64().unwrap(), line[2].as_str().unwrap().into()));
        Self { columns: size("width"), rows: size("height"), events: events.collect() }
    }

    /// What is in each row and from when to when, without long times in which nothing happens; and how long it all takes.
    fn played(&self) -> (Vec<Shown>, f64) {
        let mut terminal = Terminal::new(self.columns, self.rows).unwrap();
        let mut now: Vec<(f64, String)> = vec![(0.0, String::new()); self.rows];
        let (mut all, mut time, mut before, mut drawn) = (Vec::new(), 0.0, 0.0, -APART);
        for (number, (at, text)) in self.events.iter().enumerate() {
            time += (at - before).min(STILL);
            before = *at;
            terminal.feed(text.as_str());
            // What follows at once is in the same picture.
            let next = self.events.get(number + 1);
            if next.is_some_and(|(next, _)| time + next - at < drawn + APART) {
                continue;
            }
            drawn = time;
            for (row, line) in terminal.screen().visible_lines().enumerate() {
                let (since, was) = &mut now[row];
                let is = runs(line);
                if *was != is {
                    all.push(Shown {
                        row,
                        text: std::mem::replace(was, is),
                        from: *since,
                        to: Some(time),
                    });
                    *since = time;
                }
            }
        }
        all.extend(now.into_iter().enumerate().map(|(row, (from, text))| Shown {
            row,
            text,
            from,
            to: None,
        }));
        all.retain(|shown| !shown.text.is_empty());
        (all, time)
    }
}

/// A line as it is in a row for some time, or up to the end.
struct Shown {
    row: usize,
    text: String,
    from: f64,
    to: Option<f64>,
}

/// A line as parts of a `text`, each at its column.
fn runs(line: &Line) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for cells in line.chunks(|one, next| one.pen() != next.pen()) {
        let text: String = cells.iter().map(|cell| cell.char()).collect();
        let text = text.trim_end().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        if !text.is_empty() {
            let x = MARGIN + COLUMN * f64::from(column);
            let class = cells.first().map_or_else(String::new, |cell| class(cell.pen()));
            let _ = write!(out, "<tspan x=\"{x:.1}\"{class}>{text}</tspan>");
        }
        column += cells.iter().map(|cell| u32::from(cell.width())).sum::<u32>();
    }
    out
}

fn class(pen: &Pen) -> String {
    let colour = match pen.foreground() {
        Some(Color::Indexed(number)) => Some(format!("c{}", number % 8)),
        _ => None,
    };
    let weight = pen.is_bold().then(|| "b".to_string());
    let faint = pen.is_faint().then(|| "d".to_string());
    let all: Vec<String> = [colour, weight, faint].into_iter().flatten().collect();
    if all.is_empty() { String::new() } else { format!(" class=\"{}\"", all.join(" ")) }
}

fn drawn(recording: &Recording) -> String {
    let (columns, rows) = (recording.columns as f64, recording.rows as f64);
    let (width, height) = (columns * COLUMN + 2.0 * MARGIN, rows * LINE + 58.0);
    let (shown, length) = recording.played();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <title>A terminal: three nodes are described, built, asked and removed, in {length:.0} s</title>\n<style>\n\
         text {{ font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; white-space: pre; fill: #d4d4d4; opacity: 0 }}\n\
         .b {{ fill: #fff; font-weight: bold }} .d {{ fill: #999 }} .c1 {{ fill: #e58a8a }} .c2 {{ fill: #7ec97e }}\n\
         .c3 {{ fill: #e0c070 }} .c4 {{ fill: #8ab4e5 }} .c5 {{ fill: #cf9fdc }} .c6 {{ fill: #7fcfcf }}\n\
         @keyframes on {{ to {{ opacity: 1 }} }}\n@keyframes off {{ to {{ opacity: 0 }} }}\n\
         @media (prefers-reduced-motion) {{ text {{ animation: none !important }} .end {{ opacity: 1 }} }}\n</style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#1e1e1e\"/>\n\
         <circle cx=\"20\" cy=\"18\" r=\"6\" fill=\"#666\"/><circle cx=\"40\" cy=\"18\" r=\"6\" fill=\"#666\"/>\
         <circle cx=\"60\" cy=\"18\" r=\"6\" fill=\"#666\"/>\n"
    );
    for Shown { row, text, from, to } in shown {
        let y = 36.0 + (row + 1) as f64 * LINE - 4.0;
        let mut animation = format!("on 0s {from:.2}s both");
        if let Some(to) = to {
            let _ = write!(animation, ",off 0s {to:.2}s forwards");
        }
        let end = if to.is_none() { " class=\"end\"" } else { "" };
        let _ = writeln!(out, "<text{end} y=\"{y}\" style=\"animation:{animation}\">{text}</text>");
    }
    out.push_str("</svg>\n");
    out
}

/// The program may have changed since it was recorded: what was typed is still a command.
#[test]
fn the_readmes_terminal_is_what_was_recorded_and_its_commands_are_there() {
    let recording = Recording::read();
    let sent: String = recording.events.iter().map(|(_, text)| text.as_str()).collect();
    let typed = Regex::new(r"\$ \x1b\[0m(maquette [^\r]+)\r").unwrap();
    let typed: BTreeSet<&str> = typed
        .captures_iter(&sent)
        .map(|found| &sent[found.get_group(1).unwrap().range()])
        .collect();
    assert!(typed.len() > 2, "{typed:?}");
    for command in typed {
        understood(command, "session.cast");
    }
    compare("session.svg", &drawn(&recording));
}
