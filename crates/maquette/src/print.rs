//! The only place that writes to the terminal: results to standard output, talk to standard error.
//! Colour goes only where a terminal takes it, and never where `NO_COLOR` is set.

use crate::failure::Failure;

/// Prints a result. A reader that has gone away (`| head`) is not an error.
pub fn result(text: &str) {
    use std::io::Write;
    let mut out = anstream::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
}

/// Prints bytes as they are; whether somebody still reads them.
pub fn bytes(bytes: &[u8]) -> bool {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).is_ok()
}

/// Prints a remark. Should nobody read it any more, the work goes on all the same.
pub fn talk(text: &str) {
    use std::io::Write;
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Asks a question at the terminal; anything but a yes is a no.
pub fn ask(question: &str) -> Result<bool, Failure> {
    talk(&format!("{question} [y/N]"));
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|e| Failure::because("cannot read the answer", &e))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
