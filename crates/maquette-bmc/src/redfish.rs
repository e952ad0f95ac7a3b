//! Redfish (DSP0266): a function from requests to answers. Who is asked, who asks, and whether they may, is decided here;
//! what there is, in one file for each kind of resource.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::accounts::Privilege;
use crate::secret::hex;
use crate::service::{Identity, Service};

mod accounts;
mod bios;
mod call;
mod chassis;
mod console;
mod credentials;
mod events;
mod fields;
mod filter;
mod inventory;
mod logs;
mod managers;
mod media;
mod paths;
mod problem;
mod query;
mod registries;
mod request;
mod resource;
mod root;
mod schema;
mod sessions;
mod storage;
mod subscriptions;
mod systems;
mod tasks;

pub use call::Call;
pub use credentials::{claimed, is_wide, node};
pub use events::{STREAM, event, wants};
pub use media::{Address, parse as address};
pub use request::{Content, Method, Request, Response};
pub use subscriptions::ATTEMPTS;

use credentials::{identify, is_foreign, shows, told};
use problem::Problem;
use resource::{Created, Done, Found, RequestBody};

/// The root of all paths.
pub const ROOT: &str = "/redfish/v1";

/// Finds what is at a path below the root.
fn find<'a>(call: &'a Call<'a>, segments: &[&'a str]) -> Option<Found<'a>> {
    match segments {
        [] => Some(root::root(call)),
        ["SessionService", rest @ ..] => sessions::find(call, rest),
        ["AccountService", rest @ ..] => accounts::find(call, rest),
        ["Systems", rest @ ..] => systems::find(call, rest),
        ["Managers", rest @ ..] => managers::find(call, rest),
        ["Chassis", rest @ ..] => chassis::find(call, rest),
        ["EventService", rest @ ..] => events::find(call, rest),
        ["TaskService", rest @ ..] => tasks::find(call, rest),
        ["Registries", rest @ ..] => registries::find(call, rest),
        _ => None,
    }
}

/// A path's segments below the root; none if it is somewhere else, or has characters that no path of ours has.
fn segments(path: &str) -> Option<Vec<&str>> {
    let rest = path.strip_prefix(ROOT)?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./$:".contains(c);
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let segments: Vec<&str> = if rest.is_empty() { Vec::new() } else { rest.split('/').collect() };
    let good = rest.chars().all(plain) && segments.iter().all(|s| !s.is_empty() && *s != "..");
    good.then_some(segments)
}

/// Whether everybody may ask: the service root, what describes it, and for a new session.
fn is_public(method: &Method, segments: &[&str]) -> bool {
    match method {
        Method::Get | Method::Head => {
            matches!(segments, [] | ["odata"] | ["$metadata"])
        }
        Method::Post => matches!(
            segments,
            ["SessionService", "Sessions"] | ["SessionService", "Sessions", "Members"]
        ),
        Method::Patch | Method::Put | Method::Delete | Method::Other => false,
    }
}

/// What identifies a state of a resource: all of it, but for the time of day.
fn etag(value: &Value, generation: u64) -> String {
    marked(value, generation).0
}

/// The same, with the length of the resource.
fn marked(value: &Value, generation: u64) -> (String, usize) {
    let text = match value.as_object() {
        Some(fields) if fields.contains_key("DateTime") => {
            let mut fields = fields.clone();
            fields.remove("DateTime");
            Value::Object(fields).to_string()
        }
        _ => value.to_string(),
    };
    let digest = Sha256::new().chain_update(&text).chain_update(generation.to_le_bytes());
    (format!("\"{}\"", hex(&digest.finalize()[..8])), text.len())
}

/// Answers a request.
pub fn answer(service: &Service, request: &Request) -> Response {
    let answered = respond(service, request).unwrap_or_else(|problem| failed(request, &problem));
    let answered = answered.with("OData-Version", "4.0").with("Cache-Control", "no-store");
    if request.method == Method::Head { headed(answered) } else { answered }
}

/// An answer without its body, and with the headers of one with it (RFC 9110, 9.3.2).
fn headed(answered: Response) -> Response {
    let (kind, length) = match &answered.content {
        Content::Json(value) => ("application/json", value.to_string().len()),
        Content::Xml(text) => ("application/xml", text.len()),
        Content::Empty | Content::Events(_) => {
            return Response { content: Content::Empty, ..answered };
        }
    };
    let empty = Response { content: Content::Empty, ..answered };
    empty.with("Content-Type", kind).with("Content-Length", length.to_string())
}

fn failed(request: &Request, problem: &Problem) -> Response {
    let mut response = Response::new(problem.status, Content::Json(problem.body()));
    if problem.status == 401 {
        // Whoever waits to be asked has not been wrong.
        response.delayed = shows(request);
        // A browser's own dialogue helps nobody who has sent a token.
        if request.header("x-auth-token").is_none() {
            response = response.with("WWW-Authenticate", "Basic realm=\"Redfish\"");
        } else {
            response = response.with("WWW-Authenticate", "X-Auth-Token");
        }
    }
    if problem.status == 503 {
        response = response.with("Retry-After", "5");
    }
    response
}

fn respond(service: &Service, request: &Request) -> Result<Response, Problem> {
    if request.method == Method::Other {
        return Err(Problem::method(501));
    }
    if is_foreign(request) {
        return Err(Problem::foreign());
    }
    if request.path.trim_end_matches('/') == "/redfish" {
        return versions(request);
    }
    let segments = segments(&request.path);
    let public = segments.as_ref().is_some_and(|s| is_public(&request.method, s));
    // Whoever asks for a session says in the body who they are; a header of another one is not looked at.
    let login = public && request.method == Method::Post;
    let who = if login { None } else { identify(service, request)? };
    if who.is_none() && !public {
        return Err(Problem::unauthorized());
    }
    if request.header("odata-version").is_some_and(|version| version != "4.0") {
        return Err(Problem::version());
    }
    let segments = segments.ok_or_else(|| Problem::not_found(&request.path))?;
    if let Some(who) = who.as_ref().filter(|who| who.must_change) {
        accounts::only_password(who, &request.method, &segments)?;
    }
    let read = matches!(request.method, Method::Get | Method::Head);
    match (segments.as_slice(), who.as_ref()) {
        (["$metadata" | "odata"], _) if !read => return Ok(only(request, "GET, HEAD")),
        (["$metadata"], _) => {
            let text = schema::metadata();
            return Ok(Response::new(200, Content::Xml(text)).with("Allow", "GET, HEAD"));
        }
        (["odata"], _) => {
            let value = root::document(service);
            return Ok(Response::new(200, Content::Json(value)).with("Allow", "GET, HEAD"));
        }
        (["EventService", "SSE"], Some(who)) if request.method == Method::Get => {
            return stream(request, who);
        }
        (["EventService", "SSE"], _) => return Ok(only(request, "GET")),
        (["TaskService", "TaskMonitors", id], _) if read => return tasks::monitored(service, id),
        _ => {}
    }
    let trusted = request.secure || service.options.plain;
    let call = Call::new(service, who.as_ref(), &request.peer, trusted);
    let found = find(&call, &segments).ok_or_else(|| Problem::not_found(&request.path))?;
    let path = format!("{ROOT}/{}", segments.join("/"));
    if read { get(&call, request, &path, &found) } else { write(&call, request, &path, &found) }
}

fn versions(request: &Request) -> Result<Response, Problem> {
    match request.method {
        Method::Get | Method::Head => {
            let value = json!({"v1": "/redfish/v1/"});
            Ok(Response::new(200, Content::Json(value)).with("Allow", "GET, HEAD"))
        }
        _ => Ok(only(request, "GET, HEAD")),
    }
}

fn only(request: &Request, allow: &str) -> Response {
    failed(request, &Problem::method(405)).with("Allow", allow)
}

/// An answer to what cannot be read, or cannot be answered.
pub fn refusal(status: u16) -> Response {
    let problem = Problem::refused(status);
    let response = Response::new(problem.status, Content::Json(problem.body()));
    let response = response.with("OData-Version", "4.0").with("Cache-Control", "no-store");
    if status == 503 { response.with("Retry-After", "5") } else { response }
}

/// An answer to whoever was wrong so often that their password is not looked at.
pub fn too_often() -> Response {
    let problem = Problem::too_often();
    let response = Response::new(problem.status, Content::Json(problem.body()));
    response.with("OData-Version", "4.0").with("Retry-After", "10")
}

/// An answer to whoever wants one stream more than there may be.
pub fn no_more_streams() -> Response {
    let problem = Problem::full();
    Response::new(problem.status, Content::Json(problem.body())).with("OData-Version", "4.0")
}

fn stream(request: &Request, who: &Identity) -> Result<Response, Problem> {
    let takes = request.header("accept").is_none_or(|accept| {
        ["text/event-stream", "*/*", "text/*"].iter().any(|kind| accept.contains(kind))
    });
    // Who asks for some events and gets all of them is to know so.
    query::refuse(&request.query)?;
    if !takes {
        let value = Value::from(request.header("accept").unwrap_or_default());
        return Err(Problem::query_value("Accept", &fields::shown(&value)));
    }
    Ok(Response::new(200, Content::Events(who.clone())))
}

fn get(
    call: &Call<'_>,
    request: &Request,
    path: &str,
    found: &Found<'_>,
) -> Result<Response, Problem> {
    let Some(get) = &found.get else { return Ok(not_allowed(request, found)) };
    if call.who.is_some_and(|who| !who.role.may(found.read)) {
        return Err(Problem::forbidden());
    }
    let query = query::Query::parse(&request.query)?;
    let value = get()?;
    let mut value = query.apply(call, value)?;
    // What somebody has chosen of a resource has a mark of its own.
    let etag = etag(&value, found.generation);
    if request.list("if-none-match").is_some_and(|known| matches(&known, &etag)) {
        return Ok(Response::new(304, Content::Empty).with("ETag", etag));
    }
    let kind = value["@odata.type"].as_str().map(schema::described_by).unwrap_or_default();
    if let (Some(fields), true) = (value.as_object_mut(), !path.is_empty()) {
        fields.insert("@odata.etag".into(), Value::from(etag.clone()));
    }
    let response = Response::new(200, Content::Json(value));
    Ok(response.with("ETag", etag).with("Link", kind).with("Allow", found.allow()))
}

fn not_allowed(request: &Request, found: &Found<'_>) -> Response {
    only(request, &found.allow())
}

/// Whether a header names a mark, among others, or any.
fn matches(header: &str, etag: &str) -> bool {
    header.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == etag)
}

fn write(
    call: &Call<'_>,
    request: &Request,
    path: &str,
    found: &Found<'_>,
) -> Result<Response, Problem> {
    let act = match request.method {
        Method::Patch => &found.patch,
        Method::Post => &found.post,
        Method::Delete => &found.delete,
        Method::Get | Method::Head | Method::Put | Method::Other => &None,
    };
    let Some(act) = act else { return Ok(not_allowed(request, found)) };
    if call.who.is_some_and(|who| !who.role.may(found.privilege)) {
        return Err(Problem::forbidden());
    }
    let given = given(request)?;
    // Whoever changes or removes something is alone with it, by whatever name it is called. What makes something new, or
    // does something, looks after itself, and may take its time.
    let alone = !matches!(request.method, Method::Post);
    let bmc = node(call.service, path);
    let lock = alone.then(|| bmc.map_or_else(|| call.service.lock(), |bmc| bmc.lock()));
    if let (Some(wanted), Some(get)) = (request.list("if-match"), &found.get) {
        // Found again: what was found before the lock was held may have changed.
        let segments = segments(path).unwrap_or_default();
        let generation = find(call, &segments).map_or(0, |found| found.generation);
        if !matches(&wanted, &etag(&get()?, generation)) {
            return Err(Problem::precondition());
        }
    }
    let done = act(&given)?;
    // Before the answer: whoever has it can count on it.
    match bmc {
        Some(bmc) => bmc.keep(),
        None => call.service.keep(),
    }
    drop(lock);
    call.forget();
    match done {
        Done::Changed => {
            let segments = segments(path).unwrap_or_default();
            let found = find(call, &segments).ok_or_else(|| Problem::not_found(path))?;
            let plain = Request { query: String::new(), headers: Vec::new(), ..request.clone() };
            get(call, &plain, path, &found)
        }
        Done::Nothing => Ok(Response::new(204, Content::Empty)),
        Done::Created(made) => {
            let segments = segments(&made.path).unwrap_or_default();
            let generation = find(call, &segments).map_or(0, |found| found.generation);
            Ok(created(made, generation))
        }
        Done::Accepted(id) => {
            let body = tasks::body(call, id).unwrap_or_default();
            let response = Response::new(202, Content::Json(body));
            Ok(response.with("Location", tasks::monitor(id)).with("Retry-After", "5"))
        }
    }
}

/// The answer that tells of something new.
fn created(Created { path, body, token }: Created, generation: u64) -> Response {
    let etag = etag(&body, generation);
    let response = Response::new(201, Content::Json(body)).with("Location", path);
    let response = response.with("ETag", etag);
    match token {
        Some(token) => response.with(request::TOKEN, token),
        None => response,
    }
}

/// The properties that a request gives. None is an empty object: some clients send no body with an action.
fn given(request: &Request) -> Result<RequestBody, Problem> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(RequestBody::new());
    }
    let kind = request.header("content-type").unwrap_or("application/json");
    // Media types ignore case.
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // curl's own default: whoever forgets to say what it is has still meant JSON.
    if !["application/json", "application/x-www-form-urlencoded"].contains(&kind.as_str()) {
        return Err(Problem::media_type());
    }
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(given)) => Ok(given),
        _ => Err(Problem::malformed()),
    }
}

/// Reads another resource for somebody, to be shown inside of one; and how long it is.
fn inner(call: &Call<'_>, path: &str) -> Option<(Value, usize)> {
    let found = find(call, &segments(path)?)?;
    let allowed =
        call.who.is_some_and(|who| who.role.may(Privilege::Login) && who.role.may(found.read));
    let mut value = (found.get.as_ref().filter(|_| allowed)?)().ok()?;
    let (etag, length) = marked(&value, found.generation);
    value.as_object_mut()?.insert("@odata.etag".into(), Value::from(etag));
    Some((value, length))
}

#[cfg(test)]
mod tests;
