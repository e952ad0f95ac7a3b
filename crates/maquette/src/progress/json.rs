//! Events as JSON, one a line, on standard output. The form is a contract, versioned by `schema`.

use std::sync::Arc;

use maquette_core::plan::StepId;
use maquette_engine::Event;
use serde_json::{Value, json};

use super::Reporter;
use crate::world::Terminal;

/// Writes JSON lines.
pub struct Json(pub Arc<Terminal>);

impl Reporter for Json {
    fn event(&mut self, event: &Event) {
        let mut value = describe(event);
        value["schema"] = json!(1);
        self.0.result(&value.to_string());
    }
}

/// An event as JSON, without the number of its form.
pub(super) fn describe(event: &Event) -> Value {
    let millis = |d: &std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    match event {
        Event::RunStarted { steps } => json!({"event": "run-started", "steps": steps}),
        Event::StepStarted { id, title } => {
            json!({"event": "step-started", "id": id.index(), "title": title})
        }
        Event::StepProgress { id, text } => {
            json!({"event": "step-progress", "id": id.index(), "text": text})
        }
        Event::StepRemark { id, text } => {
            json!({"event": "step-remark", "id": id.index(), "text": text})
        }
        Event::StepFinished { id, took } => {
            json!({"event": "step-finished", "id": id.index(), "milliseconds": millis(took)})
        }
        Event::StepFailed { id, title, error } => json!({
            "event": "step-failed",
            "id": id.index(),
            "title": title,
            "message": error.message,
            "causes": error.causes,
            "hints": error.hints,
            "excerpt": error.excerpt,
        }),
        Event::StepInterrupted { id, title, text } => {
            json!({"event": "step-interrupted", "id": id.index(), "title": title, "text": text})
        }
        Event::StepSkipped { id, title, because } => {
            json!({"event": "step-skipped", "id": id.index(), "title": title, "because": because.map(StepId::index)})
        }
        Event::RunFinished { done, failed, skipped, took } => json!({
            "event": "run-finished",
            "done": done,
            "failed": failed,
            "skipped": skipped,
            "milliseconds": millis(took),
        }),
    }
}
