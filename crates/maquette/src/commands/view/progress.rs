//! How far a command is that another process runs: it writes its events into a file of the workspace.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use maquette_view::Feed;
use serde_json::{Value, json};

use crate::workspace::Workspace;
use crate::workspace::outputs::EVENTS;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Most bytes that are read of it at once, and that a line may have.
const MOST: u64 = 4 << 20;

/// Tells the page how far the last command is, until told to stop.
pub fn forever(workspace: &Workspace, feed: &Feed, stop: &AtomicBool) {
    let path = workspace.file(EVENTS);
    let mut tail = Tail::default();
    while !stop.load(Ordering::SeqCst) {
        match tail.read(&path) {
            Ok(()) => feed.set("run", &tail.run.shown(&alive)),
            Err(_) => feed.remove("run"),
        }
        std::thread::sleep(LOOK);
    }
}

/// Whether a process of this machine still lives.
fn alive(process: u64) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

/// A file that somebody writes to, as far as it was read.
#[derive(Default)]
struct Tail {
    file: Option<(u64, File)>,
    rest: Vec<u8>,
    run: Run,
}

impl Tail {
    /// Reads what has come. Another file in its place is read from its beginning.
    fn read(&mut self, path: &Path) -> std::io::Result<()> {
        let now = std::fs::symlink_metadata(path)?;
        if !now.is_file() {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        if self.file.as_ref().is_none_or(|(inode, _)| *inode != now.ino()) {
            *self = Self { file: Some((now.ino(), File::open(path)?)), ..Self::default() };
        }
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        if file.stream_position()? > file.metadata()?.len() {
            file.seek(SeekFrom::Start(0))?;
            (self.rest, self.run) = (Vec::new(), Run::default());
        }
        file.take(MOST).read_to_end(&mut self.rest)?;
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in self.rest[..end].split(|byte| *byte == b'\n') {
            // What is no event was written by nobody we know.
            if let Ok(event) = serde_json::from_slice(line) {
                self.run.apply(&event);
            }
        }
        self.rest.drain(..end);
        if self.rest.len() as u64 >= MOST {
            self.rest.clear();
        }
        Ok(())
    }
}

/// A command, folded from its events.
#[derive(Default)]
struct Run {
    verb: String,
    process: u64,
    steps: u64,
    done: u64,
    running: BTreeMap<u64, (String, String)>,
    failures: Vec<String>,
    ended: bool,
}

/// Most steps and failures that are shown.
const SHOWN: usize = 12;

impl Run {
    fn apply(&mut self, event: &Value) {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_string();
        let number = |name: &str| event[name].as_u64().unwrap_or_default();
        let id = number("id");
        match event["event"].as_str().unwrap_or_default() {
            "command" => {
                *self = Self { verb: text("verb"), process: number("process"), ..Self::default() };
            }
            // The preparation and what it is for are a run each, and count their own steps.
            "run-started" => {
                let (verb, process) = (std::mem::take(&mut self.verb), self.process);
                *self = Self { verb, process, steps: number("steps"), ..Self::default() };
            }
            "step-started" => drop(self.running.insert(id, (text("title"), String::new()))),
            "step-progress" | "step-remark" => {
                if let Some(step) = self.running.get_mut(&id) {
                    step.1 = text("text");
                }
            }
            "step-finished" => {
                self.running.remove(&id);
                self.done += 1;
            }
            "step-failed" => {
                self.running.remove(&id);
                let causes = event["causes"].as_array().into_iter().flatten();
                let all = [text("message")].into_iter();
                let all = all.chain(causes.filter_map(|c| c.as_str().map(String::from)));
                self.failures.push(all.collect::<Vec<_>>().join(": "));
            }
            "step-interrupted" => drop(self.running.remove(&id)),
            "run-finished" => self.ended = true,
            _ => {}
        }
    }

    /// As the page shows it. A command whose process is gone has ended, whatever it wrote last.
    fn shown(&self, alive: &dyn Fn(u64) -> bool) -> Value {
        let running = self.running.values().take(SHOWN);
        json!({
            "command": format!("maquette {}", self.verb),
            "steps": self.steps,
            "done": self.done,
            "running": running.map(|(t, p)| json!({"title": t, "text": p})).collect::<Vec<_>>(),
            "failures": self.failures.iter().take(SHOWN).collect::<Vec<_>>(),
            "ended": self.ended || !alive(self.process),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_another_process_writes_is_read_as_it_comes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(EVENTS);
        let mut tail = Tail::default();
        assert!(tail.read(&path).is_err());
        let write = |text: &str| {
            let file = File::options().create(true).append(true).open(&path);
            file.unwrap().write_all(text.as_bytes()).unwrap();
        };
        write(concat!(
            r#"{"event": "command", "verb": "up", "process": 7}"#,
            "\n{\"event\": \"run-started\", \"steps\": 3}\n",
            r#"{"event": "step-started", "id": 1, "title": "boot domain web-0"}"#,
            "\nno event\n",
            r#"{"event": "step-progress", "id": 1, "#,
        ));
        tail.read(&path).unwrap();
        let shown = tail.run.shown(&|process| process == 7);
        assert_eq!(shown["command"], "maquette up");
        assert_eq!(shown["running"], json!([{"title": "boot domain web-0", "text": ""}]));
        assert_eq!(shown["ended"], false);
        assert_eq!(tail.run.shown(&|_| false)["ended"], true);
        write("\"text\": \"10 s\"}\n");
        tail.read(&path).unwrap();
        assert_eq!(tail.run.shown(&|_| true)["running"][0]["text"], "10 s");
        write(concat!(
            r#"{"event": "step-failed", "id": 1, "message": "cannot boot", "causes": ["no disk"]}"#,
            "\n{\"event\": \"run-finished\"}\n"
        ));
        tail.read(&path).unwrap();
        let shown = tail.run.shown(&|_| true);
        assert_eq!((&shown["ended"], &shown["running"]), (&json!(true), &json!([])));
        assert_eq!(shown["failures"], json!(["cannot boot: no disk"]));
    }

    #[test]
    fn a_new_file_is_another_command() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(EVENTS);
        let mut tail = Tail::default();
        let command = |verb: &str| format!("{{\"event\": \"command\", \"verb\": \"{verb}\"}}\n");
        for verb in ["up", "down"] {
            let new = directory.path().join("new");
            std::fs::write(&new, command(verb)).unwrap();
            std::fs::rename(&new, &path).unwrap();
            tail.read(&path).unwrap();
            assert_eq!(tail.run.verb, verb);
        }
    }
}
