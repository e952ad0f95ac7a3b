//! Packages that are not installed.

use super::{HypervisorNeeds, Lack, Setting};
use crate::plan::Op;

pub(super) fn lacks(needs: &HypervisorNeeds) -> Option<Lack> {
    let missing = &needs.missing_packages;
    let setting = Setting::Packages { names: missing.clone() };
    (!missing.is_empty()).then(|| {
        let reason = "not installed on the hypervisor";
        Lack::new(Op::Create, "packages", missing.join(", "), reason, setting)
    })
}

pub(super) fn title(names: &[String]) -> String {
    format!("install {}", names.join(", "))
}

pub(super) fn way_back(names: &[String]) -> (String, String) {
    ("packages".into(), names.join(", "))
}
