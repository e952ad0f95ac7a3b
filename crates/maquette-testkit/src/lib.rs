//! What tests share: topologies from text, nodes with nothing special about them, and a hypervisor that is a
//! model with rules. With the feature `hypervisor` the model has a libvirt and a host of its own, so that whole
//! commands run on it.

#[cfg(feature = "hypervisor")]
mod abilities;
#[cfg(feature = "hypervisor")]
mod bmc;
#[cfg(feature = "hypervisor")]
mod change;
#[cfg(feature = "hypervisor")]
mod host;
#[cfg(feature = "hypervisor")]
mod hypervisor;
mod inputs;
#[cfg(feature = "hypervisor")]
mod machine;
mod nodes;
mod plans;
#[cfg(feature = "hypervisor")]
mod probe;
mod rules;
mod samples;
#[cfg(feature = "hypervisor")]
mod signs;
pub mod small;

#[cfg(feature = "hypervisor")]
pub use host::{ModelHost, ModelHosts};
#[cfg(feature = "hypervisor")]
pub use hypervisor::Model;
pub use inputs::{
    Input, blueprint_of, blueprint_of_nodes, described_input, expand, input, mistakes, plan_of,
    topology, types_for,
};
#[cfg(feature = "hypervisor")]
pub use machine::Machine;
pub use nodes::{guest, interface, node};
pub use plans::{changes, fetched, titles, up};
pub use rules::{apply, edit, machine, node_volumes, perform};
pub use samples::{SAMPLES, Sample, keys_without_sample};
