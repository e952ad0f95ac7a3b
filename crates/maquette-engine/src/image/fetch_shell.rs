//! The shell on the hypervisor that holds an image's lock and does what it is told.

use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::fetch::Found;
use crate::host::{Command, Host};
use crate::{StepContext, StepError};

/// Its whole program; what varies are positional arguments and orders.
pub(super) const SCRIPT: &str = concat!(
    include_str!("../../assets/image/room.sh"),
    include_str!("../../assets/image/fetch.sh")
);

/// For how long an order may say nothing: unpacking and converting do not, and have an hour of a CPU that is others', too.
const LONG: Duration = Duration::from_secs(3 * 60 * 60);

/// How long an order may take altogether that brings nothing from elsewhere, whatever is said meanwhile. A server that is
/// slow has a rate to keep, and is curl's to end.
const WHOLE: Duration = Duration::from_secs(12 * 60 * 60);

/// How often a long order looks whether the user wants to stop.
const LOOK: Duration = Duration::from_millis(200);

/// Longest line that is kept, in bytes; what a head of a file takes as digits is less.
const LONGEST: usize = 1 << 18;
/// How many lines of what was said are kept.
const KEPT: usize = 64;

enum Line {
    Answer(String),
    Said(String),
    Closed,
}

/// What it answered to an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The words of the answer.
    pub words: Vec<String>,
    /// What programs said meanwhile, line by line.
    pub said: Vec<String>,
}

impl Answer {
    /// Whether what was ordered was done.
    pub fn is_done(&self) -> bool {
        self.status() == "0"
    }

    /// The exit status of what was ordered, or a word for why it was not done.
    pub fn status(&self) -> &str {
        self.word(1)
    }

    /// One of its words, or nothing.
    pub fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }
}

/// A shell with an image's lock. It lets go of everything when this is dropped.
pub struct FetchShell<'a> {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Receiver<Line>,
    context: &'a StepContext<'a>,
}

/// Where it works: its positional arguments.
pub struct FetchPaths {
    /// Where the image shall be.
    pub target: String,
    /// Where it grows.
    pub part: String,
    /// How long another run that has the lock may go without getting on, in seconds.
    pub patience: u64,
    /// Where it is recorded that the image is ours; empty for nowhere.
    pub record: String,
    /// What is recorded of it besides, in a line; empty for nothing.
    pub about: String,
}

/// What is recorded of an image that is in its place.
pub struct There {
    /// What it is known by; an empty text where nothing says so.
    pub identity: String,
    /// What was found out of it.
    pub found: Found,
}

impl There {
    fn of(answer: &Answer) -> Self {
        let identity = Some(answer.word(2)).filter(|word| *word != "-").unwrap_or_default();
        Self { identity: identity.into(), found: Found::of(answer.word(3)) }
    }
}

impl<'a> FetchShell<'a> {
    /// Starts it and waits until it has the lock. Returns what is recorded of the image there, if there is one.
    pub fn start(
        host: &dyn Host,
        place: &FetchPaths,
        context: &'a StepContext<'a>,
    ) -> Result<(Self, Option<There>), StepError> {
        let FetchPaths { target, part, patience, record, about } = place;
        let failed = || StepError::new(format!("cannot work on image {target}"));
        let patience_s = patience.to_string();
        let arguments = [target, part, &patience_s, record, about].map(String::clone);
        let mut child =
            host.spawn(&Command::script(SCRIPT, arguments)).map_err(|e| failed().because(e))?;
        let (sender, lines) = channel();
        if let Some(pipe) = child.stdout.take() {
            listen(pipe, sender.clone(), |line| {
                line.strip_prefix(":: ").map(|l| Line::Answer(l.into()))
            });
        }
        if let Some(pipe) = child.stderr.take() {
            listen(pipe, sender, |line| Some(Line::Said(line)));
        }
        let orders = child.stdin.take();
        let mut agent = Self { child, orders, lines, context };
        loop {
            // Whoever has the lock may take any time, as long as he gets on.
            let answer = agent
                .answer((Duration::MAX, Duration::MAX), &mut |_| {})
                .map_err(|why| why.unless(failed))?;
            match answer.word(0) {
                "ready" => {
                    let is_there = answer.word(1) == "there";
                    let there = is_there.then(|| There::of(&answer));
                    return Ok((agent, there));
                }
                "waiting" => {
                    (context.progress)("another run is at work on it; waiting for that".into())
                }
                "busy" => {
                    return Err(StepError::new(format!(
                        "another run holds image {target}, and has made no progress for {patience} s"
                    ))
                    .hint(format!(
                        "see what `fuser {part}.lock` on the hypervisor names; once that has ended, \
                         run this again"
                    )));
                }
                _ => {}
            }
        }
    }

    /// Gives an order and waits until it is carried out; `on_line` hears what programs say.
    pub fn order(
        &mut self,
        order: &str,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<Answer, StepError> {
        let verb = order.split_whitespace().next().unwrap_or_default().to_string();
        let failed =
            || StepError::new(format!("the hypervisor stopped during `{verb}` of an image"));
        // One that is gone does not read; its last words tell why.
        let _ = self.orders.as_mut().map(|pipe| pipe.write_all(format!("{order}\n").as_bytes()));
        let whole = if verb == "download" { Duration::MAX } else { WHOLE };
        self.answer((LONG, whole), on_line).map_err(|why| why.unless(failed))
    }

    /// The next answer, unless it says nothing for as long as `silence`, or takes as long as `whole`.
    fn answer(
        &mut self,
        (silence, whole): (Duration, Duration),
        on_line: &mut dyn FnMut(&str),
    ) -> Result<Answer, Ended> {
        let mut said: Vec<String> = Vec::new();
        let mut words: Option<Vec<String>> = None;
        let (mut marked, mut open) = (false, 2);
        let begun = Instant::now();
        let mut heard = begun;
        loop {
            if begun.elapsed() >= whole {
                return Err(Ended::Endless);
            }
            if let Some(words) = words.take_if(|_| marked || open == 0) {
                return Ok(Answer { words, said });
            }
            let next = self.lines.recv_timeout(LOOK);
            if next.is_ok() {
                heard = Instant::now();
            }
            match next {
                Ok(Line::Answer(line)) => {
                    words = Some(line.split_whitespace().map(String::from).collect());
                }
                Ok(Line::Said(line)) if line == "::" => marked = true,
                Ok(Line::Said(line)) => {
                    on_line(&line);
                    if !line.trim().is_empty() {
                        said.push(line);
                    }
                    if said.len() > KEPT {
                        said.remove(0);
                    }
                }
                Ok(Line::Closed) => open -= 1,
                Err(RecvTimeoutError::Timeout) if heard.elapsed() >= silence => {
                    return Err(Ended::Silent);
                }
                Err(RecvTimeoutError::Timeout) if !self.context.is_cancelled() => {}
                Err(RecvTimeoutError::Timeout) => return Err(Ended::Stopped),
                Err(RecvTimeoutError::Disconnected) => open = 0,
            }
            if open == 0 && words.is_none() {
                return Err(Ended::Gone(said));
            }
        }
    }
}

impl Drop for FetchShell<'_> {
    fn drop(&mut self) {
        // The end of its orders ends everything it has started, also on another machine.
        drop(self.orders.take());
        let done = |child: &mut Child| matches!(child.try_wait(), Ok(Some(_)));
        let ended = done(&mut self.child)
            || loop {
                match self.lines.recv_timeout(Duration::from_secs(2)) {
                    Ok(_) => {}
                    Err(RecvTimeoutError::Disconnected) => break true,
                    Err(RecvTimeoutError::Timeout) => break false,
                }
            };
        if !ended {
            // It may have ended by itself.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Why there is no answer.
enum Ended {
    /// It ended, with these last words.
    Gone(Vec<String>),
    /// The user wants to stop.
    Stopped,
    /// It has said nothing for too long.
    Silent,
    /// It has said something for too long.
    Endless,
}

impl Ended {
    fn unless(self, failed: impl Fn() -> StepError) -> StepError {
        match self {
            Self::Stopped => StepError::new("stopped fetching an image")
                .hint("what was downloaded is kept; run this again to go on from there"),
            Self::Silent => failed().because(format!(
                "nothing was heard of it for {} min; its pool may be on a server that does not answer",
                LONG.as_secs() / 60
            )),
            Self::Endless => failed().because(format!(
                "it has not ended within {} hours; its pool may be on a server that hardly answers",
                WHOLE.as_secs() / 3600
            )),
            Self::Gone(said) => {
                let mut error = failed();
                error.causes.extend(said.last().cloned());
                error
            }
        }
    }
}

/// Sends on what comes from a pipe, line by line; a carriage return ends a line too.
fn listen(
    pipe: impl Read + Send + 'static,
    sender: Sender<Line>,
    meaning: impl Fn(String) -> Option<Line> + Send + 'static,
) {
    std::thread::spawn(move || {
        let mut line = Vec::new();
        for byte in BufReader::new(pipe).bytes() {
            match byte {
                Ok(b'\n' | b'\r') => {
                    let text = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
                    // Nobody may be listening any more.
                    if meaning(text).is_some_and(|l| sender.send(l).is_err()) {
                        return;
                    }
                }
                Ok(byte) if line.len() < LONGEST => line.push(byte),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        let _ = sender.send(Line::Closed);
    });
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A program without end says no line that is longer than what a file's head takes.
    #[test]
    fn a_line_without_end_is_not_kept() {
        let (sender, lines) = channel();
        let mut text = vec![b'x'; 4 << 20];
        text.extend(b"\nthe next\r");
        listen(Cursor::new(text), sender, |line| Some(Line::Said(line)));
        let said: Vec<String> = lines
            .iter()
            .map_while(|line| match line {
                Line::Said(line) => Some(line),
                Line::Answer(_) | Line::Closed => None,
            })
            .collect();
        assert_eq!(said.len(), 2);
        assert_eq!((said[0].len(), said[1].as_str()), (LONGEST, "the next"));
    }

    /// Of what programs say, the last lines tell why they failed.
    #[test]
    fn the_last_lines_are_kept_of_what_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let programs = crate::dying_host::Programs::new(&[]);
        programs.quiet("cmp", "seq 10000 >&2\nexit 2\n");
        let host = crate::dying_host::Dying::new(&programs, None);
        let cancelled = std::sync::atomic::AtomicBool::new(false);
        let context = StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &cancelled };
        let place = FetchPaths {
            target: at("a"),
            part: at(".a.part"),
            patience: 30,
            record: String::new(),
            about: String::new(),
        };
        let (mut agent, _) = FetchShell::start(&host, &place, &context).unwrap();
        let mut heard = 0;
        let answer = agent.order("same", &mut |_| heard += 1).unwrap();
        assert_eq!(answer.status(), "2");
        assert!(heard >= 10_000, "{heard}");
        assert_eq!(answer.said.len(), KEPT);
        assert_eq!(answer.said.last().unwrap(), "10000");
    }
}
