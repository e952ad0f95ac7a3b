//! What happened to a node, as Redfish's log and IPMI's SEL show it.

use serde::{Deserialize, Serialize};

/// Most entries; the oldest go.
const MOST: usize = 512;

/// A kind of happening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// The domain started.
    PowerOn,
    /// The domain ended.
    PowerOff,
    /// It was ended and started.
    PowerCycle,
    /// It was reset.
    Reset,
    /// Its guest was asked to shut down.
    SoftOff,
    /// It got a non-maskable interrupt.
    Nmi,
    /// Its guest has crashed.
    Crashed,
    /// Something was put into its CD-ROM drive.
    MediaInserted,
    /// Its CD-ROM drive was emptied.
    MediaEjected,
    /// It was started without the image in its drive, which cannot be read.
    MediaUnread,
    /// Its watchdog has run out.
    WatchdogExpired,
    /// Something that was pressed was not done, and is too long ago.
    PressForgotten,
    /// The log was cleared.
    LogCleared,
    /// Somebody wrote it into the log, over IPMI.
    Written([u8; 16]),
}

impl What {
    /// A sentence in English that says it.
    pub fn text(self) -> &'static str {
        match self {
            Self::PowerOn => "The system was powered on.",
            Self::PowerOff => "The system was powered off.",
            Self::PowerCycle => "The system was power cycled.",
            Self::Reset => "The system was reset.",
            Self::SoftOff => "The operating system was asked to shut down.",
            Self::Nmi => "A non-maskable interrupt was sent.",
            Self::Crashed => "The operating system has crashed.",
            Self::MediaInserted => "Virtual media was inserted.",
            Self::MediaEjected => "Virtual media was ejected.",
            Self::MediaUnread => {
                "Virtual media cannot be read, and the system was started without it."
            }
            Self::WatchdogExpired => "The watchdog timer expired.",
            Self::PressForgotten => {
                "A request for another power state was not done in time, and is forgotten."
            }
            Self::LogCleared => "The log was cleared.",
            Self::Written(_) => "An entry was written by a client.",
        }
    }

    /// Whether it is worth somebody's attention.
    pub fn is_warning(self) -> bool {
        matches!(
            self,
            Self::Crashed | Self::MediaUnread | Self::WatchdogExpired | Self::PressForgotten
        )
    }
}

/// Something that happened, as an entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number: from 1, and never again until the log is cleared.
    pub id: u16,
    /// When, in seconds since 1970.
    pub at: u64,
    /// What happened.
    pub what: What,
    /// More words, for people; empty where there is no more to say.
    pub detail: String,
}

/// All that is remembered.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Log {
    entries: Vec<Entry>,
    last: u16,
    /// When something was added last, in seconds since 1970; 0 before the first entry.
    pub added: u64,
    /// When it was cleared last, in seconds since 1970; 0 if it never was.
    pub erased: u64,
}

impl Log {
    /// Adds an entry, and forgets the oldest if there are too many.
    pub fn add(&mut self, at: u64, what: What, detail: &str) -> Entry {
        // 0 and 0xFFFF mean the first and the last entry in IPMI.
        self.last = if self.last >= 0xfffe { 1 } else { self.last + 1 };
        self.entries.retain(|entry| entry.id != self.last);
        if self.entries.len() >= MOST {
            self.entries.remove(0);
        }
        let entry = Entry { id: self.last, at, what, detail: detail.to_string() };
        self.entries.push(entry.clone());
        self.added = at;
        entry
    }

    /// Leaves the newest entries, if there are too many.
    pub fn bound(&mut self) {
        let over = self.entries.len().saturating_sub(MOST);
        self.entries.drain(..over);
    }

    /// From the oldest to the newest.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// One by its number.
    pub fn get(&self, id: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// How many more there is room for.
    pub fn free(&self) -> usize {
        MOST - self.entries.len()
    }

    /// Forgets the entry of a number; whether there was one.
    pub fn remove(&mut self, id: u16) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.id != id);
        self.entries.len() < before
    }

    /// Forgets everything but that.
    pub fn clear(&mut self, at: u64) {
        self.entries.clear();
        self.erased = at;
        self.add(at, What::LogCleared, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_and_numbers_come_round() {
        let mut log = Log::default();
        for at in 0..70_000 {
            let entry = log.add(at, What::PowerOn, "");
            assert!((1..0xffff).contains(&entry.id));
        }
        assert_eq!(log.entries().len(), MOST);
        assert_eq!(log.free(), 0);
        log.clear(1);
        assert_eq!(log.entries().len(), 1);
        assert!(log.remove(log.entries()[0].id) && !log.remove(7));
    }
}
