//! Values to text.

mod diagnostic;
mod plan;
mod table;

pub use diagnostic::{diagnostics, step_error};
pub use plan::{plan, plan_json};
pub use table::{Row, boxes, checklist, images, nodes};
