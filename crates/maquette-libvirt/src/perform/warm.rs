//! Templates, and nodes that start from them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use maquette_core::blueprint::{Disk, Interface, Node, Pool, Template};
use maquette_core::hex::hex;
use maquette_core::plan::{LiveChange, Readiness};
use maquette_core::seed::SeedFile;
use maquette_core::seed::report::{self, Report};
use maquette_core::start_times::Came;
use maquette_core::topology::{Preallocation, SeedDrive};
use maquette_engine::host::{Command, check};
use maquette_engine::image;
use maquette_engine::image::template::{self, Ids};
use maquette_engine::ready::{self, NotReady, Signal};
use maquette_engine::{Backend, StepContext, StepError};
use uuid::Uuid;

use self::plugs::Plugs;
use super::Libvirt;
use super::memory_image::MemoryImage;
use crate::client::{self, Domain, LibvirtError};
use crate::clock::Clock;
use crate::guest_port::{self, Listener};
use crate::xml::warm::{self, Kept};
use crate::{domain, volume};

/// How often a wait looks whether the user wants to stop.
const LOOK: Duration = Duration::from_millis(500);

/// What helps where a template cannot be made.
const BOOTS: &str = "`--start cold` boots every node by itself";

/// What a run learns, for those to come.
#[derive(Debug, Default)]
pub struct Learnt {
    /// Nodes that booted although a template was there for them, and how many seconds these boots took.
    pub booted: BTreeMap<String, u64>,
    /// What came of templates, by their keys.
    pub templates: BTreeMap<String, Came>,
    /// Images that it has looked into and found to have no cloud-init, as they are shown.
    pub without_cloud_init: BTreeSet<String>,
}

/// The same, noted while steps run.
pub type Notes = Arc<Mutex<Learnt>>;

/// What a run has found out about a template.
pub(super) enum Known {
    /// It could not be made.
    Failed,
    /// How its memory image begins, and what of it is the node's own.
    MemoryImage(Arc<MemoryImage>),
}

/// Why a template cannot be made, or a node does not run with its memory.
struct Unusable {
    why: Box<StepError>,
    fault: Fault,
}

/// Whose fault that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// This node's, or this moment's.
    Here,
    /// The template's: it is so for each run and node.
    Template,
    /// The same of its memory, which may do when it is made again: QEMU has not taken it.
    Memory,
}

impl Unusable {
    fn here(why: StepError) -> Self {
        Self { why: Box::new(why), fault: Fault::Here }
    }

    fn always(why: StepError) -> Self {
        Self { why: Box::new(why), fault: Fault::Template }
    }

    /// libvirt has not restored a template's memory. Others share that, so it is blamed only for what QEMU says of its
    /// content, and not for a bridge that is missing or a full disk.
    fn refused(error: LibvirtError) -> Self {
        let fault = if error.is_of_memory() { Fault::Memory } else { Fault::Here };
        let why = StepError::new("libvirt cannot restore it").because(error);
        Self { why: Box::new(why), fault }
    }
}

fn blamed(why: &StepError) -> Came {
    Came::Failed(why.in_one_line())
}

/// What a template is made of, and for.
#[derive(Clone, Copy)]
pub(super) struct Making<'a> {
    pub(super) template: &'a Template,
    pub(super) node: &'a Node,
    pub(super) pool: &'a Pool,
    pub(super) files: &'a [SeedFile],
}

impl Libvirt<'_> {
    /// Makes a template. Where it is not `required`, nodes boot if it cannot be made.
    pub(super) fn try_template(
        &self,
        making: Making<'_>,
        required: bool,
        context: &StepContext<'_>,
    ) -> Result<(), StepError> {
        let made = self.make_template(making, context);
        match &made {
            Ok(()) => self.note(making.template, Came::Made, context),
            Err(Unusable { fault: Fault::Here, .. }) => {}
            Err(Unusable { why, .. }) => self.note(making.template, blamed(why), context),
        }
        match made.map_err(|unusable| *unusable.why) {
            Err(why) if !required && !context.is_cancelled() => {
                (context.progress)(format!(
                    "nodes boot, since it cannot be made: {}",
                    why.in_one_line()
                ));
                self.templates().insert(making.template.key.clone(), Known::Failed);
                Ok(())
            }
            made => made,
        }
    }

    fn templates(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.templates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a template could not be made by this run.
    fn has_failed(&self, template: &Template) -> bool {
        matches!(self.templates().get(&template.key), Some(Known::Failed))
    }

    /// Has a node boot although a template was there for it, and notes how long that took, whatever was tried before.
    fn boot(
        &self,
        name: &str,
        ready: &Readiness,
        context: &StepContext<'_>,
    ) -> Result<(), StepError> {
        let begun = Instant::now();
        let booted = self.start_domain(name, Some(ready), context);
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.booted.insert(name.to_string(), begun.elapsed().as_secs_f64().ceil() as u64);
        booted
    }

    /// Once in a run, removes what was left of copies of memory and of half-made templates by runs that were killed, or with the hypervisor: the shell that would have removed it is gone, too.
    fn sweep(&self, pool: &Pool) {
        // Others wait for that: what is swept may be called as what they are about to make.
        self.swept.get_or_init(|| {
            // What cannot be removed is in nobody's way.
            let _ = image::sweep_templates(self.access.host, &pool.path);
        });
    }

    /// Notes for runs to come what came of a template. That it was not gone on with is nothing to learn from.
    fn note(&self, template: &Template, came: Came, context: &StepContext<'_>) {
        let is_fault = matches!(came, Came::Failed(_) | Came::Gone(_));
        if is_fault && (context.is_cancelled() || self.is_lost()) {
            return;
        }
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = notes.templates.entry(template.key.clone()).or_insert(Came::Made);
        if came > *known {
            *known = came;
        }
    }

    /// A disk that overlays a template's, or its image's if that template could not be made.
    pub(super) fn over<'d>(&self, disk: &'d Disk, template: Option<&Template>) -> Cow<'d, Disk> {
        match template.filter(|template| self.has_failed(template)) {
            Some(template) => {
                let backing = Some(template.image.clone());
                Cow::Owned(Disk { backing, ..disk.clone() })
            }
            None => Cow::Borrowed(disk),
        }
    }

    /// Boots an image once, and saves its memory when its agent has nothing more to do.
    fn make_template(&self, making: Making<'_>, context: &StepContext<'_>) -> Result<(), Unusable> {
        let (host, transfer) = (self.access.host, self.access.transfer);
        let Making { template, pool, .. } = making;
        let (memory, disk, seed) = (template.memory(), template.disk(), template.seed());
        self.sweep(pool);
        // Another run may be at it for too long.
        let begun = template::begin(host, transfer, &pool.path, (&memory, &disk, &seed), context)
            .map_err(Unusable::here)?;
        let Some(mut files) = begun else { return Ok(()) };
        // What is left of an earlier one may be in use for as long as its nodes are there.
        if let Err(error) = self.clear(template, pool) {
            files.leave();
            return Err(Unusable::here(error.hint(BOOTS)));
        }
        let booted = self.boot_template(making, files.part(), context);
        // What cannot be used has no place among templates.
        match booted.and_then(|()| self.examined(making.node, template, files.part())) {
            Ok(memory) => {
                self.end_template(template, pool).map_err(Unusable::here)?;
                files.place().map_err(Unusable::here)?;
                self.templates().insert(template.key.clone(), Known::MemoryImage(memory));
                Ok(())
            }
            Err(mut error) => {
                error.excerpt = self.console(&template.name());
                // The first error is the one to tell; whatever is left goes before it is tried again.
                let _ = self.clear(template, pool);
                files.leave();
                Err(Unusable::always(error.hint(BOOTS)))
            }
        }
    }

    /// Ends the domain from which a template is made.
    fn end_template(&self, template: &Template, pool: &Pool) -> Result<(), StepError> {
        let client = self.client()?;
        let storage = volume::find_pool(client, pool)?;
        let place = (&storage, pool.path.as_str());
        crate::template::end(client, self.access.host, place, &template.name())
    }

    /// Removes what a run left that had begun with a template: it no longer has its lock.
    fn clear(&self, template: &Template, pool: &Pool) -> Result<(), StepError> {
        self.end_template(template, pool)?;
        let client = self.client()?;
        // Without its memory, a disk may still be what nodes' disks overlay.
        if volume::is_overlaid(client, &template.disk(), pool)? {
            let name = template.name();
            let message =
                format!("nodes' disks overlay that of template `{name}`, whose memory is gone");
            return Err(StepError::new(message));
        }
        volume::delete(client, &template.disk(), pool)
    }

    fn boot_template(
        &self,
        making: Making<'_>,
        part: &str,
        context: &StepContext<'_>,
    ) -> Result<(), StepError> {
        let Making { template, node, pool, files } = making;
        let (client, name) = (self.client()?, template.name());
        let failed =
            |e: LibvirtError| StepError::new(format!("cannot make template `{name}`")).because(e);
        let Some(first) = node.disks.first() else {
            return Err(StepError::new(format!("cannot make template `{name}`: it has no disk")));
        };
        let disk = Disk {
            volume: template.disk(),
            size: None,
            backing: Some(template.image.clone()),
            preallocation: Preallocation::Off,
            pool: None,
            ..first.clone()
        };
        volume::create(client, &disk, pool, &|path| image::virtual_size(self.access.host, path))?;
        volume::create_seed(client, &template.seed(), pool, files)?;
        // libvirt gives addresses to all devices that a node has when it is defined; what is plugged in later has
        // not to be there for that.
        let defined =
            client.define_domain(&warm::template(node, template, pool)).map_err(failed)?;
        let xml = client::domain_xml(&defined).map_err(failed)?.unwrap_or_default();
        client::undefine_domain(&defined).map_err(failed)?;
        let bare = warm::unconnected(&xml, node, template)
            .map_err(|e| StepError::new(format!("cannot make template `{name}`")).because(e))?;
        let running = client.create_domain_for_now(&name, &bare).map_err(failed)?;
        let (sender, receiver) = guest_port::channel();
        let listener = guest_port::listen(client, &name, sender).map_err(failed)?;
        let settled = self
            .await_template(&name, &Report::Template, &receiver, context)
            .and_then(|()| self.take_seed(node, template, pool))
            // From here on nothing runs in it but its agent, and so in nodes, until these have heard who they are.
            .and_then(|()| listener.say(&format!("{}\n", report::STILL)).map_err(failed))
            .and_then(|()| self.await_template(&name, &Report::Still, &receiver, context));
        listener.close();
        settled?;
        (context.progress)("saving its memory".into());
        client::save(&running, part).map_err(failed)?;
        // It holds nobody's secrets, and QEMU reads it under whatever account.
        let disk = format!("{}/{}", pool.path, template.disk());
        for command in [
            Command::new("chmod").args(["644", "--", &disk]),
            // QEMU may leave that to the kernel, and the memory is of no use without it.
            Command::new("sync").args(["--", &disk]),
        ] {
            check(self.access.host, &command)
                .map_err(|e| StepError::new(format!("cannot make template `{name}`")).because(e))?;
        }
        Ok(())
    }

    /// Takes the seed out of a template. A CD-ROM stays: a node has its own in that drive, and its guest looks at it for the
    /// first time.
    fn take_seed(&self, node: &Node, template: &Template, pool: &Pool) -> Result<(), StepError> {
        let drive = node.guest.as_ref().map(|guest| guest.drive).unwrap_or_default();
        let (file, device) =
            (format!("{}/{}", pool.path, template.seed()), drive.device().to_string());
        match drive {
            SeedDrive::CdRom => Ok(()),
            SeedDrive::Disk => {
                let change = LiveChange::DetachDisk { file, device };
                domain::change(self.client()?, &template.name(), &change)
            }
        }
    }

    /// Waits until a template's agent has said a word: that it waits, or that nothing else runs.
    fn await_template(
        &self,
        name: &str,
        awaited: &Report,
        signals: &Receiver<Signal>,
        context: &StepContext<'_>,
    ) -> Result<(), StepError> {
        let booting = *awaited == Report::Template;
        let stage = if booting { "booting" } else { "stopping what runs in it" };
        (context.progress)(stage.into());
        let deadline = Instant::now() + self.guests.limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seconds = self.guests.limit.as_secs();
                let message = format!("template `{name}` had not booted after {seconds} s");
                return Err(StepError::new(message).hint("`--timeout SECONDS` waits longer"));
            }
            if context.is_cancelled() {
                return Err(StepError::interrupted("it is made again the next time"));
            }
            match signals.recv_timeout(left.min(LOOK)) {
                Ok(Signal::Reported(said)) if said == *awaited => return Ok(()),
                Ok(Signal::Reported(Report::Begun)) => {
                    let message = format!("template `{name}` has no agent that waits");
                    return Err(StepError::new(message));
                }
                Ok(Signal::Reported(said)) => {
                    if let Some(errors) = ready::errors_of(&said) {
                        let message = format!("the agent of template `{name}` failed");
                        return Err(StepError::new(message).because(errors.join("; ")));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Signal::Stopped) | Err(RecvTimeoutError::Disconnected) => {
                    let message = format!("template `{name}` stopped while it booted");
                    return Err(StepError::new(message));
                }
            }
        }
    }

    /// Starts a node from a template; where that cannot be, or does not go on to its end, it boots.
    pub(super) fn restore_domain(
        &self,
        node: &Node,
        pool: &Pool,
        template: &Template,
        ready: &Readiness,
        context: &StepContext<'_>,
    ) -> Result<(), StepError> {
        let (client, name) = (self.client()?, node.name.as_str());
        let failed =
            |e: LibvirtError| StepError::new(format!("cannot start domain `{name}`")).because(e);
        let Some(domain) = client.domain(name).map_err(failed)? else {
            return Err(StepError::new(format!("cannot start domain `{name}`: it is not defined")));
        };
        if client::is_active(&domain).map_err(failed)? {
            return self.await_domain(name, ready, context);
        }
        if self.has_failed(template) {
            return self.boot(name, ready, context);
        }
        client::set_autostart(&domain).map_err(failed)?;
        // With the password of its VNC server.
        let xml = client::secret_xml(&domain).map_err(failed)?.unwrap_or_default();
        let boot = |why: StepError, fault: Fault| {
            self.boot_instead(&domain, name, ready, &why.in_one_line(), context)?;
            // What a node has that does not boot either, or whose template others start from, is not the template's.
            if let Some(came) = self.came(fault, &why, template, pool) {
                self.note(template, came, context);
            }
            Ok(())
        };
        let plugs = match self.restore_memory(node, &xml, pool, template) {
            Ok(plugs) => plugs,
            Err(Unusable { why, fault }) => return boot(*why, fault),
        };
        let watched = self.watch(name, ready, context, |domain, listener| {
            self.plug(domain, listener, &plugs).map_err(|e| {
                let message = format!("cannot plug in what belongs to domain `{name}`");
                StepError::new(message).because(e)
            })
        });
        let why = match watched {
            Err(why) if context.is_cancelled() || self.is_lost() => return Err(why),
            Err(why) => why,
            Ok(waited) => match waited.result.as_ref().err().and_then(NotReady::still_template) {
                Some(why) => StepError::new(why),
                None => {
                    let ended = self.conclude(name, waited);
                    if ended.is_ok() {
                        self.note(template, Came::Started, context);
                    }
                    return ended;
                }
            },
        };
        boot(why, Fault::Template)
    }

    /// What is learnt of a template from a node that has not started from it.
    fn came(
        &self,
        fault: Fault,
        why: &StepError,
        template: &Template,
        pool: &Pool,
    ) -> Option<Came> {
        match fault {
            Fault::Here => None,
            Fault::Memory if self.takes_away(template, pool) => Some(Came::Gone(why.in_one_line())),
            Fault::Template | Fault::Memory => Some(blamed(why)),
        }
    }

    /// Removes the memory of a template that QEMU did not take, so that it is made again once nothing overlays the template: it
    /// may be damaged, or not fit what the hypervisor's kernel is now. Not where this run has made it, or nodes have started
    /// from it, or another run has the template's lock, which may just be making it.
    fn takes_away(&self, template: &Template, pool: &Pool) -> bool {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.templates.contains_key(&template.key) {
            return false;
        }
        drop(notes);
        let (memory, disk) = (template.memory(), template.disk());
        template::forget_memory(self.access.host, &pool.path, &memory, &disk).is_ok()
    }

    /// Boots a node that cannot start from a template, or that did not become one. Nothing of its user's has run in it,
    /// and what its agent has done to its disk is done again by a boot: it has no instance yet.
    pub(super) fn boot_instead(
        &self,
        domain: &Domain,
        name: &str,
        ready: &Readiness,
        why: &str,
        context: &StepContext<'_>,
    ) -> Result<(), StepError> {
        let failed =
            |e: LibvirtError| StepError::new(format!("cannot start domain `{name}`")).because(e);
        (context.progress)(format!("boots, since it cannot start warm: {why}"));
        if client::is_active(domain).map_err(failed)? {
            client::pull_plug(domain).map_err(failed)?;
        }
        self.boot(name, ready, context)
    }

    /// Gives a domain a template's memory, with which it is paused; returns what is to be plugged into it.
    fn restore_memory(
        &self,
        node: &Node,
        xml: &str,
        pool: &Pool,
        template: &Template,
    ) -> Result<Plugs, Unusable> {
        let unusable = |why: &dyn std::fmt::Display| {
            let memory = template.memory();
            Unusable::here(StepError::new(format!("memory image {memory} cannot be used: {why}")))
        };
        // A disk of an earlier run has another content than what the memory knows of it.
        let disk = node.disks.first().map_or("", |disk| disk.volume.as_str());
        let overlays =
            self.client().and_then(|c| volume::overlays(c, disk, &template.disk(), pool));
        if !overlays.map_err(Unusable::here)? {
            return Err(unusable(&format!("volume {disk} does not overlay its disk")));
        }
        let path = format!("{}/{}", pool.path, template.memory());
        let memory = self.memory(node, template, &path).map_err(Unusable::always)?;
        let kept = Kept::of(node);
        if let Some(mac) = warm::pulled(xml, &kept).map_err(|e| unusable(&e))? {
            return Err(unusable(&format!("the cable of the node's NIC {mac} is pulled")));
        }
        let bare = warm::bare(xml, &kept).map_err(|e| unusable(&e))?;
        let parts = warm::plugs(xml, &kept).map_err(|e| unusable(&e))?;
        let disc = self.other_disc(node, xml, pool).map_err(Unusable::here)?;
        if !warm::fit(&bare, &memory.head.xml).map_err(|e| unusable(&e))? {
            return Err(unusable(&"libvirt gives its devices other addresses"));
        }
        let ids = Ids {
            uuid: node.uuid,
            boot: boot_id().map_err(|e| unusable(&e))?,
            macs: nics(node).map(|nic| nic.mac).collect(),
        };
        let patches = memory.patches(&bare, &ids).map_err(|e| unusable(&e))?;
        let scratch = format!("{}/.{}.{}.qcow2.part", pool.path, template.name(), node.name);
        self.sweep(pool);
        // There may be room for it the next time.
        let copy = template::Copy::make(self.access.host, &path, &scratch, &patches)
            .map_err(Unusable::here)?;
        let client = self.client().map_err(Unusable::here)?;
        client.restore(copy.path(), self.guests.calls).map_err(Unusable::refused)?;
        let size = node.disks.first().and_then(|d| Some((d.device.to_string(), d.size?.0)));
        Ok(Plugs { disc, size, parts })
    }

    /// What has to be known of a template's memory image, which is read once in a run.
    fn memory(
        &self,
        node: &Node,
        template: &Template,
        path: &str,
    ) -> Result<Arc<MemoryImage>, StepError> {
        let mut known = self.templates();
        if let Some(Known::MemoryImage(memory)) = known.get(&template.key) {
            return Ok(memory.clone());
        }
        let memory = self.examined(node, template, path)?;
        known.insert(template.key.clone(), Known::MemoryImage(memory.clone()));
        Ok(memory)
    }

    fn examined(
        &self,
        node: &Node,
        template: &Template,
        path: &str,
    ) -> Result<Arc<MemoryImage>, StepError> {
        let macs = template.macs(nics(node).count());
        MemoryImage::examine(self.access.host, path, template.uuid(), &macs).map(Arc::new)
    }

    /// Tells a guest that waits for it something random, and what time it is on the hypervisor, roughly: it asks as soon as it
    /// runs. One that waits for nothing does not read it.
    pub(super) fn wake(&self, listener: Option<&Listener>) -> Result<(), LibvirtError> {
        let Some(listener) = listener else { return Ok(()) };
        let random = hex(random::<64>()?);
        let clock = Clock::of(self.access.host)?;
        listener.tells_time(clock);
        listener.say(&format!("wake {} {random}\n", clock.now()))
    }
}

/// The NICs of a node that are in its template's memory.
fn nics(node: &Node) -> impl Iterator<Item = &Interface> {
    node.interfaces.iter().filter(|nic| nic.is_in_template())
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], LibvirtError> {
    let mut random = [0u8; BYTES];
    getrandom::getrandom(&mut random)
        .map_err(|e| LibvirtError::refused(format!("no random numbers: {e}")))?;
    Ok(random)
}

/// What a kernel would have drawn when it booted.
fn boot_id() -> Result<Uuid, LibvirtError> {
    Ok(uuid::Builder::from_random_bytes(random()?).into_uuid())
}

mod plugs;
#[cfg(test)]
mod tests;
