//! Subscriptions: what somebody asks for who wants to hear of events (EventDestination of DSP0268), and who gets which.

use serde_json::{Value, json};

use super::fields::{self, Fields};
use super::problem::{Message, Problem};
use super::resource::{Created, Done, RequestBody, enabled, resource};
use super::{Call, ROOT, logs, media};
use crate::accounts::Privilege;
use crate::secret::Secret;
use crate::service::{Filter, Subscription};

const BASE: &str = "/redfish/v1/EventService/Subscriptions";

/// Types of events that somebody may ask for. Happenings are of two of them.
pub const TYPES: [&str; 5] =
    ["StatusChange", "ResourceUpdated", "ResourceAdded", "ResourceRemoved", "Alert"];
/// Registries whose messages events have, and types of the resources that they come from.
pub const REGISTRIES: [&str; 1] = ["ResourceEvent"];
pub const RESOURCES: [&str; 1] = ["ComputerSystem"];
/// How often an event is sent again to who wants to be forgotten after that.
pub const ATTEMPTS: u32 = 3;

/// Longest words that a subscriber may have repeated.
const CONTEXT: usize = 256;
/// Most values of one list, and the longest of them.
const VALUES: usize = 64;
const VALUE: usize = 256;
/// Most headers, the longest value of one, and how long all may be together: they are kept with their subscription.
const HEADERS: usize = 16;
const HEADER: usize = 4096;
const ALL_HEADERS: usize = 16 << 10;
/// Headers that say how long a request is, and where it goes: those are HTTP's.
const OF_HTTP: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// A subscription as it is shown. Its headers are secrets: DSP0268 has an empty list for them. What its address has behind `?`
/// may be one, and the subscriber's words: who may not make subscriptions does not see them.
pub fn shown(call: &Call<'_>, subscription: &Subscription) -> Value {
    let may = call.who.is_some_and(|who| who.role.may(Privilege::ConfigureManager));
    let destination = subscription.destination.as_deref();
    let destination =
        destination.map(|url| if may { url.to_string() } else { media::without_query(url) });
    let path = format!("{BASE}/{}", subscription.id);
    let kind = if subscription.destination.is_some() { "RedfishEvent" } else { "SSE" };
    let filter = &subscription.filter;
    let types = if filter.types.is_empty() { json!(TYPES) } else { json!(filter.types) };
    let policy = if subscription.ends { "TerminateAfterRetries" } else { "RetryForever" };
    let origins: Vec<Value> =
        filter.origins.iter().map(|path| json!({"@odata.id": path})).collect();
    resource(
        &path,
        "EventDestination",
        "Event Subscription",
        json!({
            "Destination": destination,
            "Context": may.then_some(&subscription.context),
            "Protocol": "Redfish",
            "SubscriptionType": kind,
            "EventFormatType": "Event",
            "EventTypes": types,
            "RegistryPrefixes": REGISTRIES,
            "ResourceTypes": RESOURCES,
            "MessageIds": filter.messages,
            "OriginResources": origins,
            "SubordinateResources": filter.subordinate,
            "HttpHeaders": [],
            "DeliveryRetryPolicy": policy,
            "VerifyCertificate": subscription.verify,
            "Status": enabled(),
        }),
    )
}

/// A list with more in it than anybody needs.
fn bounded<T>(fields: &mut Fields<'_>, name: &str, values: &[T], most: usize) {
    if values.len() > most {
        let message = Message::bad_format(name, &format!("of {} values", values.len()));
        fields.wrong(message);
    }
}

fn read_filter(fields: &mut Fields<'_>) -> Filter {
    let types = fields.choices("EventTypes", &TYPES).into_iter().map(String::from).collect();
    fields.choices("RegistryPrefixes", &REGISTRIES);
    fields.choices("ResourceTypes", &RESOURCES);
    let wrong = |name: &str, value: &Value| Message::bad_format(name, &fields::shown(value));
    let messages = fields.list("MessageIds", |value| {
        let text = value.as_str().filter(|text| text.len() <= VALUE);
        let text = text.ok_or_else(|| wrong("MessageIds", value))?;
        // Who waits for what never comes is to know so.
        let unknown = || Message::not_in_list("MessageIds", &fields::shown(value));
        if is_message(text) { Ok(text.to_string()) } else { Err(unknown()) }
    });
    let origins = fields.list("OriginResources", |value| {
        let path = value.get("@odata.id").and_then(Value::as_str);
        let path = path.filter(|path| path.starts_with(ROOT) && path.len() <= VALUE);
        path.map(|path| path.trim_end_matches('/').to_string())
            .ok_or_else(|| wrong("OriginResources", value))
    });
    bounded(fields, "MessageIds", &messages, VALUES);
    bounded(fields, "OriginResources", &origins, VALUES);
    let subordinate = fields.flag("SubordinateResources").unwrap_or(false);
    Filter { types, messages, origins, subordinate }
}

/// Whether happenings may have a message: of the registry, in any version of it, or as its name alone.
fn is_message(id: &str) -> bool {
    let prefix = id.split_once('.').map(|(prefix, _)| prefix);
    let registered = prefix.is_none_or(|prefix| REGISTRIES.contains(&prefix));
    registered && logs::MESSAGES.contains(&logs::message_key(id))
}

/// Headers: objects whose properties are names and values. No message has a value in it.
fn read_headers(fields: &mut Fields<'_>) -> Vec<(String, Secret)> {
    let wrong = || Message::bad_format("HttpHeaders", "***");
    let read = |value: &Value| {
        let all = value.as_object().ok_or_else(wrong)?;
        let header = |(name, value): (&String, &Value)| {
            let value = value.as_str().filter(|value| is_header(name, value))?;
            Some((name.clone(), Secret::new(value)))
        };
        all.iter().map(|one| header(one).ok_or_else(wrong)).collect::<Result<Vec<_>, _>>()
    };
    let all = fields.any("HttpHeaders").filter(|value| !value.is_null());
    let all = all.map(|value| value.as_array().ok_or_else(wrong)).transpose();
    let headers = all.and_then(|all| {
        all.into_iter().flatten().map(read).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
    });
    let headers = headers.unwrap_or_else(|message| {
        fields.wrong(message);
        Vec::new()
    });
    bounded(fields, "HttpHeaders", &headers, HEADERS);
    let length = |(name, value): &(String, Secret)| name.len() + value.reveal().len();
    if headers.iter().map(length).sum::<usize>() > ALL_HEADERS {
        fields.wrong(wrong());
    }
    headers
}

/// Whether a header may be sent: a name as RFC 9110 has it (5.6.2), and a value of printable ASCII.
fn is_header(name: &str, value: &str) -> bool {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let named = !name.is_empty() && name.len() <= VALUE && name.chars().all(token);
    let valued = value.len() <= HEADER && value.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    named && valued && !OF_HTTP.contains(&name.to_ascii_lowercase().as_str())
}

/// Makes a subscription.
pub fn subscribe(call: &Call<'_>, given: &RequestBody) -> Result<Done, Problem> {
    let mut fields = Fields::new(given);
    let destination = fields.required_text("Destination");
    if let Some(text) = destination.filter(|text| media::parse(text).is_none()) {
        fields.wrong(Message::bad_format("Destination", &fields::shown(&json!(text))));
    }
    fields.choice("Protocol", &[("Redfish", ())]);
    if given.get("Protocol").is_none() {
        fields.wrong(Message::missing("Protocol"));
    }
    let context = fields.optional_text("Context").flatten().unwrap_or_default();
    if context.len() > CONTEXT {
        fields.wrong(Message::bad_format("Context", &fields::shown(&json!(context))));
    }
    fields.choice("SubscriptionType", &[("RedfishEvent", ())]);
    fields.choice("EventFormatType", &[("Event", ())]);
    let policies = [("RetryForever", false), ("TerminateAfterRetries", true)];
    let ends = fields.choice("DeliveryRetryPolicy", &policies).unwrap_or(false);
    if fields.flag("IncludeOriginOfCondition") == Some(true) {
        fields.wrong(Message::not_in_list("IncludeOriginOfCondition", "true"));
    }
    let (filter, headers) = (read_filter(&mut fields), read_headers(&mut fields));
    // Whoever does not say otherwise means the server of that name, and no other.
    let verify = fields.flag("VerifyCertificate").unwrap_or(true);
    fields.finish()?;
    let destination = destination.ok_or_else(Problem::malformed)?;
    media::reachable(call, "Destination", destination)?;
    let (destination, context) = (Some(destination.to_string()), context.to_string());
    let wanted = Subscription {
        destination,
        context,
        verify,
        filter,
        headers,
        ends,
        ..Subscription::default()
    };
    let id = call.service.subscribe(wanted).ok_or_else(Problem::full)?;
    let subscription = call.service.subscriptions().iter().find(|s| s.id == id).cloned();
    let body = subscription.map(|made| shown(call, &made)).unwrap_or_default();
    Ok(Done::Created(Created { path: format!("{BASE}/{id}"), body, token: None }))
}
