//! Tasks: what takes longer than an answer.

use serde_json::{Value, json};

use super::problem::Problem;
use super::resource::{Found, collection, enabled, link, resource};
use super::{Call, Content, ROOT, Response};
use crate::bmc::Outcome;
use crate::clock::Clock;
use crate::machine::Fault;
use crate::service::{Service, Task};

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
        ["Tasks", id] => {
            let id = number(id)?;
            body(call, id)?;
            Found::read(move || body(call, id).ok_or_else(|| Problem::not_found("")))
        }
        _ => return None,
    })
}

const MONITORS: &str = "/redfish/v1/TaskService/TaskMonitors";

/// Where a task is waited for.
pub fn monitor(id: u32) -> String {
    format!("{MONITORS}/{id}")
}

/// A task as it is shown.
pub fn body(call: &Call<'_>, id: u32) -> Option<Value> {
    let tasks = call.service.tasks();
    tasks.iter().find(|task| task.id == id).map(shown)
}

fn shown(task: &Task) -> Value {
    let (state, status) = match &task.outcome {
        Outcome::Waits => ("Running", "OK"),
        Outcome::Done => ("Completed", "OK"),
        Outcome::Cancelled => ("Cancelled", "Warning"),
        Outcome::Failed(_) => ("Exception", "Critical"),
    };
    let messages = problem(&task.outcome).map_or_else(|| json!([]), |problem| problem.extended());
    let mut value = resource(
        &format!("{ROOT}/TaskService/Tasks/{}", task.id),
        "Task",
        &task.name,
        json!({
            "TaskState": state,
            "TaskStatus": status,
            "StartTime": Clock::text(task.started),
            "TaskMonitor": monitor(task.id),
            "PercentComplete": if task.ended.is_some() { 100 } else { 0 },
            "Messages": messages,
        }),
    );
    if let (Some(ended), Some(fields)) = (task.ended, value.as_object_mut()) {
        fields.insert("EndTime".into(), json!(Clock::text(ended)));
    }
    value
}

/// What the action itself would have answered; none if it has worked, or goes on.
fn problem(outcome: &Outcome) -> Option<Problem> {
    match outcome {
        Outcome::Waits | Outcome::Done => None,
        Outcome::Cancelled => {
            Some(Fault::State("another press of a button came after it".into()).into())
        }
        // It is over: nothing would come of asking again.
        Outcome::Failed(why) => Some(Fault::Refused(why.clone()).into()),
    }
}

/// The answer of a task's monitor (DSP0266, 12.2): that it goes on, and then what the action answers.
pub fn monitored(service: &Service, id: &str) -> Result<Response, Problem> {
    let found = service.tasks().iter().find(|task| task.id.to_string() == id).cloned();
    let task = found.ok_or_else(|| Problem::not_found(&format!("{MONITORS}/{id}")))?;
    if task.outcome == Outcome::Waits {
        let response = Response::new(202, Content::Json(shown(&task)));
        return Ok(response.with("Location", monitor(task.id)).with("Retry-After", "5"));
    }
    match problem(&task.outcome) {
        Some(problem) => Err(problem),
        None => Ok(Response::new(204, Content::Empty)),
    }
}
