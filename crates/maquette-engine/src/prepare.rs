//! Preparing a hypervisor and putting it back: each change is recorded there before it is made. Each thing that may be
//! changed has a file here: changing it, what of it is noted, putting it back; the scripts are in `assets/prepare`.
//! When it is lacking, and in which words, the core's `plan/prepare` says.

pub mod daemons;
mod expiry;
mod firewalld;
mod kvm;
mod limits;
mod nested;
mod network_hook;
pub mod packages;
pub mod pool;
pub mod record;
mod router_adverts;
pub mod ssh_limits;
mod timezone;
mod vswitch;

use maquette_core::plan::{HostFacts, LibvirtState, PoolState, Requirements, Setting};

use crate::host::{Host, HostError};
use crate::probe::family::Family;
use crate::probe::{Daemons, Facts};
use crate::{StepContext, StepError};
pub use expiry::TEXT as EXPIRE;
use record::Record;

/// What the plan has to know of a hypervisor. `libvirt` is what that tells, if it answers: the state of the pool, and
/// how many networks others have.
pub fn host_facts(facts: &Facts, libvirt: Option<(PoolState, usize)>) -> HostFacts {
    let state = match (&libvirt, &facts.daemons) {
        (Some(_), _) => LibvirtState::Running,
        (None, Daemons::Missing) => LibvirtState::Missing,
        (None, _) => LibvirtState::Stopped,
    };
    let (pool, networks) = libvirt.unwrap_or((PoolState::Unknown, 0));
    let record = Record::of(facts).unwrap_or_default();
    HostFacts {
        kvm_closed: facts.kvm_closed(),
        zone_unknown: facts.zone_unknown,
        libvirt: state,
        pool,
        ssh_limits_low: ssh_limits::are_low(facts),
        nested_off: nested::is_off(facts, &record),
        router_interfaces: router_adverts::at_risk(facts),
        timezone: facts.timezone.clone(),
        hook: network_hook::is_current(facts),
        expiry: expiry::is_current(facts),
        vswitch: facts.vswitch_runs,
        limits: facts.limits.clone(),
        networks,
    }
}

/// Packages that an environment requires and that are missing.
pub fn missing_packages(facts: &Facts, requirements: &Requirements) -> Vec<String> {
    let mut all = facts.missing.clone();
    for (missing, required) in [
        (&facts.missing_uefi, requirements.uefi),
        (&facts.missing_tpm, requirements.tpm),
        (&facts.missing_media, requirements.media),
        (&facts.missing_virt_xml, requirements.virt_xml),
        (&facts.missing_customize, requirements.customize),
        (&facts.missing_guard, requirements.guard),
        (&facts.missing_vswitch, requirements.vswitch),
    ] {
        all.extend(missing.iter().filter(|_| required).cloned());
    }
    all
}

/// Changes a thing. Pools are libvirt's to make.
pub fn apply(
    host: &dyn Host,
    family: Option<&'static Family>,
    setting: &Setting,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let done = match setting {
        Setting::Packages { names } => return packages::apply(host, family, names, context),
        Setting::Kvm { mode, group } => kvm::apply(host, mode, group),
        Setting::Firewalld => firewalld::apply(host),
        Setting::Daemons => daemons::apply(host),
        Setting::Pool { name, .. } => pool::note(host, name),
        Setting::Vswitch => vswitch::apply(host),
        Setting::NetworkHook => network_hook::apply(host),
        Setting::Expiry => expiry::apply(host),
        Setting::SshLimits => ssh_limits::apply(host),
        Setting::Nested { module } => nested::apply(host, module, context),
        Setting::RouterAdverts { interfaces } => router_adverts::apply(host, interfaces),
        Setting::Timezone { zone } => timezone::apply(host, zone),
        Setting::Limit { limit, value } => limits::apply(host, limit, *value),
    };
    done.map_err(|error| StepError::new(format!("cannot {}", setting.title())).because(error))
}

/// What a record says can be put back, with the values from before, in the order in which it can be.
pub fn undoable(record: &Record) -> Vec<Setting> {
    let mut all: Vec<Setting> = pool::noted(record).collect();
    all.extend(kvm::noted(record));
    all.extend(nested::noted(record));
    all.extend(router_adverts::noted(record));
    all.extend(timezone::noted(record));
    all.extend(limits::noted(record));
    all.extend(daemons::noted(record));
    all.extend(vswitch::noted(record));
    all.extend(network_hook::noted(record));
    all.extend(expiry::noted(record));
    all.extend(ssh_limits::noted(record));
    // Last: it is the likeliest to fail, and then all the rest is done.
    all.extend(packages::noted(record));
    all
}

/// Puts a thing back as it was before, unless somebody has changed it since, and forgets that it was changed. Pools are libvirt's to remove.
pub fn restore(
    host: &dyn Host,
    family: Option<&'static Family>,
    before: &Setting,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let silent = |done: Result<(), HostError>| done.map(|()| String::new());
    let done = match before {
        Setting::Kvm { mode, group } => kvm::restore(host, mode, group),
        Setting::RouterAdverts { interfaces } => router_adverts::restore(host, interfaces),
        Setting::Timezone { zone } => timezone::restore(host, zone),
        Setting::Limit { limit, value } => limits::restore(host, limit, *value),
        _ => silent(put_back(host, family, before, context)),
    };
    let left = done.map_err(failed(format!("cannot restore {}", before.way_back().0)))?;
    // What somebody has changed since is his.
    left.lines().for_each(|line| (context.remark)(line.into()));
    forget(host, before)
}

/// The same of what nobody else changes, or what its script leaves by itself.
fn put_back(
    host: &dyn Host,
    family: Option<&'static Family>,
    before: &Setting,
    context: &StepContext<'_>,
) -> Result<(), HostError> {
    match before {
        Setting::Packages { names } => packages::restore(host, family, names, context),
        Setting::Daemons => daemons::restore(host),
        Setting::Vswitch => vswitch::restore(host),
        Setting::NetworkHook => network_hook::restore(host),
        Setting::Expiry => expiry::restore(host),
        Setting::SshLimits => ssh_limits::restore(host),
        Setting::Nested { .. } => nested::restore(host),
        Setting::Pool { .. }
        | Setting::Kvm { .. }
        | Setting::Firewalld
        | Setting::RouterAdverts { .. }
        | Setting::Timezone { .. }
        | Setting::Limit { .. } => Ok(()),
    }
}

/// Notes that a thing is as it was.
fn forget(host: &dyn Host, before: &Setting) -> Result<(), StepError> {
    record::update(host, |r| match before {
        Setting::Packages { .. } => packages::forget(r),
        Setting::Kvm { .. } => kvm::forget(r),
        Setting::Firewalld => {}
        Setting::Daemons => daemons::forget(r),
        Setting::Pool { name, .. } => pool::forget(r, name),
        Setting::Vswitch => vswitch::forget(r),
        Setting::NetworkHook => network_hook::forget(r),
        Setting::Expiry => expiry::forget(r),
        Setting::SshLimits => ssh_limits::forget(r),
        Setting::Nested { .. } => nested::forget(r),
        Setting::RouterAdverts { .. } => router_adverts::forget(r),
        Setting::Timezone { .. } => timezone::forget(r),
        Setting::Limit { limit, .. } => limits::forget(r, limit),
    })
    .map_err(failed("cannot note what was restored".into()))
}

fn failed(message: String) -> impl FnOnce(HostError) -> StepError {
    move |error| StepError::new(message).because(error)
}

#[cfg(test)]
#[cfg(feature = "e2e")]
mod kill_points;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uefi_brings_its_package() {
        for (name, package) in [("debian12", "ovmf"), ("fedora43", "edk2-ovmf")] {
            let file = format!("{}/src/probe/probes/{name}.txt", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(file).unwrap();
            let lines =
                text.lines().filter(|line| !line.contains("OVMF") && !line.contains("ovmf"));
            let bare = crate::probe::read(&lines.collect::<Vec<_>>().join("\n"));
            let wants = |facts: &Facts, uefi| {
                let requirements = Requirements { uefi, ..Requirements::default() };
                missing_packages(facts, &requirements).contains(&package.to_string())
            };
            assert!(wants(&bare, true) && !wants(&bare, false), "{name}");
        }
    }

    /// Without it libvirt takes a drive with an address in it, and QEMU says that it does not know `http`.
    #[test]
    fn virtual_media_bring_what_qemu_reads_them_with() {
        for (name, package) in
            [("debian12", "qemu-block-extra"), ("fedora43", "qemu-kvm-block-curl")]
        {
            let file = format!("{}/src/probe/probes/{name}.txt", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(file).unwrap();
            let bare = crate::probe::read(&text.replace("block-curl.so", "block-x.so"));
            let wants = |media| {
                let requirements = Requirements { media, ..Requirements::default() };
                missing_packages(&bare, &requirements).contains(&package.to_string())
            };
            assert!(wants(true) && !wants(false), "{name}");
        }
    }

    /// libvirt is stopped by then: it is started again to see what still exists, and stopped again.
    #[test]
    fn a_restoring_that_failed_half_way_goes_on_to_its_end() {
        let packages = vec!["qemu".to_string()];
        let half = Record { restoring: true, packages: packages.clone(), ..Record::default() };
        assert_eq!(undoable(&half), [Setting::Daemons, Setting::Packages { names: packages }]);
        assert_eq!(Record::parse(&half.text()), Ok(half));
        assert!(Record { restoring: true, ..Record::default() }.is_empty());
    }

    #[test]
    fn packages_are_restored_last_so_that_their_failure_leaves_nothing_else_undone() {
        let record = Record {
            packages: vec!["qemu".into()],
            daemons: true,
            ssh_limits: true,
            limits: [("fs.inotify.max_user_instances".to_string(), 128)].into(),
            pools: ["images".into()].into(),
            ..Record::default()
        };
        let all = undoable(&record);
        assert_eq!(all.len(), 5);
        assert!(matches!(all.last(), Some(Setting::Packages { .. })));
    }
}
