//! Files and variables that the user gives. A file may be a pipe (`<(…)`), and is never more than anybody
//! writes by hand: `/dev/zero` is a mistake, not a reason to run out of memory.

use std::fs::File;
use std::io;
use std::path::Path;
use std::str::FromStr;

use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::syntax::Sources;
use maquette_engine::private_file;

use crate::failure::Failure;
use crate::world::Environment;

/// What is in a file. An error if it is not a file or pipe that can be read, or has more than anybody writes by hand.
pub fn bytes(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    private_file::bounded(File::open(path)?)
}

/// The text of a file. An error as with [`bytes`], and if it is not UTF-8.
pub fn text(path: impl AsRef<Path>) -> io::Result<String> {
    private_file::text(bytes(path)?)
}

/// Variables of ours that name directories, which may be called anything.
const PATHS: [&str; 2] = ["MAQUETTE_HOME", "IR_HOME"];

/// Refuses variables of ours that are not text: whatever they were to say, they would say nothing.
pub fn check_environment(environment: &Environment) -> Result<(), Failure> {
    let ours = |name: &str| ["MAQUETTE_", "IR_"].iter().any(|p| name.starts_with(p));
    let mut diags = Diagnostics::default();
    for (name, value) in environment.variables() {
        let name = name.to_string_lossy().into_owned();
        if ours(&name) && !PATHS.contains(&name.as_str()) && value.to_str().is_none() {
            let message = format!("the value of the environment variable {name} is not UTF-8");
            diags.push(Diagnostic::error("environment::text", message));
        }
    }
    if diags.has_errors() { Err(Failure::Input(diags, Sources::default())) } else { Ok(()) }
}

/// The value of a variable; none if it is not set. One that does not parse is a mistake, which names what is `expected`.
pub fn variable<T: FromStr>(
    environment: &Environment,
    name: &str,
    expected: &str,
) -> Result<Option<T>, Failure> {
    match environment.said(name) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            let message = format!("{name} has to be {expected}, not `{text}`");
            Failure::input(Diagnostic::error("environment::value", message))
        }),
    }
}
