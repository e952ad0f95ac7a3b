//! Packets of nobody yet: how many of them are looked at. Addresses of senders can be forged, so that none of them may use up
//! what others need, and many of them not much of it.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use crate::guesses::Source;

/// Packets of one source: so many at once, and so many a second. Fifty clients that begin together send four or five each.
const EACH: (u32, u32) = (256, 128);
/// Packets of all of them.
const ALL: (u32, u32) = (2048, 2048);
/// Sources are told apart so far; two that share a bucket cannot know it of each other.
const BUCKETS: usize = 64;

/// Lets so many through.
#[derive(Debug, Clone)]
struct Bucket {
    rate: (u32, u32),
    left: u32,
    filled: u64,
}

impl Bucket {
    fn new(rate: (u32, u32), now: u64) -> Self {
        Self { rate, left: rate.0, filled: now }
    }

    fn admits(&mut self, now: u64) -> bool {
        let seconds = u32::try_from(now.saturating_sub(self.filled)).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(seconds.saturating_mul(self.rate.1)).min(self.rate.0);
        self.filled = now;
        let admits = self.left > 0;
        self.left = self.left.saturating_sub(1);
        admits
    }
}

/// Who has sent how much.
pub struct Strangers {
    all: Bucket,
    each: Vec<Bucket>,
    /// Nobody knows which source has which bucket.
    hasher: RandomState,
}

impl Strangers {
    /// Nobody has sent anything.
    pub fn new(now: u64) -> Self {
        let each = vec![Bucket::new(EACH, now); BUCKETS];
        Self { all: Bucket::new(ALL, now), each, hasher: RandomState::new() }
    }

    /// Whether a packet is looked at.
    pub fn admits(&mut self, peer: IpAddr, now: u64) -> bool {
        let hash = self.hasher.hash_one(Source::of(peer)) as usize;
        // A source's own first: what it has too much of is nobody else's.
        self.each[hash % BUCKETS].admits(now) && self.all.admits(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_uses_up_its_own_share() {
        let mut strangers = Strangers::new(100);
        let loud = IpAddr::from([192, 0, 2, 1]);
        let admitted = (0..10_000).filter(|_| strangers.admits(loud, 100)).count();
        assert_eq!(admitted, EACH.0 as usize);
        let admitted = (0..10_000).filter(|_| strangers.admits(loud, 101)).count();
        assert_eq!(admitted, EACH.1 as usize);
        let others = (2..=255).filter(|n| strangers.admits([192, 0, 2, *n].into(), 101)).count();
        assert!(others > 200, "{others}");
    }
}
