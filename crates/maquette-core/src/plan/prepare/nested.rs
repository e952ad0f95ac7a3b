//! Nested virtualisation: an option of the KVM module.

use super::{HostFacts, Lack, Setting};
use crate::plan::Op;

pub(super) fn lacks(facts: &HostFacts) -> Option<Lack> {
    let module = facts.nested_off.clone()?;
    let detail = format!("{module} nested=1");
    let reason = "nodes cannot use KVM themselves";
    Some(Lack::new(Op::Update, "nested", detail, reason, Setting::Nested { module }))
}

pub(super) fn title() -> String {
    "set nested virtualisation".into()
}

pub(super) fn way_back() -> (String, String) {
    ("nested".into(), "remove the module's option".into())
}
