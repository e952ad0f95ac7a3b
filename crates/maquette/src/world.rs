//! What a command reaches besides its arguments. It is handed in, so that all commands can be tried on a
//! hypervisor that is a model, by anybody.

pub mod echo;
mod environment;
pub mod owners;
mod terminal;
pub mod told;

use std::sync::Arc;
use std::time::SystemTime;

use maquette_engine::host::{Hosts, hosts};
use maquette_libvirt::Driver;

pub use environment::Environment;
pub use terminal::Terminal;

/// Tells the time of day.
pub type Clock = fn() -> SystemTime;

/// What a command reaches besides its arguments. A clone reaches the same.
#[derive(Clone)]
pub struct World {
    /// What the user sees and types.
    pub terminal: Arc<Terminal>,
    /// Variables and the current directory. Flags' own variables are read by clap, from the process.
    pub environment: Environment,
    /// The time of day.
    pub clock: Clock,
    /// The machines that may be hypervisors.
    pub hosts: Arc<dyn Hosts>,
    /// The libvirt on them.
    pub libvirt: Arc<dyn Driver>,
}

impl World {
    /// That of this process.
    pub fn of_process() -> Self {
        let environment = Environment::of_process();
        Self {
            terminal: Arc::new(Terminal::of_process()),
            clock: SystemTime::now,
            hosts: Arc::new(hosts::System(environment.of_ssh())),
            environment,
            libvirt: Arc::new(maquette_libvirt::System),
        }
    }
}
