//! Nested virtualisation: an option of the KVM module.

use maquette_core::plan::Setting;

use super::record::{self, Record};
use crate::StepContext;
use crate::host::{Command, Host, HostError, check};
use crate::probe::{Facts, NESTED_OPTIONS};

const SCRIPT: &str = include_str!("../../assets/prepare/nested.sh");

/// The module that could and does not. Once the option is set, only loading it again helps; where that was begun, the
/// option has to be there.
pub(super) fn is_off(facts: &Facts, record: &Record) -> Option<String> {
    let (module, on) = facts.nested.as_ref()?;
    let off = match record.nested {
        Some(_) => !facts.begun.contains(NESTED_OPTIONS),
        None => !on,
    };
    (off && facts.kvm.is_ok()).then(|| module.clone())
}

pub(super) fn apply(
    host: &dyn Host,
    module: &str,
    context: &StepContext<'_>,
) -> Result<(), HostError> {
    record::update(host, |r| r.nested = Some(module.into()))?;
    let said = check(host, &Command::script(SCRIPT, [NESTED_OPTIONS, module]))?;
    if !said.trim().starts_with(['Y', 'y', '1']) {
        (context.progress)("it takes effect when the hypervisor starts again".into());
    }
    Ok(())
}

pub(super) fn noted(record: &Record) -> Option<Setting> {
    record.nested.clone().map(|module| Setting::Nested { module })
}

/// Forgets the option; the module keeps what it has until it is loaded again.
pub(super) fn restore(host: &dyn Host) -> Result<(), HostError> {
    host.remove(&format!("{NESTED_OPTIONS}.new"))?;
    host.remove(NESTED_OPTIONS)
}

pub(super) fn forget(record: &mut Record) {
    record.nested = None;
}
