//! A request and an answer, as far as Redfish cares: no sockets, no TLS.

use std::fmt;

use serde_json::Value;

use crate::service::Identity;

/// How something is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// Read it.
    Get,
    /// Read it, without a body.
    Head,
    /// Make something, or do something.
    Post,
    /// Change it.
    Patch,
    /// Replace it; nothing can be.
    Put,
    /// Remove it.
    Delete,
    /// Something else.
    Other,
}

impl Method {
    /// The method of a name.
    pub fn named(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PATCH" => Self::Patch,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }
}

/// What was asked. `Debug` shows neither headers nor body, which have passwords in them.
#[derive(Clone)]
pub struct Request {
    /// How it was asked for.
    pub method: Method,
    /// For what, without the query.
    pub path: String,
    /// What stands behind the question mark.
    pub query: String,
    /// Headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as it came; empty if there was none.
    pub body: Vec<u8>,
    /// Whether it came over TLS.
    pub secure: bool,
    /// Where it came from.
    pub peer: String,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Request");
        shown.field("method", &self.method).field("path", &self.path).field("query", &self.query);
        shown.field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Request {
    /// A header's value. One that is there twice is not there: nobody knows which is meant.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// The values of a header that is a list: its lines are one (RFC 9110, 5.3).
    pub fn list(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().filter(|(known, _)| known == name);
        let values: Vec<&str> = found.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(","))
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Nothing.
    Empty,
    /// JSON.
    Json(Value),
    /// XML.
    Xml(String),
    /// Events, as they happen, for somebody.
    Events(Identity),
}

/// An answer. `Debug` does not show a new session's token.
#[derive(Clone, PartialEq)]
pub struct Response {
    /// Its status, as HTTP numbers it.
    pub status: u16,
    /// Its headers: names with their values.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub content: Content,
    /// Whether credentials were wrong: then it is held back.
    pub delayed: bool,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().filter(|(name, _)| *name != TOKEN).collect();
        let mut shown = f.debug_struct("Response");
        shown.field("status", &self.status).field("headers", &headers);
        shown.field("content", &self.content).field("delayed", &self.delayed).finish()
    }
}

/// The header with a new session's token.
pub const TOKEN: &str = "X-Auth-Token";

impl Response {
    /// An answer without headers.
    pub fn new(status: u16, content: Content) -> Self {
        Self { status, headers: Vec::new(), content, delayed: false }
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Its body, if it is JSON.
    pub fn json(&self) -> Option<&Value> {
        match &self.content {
            Content::Json(value) => Some(value),
            Content::Empty | Content::Xml(_) | Content::Events(_) => None,
        }
    }
}
