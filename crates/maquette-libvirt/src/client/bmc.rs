//! Calls that only BMCs make.

use uuid::Uuid;
use virt::domain::Domain;
use virt::sys;

use super::start::again;
use super::{Client, Kind, LibvirtError, Result, gate, raw};

impl LibvirtError {
    /// Whether there is no such object.
    pub fn is_missing(&self) -> bool {
        self.kind == Kind::Missing
    }
}

impl Client {
    /// Starts a domain that is defined as something else, until it ends: then its definition is as it was. `anew` forgets
    /// what its firmware remembers.
    pub fn start_as(&self, xml: &str, anew: bool) -> Result<()> {
        let flags = if anew { sys::VIR_DOMAIN_START_RESET_NVRAM } else { 0 };
        let start = |flags| self.bulk.create_domain_xml(xml, flags).map(|_| ());
        match gate::call("start", || again(|| start(flags))) {
            // Before 8.1 libvirt does not know how to forget.
            Err(error) if anew && error.kind == Kind::Flags => {
                gate::call("start", || again(|| start(0)))
            }
            started => started,
        }
    }
}

/// Whether a domain that is off goes on from its memory when it is started.
pub fn is_suspended(domain: &Domain) -> bool {
    // Drivers that keep no memory do not know.
    gate::call("look for a domain's memory", || domain.has_managed_save(0)).unwrap_or(false)
}

/// Ends a domain, with its memory kept.
pub fn suspend(domain: &Domain) -> Result<()> {
    gate::call("suspend a domain", || domain.managed_save(0))
}

/// Has a domain go on from its memory.
pub fn wake(domain: &Domain) -> Result<()> {
    gate::call("start", || again(|| domain.create().map(|_| ())))
}

/// Forgets a domain's memory.
pub fn forget_memory(domain: &Domain) -> Result<()> {
    gate::call("forget a domain's memory", || domain.managed_save_remove(0))
}

/// A domain's UUID.
pub fn domain_uuid(domain: &Domain) -> Result<Uuid> {
    gate::call("read a domain", || domain.uuid())
}

/// Sends a domain a non-maskable interrupt.
pub fn inject_nmi(domain: &Domain) -> Result<()> {
    gate::call("send an NMI", || raw::inject_nmi(domain))
}

/// How large a disk is, in bytes; none if libvirt cannot tell. The volume that its file is says it at once. Of others QEMU is
/// asked, if the domain runs, which takes it a moment to answer where it has a lot to do.
pub fn disk_capacity(
    client: &Client,
    domain: &Domain,
    device: &str,
    file: Option<&str>,
) -> Option<u64> {
    let of_volume = |file: &str| {
        let found = || client.control.lookup_storage_vol_by_path(file);
        super::capacity(&gate::call("find a volume", found).ok()?).ok()
    };
    let asked = || {
        let info = gate::call("measure a disk", || domain.block_info(device, 0));
        info.ok().map(|info| info.capacity)
    };
    file.and_then(of_volume).or_else(asked)
}

/// Changes what is in a drive of a running domain, also while the guest has its door locked, as Linux has for as long as it
/// knows the disc: a BMC asks nobody.
pub fn change_media(domain: &Domain, xml: &str) -> Result<()> {
    let update = |force| domain.update_device_flags(xml, sys::VIR_DOMAIN_AFFECT_LIVE | force);
    match gate::call("change a disc", || update(sys::VIR_DOMAIN_DEVICE_MODIFY_FORCE)) {
        // Other drivers than QEMU's have no doors.
        Err(error) if error.kind == Kind::Flags => gate::call("change a disc", || update(0)),
        changed => changed,
    }
}

/// Changes a device of a domain's definition.
pub fn update_definition(domain: &Domain, xml: &str) -> Result<()> {
    let flags = sys::VIR_DOMAIN_AFFECT_CONFIG;
    gate::call("update a device", || domain.update_device_flags(xml, flags))
}
