//! What a command is doing, for others who look: its events in a private file of the workspace, one a line.
//!
//! The file is the last command's. Nothing depends on it: a workspace that cannot be written to has none.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use maquette_engine::Event;
use maquette_engine::private_file::write_private;
use serde_json::{Value, json};

use super::Reporter;
use super::json::describe;

/// Most bytes of it. How far steps are is left out once that is reached, and all else at twice as many.
const MOST: usize = 1 << 20;

/// Who writes it.
pub struct Journal {
    path: PathBuf,
    verb: String,
    file: Option<File>,
    written: usize,
}

impl Journal {
    /// That of a workspace, which is written once the first event comes. `verb` is what the command is called.
    pub fn new(path: PathBuf, verb: &str) -> Self {
        Self { path, verb: verb.into(), file: None, written: 0 }
    }

    fn begin(&mut self) -> Option<File> {
        let first = json!({"event": "command", "verb": self.verb, "process": std::process::id()});
        write_private(&self.path, line(first).as_bytes()).ok()?;
        append(&self.path).ok()
    }
}

/// Opens what was just written, and nothing that a link in its place leads to.
fn append(path: &Path) -> std::io::Result<File> {
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    OpenOptions::new().append(true).custom_flags(no_follow).open(path)
}

fn line(mut value: Value) -> String {
    value["schema"] = json!(1);
    format!("{value}\n")
}

impl Reporter for Journal {
    fn event(&mut self, event: &Event) {
        if self.file.is_none() && self.written == 0 {
            self.file = self.begin();
        }
        let text = line(describe(event));
        // Whether or not it can be written: it is begun once.
        self.written += text.len();
        let most = if matches!(event, Event::StepProgress { .. }) { MOST } else { 2 * MOST };
        if self.written > most && !matches!(event, Event::RunFinished { .. }) {
            return;
        }
        if let Some(file) = &mut self.file
            && file.write_all(text.as_bytes()).is_err()
        {
            self.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn it_is_private_begins_with_the_command_and_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        for steps in [1, 2] {
            let mut journal = Journal::new(path.clone(), "up");
            journal.event(&Event::RunStarted { steps });
            for _ in 0..50_000 {
                let title = "x".repeat(100);
                let id = maquette_core::plan::Builder::default().add(
                    maquette_core::plan::Action::StartDomain {
                        name: "a".parse().unwrap(),
                        ready: None,
                    },
                    [],
                    "",
                );
                journal.event(&Event::StepStarted { id, title });
            }
            let took = std::time::Duration::from_secs(1);
            journal.event(&Event::RunFinished { done: 1, failed: 0, skipped: 0, took });
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() < 2 * MOST + 1000, "{}", text.len());
        assert_eq!(text.matches("\"command\"").count(), 1);
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["verb"], "up");
        assert_eq!(lines[1]["steps"], 2);
        assert_eq!(lines.last().unwrap()["event"], "run-finished");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn without_a_workspace_there_is_none_and_nothing_fails() {
        let mut journal = Journal::new("/nowhere/at/all".into(), "up");
        journal.event(&Event::RunStarted { steps: 1 });
        journal.event(&Event::RunStarted { steps: 1 });
        assert!(journal.file.is_none());
    }
}
