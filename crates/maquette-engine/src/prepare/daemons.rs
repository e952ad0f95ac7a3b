//! Starting libvirt's daemons and stopping them.

use maquette_core::plan::Setting;

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check, read_text};
use crate::probe::{self, Daemons, Reach};

pub(super) fn apply(host: &dyn Host) -> Result<(), HostError> {
    // They may have been installed a moment ago.
    let facts = probe::gather(host, Reach::Local)?;
    record::update(host, |r| r.daemons = true)?;
    start(host, &facts.daemons)
}

/// Restoring that was begun has stopped them, and starts them again to see what still exists.
pub(super) fn noted(record: &Record) -> Option<Setting> {
    (record.daemons || record.restoring).then_some(Setting::Daemons)
}

pub(super) fn restore(host: &dyn Host) -> Result<(), HostError> {
    stop(host, &probe::gather(host, Reach::Local)?.daemons)
}

pub(super) fn forget(record: &mut Record) {
    (record.daemons, record.restoring) = (false, true);
}

/// Starts them. A daemon that already runs is left alone.
pub fn start(host: &dyn Host, daemons: &Daemons) -> Result<(), HostError> {
    match daemons {
        Daemons::Missing => Err(HostError::Failed {
            command: "libvirtd".into(),
            status: None,
            stderr: "no libvirt daemon is installed".into(),
        }),
        Daemons::Systemd(units) => {
            let command =
                Command::new("systemctl").args(["enable", "--now", "--quiet"]).args(units.to_vec());
            check(host, &command).map(|_| ())
        }
        Daemons::Direct(programs) => {
            for program in programs {
                if !is_running(host, program) {
                    check(host, &Command::new(*program).arg("--daemon"))?;
                }
            }
            Ok(())
        }
    }
}

/// Stops them; guests go on running.
fn stop(host: &dyn Host, daemons: &Daemons) -> Result<(), HostError> {
    match daemons {
        Daemons::Missing => Ok(()),
        Daemons::Systemd(units) => {
            let services = units.iter().map(|u| u.replace(".socket", ".service"));
            let command = Command::new("systemctl")
                .args(["disable", "--now", "--quiet"])
                .args(units.to_vec())
                .args(services);
            check(host, &command).map(|_| ())
        }
        Daemons::Direct(programs) => {
            for program in programs.iter().rev() {
                if let Some(pid) = pid(host, program) {
                    let script = "kill \"$1\"; tail -f --pid \"$1\" /dev/null";
                    check(host, &Command::script(script, [pid]))?;
                }
            }
            Ok(())
        }
    }
}

/// Whether a daemon's process, named in its pid file, is alive and is that daemon. One that has
/// died and was never waited for still has an entry in `/proc`.
fn is_running(host: &dyn Host, program: &str) -> bool {
    pid(host, program).is_some()
}

fn pid(host: &dyn Host, program: &str) -> Option<String> {
    let pid = read_text(host, &format!("/run/{program}.pid")).unwrap_or_default();
    let pid = pid.trim();
    if pid.is_empty() || !pid.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let status = read_text(host, &format!("/proc/{pid}/status")).unwrap_or_default();
    is_alive(&status, program).then(|| pid.to_string())
}

fn is_alive(status: &str, program: &str) -> bool {
    let field = |name: &str| {
        status.lines().find_map(|l| l.strip_prefix(name)).map(str::trim).unwrap_or_default()
    };
    field("Name:") == program && !field("State:").starts_with(['Z', 'X'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_do_not_run() {
        assert!(is_alive("Name:\tlibvirtd\nState:\tS (sleeping)\n", "libvirtd"));
        assert!(!is_alive("Name:\tlibvirtd\nState:\tZ (zombie)\n", "libvirtd"));
        assert!(!is_alive("Name:\tbash\nState:\tS (sleeping)\n", "libvirtd"));
        assert!(!is_alive("", "libvirtd"));
    }
}
