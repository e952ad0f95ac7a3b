//! Preparing a hypervisor and putting it back: each change is recorded there before it is made.

pub mod daemons;
pub mod packages;
pub mod record;
pub mod settings;

use maquette_core::plan::{Setting, Undo};

use crate::host::{Host, HostError};
use crate::net::vswitch;
use crate::probe::family::Family;
use crate::probe::{self, Reach};
use crate::{StepContext, StepError};

fn failed(message: String) -> impl Fn(HostError) -> StepError {
    move |error| StepError::new(message.clone()).because(&error)
}

/// Installs packages, and records which ones that has brought.
pub fn install(
    host: &dyn Host,
    family: Option<&'static Family>,
    names: &[String],
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let family = family.ok_or_else(|| {
        StepError::new("cannot install packages: this system's package manager is not known")
            .hint(format!("install these by hand: {}", names.join(", ")))
    })?;
    let failed = failed("cannot install packages".into());
    let before = packages::installed(host, family).map_err(&failed)?;
    // Should this be interrupted, then what was asked for is what is known to have come.
    let noted = |names: Vec<String>| {
        record::update(host, |r| {
            r.packages.extend(names);
            r.packages.sort();
            r.packages.dedup();
        })
    };
    noted(names.to_vec()).map_err(&failed)?;
    let mut on_line = |line: &str| (context.progress)(line.to_string());
    let mut coming = |names: Vec<String>| {
        noted(names.into_iter().filter(|name| !before.contains(name)).collect())
    };
    packages::install(host, family, names, &mut on_line, &mut coming).map_err(&failed)?;
    let after = packages::installed(host, family).map_err(&failed)?;
    noted(after.difference(&before).cloned().collect()).map_err(failed)
}

/// Gives group `kvm` access to `/dev/kvm`.
pub fn open_kvm(host: &dyn Host) -> Result<(), StepError> {
    let failed = failed("cannot open /dev/kvm to group kvm".into());
    let facts = probe::gather(host, Reach::Local).map_err(&failed)?;
    record::update(host, |r| r.kvm = r.kvm.take().or(facts.kvm_device)).map_err(&failed)?;
    settings::open_kvm(host).map_err(failed)
}

/// Changes a setting.
pub fn apply(
    host: &dyn Host,
    setting: &Setting,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    match setting {
        Setting::SshLimits => {
            let failed = failed("cannot raise the SSH server's limits".into());
            record::update(host, |r| r.ssh_limits = true).map_err(&failed)?;
            settings::raise_ssh_limits(host).map_err(failed)
        }
        Setting::Nested { module } => {
            let failed = failed("cannot switch nested virtualisation on".into());
            record::update(host, |r| r.nested = Some(module.clone())).map_err(&failed)?;
            if !settings::enable_nested(host, module).map_err(failed)? {
                (context.progress)("it takes effect when the hypervisor starts again".into());
            }
            Ok(())
        }
        Setting::RouterAdverts { interfaces } => {
            let failed = failed("cannot keep the hypervisor's IPv6 default route".into());
            let before = probe::gather(host, Reach::Local).map_err(&failed)?.router_interfaces;
            record::update(host, |r| {
                let known = |name: &str| r.router_interfaces.iter().any(|(n, _)| n == name);
                let new: Vec<_> = before.into_iter().filter(|(n, _)| !known(n)).collect();
                r.router_interfaces.extend(new);
            })
            .map_err(&failed)?;
            settings::accept_router_adverts(host, interfaces).map_err(failed)
        }
        Setting::NetworkHook => {
            let failed = failed("cannot install libvirt's network hook".into());
            record::update(host, |r| r.network_hook = true).map_err(&failed)?;
            settings::install_network_hook(host).map_err(failed)
        }
        Setting::Vswitch => {
            let failed = failed("cannot start Open vSwitch".into());
            record::update(host, |r| r.vswitch = true).map_err(&failed)?;
            vswitch::start(host).map_err(failed)
        }
        Setting::Inotify { instances } => {
            let failed = failed("cannot raise the limit of inotify instances".into());
            let before = probe::gather(host, Reach::Local).map_err(&failed)?.inotify_instances;
            record::update(host, |r| r.inotify = r.inotify.or(before)).map_err(&failed)?;
            settings::raise_inotify(host, *instances).map_err(failed)
        }
        Setting::Timezone { zone } => {
            let failed = failed(format!("cannot set the time zone to {zone}"));
            let before = probe::gather(host, Reach::Local).map_err(&failed)?.timezone;
            record::update(host, |r| {
                r.timezone = r.timezone.take().or(before).or(Some("Etc/UTC".into()));
            })
            .map_err(&failed)?;
            settings::set_timezone(host, zone).map_err(failed)
        }
    }
}

/// What a record says can be undone, in the order in which it can be.
pub fn undoable(record: &record::Record) -> Vec<Undo> {
    let mut all: Vec<Undo> =
        record.pools.iter().map(|name| Undo::Pool { name: name.clone() }).collect();
    if let Some((mode, group)) = record.kvm.clone() {
        all.push(Undo::Kvm { mode, group });
    }
    if record.nested.is_some() {
        all.push(Undo::Nested);
    }
    if !record.router_interfaces.is_empty() {
        all.push(Undo::RouterAdverts { interfaces: record.router_interfaces.clone() });
    }
    if let Some(zone) = record.timezone.clone() {
        all.push(Undo::Timezone { zone });
    }
    if let Some(instances) = record.inotify {
        all.push(Undo::Inotify { instances });
    }
    if record.daemons || record.restoring {
        all.push(Undo::Daemons);
    }
    if record.vswitch {
        all.push(Undo::Vswitch);
    }
    if record.network_hook {
        all.push(Undo::NetworkHook);
    }
    if record.ssh_limits {
        all.push(Undo::SshLimits);
    }
    // Last: it is the likeliest to fail, and then all the rest is done.
    if !record.packages.is_empty() {
        all.push(Undo::Packages { packages: record.packages.clone() });
    }
    all
}

/// Puts something back, and forgets that it was changed.
pub fn undo(
    host: &dyn Host,
    family: Option<&'static Family>,
    undo: &Undo,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let failed = failed(format!("cannot restore {}", undo.describe().0));
    match undo {
        // Its definition is libvirt's.
        Undo::Pool { .. } => Ok(()),
        Undo::Daemons => {
            probe::gather(host, Reach::Local).and_then(|facts| daemons::stop(host, &facts.daemons))
        }
        Undo::Packages { packages: names } => match family {
            Some(family) => {
                let mut on_line = |line: &str| (context.progress)(line.to_string());
                packages::uninstall(host, family, names, &mut on_line).map(|kept| {
                    if !kept.is_empty() {
                        let kept = kept.join(", ");
                        on_line(&format!("kept, since others need them by now: {kept}"));
                    }
                })
            }
            None => Ok(()),
        },
        Undo::Kvm { mode, group } => settings::set_kvm(host, mode, group),
        Undo::SshLimits => settings::restore_ssh_limits(host),
        Undo::Nested => settings::restore_nested(host),
        Undo::RouterAdverts { interfaces } => settings::restore_router_adverts(host, interfaces),
        Undo::Timezone { zone } => settings::set_timezone(host, zone),
        Undo::NetworkHook => settings::remove_network_hook(host),
        Undo::Vswitch => vswitch::stop(host),
        Undo::Inotify { instances } => settings::restore_inotify(host, *instances),
    }
    .map_err(failed)?;
    forget(host, undo)
}

/// Notes that something is as it was.
pub fn forget(host: &dyn Host, undo: &Undo) -> Result<(), StepError> {
    record::update(host, |r| match undo {
        Undo::Pool { name } => r.pools.retain(|n| n != name),
        Undo::Daemons => (r.daemons, r.restoring) = (false, true),
        Undo::Packages { .. } => r.packages.clear(),
        Undo::Kvm { .. } => r.kvm = None,
        Undo::SshLimits => r.ssh_limits = false,
        Undo::Nested => r.nested = None,
        Undo::RouterAdverts { .. } => r.router_interfaces.clear(),
        Undo::Timezone { .. } => r.timezone = None,
        Undo::NetworkHook => r.network_hook = false,
        Undo::Vswitch => r.vswitch = false,
        Undo::Inotify { .. } => r.inotify = None,
    })
    .map_err(failed("cannot note what was restored".into()))
}

#[cfg(test)]
mod points;

#[cfg(test)]
mod tests {
    use super::*;
    use record::Record;

    /// libvirt is stopped by then: it is started again to see what still exists, and stopped again.
    #[test]
    fn a_restoring_that_failed_half_way_goes_on_to_its_end() {
        let packages = vec!["qemu".to_string()];
        let half = Record { restoring: true, packages: packages.clone(), ..Record::default() };
        assert_eq!(undoable(&half), [Undo::Daemons, Undo::Packages { packages }]);
        assert_eq!(Record::parse(&half.text()), Ok(half));
        assert!(Record { restoring: true, ..Record::default() }.is_empty());
    }

    #[test]
    fn packages_are_restored_last_so_that_their_failure_leaves_nothing_else_undone() {
        let record = Record {
            packages: vec!["qemu".into()],
            daemons: true,
            ssh_limits: true,
            inotify: Some(128),
            pools: ["images".into()].into(),
            ..Record::default()
        };
        let all = undoable(&record);
        assert_eq!(all.len(), 5);
        assert!(matches!(all.last(), Some(Undo::Packages { .. })));
    }
}
