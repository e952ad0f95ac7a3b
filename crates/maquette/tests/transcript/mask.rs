//! What is another each time.

use std::path::Path;

/// The text of a transcript that is the same on every machine and at every time.
pub fn mask(text: &str, top: &Path) -> String {
    let at = |path: &str| top.join(path).display().to_string();
    let text = text.replace(&at("home"), "~").replace(&at("work"), ".").replace(&at("hv"), "");
    let text = text.replace(&at(""), "/").replace(&top.display().to_string(), "");
    let printed = |line: &&str| line.starts_with(['|', '!']);
    let mask = |text: &str| match printed(&text) {
        true => line(text),
        false => text.into(),
    };
    let lines: Vec<String> = text.lines().map(mask).collect();
    let mut out = String::new();
    let mut lines = lines.into_iter().peekable();
    while let Some(line) = lines.next() {
        if is_step(&line) {
            // How many there were is said at the end.
            continue;
        }
        if is_event(&line) {
            let mut events = vec![line];
            events.extend(std::iter::from_fn(|| lines.next_if(|next| is_event(next))));
            events.sort_by_key(|event| (number(event, "\"id\":"), !event.contains("step-started")));
            events.iter().for_each(|event| out.push_str(&format!("{event}\n")));
            continue;
        }
        out.push_str(&line);
        out.push('\n');
    }
    said_once(&out)
}

/// What went wrong is said again at the end when other steps were done after it, which is up to chance
/// (`progress/plain.rs` has a test for it).
fn said_once(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut out: Vec<&str> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let of_error = |line: &&&str| line.starts_with("! error: ") || line.starts_with("!   ");
        let block = match lines[at].starts_with("! error: ") {
            true => lines[at..].iter().take_while(of_error).count(),
            false => 1,
        };
        let (first, half) = (&lines[at..at + block], block / 2);
        let again = block % 2 == 0 && first[..half] == first[half..];
        out.extend(if again { &first[..half] } else { first });
        at += block;
    }
    out.iter().map(|line| format!("{line}\n")).collect()
}

/// `[ 3/17] define network data (0.0 s)`
fn is_step(line: &str) -> bool {
    line.strip_prefix("! [").is_some_and(|rest| {
        rest.split_once(']').is_some_and(|(count, _)| {
            count.chars().all(|c| c.is_ascii_digit() || c == '/' || c == ' ')
        })
    })
}

/// Steps of a plan are done side by side.
fn is_event(line: &str) -> bool {
    line.starts_with("| {") && line.contains("\"event\":\"step-")
}

fn number(line: &str, key: &str) -> u64 {
    let rest = line.split_once(key).map_or("", |(_, rest)| rest);
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

fn line(line: &str) -> String {
    let digit = |c: char| c.is_ascii_digit();
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/".contains(c);
    let line = between(line, ", in ", |c| digit(c) || c == '.', " s", "…");
    let line = between(&line, ", for ", digit, " s now", "…");
    let line = between(&line, "` for ", digit, " s", "…");
    let line = between(&line, " (", digit, " s last time)", "…");
    let line = between(&line, "\"milliseconds\":", digit, "", "0");
    // The page of `view` is at a port that is free, and behind a token.
    let line = between(&line, "http://127.0.0.1:", |c| c.is_ascii_hexdigit() || c == '/', "", "…");
    let line = between(&line, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI", base64, "", "…");
    let line =
        between(&line, "SHA256:", |c| c.is_ascii_alphanumeric() || "+/".contains(c), "", "…");
    line.trim_end().to_string()
}

/// Masks what is between two words, where it has two characters and more or follows a colon.
fn between(
    line: &str,
    before: &str,
    inside: impl Fn(char) -> bool,
    after: &str,
    mask: &str,
) -> String {
    let Some((head, rest)) = line.split_once(before) else { return line.into() };
    let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
    match end > 0 && rest[end..].starts_with(after) {
        true => format!("{head}{before}{mask}{}", &rest[end..]),
        false => line.into(),
    }
}
