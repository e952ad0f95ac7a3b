//! Pages of the documentation as transcripts: their `console` blocks are run one after the other, and what is printed
//! is compared with what the page shows.
//!
//! What readers need not see is in HTML comments, with the lines that transcripts have: `<!-- on: fresh -->`,
//! `<!-- * guest 10.0.0.2 answers later -->`, `<!-- % maquette up -->`. `<!-- file: NAME -->` writes the code block below
//! it into a file. Blocks of another kind (`sh`, `text`) are not run.

use std::fmt::Write;

/// A piece of a page.
enum Piece<'a> {
    /// A line that stays as it is.
    Line(&'a str),
    /// A command, as it is written, perhaps over several lines.
    Command(Vec<&'a str>),
    /// A line that the last command printed when the page was written.
    Printed,
}

fn pieces(page: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut lines = page.lines();
    let mut inside = false;
    while let Some(line) = lines.next() {
        let fence = line.starts_with("```");
        match inside {
            _ if fence => {
                inside = line == "```console";
                pieces.push(Piece::Line(line));
            }
            true if line.starts_with("$ ") => {
                let mut command = vec![line];
                while command.last().is_some_and(|line| line.ends_with('\\')) {
                    command.extend(lines.next());
                }
                pieces.push(Piece::Command(command));
            }
            true => pieces.push(Piece::Printed),
            false => pieces.push(Piece::Line(line)),
        }
    }
    pieces
}

/// The transcript of a page, without what is printed; none if it has no commands.
pub fn script(page: &str) -> Option<String> {
    let mut out = String::new();
    let mut commands = 0;
    // The name of a file that the next code block is the text of; and whether that has begun.
    let mut file: Option<(&str, bool)> = None;
    for piece in pieces(page) {
        match piece {
            Piece::Command(lines) => {
                commands += 1;
                let joined = lines.join("\n").replace("\\\n", " ");
                let _ =
                    writeln!(out, "{}", joined.split_whitespace().collect::<Vec<_>>().join(" "));
            }
            Piece::Line(line) => {
                let comment = line.strip_prefix("<!-- ").and_then(|l| l.strip_suffix(" -->"));
                match (comment, &mut file) {
                    (_, Some((_, true))) if line == "```" => file = None,
                    (_, Some((_, true))) => {
                        let _ = writeln!(out, "    {line}");
                    }
                    (_, Some((name, begun))) if line.starts_with("```") => {
                        *begun = true;
                        let _ = writeln!(out, "file {name}");
                    }
                    (Some(comment), _) => match comment.strip_prefix("file: ") {
                        Some(name) => file = Some((name, false)),
                        None if is_read(comment) => {
                            let _ = writeln!(out, "{comment}");
                        }
                        None => {}
                    },
                    _ => {}
                }
            }
            Piece::Printed => {}
        }
    }
    (commands > 0).then_some(out)
}

/// Whether a comment is a line of a transcript.
fn is_read(comment: &str) -> bool {
    ["on: ", "in: ", "env: ", "* ", "% "].iter().any(|begin| comment.starts_with(begin))
}

/// The page with what its commands print now, from the transcript that was played.
pub fn written(page: &str, played: &str) -> String {
    let mut printed: Vec<Vec<&str>> = Vec::new();
    for line in played.lines() {
        if line.starts_with("$ ") {
            printed.push(Vec::new());
        } else if let (true, Some(of)) = (line.starts_with(['|', '!']), printed.last_mut()) {
            of.push(line.get(2..).unwrap_or_default());
        }
    }
    let mut printed = printed.into_iter();
    let mut out = String::new();
    for piece in pieces(page) {
        let lines = match piece {
            Piece::Line(line) => vec![line],
            Piece::Command(lines) => [lines, printed.next().unwrap_or_default()].concat(),
            Piece::Printed => Vec::new(),
        };
        lines.iter().for_each(|line| {
            let _ = writeln!(out, "{line}");
        });
    }
    out
}
