//! The page of diagnostic codes, and that of what `maquette doctor` finds: the codes are those in the source, and the
//! examples what tests have the program say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;

use regex_automata::meta::Regex;

use super::{begin, cell, compare, files, pages, root, table};

/// A code, and what is said with it; the text is that of the source, with `{…}` where something is put in.
type Codes = BTreeMap<String, Vec<String>>;

/// Source without its tests.
fn source(folders: &[&str]) -> String {
    let mut all = String::new();
    for folder in folders {
        for file in files(&root().join("crates").join(folder), "rs") {
            if file.ends_with("tests.rs") || file.ends_with("fuzzing.rs") {
                continue;
            }
            let text = fs::read_to_string(file).unwrap();
            let lines: Vec<&str> = text.split("#[cfg(test)]").next().unwrap().lines().collect();
            let is_said = |line: &&&str| !line.trim_start().starts_with("//");
            // Functions are parted by an empty line, which is where a search for a name ends.
            for line in lines.iter().filter(is_said) {
                let _ = writeln!(all, "{line}");
            }
        }
    }
    all
}

/// Codes that a pattern finds: its first group is the code, the second what is said. Where that is no text, `named` finds
/// it in what stands before the code.
fn codes(text: &str, pattern: &str, named: &dyn Fn(&str) -> Vec<String>) -> Codes {
    let mut found = Codes::new();
    for captures in Regex::new(pattern).unwrap().captures_iter(text) {
        let group = |n: usize| captures.get_group(n).map(|span| &text[span.range()]);
        let said = found.entry(group(1).unwrap().to_string()).or_default();
        // A text that is put together first has a name, and stands a few lines above.
        let begin = captures.get_group(1).unwrap().start;
        let near = text[..begin].rsplit("\n\n").next().unwrap();
        for message in group(2).map_or_else(|| named(near), |said| vec![said.to_string()]) {
            let message = message.replace("\\\"", "\"");
            // A line that ends with a backslash goes on in the next one.
            let lines = message.split("\\\n").map(str::trim_start);
            let message = lines.collect::<String>();
            if !said.contains(&message) {
                said.push(message);
            }
        }
    }
    found
}

/// The last text in some source that has the name of messages.
fn message(near: &str) -> Vec<String> {
    let found = Regex::new(BEFORE).unwrap().captures_iter(near).last();
    let text = found.and_then(|captures| captures.get_group(1)).map(|span| &near[span.range()]);
    text.into_iter().map(String::from).collect()
}

/// All texts that a finding's `cause` can be, which is bound last in `near`: those of its statement, or of the function that
/// this calls, which returns pairs.
fn causes(near: &str, source: &str) -> Vec<String> {
    let begin = ["let cause =", "let (cause, "].iter().filter_map(|bound| near.rfind(bound)).max();
    let Some(statement) = begin.and_then(|begin| near[begin..].split(";\n").next()) else {
        return Vec::new();
    };
    let all = |pattern: &str, text: &str| -> Vec<String> {
        let pattern = Regex::new(pattern).unwrap();
        let found =
            pattern.captures_iter(text).map(|c| text[c.get_group(1).unwrap().range()].into());
        found.filter(|text: &String| text.contains(char::is_alphabetic)).collect()
    };
    let own = all(TEXT, statement);
    let Some(function) = all(r"= \w+\.(\w+)\(", statement).pop().filter(|_| own.is_empty()) else {
        return own;
    };
    // Others may have its name, and return something else.
    let begin = format!("fn {function}(");
    let bodies = source.split(&begin).skip(1).map(|rest| rest.split("\n\n").next().unwrap());
    let mut pairs = bodies.map(|body| all(&format!(r"=> \(\s*{TEXT}"), body));
    pairs.find(|texts| !texts.is_empty()).unwrap_or_default()
}

/// A text in the source.
const TEXT: &str = r#""((?:[^"\\]|\\.|\\\n)*)""#;

/// A text with the name that messages have in the source.
const BEFORE: &str = r#"let (?:message|cause|text|said|why|what)(?:: &str)? =\s*(?:format!\(\s*)?"((?:[^"\\]|\\.|\\\n)*)""#;

/// What follows a code in the source, if it is a text.
const SAID: &str = r#"(?:,\s*(?:format!\(\s*)?"((?:[^"\\]|\\.|\\\n)*)")?"#;

/// Names of modules look alike.
const PATHS: [&str; 4] = ["std", "virt", "env", "a"];

/// The first time that a test has the program say a code, from transcripts.
fn examples() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let begins = Regex::new(r"^! (error|warning)\[([a-z0-9:-]+)\]").unwrap();
    for file in files(&root().join("crates/maquette/tests/transcripts"), "txt") {
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let mut captures = begins.create_captures();
            begins.captures(line, &mut captures);
            let Some(code) = captures.get_group(2).map(|span| &line[span.range()]) else {
                continue;
            };
            let of_it = lines[at..].iter().take_while(|line| line.starts_with("! "));
            let shown: Vec<&str> = of_it.map(|line| &line[2..]).collect();
            found.entry(code.to_string()).or_insert(shown.join("\n"));
        }
    }
    // Where stages are tested without the program: `code place message [help]`.
    let line = Regex::new(r"^([a-z]+::[a-z0-9-]+) (.*)$").unwrap();
    for file in files(&root().join("crates/maquette-core/tests/snapshots"), "snap") {
        for text in fs::read_to_string(file).unwrap().lines() {
            let mut captures = line.create_captures();
            line.captures(text, &mut captures);
            let group = |n: usize| captures.get_group(n).map(|span| text[span.range()].to_string());
            if let (Some(code), Some(rest)) = (group(1), group(2)) {
                found.entry(code).or_insert(rest);
            }
        }
    }
    found
}

#[test]
fn every_diagnostic_code_is_on_its_page() {
    let text = source(&[
        "maquette-core/src",
        "maquette-engine/src",
        "maquette-libvirt/src",
        "maquette/src",
    ]);
    let pattern = format!(r#""([a-z][a-z-]*::[a-z][a-z0-9-]*)"{SAID}"#);
    let mut all = codes(&text, &pattern, &message);
    all.retain(|code, _| !PATHS.contains(&code.split("::").next().unwrap()));
    assert!(all.len() > 120, "{}", all.len());
    let examples = examples();
    let strangers: Vec<_> = examples.keys().filter(|code| !all.contains_key(*code)).collect();
    assert!(strangers.is_empty(), "not in the source: {strangers:?}");
    let unplayed: Vec<_> = all.keys().filter(|code| !examples.contains_key(*code)).collect();
    assert!(unplayed.is_empty(), "no test has the program say: {unplayed:?}");
    let mut out = begin(
        "Diagnostic codes",
        "What is wrong with the input is told with a code that stays the same, as in `error[topology::unknown-key]`, and \
         in `--json` as `code`. An error in what was given ends with exit code 2, before anything is touched; a warning stops nothing. \
         Below, `{…}` stands for what is named there; \
         examples are what the program prints in its tests, or, in short form, what a stage's test has it say.",
    );
    let mut area = "";
    for (code, said) in &all {
        let (of, _) = code.split_once("::").unwrap();
        if of != area {
            area = of;
            let _ = writeln!(out, "## {of}\n");
        }
        let _ = writeln!(out, "### {code}\n");
        for message in said.iter().filter(|message| !message.is_empty()) {
            let _ = writeln!(out, "- {}", cell(message));
        }
        out.push_str(if said.is_empty() { "" } else { "\n" });
        let _ = writeln!(out, "```text\n{}\n```\n", examples[code]);
    }
    compare("reference/diagnostics.md", &format!("{}\n", out.trim_end()));
}

/// The codes of findings that tests provoke.
fn provoked() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("crates/maquette-core/tests/doctor.rs")).unwrap();
    let code = Regex::new(r#"\("([a-z-]+)", \||"([a-z]+(?:-[a-z]+)+)""#).unwrap();
    let found = code.captures_iter(&text).filter_map(|c| c.get_group(1).or(c.get_group(2)));
    found.map(|span| text[span.range()].to_string()).collect()
}

#[test]
fn every_finding_of_doctor_is_on_its_page() {
    let text = source(&["maquette-core/src/doctor"]);
    let mut all = codes(
        &text,
        &format!(r#"(?:Layer::\w+,\s*|\(\s*)"([a-z]+(?:-[a-z]+)+|paused|watchdog)"{SAID}"#),
        &|near| causes(near, &text),
    );
    // What a guest's last words mean.
    let words = fs::read_to_string(root().join("crates/maquette-core/src/node_state.rs")).unwrap();
    let halts = Regex::new(r#"Halt::(\w+) => \(Layer::\w+, "([a-z-]+)"\)"#).unwrap();
    for captures in halts.captures_iter(&text) {
        let group = |n: usize| &text[captures.get_group(n).unwrap().range()];
        let (_, rest) = words.split_once(&format!("Self::{} => \"", group(1))).unwrap();
        let said = rest.split('"').next().unwrap().to_string();
        all.entry(group(2).into()).or_default().push(said);
    }
    let provoked = provoked();
    assert!(provoked.len() > 40, "{provoked:?}");
    let lost: Vec<_> = provoked.iter().filter(|code| !all.contains_key(*code)).collect();
    assert!(lost.is_empty(), "not found in the source: {lost:?}");
    // Each of these is in a function with the causes of others.
    for (code, count, word) in
        [("dhcp-filtered", 4, "firewall"), ("boot-silent", 2, "said nothing")]
    {
        let said = &all[code];
        assert_eq!(said.iter().filter(|said| said.contains(word)).count(), count, "{said:?}");
        assert_eq!(said.len(), count, "{said:?}");
    }
    let unsaid: Vec<_> = all.iter().filter(|(_, said)| said.is_empty()).collect();
    assert!(unsaid.is_empty(), "{unsaid:?}");
    let mut out = begin(
        "Findings of `maquette doctor`",
        "`maquette doctor --json` has one of these as `code` of each finding, `status --json` its words as `reason`. `{…}` stands for \
         what is named there. What is found of DHCP and of the hypervisor's firewall is about IPv4. Of a node that may still be booting its `cause` says \
         that, and its `evidence` begins with what is seen so far.",
    );
    let row = |(code, said): (&String, &Vec<String>)| {
        vec![format!("`{code}`"), said.iter().map(|s| cell(s)).collect::<Vec<_>>().join("; or ")]
    };
    table(&mut out, &["code", "what is wrong"], all.iter().map(row));
    compare("reference/findings.md", &format!("{}\n", out.trim_end()));
}

/// The page is written by hand; what the program ends with is in its source.
#[test]
fn every_exit_code_is_on_its_page() {
    let text = source(&["maquette/src"]);
    let page = fs::read_to_string(pages().join("reference/exit-codes.md")).unwrap();
    let found =
        Regex::new(r"(?:Ok\(|const [A-Z_]+: u8 = |Self::(?:Input|Declined)\S* => )(\d+)[),;]");
    let all: BTreeSet<&str> = found
        .unwrap()
        .captures_iter(&text)
        .map(|captures| &text[captures.get_group(1).unwrap().range()])
        .collect();
    assert!(["0", "1", "2", "3", "255"].iter().all(|code| all.contains(code)), "{all:?}");
    for code in all.iter().chain(&["129", "130", "143"]) {
        assert!(page.contains(&format!("\n| {code} |")), "exit code {code} is not on its page");
    }
}
