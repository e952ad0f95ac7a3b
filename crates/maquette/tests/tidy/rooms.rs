//! Which module uses which, read from the text: `use` and paths that begin with `crate` or `super`. A name that a
//! module hands on with `pub use` counts as its origin's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Modules of a crate, each with those that it uses. The root of the crate is the empty name.
pub struct Modules {
    /// What each names.
    paths: BTreeMap<String, Vec<Path>>,
}

/// A path that a text names, and whether the text hands it on.
type Path = (bool, String);

impl Modules {
    /// Reads a crate's source, without its tests.
    pub fn read(source: &std::path::Path) -> Self {
        let mut files = Vec::new();
        super::sources(source, &mut files);
        let mut texts = BTreeMap::new();
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let path = file.strip_prefix(source).unwrap().with_extension("");
            let words: Vec<&str> = path.iter().map(|w| w.to_str().unwrap()).collect();
            let name = if words == ["lib"] { String::new() } else { words.join("::") };
            texts.insert(name, plain(&text));
        }
        // What is there for tests alone does not belong to the program.
        let tests: Vec<String> = texts.iter().flat_map(|(name, text)| tested(name, text)).collect();
        texts.retain(|name, _| !tests.iter().any(|test| is_below(name, test)) && name != "main");
        let paths = texts.into_iter().map(|(name, text)| (name, paths(&text))).collect();
        Self { paths }
    }

    /// Who uses whom, but for a module's own parts, and what a part takes of the module it is a part of.
    pub fn arrows(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut arrows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, paths) in &self.paths {
            let used = arrows.entry(name).or_default();
            let paths = paths.iter().filter(|(public, path)| !public || is_far(path));
            let found = paths.filter_map(|(_, path)| self.resolve(name, path, 0));
            used.extend(found.filter(|other| !is_below(name, other)));
        }
        arrows
    }

    /// Circles of modules, each as a list of their names.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let arrows = self.arrows();
        let reached = |from: &str| {
            let mut all: BTreeSet<&str> = BTreeSet::new();
            let mut next: Vec<&str> = arrows.get(from).into_iter().flatten().copied().collect();
            while let Some(name) = next.pop() {
                if all.insert(name) {
                    next.extend(arrows.get(name).into_iter().flatten().copied());
                }
            }
            all
        };
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            arrows.keys().map(|name| (*name, reached(name))).collect();
        let mut circles = BTreeSet::new();
        for (name, all) in &reach {
            let with = all.iter().filter(|other| reach[*other].contains(name));
            let circle: Vec<String> = with.map(|n| (*n).to_string()).collect();
            if !circle.is_empty() {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    /// The module that a path names, or that a module it names has a name from.
    fn resolve(&self, from: &str, path: &str, depth: usize) -> Option<&str> {
        let mut here: Vec<&str> = from.split("::").filter(|w| !w.is_empty()).collect();
        let mut words = path.split("::").peekable();
        match words.peek() {
            Some(&"crate") => {
                here.clear();
                words.next();
            }
            Some(&("super" | "self")) => {
                while words.next_if_eq(&"super").is_some() {
                    here.pop();
                }
                words.next_if_eq(&"self");
            }
            _ => {}
        }
        let local = !is_far(path);
        let before = here.len();
        while let Some(word) = words.peek() {
            let deeper = [here.as_slice(), &[word]].concat().join("::");
            let Some((known, _)) = self.paths.get_key_value(&deeper) else { break };
            here = known.split("::").collect();
            words.next();
        }
        if local && here.len() == before {
            return None;
        }
        let (found, paths) = self.paths.get_key_value(&here.join("::"))?;
        let Some(name) = words.next() else { return Some(found) };
        let handed =
            paths.iter().find(|(public, path)| *public && path.rsplit("::").next() == Some(name));
        match handed {
            Some((_, path)) if depth < 8 => self.resolve(found, path, depth + 1).or(Some(found)),
            _ => Some(found),
        }
    }
}

/// Whether a path begins outside of where it stands.
fn is_far(path: &str) -> bool {
    ["crate::", "super::"].iter().any(|begin| path.starts_with(begin))
}

/// Whether a module is another, or a part of it.
fn is_below(name: &str, other: &str) -> bool {
    name.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// A text without comments and without tests of its own, which come last.
fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let text = lines.collect::<Vec<_>>().join("\n");
    match text.find("#[cfg(test)]\nmod tests {") {
        Some(at) => text[..at].into(),
        None => text,
    }
}

/// Modules below `name` that only tests have.
fn tested(name: &str, text: &str) -> Vec<String> {
    let each = text.split("#[cfg(test)]\n").skip(1);
    let names = each.filter_map(|rest| {
        let line = rest.lines().next()?.trim();
        line.split_once("mod ").and_then(|(_, name)| name.strip_suffix(';'))
    });
    names
        .map(|test| if name.is_empty() { test.into() } else { format!("{name}::{test}") })
        .collect()
}

/// Paths that a text names, each with whether it hands them on.
fn paths(text: &str) -> Vec<Path> {
    let mut all = Vec::new();
    let mut rest = String::new();
    for line in statements(text) {
        let trimmed = line.trim_start();
        let public = trimmed.starts_with("pub");
        let begin = trimmed.strip_prefix("pub").map_or(trimmed, |t| {
            let t = t.trim_start();
            t.strip_prefix('(').and_then(|t| t.split_once(") ")).map_or(t, |(_, t)| t)
        });
        match begin.strip_prefix("use ") {
            Some(tree) => branches("", tree, &mut |path| all.push((public, path))),
            None => rest.push_str(&line),
        }
    }
    for begin in ["crate::", "super::"] {
        for (at, _) in rest.match_indices(begin) {
            let before = rest[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let end = rest[at..].find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            let path = &rest[at..end.map_or(rest.len(), |end| at + end)];
            all.push((false, path.trim_end_matches(':').to_string()));
        }
    }
    all
}

/// Statements of `use`, whole and without their semicolon, and all other lines.
fn statements(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let begins = line.trim_start().starts_with("use ")
            || (line.trim_start().starts_with("pub") && line.contains(" use "));
        match all.last_mut().filter(|_| open) {
            Some(last) => last.push_str(line.trim()),
            None => all.push(format!("{line}\n")),
        }
        open = (open || begins) && !line.trim_end().ends_with(';');
    }
    let ended = all.into_iter().map(|s| match s.trim_end().strip_suffix(';') {
        Some(whole) if s.contains("use ") => whole.replace('\n', ""),
        _ => s,
    });
    ended.collect()
}

/// The single paths of a tree of `use`.
fn branches(prefix: &str, tree: &str, take: &mut dyn FnMut(String)) {
    let Some((begin, rest)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default().trim();
        return take(format!("{prefix}{name}"));
    };
    let prefix = format!("{prefix}{}", begin.trim());
    let (mut depth, mut branch) = (0, String::new());
    for c in rest.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => branches(&prefix, &std::mem::take(&mut branch), take),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                branch.push(c);
            }
        }
    }
    if !branch.trim().is_empty() {
        branches(&prefix, &branch, take);
    }
}

#[test]
fn a_circle_and_an_arrow_are_seen() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "pub mod a;\nmod b;\npub use b::Bee;\n#[cfg(test)]\nmod odd;\n");
    write("a.rs", "mod part;\nuse crate::{Bee, a::part::{self, Part}};\n");
    write("a/part.rs", "use super::Whole;\nfn f() { crate::b::g(); }\n");
    write("b.rs", "// use crate::a;\nfn g() {}\n#[cfg(test)]\nmod tests {\n use crate::a;\n}\n");
    write("odd.rs", "use crate::a;\n");
    let read = || Modules::read(directory.path());
    let modules = read();
    let arrows = modules.arrows();
    assert_eq!(arrows["a"], ["a::part", "b"].into());
    assert_eq!(arrows["a::part"], ["b"].into());
    assert!(arrows["b"].is_empty() && !arrows.contains_key("odd"));
    assert!(modules.circles().is_empty(), "{:?}", modules.circles());
    write("b.rs", "use crate::a::{\n    part::Part,\n};\n");
    let circles = read().circles();
    assert_eq!(circles, [vec!["a::part".to_string(), "b".to_string()]]);
}
