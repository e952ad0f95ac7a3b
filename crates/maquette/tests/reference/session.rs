//! The README's picture of a terminal: commands of the tutorial with what they print, as an animated SVG. The tutorial's
//! output is compared with the program's, and this picture with the tutorial.

use std::fmt::Write;
use std::fs;

use super::{compare, pages};

/// Which commands are shown, and where what is shown of their output begins.
const SHOWN: [(&str, &str); 4] = [
    ("maquette validate", ""),
    // Without what is prepared the first time.
    ("maquette up", "environment "),
    ("maquette graph", ""),
    ("maquette down --yes", ""),
];

const ROWS: usize = 26;
const COLUMNS: usize = 100;
const LINE: f64 = 18.0;

/// A line, and when it is there, in seconds.
struct Line {
    text: String,
    at: f64,
}

/// What the tutorial shows of a command, the first time that it does after what is taken from `lines` already.
fn printed<'a>(lines: &mut impl Iterator<Item = &'a str>, command: &str) -> Vec<String> {
    let begin = format!("$ {command}");
    let of_it = lines.skip_while(|line| *line != begin).skip(1);
    let of_it = of_it.take_while(|line| !line.starts_with("$ ") && !line.starts_with("```"));
    of_it.map(String::from).collect()
}

fn lines(page: &str) -> (Vec<Line>, f64) {
    let mut all = Vec::new();
    let mut now = 0.3;
    let mut of_page = page.lines();
    for (command, first) in SHOWN {
        let printed = printed(&mut of_page, command);
        let printed = printed.into_iter().skip_while(|line| !line.starts_with(first));
        let printed: Vec<String> = printed.collect();
        assert!(!printed.is_empty(), "the tutorial does not show `{command}`");
        all.push(Line { text: format!("$ {command}"), at: now });
        now += 0.9;
        for text in printed {
            all.push(Line { text, at: now });
            now += 0.12;
        }
        now += 1.4;
    }
    (all, now)
}

fn class(text: &str) -> &'static str {
    match text.trim_start().get(..2) {
        Some("$ ") => "command",
        Some("+ ") => "new",
        Some("~ ") => "changed",
        Some("- ") => "gone",
        _ => "text",
    }
}

fn drawn(page: &str) -> String {
    let (lines, length) = lines(page);
    let (width, height) = (COLUMNS as f64 * 8.4 + 40.0, ROWS as f64 * LINE + 58.0);
    let mut scrolls = String::from("0% { transform: translateY(0) }\n");
    for (number, line) in lines.iter().enumerate().skip(ROWS) {
        let percent = line.at / length * 100.0;
        let up = (number + 1 - ROWS) as f64 * LINE;
        let _ = writeln!(scrolls, "{percent:.2}% {{ transform: translateY(-{up}px) }}");
    }
    let end = lines.len().saturating_sub(ROWS) as f64 * LINE;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <title>A terminal: three nodes are described, built, drawn and removed</title>\n<style>\n\
         text {{ font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; white-space: pre; fill: #d4d4d4 }}\n\
         .command {{ fill: #fff; font-weight: bold }} .new {{ fill: #7ec97e }} .changed {{ fill: #e0c070 }} .gone {{ fill: #e58a8a }}\n\
         .lines {{ animation: scroll {length:.1}s step-end forwards; transform: translateY(-{end}px) }}\n\
         .lines text {{ opacity: 0; animation: come 1ms forwards }}\n\
         @keyframes come {{ to {{ opacity: 1 }} }}\n@keyframes scroll {{\n{scrolls}100% {{ transform: translateY(-{end}px) }}\n}}\n\
         @media (prefers-reduced-motion) {{ .lines, .lines text {{ animation: none; opacity: 1 }} }}\n</style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#1e1e1e\"/>\n\
         <circle cx=\"20\" cy=\"18\" r=\"6\" fill=\"#666\"/><circle cx=\"40\" cy=\"18\" r=\"6\" fill=\"#666\"/>\
         <circle cx=\"60\" cy=\"18\" r=\"6\" fill=\"#666\"/>\n\
         <svg y=\"36\" width=\"{width}\" height=\"{}\"><g class=\"lines\">\n",
        ROWS as f64 * LINE + 6.0
    );
    for (number, line) in lines.iter().enumerate() {
        let text = line.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let y = (number + 1) as f64 * LINE - 4.0;
        let (class, at) = (class(&line.text), line.at);
        let _ = writeln!(
            out,
            "<text class=\"{class}\" x=\"20\" y=\"{y}\" style=\"animation-delay: {at:.2}s\">{text}</text>"
        );
    }
    out.push_str("</g></svg>\n</svg>\n");
    out
}

#[test]
fn the_readmes_terminal_shows_what_the_tutorial_does() {
    let page = fs::read_to_string(pages().join("tutorial.md")).unwrap();
    compare("session.svg", &drawn(&page));
}
