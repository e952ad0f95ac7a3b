//! The time, for whoever stamps what happened, and seconds that pass, for whoever waits. Tests hand in their own.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a hypervisor may take until its services have begun.
const BOOTING_S: u64 = 15 * 60;

type Seconds = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Tells seconds since 1970, and seconds that go on whatever becomes of the time.
#[derive(Clone)]
pub struct Clock {
    now: Seconds,
    steady: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Which boot of the hypervisor this is, and how old it was in seconds, if that is known.
    boot: Option<(Arc<str>, u64)>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    /// The system's clocks.
    pub fn system() -> Self {
        static STARTED: OnceLock<Instant> = OnceLock::new();
        let started = STARTED.get_or_init(Instant::now);
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Self { now: Arc::new(now), steady: Arc::new(|| started.elapsed()), boot: None }
    }

    /// A clock of the caller's, whose time nobody sets.
    pub fn from(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let now: Seconds = Arc::new(now);
        let steady = now.clone();
        Self { now, steady: Arc::new(move || Duration::from_secs(steady())), boot: None }
    }

    /// Two clocks of the caller's: the time, and seconds that pass.
    pub fn of(
        now: impl Fn() -> u64 + Send + Sync + 'static,
        steady: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        let steady = Arc::new(move || Duration::from_secs(steady()));
        Self { now: Arc::new(now), steady, boot: None }
    }

    /// The same in a boot of the hypervisor that is known by some words of its own, as the kernel's `boot_id`, and was so many
    /// seconds old when this began.
    pub fn in_boot(self, boot: &str, age: u64) -> Self {
        Self { boot: Some((boot.into(), age)), ..self }
    }

    /// Which boot of the hypervisor this is, if that is known.
    pub fn boot(&self) -> Option<&str> {
        self.boot.as_ref().map(|(boot, _)| boot.as_ref())
    }

    /// Whether this began with the hypervisor, and not some day later.
    pub fn began_with_boot(&self) -> bool {
        self.boot.as_ref().is_some_and(|(_, age)| *age < BOOTING_S)
    }

    /// Seconds since 1970. For stamps: it may jump when somebody sets it.
    pub fn now(&self) -> u64 {
        (self.now)()
    }

    /// Seconds since some moment, which go neither back nor ahead. For whatever lasts.
    pub fn steady(&self) -> u64 {
        self.moment().as_secs()
    }

    /// The same, as exactly as it is known.
    pub fn moment(&self) -> Duration {
        (self.steady)()
    }

    /// A time as Redfish writes it, in UTC.
    pub fn text(seconds: u64) -> String {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(Clock::text(0), "1970-01-01T00:00:00Z");
        assert_eq!(Clock::text(1_700_000_000), "2023-11-14T22:13:20Z");
        assert!(!Clock::text(u64::MAX).is_empty());
    }
}
