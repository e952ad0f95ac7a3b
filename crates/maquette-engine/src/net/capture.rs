//! What goes through a tap of the hypervisor, as a pcap stream.

use std::io::Read;

use thiserror::Error;

use crate::host::process::lines;
use crate::host::{Command, Host, HostError};

const SCRIPT: &str = include_str!("../../assets/net/capture.sh");

/// Exit status of the script without tcpdump.
const NO_TCPDUMP: i32 = 45;
/// Exit status of tcpdump when we have ended it.
const STOPPED: i32 = 143;

/// Which frames are of interest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Ends after so many; none goes on until nobody listens any more.
    pub count: Option<u64>,
    /// In tcpdump's words.
    pub words: Vec<String>,
}

/// Why nothing, or no more, was captured.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The hypervisor has no tcpdump.
    #[error("the hypervisor has no tcpdump")]
    NoTcpdump,
    /// tcpdump failed; its last words, a line each.
    #[error("tcpdump failed: {}", .0.join("; "))]
    Tcpdump(Vec<String>),
    /// It could not be run.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Captures until it is done or `take` says that nobody listens any more. `begun` is told once it is under way.
pub fn capture(
    host: &dyn Host,
    tap: &str,
    filter: &Filter,
    begun: &mut dyn FnMut(),
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), CaptureError> {
    let count = filter.count.map(|n| n.to_string()).unwrap_or_default();
    let words = [tap.to_string(), count].into_iter().chain(filter.words.iter().cloned());
    let mut child = host.spawn(&Command::script(SCRIPT, words))?;
    // Read meanwhile, and only its end kept: a login shell may say anything.
    let stderr = child.stderr.take();
    let said = stderr.map(|stderr| std::thread::spawn(|| lines(stderr, &mut |_| {})));
    begun();
    // Kept open for as long as we listen.
    let leash = child.stdin.take();
    let mut buffer = [0u8; 65_536];
    if let Some(mut out) = child.stdout.take() {
        while let Ok(count @ 1..) = out.read(&mut buffer) {
            if !take(&buffer[..count]) {
                break;
            }
        }
    }
    drop(leash);
    let said = said.and_then(|said| said.join().ok()).unwrap_or_default();
    let failed = |source| HostError::Start { program: "tcpdump".into(), source };
    match child.wait().map_err(failed)?.code() {
        Some(0 | STOPPED) | None => Ok(()),
        Some(NO_TCPDUMP) => Err(CaptureError::NoTcpdump),
        Some(_) => {
            let lines = said.lines().filter(|l| !l.starts_with("tcpdump: listening"));
            Err(CaptureError::Tcpdump(lines.map(String::from).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Local;

    /// What `tcpdump` says of a tap that is not there, or that there is no tcpdump here.
    #[test]
    fn a_capture_that_cannot_begin_says_why() {
        let none = Filter::default();
        let result = capture(&Local, "no-such-tap", &none, &mut || {}, &mut |_| true);
        match result.unwrap_err() {
            CaptureError::NoTcpdump => {}
            CaptureError::Tcpdump(lines) => assert!(lines[0].contains("no-such-tap"), "{lines:?}"),
            CaptureError::Host(error) => panic!("{error}"),
        }
    }
}
