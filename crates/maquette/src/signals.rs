//! Ctrl-C, a closed terminal and `kill`. While a plan is carried out the first of them lets running steps
//! end; everywhere else, at a question and the second time the program ends at once, and its sockets with it.

use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use maquette_core::decode::quoted_list;
use maquette_engine::host::ssh;
use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

use crate::world::{Terminal, echo};

/// The signal that came last; 0 for none.
static CAME: AtomicI32 = AtomicI32::new(0);

/// The exit code of a run that was stopped: 128 and the number of the signal, as shells have it.
pub fn code() -> u8 {
    match CAME.load(Ordering::SeqCst) {
        // A run that was told to stop by itself, as if by Ctrl-C.
        0 => 130,
        signal => u8::try_from(128 + signal).unwrap_or(130),
    }
}

/// Whether a signal has come.
pub fn has_come() -> bool {
    SIGNALS.load(Ordering::SeqCst) > 0
}

/// What the run looks at that is being stopped.
static RUN: Mutex<Option<Arc<AtomicBool>>> = Mutex::new(None);

/// How many waits go on that nobody can call off.
static WAITS: AtomicUsize = AtomicUsize::new(0);

/// A program of the user's that runs for us and that signals are for as well.
static PROGRAM: Mutex<Option<Program>> = Mutex::new(None);

struct Program {
    pid: Pid,
    /// Which signal it was told of, as counted by [`SIGNALS`]; none if it was told of none.
    told: Option<usize>,
}

/// How many signals have come.
static SIGNALS: AtomicUsize = AtomicUsize::new(0);

/// How long a program that was told to end may take for it before it is told so in a way that it cannot take for less.
const PATIENCE: Duration = Duration::from_secs(5);

/// A program that is told what we are told, for as long as this is there.
pub struct InterruptedChild(());

impl InterruptedChild {
    /// Has it told, also of a signal that came while it was started.
    pub fn with(child: &Child) -> Self {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let mut program = program();
        *program = pid.map(|pid| Program { pid, told: None });
        let run = RUN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if run.is_some_and(|cancelled| cancelled.load(Ordering::SeqCst)) {
            tell(
                &mut program,
                (SIGNALS.load(Ordering::SeqCst), CAME.load(Ordering::SeqCst)),
                false,
            );
        }
        Self(())
    }

    /// Whether it was told to end.
    pub fn was(&self) -> bool {
        program().as_ref().is_some_and(|program| program.told.is_some())
    }
}

impl Drop for InterruptedChild {
    fn drop(&mut self) {
        *program() = None;
    }
}

/// Programs that end when this one is ended, each with the node that it does something on.
static HELPERS: Mutex<Vec<(Pid, Option<String>)>> = Mutex::new(Vec::new());

/// Told whenever there is one less of them.
static HELPER_ENDED: Condvar = Condvar::new();

/// How long one that has the terminal may take to give it back as it was.
const HANDING_BACK: Duration = Duration::from_secs(2);

/// A program that is told to end when this one is, for as long as this is there: an `ssh`.
pub struct Helper(Option<Pid>);

impl Helper {
    /// With the node that it runs a command on, if that may go on there when the program ends.
    pub fn with(child: &Child, node: Option<&str>) -> Self {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            helpers().push((pid, node.map(String::from)));
        }
        Self(pid)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        helpers().retain(|(pid, _)| Some(*pid) != self.0);
        HELPER_ENDED.notify_all();
    }
}

fn helpers() -> std::sync::MutexGuard<'static, Vec<(Pid, Option<String>)>> {
    HELPERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells helpers to end, unless a terminal has told them; what is to be said of what may go on on nodes.
fn end(helpers: &[(Pid, Option<String>)], terminal_told: bool) -> Option<String> {
    for (pid, _) in helpers.iter().filter(|_| !terminal_told) {
        // It may have ended.
        let _ = rustix::process::kill_process(*pid, Signal::TERM);
    }
    let mut nodes: Vec<&String> = helpers.iter().filter_map(|(_, node)| node.as_ref()).collect();
    nodes.sort();
    (!nodes.is_empty()).then(|| {
        let nodes = quoted_list(&nodes);
        format!("interrupted; the command had not ended on {nodes}, and may go on there")
    })
}

/// Waits until the helper that has the user's terminal has ended: an `ssh` puts it back as it was.
fn await_terminal() {
    let has_terminal =
        |helpers: &mut Vec<(Pid, Option<String>)>| helpers.iter().any(|(_, node)| node.is_none());
    let _ = HELPER_ENDED.wait_timeout_while(helpers(), HANDING_BACK, has_terminal);
}

fn program() -> std::sync::MutexGuard<'static, Option<Program>> {
    PROGRAM.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the program that runs for us that it is to end, by the `number`th signal; false if there is none, or another one has
/// told it before. It is told as by Ctrl-C: that is what `ansible-playbook` ends what it has started after. A terminal
/// tells all of its foreground by itself.
fn tell(
    running: &mut Option<Program>,
    (number, signal): (usize, i32),
    terminal_told: bool,
) -> bool {
    let Some(Program { pid, told }) = running else { return false };
    let pid = *pid;
    let kill = move |signal| {
        // It may have ended.
        let _ = rustix::process::kill_process(pid, signal);
    };
    match told.replace(number) {
        // It came while the program was started, which was told of it at once.
        Some(before) if before == number => return true,
        Some(_) => {
            kill(Signal::KILL);
            return false;
        }
        None => {}
    }
    if signal != SIGINT || !terminal_told {
        kill(Signal::INT);
    }
    std::thread::spawn(move || {
        for signal in [Signal::TERM, Signal::KILL] {
            std::thread::sleep(PATIENCE);
            let running = program();
            match running.as_ref() {
                Some(now) if now.pid == pid => kill(signal),
                _ => return,
            }
        }
    });
    true
}

/// Whether a signal is one that the terminal has sent, to all of its foreground: whoever calls `kill` is another process.
fn is_of_terminal(origin: &Origin) -> bool {
    matches!(origin.cause, Cause::Kernel)
}

/// Waits for what cannot be called off and changes nothing: a signal ends the program meanwhile, also the first one.
pub fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    struct Wait;
    impl Drop for Wait {
        fn drop(&mut self) {
            WAITS.fetch_sub(1, Ordering::SeqCst);
        }
    }
    WAITS.fetch_add(1, Ordering::SeqCst);
    let _wait = Wait;
    wait()
}

/// Sees to it that nothing stays behind, whenever the program is ended.
pub fn watch(terminal: &Arc<Terminal>) -> std::io::Result<()> {
    static WATCHING: OnceLock<()> = OnceLock::new();
    if WATCHING.set(()).is_err() {
        return Ok(());
    }
    let hangup = (!ignores_hangup()).then_some(SIGHUP);
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGINT, SIGTERM].into_iter().chain(hangup))?;
    let terminal = terminal.clone();
    std::thread::spawn(move || {
        for origin in signals.forever() {
            let signal = origin.signal;
            CAME.store(signal, Ordering::SeqCst);
            let number = SIGNALS.fetch_add(1, Ordering::SeqCst) + 1;
            let run = RUN.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let first = run.is_some_and(|cancelled| !cancelled.swap(true, Ordering::SeqCst));
            if tell(&mut program(), (number, signal), is_of_terminal(&origin)) {
                continue;
            }
            let asking = terminal.is_asking();
            let by_terminal = signal == SIGINT && is_of_terminal(&origin);
            let waits = WAITS.load(Ordering::SeqCst) > 0;
            if first && !asking && !waits {
                continue;
            }
            if waits && !asking {
                terminal.talk("interrupted while libvirt was waited for; nothing more was done");
            }
            if asking {
                terminal.talk("\ninterrupted at the question; nothing more was done");
            }
            let goes_on = end(&helpers(), by_terminal);
            await_terminal();
            if let Some(goes_on) = goes_on {
                terminal.talk(&goes_on);
            }
            echo::show();
            ssh::remove_sockets();
            signal_hook::low_level::exit(i32::from(code()));
        }
    });
    Ok(())
}

/// The same, and has the first signal set `cancelled` only.
pub fn heed(terminal: &Arc<Terminal>, cancelled: &Arc<AtomicBool>) -> std::io::Result<()> {
    *RUN.lock().unwrap_or_else(PoisonError::into_inner) = Some(cancelled.clone());
    watch(terminal)
}

/// Whether whoever started us wants us to outlive the terminal (`nohup`).
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok()).is_some_and(|m| m & 1 == 1)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    /// The one that came between the fork and our noting it was lost, and the program ran to its end.
    #[test]
    fn a_program_is_told_of_a_signal_that_came_while_it_was_started() {
        *RUN.lock().unwrap() = Some(Arc::new(AtomicBool::new(true)));
        CAME.store(SIGTERM, Ordering::SeqCst);
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let told = InterruptedChild::with(&child);
        assert!(told.was());
        assert!(!child.wait().unwrap().success());
        // The watcher comes to it, too: it has been told, and is not killed for having been told twice.
        let number = SIGNALS.load(Ordering::SeqCst);
        assert!(tell(&mut program(), (number, SIGTERM), false));
        drop(told);
        *RUN.lock().unwrap() = None;
    }

    /// `ssh` went on when `exec` was ended, and so did what it ran.
    #[test]
    fn helpers_end_with_the_program() {
        let sleep = || Command::new("sleep").arg("1000").spawn().unwrap();
        let (mut on_node, mut plain) = (sleep(), sleep());
        let pid = |child: &Child| Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let all = [(pid(&on_node), Some("lab-web-0".to_string())), (pid(&plain), None)];
        let said = "interrupted; the command had not ended on `lab-web-0`, and may go on there";
        assert_eq!(end(&all, true).as_deref(), Some(said));
        assert!(plain.try_wait().unwrap().is_none());
        assert_eq!(end(&all, false).as_deref(), Some(said));
        assert!(!on_node.wait().unwrap().success() && !plain.wait().unwrap().success());
        assert_eq!(end(&[], false), None);
    }

    const INSIDE: &str = "MAQUETTE_TEST_INSIDE_TERMINAL";

    /// Where standard input was no terminal, Ansible heard of each Ctrl-C twice; and not at all of `kill -INT`, where it was one.
    #[test]
    fn what_a_terminal_sends_is_told_from_what_somebody_sends() {
        let (keyboard, terminal) = echo::tests::terminal();
        let mut inside = Command::new("setsid")
            .args(["--ctty", "sh", "-c", "exec \"$@\" </dev/null", "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "signals::tests::inside", "--ignored", "--nocapture"])
            .env(INSIDE, "1")
            .stdin(Stdio::from(terminal))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(inside.stdout.take().unwrap()).lines();
        let mut said = |word: &str| {
            let line = lines.find_map(|line| Some(line.unwrap().split_once(word)?.1.to_string()));
            line.unwrap_or_default()
        };
        assert_eq!(said("ready"), "");
        let mut keyboard = std::fs::File::from(keyboard);
        keyboard.write_all(b"\x03").unwrap();
        assert_eq!(said("terminal: "), "true");
        let pid = Pid::from_raw(i32::try_from(inside.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::INT).unwrap();
        assert_eq!(said("terminal: "), "false");
        inside.wait().unwrap();
    }

    #[test]
    #[ignore = "another test runs it, at a terminal of its own"]
    fn inside() {
        if std::env::var_os(INSIDE).is_none() {
            return;
        }
        let mut signals = SignalsInfo::<WithOrigin>::new([SIGINT]).unwrap();
        let mut out = std::fs::File::options().append(true).open("/proc/self/fd/1").unwrap();
        writeln!(out, "ready").unwrap();
        for origin in signals.forever().take(2) {
            writeln!(out, "terminal: {}", is_of_terminal(&origin)).unwrap();
        }
    }
}
