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

/// Finds out how daemons are started here.
pub fn detect(host: &dyn Host) -> Daemons {
    let monolithic = host.exists("/usr/sbin/libvirtd") || host.exists("/usr/bin/libvirtd");
    let modular = host.exists("/usr/sbin/virtqemud") || host.exists("/usr/bin/virtqemud");
    // <https://www.freedesktop.org/software/systemd/man/sd_booted.html>
    let systemd = host.exists("/run/systemd/system");
    match (systemd, monolithic, modular) {
        (_, false, false) => Daemons::Missing,
        (true, _, true) if !libvirtd_enabled(host) => Daemons::Systemd(MODULAR),
        (true, true, _) => Daemons::Systemd(MONOLITHIC),
        (true, false, true) => Daemons::Systemd(MODULAR),
        (false, true, _) => Daemons::Direct(vec!["virtlogd", "libvirtd"]),
        (false, false, true) => {
            Daemons::Direct(vec!["virtlogd", "virtnetworkd", "virtstoraged", "virtqemud"])
        }
    }
}

fn libvirtd_enabled(host: &dyn Host) -> bool {
    let ask = Command::new("systemctl").args(["is-enabled", "--quiet", "libvirtd.socket"]);
    host.run(&ask, &mut |_| {}).is_ok_and(|o| o.status == Some(0))
}

/// Starts them. A daemon that already runs is left alone.
pub fn start(host: &dyn Host) -> Result<(), HostError> {
    match detect(host) {
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
                    check(host, &Command::new(program).arg("--daemon"))?;
                }
            }
            Ok(())
        }
    }
}

/// Whether a daemon's process, named in its pid file, is alive and is that daemon. One that has
/// died and was never waited for still has an entry in `/proc`.
fn is_running(host: &dyn Host, program: &str) -> bool {
    let pid = super::read_text(host, &format!("/run/{program}.pid")).unwrap_or_default();
    let pid = pid.trim();
    if pid.is_empty() || !pid.chars().all(|c| c.is_ascii_digit()) {
        return false;
    }
    is_alive(&super::read_text(host, &format!("/proc/{pid}/status")).unwrap_or_default(), program)
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
