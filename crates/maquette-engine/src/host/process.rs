//! Running a process here to its end, with bounds on what it prints and, where a login shell on another
//! machine comes first, on what that prints.

use std::io::{BufReader, Read};
use std::process::{self, ChildStdout, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use maquette_core::hex::hex;

use super::command::{Command, HostError, Output};
use super::heard::{Heard, SILENCE, end};

/// Most bytes of standard output that are taken of a command.
pub(super) const MOST: usize = 16 << 20;
/// Most bytes of standard error that are listened to: of who says more, nothing else will come.
const CHATTER: u64 = 32 << 20;
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
pub(super) fn drain(pipe: ChildStdout, frame: &Frame, heard: &Heard) -> Option<NoBegin> {
    match await_begin(pipe, frame) {
        Ok(pipe) => {
            // What breaks the pipe ends the command, which tells of it.
            let _ = std::io::copy(&mut heard.listen(pipe), &mut std::io::sink());
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

enum Stdout {
    Whole(Vec<u8>),
    NoBegin(NoBegin),
    TooMuch,
}

/// What is run, as errors call it, and for how long it may say nothing.
pub(super) struct Ran {
    title: String,
    silence: Duration,
}

impl From<&Command> for Ran {
    fn from(command: &Command) -> Self {
        Self { title: command.title(), silence: command.silence.unwrap_or(SILENCE) }
    }
}

impl Ran {
    /// That it was ended since it has said nothing for too long, or did not end.
    pub(super) fn given_up(&self, heard: &Heard) -> HostError {
        let command = self.title.clone();
        match heard.was_silent() {
            true => HostError::Silent { command, seconds: self.silence.as_secs() },
            false => HostError::Endless { command, seconds: heard.lasted().as_secs() },
        }
    }

    /// Who listens to it.
    pub(super) fn heard(&self, id: u32) -> Heard {
        Heard::new(id, self.silence)
    }

    fn too_much(&self, limit: usize) -> HostError {
        HostError::TooMuch { command: self.title.clone(), limit: limit >> 20 }
    }
}

/// What a process says on both ways, and whether it complained without end.
fn listen(
    child: &mut process::Child,
    heard: &Heard,
    frame: Option<&Frame>,
    on_line: &mut dyn FnMut(&str),
) -> (Stdout, String, bool) {
    let (stdout, stderr, id) = (child.stdout.take(), child.stderr.take(), child.id());
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let read = stdout.map_or(Stdout::Whole(Vec::new()), |pipe| read(pipe, frame, heard));
            if !matches!(read, Stdout::Whole(_)) {
                end(id);
            }
            read
        });
        let mut pipe = stderr.map(|pipe| heard.listen(pipe).take(CHATTER));
        let stderr = pipe.as_mut().map_or(String::new(), |pipe| lines(pipe, on_line));
        let chatters = pipe.is_some_and(|pipe| pipe.limit() == 0);
        if chatters {
            end(id);
        }
        (reader.join().unwrap_or(Stdout::Whole(Vec::new())), stderr, chatters)
    })
}

/// Runs a process to its end; `on_line` hears the lines of its standard error.
pub(super) fn collect(
    process: &mut process::Command,
    ran: &Ran,
    frame: Option<&Frame>,
    on_line: &mut dyn FnMut(&str),
) -> Result<Output, HostError> {
    let program = process.get_program().to_string_lossy().into_owned();
    let failed = |source| HostError::Start { program: program.clone(), source };
    let mut child =
        process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let heard = ran.heard(child.id());
    let (stdout, stderr, chatters) = listen(&mut child, &heard, frame, on_line);
    heard.await_end();
    let status = child.wait().map_err(failed)?;
    if heard.gave_up() {
        return Err(ran.given_up(&heard));
    }
    if chatters {
        return Err(ran.too_much(CHATTER as usize));
    }
    let mut output = Output { status: status.code(), stdout: String::new(), stderr };
    let bytes = match stdout {
        Stdout::Whole(bytes) => bytes,
        Stdout::TooMuch => return Err(ran.too_much(MOST)),
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
                return Err(frame.wrong(format!("cut off the answer of `{}`", ran.title)));
            }
            output.status = told.or(output.status);
            bytes
        }
    };
    output.stdout = String::from_utf8_lossy(&bytes).into_owned();
    Ok(output)
}

fn read(pipe: ChildStdout, frame: Option<&Frame>, heard: &Heard) -> Stdout {
    let pipe = match frame {
        None => pipe,
        Some(frame) => match await_begin(pipe, frame) {
            Ok(pipe) => pipe,
            Err(wrong) => return Stdout::NoBegin(wrong),
        },
    };
    match bounded(heard.listen(pipe), MOST) {
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
    // It may have closed what it could say something by.
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(process::Output { status, stdout, stderr }));
        }
        if std::time::Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
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
        collect(&mut shell(&script), &Ran::from(&Command::new("it")), Some(&frame), &mut |_| {})
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
        let error = collect(&mut shell("yes"), &Ran::from(&Command::new("yes")), None, &mut |_| {})
            .unwrap_err();
        assert_eq!(error.to_string(), "`yes` printed more than 16 MiB");
        let script = "head -c 5000000 /dev/zero >&2; echo >&2; yes errors | head -n 100000 >&2";
        let output = collect(&mut shell(script), &Ran::from(&Command::new("it")), None, &mut |l| {
            assert!(l.len() < 20_000)
        })
        .unwrap();
        assert!(output.stderr.len() <= KEEP && output.stderr.ends_with("errors\n"));
        assert!(begun.elapsed() < Duration::from_secs(60));
    }

    /// It hung, and whoever waited for it hung, too.
    #[test]
    fn a_command_that_says_nothing_any_more_is_not_waited_for() {
        let begun = std::time::Instant::now();
        let patient = Command::new("it").silent_for(Duration::from_secs(2));
        let run = |script: &str| {
            collect(&mut shell(script), &Ran::from(&patient), None, &mut |_| {})
                .map(|output| output.stdout)
        };
        let error = run("echo x; exec sleep 300").unwrap_err().to_string();
        assert_eq!(error, "`it` has said nothing for 2 s, and is not waited for any more");
        // What it has left running, with its pipes.
        assert_eq!(run("sleep 300 & echo x").unwrap(), "x\n");
        // One that says a word now and then, and never ends.
        let error = run("while sleep 1; do echo; done").unwrap_err().to_string();
        assert!(error.contains("`it` has not ended within 1"), "{error}");
        // Also one that says something now and then, and one that closes what it could say something by.
        assert_eq!(run("for n in 1 2 3 4; do sleep 1; echo >&2; done; echo x").unwrap(), "x\n");
        let error = run("exec >&- 2>&-; exec sleep 300").unwrap_err().to_string();
        assert!(error.contains("has said nothing"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(120));
    }

    #[test]
    fn who_complains_without_end_is_ended() {
        let error = collect(
            &mut shell("exec cat /dev/zero >&2"),
            &Ran::from(&Command::new("it")),
            None,
            &mut |_| {},
        );
        assert_eq!(error.unwrap_err().to_string(), "`it` printed more than 32 MiB");
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
        assert!(ran("exec >&- 2>&-; exec sleep 100", 300).is_none());
        assert!(ran("yes", 60_000).is_none());
    }
}
