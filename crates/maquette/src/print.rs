//! The only place that writes to the terminal: results to standard output, talk to standard error.
//! Colour goes only where a terminal takes it, and never where `NO_COLOR` is set.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use maquette_core::values::printable;
use maquette_engine::StepError;

use crate::failure::Failure;

/// Why some of the output is nowhere: a full disk. A reader that has gone away wants no more of it.
static LOST: OnceLock<String> = OnceLock::new();

/// Whether something was written.
fn noted(written: std::io::Result<()>) -> bool {
    if let Err(error) = &written
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        // The first reason is the one to tell.
        let _ = LOST.set(error.to_string());
    }
    written.is_ok()
}

/// What a command that did its work ends with: whoever asked for an answer and has none must not take
/// that for a success.
pub fn heard(code: u8) -> Result<u8, Failure> {
    match LOST.get() {
        Some(why) if code == 0 => {
            let error = StepError::new("cannot write to standard output");
            Err(Failure::Failed(StepError { causes: vec![why.clone()], ..error }))
        }
        _ => Ok(code),
    }
}

/// Prints a result. A reader that has gone away (`| head`) is not an error.
pub fn result(text: &str) {
    use std::io::Write;
    let mut out = anstream::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let written =
        out.write_all(shown(text).as_bytes()).and_then(|()| out.write_all(end.as_bytes()));
    noted(written.and_then(|()| out.flush()));
}

/// Text of ours may be coloured; nothing else in it may tell the terminal anything, since names, servers'
/// answers and guests' words are in it. What others say has no colours either, but it could not do
/// more harm with them than be coloured.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.contains("\r\n") {
        // ssh ends its lines like that.
        return Cow::Owned(shown(&text.replace("\r\n", "\n")).into_owned());
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('\u{1b}') {
        let (before, sequence) = rest.split_at(start);
        out.push_str(&printable(before));
        let colour = sequence.strip_prefix("\u{1b}[").map(|parameters| {
            let of = |c: char| !c.is_ascii_digit() && !matches!(c, ';' | ':');
            (parameters.find(of), parameters)
        });
        rest = match colour {
            Some((Some(length), parameters)) if parameters[length..].starts_with('m') => {
                out.push_str(&sequence[..length + 3]);
                &sequence[length + 3..]
            }
            _ => {
                out.push('\u{fffd}');
                &sequence[1..]
            }
        };
    }
    if out.is_empty() {
        return printable(text);
    }
    out.push_str(&printable(rest));
    Cow::Owned(out)
}

/// Prints what a guest wrote: to a terminal without anything that would tell it more than to show text,
/// to a file or a pipe as it is. Whether somebody still reads it.
pub fn output(raw: &[u8]) -> bool {
    if !std::io::stdout().is_terminal() {
        return bytes(raw);
    }
    let text = anstream::adapter::strip_bytes(raw).into_vec();
    let text = String::from_utf8_lossy(&text).replace('\r', "");
    bytes(printable(&text).as_bytes())
}

/// Prints bytes as they are; whether somebody still reads them.
pub fn bytes(bytes: &[u8]) -> bool {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    noted(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Prints a remark. Should nobody read it any more, the work goes on all the same.
pub fn talk(text: &str) {
    use std::io::Write;
    let _ = writeln!(anstream::stderr().lock(), "{}", shown(text));
}

/// Whether somebody is being asked.
static ASKING: AtomicBool = AtomicBool::new(false);

/// Whether a question is open. Whoever stops the program then has answered it.
pub fn is_asking() -> bool {
    ASKING.load(Ordering::SeqCst)
}

/// Asks a question at the terminal; anything but a yes is a no.
pub fn ask(question: &str) -> Result<bool, Failure> {
    // Before it can be seen: whoever sees it may answer with Ctrl-C at once.
    ASKING.store(true, Ordering::SeqCst);
    talk(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    ASKING.store(false, Ordering::SeqCst);
    read.map_err(|e| Failure::because("cannot read the answer", &e))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::shown;

    /// Fault M3: titles, the clipboard and other text were the terminal's to change.
    #[test]
    fn colours_stay_and_everything_else_that_a_terminal_obeys_goes() {
        assert_eq!(shown("plain\n\ttext\r\n"), "plain\n\ttext\n");
        assert_eq!(shown("\u{1b}[1;31mred\u{1b}[0m"), "\u{1b}[1;31mred\u{1b}[0m");
        for hostile in [
            "\u{1b}]0;title\u{7}",
            "\u{1b}]52;c;aWQ=\u{1b}\\",
            "\u{1b}[2J",
            "\u{1b}[",
            "\u{1b}",
            "\u{9b}2J",
            "\r",
            "\u{202e}",
            "\u{8}",
        ] {
            for text in [hostile.to_string(), format!("\u{1b}[1ma{hostile}b\u{1b}[0m")] {
                let shown = shown(&text).replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
                assert!(!shown.contains(maquette_core::values::is_unprintable), "{shown:?}");
            }
        }
    }
}
