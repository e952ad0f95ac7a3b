//! Tasks: what takes longer than an answer.

use serde_json::{Value, json};

use super::problem::Problem;
use super::resource::{Found, collection, enabled, link, resource};
use super::{Call, ROOT};
use crate::clock::Clock;
use crate::service::Task;

/// What is below the task service.
pub fn find<'a>(call: &'a Call<'a>, rest: &[&'a str]) -> Option<Found<'a>> {
    let base = format!("{ROOT}/TaskService");
    let number = |text: &str| text.parse().ok().filter(|n: &u32| n.to_string() == text);
    Some(match *rest {
        [] => Found::read(move || {
            Ok(resource(
                &base,
                "TaskService",
                "Task Service",
                json!({
                    "ServiceEnabled": true,
                    "DateTime": Clock::text(call.service.now()),
                    "CompletedTaskOverWritePolicy": "Oldest",
                    "LifeCycleEventOnTaskStateChange": false,
                    "Status": enabled(),
                    "Tasks": link(format!("{base}/Tasks")),
                }),
            ))
        }),
        ["Tasks"] => Found::read(move || {
            let path = format!("{base}/Tasks");
            let all = call.service.tasks().iter().map(|t| format!("{path}/{}", t.id)).collect();
            Ok(collection(&path, "TaskCollection", "Tasks", all))
        }),
        ["Tasks", id] | ["TaskMonitors", id] => {
            let id = number(id)?;
            body(call, id)?;
            Found::read(move || body(call, id).ok_or_else(|| Problem::not_found("")))
        }
        _ => return None,
    })
}

/// Where a task is waited for.
pub fn monitor(id: u32) -> String {
    format!("{ROOT}/TaskService/TaskMonitors/{id}")
}

/// A task as it is shown.
pub fn body(call: &Call<'_>, id: u32) -> Option<Value> {
    let tasks = call.service.tasks();
    tasks.iter().find(|task| task.id == id).map(shown)
}

fn shown(task: &Task) -> Value {
    let ended = task.ended.map(Clock::text);
    let mut value = resource(
        &format!("{ROOT}/TaskService/Tasks/{}", task.id),
        "Task",
        &task.name,
        json!({
            "TaskState": if ended.is_some() { "Completed" } else { "Running" },
            "TaskStatus": "OK",
            "StartTime": Clock::text(task.started),
            "TaskMonitor": monitor(task.id),
            "PercentComplete": if ended.is_some() { 100 } else { 0 },
            "Messages": [],
        }),
    );
    if let (Some(ended), Some(fields)) = (ended, value.as_object_mut()) {
        fields.insert("EndTime".into(), json!(ended));
    }
    value
}
