//! What happens to the model's domains while somebody listens.

use maquette_core::observed::Domain;
use maquette_libvirt::DomainEvent;

use crate::hypervisor::Machine;

impl Machine {
    /// Changes a domain, and tells whoever listens.
    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut Domain)) {
        if let Some(domain) = self.seen.domains.get_mut(name) {
            change(domain);
        }
        let event = DomainEvent::Changed(name.into());
        // Whoever has gone listens no more.
        self.listeners.iter_mut().for_each(|all| all.retain(|one| one.send(event.clone()).is_ok()));
    }
}
