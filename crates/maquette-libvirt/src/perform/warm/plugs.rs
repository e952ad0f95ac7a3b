//! What a node gets before it goes on with a template's memory.

use maquette_core::blueprint::{Node, Pool};
use maquette_core::topology::SeedDrive;
use maquette_engine::{StepError, seed_volume};

use crate::client::{self, Client, Domain, LibvirtError};
use crate::guest_port::Listener;
use crate::perform::Libvirt;
use crate::volume;
use crate::xml::read::ReadError;
use crate::xml::warm;

/// What a node gets before it goes on with a template's memory.
pub(super) struct Plugs {
    /// The drive that its seed has to be put into once more.
    pub(super) disc: Option<String>,
    /// Its first disk's device, and how large that is, in bytes.
    pub(super) size: Option<(String, u64)>,
    /// What is plugged in.
    pub(super) parts: Vec<String>,
}

impl Libvirt<'_> {
    /// The drive that a node's seed is in, where that is larger than a template's: a guest does not ask for its size again unless it
    /// is put in once more.
    pub(super) fn other_disc(
        &self,
        node: &Node,
        xml: &str,
        pool: &Pool,
    ) -> Result<Option<String>, StepError> {
        let guest = node.guest.as_ref().filter(|guest| guest.drive == SeedDrive::CdRom);
        let Some(guest) = guest else { return Ok(None) };
        let bytes = volume::capacity(self.client()?, &guest.seed, pool)?;
        if bytes.is_none_or(|bytes| bytes == seed_volume::UNIT) {
            return Ok(None);
        }
        let failed = |e: ReadError| {
            StepError::new(format!("cannot find the drive of seed `{}`", guest.seed)).because(e)
        };
        warm::disc(xml).map_err(failed)
    }

    /// Gives a guest everything that is not in its template's memory, and lets it go on as somebody. As long as it has not
    /// all of it, it is paused: the next run sees what is missing.
    pub(super) fn plug(
        &self,
        domain: &Domain,
        listener: Option<&Listener>,
        plugs: &Plugs,
    ) -> Result<(), LibvirtError> {
        if listener.is_none() {
            return Err(LibvirtError::refused("its virtio-serial port cannot be opened"));
        }
        // In its port when it goes on, so that it draws other random numbers than its twins before anything else happens:
        // QEMU, which does one after the other, has the line when it has answered what comes next.
        self.wake(listener)?;
        if let Some((device, bytes)) = &plugs.size {
            client::resize_disk(domain, device, *bytes)?;
        }
        if let Some(disc) = &plugs.disc {
            let empty = warm::without_source(disc);
            let empty = empty.map_err(|e| LibvirtError::refused(e.to_string()))?;
            client::change_media(domain, &empty)?;
            client::change_media(domain, disc)?;
        }
        for part in &plugs.parts {
            client::attach(domain, part)?;
        }
        client::resume(domain)
    }

    /// Lets a guest go on that a run has left paused, which was killed before it has told it who it is, or that somebody has
    /// paused. Untold, one from a template would keep its processors busy and wait for that.
    pub(in crate::perform) fn go_on(client: &Client, domain: &Domain) -> Result<(), LibvirtError> {
        let live = client::live_xml(domain)?.unwrap_or_default();
        // It does not learn it from another run.
        let device = warm::first_disk(&live).ok().flatten();
        let size = device
            .and_then(|d| client::disk_capacity(client, domain, &d, None).map(|bytes| (d, bytes)));
        if let Some((device, bytes)) = size {
            client::resize_disk(domain, &device, bytes)?;
        }
        client::resume(domain)
    }
}
