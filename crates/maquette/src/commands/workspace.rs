//! `maquette workspace`.

use crate::cli::WorkspaceCommand;
use crate::failure::Failure;

/// Does what is asked with workspaces.
pub fn run(_args: &WorkspaceCommand) -> Result<u8, Failure> {
    Ok(0)
}
