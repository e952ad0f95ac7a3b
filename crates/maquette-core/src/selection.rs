//! Which nodes a word means: a node, all nodes of a type, of an Ansible group, or those that a pattern fits.

use std::collections::BTreeSet;

use globset::GlobBuilder;

use crate::names::EnvName;

/// A node that may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// libvirt name, prefix included.
    pub name: &'a str,
    /// Its node type; empty where that is not known.
    pub role: &'a str,
    /// Its Ansible groups.
    pub groups: Vec<&'a str>,
}

/// The nodes that a word means, by their libvirt names; none if it means nothing. The narrower meaning counts: a node, a
/// node type (both with or without the environment's prefix), an Ansible group, a pattern of `*`, `?` and `[…]`.
pub fn select<'a>(
    word: &str,
    environment: &EnvName,
    candidates: &[Candidate<'a>],
) -> BTreeSet<&'a str> {
    let names = |fits: &dyn Fn(&Candidate<'a>) -> bool| -> BTreeSet<&'a str> {
        candidates.iter().filter(|c| fits(c)).map(|c| c.name).collect()
    };
    let qualified = environment.qualify(word);
    let meanings: [&dyn Fn(&Candidate<'a>) -> bool; 5] = [
        &|c| c.name == word,
        &|c| c.name == qualified,
        &|c| !c.role.is_empty() && (c.role == word || environment.qualify(c.role) == word),
        &|c| c.groups.contains(&word),
        &|c| fits(word, c.name) || fits(&qualified, c.name),
    ];
    meanings.into_iter().map(names).find(|found| !found.is_empty()).unwrap_or_default()
}

/// Whether a word can be nothing but a pattern: no name has these characters.
pub fn is_pattern(word: &str) -> bool {
    word.contains(['*', '?', '['])
}

fn fits(pattern: &str, name: &str) -> bool {
    let glob = GlobBuilder::new(pattern).build().ok().filter(|_| is_pattern(pattern));
    glob.is_some_and(|glob| glob.compile_matcher().is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [(&str, &str, &[&str]); 4] = [
        ("lab-web-0", "web", &["frontends"]),
        ("lab-web-1", "web", &["frontends", "db"]),
        ("lab-db-0", "db", &["stores"]),
        ("lab-web", "", &[]),
    ];

    fn selected(word: &str) -> Vec<&'static str> {
        let candidates =
            NODES.map(|(name, role, groups)| Candidate { name, role, groups: groups.to_vec() });
        select(word, &EnvName::from_prefix("lab").unwrap(), &candidates).into_iter().collect()
    }

    #[test]
    fn the_narrower_meaning_counts() {
        // A node is called as the type is.
        assert_eq!(selected("web"), ["lab-web"]);
        // A type is called as a group is.
        assert_eq!(selected("db"), ["lab-db-0"]);
        assert_eq!(selected("lab-db"), ["lab-db-0"]);
        assert_eq!(selected("frontends"), ["lab-web-0", "lab-web-1"]);
        assert_eq!(selected("db-0"), ["lab-db-0"]);
        assert!(selected("we").is_empty() && selected("").is_empty());
    }

    #[test]
    fn patterns_fit_names_with_and_without_the_prefix() {
        assert_eq!(selected("web-*"), ["lab-web-0", "lab-web-1"]);
        assert_eq!(selected("lab-*-0"), ["lab-db-0", "lab-web-0"]);
        assert_eq!(selected("web-[1-9]"), ["lab-web-1"]);
        assert_eq!(selected("*").len(), 4);
        assert!(selected("[").is_empty() && selected("x*").is_empty());
    }
}
