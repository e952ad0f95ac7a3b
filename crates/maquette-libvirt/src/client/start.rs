//! Calls that start domains, and that are made again where a signal has interrupted them.

use maquette_engine::Calls;
use virt::domain::Domain;
use virt::sys;

use super::gate::Instead;
use super::opening::connect;
use super::{Client, Kind, LibvirtError, Result, gate};

/// How often a call is made at most.
const ATTEMPTS: u32 = 5;

/// Makes a call that starts something, and makes it again where the kernel has broken off what libvirt did for it. libvirt
/// limits which devices a domain has by a program that it gives to the kernel (control groups, version 2), and the kernel
/// breaks off looking through that program when a signal comes, as one does whenever a process of libvirt's ends
/// (`kernel/bpf/verifier.c`). libvirt gives up then, and has taken back what it had begun.
pub(super) fn again<T, E: Into<LibvirtError>>(
    make: impl Fn() -> std::result::Result<T, E>,
) -> Result<T> {
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        match make().map_err(Into::into) {
            Err(error) if error.kind == Kind::Interrupted && left > 0 => {}
            made => return made,
        }
    }
}

impl Client {
    /// Starts a domain without a definition: it is gone when it ends.
    pub fn create_domain(&self, xml: &str) -> Result<Domain> {
        gate::call("create a domain", || again(|| self.bulk.create_domain_xml(xml, 0)))
    }

    /// The same, of a domain that also ends when this connection does, however it ends.
    pub fn create_domain_for_now(&self, name: &str, xml: &str) -> Result<Domain> {
        let flags = sys::VIR_DOMAIN_START_AUTODESTROY;
        let create = || again(|| self.bulk.create_domain_xml(xml, flags));
        gate::call_or("create a domain", &Instead::Create { xml }, create)?;
        Ok(self.bulk.lookup_domain_by_name(name)?)
    }

    /// Gives a domain the memory that was saved to a file on the hypervisor; whether it runs then is said there.
    pub fn restore(&self, file: &str, calls: Calls) -> Result<()> {
        let place = self.waiting.place(&self.bulk, calls, || connect(&self.uri));
        let instead = Instead::Restore { file };
        let restore = || again(|| place.connection.restore_domain(file));
        gate::call_or("restore memory", &instead, restore)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// One of twenty domains was not started for that, and `up` failed.
    #[test]
    fn what_a_signal_has_interrupted_is_begun_again_and_not_for_ever() {
        let said = "failed to load cgroup BPF prog: Resource temporarily unavailable";
        for (said, failures, attempts) in
            [(said, 0, 1), (said, 1, 2), (said, 4, 5), (said, 9, 5), ("no such device", 9, 1)]
        {
            let made = Cell::new(0);
            let result = again(|| {
                made.set(made.get() + 1);
                if made.get() > failures { Ok(()) } else { Err(LibvirtError::answered(said)) }
            });
            assert_eq!(made.get(), attempts, "{said} {failures}");
            assert_eq!(result.is_ok(), attempts > failures, "{said} {failures}");
        }
    }
}
