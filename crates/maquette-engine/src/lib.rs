//! Carries plans out.
//!
//! The [`executor`] runs a plan's steps on a [`Backend`] and tells what happens as [`Event`]s. The
//! rest is what backends need besides their own API: commands and files on the hypervisor ([`host`]), what
//! it is and has ([`probe`]), what is changed there before anything can be built ([`prepare`]), its own
//! network ([`net`]), base images ([`image`]), keys, seed volumes and the wait for a guest.
//!
//! This crate knows neither libvirt nor the terminal.

mod backend;
mod download;
mod event;
pub mod executor;
pub mod host;
pub mod image;
pub mod keys;
#[cfg(test)]
mod killed;
pub mod net;
pub mod prepare;
pub mod probe;
pub mod public;
pub mod ready;
pub mod seed;

pub use backend::{Backend, Lanes, StepContext, StepError};
pub use download::{download, download_to};
pub use event::{Event, RunState, StepState, StepView};
