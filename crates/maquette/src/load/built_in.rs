//! Built-in node and network files as files: playbooks of InfraRed's users include what the settings name.

use std::path::Path;

use maquette_core::defaults::{self, Kind};
use maquette_engine::private_file::{read_text, write_private};

use crate::world::Environment;

/// What a built-in file is called where it is not one.
pub const MARK: &str = "<built-in>/";

/// The path of a file with the text of a built-in one, which is written if need be; any other path as it is. Where it cannot
/// be written only playbooks that include it miss it.
pub fn real(environment: &Environment, path: String) -> String {
    let Some(name) = path.strip_prefix(MARK) else { return path };
    let file = environment.built_in_topology().join(name);
    written(name, &file).map_or(path.clone(), |()| file.display().to_string())
}

/// What `real` was given; any other path as it is.
pub fn named(environment: &Environment, path: &str) -> String {
    let inside = Path::new(path).strip_prefix(environment.built_in_topology()).ok();
    let stem = inside.and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    stem.unwrap_or_else(|| path.to_string())
}

fn written(name: &str, file: &Path) -> Option<()> {
    let kinds = [Kind::Nodes, Kind::Network].into_iter();
    let mut text = kinds.filter_map(|kind| {
        let name = name.strip_prefix(kind.folder())?.strip_prefix('/')?;
        defaults::get(kind, name)
    });
    let text = text.next()?;
    if read_text(file).is_ok_and(|known| known == text) {
        return Some(());
    }
    std::fs::create_dir_all(file.parent()?).ok()?;
    write_private(file, text.as_bytes()).ok()
}
