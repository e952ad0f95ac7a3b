//! Carries plans out on libvirt, and reads what is there.
//!
//! [`Libvirt`] is a backend of the engine. Everything about XML is in [`xml`] and pure; the only
//! module that knows libvirt's binding is `client`. This crate knows neither the command line nor
//! YAML.

mod bmc;
mod cached;
mod client;
mod clock;
mod console;
mod doctor;
mod domain;
mod driver;
mod guest_port;
mod network;
mod nic;
mod observe;
mod perform;
mod prune;
mod survey;
mod template;
mod virt_xml;
mod volume;
pub mod xml;

pub use bmc::{
    DomainMachine, Journal as BmcJournal, Resolver as BmcResolver, ServeError, ask as ask_bmc,
    check as check_bmcs, follow as follow_domains, serve as serve_bmcs, system_resolver,
};
pub use cached::{Cached, cached};
pub use client::{Client, DomainEvent, Events, Gate, Instead, LibvirtError, Others, Port, gated};
pub use console::{ESCAPE, Ended, console};
pub use doctor::{networks as networks_to_look_at, node as node_to_look_at};
pub use driver::{Driver, Run, Server, System};
#[doc(hidden)]
pub use guest_port::Lines;
pub use nic::{running_nics, set_bandwidth, set_link};
pub use observe::{ObserveError, Seen, observe};
pub use perform::{Access, Guests, Learnt, Libvirt, Notes};
pub use prune::{Pruned, prune};
pub use survey::{Survey, Surveyed, pools, survey};
pub use xml::layout::network as layout_network;
pub use xml::metadata::NAMESPACE;
pub use xml::nic::{Bandwidth, LinkState, RunningNic};
pub use xml::{SERIAL_LOGS, serial_log};
