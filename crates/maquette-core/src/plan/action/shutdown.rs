//! How a domain is stopped.

use std::num::NonZeroU64;

/// How a domain is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Its guest may shut down by itself for so many seconds, then the plug is pulled.
    Within(NonZeroU64),
    /// The plug is pulled at once.
    PullPlug,
}

impl Shutdown {
    /// Within so many seconds; no time at all pulls the plug.
    pub fn within(seconds: u64) -> Self {
        NonZeroU64::new(seconds).map_or(Self::PullPlug, Self::Within)
    }

    /// The same if the guest `hears` that it is asked; else the plug is pulled.
    pub(in crate::plan) fn of_guest(self, hears: bool) -> Self {
        if hears { self } else { Self::PullPlug }
    }
}
