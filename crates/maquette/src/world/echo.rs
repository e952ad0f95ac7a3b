//! Keys that are pressed while a live view is drawn: the terminal would show them in the middle of it, and what the view
//! draws next would be a line off.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};

/// The terminal as it was before keys were hidden. A program that is ended by a signal has nothing else to look at.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Has the terminal of standard input show no keys, until [`show`]. Keys still mean what they did: Ctrl-C, for one. In the
/// background that is the shell's terminal, and stays as it is.
pub fn hide() {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || !is_ours() {
        return;
    }
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    if before.is_none() {
        *before = hide_on(stdin);
    }
}

/// Whether we are in the foreground of the terminal of standard input.
fn is_ours() -> bool {
    termios::tcgetpgrp(std::io::stdin()).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Has the terminal show keys again.
pub fn show() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // A terminal that has gone needs no restoring.
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
    }
}

/// Has a terminal show no keys; returns what it was like. None if it cannot be changed.
fn hide_on(terminal: impl AsFd) -> Option<Termios> {
    let before = termios::tcgetattr(&terminal).ok()?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
    termios::tcsetattr(&terminal, OptionalActions::Now, &quiet).ok()?;
    Some(before)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::fd::OwnedFd;

    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// The keyboard of a terminal of its own, and that terminal.
    pub(crate) fn terminal() -> (OwnedFd, OwnedFd) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let terminal = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        (master, terminal)
    }

    #[test]
    fn keys_are_hidden_and_nothing_else_changes() {
        let (_keyboard, terminal) = terminal();
        let modes = || termios::tcgetattr(&terminal).unwrap().local_modes;
        let usual = modes();
        assert!(usual.contains(LocalModes::ECHO | LocalModes::ISIG | LocalModes::ICANON));
        let before = hide_on(&terminal).unwrap();
        assert_eq!(modes(), usual - LocalModes::ECHO - LocalModes::ECHONL);
        termios::tcsetattr(&terminal, OptionalActions::Now, &before).unwrap();
        assert_eq!(modes(), usual);
    }
}
