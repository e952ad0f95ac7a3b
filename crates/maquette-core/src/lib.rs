//! What Maquette knows without touching the world.
//!
//! ```text
//!  Sources ─► syntax ─► layers ─► topology ─┐
//!  (text)     located   merged    typed     ├─expand─► blueprint ─┐
//!                                 observed ─┴─────────────────────┴─► plan
//! ```
//!
//! Every arrow is a function from values to values. Nothing in this crate reads a file, starts a
//! process, asks for the time or draws a random number.

pub mod abilities;
pub mod bare_metal;
pub mod blueprint;
pub mod capacity;
pub mod convert;
pub mod decode;
pub mod defaults;
pub mod diagnostic;
pub mod doctor;
pub mod examples;
pub mod expand;
pub mod explain;
pub mod expr;
pub mod file_keys;
pub mod hardware;
pub mod hex;
pub mod image;
pub mod layers;
pub mod layout;
pub mod lifetime;
pub mod names;
pub mod node_state;
pub mod object;
pub mod observed;
pub mod plan;
pub mod schema;
pub mod scrub;
pub mod secret_keys;
pub mod seed;
pub mod selection;
pub mod settings;
pub mod span;
pub mod start_times;
pub mod syntax;
pub mod topology;
pub mod units;
pub mod values;
pub mod virtopts;
