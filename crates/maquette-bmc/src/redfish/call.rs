//! A request on its way to a resource, with what was seen of nodes meanwhile.

use std::cell::RefCell;
use std::collections::BTreeMap;

use uuid::Uuid;

use crate::bmc::Bmc;
use crate::machine::{Fault, Hardware, Power};
use crate::service::{Identity, Service};

/// What was seen of nodes.
#[derive(Default)]
struct Seen {
    hardware: BTreeMap<Uuid, Result<Hardware, Fault>>,
    power: BTreeMap<Uuid, Result<Power, Fault>>,
    sizes: BTreeMap<Uuid, Result<Vec<Option<u64>>, Fault>>,
}

/// Somebody's request, on its way to a resource.
pub struct Call<'a> {
    /// The service that is asked.
    pub service: &'a Service,
    /// Who asks; nobody for what everybody may read.
    pub who: Option<&'a Identity>,
    /// Where the request came from.
    pub peer: &'a str,
    /// Whether credentials may be taken.
    pub trusted: bool,
    seen: RefCell<Seen>,
}

impl<'a> Call<'a> {
    /// A request of which nothing was done yet.
    pub fn new(
        service: &'a Service,
        who: Option<&'a Identity>,
        peer: &'a str,
        trusted: bool,
    ) -> Self {
        Self { service, who, peer, trusted, seen: RefCell::default() }
    }

    /// What a node is made of. One answer asks a node once, however many of its parts it shows.
    pub fn hardware(&self, bmc: &Bmc) -> Result<Hardware, Fault> {
        let known = self.seen.borrow().hardware.get(&bmc.uuid).cloned();
        known.unwrap_or_else(|| {
            let found = bmc.hardware();
            self.seen.borrow_mut().hardware.insert(bmc.uuid, found.clone());
            found
        })
    }

    /// The sizes of a node's disks. Asked for only where they are shown, since that may take long, and once for one answer.
    pub fn sizes(&self, bmc: &Bmc) -> Result<Vec<Option<u64>>, Fault> {
        let known = self.seen.borrow().sizes.get(&bmc.uuid).cloned();
        known.unwrap_or_else(|| {
            let found = bmc.machine().sizes();
            self.seen.borrow_mut().sizes.insert(bmc.uuid, found.clone());
            found
        })
    }

    /// What a node does. One answer asks a node once.
    pub fn power(&self, bmc: &Bmc) -> Result<Power, Fault> {
        let known = self.seen.borrow().power.get(&bmc.uuid).cloned();
        known.unwrap_or_else(|| {
            let found = bmc.power();
            self.seen.borrow_mut().power.insert(bmc.uuid, found.clone());
            found
        })
    }

    /// Something was changed: what was seen before does not count any more.
    pub fn forget(&self) {
        *self.seen.borrow_mut() = Seen::default();
    }
}
