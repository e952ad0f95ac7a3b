//! Programs that have the user's terminal while they run, where something is to be said once they have ended: `ssh` and `scp`.

use std::io;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

use crate::signals::{self, Helper};
use crate::world::World;

/// Exit status of `ssh` and `scp` themselves: there was no connection.
pub const NO_CONNECTION: u8 = 255;

/// Runs a program to its end; its exit status, as shells have it. Where it stops (`~^Z` of ssh), this program does, too, so
/// that the user's shell goes on.
///
/// # Errors
/// If it cannot be started or waited for.
pub fn run(world: &World, program: &mut Command) -> io::Result<u8> {
    signals::watch(&world.terminal)?;
    let child = program.stderr(Stdio::inherit()).spawn()?;
    let _helper = Helper::with(&child, None);
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidData)?;
    loop {
        let status = match waitpid(Some(pid), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) => status,
            Ok(None) | Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if status.stopped() {
            // The shell that lets it go on lets both. A terminal's Ctrl-Z has stopped both, and by now both may go on.
            if is_stopped(pid) {
                kill_process(getpid(), Signal::STOP)?;
            }
            continue;
        }
        if signals::has_come() {
            return Ok(signals::code());
        }
        let killed = status.terminating_signal().map(|signal| 128 + signal);
        let code = status.exit_status().or(killed);
        return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
    }
}

/// Whether a process is stopped at this moment, by proc_pid_stat(5).
fn is_stopped(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    // Its name, in brackets, may have anything in it.
    stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_program_ended_is_handed_on_as_shells_have_it() {
        let world = World::of_process();
        let status = |script: &str| run(&world, Command::new("sh").args(["-c", script])).unwrap();
        assert_eq!(status("exit 0"), 0);
        assert_eq!(status("exit 255"), NO_CONNECTION);
        assert_eq!(status("kill -TERM $$"), 128 + 15);
        assert!(run(&world, &mut Command::new("/nowhere")).is_err());
    }

    #[test]
    fn what_is_stopped_is_told_from_what_goes_on() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(!is_stopped(pid));
        kill_process(pid, Signal::STOP).unwrap();
        waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
        assert!(is_stopped(pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_stopped(pid));
    }
}
