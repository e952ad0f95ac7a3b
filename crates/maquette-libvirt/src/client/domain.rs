//! What is done with one domain.

use maquette_core::doctor::{Frames, Power};
use virt::domain::{
    Domain, DomainPausedReason, DomainShutoffReason, DomainState, DomainStateReason,
    DomainStateReasonEnum,
};
use virt::sys;

use super::gate::Instead;
use super::start::again;
use super::{Result, gate, optional, settled};

/// Name of a domain.
pub fn domain_name(domain: &Domain) -> Result<String> {
    Ok(domain.name()?)
}

/// Persistent definition of a domain; none if it has gone since it was listed.
pub fn domain_xml(domain: &Domain) -> Result<Option<String>> {
    optional(gate::call("read a domain", || domain.xml_desc(sys::VIR_DOMAIN_XML_INACTIVE)))
}

/// The same with its secrets, such as the password of its VNC server; none if it has gone.
pub fn secret_xml(domain: &Domain) -> Result<Option<String>> {
    let all = sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE;
    optional(gate::call("read a domain", || domain.xml_desc(all)))
}

/// What a running domain is made of; none if it has stopped since it was listed.
pub fn live_xml(domain: &Domain) -> Result<Option<String>> {
    optional(gate::call("read a domain", || domain.xml_desc(0)))
}

/// Asks a running guest to use this much memory.
pub fn set_memory(domain: &Domain, mib: u64) -> Result<()> {
    gate::call("set memory", || domain.set_memory_flags(mib * 1024, sys::VIR_DOMAIN_AFFECT_LIVE))?;
    Ok(())
}

/// Tells a running guest of more room on a disk.
pub fn resize_disk(domain: &Domain, device: &str, bytes: u64) -> Result<()> {
    gate::call_or("resize a disk", &Instead::Resize { domain: &domain.name()? }, || {
        domain.block_resize(device, bytes, sys::VIR_DOMAIN_BLOCK_RESIZE_BYTES)
    })
}

/// Plugs a device into a running domain.
pub fn attach(domain: &Domain, xml: &str) -> Result<()> {
    let instead = Instead::Attach { domain: &domain.name()?, device: xml };
    gate::call_or("attach a device", &instead, || {
        again(|| domain.attach_device_flags(xml, sys::VIR_DOMAIN_AFFECT_LIVE))
    })
}

/// Changes a device of a running domain.
pub fn update(domain: &Domain, xml: &str) -> Result<()> {
    gate::call("update a device", || domain.update_device_flags(xml, sys::VIR_DOMAIN_AFFECT_LIVE))
}

/// Asks a running guest to let go of a device; it may take its time.
pub fn detach(domain: &Domain, xml: &str) -> Result<()> {
    let instead = Instead::Detach { domain: &domain.name()?, device: xml };
    gate::call_or("detach a device", &instead, || {
        domain.detach_device_flags(xml, sys::VIR_DOMAIN_AFFECT_LIVE)
    })
}

/// Lets a paused domain go on. One that runs is left alone.
pub fn resume(domain: &Domain) -> Result<()> {
    match gate::call("resume", || domain.resume()) {
        // Whatever a driver calls it that a domain runs already.
        Err(_) if domain.is_active().unwrap_or(false) && !is_paused(domain) => Ok(()),
        other => Ok(other.map(|_| ())?),
    }
}

/// Pauses a domain. One that is paused is left alone.
pub fn pause(domain: &Domain) -> Result<()> {
    settled(gate::call("pause", || domain.suspend().map(|_| ())), || is_paused(domain))
}

/// Whether a domain is paused.
pub fn is_paused(domain: &Domain) -> bool {
    domain.state().is_ok_and(|(state, _)| state.is_known_and(|s| s == DomainState::Paused))
}

/// Whether libvirt has made a domain's process and not let it run yet: it lists such a domain as
/// paused.
pub fn is_starting_up(domain: &Domain) -> bool {
    domain.state().is_ok_and(|(_, reason)| match reason {
        DomainStateReasonEnum::Known(DomainStateReason::Paused(why)) => {
            why.is_known_and(|why| why == DomainPausedReason::StartingUp)
        }
        _ => false,
    })
}

/// What a domain does, and why.
pub fn power(domain: &Domain) -> Result<Power> {
    let (state, reason) = gate::call("look at a domain", || domain.state())?;
    let DomainStateReasonEnum::Known(reason) = reason else {
        let runs = state.is_known_and(|s| s == DomainState::Running);
        return Ok(if runs { Power::Running } else { Power::Off("an unknown state".into()) });
    };
    Ok(match reason {
        DomainStateReason::Paused(why) => {
            let is = |wanted| why.is_known_and(|why| why == wanted);
            if is(DomainPausedReason::IOError) {
                Power::IoError
            } else if is(DomainPausedReason::Crashed) {
                Power::GuestCrashed
            } else if is(DomainPausedReason::Watchdog) {
                Power::Watchdog
            } else if is(DomainPausedReason::StartingUp) {
                Power::Running
            } else {
                Power::Paused
            }
        }
        DomainStateReason::Crashed(_) => Power::GuestCrashed,
        DomainStateReason::Shutoff(why) => {
            let is = |wanted| why.is_known_and(|why| why == wanted);
            if is(DomainShutoffReason::Crashed) {
                Power::EmulatorDied
            } else if is(DomainShutoffReason::Failed) {
                Power::StartFailed
            } else {
                let said =
                    if is(DomainShutoffReason::Destroyed) { "switched off" } else { "shut off" };
                Power::Off(said.into())
            }
        }
        _ => Power::Running,
    })
}

/// How often QEMU has read from some disks of a running domain, and has written to them; none if libvirt cannot tell.
pub fn reads_and_writes(domain: &Domain, devices: &[String]) -> Option<(u64, u64)> {
    let (mut reads, mut writes) = (0, 0);
    for device in devices {
        let stats = gate::call("count reads", || domain.block_stats(device)).ok()?;
        reads += u64::try_from(stats.rd_req).ok()?;
        writes += u64::try_from(stats.wr_req).ok()?;
    }
    Some((reads, writes))
}

/// Frames of a running domain's tap, as the guest counts them; none if libvirt cannot tell.
pub fn frames(domain: &Domain, tap: &str) -> Option<Frames> {
    let stats = gate::call("count frames", || domain.interface_stats(tap)).ok()?;
    let (sent, received) = (stats.tx_packets.try_into().ok()?, stats.rx_packets.try_into().ok()?);
    Some(Frames { sent, received })
}

/// Resets a running domain, as its button would.
pub fn reset(domain: &Domain) -> Result<()> {
    gate::call("reset", || domain.reset())
}

/// Whether a domain runs.
pub fn is_active(domain: &Domain) -> Result<bool> {
    gate::call("look whether a domain runs", || domain.is_active())
}

/// Starts a domain with the hypervisor from now on.
pub fn set_autostart(domain: &Domain) -> Result<()> {
    autostart(domain, true)
}

/// Whether a domain starts with the hypervisor from now on.
pub fn autostart(domain: &Domain, on: bool) -> Result<()> {
    gate::call("set autostart", || domain.set_autostart(on).map(|_| ()))
}

/// Whether a domain starts with the hypervisor.
pub fn starts_with_hypervisor(domain: &Domain) -> Result<bool> {
    gate::call("look for autostart", || domain.autostart())
}

/// Saves a running domain's memory to a file on the hypervisor, which ends it.
pub fn save(domain: &Domain, file: &str) -> Result<()> {
    let instead = Instead::Save { domain: &domain.name()?, file };
    gate::call_or("save memory", &instead, || super::raw::save(domain, file))
}

/// Starts a domain with the hypervisor from now on, and now. One that runs is left alone.
pub fn start_domain(domain: &Domain) -> Result<()> {
    set_autostart(domain)?;
    match gate::call("start", || again(|| domain.create())) {
        // Whatever a driver calls it that a domain runs already.
        Err(_) if domain.is_active().unwrap_or(false) => Ok(()),
        other => Ok(other.map(|_| ())?),
    }
}

/// Sizes in bytes of the files of a domain's disks, by their device names; those that libvirt cannot tell are left out.
pub fn disk_files(domain: &Domain, devices: &[String]) -> Vec<u64> {
    let size = |device: &String| gate::call("measure a disk", || domain.block_info(device, 0)).ok();
    devices.iter().filter_map(size).map(|info| info.physical).collect()
}

/// Asks a guest to shut down.
pub fn shut_down(domain: &Domain) -> Result<()> {
    settled(gate::call("shut down", || domain.shutdown()), || !domain.is_active().unwrap_or(true))
}

/// Stops a domain at once. One that is off is left alone.
pub fn pull_plug(domain: &Domain) -> Result<()> {
    let pulled = gate::call("pull the plug", || domain.destroy());
    settled(pulled, || match optional(domain.is_active()) {
        // One that was only ever started is gone with its end.
        Ok(active) => !active.unwrap_or(false),
        Err(_) => false,
    })
}

/// Removes a domain's definition with all that libvirt keeps of it. As with networks, one that was
/// being started is stopped; says whether that was so.
pub fn undefine_domain(domain: &Domain) -> Result<bool> {
    let memory =
        sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
    let old = memory | sys::VIR_DOMAIN_UNDEFINE_NVRAM;
    // Drivers and versions that lack one of these know nothing that it would remove, but refuse to go on with others.
    let mut undefined =
        [old | sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA, old, memory].into_iter();
    if !undefined.any(|flags| gate::call("undefine", || domain.undefine_flags(flags)).is_ok()) {
        optional(gate::call("undefine", || domain.undefine()))?;
    }
    match domain.is_active() {
        Ok(true) => pull_plug(domain).map(|()| true),
        _ => Ok(false),
    }
}

/// Puts an element of our own into a domain's metadata.
pub fn set_domain_metadata(
    domain: &Domain,
    xml: &str,
    prefix: &str,
    namespace: &str,
) -> Result<()> {
    let kind = sys::VIR_DOMAIN_METADATA_ELEMENT as i32;
    let set = |flags| {
        gate::call("set metadata", || {
            domain.set_metadata(kind, Some(xml), Some(prefix), Some(namespace), flags)
        })
    };
    let config = sys::VIR_DOMAIN_AFFECT_CONFIG;
    // Most run, and those that do not say so.
    match set(config | sys::VIR_DOMAIN_AFFECT_LIVE) {
        Err(error) if error.is_out_of_state() => set(config).map(|_| ()),
        other => other.map(|_| ()),
    }
}
