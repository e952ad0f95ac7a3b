//! What is recorded of images.

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::image::AgentRecord;

use super::sections::Sections;

/// Images that were built with an agent, by their files.
pub(super) fn agents(seen: &Sections) -> BTreeMap<String, AgentRecord> {
    second_lines(seen, AgentRecord::parse)
}

/// What others are known by, by their files.
pub(super) fn identities(seen: &Sections) -> BTreeMap<String, String> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    second_lines(seen, |line| {
        let digits = line.strip_prefix("of ")?;
        (digits.len() == 64 && digits.bytes().all(is_digit)).then(|| digits.to_string())
    })
}

/// Those that were looked into, and have no cloud-init: a line of their records says so.
pub(super) fn without_cloud_init(seen: &Sections) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut of = None;
    for line in seen.lines("images") {
        if line.starts_with('/') {
            of = Some(line);
        } else if line == "without-cloud-init" {
            all.extend(of.map(String::from));
        }
    }
    all
}

/// Records of images: a line with the file, and for some a second one.
fn second_lines<T>(seen: &Sections, read: impl Fn(&str) -> Option<T>) -> BTreeMap<String, T> {
    let mut all = BTreeMap::new();
    let mut of = None;
    for line in seen.lines("images") {
        if line.starts_with('/') {
            of = Some(line);
        } else if let Some((file, second)) = of.take().zip(read(line)) {
            all.insert(file.to_string(), second);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::read;

    /// Images that earlier versions brought have a record of one line.
    #[test]
    fn images_with_an_agent_are_known_by_the_second_line_of_their_records() {
        let digest = "0".repeat(64);
        let text = format!(
            "@@ images\n/p/a.qcow2\n\n/p/b.qcow2\nagent {digest} {digest}\n\n/p/c.qcow2\nagent x {digest}\nagent {digest} {digest}\n\
             \n/p/d.qcow2\nof {digest}\n\n/p/e.qcow2\nof 0\nof {digest}\n\n/p/f.qcow2\ndisk\n"
        );
        let facts = read(&text);
        assert_eq!(facts.agents.keys().collect::<Vec<_>>(), ["/p/b.qcow2"]);
        assert_eq!(facts.identities, [("/p/d.qcow2".to_string(), digest)].into());
        assert_eq!(facts.without_cloud_init, BTreeSet::new());
    }

    #[test]
    fn images_without_cloud_init_are_known_by_a_line_of_their_records() {
        let digest = "0".repeat(64);
        let text = format!(
            "@@ images\nwithout-cloud-init\n/p/a.qcow2\nof {digest}\nwithout-cloud-init\n\n/p/b.qcow2\nof {digest}\n\n\
             /p/c.qcow2\nwithout-cloud-init\n/p/d.qcow2\nof without-cloud-init\n"
        );
        let facts = read(&text);
        let files: Vec<&str> = facts.without_cloud_init.iter().map(String::as_str).collect();
        assert_eq!(files, ["/p/a.qcow2", "/p/c.qcow2"]);
        assert_eq!(
            facts.identities,
            [("/p/a.qcow2".to_string(), digest.clone()), ("/p/b.qcow2".to_string(), digest)].into()
        );
    }
}
