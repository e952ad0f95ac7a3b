//! The enemy: what fuzz targets do with their input, and what must hold whatever it is.
//!
//! Each target is a function from bytes to nothing that panics if something is not as it must be. libFuzzer
//! drives them from `fuzz/`; `tests/replay.rs` feeds them the corpus, and mutations of it, on every test
//! run. This crate is never part of the program, and panicking is its purpose.

mod archive;
mod bmc;
mod changes;
mod check;
pub mod dnsmasq;
mod merge;
mod parts;
mod pictures;
mod texts;
mod topology;
mod xml;

pub use archive::archive;
pub use bmc::{ipmi, redfish};
pub use changes::{changes, convert};
pub use merge::merge;
pub use parts::Parts;
pub use texts::{image, inventory, probe, record, report};
pub use topology::{blueprint, topology};
pub use xml::xml;

/// A target's name, which is its corpus's, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 13] = [
    ("archive", archive),
    ("changes", changes),
    ("convert", convert),
    ("image", image),
    ("inventory", inventory),
    ("ipmi", ipmi),
    ("merge", merge),
    ("probe", probe),
    ("record", record),
    ("redfish", redfish),
    ("report", report),
    ("topology", topology),
    ("xml", xml),
];
