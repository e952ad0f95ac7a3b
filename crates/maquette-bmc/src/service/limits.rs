//! What may be asked of a service at most, and how it is set up.

use std::time::Duration;

/// What may be asked of a service at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Redfish sessions; whoever has been silent for longest goes.
    pub sessions: usize,
    /// Redfish sessions of one account.
    pub sessions_each: usize,
    /// Seconds after which a silent session ends.
    pub session_s: u64,
    /// Event subscriptions.
    pub subscriptions: usize,
    /// Streams of events.
    pub streams: usize,
    /// Streams of events of one account.
    pub streams_each: usize,
    /// How long an answer to wrong credentials is held back; one over IPMI for a part of that.
    pub wrong_credentials: Duration,
    /// TCP connections.
    pub connections: usize,
    /// TCP connections from one source.
    pub connections_each: usize,
    /// How old a connection gets, unless events are streamed over it.
    pub connection: Duration,
    /// Requests that wait for one node's machine at once; others wait for them.
    pub waiting: usize,
    /// How long an answer may take.
    pub answer: Duration,
    /// Bytes of a request's body.
    pub body: usize,
    /// How long a request may take to arrive.
    pub request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 256,
            sessions_each: 64,
            session_s: 1800,
            subscriptions: 16,
            streams: 16,
            streams_each: 2,
            wrong_credentials: Duration::from_secs(1),
            connections: 256,
            connections_each: 64,
            connection: Duration::from_secs(600),
            waiting: 4,
            answer: Duration::from_secs(60),
            body: 64 << 10,
            request: Duration::from_secs(20),
        }
    }
}

/// How a service is set up.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The limits.
    pub limits: Limits,
    /// Whether credentials are taken without TLS. For trials, and behind something that has TLS.
    pub plain: bool,
    /// The port of Redfish.
    pub https_port: u16,
    /// The port of IPMI; none if there is none. A node's own, if it has one, goes before it.
    pub ipmi_port: Option<u16>,
    /// Whether images may be read from, and events sent to, the hypervisor itself (its own addresses, loopback and link-local),
    /// and networks that are neither the environment's nor its way to the outside.
    pub own_addresses: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            plain: false,
            https_port: 443,
            ipmi_port: Some(623),
            own_addresses: false,
        }
    }
}
