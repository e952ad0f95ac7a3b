//! Small files from elsewhere, downloaded on this machine.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use maquette_core::image::{redact, redact_words};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::StepError;

/// Downloads what an address gives, at most `most` bytes of it; `protocols` are curl's names of those
/// that are taken. What begins with encryption goes on with it when it is redirected. curl reads the
/// address on its standard input, so that a password in it is in nobody's list of processes. It ends within a time that
/// follows from `most`, whatever the server does.
pub fn download(url: &str, protocols: &[&str], most: u64) -> Result<Vec<u8>, StepError> {
    let mut content = Vec::new();
    download_to(url, protocols, most, &mut content)?;
    Ok(content)
}

/// As [`download`], into a file or whatever else can be written to; what came before an error is written there.
pub fn download_to(
    url: &str,
    protocols: &[&str],
    most: u64,
    target: &mut dyn Write,
) -> Result<(), StepError> {
    let patience = Patience::for_bytes(most);
    Download { url, protocols, most, patience, authority: None }.run(target)
}

/// How long a server is waited for, in seconds: whoever is silent, or sends a byte now and then, ends it.
struct Patience {
    /// Until it is connected, encryption included.
    connecting: u64,
    /// With less than [`STALLED`] bytes a second.
    stalled: u64,
    /// For the whole download.
    whole: u64,
}

/// Bytes a second below which a server has stalled.
const STALLED: u64 = 1000;
/// Bytes a second that a server has to reach on average, if it sends as much as is taken.
const SLOWEST: u64 = 32 * 1024;
/// Most bytes of what curl says that are read.
const WORDS: u64 = 64 * 1024;
/// Most bytes of headers that are looked at; curl takes 300 KiB of each answer.
const HEADERS: u64 = 4 << 20;

impl Patience {
    fn for_bytes(most: u64) -> Self {
        Self { connecting: 10, stalled: 30, whole: 60 + most / SLOWEST }
    }
}

/// One download.
struct Download<'a> {
    url: &'a str,
    protocols: &'a [&'a str],
    most: u64,
    patience: Patience,
    /// A file with the certificate authorities that are trusted, if not this machine's.
    authority: Option<&'a Path>,
}

impl Download<'_> {
    fn run(&self, target: &mut dyn Write) -> Result<(), StepError> {
        let (url, shown) = (self.url, redact(self.url));
        let failed = || StepError::new(format!("cannot download {shown}"));
        let scheme = url.split("://").next().unwrap_or_default().to_ascii_lowercase();
        if !url.contains("://") || !self.protocols.contains(&scheme.as_str()) {
            let taken = self.protocols.join(", ");
            return Err(failed().hint(format!("use an address of one of these kinds: {taken}")));
        }
        if url.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
            return Err(failed().hint("it holds characters that have to be written as `%..`"));
        }
        // A file without a name: its length is curl's to bound.
        let headers =
            memfd_create("headers", MemfdFlags::empty()).map_err(|e| failed().because(e))?;
        let mut child = self
            .curl(&scheme)
            .args(["--dump-header", &format!("/proc/self/fd/{}", headers.as_raw_fd())])
            .spawn()
            .map_err(|e| failed().because(e).hint("is `curl` installed here?"))?;
        // A curl that is gone does not read; its status tells.
        let asked = format!("url = \"{url}\"\n");
        let _ = child.stdin.take().map(|mut pipe| pipe.write_all(asked.as_bytes()));
        let copied = child.stdout.take().map_or(Ok(0), |pipe| {
            std::io::copy(&mut pipe.take(self.most.saturating_add(1)), target)
        });
        let large = copied.as_ref().is_ok_and(|len| *len > self.most);
        if large || copied.is_err() {
            // It may have ended by itself.
            let _ = child.kill();
        }
        let mut said = Vec::new();
        // What it cannot say is missed; its status tells.
        let _ = child.stderr.take().map(|pipe| pipe.take(WORDS).read_to_end(&mut said));
        let status = child.wait().map_err(|e| failed().because(e))?;
        copied.map_err(|e| failed().because(e))?;
        if large {
            return Err(failed().hint(format!("it has more than {} bytes", self.most)));
        }
        if stepped_down(File::from(headers)).map_err(|e| failed().because(e))? {
            return Err(failed().hint("it leads from an address with encryption to one without"));
        }
        if status.success() {
            return Ok(());
        }
        let mut error = failed();
        // It may name where the server has led it.
        let said = redact_words(&String::from_utf8_lossy(&said).replace(url, &shown));
        error.causes.extend(said.lines().next().map(|l| l.trim().to_string()));
        Err(error)
    }

    /// curl, which reads the address on its standard input.
    fn curl(&self, scheme: &str) -> Command {
        let redirects = if scheme == "https" { "=https" } else { "=http,https" };
        let Patience { connecting, stalled, whole } = self.patience;
        let mut curl = Command::new("curl");
        curl.args(["--config", "-", "--fail", "--silent", "--show-error", "--location"])
            .args(["--globoff", "--max-redirs", "10"])
            .args(["--proto", &format!("={scheme}"), "--proto-redir", redirects])
            .args(["--connect-timeout", &connecting.to_string()])
            .args(["--speed-limit", &STALLED.to_string(), "--speed-time", &stalled.to_string()])
            .args(["--max-time", &whole.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(file) = self.authority {
            curl.arg("--cacert").arg(file);
        }
        curl
    }
}

/// Whether a server was asked with encryption, and led from there to one without, by the headers of all its answers. curl keeps to
/// encryption where it began with that.
fn stepped_down(mut headers: File) -> std::io::Result<bool> {
    let mut text = Vec::new();
    headers.seek(SeekFrom::Start(0))?;
    headers.take(HEADERS).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    let mut places = text.lines().filter_map(|line| line.strip_prefix("location:").map(str::trim));
    Ok(places.any(|to| to.starts_with("https:")) && places.any(|to| to.starts_with("http:")))
}

#[cfg(test)]
mod tests;
