//! The example projects of the repository, which `maquette init` writes.

use include_dir::{Dir, include_dir};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../examples");

/// The one for who names none.
pub const FIRST: &str = "minimal";

/// A project file to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// Its name: that of its folder.
    pub name: &'static str,
    /// What it is, from its first line.
    pub title: &'static str,
    /// The project file.
    pub text: &'static str,
}

/// All examples, the simplest first and then by name.
pub fn examples() -> Vec<Example> {
    let example = |folder: &'static Dir<'static>| {
        let text = folder.get_file(folder.path().join("maquette.yaml"))?.contents_utf8()?;
        let title = text.lines().next()?.trim_start_matches('#').trim().trim_end_matches('.');
        Some(Example { name: folder.path().to_str()?, title, text })
    };
    let mut all: Vec<Example> = FILES.dirs().filter_map(example).collect();
    all.sort_by_key(|example| (example.name != FIRST, example.name));
    all
}
