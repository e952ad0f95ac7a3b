//! Logs: what happened to a system, and what it has said on its console.

use serde_json::{Value, json};

use super::fields::Fields;
use super::problem::Problem;
use super::resource::{Done, Found, action, collection, enabled, link, resource};
use super::{Call, console, paths};
use crate::bmc::{Bmc, Entry, What};
use crate::clock::Clock;

/// What is below a system.
pub fn find<'a>(call: &'a Call<'a>, bmc: &'a Bmc, rest: &[&'a str]) -> Option<Found<'a>> {
    let path = format!("{}/LogServices", paths::system(bmc));
    let console = || call.hardware(bmc).is_ok_and(|hardware| hardware.console);
    Some(match *rest {
        ["LogServices"] => Found::read(move || {
            let mut all = vec![format!("{path}/EventLog")];
            if console() {
                all.push(format!("{path}/Console"));
            }
            Ok(collection(&path, "LogServiceCollection", "Log Services", all))
        }),
        ["LogServices", "EventLog"] => Found::read(move || {
            let path = format!("{path}/EventLog");
            Ok(resource(
                &path,
                "LogService",
                "Event Log",
                json!({
                    "ServiceEnabled": true,
                    "MaxNumberOfRecords": 512,
                    "OverWritePolicy": "WrapsWhenFull",
                    "LogEntryType": "Event",
                    "DateTime": Clock::text(bmc.now()),
                    "DateTimeLocalOffset": "+00:00",
                    "Status": enabled(),
                    "Entries": link(format!("{path}/Entries")),
                    "Actions": {"#LogService.ClearLog": action(&path, "LogService", "ClearLog", None)},
                }),
            ))
        }),
        ["LogServices", "EventLog", "Actions", "LogService.ClearLog"] => {
            Found::action(move |given| {
                Fields::action(given, "LogService.ClearLog").finish()?;
                bmc.state().log.clear(bmc.now());
                Ok(Done::Nothing)
            })
        }
        ["LogServices", "EventLog", "Entries"] => Found::read(move || Ok(entries(bmc))),
        ["LogServices", "EventLog", "Entries", id] => {
            let id: u16 = id.parse().ok().filter(|n: &u16| n.to_string() == id)?;
            bmc.state().log.get(id)?;
            Found::read(move || {
                let entry = bmc.state().log.get(id).cloned();
                entry.map(|entry| shown(bmc, &entry)).ok_or_else(|| Problem::not_found(""))
            })
        }
        ["LogServices", "Console", ref rest @ ..] if console() => {
            return console::find(bmc, format!("{path}/Console"), rest);
        }
        _ => return None,
    })
}

fn entries(bmc: &Bmc) -> Value {
    let path = format!("{}/LogServices/EventLog/Entries", paths::system(bmc));
    let all: Vec<Value> = bmc.state().log.entries().iter().map(|entry| shown(bmc, entry)).collect();
    let mut value = collection(&path, "LogEntryCollection", "Event Log Entries", Vec::new());
    if let Some(fields) = value.as_object_mut() {
        fields.insert("Members@odata.count".into(), json!(all.len()));
        // Entries are shown whole: nobody reads a log by one request for each line.
        fields.insert("Members".into(), Value::from(all));
    }
    value
}

fn shown(bmc: &Bmc, entry: &Entry) -> Value {
    let path = format!("{}/LogServices/EventLog/Entries/{}", paths::system(bmc), entry.id);
    let (id, args) = message(entry.what, &paths::system(bmc));
    let words = match entry.detail.as_str() {
        "" => entry.what.text().to_string(),
        detail => format!("{} {detail}", entry.what.text()),
    };
    resource(
        &path,
        "LogEntry",
        &format!("Log Entry {}", entry.id),
        json!({
            "EntryType": "Event",
            "Created": Clock::text(entry.at),
            "Severity": severity(entry),
            "Message": words,
            "MessageId": id,
            "MessageArgs": args,
        }),
    )
}

/// DMTF's registry of events of resources, with its version.
const REGISTRY: &str = "ResourceEvent.1.3";
const POWERED_ON: &str = "ResourcePoweredOn";
const POWERED_OFF: &str = "ResourcePoweredOff";
const CRITICAL: &str = "ResourceStatusChangedCritical";
const CHANGED: &str = "ResourceChanged";
/// Those of its messages that happenings have.
pub const MESSAGES: [&str; 4] = [POWERED_ON, POWERED_OFF, CRITICAL, CHANGED];

/// The identifier of what happened on a system, which is named by its path, and what the registry's words have in them.
pub fn message(what: What, system: &str) -> (String, Vec<String>) {
    let (key, args) = match what {
        What::PowerOn => (POWERED_ON, vec![system.to_string()]),
        What::PowerOff => (POWERED_OFF, vec![system.to_string()]),
        What::Crashed => (CRITICAL, vec![system.to_string(), "Critical".to_string()]),
        _ => (CHANGED, Vec::new()),
    };
    (format!("{REGISTRY}.{key}"), args)
}

/// A message's name, without its registry and the version of that.
pub fn message_key(id: &str) -> &str {
    id.rsplit_once('.').map_or(id, |(_, key)| key)
}

/// How bad it is.
pub fn severity(entry: &Entry) -> &'static str {
    match entry.what {
        What::Crashed => "Critical",
        what if what.is_warning() => "Warning",
        _ => "OK",
    }
}
