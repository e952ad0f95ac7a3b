//! Events: who hears of what happens, and in which words.

use serde_json::{Value, json};

use super::fields::Fields;
use super::problem::{Message, Problem};
use super::resource::{Created, Done, Found, Given, collection, enabled, link, resource};
use super::{Call, ROOT, logs, media, schema};
use crate::accounts::Privilege;
use crate::clock::Clock;
use crate::service::{Notice, Subscription};

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
                    "DeliveryRetryAttempts": 3,
                    "DeliveryRetryIntervalSeconds": 5,
                    "EventFormatTypes": ["Event"],
                    "RegistryPrefixes": ["ResourceEvent"],
                    "ResourceTypes": ["ComputerSystem"],
                    "ServerSentEventUri": STREAM,
                    "Status": enabled(),
                    "Subscriptions": link(format!("{BASE}/Subscriptions")),
                }),
            ))
        }),
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
            Found::read(move || Ok(shown(&subscription)))
                .delete(move || {
                    service.unsubscribe(id);
                    Ok(Done::Nothing)
                })
                .needs(Privilege::ConfigureManager)
        }
        _ => return None,
    })
}

fn shown(subscription: &Subscription) -> Value {
    let path = format!("{BASE}/Subscriptions/{}", subscription.id);
    let kind = if subscription.destination.is_some() { "RedfishEvent" } else { "SSE" };
    resource(
        &path,
        "EventDestination",
        "Event Subscription",
        json!({
            "Destination": subscription.destination,
            "Context": subscription.context,
            "Protocol": "Redfish",
            "SubscriptionType": kind,
            "EventFormatType": "Event",
            "DeliveryRetryPolicy": "RetryForever",
            "VerifyCertificate": subscription.verify,
            "Status": enabled(),
        }),
    )
}

/// Longest words that a subscriber may have repeated.
const CONTEXT: usize = 256;

fn subscribe(call: &Call<'_>, given: &Given) -> Result<Done, Problem> {
    let mut fields = Fields::new(given);
    let destination = fields.required_text("Destination");
    if let Some(text) = destination.filter(|text| media::parse(text).is_none()) {
        fields.wrong(Message::bad_format("Destination", &super::fields::shown(&json!(text))));
    }
    fields.choice("Protocol", &[("Redfish", ())]);
    if given.get("Protocol").is_none() {
        fields.wrong(Message::missing("Protocol"));
    }
    let context = fields.text("Context").unwrap_or_default();
    if context.len() > CONTEXT {
        fields.wrong(Message::bad_format("Context", &super::fields::shown(&json!(context))));
    }
    fields.choice("SubscriptionType", &[("RedfishEvent", ())]);
    fields.choice("EventFormatType", &[("Event", ())]);
    fields.choice("DeliveryRetryPolicy", &[("RetryForever", ())]);
    // Whoever does not say otherwise means the server of that name, and no other.
    let verify = fields.flag("VerifyCertificate").unwrap_or(true);
    fields.finish()?;
    let destination = destination.ok_or_else(Problem::malformed)?;
    media::reachable(call, "Destination", destination)?;
    let id = call.service.subscribe(destination, context, verify).ok_or_else(Problem::full)?;
    let subscription = call.service.subscriptions().iter().find(|s| s.id == id).cloned();
    let body = subscription.as_ref().map(shown).unwrap_or_default();
    Ok(Done::Created(Created { path: format!("{BASE}/Subscriptions/{id}"), body, token: None }))
}

/// What happened, as it is told to a subscriber.
pub fn event(notice: &Notice, context: &str) -> Value {
    let (entry, id) = (&notice.entry, notice.id.to_string());
    json!({
        "@odata.type": schema::odata_type("Event"),
        "Id": id,
        "Name": "Event",
        "Context": context,
        "Events": [{
            "MemberId": "0",
            "EventId": id,
            "EventType": "StatusChange",
            "EventTimestamp": Clock::text(entry.at),
            "Severity": logs::severity(entry),
            "Message": entry.what.text(),
            "MessageId": logs::MESSAGE,
            "MessageArgs": [],
            "OriginOfCondition": link(format!("{ROOT}/Systems/{}", notice.system)),
        }],
    })
}
