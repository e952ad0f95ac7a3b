//! Managers: the BMCs themselves.

use serde_json::{Value, json};
use uuid::Uuid;

use super::fields::{Fields, shown};
use super::problem::{Message, Problem};
use super::resource::{
    Done, Found, RequestBody, action, collection, enabled, link, links, resource,
};
use super::{Call, ROOT, media, paths};
use crate::accounts::Privilege;
use crate::bmc::Bmc;
use crate::clock::Clock;

/// What is below the managers.
pub fn find<'a>(call: &'a Call<'a>, rest: &[&'a str]) -> Option<Found<'a>> {
    let [id, rest @ ..] = rest else {
        return Some(Found::read(move || {
            let all = call.service.bmcs().map(|bmc| paths::manager(bmc)).collect();
            Ok(collection(&format!("{ROOT}/Managers"), "ManagerCollection", "Managers", all))
        }));
    };
    let bmc = call.service.bmc(id)?.as_ref();
    match *rest {
        [] => Some(Found::read(move || Ok(manager(call, bmc)))),
        ["NetworkProtocol"] => {
            let found = Found::read(move || Ok(protocols(call, bmc)));
            let found = found.patch(move |given| change(call, bmc, given));
            Some(found.needs(Privilege::ConfigureManager))
        }
        ["Actions", "Manager.Reset"] => {
            let found = Found::action(move |given| reset(call, bmc, given));
            Some(found.needs(Privilege::ConfigureManager))
        }
        ["VirtualMedia", ref rest @ ..] => media::find(call, bmc, &paths::manager(bmc), rest),
        _ => None,
    }
}

fn manager(call: &Call<'_>, bmc: &Bmc) -> Value {
    let path = paths::manager(bmc);
    let system = links([paths::system(bmc)]);
    let chassis = links([paths::chassis(bmc)]);
    resource(
        &path,
        "Manager",
        &format!("BMC of {}", bmc.name),
        json!({
            "ManagerType": "BMC",
            "Manufacturer": "Maquette",
            "Model": "Maquette BMC",
            "FirmwareVersion": env!("CARGO_PKG_VERSION"),
            "UUID": Uuid::new_v5(&bmc.uuid, b"manager").to_string(),
            "ServiceEntryPointUUID": call.service.uuid.to_string(),
            "DateTime": Clock::text(bmc.now()),
            "DateTimeLocalOffset": "+00:00",
            "PowerState": "On",
            "Status": enabled(),
            "NetworkProtocol": link(format!("{path}/NetworkProtocol")),
            "VirtualMedia": link(format!("{path}/VirtualMedia")),
            "Actions": {"#Manager.Reset":
                action(&path, "Manager", "Reset", Some(("ResetType", RESETS.map(|(name, ())| name).into())))},
            "Links": {
                "ManagerForServers@odata.count": 1,
                "ManagerForServers": system,
                "ManagerForChassis@odata.count": 1,
                "ManagerForChassis": chassis,
            },
        }),
    )
}

/// Ways to reset a BMC: it has nothing that would take its time over one of them.
const RESETS: [(&str, ()); 2] = [("ForceRestart", ()), ("GracefulRestart", ())];

/// The BMC begins again. Its node goes on, and so do the BMCs of others, and the session of whoever asks for it.
fn reset(call: &Call<'_>, bmc: &Bmc, given: &RequestBody) -> Result<Done, Problem> {
    let mut fields = Fields::action(given, "Manager.Reset");
    fields.choice("ResetType", &RESETS);
    fields.finish()?;
    if let Some(session) = call.who.and_then(|who| who.session.as_deref()) {
        call.service.outlasts_reset(session);
    }
    bmc.begin_anew();
    Ok(Done::Nothing)
}

fn protocols(call: &Call<'_>, bmc: &Bmc) -> Value {
    let path = format!("{}/NetworkProtocol", paths::manager(bmc));
    let (servers, own) = {
        let state = bmc.state();
        (state.time_servers.clone(), state.ipmi_port)
    };
    let options = &call.service.options;
    let ipmi = own.or(options.ipmi_port);
    let http = if options.plain { options.https_port } else { 80 };
    resource(
        &path,
        "ManagerNetworkProtocol",
        "Network Protocols",
        json!({
            "HostName": bmc.name,
            "HTTP": {"ProtocolEnabled": options.plain, "Port": http},
            "HTTPS": {"ProtocolEnabled": !options.plain, "Port": options.https_port},
            "IPMI": {"ProtocolEnabled": ipmi.is_some(), "Port": ipmi},
            "NTP": {"ProtocolEnabled": false, "NTPServers": servers},
            "Status": enabled(),
        }),
    )
}

/// Most time servers, and the longest name of one.
const TIME_SERVERS: (usize, usize) = (8, 253);

fn is_host(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
    (1..=TIME_SERVERS.1).contains(&text.len()) && text.chars().all(good)
}

/// A list as PATCH changes it: null removes an element, `{}` leaves it, what is beyond the end goes (DSP0266, 7.8.2).
fn patched(before: &[String], given: &[Value]) -> Result<Vec<String>, Message> {
    let mut after = Vec::new();
    for (at, value) in given.iter().enumerate() {
        match value {
            Value::Null => {}
            Value::Object(fields) if fields.is_empty() => after.extend(before.get(at).cloned()),
            Value::String(text) if is_host(text) => after.push(text.clone()),
            other => return Err(Message::bad_format("NTP/NTPServers", &shown(other))),
        }
    }
    after.truncate(TIME_SERVERS.0);
    Ok(after)
}

fn change(call: &Call<'_>, bmc: &Bmc, given: &RequestBody) -> Result<Done, Problem> {
    let current = protocols(call, bmc);
    let mut fields = Fields::of(given, &current);
    fields.require_any()?;
    let before = bmc.state().time_servers.clone();
    let mut after = before.clone();
    fields.object("NTP", |fields| {
        let Some(value) = fields.any("NTPServers") else { return };
        let list = value.as_array().map(|list| patched(&before, list));
        match list {
            Some(Ok(list)) => after = list,
            Some(Err(message)) => fields.wrong(message),
            None => fields.wrong(Message::wrong_type("NTP/NTPServers", &shown(value))),
        }
    });
    fields.finish()?;
    bmc.state().time_servers = after;
    Ok(Done::Changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_changed_by_their_elements() {
        let before = ["a".to_string(), "b".to_string()];
        let list = |given: Value| patched(&before, given.as_array().unwrap()).ok();
        assert_eq!(list(json!([null, "b"])), Some(vec!["b".to_string()]));
        assert_eq!(list(json!([{}, "c", "d"])), Some(["a", "c", "d"].map(String::from).into()));
        assert_eq!(list(json!([])), Some(vec![]));
        assert_eq!((list(json!([1])), list(json!(["a b"]))), (None, None));
    }
}
