//! Starting libvirt's daemons and stopping them.

use maquette_core::plan::Setting;

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check};
use crate::probe::{self, Daemons, Reach};

/// Starts a daemon that does not run. `$1`: its name, `$2`: the file in which it notes its process.
const START: &str = concat!(
    "# Starts a daemon\n",
    include_str!("../../assets/prepare/daemon.sh"),
    "daemon \"$1\" \"$2\" >/dev/null || exec \"$1\" --daemon\n"
);
/// Ends a daemon; arguments as above.
const END: &str = concat!(
    "# Ends a daemon\n",
    include_str!("../../assets/prepare/daemon.sh"),
    "end \"$1\" \"$2\"\n"
);

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
                check(host, &on(START, program))?;
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
                check(host, &on(END, program))?;
            }
            Ok(())
        }
    }
}

/// A script's command for a program and the file in which that notes its process.
fn on(script: &'static str, program: &str) -> Command {
    Command::script(script, [program.to_string(), format!("/run/{program}.pid")])
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command as Process};

    use super::*;
    use crate::host::Local;

    /// A process whose name is that of a daemon, and the file in which it would note itself.
    fn running(directory: &std::path::Path) -> (Child, String) {
        let child = Process::new("sleep").arg("100").spawn().unwrap();
        let file = directory.join("pid").display().to_string();
        std::fs::write(&file, format!("{}\n", child.id())).unwrap();
        (child, file)
    }

    fn is_alive(child: &mut Child) -> bool {
        child.try_wait().unwrap().is_none()
    }

    #[test]
    fn one_that_nobody_waits_for_does_not_run_and_has_ended() {
        let directory = tempfile::tempdir().unwrap();
        let (mut child, file) = running(directory.path());
        let looks = concat!(include_str!("../../assets/prepare/daemon.sh"), "daemon \"$1\" \"$2\"");
        let runs = || check(&Local, &Command::script(looks, ["sleep", &file])).is_ok();
        assert!(runs());
        // The number may have become that of something else.
        let end = |name: &str| check(&Local, &Command::script(END, [name, &file])).unwrap();
        end("libvirtd");
        assert!(runs() && is_alive(&mut child));
        // It has ended, and is still listed until its parent looks.
        end("sleep");
        assert!(!runs());
        end("sleep");
        assert!(!is_alive(&mut child));
        end("sleep");
    }

    /// Where libvirtd is absent, its parts are started by their sockets, the one that is asked first last; and stopped with
    /// their services, which sockets have started.
    #[test]
    fn modular_daemons_are_started_by_their_sockets() {
        let directory = tempfile::tempdir().unwrap();
        let told = directory.path().join("told");
        let programs = crate::dying_host::Programs::new(&[]);
        programs.quiet("systemctl", &format!("echo \"$*\" >>{}\n", told.display()));
        let host = crate::dying_host::Dying::new(&programs, None);
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/probe/probes/centos-stream10.txt");
        let facts = probe::read(&std::fs::read_to_string(file).unwrap());
        start(&host, &facts.daemons).unwrap();
        stop(&host, &facts.daemons).unwrap();
        let said = std::fs::read_to_string(&told).unwrap();
        let sockets = "virtnetworkd.socket virtstoraged.socket virtqemud.socket";
        let services = sockets.replace(".socket", ".service");
        let stopped = format!("disable --now --quiet {sockets} {services}");
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines, [format!("enable --now --quiet {sockets}"), stopped]);
    }

    #[test]
    fn a_file_without_a_process_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        for text in ["", "\n", "none\n", "-1", "1 2", "99999999999999999999\n"] {
            std::fs::write(&file, text).unwrap();
            let args = ["sleep".to_string(), file.display().to_string()];
            assert_eq!(check(&Local, &Command::script(END, args)).unwrap(), "", "{text:?}");
        }
    }
}
