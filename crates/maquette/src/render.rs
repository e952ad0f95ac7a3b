//! Values to text.

mod diagnostic;
pub mod graph;
mod links;
mod plan;
mod table;

pub use diagnostic::{diagnostics, diagnostics_after, step_error};
pub use links::{LinkRow, links, links_json};
pub use plan::{plan, plan_json};
pub use table::{Row, boxes, checklist, images, nodes};
