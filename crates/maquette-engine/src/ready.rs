//! Waiting for a guest that boots for the first time.
//!
//! A guest reports its stages on a virtio-serial port, so the wait is for events. Guests that cannot
//! report (an image whose kernel lacks the port) are found by their SSH port instead, tried at long
//! intervals. Either way one SSH login, with the pinned host key, ends the wait: it returns when
//! cloud-init has written its result.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use maquette_core::seed::report::{self, Report};

use crate::StepContext;
use crate::host::process::{bounded, first_words};
use crate::host::{Host, login_line};

mod watch;

use watch::Looks;
pub use watch::{Held, Pace, Quiet, Watch};

/// What comes from the guest's port, or happens to its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// What the guest said.
    Reported(Report),
    /// The domain stopped.
    Stopped,
}

/// What errors of cloud-init come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A NIC has no driver: cloud-init counts the NICs that it shall set up, and sets none up if one is missing.
    NoDriver,
    /// A guest that started from a template did not become a node, and is what it was: its agent has done nothing that a boot
    /// does not do again.
    StillTemplate,
    /// Any other.
    Other,
}

impl Fault {
    /// cloud-init has words only; so have agents of images that were built before theirs had one for a template that is
    /// `untouched`.
    fn of(errors: &[String], untouched: bool) -> Self {
        let is_of_before =
            |first: &String| report::UNTOUCHED_BEFORE.iter().any(|begin| first.starts_with(begin));
        if untouched || errors.first().is_some_and(is_of_before) {
            Self::StillTemplate
        } else if errors.iter().any(|e| e.contains("physical devices present")) {
            Self::NoDriver
        } else {
            Self::Other
        }
    }

    /// What to do about it.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::NoDriver => Some(
                "its kernel has no driver for one of its NICs, as kernels for clouds have none \
                 for e1000; take another image, or another `model` in the network file",
            ),
            Self::StillTemplate | Self::Other => None,
        }
    }
}

/// Why a guest is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotReady {
    /// Time is up; with the stage that it reached.
    TimedOut {
        /// The stage of the boot that it reached, in words.
        stage: String,
        /// What the last login said, if any was tried.
        last: Option<String>,
    },
    /// The domain stopped while it booted.
    Stopped,
    /// Its guest does nothing more, and this is why.
    Halted(String),
    /// cloud-init is done and reports errors.
    Failed {
        /// What they come to.
        fault: Fault,
        /// Its own words.
        errors: Vec<String>,
    },
    /// The user wants to stop.
    Cancelled,
    /// The hypervisor is out of reach.
    Lost,
}

impl NotReady {
    fn failed(errors: Vec<String>, untouched: bool) -> Self {
        Self::Failed { fault: Fault::of(&errors, untouched), errors }
    }

    /// Why a guest that started from a template did not become a node, and is what it was: its agent has done nothing that
    /// a boot does not do again.
    pub fn still_template(&self) -> Option<&str> {
        match self {
            Self::Failed { fault: Fault::StillTemplate, errors } => {
                errors.first().map(String::as_str)
            }
            _ => None,
        }
    }
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
    /// Whether the guest has to report it; of any other, a guest's word does not count.
    pub reports: bool,
    /// Whether a login has worked there, with the pinned host key.
    pub worked: bool,
    /// Options of `ssh` that lead through the connection to the hypervisor.
    pub jump: &'a [String],
    /// The hypervisor, which can reach the guest.
    pub host: &'a dyn Host,
}

/// The stage of a guest that has said nothing yet.
const BOOTING: &str = "booting";

/// How long between two tries of the SSH port of a guest that reports nothing.
const PROBE: Duration = Duration::from_secs(3);

/// After how long without a word a guest that has reported is asked, too: a report is lost if somebody
/// else was connected to the port, or another report held it.
const QUIET: Duration = Duration::from_secs(30);

/// Waits in the guest, inside one SSH session, until cloud-init has written its result. The file is
/// moved into place by cloud-init, so it is whole once it is there. What a login shell prints comes before
/// the mark.
const AWAIT_RESULT: &str = include_str!("../assets/await-result.sh");

/// What is known of a guest while it boots.
struct Boot {
    /// What it does, for people.
    stage: String,
    /// Whether it has said that it is done.
    over: bool,
    /// Whether it has said that it is a template still, which its result gives the reason of.
    untouched: bool,
    /// When it last said something.
    heard: Instant,
}

impl Boot {
    /// Whether the guest has said nothing yet.
    fn is_silent(&self) -> bool {
        self.stage == BOOTING
    }

    /// Takes in what a guest reported.
    fn reported(&mut self, report: &Report, login: &mut Login<'_>) -> Result<(), NotReady> {
        match report {
            Report::Address(address) if login.reports => login.address = address.or(login.address),
            Report::Address(_) => {}
            Report::Result(json) => {
                // Should its network have failed, nobody can log in and read it.
                let errors = errors(json);
                if !errors.is_empty() {
                    return Err(NotReady::failed(errors, self.untouched));
                }
            }
            Report::Untouched => self.untouched = true,
            Report::Begun => self.stage = "cloud-init runs".into(),
            Report::Done => {
                self.stage = "cloud-init is done".into();
                self.over = true;
            }
            Report::Template | Report::Clock | Report::Still | Report::Other(_) => {
                self.stage = report.to_string().chars().take(80).collect();
            }
        }
        Ok(())
    }

    /// Whether it is worth logging in although the guest says nothing. One that has reported will report again,
    /// most likely; others are found by their SSH port.
    fn answers(&self, login: &Login<'_>) -> Result<bool, NotReady> {
        if login.host.is_lost() {
            return Err(NotReady::Lost);
        }
        let answers = |ip| login.host.answers(SocketAddr::new(ip, 22));
        // A login that failed once may do so because everybody logs in at once.
        let quiet = self.is_silent() || self.heard.elapsed() >= QUIET;
        Ok(self.over || (quiet && login.address.is_some_and(answers)))
    }
}

/// Waits until `login` works and cloud-init is done, at most `limit`. What the guest reports of its
/// address is in `login` afterwards, and whether it answered there, however the wait ended: it is said only once. `watch` looks
/// at a guest that says nothing.
pub fn wait(
    login: &mut Login<'_>,
    signals: &Receiver<Signal>,
    limit: Duration,
    watch: &Watch<'_>,
    context: &StepContext<'_>,
) -> Result<(), NotReady> {
    let deadline = Instant::now() + limit;
    let mut boot =
        Boot { stage: BOOTING.into(), over: false, untouched: false, heard: Instant::now() };
    let mut looks = Looks::new(watch);
    let mut last = None;
    let mut reports = true;
    let mut told = String::new();
    loop {
        // A guest may say the same a thousand times.
        if boot.stage != told {
            (context.progress)(boot.stage.clone());
            told.clone_from(&boot.stage);
        }
        if context.is_cancelled() {
            return Err(NotReady::Cancelled);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NotReady::TimedOut { stage: boot.stage, last });
        }
        looks.look(&boot, last.as_deref(), context)?;
        let done = match receive(signals, &mut reports, left.min(PROBE)) {
            Some(Signal::Stopped) => return Err(NotReady::Stopped),
            Some(Signal::Reported(report)) => {
                boot.heard = Instant::now();
                looks.heard();
                boot.reported(&report, login)?;
                boot.over
            }
            None => boot.answers(login)?,
        };
        if !done {
            continue;
        }
        if boot.is_silent() {
            boot.stage = "SSH answers".into();
        }
        match result(login, deadline, context) {
            Ended::Result(errors) => {
                login.worked = true;
                return match errors.is_empty() {
                    true => Ok(()),
                    false => Err(NotReady::failed(errors, false)),
                };
            }
            Ended::Failed(said) => last = Some(said),
            Ended::Cancelled => return Err(NotReady::Cancelled),
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

/// Marks what follows as cloud-init's result.
const MARK: &str = "@@result@@";

/// How long one login may wait for the result: longer than the guest's own wait.
const LOGIN: Duration = Duration::from_secs(330);

/// Most bytes that are read of what a login prints.
const LONGEST: usize = 64 * 1024;

/// How often a login that is under way looks whether anybody still waits for it.
const LOOK: Duration = Duration::from_millis(200);

/// How a login ended.
enum Ended {
    /// cloud-init is done, with these errors.
    Result(Vec<String>),
    /// The login failed; why.
    Failed(String),
    /// Nobody waits for it any more.
    Cancelled,
}

/// Logs in once and reads cloud-init's result. A guest that hangs, prints without end or goes away holds
/// nobody up for longer than `deadline`.
fn result(login: &Login<'_>, deadline: Instant, context: &StepContext<'_>) -> Ended {
    let left = deadline.saturating_duration_since(Instant::now());
    let seconds = left.as_secs().clamp(1, 30);
    // The configuration does not know it yet; the host key goes by the name.
    let Some(ip) = login.address else {
        return Ended::Failed("the guest did not say which address it got".into());
    };
    let mut ssh = Command::new("ssh");
    ssh.arg("-F")
        .arg(login.config)
        .args(login.jump)
        .args(["-o", "BatchMode=yes", "-o", "ControlPath=none"])
        .args(["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"])
        .args(["-o", &format!("ConnectTimeout={seconds}"), "-o", &format!("HostName={ip}")])
        .args(["--", login.name, &login_line(AWAIT_RESULT)])
        .stdin(Stdio::null());
    read_result(ssh, left.min(LOGIN), context)
}

/// Runs a login to its end, or ends it.
fn read_result(mut ssh: Command, limit: Duration, context: &StepContext<'_>) -> Ended {
    let until = Instant::now() + limit;
    let mut child = match ssh.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return Ended::Failed(format!("cannot run ssh: {error}")),
    };
    let (sender, receiver) = mpsc::channel();
    read_beside(child.stdout.take(), &sender, 0);
    read_beside(child.stderr.take(), &sender, 1);
    let mut read: [Option<Vec<u8>>; 2] = [None, None];
    let why = loop {
        if read.iter().all(Option::is_some) {
            break None;
        }
        match receiver.recv_timeout(LOOK) {
            Ok((at, Some(bytes))) => read[at] = Some(bytes),
            Ok((_, None)) => {
                break Some(Ended::Failed("the guest's login prints more than 64 KiB".into()));
            }
            Err(_) if context.is_cancelled() => break Some(Ended::Cancelled),
            Err(_) if Instant::now() >= until => {
                let seconds = limit.as_secs();
                break Some(Ended::Failed(format!(
                    "the guest's login did not answer within {seconds} s"
                )));
            }
            Err(_) => {}
        }
    };
    if let Some(why) = why {
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
        return why;
    }
    let [stdout, stderr] =
        read.map(|r| String::from_utf8_lossy(&r.unwrap_or_default()).into_owned());
    match child.wait() {
        Err(error) => Ended::Failed(format!("cannot run ssh: {error}")),
        Ok(status) if !status.success() && stderr.trim().is_empty() => {
            Ended::Failed(format!("ssh: {status}"))
        }
        Ok(status) if !status.success() => Ended::Failed(stderr.trim().into()),
        Ok(_) => match stdout.split_once(MARK) {
            Some((_, result)) => Ended::Result(errors(result)),
            None => {
                let said = first_words(stdout.as_bytes());
                Ended::Failed(format!("the guest's login shell runs no commands; it says: {said}"))
            }
        },
    }
}

/// Reads a pipe in the background; none if there is too much in it.
fn read_beside(
    pipe: Option<impl Read + Send + 'static>,
    sender: &mpsc::Sender<(usize, Option<Vec<u8>>)>,
    at: usize,
) {
    let sender = sender.clone();
    std::thread::spawn(move || {
        let bytes = pipe.map_or(Some(Vec::new()), |pipe| bounded(pipe, LONGEST));
        // Nobody may be waiting any more.
        let _ = sender.send((at, bytes));
    });
}

/// The errors that a guest reports, if it reports a result.
pub fn errors_of(report: &Report) -> Option<Vec<String>> {
    match report {
        Report::Result(json) => Some(errors(json)),
        _ => None,
    }
}

/// Errors in `result.json`: `{"v1": {"datasource": …, "errors": […]}}`.
pub(crate) fn errors(json: &str) -> Vec<String> {
    // A shell may print something when it ends, too.
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<serde_json::Value>();
    let short = |e: &serde_json::Value| e.as_str().unwrap_or("?").chars().take(500).collect();
    match values.next() {
        Some(Ok(value)) => value["v1"]["errors"]
            .as_array()
            .map(|list| list.iter().take(20).map(short).collect())
            .unwrap_or_default(),
        Some(Err(error)) => vec![format!("cloud-init's result cannot be read: {error}")],
        None => vec!["cloud-init's result cannot be read: it is empty".into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn login() -> Login<'static> {
        // An address from a range that is never routed (RFC 5737).
        let address = IpAddr::from([192, 0, 2, 1]);
        let host = &crate::host::Local;
        Login {
            config: Path::new("/nonexistent"),
            name: "n",
            address: Some(address),
            reports: false,
            worked: false,
            jump: &[],
            host,
        }
    }

    /// Who finds nothing.
    const NOBODY: Watch<'static> = Watch {
        pace: Pace { glance: Duration::from_secs(20), stall: Duration::from_secs(120) },
        look: &|_| None,
    };

    /// How a wait ends, and what is told meanwhile, of a guest that says nothing and that `look` looks at.
    fn watched(look: &dyn Fn(&Quiet<'_>) -> Option<Held>) -> (NotReady, Vec<String>) {
        let (_sender, receiver) = mpsc::channel();
        let told = std::sync::Mutex::new(Vec::new());
        let progress = |text: String| told.lock().unwrap().push(text);
        let cancelled = AtomicBool::new(false);
        let context = StepContext { progress: &progress, remark: &|_| {}, cancelled: &cancelled };
        let mut login = Login { address: None, ..login() };
        let pace = Pace { glance: Duration::from_millis(1), stall: Duration::from_millis(2) };
        let limit = Duration::from_secs(20);
        let ended = wait(&mut login, &receiver, limit, &Watch { pace, look }, &context);
        (ended.unwrap_err(), told.into_inner().unwrap())
    }

    /// Each wait went on for ten minutes, and nothing but the kernel was ever named.
    #[test]
    fn what_holds_a_guest_up_is_told_and_what_never_passes_ends_the_wait() {
        let held = |words: &str, for_good| Some(Held { words: words.into(), for_good });
        let (ended, told) = watched(&|quiet| match (quiet.is_long, quiet.again) {
            (true, false) => held("it asks for an address, and does not get one", false),
            (true, true) => held("its kernel panicked", true),
            (false, _) => None,
        });
        assert_eq!(ended, NotReady::Halted("its kernel panicked".into()));
        assert_eq!(told, ["booting", "booting; it asks for an address, and does not get one"]);
        let begun = Instant::now();
        let (ended, told) = watched(&|_| held("its kernel panicked", true));
        assert_eq!((ended, told.len()), (NotReady::Halted("its kernel panicked".into()), 1));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    fn run(signals: &Receiver<Signal>, cancelled: bool) -> NotReady {
        let cancelled = AtomicBool::new(cancelled);
        let context = StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &cancelled };
        wait(&mut login(), signals, Duration::from_millis(1500), &NOBODY, &context).unwrap_err()
    }

    #[test]
    fn a_guest_without_network_says_what_failed() {
        let (sender, receiver) = mpsc::channel();
        let result =
            r#"result { "v1": { "errors": [ "('init-local', RuntimeError('no NIC'))" ] } }"#;
        sender.send(Signal::Reported(Report::of(result))).unwrap();
        let NotReady::Failed { errors, .. } = run(&receiver, false) else { panic!() };
        assert_eq!(errors, ["('init-local', RuntimeError('no NIC'))"]);
    }

    /// Such a node boots instead, whatever the reason is; and one that has begun does not, however its error reads.
    #[test]
    fn a_template_that_is_untouched_says_so_in_a_word_or_as_earlier_agents_did() {
        for (words, still) in [
            (&["untouched", "result {\"v1\": {\"errors\": [\"why\"]}}"][..], Some("why")),
            (&["result {\"v1\": {\"errors\": [\"seed: why\"]}}"], Some("seed: why")),
            (&["result {\"v1\": {\"errors\": [\"agent: why\"]}}"], None),
        ] {
            let (sender, receiver) = mpsc::channel();
            for word in words {
                sender.send(Signal::Reported(Report::of(word))).unwrap();
            }
            assert_eq!(run(&receiver, false).still_template(), still, "{words:?}");
        }
    }

    /// One that was to have an address of the hypervisor's was recorded with it, whether it answered there or not.
    #[test]
    fn where_a_guest_says_that_it_answers_is_its_word_until_a_login_has_worked() {
        for (reports, expected) in [(true, [192, 0, 2, 9]), (false, [192, 0, 2, 1])] {
            let (sender, receiver) = mpsc::channel();
            for word in ["address 192.0.2.9/24", "address 127.0.0.1/8", "address x"] {
                sender.send(Signal::Reported(Report::of(word))).unwrap();
            }
            let mut login = Login { reports, ..login() };
            let cancelled = AtomicBool::new(false);
            let context = StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &cancelled };
            let limit = Duration::from_millis(1500);
            wait(&mut login, &receiver, limit, &NOBODY, &context).unwrap_err();
            assert_eq!((login.address, login.worked), (Some(expected.into()), false));
        }
    }

    #[test]
    fn a_timeout_names_the_stage() {
        let (sender, receiver) = mpsc::channel();
        sender.send(Signal::Reported(Report::Begun)).unwrap();
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

    /// What a guest's login makes of it: the guest is played by a shell.
    fn played(script: &str, limit: u64, cancelled: bool) -> String {
        let cancelled = AtomicBool::new(cancelled);
        let context = StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &cancelled };
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        match read_result(shell, Duration::from_millis(limit), &context) {
            Ended::Result(errors) => format!("result {errors:?}"),
            Ended::Failed(why) => why,
            Ended::Cancelled => "cancelled".into(),
        }
    }

    #[test]
    fn a_guest_that_hangs_or_floods_holds_nobody_up() {
        let begun = Instant::now();
        assert!(played("exec sleep 100", 300, false).contains("did not answer"));
        assert!(played("printf @@result@@; exec sleep 100", 300, false).contains("did not answer"));
        assert_eq!(played("exec sleep 100", 60_000, true), "cancelled");
        assert!(played("exec yes", 60_000, false).contains("64 KiB"));
        assert!(played("exec yes >&2", 60_000, false).contains("64 KiB"));
        assert!(begun.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn a_guests_login_shell_may_talk() {
        let json = r#"{"v1": {"errors": ["a"]}}"#;
        let script = format!("echo hi; printf @@result@@; echo '{json}'; echo bye");
        assert_eq!(played(&script, 60_000, false), r#"result ["a"]"#);
        assert!(played("echo 'no login'", 60_000, false).contains("it says: no login"));
        assert_eq!(played("echo why >&2; exit 255", 60_000, false), "why");
    }

    #[test]
    fn cloud_inits_errors_are_read() {
        assert!(errors(r#"{"v1": {"datasource": "x", "errors": []}}"#).is_empty());
        assert_eq!(errors(r#"{"v1": {"errors": ["a"]}}"#), ["a"]);
        assert_eq!(errors("").len(), 1);
    }
}
