//! Keeps on a hypervisor how long nodes took to start there.

use maquette_core::start_times::Starts;

use crate::host::{Host, HostError};

/// Where that is, on the hypervisor.
pub const PATH: &str = "/var/lib/maquette/starts";

/// Writes it anew.
pub fn write(host: &dyn Host, starts: &Starts) -> Result<(), HostError> {
    host.write(PATH, starts.text().as_bytes(), 0o644)
}

/// Forgets it.
pub fn remove(host: &dyn Host) -> Result<(), HostError> {
    host.remove(&format!("{PATH}.new"))?;
    host.remove(PATH)
}
