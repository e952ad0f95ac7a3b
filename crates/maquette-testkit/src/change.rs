//! What happens to the model besides its rules: domains change while somebody listens, and steps fail.

use maquette_core::object::ObjectKind;
use maquette_core::observed::Domain;
use maquette_core::plan::{Action, PoolState, Sharing};
use maquette_engine::{StepContext, StepError};
use maquette_libvirt::DomainEvent;

use crate::machine::Machine;
use crate::rules;

impl Machine {
    /// Does what a step does, by the model's rules.
    pub(crate) fn perform(&mut self, action: &Action) {
        rules::perform(&mut self.seen, action);
        // There is one environment that has any.
        let owner = (ObjectKind::Bmc, String::new());
        let forwards = (ObjectKind::Host, String::new());
        match action {
            Action::OpenForwarding { environment, .. } => {
                self.owners.insert(forwards, environment.clone());
            }
            Action::CloseForwarding { .. } => {
                self.owners.remove(&forwards);
            }
            Action::ServeBmcs { environment, .. } => {
                self.owners.insert(owner, environment.clone());
            }
            Action::StopBmcs { .. } => {
                self.owners.remove(&owner);
            }
            _ => {}
        }
    }

    /// Somebody gives a domain another name: it is theirs from then on, with its disks.
    pub fn rename(&mut self, name: &str, to: &str) {
        let Some(domain) = self.seen.domains.remove(name) else { return };
        if let Some(environment) = self.owners.remove(&(ObjectKind::Domain, name.to_string())) {
            self.renamed.push((environment, name.into(), to.into()));
        }
        self.seen.claims.domain(to, &domain.defined, domain.live.as_ref(), domain.active);
        self.strangers.push((to.into(), domain.active));
    }

    /// Storage pools that there are: the one that nodes are in, and others'.
    pub fn pools(&self) -> Vec<String> {
        let own = (self.pool != PoolState::Missing).then(|| "images".to_string());
        let own = own.into_iter().chain(self.seen.pools.keys().cloned());
        own.chain(self.stranger_pools.clone()).collect()
    }

    /// Somebody's domain goes.
    pub fn lose(&mut self, name: &str) {
        self.note(&Action::UndefineDomain { name: name.into() }, None);
    }

    /// Changes a domain, and tells whoever listens.
    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut Domain)) {
        if let Some(domain) = self.seen.domains.get_mut(name) {
            change(domain);
        }
        let event = DomainEvent::Changed(name.into());
        // Whoever has gone no longer listens.
        self.listeners.iter_mut().for_each(|all| all.retain(|one| one.send(event.clone()).is_ok()));
    }
}

/// What a step that fails comes to: some only say it.
pub fn failed(
    action: &Action,
    fault: StepError,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let Action::ShareDomain { sharing: Sharing::Tried, .. } = action else {
        return Err(fault);
    };
    (context.remark)(fault.causes.join("; "));
    Ok(())
}
