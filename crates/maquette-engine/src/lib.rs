//! Carries plans out.
//!
//! The [`executor`] runs a plan's steps on a [`Backend`] and tells what happens as [`Event`]s. The
//! rest is what backends need besides their own API: commands and files on the hypervisor ([`host`]), what
//! it is and has ([`probe`]), what is changed there before anything can be built ([`prepare`]), its own
//! network ([`net`]), base images ([`image`]), keys, seed volumes and the wait for a guest.
//!
//! This crate knows neither libvirt nor the terminal.

mod backend;
pub mod bmc;
pub mod deployment_facts;
pub mod doctor;
#[cfg(test)]
mod dying_host;
mod event;
pub mod executor;
pub mod forwarding;
mod guest_agent;
mod guest_script;
pub mod guest_timezone;
pub mod guests;
pub mod host;
pub mod image;
pub mod lifetimes;
pub mod login_keys;
pub mod net;
pub mod prepare;
pub mod private_file;
pub mod probe;
pub mod public_keys;
#[cfg(test)]
mod python_server;
pub mod ready;
pub mod seed_volume;
mod small_download;
pub mod ssh_keys;
pub mod start_times;

pub use backend::{Backend, Calls, Cause, Lanes, StepContext, StepError};
pub use event::{Event, RunState, StepState, StepView};
pub use small_download::{download, download_to};
