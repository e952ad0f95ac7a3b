//! A command and how it ended.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program, found through `PATH`.
    pub program: String,
    /// Arguments, as they are.
    pub args: Vec<String>,
    /// Environment variables besides the inherited ones.
    pub env: Vec<(String, String)>,
    /// For how long it may say nothing before it is ended; an hour where that is not given.
    pub silence: Option<Duration>,
}

impl Command {
    /// A command without arguments.
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new(), silence: None }
    }

    /// A constant script for `sh`, with its positional arguments (`$1`, …).
    pub fn script<I, S>(script: &'static str, args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self::new("sh").args(["-euc", script, "sh"]).args(args)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I, S>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Has it ended once it has said nothing for so long.
    #[must_use]
    pub fn silent_for(mut self, limit: Duration) -> Self {
        self.silence = Some(limit);
        self
    }

    /// What it is called in errors: a line of it, since its arguments may be long. A script is called after its first line,
    /// which says what it does.
    pub fn title(&self) -> String {
        const LONG: usize = 120;
        let words: Vec<&str> = self.args.iter().map(String::as_str).collect();
        if let ["-euc", script, _, about @ ..] = words.as_slice()
            && let Some(first) = script.trim().lines().next()
            && let Some(does) = first.strip_prefix("# ")
        {
            let does = does.split(['.', ':']).next().unwrap_or_default();
            let does: String = does.chars().take(LONG).collect();
            return match about.first() {
                Some(about) => format!("sh: {does} ({})", quote(about)),
                None => format!("sh: {does}"),
            };
        }
        let shortened = |arg: &String| match arg.trim().split_once('\n') {
            Some((first, _)) => quote(&format!("{first} …")),
            None => quote(arg),
        };
        let words = std::iter::once(quote(&self.program)).chain(self.args.iter().map(shortened));
        let line = words.collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(LONG) {
            Some((end, _)) => format!("{} …", &line[..end]),
            None => line,
        }
    }
}

impl fmt::Display for Command {
    /// As one would type it, each argument quoted where a shell would change it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote(&self.program))?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quote(arg)))
    }
}

/// Quotes one word for a POSIX shell.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A script for `sh` as one line that every login shell takes alike: Bourne's kin, csh and tcsh, which
/// have no newline in quotes, and fish, which knows other escapes. Besides plain characters it has only
/// octal escapes, which `printf` there resolves.
pub(crate) fn login_line(script: &str) -> String {
    use fmt::Write;
    let mut line = String::from("exec sh -c 'eval \"$(printf %b \"$1\")\"' sh '");
    for c in script.chars() {
        if c.is_ascii_control() || ['\'', '\\', '!'].contains(&c) {
            // Writing to a String cannot fail.
            let _ = write!(line, "\\0{:03o}", u32::from(c));
        } else {
            line.push(c);
        }
    }
    line.push('\'');
    line
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit status; none if a signal ended it.
    pub status: Option<i32>,
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on standard error, at most the last 64 KiB.
    pub stderr: String,
}

impl Output {
    /// Its standard output if it succeeded.
    pub fn success(self, command: &Command) -> Result<String, HostError> {
        if self.status == Some(0) {
            return Ok(self.stdout);
        }
        let last: Vec<&str> =
            self.stderr.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let from = last.len().saturating_sub(8);
        Err(HostError::Failed {
            command: command.title(),
            status: self.status,
            stderr: last[from..].join("\n"),
        })
    }
}

/// Why something on the hypervisor failed.
#[derive(Debug, Error)]
pub enum HostError {
    /// The program is not there, or cannot be started.
    #[error("cannot run `{program}`")]
    Start {
        /// The program, as it was called.
        program: String,
        /// Why it did not start.
        #[source]
        source: std::io::Error,
    },
    /// It ran and failed.
    #[error("`{command}` failed{}{}", status.map_or(" by a signal".into(), |s| format!(" with status {s}")), said(stderr))]
    Failed {
        /// The command, by its title.
        command: String,
        /// Its exit status; none if a signal ended it.
        status: Option<i32>,
        /// Its last words.
        stderr: String,
    },
    /// It printed more than anybody reads.
    #[error("`{command}` printed more than {limit} MiB")]
    TooMuch {
        /// The command, by its title.
        command: String,
        /// How much is read at most, in MiB.
        limit: usize,
    },
    /// It has not ended for too long, for what it said, and was ended.
    #[error("`{command}` has not ended within {seconds} s, and is not waited for any more")]
    Endless {
        /// What was run.
        command: String,
        /// For how long it was waited.
        seconds: u64,
    },
    /// It has said nothing for too long, and was ended.
    #[error("`{command}` has said nothing for {seconds} s, and is not waited for any more")]
    Silent {
        /// The command, by its title.
        command: String,
        /// For how many seconds it was silent.
        seconds: u64,
    },
    /// What logs in on the other side does not run commands, or not as they are.
    #[error("the login shell of {who} {what}")]
    Shell {
        /// Who logs in where.
        who: String,
        /// What it does instead.
        what: String,
    },
    /// The connection to the hypervisor is gone.
    #[error("the connection to {address} was lost")]
    Lost {
        /// The hypervisor's name or address.
        address: String,
    },
    /// The lock under which we change things there is not ours any more.
    #[error("another run has taken over")]
    Taken,
    /// A file could not be used.
    #[error("cannot {verb} {path}")]
    File {
        /// What was tried.
        verb: &'static str,
        /// On which file.
        path: String,
        /// Why that failed.
        #[source]
        source: std::io::Error,
    },
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_real_shell() {
        for word in ["plain", "two words", "it's", "$(touch /tmp/x)", "a\nb", "", "`id`", "*"] {
            let line = format!("printf %s {}", quote(word));
            let output = std::process::Command::new("sh").arg("-c").arg(line).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    /// A csh knows no newline in quotes, fish other escapes; a word is the same to all of them.
    #[test]
    fn a_line_means_the_same_to_every_login_shell() {
        let words = [
            "two words",
            "it's",
            "$(echo x) $HOME `id` *",
            "a\nb\n\tc",
            "x\\'y\\\\z\\n",
            "!x!!",
            "ü",
            "%s %% {a,b} ~ [z]",
            "",
        ];
        let quoted: Vec<String> = words.iter().map(|w| quote(w)).collect();
        let line = login_line(&format!("printf '%s|' {}", quoted.join(" ")));
        assert!(!line.contains('\n'));
        let wanted = words.iter().map(|w| format!("{w}|")).collect::<String>();
        for shell in ["sh", "bash", "tcsh", "fish"] {
            let output = std::process::Command::new(shell).arg("-c").arg(&line).output();
            let output =
                output.unwrap_or_else(|e| panic!("{shell}: {e}; scripts/deps installs it"));
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(String::from_utf8_lossy(&output.stdout), wanted, "{shell}: {stderr}");
        }
    }

    #[test]
    fn an_error_names_a_script_by_its_beginning() {
        let script = Command::script("# Looks at it\ncat -- \"$1\"", ["/etc/hosts"]);
        let failed = Output { status: Some(1), stderr: "no\n".into(), ..Output::default() };
        let error = failed.success(&script).unwrap_err().to_string();
        assert_eq!(error, "`sh: Looks at it (/etc/hosts)` failed with status 1: no");
        let many = Command::new("apt-get").args((0..99).map(|n| format!("package-{n}")));
        assert!(many.title().len() < 130 && many.title().ends_with(" …"));
    }
}
