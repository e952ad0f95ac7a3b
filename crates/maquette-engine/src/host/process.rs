//! Running a process here to its end, with bounds on what it prints and, where a login shell on another
//! machine comes first, on what that prints.

use std::io::{BufReader, Read};
use std::process::{self, ChildStdout, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::command::{HostError, Output};

use crate::hex::hex;

/// Most bytes of standard output that are taken of a command.
pub(super) const MOST: usize = 16 << 20;
/// How much of standard error is kept, and how long a line of it may be.
const KEEP: usize = 64 * 1024;
const LINE: usize = 4096;
/// Most bytes that a login shell may print before a command.
const NOISE: usize = 64 * 1024;
/// How long a login shell may take until it runs a command.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the answer of a remote command is told from what a login shell prints before and after it.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// Printed before the answer.
    pub begin: String,
    /// Printed after it, with the status behind a blank.
    pub end: String,
    /// Who logs in where.
    pub who: String,
    /// How long the shell may take.
    pub patience: Duration,
}

impl Frame {
    /// A frame with marks that nobody can have printed before.
    pub(super) fn new(who: String) -> Result<Self, getrandom::Error> {
        let mut bytes = [0u8; 12];
        getrandom::getrandom(&mut bytes)?;
        let token = hex(bytes);
        let (begin, end) = (format!("@@begin-{token}@@"), format!("@@end-{token}@@"));
        Ok(Self { begin, end, who, patience: PATIENCE })
    }

    /// A shell's command that is followed by the end mark.
    pub(super) fn around(&self, command: &str) -> String {
        let (begin, end) = (&self.begin, &self.end);
        format!("printf %s {begin}; {command}; s=$?; printf '%s %s' {end} $s; exit $s")
    }

    /// A shell's command that takes the shell's place once the begin mark is printed.
    pub(super) fn before(&self, command: &str) -> String {
        format!("printf %s {}; exec {command}", self.begin)
    }

    fn wrong(&self, what: String) -> HostError {
        HostError::Shell { who: self.who.clone(), what }
    }

    /// The answer in what follows the begin mark, and the status if the end mark is there.
    fn answer(&self, mut bytes: Vec<u8>) -> (Vec<u8>, Option<i32>) {
        let end = self.end.as_bytes();
        let Some(at) = (0..bytes.len()).rev().find(|at| bytes[*at..].starts_with(end)) else {
            return (bytes, None);
        };
        let digits = bytes[at + end.len()..].iter().skip(1).take_while(|b| b.is_ascii_digit());
        let status = String::from_utf8_lossy(&digits.copied().collect::<Vec<_>>()).parse().ok();
        bytes.truncate(at);
        (bytes, status)
    }
}

/// What comes instead of a begin mark.
#[derive(Debug)]
pub(super) enum NoBegin {
    /// Nothing for too long; what was printed until then is lost.
    Silent,
    /// The process ended or printed too much: its first words.
    Ended(String),
}

impl NoBegin {
    pub(super) fn error(&self, frame: &Frame) -> HostError {
        frame.wrong(match self {
            Self::Silent => format!("runs no command within {} s", frame.patience.as_secs()),
            Self::Ended(said) if said.is_empty() => "does not run the commands it is given".into(),
            Self::Ended(said) => format!("does not run the commands it is given; it says: {said}"),
        })
    }
}

/// Passes over what a login shell prints before the begin mark. Whoever waits has to end the process if
/// there is none.
pub(super) fn await_begin(mut pipe: ChildStdout, frame: &Frame) -> Result<ChildStdout, NoBegin> {
    let begin = frame.begin.clone().into_bytes();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut seen = Vec::new();
        let mut byte = [0u8];
        while !seen.ends_with(&begin) {
            // One by one: what follows the mark is for somebody else.
            if seen.len() > NOISE + begin.len() || pipe.read(&mut byte).unwrap_or(0) == 0 {
                let _ = sender.send(Err(NoBegin::Ended(first_words(&seen))));
                return;
            }
            seen.push(byte[0]);
        }
        // Nobody may be waiting any more.
        let _ = sender.send(Ok(pipe));
    });
    receiver.recv_timeout(frame.patience).unwrap_or(Err(NoBegin::Silent))
}

/// Waits for the begin mark, and passes over what comes after it; what is wrong if there is none.
pub(super) fn drain(pipe: ChildStdout, frame: &Frame) -> Option<NoBegin> {
    match await_begin(pipe, frame) {
        Ok(mut pipe) => {
            // What breaks the pipe ends the command, which tells of it.
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
            None
        }
        Err(wrong) => Some(wrong),
    }
}

/// The first line of some text, for an error.
pub(crate) fn first_words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).into_owned();
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(120).collect()
}

/// Ends a process that is still a child of ours.
pub(super) fn end(id: u32) {
    let pid = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

enum Stdout {
    Whole(Vec<u8>),
    NoBegin(NoBegin),
    TooMuch,
}

/// Runs a process to its end; `on_line` hears the lines of its standard error. `title` is what errors call
/// it, `program` what was started.
pub(super) fn collect(
    process: &mut process::Command,
    title: &str,
    frame: Option<&Frame>,
    on_line: &mut dyn FnMut(&str),
) -> Result<Output, HostError> {
    let program = process.get_program().to_string_lossy().into_owned();
    let failed = |source| HostError::Start { program: program.clone(), source };
    let mut child =
        process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let (stdout, stderr, id) = (child.stdout.take(), child.stderr.take(), child.id());
    let (stdout, stderr) = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let read = stdout.map_or(Stdout::Whole(Vec::new()), |pipe| read(pipe, frame));
            if !matches!(read, Stdout::Whole(_)) {
                end(id);
            }
            read
        });
        let stderr = stderr.map_or(String::new(), |pipe| lines(pipe, on_line));
        (reader.join().unwrap_or(Stdout::Whole(Vec::new())), stderr)
    });
    let status = child.wait().map_err(failed)?;
    let mut output = Output { status: status.code(), stdout: String::new(), stderr };
    let bytes = match stdout {
        Stdout::Whole(bytes) => bytes,
        Stdout::TooMuch => {
            return Err(HostError::TooMuch { command: title.into(), limit: MOST >> 20 });
        }
        // A connection that failed says so by its status; so does a program that is not there.
        Stdout::NoBegin(NoBegin::Ended(_)) if status.code() == Some(255) => return Ok(output),
        Stdout::NoBegin(wrong) => {
            return Err(match frame {
                Some(frame) => wrong.error(frame),
                None => failed(std::io::Error::other("no answer")),
            });
        }
    };
    let bytes = match frame {
        None => bytes,
        Some(frame) => {
            let (bytes, told) = frame.answer(bytes);
            if told.is_none() && status.success() {
                return Err(frame.wrong(format!("cut off the answer of `{title}`")));
            }
            output.status = told.or(output.status);
            bytes
        }
    };
    output.stdout = String::from_utf8_lossy(&bytes).into_owned();
    Ok(output)
}

fn read(pipe: ChildStdout, frame: Option<&Frame>) -> Stdout {
    let pipe = match frame {
        None => pipe,
        Some(frame) => match await_begin(pipe, frame) {
            Ok(pipe) => pipe,
            Err(wrong) => return Stdout::NoBegin(wrong),
        },
    };
    match bounded(pipe, MOST) {
        Some(bytes) => Stdout::Whole(bytes),
        None => Stdout::TooMuch,
    }
}

/// Reads to the end; none if there is more than `most`. A broken pipe ends it: the exit status tells the
/// rest.
pub(crate) fn bounded(pipe: impl Read, most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let _ = pipe.take(most as u64 + 1).read_to_end(&mut bytes);
    (bytes.len() <= most).then_some(bytes)
}

/// Reads to the end, telling of each line; a carriage return ends a line too, as progress meters use it.
/// The last of it is returned.
pub(crate) fn lines(pipe: impl Read, on_line: &mut dyn FnMut(&str)) -> String {
    let mut kept = String::new();
    let mut line = Vec::new();
    for byte in BufReader::new(pipe).bytes() {
        let Ok(byte) = byte else { break };
        if byte == b'\n' || byte == b'\r' {
            let text = String::from_utf8_lossy(&line).into_owned();
            on_line(&text);
            keep(&mut kept, &text);
            line.clear();
        } else if line.len() < LINE {
            line.push(byte);
        }
    }
    kept.push_str(&String::from_utf8_lossy(&line));
    shorten(&mut kept);
    kept
}

/// Adds a line to what is kept, which is shortened now and then: not for each line.
fn keep(kept: &mut String, line: &str) {
    kept.push_str(line);
    kept.push('\n');
    if kept.len() > 2 * KEEP {
        shorten(kept);
    }
}

fn shorten(text: &mut String) {
    if text.len() > KEEP {
        let mut from = text.len() - KEEP;
        while !text.is_char_boundary(from) {
            from += 1;
        }
        text.drain(..from);
    }
}

fn in_background(
    pipe: Option<impl Read + Send + 'static>,
    sender: mpsc::Sender<(bool, Option<Vec<u8>>)>,
    is_error: bool,
) {
    std::thread::spawn(move || {
        let bytes = pipe.map_or(Some(Vec::new()), |pipe| bounded(pipe, KEEP));
        // Nobody may be waiting any more.
        let _ = sender.send((is_error, bytes));
    });
}

/// Runs a process of ours that has nothing to wait for, at most for `limit`; standard output and error, at
/// most 64 KiB of each. None if time was up or it printed more.
pub(crate) fn brief(
    process: &mut process::Command,
    limit: Duration,
) -> std::io::Result<Option<process::Output>> {
    let mut child = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (sender, receiver) = mpsc::channel();
    in_background(child.stdout.take(), sender.clone(), false);
    in_background(child.stderr.take(), sender, true);
    let until = std::time::Instant::now() + limit;
    let mut both = [None, None];
    for _ in 0..2 {
        let left = until.saturating_duration_since(std::time::Instant::now());
        match receiver.recv_timeout(left) {
            Ok((err, Some(bytes))) => both[usize::from(err)] = Some(bytes),
            Ok((_, None)) | Err(_) => break,
        }
    }
    let [Some(stdout), Some(stderr)] = both else {
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
        return Ok(None);
    };
    Ok(Some(process::Output { status: child.wait()?, stdout, stderr }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> process::Command {
        let mut shell = process::Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    fn framed(script: &str) -> Result<Output, HostError> {
        let mut frame = Frame::new("u@h".into()).unwrap();
        // Other tests may need the machine, too.
        frame.patience = Duration::from_secs(if script.contains("sleep") { 1 } else { 60 });
        let script = script.replace("COMMAND", &frame.around("(echo answer; exit 3)"));
        collect(&mut shell(&script), "it", Some(&frame), &mut |_| {})
    }

    #[test]
    fn noise_before_and_after_an_answer_is_none_of_it() {
        for script in ["COMMAND", "echo hello; COMMAND", "printf hi; (COMMAND); echo bye; exit 0"] {
            let output = framed(script).unwrap();
            assert_eq!((output.stdout.as_str(), output.status), ("answer\n", Some(3)), "{script}");
        }
    }

    #[test]
    fn a_shell_that_runs_no_command_is_told_of() {
        for (script, said) in [
            (
                "echo This account is not available.; exit 1",
                "it says: This account is not available.",
            ),
            ("exit 0", "does not run the commands"),
            ("yes", "it says: y"),
            ("exec sleep 100", "runs no command within"),
        ] {
            let error = framed(script).unwrap_err().to_string();
            assert!(error.contains("login shell of u@h") && error.contains(said), "{error}");
        }
        // `ssh` could not connect: what that means is for others to say.
        assert_eq!(framed("exit 255").unwrap().status, Some(255));
    }

    #[test]
    fn an_answer_that_is_cut_off_is_none() {
        assert!(framed("(COMMAND) | head -c 60").unwrap_err().to_string().contains("cut off"));
    }

    #[test]
    fn endless_output_ends_and_is_not_kept() {
        let begun = std::time::Instant::now();
        let error = collect(&mut shell("yes"), "yes", None, &mut |_| {}).unwrap_err();
        assert_eq!(error.to_string(), "`yes` printed more than 16 MiB");
        let script = "head -c 5000000 /dev/zero >&2; echo >&2; yes errors | head -n 100000 >&2";
        let output =
            collect(&mut shell(script), "it", None, &mut |l| assert!(l.len() < 20_000)).unwrap();
        assert!(output.stderr.len() <= KEEP && output.stderr.ends_with("errors\n"));
        assert!(begun.elapsed() < Duration::from_secs(60));
    }

    /// Also while they come: a command may say something for hours.
    #[test]
    fn the_last_lines_are_kept() {
        let mut kept = String::new();
        for number in 0..100_000 {
            keep(&mut kept, &format!("line ä {number}"));
            assert!(kept.len() <= 2 * KEEP, "{}", kept.len());
        }
        assert!(kept.ends_with("line ä 99999\n"));
    }

    #[test]
    fn a_brief_process_is() {
        let ran = |script: &str, limit: u64| {
            brief(&mut shell(script), Duration::from_millis(limit)).unwrap()
        };
        assert_eq!(ran("echo x; echo y >&2", 60_000).unwrap().stdout, b"x\n");
        assert!(ran("exec sleep 100", 300).is_none());
        assert!(ran("yes", 60_000).is_none());
    }
}
