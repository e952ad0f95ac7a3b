//! What was said once to whoever works here, and never changes: a file with a line for each.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use maquette_engine::private_file::read_text;

use super::Environment;

/// Where it is noted; nowhere for who has no home.
fn file(environment: &Environment) -> Option<PathBuf> {
    environment.state_directory().map(|directory| directory.join("told"))
}

/// Whether a line was noted before.
pub fn is_told(environment: &Environment, line: &str) -> bool {
    let text = file(environment).and_then(|file| read_text(&file).ok());
    text.is_some_and(|text| text.lines().any(|known| known == line))
}

/// Notes a line. Where that cannot be, the same is said again the next time.
pub fn note(environment: &Environment, line: &str) {
    let Some(file) = file(environment) else { return };
    let write = || {
        file.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = OpenOptions::new().append(true).create(true).open(&file)?;
        file.write_all(format!("{line}\n").as_bytes())
    };
    let _ = write();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_known_and_what_cannot_be_noted_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().display().to_string();
        let own = Environment::new([("HOME", home.as_str())], "/");
        assert!(!is_told(&own, "a b"));
        note(&own, "a b");
        note(&own, "c");
        assert!(is_told(&own, "a b") && is_told(&own, "c") && !is_told(&own, "a"));
        let none: [(&str, &str); 0] = [];
        let nobody = Environment::new(none, "/");
        note(&nobody, "a b");
        assert!(!is_told(&nobody, "a b"));
    }
}
