//! Text to a located tree: what the user wrote, with the place of every key and value. The only
//! folder that knows the YAML library.

mod bool;
mod plain;
mod span;
mod tree;
mod yaml;

pub use bool::parse_bool;
pub use plain::Plain;
pub use span::{Source, SourceId, Sources, Span, Spanned};
pub use tree::{Entry, Node, Value};
pub use yaml::parse;
