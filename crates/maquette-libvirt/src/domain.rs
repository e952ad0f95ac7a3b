//! Domains: define, start, stop, undefine. Each does nothing where nothing is to be done.

use std::time::{Duration, Instant};

use maquette_core::blueprint::{Node, Pool};
use maquette_core::names::EnvName;
use maquette_core::observed::{Hardware, Origin};
use maquette_core::plan::{LiveChange, Shutdown};
use maquette_engine::host::{Command, Host, check};
use maquette_engine::ssh_keys::RecordKey;
use maquette_engine::{Calls, StepError};

use crate::client::{self, Client, Domain, DomainEvent, LibvirtError};
use crate::virt_xml;
use crate::xml::nic::running_nics;
use crate::xml::{self, Mark};

const FORGET: &str = include_str!("../assets/forget.sh");

/// Defines a domain, with what `virt-xml` makes of its definition on the host.
pub fn define(
    (client, host): (&Client, &dyn Host),
    node: &Node,
    environment: &EnvName,
    pool: &Pool,
    key: Option<&RecordKey>,
    origin: Option<&Origin>,
) -> Result<(), StepError> {
    let failed = format!("cannot define domain `{}`", node.name);
    let xml = definition(client, node, environment, pool, key, origin);
    let xml = xml.map_err(|e| e.failed(failed.clone()))?;
    let xml =
        virt_xml::edited(host, node, xml).map_err(|e| StepError::new(failed.clone()).because(e))?;
    client.define_domain(&xml).map(|_| ()).map_err(|e| e.failed(failed))
}

/// The definition of a domain; one that exists keeps the mark of its first boot, who made it (`origin` does if it does not
/// exist), and what its BMC has made of its firmware and its CD-ROM drive. Its record is sealed with `key`.
fn definition(
    client: &Client,
    node: &Node,
    environment: &EnvName,
    pool: &Pool,
    key: Option<&RecordKey>,
    origin: Option<&Origin>,
) -> Result<String, LibvirtError> {
    let before = match client.domain(&node.name)? {
        Some(domain) => client::domain_xml(&domain)?,
        None => None,
    };
    let old = before.as_deref().and_then(|before| xml::read::domain(before).ok());
    let mark =
        old.as_ref().map(|old| Mark { failed: None, ..old.mark.clone() }).unwrap_or_default();
    let origin = match &old {
        Some(old) => old.origin.as_ref(),
        None => origin,
    };
    let mut xml = xml::domain_made(node, environment, pool, &mark, origin);
    if let (Some(before), Some(old), true) = (&before, &old, node.bmc.is_some()) {
        // Whoever asks for another firmware here has it; options of virt-install may ask for one, too.
        let same = match &old.record {
            xml::read::Record::Good(record) => {
                let known = &record.node;
                known.firmware == node.firmware && known.virtopts == node.virtopts
            }
            _ => false,
        };
        xml = xml::boot::carried(&xml, before, same).unwrap_or(xml);
    }
    Ok(xml::sealed(xml, key))
}

/// Records again what a domain was made from, and changes nothing else of it: its definition may have what no record has,
/// such as a password.
pub fn record(
    client: &Client,
    node: &Node,
    environment: &EnvName,
    pool: &Pool,
    key: Option<&RecordKey>,
) -> Result<(), LibvirtError> {
    let Some(domain) = client.domain(&node.name)? else { return Ok(()) };
    let record = xml::record(node, environment, pool, key);
    client::set_domain_metadata(&domain, &record, xml::metadata::PREFIX, xml::metadata::NAMESPACE)
}

/// Removes what a domain that is off leaves besides its definition: logs and directories.
pub fn forget(host: &dyn Host, name: &str) -> Result<(), StepError> {
    let left = std::iter::once(name.to_string()).chain(xml::logs(name));
    check(host, &Command::script(FORGET, left))
        .map(|_| ())
        .map_err(|e| StepError::new(format!("cannot remove the logs of `{name}`")).because(e))
}

/// Stops a domain, as one of `calls`. `deaf` says why nobody in the guest hears that it is asked, where that is known.
pub fn stop(
    client: &Client,
    name: &str,
    calls: Calls,
    shutdown: Shutdown,
    deaf: &(dyn Fn() -> Option<&'static str> + Sync),
    remark: &dyn Fn(String),
) -> Result<(), LibvirtError> {
    let stop = |domain: &Domain| {
        if !client::is_active(domain)? {
            return Ok(());
        }
        let Shutdown::Within(seconds) = shutdown else { return client::pull_plug(domain) };
        if is_blank(domain) {
            remark("powered off; it has no operating system: its disks are empty".into());
            return client::pull_plug(domain);
        }
        match shut_down(client, domain, Duration::from_secs(seconds.get()), deaf)? {
            Asked::Ended => {}
            Asked::Deaf(why) => remark(format!("powered off; its guest cannot shut down: {why}")),
            Asked::InVain => {
                remark(format!("powered off; its guest did not shut down within {seconds} s"));
            }
        }
        client::pull_plug(domain)
    };
    client.waiting(name, calls, stop).map(|_| ())
}

/// Most bytes of a disk's file to which nothing was ever written: a qcow2 file of any size has a quarter of that. The
/// smallest operating system takes more.
const EMPTY: u64 = 1 << 20;

/// Whether nothing can run on a domain that would hear of a request to shut down, since nothing was ever written to
/// any of its disks and none overlays an image. What has no disks may have booted from the network, and what cannot be
/// told is not.
fn is_blank(domain: &Domain) -> bool {
    let xml = client::live_xml(domain).ok().flatten();
    let Some(Ok(read)) = xml.as_deref().map(xml::read::domain) else { return false };
    let xml::read::Record::Good(record) = read.record else { return false };
    let node = record.node;
    if node.guest.is_some() || node.disks.iter().any(|d| d.backing.is_some()) {
        return false;
    }
    let devices: Vec<String> = read.hardware.disks.iter().map(|d| d.device.clone()).collect();
    let sizes = client::disk_files(domain, &devices);
    !sizes.is_empty() && sizes.len() == devices.len() && sizes.iter().all(|size| *size <= EMPTY)
}

/// What came of asking a guest to shut down.
enum Asked {
    /// It has.
    Ended,
    /// Nobody there hears it, and why.
    Deaf(&'static str),
    /// It took too long.
    InVain,
}

/// How long a guest has to hear that it is asked before it is looked whether it can.
const HEARS: Duration = Duration::from_secs(5);

/// Asks the guest and waits until libvirt tells of its end.
fn shut_down(
    client: &Client,
    domain: &Domain,
    timeout: Duration,
    deaf: &dyn Fn() -> Option<&'static str>,
) -> Result<Asked, LibvirtError> {
    let events = client.events()?;
    client::shut_down(domain)?;
    let deadline = Instant::now() + timeout;
    let mut look = Instant::now() + HEARS;
    // A domain without a definition is gone with its end.
    while client::is_active(domain).unwrap_or(false) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Asked::InVain);
        }
        if look <= Instant::now() {
            if let Some(why) = deaf().or_else(|| has_not_booted(domain)) {
                return Ok(Asked::Deaf(why));
            }
            look = Instant::now() + HEARS;
        }
        // Others' domains have events, too.
        let pause = left.min(look.saturating_duration_since(Instant::now()));
        if events.recv_timeout(pause) == Ok(DomainEvent::Closed) {
            return Ok(Asked::InVain);
        }
    }
    Ok(Asked::Ended)
}

/// As many reads as firmware needs to find out that there is nothing to boot.
const FEW_READS: u64 = 16;

/// Whether a domain is still in its firmware, which hears no power button: nothing was read from its disks but what firmware
/// looks for, and its NICs have sent nothing. What has none of either may have booted from the network.
fn has_not_booted(domain: &Domain) -> Option<&'static str> {
    let xml = client::live_xml(domain).ok().flatten()?;
    let disks = xml::read::domain(&xml).ok()?.hardware.disks;
    let devices: Vec<String> = disks.into_iter().map(|disk| disk.device).collect();
    let taps: Vec<String> = running_nics(&xml).into_iter().filter_map(|nic| nic.tap).collect();
    let sent = taps.iter().map(|tap| Some(client::frames(domain, tap)?.sent));
    let sent: u64 = sent.sum::<Option<u64>>()?;
    let (reads, writes) = client::reads_and_writes(domain, &devices)?;
    // One that goes on from a snapshot has read little, and writes.
    let is_quiet = sent == 0 && reads < FEW_READS && writes == 0;
    let is_so = !devices.is_empty() && !taps.is_empty() && is_quiet;
    is_so.then_some("it has not booted from its disk")
}

/// Removes a domain's definition, if there is one; says whether it ran, and had to be stopped.
pub fn undefine(client: &Client, name: &str) -> Result<bool, LibvirtError> {
    match client.domain(name)? {
        Some(domain) => client::undefine_domain(&domain),
        None => Ok(false),
    }
}

/// How long a guest may take to let go of a device.
const UNPLUG: Duration = Duration::from_secs(60);

/// Changes a running domain; what is so already stays so. An error if it is not defined, or its guest keeps what is to go.
pub fn change(client: &Client, name: &str, change: &LiveChange) -> Result<(), StepError> {
    let failed =
        |e: LibvirtError| StepError::new(format!("cannot change domain `{name}`")).because(e);
    let Some(domain) = client.domain(name).map_err(failed)? else {
        return Err(StepError::new(format!("cannot change domain `{name}`: it is not defined")));
    };
    let live = || -> Result<Hardware, StepError> {
        let xml = client::live_xml(&domain).map_err(failed)?.unwrap_or_default();
        let read = xml::read::domain(&xml).map(|d| d.hardware);
        read.map_err(|e| StepError::new(format!("cannot change domain `{name}`")).because(e))
    };
    match change {
        LiveChange::Memory { mib } => client::set_memory(&domain, *mib).map_err(failed),
        LiveChange::ResizeDisk { device, bytes } => {
            client::resize_disk(&domain, device, *bytes).map_err(failed)
        }
        LiveChange::AttachDisk { disk, pool } => {
            let file = disk.file(pool);
            if live()?.disks.iter().any(|d| d.file == file) {
                return Ok(());
            }
            client::attach(&domain, &xml::disk(disk, pool)).map_err(failed)
        }
        LiveChange::AttachInterface { interface } => {
            if live()?.nics.iter().any(|n| n.mac == interface.mac) {
                return Ok(());
            }
            // The guest runs: whatever its card's ROM would do is long past.
            client::attach(&domain, &xml::interface(interface, true)).map_err(failed)
        }
        LiveChange::Vnc { vnc } => client::update(&domain, &xml::vnc(vnc)).map_err(failed),
        LiveChange::DetachDisk { file, device } => {
            let there = || Ok(live()?.disks.iter().any(|d| d.file == *file));
            let found = live()?.disks.into_iter().find(|d| d.file == *file);
            let Some(found) = found else { return Ok(()) };
            let xml = xml::found_disk(&found);
            unplug(client, &domain, name, &xml, &format!("disk {device}"), &there)
        }
        LiveChange::DetachInterface { mac, .. } => {
            let there = || Ok(live()?.nics.iter().any(|n| n.mac == *mac));
            let found = live()?.nics.into_iter().find(|n| n.mac == *mac);
            let Some(found) = found else { return Ok(()) };
            let xml = xml::found_nic(&found);
            unplug(client, &domain, name, &xml, &format!("interface {mac}"), &there)
        }
    }
}

/// Asks the guest to let go of a device and waits until it has.
fn unplug(
    client: &Client,
    domain: &Domain,
    name: &str,
    xml: &str,
    what: &str,
    there: &dyn Fn() -> Result<bool, StepError>,
) -> Result<(), StepError> {
    let message = format!("cannot take {what} from domain `{name}`");
    let failed = |e: LibvirtError| StepError::new(message.clone()).because(e);
    let events = client.events().map_err(failed)?;
    client::detach(domain, xml).map_err(failed)?;
    let deadline = Instant::now() + UNPLUG;
    while there()? {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let seconds = UNPLUG.as_secs();
            let why = format!("{message}: its guest did not let go of it within {seconds} s");
            let stop = format!("stop it with `maquette stop {name}`, and run `maquette up` again");
            return Err(StepError::new(why).hint(stop));
        }
        // Whatever happened, the next look shows it.
        let _ = events.recv_timeout(left);
    }
    Ok(())
}

/// Lets a paused domain go on. Nothing if there is no such domain.
pub fn resume(client: &Client, name: &str) -> Result<(), LibvirtError> {
    match client.domain(name)? {
        Some(domain) => client::resume(&domain),
        None => Ok(()),
    }
}

/// Stops a domain's vCPUs. Nothing if there is no such domain.
pub fn pause(client: &Client, name: &str) -> Result<(), LibvirtError> {
    match client.domain(name)? {
        Some(domain) => client::pause(&domain),
        None => Ok(()),
    }
}

/// Presses a domain's reset button. Nothing if there is no such domain.
pub fn reset(client: &Client, name: &str) -> Result<(), LibvirtError> {
    match client.domain(name)? {
        Some(domain) => client::reset(&domain),
        None => Ok(()),
    }
}

/// Names of a running domain's taps on a network; empty if it does not run, or is not there.
pub fn taps(client: &Client, name: &str, network: &str) -> Result<Vec<String>, LibvirtError> {
    let Some(domain) = client.domain(name)? else { return Ok(Vec::new()) };
    let Some(xml) = client::live_xml(&domain)? else { return Ok(Vec::new()) };
    let taps = xml::read::domain(&xml).map(|d| d.taps).unwrap_or_default();
    Ok(taps.into_iter().filter(|(_, on)| on == network).map(|(tap, _)| tap).collect())
}

/// Notes what is known of a first boot, in the domain's metadata.
pub fn mark(domain: &Domain, mark: &Mark) -> Result<(), LibvirtError> {
    client::set_domain_metadata(domain, &mark.write(), "state", xml::metadata::STATE_NAMESPACE)
}

/// What was noted of a first boot, as far as it can be read.
pub fn marked(domain: &Domain) -> Mark {
    let xml = client::domain_xml(domain).ok().flatten();
    xml.and_then(|xml| xml::read::domain(&xml).ok()).map(|d| d.mark).unwrap_or_default()
}
