//! Small files from elsewhere, downloaded on this machine.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use maquette_core::image::redact;

use crate::StepError;

/// Downloads what an address gives, at most `most` bytes of it; `protocols` are curl's names of those
/// that are taken. What begins with encryption goes on with it when it is redirected. curl reads the
/// address on its standard input, so that a password in it is in nobody's list of processes.
pub fn download(url: &str, protocols: &[&str], most: u64) -> Result<Vec<u8>, StepError> {
    let mut content = Vec::new();
    download_to(url, protocols, most, &mut content)?;
    Ok(content)
}

/// As [`download`], into a file or whatever else can be written to.
pub fn download_to(
    url: &str,
    protocols: &[&str],
    most: u64,
    target: &mut dyn Write,
) -> Result<(), StepError> {
    let shown = redact(url);
    let failed = || StepError::new(format!("cannot download {shown}"));
    let scheme = url.split("://").next().unwrap_or_default().to_ascii_lowercase();
    if !url.contains("://") || !protocols.contains(&scheme.as_str()) {
        let taken = protocols.join(", ");
        return Err(failed().hint(format!("use an address of one of these kinds: {taken}")));
    }
    if url.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
        return Err(failed().hint("it holds characters that have to be written as `%..`"));
    }
    let redirects = if scheme == "https" { "=https" } else { "=http,https" };
    let mut child = Command::new("curl")
        .args(["--config", "-", "--fail", "--silent", "--show-error", "--location", "--globoff"])
        .args(["--proto", &format!("={scheme}"), "--proto-redir", redirects, "--max-redirs", "10"])
        .args(["--connect-timeout", "10", "--speed-limit", "1", "--speed-time", "30"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| failed().because(e).hint("is `curl` installed here?"))?;
    // A curl that is gone does not read; its status tells.
    let asked = format!("url = \"{url}\"\n");
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(asked.as_bytes()));
    let copied = child
        .stdout
        .take()
        .map_or(Ok(0), |pipe| std::io::copy(&mut pipe.take(most.saturating_add(1)), target));
    let large = copied.as_ref().is_ok_and(|len| *len > most);
    if large || copied.is_err() {
        // It may have ended by itself.
        let _ = child.kill();
    }
    let output = child.wait_with_output().map_err(|e| failed().because(e))?;
    copied.map_err(|e| failed().because(e))?;
    if large {
        return Err(failed().hint(format!("it has more than {most} bytes")));
    }
    if output.status.success() {
        return Ok(());
    }
    let mut error = failed();
    let said = String::from_utf8_lossy(&output.stderr).replace(url, &shown);
    error.causes.extend(said.lines().next().map(|l| l.trim().to_string()));
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_taken_is_asked_for_and_no_more_than_allowed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789").unwrap();
        let url = format!("file://{}", file.path().display());
        assert_eq!(download(&url, &["file"], 10).unwrap(), b"0123456789");
        let error = download(&url, &["file"], 9).unwrap_err();
        assert!(error.hints[0].contains("more than 9 bytes"), "{error:?}");
        let error = download(&url, &["http", "https"], 10).unwrap_err();
        assert!(error.hints[0].contains("http, https"), "{error:?}");
        // Nothing of an address becomes a further line of curl's configuration.
        let error = download("http://h/\"\noutput = \"/tmp/x", &["http"], 10).unwrap_err();
        assert!(error.hints[0].contains("characters"), "{error:?}");
        let secret = "http://user:secret@127.0.0.1:1/?secret";
        let said = format!("{:?}", download(secret, &["http"], 10).unwrap_err());
        assert!(!said.contains("secret") && said.contains("***@127.0.0.1"), "{said}");
    }
}
