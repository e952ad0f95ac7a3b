//! Text to a located tree: what the user wrote, with the place of every key and value. The only
//! folder that knows the YAML library.

mod bool;
mod bounds;
mod plain;
mod scalar;
mod tree;
mod written;
mod yaml;

pub use crate::span::{Source, SourceId, Sources, Span, Spanned};
pub use bool::parse_bool;
pub use plain::Plain;
pub use scalar::quoted;
pub use tree::{Entry, Style, Tree, Value};
pub use written::written;
pub use yaml::parse;
