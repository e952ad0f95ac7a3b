//! Who hears of events: subscribers at an address of their own, and streams over a connection.

use std::sync::{Arc, MutexGuard};

use serde::{Deserialize, Serialize};

use super::{Identity, Service, held};
use crate::secret::Secret;

/// Which events somebody wants to hear of: all that are not excluded by one of these.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Types of events, in Redfish's words; all if there are none.
    pub types: Vec<String>,
    /// Identifiers of messages, without their registry and its version; all if there are none.
    pub messages: Vec<String>,
    /// Resources that events come from, by their paths; all if there are none.
    pub origins: Vec<String>,
    /// Whether what is below those counts, too.
    pub subordinate: bool,
}

/// Somebody who wants to hear of events.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Subscription {
    /// Its number.
    pub id: u32,
    /// Where events go; none for a stream of server-sent events.
    pub destination: Option<String>,
    /// The subscriber's own words.
    pub context: String,
    /// Whether the certificate of a subscriber is checked.
    pub verify: bool,
    /// What is sent.
    pub filter: Filter,
    /// Headers that are sent with it, which tell the subscriber who sends.
    pub headers: Vec<(String, Secret)>,
    /// Whether the subscription ends with a subscriber that does not take an event.
    pub ends: bool,
    /// Whose stream it is.
    pub account: Option<u8>,
}

/// A stream of events, which ends when it is dropped.
pub struct Stream {
    service: Arc<Service>,
    who: Identity,
    /// Its number among subscriptions.
    pub id: u32,
}

impl Stream {
    /// Whether it goes on: nobody has deleted it, and whoever began it could do so now.
    pub fn holds(&self) -> bool {
        self.service.subscriptions().iter().any(|s| s.id == self.id)
            && self.service.holds(&self.who)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.service.unsubscribe(self.id);
    }
}

impl Service {
    /// All subscriptions, and streams.
    pub fn subscriptions(&self) -> MutexGuard<'_, Vec<Subscription>> {
        held(&self.subscriptions)
    }

    fn number(&self) -> u32 {
        u32::try_from(self.next()).unwrap_or(u32::MAX)
    }

    /// Remembers a subscription, under a number of its own; none if there are too many.
    pub fn subscribe(&self, subscription: Subscription) -> Option<u32> {
        let id = self.number();
        let mut all = self.subscriptions();
        if all.iter().filter(|s| s.account.is_none()).count() >= self.options.limits.subscriptions {
            return None;
        }
        all.push(Subscription { id, account: None, ..subscription });
        Some(id)
    }

    /// Begins a stream; none if there are too many, or too many of that account.
    pub fn stream(self: &Arc<Self>, who: &Identity) -> Option<Stream> {
        let (id, limits) = (self.number(), &self.options.limits);
        let mut all = self.subscriptions();
        let streams = all.iter().filter_map(|subscription| subscription.account);
        let (count, own) = streams.fold((0, 0), |(count, own), account| {
            (count + 1, own + usize::from(account == who.account))
        });
        if count >= limits.streams || own >= limits.streams_each {
            return None;
        }
        all.push(Subscription { id, account: Some(who.account), ..Subscription::default() });
        Some(Stream { service: self.clone(), who: who.clone(), id })
    }

    /// Forgets a subscription.
    pub fn unsubscribe(&self, id: u32) -> bool {
        let mut all = self.subscriptions();
        let before = all.len();
        all.retain(|subscription| subscription.id != id);
        all.len() < before
    }
}
