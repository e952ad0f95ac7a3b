//! The log of a system's serial console: an entry for each line.

use serde_json::{Value, json};

use super::problem::Problem;
use super::resource::{Found, collection, enabled, link, resource};
use crate::bmc::Bmc;
use crate::clock::Clock;
use crate::machine::Said;

/// Most lines that are shown: the last ones.
const LINES: usize = 512;

/// What is below the log's own service.
pub fn find<'a>(bmc: &'a Bmc, path: String, rest: &[&'a str]) -> Option<Found<'a>> {
    Some(match *rest {
        [] => Found::read(move || {
            Ok(resource(
                &path,
                "LogService",
                "Console",
                json!({
                    "ServiceEnabled": true,
                    "MaxNumberOfRecords": LINES,
                    "OverWritePolicy": "WrapsWhenFull",
                    "LogEntryType": "OEM",
                    "DateTime": Clock::text(bmc.now()),
                    "DateTimeLocalOffset": "+00:00",
                    "Status": enabled(),
                    "Entries": link(format!("{path}/Entries")),
                }),
            ))
        }),
        ["Entries"] => Found::read(move || {
            let path = format!("{path}/Entries");
            let all: Vec<Value> = lines(bmc)?.iter().map(|line| shown(&path, line)).collect();
            let mut value = collection(&path, "LogEntryCollection", "Console Lines", Vec::new());
            if let Some(fields) = value.as_object_mut() {
                fields.insert("Members@odata.count".into(), json!(all.len()));
                fields.insert("Members".into(), Value::from(all));
            }
            Ok(value)
        }),
        ["Entries", id] => {
            let id: u64 = id.parse().ok().filter(|number: &u64| number.to_string() == id)?;
            // While the log cannot be read it is not known that there is none.
            if lines(bmc).is_ok_and(|all| all.iter().all(|line| line.id != id)) {
                return None;
            }
            Found::read(move || {
                let all = lines(bmc)?;
                let line = all.iter().find(|line| line.id == id);
                let line = line.ok_or_else(|| Problem::not_found(""))?;
                Ok(shown(&format!("{path}/Entries"), line))
            })
        }
        _ => return None,
    })
}

/// A line, and its number: where it begins in all that was said, from 1 on. That stays the same when more is said.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    id: u64,
    text: String,
}

fn lines(bmc: &Bmc) -> Result<Vec<Line>, Problem> {
    Ok(split(&bmc.machine().console_log()?))
}

/// The last whole lines, and what has been said of the next one.
fn split(said: &Said) -> Vec<Line> {
    let mut at = said.from;
    let mut all = Vec::new();
    for (number, bytes) in said.bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let id = at;
        at += bytes.len() as u64;
        // The first one may be the end of a line.
        if number > 0 || said.from == 0 {
            all.push(Line { id: id + 1, text: plain(bytes) });
        }
    }
    all.drain(..all.len().saturating_sub(LINES));
    all
}

/// A line without what moves a terminal's cursor or colours its text.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::new();
    let mut all = text.chars();
    while let Some(c) = all.next() {
        if c == '\u{1b}' {
            // ECMA-48: what kind of sequence it is says how it ends.
            match all.next() {
                Some('[') => drop(all.find(|c| ('@'..='~').contains(c))),
                Some(' '..='/') => drop(all.find(|c| ('0'..='~').contains(c))),
                // A title, for instance.
                Some(']') if all.find(|c| ['\u{7}', '\u{1b}'].contains(c)) == Some('\u{1b}') => {
                    all.next();
                }
                _ => {}
            }
        } else if c == '\t' || !c.is_control() {
            plain.push(c);
        }
    }
    plain
}

fn shown(path: &str, line: &Line) -> Value {
    resource(
        &format!("{path}/{}", line.id),
        "LogEntry",
        &format!("Console Line {}", line.id),
        json!({
            "EntryType": "Oem",
            "OemRecordFormat": "Console line",
            "Severity": "OK",
            "Message": line.text,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_are_plain() {
        let said = |from, text: &str| split(&Said { from, bytes: text.as_bytes().into() });
        let texts = |all: &[Line]| all.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
        let all = said(0, "one\r\n\u{1b}[1;31mtwo\u{1b}[0m\u{7}\n\u{1b}(Bfour");
        assert_eq!(texts(&all), ["one", "two", "four"]);
        // The same, read from the middle of the first line.
        let later = said(3, "\r\n\u{1b}[1;31mtwo\u{1b}[0m\u{7}\n\u{1b}(Bfourteen\n");
        assert_eq!((texts(&later)[0].as_str(), later[0].id), ("two", all[1].id));
        assert_eq!(later[1].id, all[2].id);
        let many: String = (0..2000).map(|n| format!("{n}\n")).collect();
        let many = said(0, &many);
        assert_eq!((many.len(), many.last().unwrap().text.as_str()), (LINES, "1999"));
        assert!(said(0, "").is_empty() && said(7, "half").is_empty());
        let titled = said(0, "\u{1b}]0;title\u{7}a\u{1b}]8;;http://h\u{1b}\\b\u{1b}Mc\n");
        assert_eq!(texts(&titled), ["abc"]);
        // Nothing breaks it.
        said(0, "\u{1b}\n\u{1b}[\n\u{1b}[12");
        split(&Said { from: 0, bytes: vec![0xff, 0x1b, b'[', 0xfe, b'\n'] });
    }
}
