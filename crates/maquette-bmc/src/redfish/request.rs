//! A request and an answer, as far as Redfish cares: no sockets, no TLS.

use serde_json::Value;

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

/// What was asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// How.
    pub method: Method,
    /// For what, without the query.
    pub path: String,
    /// What stands behind the question mark.
    pub query: String,
    /// Headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether it came over TLS.
    pub secure: bool,
    /// Where it came from.
    pub peer: String,
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
    /// Events, as they happen: of the subscription with this number.
    Events(u32),
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub content: Content,
    /// Whether credentials were wrong: then it is held back.
    pub delayed: bool,
}

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
