//! Links of the site and of the README lead somewhere, and no page is left out of the table of contents.

use std::fs;
use std::path::Path;

use regex_automata::meta::Regex;

use super::{files, pages, root};

/// What a page links to: between `](` and `)`, and by `href` and `src`.
fn links(text: &str) -> Vec<String> {
    let mut prose = String::new();
    let mut code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    let pattern = Regex::new(r#"(?:\]\(|href="|src=")([^)"\s]+)[)"]"#).unwrap();
    let found = pattern.captures_iter(&prose);
    found.map(|c| prose[c.get_group(1).unwrap().range()].to_string()).collect()
}

/// The names of headings, as mdBook makes them.
fn anchors(text: &str) -> Vec<String> {
    let mut code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            code = !code;
        }
        let Some(heading) = line.strip_prefix('#').filter(|_| !code) else { continue };
        let heading = heading.trim_start_matches('#').trim();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " _-".contains(*c));
        found.push(kept.collect::<String>().to_lowercase().replace(' ', "-"));
    }
    found
}

fn check(file: &Path, dead: &mut Vec<String>) {
    let text = fs::read_to_string(file).unwrap();
    for link in links(&text) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
        let target = match path {
            "" => file.to_path_buf(),
            path => file.parent().unwrap().join(path),
        };
        let is_page = target.extension().is_some_and(|e| e == "md");
        let lost = !target.exists()
            || (is_page
                && !anchor.is_empty()
                && !anchors(&fs::read_to_string(&target).unwrap()).contains(&anchor.to_string()));
        if lost {
            dead.push(format!("{}: {link}", file.display()));
        }
    }
}

#[test]
fn no_link_of_the_site_or_the_readme_is_dead() {
    let mut dead = Vec::new();
    for page in files(&pages(), "md") {
        check(&page, &mut dead);
    }
    for file in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"] {
        check(&root().join(file), &mut dead);
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let summary = fs::read_to_string(pages().join("SUMMARY.md")).unwrap();
    for page in files(&pages(), "md") {
        let name = page.strip_prefix(pages()).unwrap().display().to_string();
        assert!(name == "SUMMARY.md" || summary.contains(&format!("]({name})")), "{name}");
    }
}
