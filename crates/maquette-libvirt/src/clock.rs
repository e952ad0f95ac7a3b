//! What time it is on the hypervisor, from which a guest that boots has it.

use std::time::Instant;

use maquette_engine::host::{Command, Host, check};

use crate::client::LibvirtError;

/// The hypervisor's clock, as it was asked once.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Nanoseconds since 1970, and when it was so here.
    said: u128,
    at: Instant,
}

impl Clock {
    /// Asks a hypervisor. What it says was so in the middle between question and answer, as far as anybody knows.
    pub fn of(host: &dyn Host) -> Result<Self, LibvirtError> {
        let asked = Instant::now();
        let said = check(host, &Command::new("date").arg("+%s%N"))
            .map_err(|e| LibvirtError::refused(e.to_string()))?;
        let unknown = || LibvirtError::refused(format!("`date` says `{}`", said.trim()));
        let said: u128 = said.trim().parse().map_err(|_| unknown())?;
        let at = asked + asked.elapsed() / 2;
        Ok(Self { said, at })
    }

    /// What time it is there now, in nanoseconds since 1970.
    pub fn now(self) -> u128 {
        self.said.saturating_add(self.at.elapsed().as_nanos())
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::process::Child;
    use std::time::Duration;

    use maquette_engine::host::{HostError, Output};

    use super::*;

    /// A hypervisor that takes its time to say what time it is.
    struct Slow;

    impl Host for Slow {
        fn run(&self, _: &Command, _: &mut dyn FnMut(&str)) -> Result<Output, HostError> {
            std::thread::sleep(Duration::from_millis(60));
            let stdout = "1795000000000000000\n".into();
            Ok(Output { status: Some(0), stdout, ..Output::default() })
        }

        fn spawn(&self, _: &Command) -> Result<Child, HostError> {
            Err(HostError::Taken)
        }

        fn read_tail(&self, _: &str, _: u64) -> Result<Option<Vec<u8>>, HostError> {
            Ok(None)
        }

        fn exists(&self, _: &str) -> bool {
            false
        }

        fn answers(&self, _: SocketAddr) -> bool {
            false
        }
    }

    #[test]
    fn what_a_guest_is_told_is_the_time_when_it_is_told() {
        let begun = Instant::now();
        let clock = Clock::of(&Slow).unwrap();
        let took = begun.elapsed().as_nanos();
        let told = |clock: Clock| clock.now() - 1_795_000_000_000_000_000;
        let first = told(clock);
        assert!((30_000_000..=took).contains(&first), "{first} of {took}");
        std::thread::sleep(Duration::from_millis(20));
        assert!(told(clock) >= first + 20_000_000);
    }
}
