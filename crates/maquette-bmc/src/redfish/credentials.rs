//! Who asks: what a request shows of that, what it is looked at for before it is answered, and what is refused whoever it is.

use std::net::IpAddr;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use serde_json::Value;

use super::problem::Problem;
use super::{Method, ROOT, Request, query, segments};
use crate::bmc::Bmc;
use crate::service::{Identity, Service};

fn has(request: &Request, name: &str) -> bool {
    request.headers.iter().any(|(known, _)| known == name)
}

fn is_login(request: &Request) -> bool {
    let parts = segments(&request.path).unwrap_or_default();
    request.method == Method::Post
        && matches!(
            parts.as_slice(),
            ["SessionService", "Sessions"] | ["SessionService", "Sessions", "Members"]
        )
}

/// Whether a request says who asks, in whatever way.
pub fn shows(request: &Request) -> bool {
    has(request, "authorization") || has(request, "x-auth-token") || is_login(request)
}

/// The name of the account whose password a request shows; none if it shows no password.
pub fn claimed(request: &Request) -> Option<String> {
    if is_login(request) {
        let body: Option<Value> = serde_json::from_slice(&request.body).ok();
        let name = body.as_ref().and_then(|body| body["UserName"].as_str());
        return Some(name.unwrap_or_default().to_string());
    }
    if has(request, "x-auth-token") || !has(request, "authorization") {
        return None;
    }
    Some(basic(request).map_or_else(String::new, |(name, _)| name))
}

/// Counts what was shown as right or wrong: a password, or the token of a session, which names nobody.
pub fn told(service: &Service, peer: &str, name: &str, right: bool) {
    let Ok(peer) = peer.parse::<IpAddr>() else { return };
    if right { service.right(peer, name) } else { service.wrong(peer, "Redfish", name) }
}

/// Who asks; an error if they say who they are and are not.
pub fn identify(service: &Service, request: &Request) -> Result<Option<Identity>, Problem> {
    let (named, holds) = (has(request, "authorization"), has(request, "x-auth-token"));
    if !named && !holds {
        return Ok(None);
    }
    if !request.secure && !service.options.plain {
        return Err(Problem::insecure());
    }
    let found = if holds {
        let found = request.header("x-auth-token").and_then(|token| service.by_token(token));
        if found.is_none() {
            told(service, &request.peer, "", false);
        }
        found
    } else {
        let (name, password) = basic(request).unwrap_or_default();
        let found = service.by_password(&name, &password);
        told(service, &request.peer, &name, found.is_some());
        found
    };
    found.map(Some).ok_or_else(Problem::unauthorized)
}

/// Name and password of HTTP's basic authentication (RFC 7617).
fn basic(request: &Request) -> Option<(String, String)> {
    let (scheme, value) = request.header("authorization")?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = Base64::decode_vec(value.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_string(), password.to_string()))
}

/// Whether a page of somebody else's has a browser ask, which would send credentials along that it remembers. Browsers say
/// so; other clients say nothing of it.
pub fn is_foreign(request: &Request) -> bool {
    let site = request.header("sec-fetch-site");
    if has(request, "sec-fetch-site") && !matches!(site, Some("same-origin" | "none")) {
        return true;
    }
    if !has(request, "origin") {
        return false;
    }
    let origin = request.header("origin").and_then(|origin| origin.split_once("://"));
    match (origin, request.header("host")) {
        (Some((_, origin)), Some(host)) => !origin.eq_ignore_ascii_case(host),
        _ => true,
    }
}

/// The BMC that a path is below of.
pub fn node<'s>(service: &'s Service, path: &str) -> Option<&'s Arc<Bmc>> {
    match segments(path)?.as_slice() {
        ["Systems" | "Managers" | "Chassis", id, ..] => service.bmc(id),
        _ => None,
    }
}

/// Whether an answer may have many resources in it.
pub fn is_wide(request: &Request) -> bool {
    request.path.starts_with(ROOT) && query::Query::parse(&request.query).is_ok_and(|q| q.is_wide())
}
