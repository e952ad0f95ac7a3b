//! Sessions: who is logged in.

use serde_json::{Value, json};

use super::fields::Fields;
use super::problem::Problem;
use super::resource::{Created, Done, Found, RequestBody, collection, enabled, link, resource};
use super::{Call, ROOT, told};
use crate::accounts::Privilege;
use crate::clock::Clock;
use crate::service::Session;

/// What is below the session service.
pub fn find<'a>(call: &'a Call<'a>, rest: &[&'a str]) -> Option<Found<'a>> {
    let base = format!("{ROOT}/SessionService");
    let service = call.service;
    Some(match *rest {
        [] => Found::read(move || {
            Ok(resource(
                &base,
                "SessionService",
                "Session Service",
                json!({
                    "ServiceEnabled": true,
                    "SessionTimeout": service.options.limits.session_s,
                    "Status": enabled(),
                    "Sessions": link(format!("{base}/Sessions")),
                }),
            ))
        }),
        ["Sessions"] => Found::read(move || {
            let path = format!("{base}/Sessions");
            let ids = service.sessions().iter().map(|s| format!("{path}/{}", s.id)).collect();
            Ok(collection(&path, "SessionCollection", "Sessions", ids))
        })
        .post(move |given| begin(call, given)),
        ["Sessions", "Members"] => Found::action(move |given| begin(call, given)),
        ["Sessions", id] => {
            let session = service.sessions().iter().find(|s| s.id == id)?.clone();
            let own = call.who.is_some_and(|who| who.account == session.account);
            let needed = if own { Privilege::ConfigureSelf } else { Privilege::ConfigureManager };
            let found = Found::read(move || Ok(shown(&session)));
            found.delete(move || end(call, id)).needs(needed)
        }
        _ => return None,
    })
}

fn end(call: &Call<'_>, id: &str) -> Result<Done, Problem> {
    if call.service.end(id) { Ok(Done::Nothing) } else { Err(Problem::not_found(id)) }
}

fn shown(session: &Session) -> Value {
    let path = format!("{ROOT}/SessionService/Sessions/{}", session.id);
    resource(
        &path,
        "Session",
        "User Session",
        json!({
            "UserName": session.user,
            "CreatedTime": Clock::text(session.created),
            "ClientOriginIPAddress": session.origin,
            "SessionType": "Redfish",
        }),
    )
}

fn begin(call: &Call<'_>, given: &RequestBody) -> Result<Done, Problem> {
    if !call.trusted {
        return Err(Problem::insecure());
    }
    let mut fields = Fields::new(given);
    let (name, password) = (fields.required_text("UserName"), fields.secret("Password"));
    fields.finish()?;
    let (name, password) = (name.unwrap_or_default(), password.unwrap_or_default());
    let who = call.service.by_password(name, password);
    told(call.service, call.peer, name, who.is_some());
    let who = who.ok_or_else(Problem::unauthorized)?;
    let begun = call.service.begin(&who, name, call.peer);
    let (session, token) = begun.map_err(|_| Problem::internal("There are no random numbers."))?;
    let mut body = shown(&session);
    if let (true, Some(fields)) = (who.must_change, body.as_object_mut()) {
        let account = format!("{ROOT}/AccountService/Accounts/{}", who.account);
        let told = Problem::change_password(&account).extended();
        fields.insert("@Message.ExtendedInfo".into(), told);
    }
    let path = format!("{ROOT}/SessionService/Sessions/{}", session.id);
    Ok(Done::Created(Created { path, body, token: Some(token.reveal().to_string()) }))
}
