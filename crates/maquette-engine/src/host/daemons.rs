//! Starting libvirt's daemons: with systemd, or directly where there is none.

use super::{Command, Host, HostError, check};

/// How the daemons of a hypervisor are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Daemons {
    /// systemd units.
    Systemd(&'static [&'static str]),
    /// Programs that go into the background themselves.
    Direct(Vec<&'static str>),
    /// None is installed.
    Missing,
}

const MODULAR: &[&str] = &["virtqemud.socket", "virtnetworkd.socket", "virtstoraged.socket"];
const MONOLITHIC: &[&str] = &["libvirtd.socket"];

/// Paths that tell which daemons are installed.
pub(super) const PATHS: &[&str] =
    &["/usr/sbin/libvirtd", "/usr/bin/libvirtd", "/usr/sbin/virtqemud", "/usr/bin/virtqemud"];

/// Tells how daemons are started, from the paths that exist and whether systemd runs
/// (<https://www.freedesktop.org/software/systemd/man/sd_booted.html>) and has libvirtd enabled.
pub(super) fn detect(
    there: &dyn Fn(&str) -> bool,
    systemd: bool,
    libvirtd_enabled: bool,
) -> Daemons {
    let monolithic = there("/usr/sbin/libvirtd") || there("/usr/bin/libvirtd");
    let modular = there("/usr/sbin/virtqemud") || there("/usr/bin/virtqemud");
    match (systemd, monolithic, modular) {
        (_, false, false) => Daemons::Missing,
        (true, _, true) if !libvirtd_enabled => Daemons::Systemd(MODULAR),
        (true, true, _) => Daemons::Systemd(MONOLITHIC),
        (true, false, true) => Daemons::Systemd(MODULAR),
        (false, true, _) => Daemons::Direct(vec!["virtlogd", "libvirtd"]),
        (false, false, true) => {
            Daemons::Direct(vec!["virtlogd", "virtnetworkd", "virtstoraged", "virtqemud"])
        }
    }
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
pub fn stop(host: &dyn Host, daemons: &Daemons) -> Result<(), HostError> {
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
    let pid = super::read_text(host, &format!("/run/{program}.pid")).unwrap_or_default();
    let pid = pid.trim();
    if pid.is_empty() || !pid.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let status = super::read_text(host, &format!("/proc/{pid}/status")).unwrap_or_default();
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
