//! Base images, as far as they can be judged without touching one: what a user's word for an image
//! means, checksums, and what the first bytes of a file make of it.

mod head;
mod qcow2;
mod refusal;
mod sum;
mod word;

pub use head::{Compression, Format, HEAD, inspect};
pub use refusal::NotAnImage;
pub use sum::{Kind, Sum, SumError};
pub use word::{Place, Word, WordError, redact, redact_words};
