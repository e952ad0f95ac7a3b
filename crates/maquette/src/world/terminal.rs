//! The only place that writes to the terminal: results to standard output, talk to standard error.
//! Colour goes only where a terminal takes it, and never where `NO_COLOR` is set.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anstream::{AutoStream, ColorChoice};
use maquette_core::plan::Plan;
use maquette_core::values::console_text;
use maquette_engine::StepError;
use rustix::termios::tcgetwinsize;

use crate::failure::Failure;
use crate::render::{self, Again, Painted, plain};

/// Where text goes to.
struct Output {
    stream: Mutex<Box<dyn Write + Send>>,
    colour: bool,
    is_terminal: bool,
    /// Columns of the terminal, as it was at the start.
    width: Option<usize>,
}

impl Output {
    fn of(stream: impl Write + IsTerminal + AsFd + Send + 'static, colour: ColorChoice) -> Self {
        let is_terminal = stream.is_terminal();
        let size = tcgetwinsize(&stream).ok().filter(|_| is_terminal);
        let width = size.map(|size| usize::from(size.ws_col)).filter(|width| *width > 0);
        let stream: Mutex<Box<dyn Write + Send>> = Mutex::new(Box::new(stream));
        Self { stream, colour: colour != ColorChoice::Never, is_terminal, width }
    }

    /// Writes text as a line of its own.
    fn line(&self, text: &Painted) -> std::io::Result<()> {
        let text = match self.colour {
            true => Cow::Borrowed(text.text()),
            false => plain(text.text()),
        };
        let mut stream = lock(&self.stream);
        stream.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            stream.write_all(b"\n")?;
        }
        stream.flush()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who answers questions.
type Input = Box<dyn BufRead + Send>;

/// What the user sees and types.
pub struct Terminal {
    out: Output,
    err: Output,
    /// None is this process's standard input, which a console reads without a buffer.
    input: Option<Mutex<Input>>,
    is_interactive: bool,
    /// Why some of the output is nowhere: a full disk. A reader that has gone away wants nothing further of it.
    lost: OnceLock<String>,
    /// Whether somebody is being asked.
    asking: AtomicBool,
    /// What was said that is said once.
    said: Mutex<BTreeSet<String>>,
    /// What was changed before input was found to be wrong.
    touched: Mutex<Vec<String>>,
    /// Flags that commands have which are advised.
    again: OnceLock<Again>,
}

impl Terminal {
    /// That of this process.
    pub fn of_process() -> Self {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let (out, err) = (AutoStream::choice(&stdout), AutoStream::choice(&stderr));
        let is_interactive = std::io::stdin().is_terminal() && stderr.is_terminal();
        Self::new(Output::of(stdout, out), Output::of(stderr, err), None, is_interactive)
    }

    /// One whose output goes to these, without colours. Somebody is there who answers if there is `input`.
    pub fn to(
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
        input: Option<Box<dyn BufRead + Send>>,
    ) -> Self {
        fn output(stream: impl Write + Send + 'static) -> Output {
            let stream: Mutex<Box<dyn Write + Send>> = Mutex::new(Box::new(stream));
            Output { stream, colour: false, is_terminal: false, width: None }
        }
        let is_interactive = input.is_some();
        let input = input.unwrap_or_else(|| Box::new(std::io::empty()));
        Self::new(output(out), output(err), Some(input), is_interactive)
    }

    /// The same, whose results somebody looks at: what is no text is not shown there.
    pub fn for_eyes(mut self) -> Self {
        self.out.is_terminal = true;
        self
    }

    /// One that nobody looks at.
    #[cfg(test)]
    pub fn deaf() -> Self {
        Self::to(std::io::sink(), std::io::sink(), None)
    }

    fn new(out: Output, err: Output, input: Option<Input>, is_interactive: bool) -> Self {
        let (lost, asking, said) = (OnceLock::new(), AtomicBool::new(false), Mutex::default());
        let (input, touched) = (input.map(Mutex::new), Mutex::default());
        let again = OnceLock::new();
        Self { out, err, input, is_interactive, lost, asking, said, touched, again }
    }

    /// From now on commands that are advised are about the environment that this one is about.
    pub fn repeat(&self, flags: Again) {
        let _ = self.again.set(flags);
    }

    /// Whether standard output is a terminal.
    pub fn shows_results(&self) -> bool {
        self.out.is_terminal
    }

    /// Whether standard error is a terminal.
    pub fn shows_talk(&self) -> bool {
        self.err.is_terminal
    }

    /// Columns of standard error's terminal; none where it is not a terminal.
    pub fn talk_width(&self) -> Option<usize> {
        self.err.width
    }

    /// How wide the terminal of results is, if they go to one.
    pub fn result_width(&self) -> Option<usize> {
        self.out.width
    }

    /// Shows a plan that is about to be done.
    pub fn plan(&self, plan: &Plan, title: &str) {
        self.painted_talk(&render::plan(plan, title, self.err.width));
    }

    /// Shows a plan to whoever asked for it.
    pub fn plan_as_result(&self, plan: &Plan, title: &str) {
        self.painted_result(&render::plan(plan, title, self.out.width));
    }

    /// Whether somebody is there who can be asked.
    pub fn is_interactive(&self) -> bool {
        self.is_interactive
    }

    /// Whether something was written.
    fn noted(&self, written: std::io::Result<()>) -> bool {
        if let Err(error) = &written
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            // The first reason is the one to tell.
            let _ = self.lost.set(error.to_string());
        }
        written.is_ok()
    }

    /// From now on it is not so that nothing was touched: nothing was but `what`.
    pub fn touched(&self, what: String) {
        let mut all = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains(&what) {
            all.push(what);
        }
    }

    /// What may be said of what was touched.
    fn touched_words(&self) -> Option<String> {
        let all = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, before) = all.split_last()?;
        Some(match before {
            [] => format!("nothing was touched but {last}"),
            before => format!("nothing was touched but {} and {last}", before.join(", ")),
        })
    }

    /// Says what went wrong; `goes_on` is what to do after an interruption.
    pub fn fail(&self, failure: &Failure, goes_on: &str) {
        match failure {
            Failure::Input(diagnostics, sources) => {
                self.painted_talk(&match self.touched_words() {
                    Some(what) => render::diagnostics_after(diagnostics, sources, &what),
                    None => render::diagnostics(diagnostics, sources),
                })
            }
            Failure::Failed(error) | Failure::Status(_, error) => {
                self.painted_talk(&render::step_error(error))
            }
            Failure::After(within, done) => {
                if let Failure::Input(diagnostics, sources) = within.as_ref() {
                    self.painted_talk(&render::diagnostics_after(diagnostics, sources, done));
                } else {
                    self.talk(done);
                }
            }
            Failure::Shown => {}
            Failure::Declined => self.talk("nothing was changed"),
            Failure::Interrupted { booting, .. } => self.talk(&match booting.as_slice() {
                [] => "interrupted; run the same command again to go on from here".into(),
                [one] => format!("interrupted; `{one}` goes on booting; {goes_on}"),
                all => {
                    let all = all.join(", ");
                    format!("interrupted; {all} go on booting; {goes_on}")
                }
            }),
        }
    }

    /// What a command that did its work ends with: whoever asked for an answer and has none must not take
    /// that for a success.
    pub fn heard(&self, code: u8) -> Result<u8, Failure> {
        match self.lost.get() {
            Some(why) if code == 0 => {
                let error = StepError::new("cannot write to standard output");
                Err(Failure::Failed(StepError { causes: vec![why.clone()], ..error }))
            }
            _ => Ok(code),
        }
    }

    /// The same in colours.
    pub fn painted_result(&self, text: &Painted) {
        self.noted(self.out.line(text));
    }

    /// Answers a command line that clap did not take, or that asks for help: the text goes where clap would have it, and
    /// the exit code comes back.
    pub fn of_arguments(&self, said: &clap::Error) -> u8 {
        let text = Painted::of_arguments(said);
        match said.use_stderr() {
            true => self.painted_talk(&text),
            false => self.painted_result(&text),
        }
        u8::try_from(said.exit_code()).unwrap_or(2)
    }

    /// Prints a result. A reader that has gone away (`| head`) is not an error.
    pub fn result(&self, text: &str) {
        self.painted_result(&Painted::plain(text));
    }

    /// Prints what a guest wrote: to a terminal without anything that would tell it more than to show text,
    /// to a file or a pipe as it is. Whether somebody still reads it.
    pub fn output(&self, raw: &[u8]) -> bool {
        if !self.out.is_terminal {
            return self.bytes(raw);
        }
        self.bytes(console_text(raw).as_bytes())
    }

    /// Begins at the top of an empty screen.
    pub fn clear(&self) {
        self.bytes(b"\x1b[H\x1b[2J");
    }

    /// Prints bytes as they are; whether somebody still reads them.
    pub fn bytes(&self, bytes: &[u8]) -> bool {
        self.noted(Raw(self).write_all(bytes))
    }

    /// Prints a remark. Should nobody read it any more, the work goes on all the same.
    pub fn talk(&self, text: &str) {
        self.painted_talk(&Painted::plain(text));
    }

    /// The same in colours.
    pub fn painted_talk(&self, text: &Painted) {
        let _ = self.err.line(&self.with_flags(text));
    }

    /// The text, whose commands have the flags that were given.
    fn with_flags<'a>(&self, text: &'a Painted) -> Cow<'a, Painted> {
        match self.again.get() {
            Some(again) => Cow::Owned(text.with(again)),
            None => Cow::Borrowed(text),
        }
    }

    /// Prints a result that ends with what to do next.
    pub fn advice(&self, text: &str) {
        self.painted_result(&self.with_flags(&Painted::plain(text)));
    }

    /// Says what is being done, to somebody who sits there and waits for it.
    pub fn meanwhile(&self, text: &str) {
        if self.err.is_terminal {
            self.talk(text);
        }
    }

    /// A remark that is made once in a run.
    pub fn talk_once(&self, text: String) {
        if lock(&self.said).insert(text.clone()) {
            self.talk(&text);
        }
    }

    /// Whether a question is open. Whoever stops the program then has answered it.
    pub fn is_asking(&self) -> bool {
        self.asking.load(Ordering::SeqCst)
    }

    /// Asks a question at the terminal; anything but `y`, `Y` or `yes` is a no. An error if there is nothing to read from.
    pub fn ask(&self, question: &str) -> Result<bool, Failure> {
        // Before it can be seen: whoever sees it may answer with Ctrl-C at once.
        self.asking.store(true, Ordering::SeqCst);
        self.talk(&format!("{question} [y/N]"));
        let mut answer = String::new();
        let read = match &self.input {
            Some(input) => lock(input).read_line(&mut answer),
            None => std::io::stdin().read_line(&mut answer),
        };
        self.asking.store(false, Ordering::SeqCst);
        read.map_err(|e| Failure::because("cannot read the answer", e))?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// What is typed, key by key, for who hands it on.
    pub fn keys(&self) -> Box<dyn Read + Send> {
        match &self.input {
            None => Box::new(std::io::stdin()),
            Some(input) => {
                let mut typed = Vec::new();
                // What cannot be read was not typed.
                let _ = lock(input).read_to_end(&mut typed);
                Box::new(std::io::Cursor::new(typed))
            }
        }
    }

    /// Standard output, for who copies bytes to it.
    pub fn raw(&self) -> impl Write + '_ {
        Raw(self)
    }
}

/// Bytes for standard output.
struct Raw<'a>(&'a Terminal);

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut stream = lock(&self.0.out.stream);
        stream.write_all(bytes)?;
        stream.flush().map(|()| bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
