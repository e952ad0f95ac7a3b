//! Wrong passwords: what they cost whoever tries them, and how many of them are told of.
//!
//! Failures are counted for each source (an IPv4 address, or an IPv6 network of 64 bits), for each account, and for each
//! pair of both. From some on, passwords are looked at one by one: those of a source a second apart, and those for an account
//! more closely, so that one source that guesses does not keep all others from it. A pair that was right before is held back
//! by its own failures only: nobody locks others out of their account, or out of a host that they share.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

/// Failures that cost nothing but an answer that comes late.
const FREE: u32 = 4;
/// Parts of a second, in which turns are counted.
const PARTS: u64 = 8;
/// Parts between two passwords that are looked at, from then on: of one source, and for one account.
const APART: u64 = PARTS;
const APART_ACCOUNT: u64 = 1;
/// Longest that somebody is held back; whoever would have to wait longer is sent away.
const LONGEST_S: u64 = 10;
/// Seconds without a failure after which all are forgotten.
const FORGOTTEN_S: u64 = 300;
/// Most sources, accounts and pairs that are known; those that were seen longest ago go.
const KNOWN: usize = 512;
/// Most lines in a minute that tell of wrong credentials.
const LINES: u32 = 20;

/// Where somebody is, as far as they cannot choose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// The source of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Self(IpAddr::V6(Ipv6Addr::from(network)))
            }
            v4 => Self(v4),
        }
    }
}

/// Failures of one source, account or pair.
#[derive(Debug, Clone, Copy, Default)]
struct Failures {
    count: u32,
    /// When the last one was, or something was right.
    seen: u64,
    /// When the next password is looked at, in parts of a second.
    next: u64,
    right: bool,
}

/// Some of them, by what they are of.
#[derive(Debug)]
struct Table<K>(HashMap<K, Failures>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn of(&mut self, key: &K, now: u64) -> &mut Failures {
        if !self.0.contains_key(key) && self.0.len() >= KNOWN {
            let oldest = self.0.iter().min_by_key(|(_, failures)| (failures.right, failures.seen));
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.map(|key| self.0.remove(&key));
        }
        let failures = self.0.entry(key.clone()).or_default();
        if now.saturating_sub(failures.seen) >= FORGOTTEN_S {
            failures.count = 0;
        }
        failures
    }

    fn get(&self, key: &K) -> Failures {
        self.0.get(key).copied().unwrap_or_default()
    }
}

/// What is known of wrong passwords.
#[derive(Debug, Default)]
pub struct Guesses {
    sources: Table<Source>,
    accounts: Table<String>,
    pairs: Table<(Source, String)>,
    /// Lines in the minute that began then.
    lines: (u64, u32),
}

/// Names that no account has are counted together: there is no end of them.
const NOBODY: &str = "";

impl Guesses {
    /// How many seconds a password is held back before it is looked at; none if that would be too long. `account` is the
    /// name of an account that there is.
    pub fn hold(&mut self, source: Source, account: Option<&str>, now: u64) -> Option<u64> {
        let account = account.unwrap_or(NOBODY).to_string();
        let pair = (source, account.clone());
        let known = self.pairs.get(&pair).right;
        let begun = now * PARTS;
        let (mut next, mut slow) = (begun, false);
        let mut look = |failures: &Failures| {
            if failures.count >= FREE {
                next = next.max(failures.next);
                slow = true;
            }
        };
        look(self.pairs.of(&pair, now));
        if !known {
            look(self.sources.of(&source, now));
            look(self.accounts.of(&account, now));
        }
        if !slow {
            return Some(0);
        }
        let wait = (next - begun).div_ceil(PARTS);
        if wait > LONGEST_S {
            return None;
        }
        // Whoever comes next is after this one.
        self.pairs.of(&pair, now).next = next + APART;
        if !known {
            self.sources.of(&source, now).next = next + APART;
            let account = self.accounts.of(&account, now);
            account.next = account.next.max(begun) + APART_ACCOUNT;
        }
        Some(wait)
    }

    /// A password was wrong. Whether a line tells of it.
    pub fn wrong(&mut self, source: Source, account: Option<&str>, now: u64) -> bool {
        let account = account.unwrap_or(NOBODY).to_string();
        let pair = (source, account.clone());
        for (failures, apart) in [
            (self.pairs.of(&pair, now), APART),
            (self.sources.of(&source, now), APART),
            (self.accounts.of(&account, now), APART_ACCOUNT),
        ] {
            failures.count = failures.count.saturating_add(1);
            failures.seen = now;
            failures.next = failures.next.max(now * PARTS + apart);
        }
        if now.saturating_sub(self.lines.0) >= 60 {
            self.lines = (now, 0);
        }
        self.lines.1 = self.lines.1.saturating_add(1);
        self.lines.1 <= LINES
    }

    /// Whether this is the first that no line tells of, in this minute.
    pub fn is_silent_from_now(&self) -> bool {
        self.lines.1 == LINES + 1
    }

    /// A password was right.
    pub fn right(&mut self, source: Source, account: &str, now: u64) {
        let pair = self.pairs.of(&(source, account.to_string()), now);
        *pair = Failures { count: 0, seen: now, next: 0, right: true };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::of(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn guesses_are_a_second_apart_whatever_their_number() {
        let mut guesses = Guesses::default();
        for _ in 0..FREE {
            assert_eq!(guesses.hold(source(1), Some("admin"), 100), Some(0));
            guesses.wrong(source(1), Some("admin"), 100);
        }
        let waits: Vec<_> = (0..20).map(|_| guesses.hold(source(1), Some("admin"), 100)).collect();
        assert_eq!(waits[..3], [Some(1), Some(2), Some(3)]);
        assert_eq!((waits[9], waits[10], waits[19]), (Some(10), None, None));
        // From elsewhere it is the same account: there is a place for others, and not for any number of them.
        assert!(guesses.hold(source(2), Some("admin"), 100).is_some_and(|wait| wait > 0));
        let others = (3..=250).filter(|n| guesses.hold(source(*n), Some("admin"), 100).is_some());
        assert!(others.count() <= (PARTS * LONGEST_S) as usize);
        assert_eq!(guesses.hold(source(2), Some("other"), 100), Some(0));
        assert_eq!(guesses.hold(source(1), Some("other"), 100), None);
        assert_eq!(guesses.hold(source(1), Some("admin"), 100 + FORGOTTEN_S), Some(0));
    }

    #[test]
    fn whoever_was_right_before_is_not_held_back_for_others() {
        let mut guesses = Guesses::default();
        guesses.right(source(1), "admin", 100);
        for _ in 0..100 {
            guesses.wrong(source(2), Some("admin"), 100);
            guesses.wrong(source(1), Some("oper"), 100);
        }
        assert_eq!(guesses.hold(source(1), Some("admin"), 101), Some(0));
        for _ in 0..FREE {
            guesses.wrong(source(1), Some("admin"), 101);
        }
        assert_eq!(guesses.hold(source(1), Some("admin"), 101), Some(1));
    }

    #[test]
    fn what_is_known_and_what_is_told_is_bounded() {
        let mut guesses = Guesses::default();
        let told = (0..3_000u32).filter(|n| {
            let source = Source::of(IpAddr::from(n.to_be_bytes()));
            guesses.wrong(source, Some(&n.to_string()), 100)
        });
        assert_eq!(told.count(), LINES as usize);
        let sizes = (guesses.sources.0.len(), guesses.accounts.0.len(), guesses.pairs.0.len());
        assert_eq!(sizes, (KNOWN, KNOWN, KNOWN));
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("fd00::1"), of("fd00::ffff:1"));
        assert_ne!(of("fd00:0:0:1::1"), of("fd00::1"));
        assert_eq!(of("::ffff:192.0.2.1"), source(1));
    }
}
