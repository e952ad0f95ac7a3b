//! Events: who hears of what happens, and in which words.

use serde_json::{Value, json};

use super::fields::Fields;
use super::problem::{Message, Problem};
use super::resource::{Done, Found, RequestBody, action, collection, enabled, link, resource};
use super::subscriptions::{ATTEMPTS, REGISTRIES, RESOURCES, TYPES, shown, subscribe};
use super::{Call, ROOT, logs, schema};
use crate::accounts::Privilege;
use crate::clock::Clock;
use crate::service::{News, Notice, Service, Subscription};

const BASE: &str = "/redfish/v1/EventService";
/// Where events are streamed.
pub const STREAM: &str = "/redfish/v1/EventService/SSE";

/// What is below the event service.
pub fn find<'a>(call: &'a Call<'a>, rest: &[&'a str]) -> Option<Found<'a>> {
    let service = call.service;
    Some(match *rest {
        [] => Found::read(|| {
            Ok(resource(
                BASE,
                "EventService",
                "Event Service",
                json!({
                    "ServiceEnabled": true,
                    "DeliveryRetryAttempts": ATTEMPTS,
                    "DeliveryRetryIntervalSeconds": 5,
                    "EventFormatTypes": ["Event"],
                    "EventTypesForSubscription": TYPES,
                    "RegistryPrefixes": REGISTRIES,
                    "ResourceTypes": RESOURCES,
                    "SubordinateResourcesSupported": true,
                    "IncludeOriginOfConditionSupported": false,
                    "ServerSentEventUri": STREAM,
                    "Status": enabled(),
                    "Subscriptions": link(format!("{BASE}/Subscriptions")),
                    "Actions": {"#EventService.SubmitTestEvent":
                        action(BASE, "EventService", "SubmitTestEvent", None)},
                }),
            ))
        }),
        ["Actions", "EventService.SubmitTestEvent"] => {
            Found::action(move |given| trial(call, given)).needs(Privilege::ConfigureManager)
        }
        ["Subscriptions"] => Found::read(move || {
            let path = format!("{BASE}/Subscriptions");
            let all = service.subscriptions().iter().map(|s| format!("{path}/{}", s.id)).collect();
            Ok(collection(&path, "EventDestinationCollection", "Subscriptions", all))
        })
        .post(move |given| subscribe(call, given))
        .needs(Privilege::ConfigureManager),
        ["Subscriptions", "Members"] => {
            Found::action(move |given| subscribe(call, given)).needs(Privilege::ConfigureManager)
        }
        ["Subscriptions", id] => {
            let id: u32 = id.parse().ok().filter(|n: &u32| n.to_string() == id)?;
            let subscription = service.subscriptions().iter().find(|s| s.id == id)?.clone();
            Found::read(move || Ok(shown(call, &subscription)))
                .delete(move || {
                    service.unsubscribe(id);
                    Ok(Done::Nothing)
                })
                .needs(Privilege::ConfigureManager)
        }
        _ => return None,
    })
}

/// Has whoever has subscribed get an event as somebody has written it.
fn trial(call: &Call<'_>, given: &RequestBody) -> Result<Done, Problem> {
    let mut fields = Fields::action(given, "EventService.SubmitTestEvent");
    let mut event = json!({"MemberId": "0", "EventType": "Alert", "Severity": "OK"});
    let texts = [
        "EventId",
        "EventTimestamp",
        "EventType",
        "Message",
        "MessageSeverity",
        "OriginOfCondition",
        "Severity",
    ];
    event["MessageId"] = json!(fields.required_text("MessageId"));
    for name in texts {
        let Some(text) = fields.optional_text(name).flatten() else { continue };
        if text.len() > LONGEST {
            fields.wrong(Message::bad_format(name, &super::fields::shown(&json!(text))));
        }
        event[name] = match name {
            "OriginOfCondition" => link(text),
            _ => json!(text),
        };
    }
    let known = |value: &str| TYPES.contains(&value) || ["MetricReport", "Other"].contains(&value);
    if !event["EventType"].as_str().is_some_and(known) {
        let value = super::fields::shown(&event["EventType"]);
        fields.wrong(Message::not_in_list("EventType", &value));
    }
    event["MessageArgs"] = json!(fields.list("MessageArgs", |value| {
        let text = value.as_str().filter(|text| text.len() <= LONGEST);
        text.ok_or_else(|| Message::bad_format("MessageArgs", &super::fields::shown(value)))
    }));
    fields.any("EventGroupId");
    fields.finish()?;
    call.service.tell(News::Trial(event));
    Ok(Done::Nothing)
}

/// Longest words of an event that somebody tries.
const LONGEST: usize = 1024;

/// What happened, as it is told to a subscriber.
pub fn event(notice: &Notice, context: &str) -> Value {
    let id = notice.id.to_string();
    let event = match &notice.news {
        News::Of(system, entry) => {
            let path = format!("{ROOT}/Systems/{system}");
            let (message, args) = logs::message(entry.what, &path);
            json!({
                "MemberId": "0",
                "EventId": id,
                "EventType": if entry.what.is_warning() { "Alert" } else { "StatusChange" },
                "EventTimestamp": Clock::text(entry.at),
                "Severity": logs::severity(entry),
                "Message": entry.what.text(),
                "MessageId": message,
                "MessageArgs": args,
                "OriginOfCondition": link(path),
            })
        }
        News::Trial(event) => event.clone(),
    };
    json!({
        "@odata.type": schema::odata_type("Event"),
        "Id": id,
        "Name": "Event",
        "Context": context,
        "Events": [event],
    })
}

/// Whether somebody has asked for what there is to tell.
pub fn wants(service: &Service, subscription: &Subscription, notice: &Notice) -> bool {
    let filter = &subscription.filter;
    let event = &event(notice, "")["Events"][0];
    let kind = event["EventType"].as_str();
    if !filter.types.is_empty() && !filter.types.iter().any(|wanted| Some(wanted.as_str()) == kind)
    {
        return false;
    }
    let News::Of(system, _) = &notice.news else { return true };
    let told = event["MessageId"].as_str().unwrap_or_default();
    let is_message = |wanted: &String| logs::message_key(wanted) == logs::message_key(told);
    let is_origin = |wanted: &String| match wanted.strip_prefix(&format!("{ROOT}/Systems/")) {
        Some(id) => service.bmc(id).is_some_and(|bmc| bmc.uuid == *system),
        // What systems are below.
        None => filter.subordinate && format!("{ROOT}/Systems").starts_with(wanted.as_str()),
    };
    (filter.messages.is_empty() || filter.messages.iter().any(is_message))
        && (filter.origins.is_empty() || filter.origins.iter().any(is_origin))
}
