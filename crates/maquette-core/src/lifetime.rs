//! How long an environment lasts, and whose it is: what is noted of it on the hypervisor besides its objects.
//!
//! It is a note of lines, a word and a value, so that the shell there which removes what has expired reads it, too.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::str::FromStr;

use crate::names::EnvName;
use crate::values::Line;

/// How long an environment is to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// Until somebody removes it.
    Never,
    /// So many seconds.
    For(u64),
}

/// The longest time, in seconds: ten years.
const LONGEST: u64 = 10 * 366 * 86_400;

/// Seconds of an hour.
const HOUR: u64 = 3600;

/// The shortest time, in seconds: what removes environments looks once in a minute.
const SHORTEST: u64 = 60;

impl std::fmt::Display for Ttl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::For(seconds) = self else { return f.write_str("never") };
        let units = [(86_400, 'd'), (HOUR, 'h'), (60, 'm')];
        let (unit_s, unit) =
            units.into_iter().find(|(unit_s, _)| seconds % unit_s == 0).unwrap_or((1, 's'));
        write!(f, "{}{unit}", seconds / unit_s)
    }
}

impl FromStr for Ttl {
    type Err = String;

    /// Reads numbers with their units, such as `8h`, `90m`, `1d12h`; or `never`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a time: write `30m`, `8h`, `2d` or `1d12h`, or `never`");
        if text.trim() == "never" {
            return Ok(Self::Never);
        }
        let (mut seconds, mut rest) = (0u64, text.trim());
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            let unit = rest[digits..].chars().next().ok_or_else(wrong)?;
            let unit_s = match unit {
                's' => 1,
                'm' => 60,
                'h' => 3600,
                'd' => 86_400,
                'w' => 7 * 86_400,
                _ => return Err(wrong()),
            };
            seconds = seconds.saturating_add(number.saturating_mul(unit_s));
            rest = &rest[digits + unit.len_utf8()..];
        }
        match seconds {
            SHORTEST..=LONGEST => Ok(Self::For(seconds)),
            0 => Err(wrong()),
            _ => Err(format!("`{text}` is not between a minute and ten years")),
        }
    }
}

/// What is noted of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// When it expires, in seconds since 1970 by the hypervisor's clock.
    pub expires_s: Option<u64>,
    /// How long it was to last when that was said, in seconds.
    pub ttl_s: Option<u64>,
    /// Whether its time is up, its nodes are removed, and networks stay that only `maquette down` removes.
    pub is_over: bool,
    /// Whose it is, in words of whoever built it; none if they gave none.
    pub owner: Option<String>,
    /// Whether somebody has said since it was built until when it lasts, or that it does not end: no `up` takes that back.
    pub extended: bool,
}

impl Lifetime {
    /// Whether nothing is noted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it ends before another one does.
    pub fn ends_before(&self, other: &Self) -> bool {
        let end = |lifetime: &Self| lifetime.expires_s.unwrap_or(u64::MAX);
        end(self) < end(other)
    }

    /// Whether its end is so near that people are warned: in the last hour, or the last tenth of a longer time; of a time
    /// that is not much longer than an hour, in its second half.
    pub fn ends_soon(&self, now_s: u64) -> bool {
        let soon = self.ttl_s.map_or(HOUR, |ttl_s| (ttl_s / 10).max(HOUR.min(ttl_s / 2)));
        self.expires_s.is_some_and(|at| at.saturating_sub(now_s) <= soon)
    }

    /// What is noted after something was said about it, at a time in seconds since 1970.
    #[must_use]
    pub fn after(&self, ttl: Option<Ttl>, owner: Option<&str>, now_s: u64) -> Self {
        let mut lifetime = self.clone();
        // Who builds what has expired wants it as long again.
        let expired = self.expires_s.is_some_and(|at| at <= now_s);
        lifetime.extended = self.extended && !expired;
        let ttl = ttl.filter(|ttl| !self.outlasts(*ttl, now_s));
        match ttl.or(self.ttl_s.filter(|_| expired).map(Ttl::For)) {
            None if expired => lifetime.expires_s = None,
            None => {}
            Some(Ttl::Never) => {
                (lifetime.expires_s, lifetime.ttl_s, lifetime.extended) = (None, None, false);
            }
            Some(Ttl::For(ttl_s)) => {
                let expires_s = now_s.saturating_add(ttl_s);
                (lifetime.expires_s, lifetime.ttl_s) = (Some(expires_s), Some(ttl_s));
                lifetime.extended = false;
            }
        }
        // Somebody builds it again.
        lifetime.is_over = false;
        lifetime.owner = owner.map(String::from).or(lifetime.owner);
        lifetime
    }

    /// Whether somebody has given it more time than it would have by a time to live from now on: no `up` takes that back.
    pub fn outlasts(&self, ttl: Ttl, now_s: u64) -> bool {
        let Ttl::For(ttl_s) = ttl else { return false };
        let is_later = |at: u64| at > now_s.saturating_add(ttl_s);
        self.extended && self.expires_s.is_none_or(is_later)
    }

    /// What is noted after somebody has said how long it is to last from now on.
    #[must_use]
    pub fn extended(&self, ttl: Ttl, now_s: u64) -> Self {
        let before = Self { extended: false, ..self.clone() };
        Self { extended: true, ..before.after(Some(ttl), None, now_s) }
    }

    /// Whether it ends earlier than an environment that exists was to end before, if that had not ended yet. One of which
    /// nothing is noted was to stay.
    pub fn is_sooner_than(&self, before: &Self, now_s: u64) -> bool {
        let lives = !before.is_over && before.expires_s.is_none_or(|at| at > now_s);
        let earlier = |at: u64| before.expires_s.is_none_or(|known| at < known);
        lives && self.expires_s.is_some_and(earlier)
    }

    /// The note's text.
    pub fn text(&self, environment: &EnvName) -> String {
        let mut out = format!("environment {environment}\n");
        let word = if self.is_over { "expired" } else { "expires" };
        let numbers = [(word, self.expires_s), ("ttl", self.ttl_s)];
        for (word, number) in numbers {
            if let Some(number) = number {
                // Writing to a String cannot fail.
                let _ = writeln!(out, "{word} {number}");
            }
        }
        if self.extended {
            out.push_str("extended yes\n");
        }
        if let Some(owner) = &self.owner {
            let _ = writeln!(out, "owner {owner}");
        }
        out
    }

    /// Reads notes, one after the other. What is not understood is passed over.
    pub fn parse_all(text: &str) -> BTreeMap<EnvName, Self> {
        let mut lifetimes: BTreeMap<EnvName, Self> = BTreeMap::new();
        let mut current = None;
        for line in text.lines() {
            let Some((word, value)) = line.split_once(' ') else { continue };
            if word == "environment" {
                current = value.parse::<EnvName>().ok();
                continue;
            }
            let Some(lifetime) =
                current.as_ref().map(|name: &EnvName| lifetimes.entry(name.clone()).or_default())
            else {
                continue;
            };
            match word {
                "expires" => lifetime.expires_s = value.parse().ok(),
                "expired" => {
                    lifetime.expires_s = value.parse().ok();
                    lifetime.is_over = lifetime.expires_s.is_some();
                }
                "ttl" => lifetime.ttl_s = value.parse().ok(),
                "extended" => lifetime.extended = value == "yes",
                "owner" => lifetime.owner = value.parse::<Line>().ok().map(|line| line.to_string()),
                _ => {}
            }
        }
        lifetimes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_units() {
        let is =
            |text: &str, seconds: u64| assert_eq!(text.parse(), Ok(Ttl::For(seconds)), "{text}");
        is("8h", 28_800);
        is(" 1d12h ", 129_600);
        is("90m", 5400);
        is("60s", 60);
        is("2w", 1_209_600);
        assert_eq!("never".parse(), Ok(Ttl::Never));
        for text in ["never", "8h", "90m", "2d", "61s"] {
            assert_eq!(text.parse::<Ttl>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "8",
            "h",
            "8x",
            "-1h",
            "8 h",
            "0m",
            "59s",
            "11000w",
            "1h8",
            "é",
            "99999999999999999999d",
        ] {
            assert!(text.parse::<Ttl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_note_survives_its_text_and_strangers_lines() {
        let lab = EnvName::from_prefix("lab").unwrap();
        let lifetime = Lifetime {
            expires_s: Some(1_700_028_800),
            ttl_s: Some(28_800),
            is_over: false,
            owner: Some("Ann, team 4".into()),
            extended: true,
        };
        let over = Lifetime { is_over: true, owner: None, ..lifetime.clone() };
        let text = format!(
            "expires 5\n{}what else\n{}environment ../x\nexpires 1\n",
            lifetime.text(&lab),
            over.text(&EnvName::default())
        );
        let all = Lifetime::parse_all(&text);
        assert_eq!(all, [(lab, lifetime), (EnvName::default(), over)].into());
        assert!(
            Lifetime::parse_all("environment lab\nowner a\u{1b}[31m\n")
                .values()
                .all(Lifetime::is_empty)
        );
    }

    #[test]
    fn people_are_warned_in_time_and_not_all_the_time() {
        let lifetime =
            |ttl_s| Lifetime { expires_s: Some(1_000_000), ttl_s, ..Lifetime::default() };
        for (ttl_s, from) in
            [(None, 3600), (Some(28_800), 3600), (Some(864_000), 86_400), (Some(1800), 900)]
        {
            let lifetime = lifetime(ttl_s);
            assert!(
                lifetime.ends_soon(1_000_000 - from) && !lifetime.ends_soon(999_999 - from),
                "{ttl_s:?}"
            );
        }
        assert!(lifetime(None).ends_soon(2_000_000) && !Lifetime::default().ends_soon(0));
    }

    #[test]
    fn what_is_not_said_stays() {
        let first = Lifetime::default().after(Some(Ttl::For(600)), Some("ann"), 1000);
        assert_eq!((first.expires_s, first.ttl_s), (Some(1600), Some(600)));
        assert_eq!(first.after(None, None, 1500), first);
        assert_eq!(first.after(None, None, 1600).expires_s, Some(2200));
        assert_eq!(first.after(Some(Ttl::For(60)), None, 1500).expires_s, Some(1560));
        let forever = first.after(Some(Ttl::Never), None, 1500);
        assert_eq!(forever, Lifetime { owner: Some("ann".into()), ..Lifetime::default() });
    }

    /// The `up` of a colleague, or of CI, with a time in the project file had an environment go that was kept for longer.
    #[test]
    fn what_somebody_has_extended_no_up_shortens() {
        let first = Lifetime::default().after(Some(Ttl::For(600)), None, 1000);
        let long = first.extended(Ttl::For(9000), 1100);
        assert_eq!((long.expires_s, long.extended), (Some(10_100), true));
        assert_eq!(long.after(Some(Ttl::For(600)), None, 1200), long);
        let forever = first.extended(Ttl::Never, 1100);
        assert_eq!(forever.after(Some(Ttl::For(600)), None, 1200), forever);
        // It lasts longer with each of these, and from then on as the file says.
        let later = long.after(Some(Ttl::For(600)), None, 9800);
        assert_eq!((later.expires_s, later.extended), (Some(10_400), false));
        let again = long.after(Some(Ttl::For(600)), None, 11_000);
        assert_eq!((again.expires_s, again.extended), (Some(11_600), false));
        // What `never` has taken back is the file's to say again.
        let never = forever.after(Some(Ttl::Never), None, 1200);
        assert_eq!((never.expires_s, never.extended), (None, false));
        assert_eq!(never.after(Some(Ttl::For(600)), None, 1300).expires_s, Some(1900));
        assert!(long.outlasts(Ttl::For(600), 1200) && !long.outlasts(Ttl::For(9000), 1200));
        assert!(forever.outlasts(Ttl::For(600), 1200) && !forever.outlasts(Ttl::Never, 1200));
        // One that is shortened on purpose is.
        assert_eq!(forever.extended(Ttl::For(60), 1200).expires_s, Some(1260));
    }

    #[test]
    fn a_life_that_ends_sooner_than_noted_is_known() {
        let noted = Lifetime::default().after(Some(Ttl::For(600)), None, 1000);
        let in_s = |ttl_s| noted.extended(Ttl::For(ttl_s), 1100);
        assert!(in_s(60).is_sooner_than(&noted, 1100));
        assert!(!in_s(600).is_sooner_than(&noted, 1100));
        assert!(!in_s(60).is_sooner_than(&noted, 1600), "that has ended");
        assert!(!noted.extended(Ttl::Never, 1100).is_sooner_than(&noted, 1100));
        assert!(in_s(60).is_sooner_than(&noted.extended(Ttl::Never, 1100), 1100));
        // Nobody had said anything: it was to stay.
        assert!(in_s(60).is_sooner_than(&Lifetime::default(), 1100));
        assert!(!Lifetime::default().is_sooner_than(&Lifetime::default(), 1100));
    }
}
