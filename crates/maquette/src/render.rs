//! Values to text.

mod again;
mod checklist;
mod diagnostic;
mod findings;
pub mod graph;
mod lifetime;
mod links;
pub mod outputs;
mod painted;
mod plan;
mod png;
mod table;

pub use again::Again;
pub use checklist::checklist;

pub use diagnostic::{diagnostics, diagnostics_after, diagnostics_json, step_error};
pub use findings::{findings, findings_json};
pub use lifetime::{lifetime, lifetime_event, lifetime_line};
pub use links::{LinkRow, links, links_json};
pub use painted::{Painted, plain};
pub use plan::{plan, plan_json};
pub use png::png;
pub use table::{Row, boxes, cached, columns, images, nodes, reasons};
