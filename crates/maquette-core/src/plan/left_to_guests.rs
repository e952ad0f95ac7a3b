//! What a change leaves to guests. Maquette sets a guest up at its first boot; what it makes of a device that comes later is
//! its own affair, which is said, since nothing else shows it.

use super::{Action, LiveChange, Op, Plan};
use crate::blueprint::{Interface, Node};
use crate::object::ObjectKind;
use crate::observed::Observed;

/// What the guests of nodes that were changed in place have yet to do, in words, a line each.
pub fn left_to_guests(plan: &Plan, before: &Observed) -> Vec<String> {
    let changed = |node: &Node| {
        let is = |c: &super::Change| c.kind == ObjectKind::Domain && c.name == node.name.as_str();
        plan.changes.iter().any(|c| is(c) && c.op == Op::Update)
    };
    let mut lines = Vec::new();
    for step in &plan.steps {
        match &step.action {
            Action::DefineDomain { node, .. } if node.guest.is_some() && changed(node) => {
                let was = before.domains.get(&node.name).map(|d| &d.recorded);
                let is_new = |i: &&Interface| {
                    was.is_some_and(|was| was.interfaces.iter().all(|old| old.mac != i.mac))
                };
                lines.extend(node.interfaces.iter().filter(is_new).map(|i| nic(node, i)));
                let grown = plan.steps.iter().any(|s| grows_root(&s.action, node));
                lines.extend(grown.then(|| root(node)).flatten());
            }
            _ => {}
        }
    }
    lines
}

/// Whether an action tells a node that runs of more room on its system disk.
fn grows_root(action: &Action, node: &Node) -> bool {
    let Action::ChangeDomain { name, change: LiveChange::ResizeDisk { device, .. } } = action
    else {
        return false;
    };
    *name == node.name && node.disks.first().is_some_and(|disk| disk.device == *device)
}

fn nic(node: &Node, interface: &Interface) -> String {
    let (node, nic) = (&node.name, &interface.name);
    let address = match interface.ipv4.address() {
        Some(address) => format!("; {address} is kept for it"),
        None => String::new(),
    };
    format!(
        "`{node}` may have to be told of {nic}: Maquette sets NICs up at the first boot only{address}"
    )
}

fn root(node: &Node) -> Option<String> {
    let device = &node.disks.first()?.device;
    let node = &node.name;
    Some(format!(
        "the file system of `{node}` takes the new room of {device} at the next boot: `maquette restart {node}`"
    ))
}
