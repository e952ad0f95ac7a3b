//! The key of an environment's workspace opens the hypervisor, for connections to nodes and for nothing else: playbooks of
//! InfraRed's other plug-ins go that way.

use super::diff::Planner;
use super::remove::{FORWARDING, forwarding_detail};
use super::{Action, Op};
use crate::object::ObjectKind;

impl Planner<'_> {
    /// Has the key open the hypervisor, where that is wanted.
    pub(super) fn forwarding(&mut self) {
        let Some(wanted) = &self.blueprint.forwarding else { return };
        let known = self.observed.forwarding.as_ref();
        let (op, reason) = match known {
            None => (Op::Create, "InfraRed's plug-ins reach nodes with that key"),
            Some(known) if known.recorded.user != wanted.user => {
                (Op::Update, "the hypervisor is logged in to as another user")
            }
            Some(known) if !known.recorded.key.is_same(&wanted.key) => {
                (Op::Update, "the workspace has another key")
            }
            Some(known) if !known.authorized => (Op::Update, "its line is gone from there"),
            Some(_) => (Op::Keep, ""),
        };
        self.change(op, ObjectKind::Host, FORWARDING, forwarding_detail(wanted), reason);
        if op != Op::Keep {
            let environment = self.blueprint.environment.clone();
            let action = Action::OpenForwarding { environment, forwarding: wanted.clone() };
            self.builder.add(action, [], reason);
        }
    }
}
