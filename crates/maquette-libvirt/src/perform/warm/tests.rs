use std::net::SocketAddr;
use std::process::Child;

use maquette_engine::host::{HostError, Output};

use super::*;

/// A hypervisor that takes its time to say what time it is.
struct Slow;

impl Host for Slow {
    fn run(&self, _: &Command, _: &mut dyn FnMut(&str)) -> Result<Output, HostError> {
        std::thread::sleep(Duration::from_millis(60));
        Ok(Output { status: Some(0), stdout: "1795000000000000000\n".into(), ..Output::default() })
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

/// What is said is over by as much as it takes to say and to tell it.
#[test]
fn what_a_guest_is_told_is_the_time_when_it_hears_it() {
    let begun = Instant::now();
    let told = time_there(&Slow).unwrap() - 1_795_000_000_000_000_000;
    let took = begun.elapsed().as_nanos();
    assert!((60_000_000..=took).contains(&told), "{told} of {took}");
}

#[test]
fn memory_that_is_short_is_not_the_templates_fault() {
    for (why, fault) in [
        ("load of migration failed: Invalid argument", Fault::Memory),
        ("cannot set up guest memory 'pc.ram': Cannot allocate memory", Fault::Here),
        ("write: No space left on device", Fault::Here),
    ] {
        assert_eq!(Unusable::refused(LibvirtError::refused(why)).fault, fault, "{why}");
    }
}
