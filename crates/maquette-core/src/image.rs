//! Base images, as far as they can be judged without touching one: what a user's word for an image
//! means, checksums, and what the first bytes of a file make of it.

mod agent;
mod checksum;
mod head;
mod qcow2;
mod reference;
mod refusal;

pub use agent::AgentRecord;
pub use checksum::{Checksum, ChecksumError, Kind};
pub use head::{Compression, Format, HEAD, inspect};
pub use reference::{ImageLocation, ImageRef, ImageRefError, redact, redact_words};
pub use refusal::NotAnImage;
