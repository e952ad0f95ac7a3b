//! Waiting for a guest that boots for the first time.
//!
//! A guest reports its stages on a virtio-serial port, so the wait is for events. Guests that cannot
//! report (an image whose kernel lacks the port) are found by their SSH port instead, tried at long
//! intervals. Either way one SSH login, with the pinned host key, ends the wait: it returns when
//! cloud-init has written its result.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::StepContext;
use crate::host::Host;

/// What comes from the guest's port, or happens to its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A word that the guest wrote.
    Reported(String),
    /// The domain stopped.
    Stopped,
}

/// Why a guest is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotReady {
    /// Time is up; with the stage that it reached.
    TimedOut {
        /// The stage.
        stage: String,
        /// What the last login said.
        last: Option<String>,
    },
    /// The domain stopped while it booted.
    Stopped,
    /// cloud-init is done and reports errors.
    Failed(Vec<String>),
    /// The user wants to stop.
    Cancelled,
    /// The hypervisor is out of reach.
    Lost,
}

/// How to log in to a guest.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The workspace's SSH configuration, which pins the host key.
    pub config: &'a Path,
    /// Host name in it.
    pub name: &'a str,
    /// Address, for trying the port; none if the guest has to report it.
    pub address: Option<IpAddr>,
    /// Options of `ssh` that lead through the connection to the hypervisor.
    pub jump: &'a [String],
    /// The hypervisor, which can reach the guest.
    pub host: &'a dyn Host,
}

/// What a guest reports its address with.
const ADDRESS: &str = "address ";

/// What a guest reports cloud-init's result with.
const RESULT: &str = "result ";

/// How long between two tries of the SSH port of a guest that reports nothing.
const PROBE: Duration = Duration::from_secs(3);

/// After how long without a word a guest that has reported is asked, too: a report is lost if somebody
/// else was connected to the port, or another report held it.
const QUIET: Duration = Duration::from_secs(30);

/// Waits in the guest, inside one SSH session, until cloud-init has written its result. The file is
/// moved into place by cloud-init, so it is whole once it is there.
const AWAIT_RESULT: &str = "i=0; f=/run/cloud-init/result.json; \
    while [ ! -e $f ] && [ $i -lt 3000 ]; do sleep 0.1; i=$((i+1)); done; cat $f";

/// Waits until `login` works and cloud-init is done, at most `limit`. What the guest reports of its
/// address is in `login` afterwards, however the wait ended: it is said only once.
pub fn wait(
    login: &mut Login<'_>,
    signals: &Receiver<Signal>,
    limit: Duration,
    context: &StepContext<'_>,
) -> Result<(), NotReady> {
    let deadline = Instant::now() + limit;
    let mut stage = "booting".to_string();
    let mut last = None;
    let mut reports = true;
    let mut over = false;
    let mut heard = Instant::now();
    loop {
        (context.progress)(stage.clone());
        if context.is_cancelled() {
            return Err(NotReady::Cancelled);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NotReady::TimedOut { stage, last });
        }
        let signal = receive(signals, &mut reports, left.min(PROBE));
        if signal.is_some() {
            heard = Instant::now();
        }
        let done = match signal {
            Some(Signal::Stopped) => return Err(NotReady::Stopped),
            Some(Signal::Reported(word)) if word.starts_with(ADDRESS) => {
                // With the subnet's length, as `ip` prints it.
                let said = word[ADDRESS.len()..].split('/').next().unwrap_or_default();
                login.address = said.trim().parse().ok().or(login.address);
                over
            }
            Some(Signal::Reported(word)) if word.starts_with(RESULT) => {
                // Should its network have failed, nobody can log in and read it.
                let errors = errors(&word[RESULT.len()..]);
                if !errors.is_empty() {
                    return Err(NotReady::Failed(errors));
                }
                over
            }
            Some(Signal::Reported(word)) => {
                stage = match word.as_str() {
                    "cloud-init" => "cloud-init runs".into(),
                    "done" => "cloud-init is done".into(),
                    other => other.into(),
                };
                over |= word == "done";
                over
            }
            // A guest that has reported will report again, most likely; others are found by their SSH port.
            None => {
                if login.host.is_lost() {
                    return Err(NotReady::Lost);
                }
                let answers = |ip| login.host.answers(SocketAddr::new(ip, 22));
                // A login that failed once may do so because everybody logs in at once.
                let silent = stage == "booting" || heard.elapsed() >= QUIET;
                over || (silent && login.address.is_some_and(answers))
            }
        };
        if done {
            if stage == "booting" {
                stage = "SSH answers".into();
            }
            match result(login, deadline) {
                Ok(errors) if errors.is_empty() => return Ok(()),
                Ok(errors) => return Err(NotReady::Failed(errors)),
                Err(said) => last = Some(said),
            }
        }
    }
}

/// The next signal; none when the time is up. A port that has closed is not asked again.
fn receive(signals: &Receiver<Signal>, reports: &mut bool, limit: Duration) -> Option<Signal> {
    if !*reports {
        std::thread::park_timeout(limit);
        return None;
    }
    match signals.recv_timeout(limit) {
        Ok(signal) => Some(signal),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => {
            *reports = false;
            None
        }
    }
}

/// Logs in once and reads cloud-init's result: its errors, or why the login failed.
fn result(login: &Login<'_>, deadline: Instant) -> Result<Vec<String>, String> {
    let seconds = deadline.saturating_duration_since(Instant::now()).as_secs().clamp(1, 30);
    // The configuration does not know it yet; the host key goes by the name.
    let at: Vec<String> = match login.address {
        Some(ip) => vec!["-o".into(), format!("HostName={ip}")],
        None => return Err("the guest did not say which address it got".into()),
    };
    let output = Command::new("ssh")
        .arg("-F")
        .arg(login.config)
        .args(login.jump)
        .args(["-o", "BatchMode=yes", "-o", "ControlPath=none"])
        .args(["-o", &format!("ConnectTimeout={seconds}")])
        .args(at)
        .args(["--", login.name, AWAIT_RESULT])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run ssh: {e}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_string();
        return Err(if text.is_empty() { format!("ssh: {}", output.status) } else { text });
    }
    Ok(errors(&String::from_utf8_lossy(&output.stdout)))
}

/// Errors in `result.json`: `{"v1": {"datasource": …, "errors": […]}}`.
fn errors(json: &str) -> Vec<String> {
    match serde_json::from_str::<serde_json::Value>(json) {
        Ok(value) => value["v1"]["errors"]
            .as_array()
            .map(|list| list.iter().map(|e| e.as_str().unwrap_or("?").to_string()).collect())
            .unwrap_or_default(),
        Err(error) => vec![format!("cloud-init's result cannot be read: {error}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;

    fn login() -> Login<'static> {
        // An address from a range that is never routed (RFC 5737).
        let address = IpAddr::from([192, 0, 2, 1]);
        let host = &crate::host::Local;
        Login {
            config: Path::new("/nonexistent"),
            name: "n",
            address: Some(address),
            jump: &[],
            host,
        }
    }

    fn run(signals: &Receiver<Signal>, cancelled: bool) -> NotReady {
        let cancelled = AtomicBool::new(cancelled);
        let context = StepContext { progress: &|_| {}, cancelled: &cancelled };
        wait(&mut login(), signals, Duration::from_millis(1500), &context).unwrap_err()
    }

    #[test]
    fn a_guest_without_network_says_what_failed() {
        let (sender, receiver) = mpsc::channel();
        let result =
            r#"result { "v1": { "errors": [ "('init-local', RuntimeError('no NIC'))" ] } }"#;
        sender.send(Signal::Reported(result.into())).unwrap();
        let NotReady::Failed(errors) = run(&receiver, false) else { panic!() };
        assert_eq!(errors, ["('init-local', RuntimeError('no NIC'))"]);
    }

    #[test]
    fn a_timeout_names_the_stage() {
        let (sender, receiver) = mpsc::channel();
        sender.send(Signal::Reported("cloud-init".into())).unwrap();
        match run(&receiver, false) {
            NotReady::TimedOut { stage, last: None } => assert_eq!(stage, "cloud-init runs"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_domain_that_stops_ends_the_wait() {
        let (sender, receiver) = mpsc::channel();
        sender.send(Signal::Stopped).unwrap();
        assert_eq!(run(&receiver, false), NotReady::Stopped);
    }

    #[test]
    fn the_user_can_stop_it() {
        let (_sender, receiver) = mpsc::channel();
        assert_eq!(run(&receiver, true), NotReady::Cancelled);
    }

    #[test]
    fn cloud_inits_errors_are_read() {
        assert!(errors(r#"{"v1": {"datasource": "x", "errors": []}}"#).is_empty());
        assert_eq!(errors(r#"{"v1": {"errors": ["a"]}}"#), ["a"]);
        assert_eq!(errors("").len(), 1);
    }
}
