//! IPMI's watchdog timer (IPMI 2.0, 27): whoever set it has to come back before it runs out.

use serde::{Deserialize, Serialize};

/// What happens when it runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Timeout {
    /// It is logged.
    Nothing,
    /// The node is reset.
    Reset,
    /// The node is switched off.
    Off,
    /// The node is switched off and on.
    Cycle,
}

impl Timeout {
    /// IPMI's number of it.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Nothing, Self::Reset, Self::Off, Self::Cycle].get(usize::from(number)).copied()
    }

    /// IPMI's number of it.
    pub fn number(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Reset => 1,
            Self::Off => 2,
            Self::Cycle => 3,
        }
    }

    /// What it does, in words: `power off`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing was done",
            Self::Reset => "reset",
            Self::Off => "power off",
            Self::Cycle => "power cycle",
        }
    }
}

/// The timer, with what IPMI's commands set of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// Whether it was set since the BMC started; before, it cannot be reset.
    pub is_set: bool,
    /// Who uses it: a number from 1 to 5.
    pub user: u8,
    /// Whether running out is not logged.
    pub dont_log: bool,
    /// What happens at the end.
    pub timeout: Timeout,
    /// What happens before, as IPMI numbers it: nothing, or an [`NMI`].
    pub before: u8,
    /// How many seconds before.
    pub before_s: u8,
    /// Users whose timer has run out, a bit each.
    pub expired: u8,
    /// How long it runs, in tenths of a second.
    pub countdown: u16,
    /// When it runs out, in seconds of [`Clock::steady`](crate::clock::Clock::steady); none if it does not run.
    #[serde(skip)]
    until: Option<u64>,
    /// How often what happens at the end was tried.
    #[serde(skip)]
    attempts: u8,
    /// Whether what happens before has happened.
    #[serde(skip)]
    warned: bool,
}

/// A non-maskable interrupt, as what happens before the end.
pub const NMI: u8 = 2;

/// Who has sent it, in the log's words.
pub const BY_WATCHDOG: &str = "The watchdog timer has sent it.";

/// How often it is tried, once a second.
const ATTEMPTS: u8 = 60;

impl Default for Watchdog {
    fn default() -> Self {
        let (is_set, user, dont_log, timeout) = (false, 1, false, Timeout::Nothing);
        let (before, before_s, expired, countdown, until, attempts) = (0, 0, 0, 0, None, 0);
        Self {
            is_set,
            user,
            dont_log,
            timeout,
            before,
            before_s,
            expired,
            countdown,
            until,
            attempts,
            warned: false,
        }
    }
}

impl Watchdog {
    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.until.is_some()
    }

    /// Starts it, or starts it again.
    pub fn restart(&mut self, now: u64) {
        (self.attempts, self.warned) = (0, false);
        self.until = Some(now + u64::from(self.countdown).div_ceil(10));
    }

    /// Lets it run for tenths of a second that were left.
    pub fn resume(&mut self, now: u64, left: u16) {
        self.restart(now);
        self.until = Some(now + u64::from(left).div_ceil(10));
    }

    /// Stops it.
    pub fn stop(&mut self) {
        (self.until, self.attempts) = (None, 0);
    }

    /// Whether the interrupt is due that comes before its end: once.
    pub fn warns(&mut self, now: u64) -> bool {
        let from = self.until.map(|until| until.saturating_sub(u64::from(self.before_s)));
        let due = self.before == NMI && from.is_some_and(|from| now >= from);
        due && !std::mem::replace(&mut self.warned, true)
    }

    /// Whether it has run out.
    pub fn is_due(&self, now: u64) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// Whether nothing was tried yet since it was started.
    pub fn is_first(&self) -> bool {
        self.attempts == 0
    }

    /// What is left of it, in tenths of a second.
    pub fn left(&self, now: u64) -> u16 {
        let left = self.until.map_or(0, |until| until.saturating_sub(now).saturating_mul(10));
        let whole = if self.runs() { left } else { u64::from(self.countdown) };
        u16::try_from(whole).unwrap_or(u16::MAX).min(self.countdown)
    }

    /// What is to be done, if it has run out now: again and again, for a while, until it [`acted`](Self::acted).
    pub fn expires(&mut self, now: u64) -> Option<Timeout> {
        if !self.is_due(now) {
            return None;
        }
        self.expired |= 1 << (self.user & 7);
        self.attempts += 1;
        if self.attempts >= ATTEMPTS {
            self.stop();
        }
        Some(self.timeout)
    }

    /// What was to be done is done.
    pub fn acted(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_out_once_unless_somebody_comes_back() {
        let mut timer =
            Watchdog { countdown: 25, timeout: Timeout::Cycle, user: 3, ..Watchdog::default() };
        assert_eq!(timer.expires(1_000), None);
        timer.restart(100);
        assert_eq!((timer.left(100), timer.left(102)), (25, 10));
        timer.restart(102);
        assert_eq!(timer.expires(104), None);
        assert_eq!([timer.expires(105), timer.expires(106)], [Some(Timeout::Cycle); 2]);
        timer.acted();
        assert_eq!((timer.expires(200), timer.expired), (None, 8));
        timer.restart(300);
        let tries = (400..600).filter(|now| timer.expires(*now).is_some()).count();
        assert_eq!(tries, usize::from(ATTEMPTS));
    }
}
