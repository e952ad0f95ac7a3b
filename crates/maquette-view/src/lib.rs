//! The live view: a page of an environment, served on this machine's loopback address to browsers that have the token.
//!
//! Knows HTTP, events and web sockets. What is shown comes through a [`Feed`], and what is opened or changed goes through
//! [`Sources`], so that nothing here knows libvirt, SSH or files.

mod assets;
mod console;
mod door;
mod events;
mod feed;
mod guard;
mod rfb;
mod screen;
mod server;
mod sockets;
mod sources;

pub use feed::{Change, Feed, Follow, Next};
pub use guard::Token;
pub use server::{Options, Server};
pub use sources::{Screen, Sources, VncEndpoint};
