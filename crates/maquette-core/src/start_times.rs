//! How long nodes took to start on a hypervisor, by what they are like, and which templates failed: kept there, and told by
//! the plan of the next nodes that are like them.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::blueprint::{Node, Template};

/// How many lines are read and kept: there are as many as kinds of nodes, which are few.
const MOST: usize = 500;

/// Most characters that are kept of a reason.
const LONGEST: usize = 160;

/// How long a failure is believed, in seconds: what was wrong may have been a full disk, or a busy hypervisor.
const BELIEVED: u64 = 24 * 60 * 60;

/// What came of a template in a run. Of several things the last in this order counts: where one node has started, what
/// another one had is not the template's fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Came {
    /// It was made.
    Made,
    /// It could not be made, or a node could not start from it, and why.
    Failed(String),
    /// QEMU has not taken its memory, which was removed, and why. The disk of the node that had it overlays the template's: as
    /// long as that is so, no other memory can be made.
    Gone(String),
    /// A node has started from it.
    Started,
}

/// Why a template failed, and when, in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    at_s: u64,
    why: String,
}

/// How a node starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// From a template.
    Warm,
    /// By booting.
    Cold,
}

impl How {
    fn as_str(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }
}

/// How many seconds nodes took from their start to their first login, and why templates failed.
///
/// Its text has a line for each kind of node and way to start, `warm DIGEST SECONDS`, and one for each template,
/// `failed KEY SECONDS REASON`, or `gone …` where its memory has gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Starts {
    took: BTreeMap<(How, String), u64>,
    failed: BTreeMap<String, Failure>,
    gone: BTreeMap<String, Failure>,
}

impl Starts {
    /// Reads its text. Nothing depends on it, so that lines of another form are passed over.
    pub fn parse(text: &str) -> Self {
        let failure = |word: &str, line: &str| {
            // Earlier versions have noted no time.
            let (key, rest) = line.strip_prefix(word)?.split_once(' ')?;
            let (at_s, why) = rest.split_once(' ')?;
            let (key, at_s): (Uuid, u64) = (key.parse().ok()?, at_s.parse().ok()?);
            Some((key.simple().to_string(), Failure { at_s, why: short(why) }))
        };
        let line = |line: &str| {
            let mut words = line.split(' ');
            let how = match words.next()? {
                "warm" => How::Warm,
                "cold" => How::Cold,
                _ => return None,
            };
            let kind: Uuid = words.next()?.parse().ok()?;
            let seconds = words.next()?.parse().ok()?;
            words.next().is_none().then(|| ((how, kind.simple().to_string()), seconds))
        };
        let lines = || text.lines().take(2 * MOST);
        Self {
            took: lines().filter_map(line).collect(),
            failed: lines().filter_map(|line| failure("failed ", line)).collect(),
            gone: lines().filter_map(|line| failure("gone ", line)).collect(),
        }
    }

    /// Its text, as [`parse`](Self::parse) reads it.
    pub fn text(&self) -> String {
        let took = self.took.iter().take(MOST);
        let took = took.map(|((how, kind), s)| format!("{} {kind} {s}\n", how.as_str()));
        let line = |word: &str, (key, failure): (&String, &Failure)| {
            format!("{word} {key} {} {}\n", failure.at_s, failure.why)
        };
        let failed = self.failed.iter().take(MOST).map(|known| line("failed", known));
        let gone = self.gone.iter().take(MOST).map(|known| line("gone", known));
        took.chain(failed).chain(gone).collect()
    }

    /// The same without what is too long ago to be believed at a time, in seconds since 1970.
    #[must_use]
    pub fn as_of(mut self, now_s: u64) -> Self {
        self.failed.retain(|_, failure| failure.at_s.abs_diff(now_s) < BELIEVED);
        self
    }

    /// How many seconds a node like this one took the last time.
    pub fn seconds(&self, node: &Node, how: How) -> Option<u64> {
        self.took.get(&(how, kind(node))).copied()
    }

    /// How many seconds nodes that just started took, the slowest of those that are alike, in place of what was known.
    pub fn learn(&mut self, took: &[(&Node, How, u64)]) {
        let mut slowest: BTreeMap<(How, String), u64> = BTreeMap::new();
        for (node, how, seconds) in took {
            let known = slowest.entry((*how, kind(node))).or_default();
            *known = (*seconds).max(*known);
        }
        self.took.extend(slowest);
    }

    /// Why a template could not be made, or no node of it, when that was tried last.
    pub fn failure(&self, template: &Template) -> Option<&str> {
        self.failed.get(&template.key).map(|failure| failure.why.as_str())
    }

    /// Why a template has no memory any more, if its disk is still as it was then.
    pub fn gone(&self, template: &Template) -> Option<&str> {
        self.gone.get(&template.key).map(|failure| failure.why.as_str())
    }

    /// Takes in what came of templates, by their keys, at a time in seconds since 1970.
    pub fn learn_templates(&mut self, came: &BTreeMap<String, Came>, now_s: u64) {
        for (key, came) in came {
            let failure = |why: &str| Failure { at_s: now_s, why: short(why) };
            self.failed.remove(key);
            self.gone.remove(key);
            match came {
                Came::Failed(why) => drop(self.failed.insert(key.clone(), failure(why))),
                Came::Gone(why) => drop(self.gone.insert(key.clone(), failure(why))),
                Came::Made | Came::Started => {}
            }
        }
    }
}

/// A reason in one line of a bearable length.
fn short(why: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = why.trim().chars().map(plain).take(LONGEST).collect();
    if why.trim().chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

/// What nodes have in common that take as long as each other: image, CPUs, memory, virtualisation, firmware,
/// how many disks and NICs, and what a first boot does besides.
fn kind(node: &Node) -> String {
    let image = node.disks.first().and_then(|d| d.backing.as_ref()).map(|i| i.volume.as_str());
    let parts = [
        image.unwrap_or_default().to_string(),
        node.vcpus.to_string(),
        node.memory_mib.to_string(),
        node.virt.as_str().to_string(),
        format!("{:?}", node.firmware),
        node.disks.len().to_string(),
        node.interfaces.len().to_string(),
        node.guest.as_ref().and_then(|g| g.first_boot).map(|d| d.to_string()).unwrap_or_default(),
    ];
    Uuid::new_v5(&Uuid::NAMESPACE_OID, parts.join("\0").as_bytes()).simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let kind = "0123456789abcdef0123456789abcdef";
        let took = [((How::Warm, kind.to_string()), 28), ((How::Cold, kind.to_string()), 65)];
        let failure = Failure { at_s: 1_795_000_000, why: "it has no agent".into() };
        let failed = [(kind.to_string(), failure)];
        let known =
            Starts { took: took.into(), failed: failed.clone().into(), gone: failed.into() };
        assert_eq!(Starts::parse(&known.text()), known);
    }

    #[test]
    fn lines_of_another_form_are_passed_over() {
        let kind = "0123456789abcdef0123456789abcdef";
        let text = format!(
            "hot {kind} 1\nwarm {kind}\nwarm {kind} x\nwarm {kind} 1 2\nwarm ../x 1\n\0\nwarm {kind} -1\ncold {kind} 9\n"
        );
        assert_eq!(Starts::parse(&text).text(), format!("cold {kind} 9\n"));
        let many: String = (0..9_000).map(|n| format!("warm {n:032x} 1\n")).collect();
        assert_eq!(Starts::parse(&many).text().lines().count(), MOST);
        let long = Starts::parse(&format!(
            "failed {kind} 17 {}\nfailed {kind}\nfailed x y\nfailed {kind} it has no time\n",
            "a".repeat(999)
        ));
        assert_eq!(long.failed[kind].why.chars().count(), LONGEST + 1);
    }
}
