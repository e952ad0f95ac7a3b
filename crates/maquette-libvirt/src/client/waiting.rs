//! Connections for calls that mostly wait: libvirt takes two seconds to end a guest under emulation, and asks
//! nothing of a CPU meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};

use maquette_engine::Calls;
use virt::connect::Connect;

use super::Result;

/// How many of those wait on the connection that volumes are made on, too.
const SHARED: usize = 2;

/// Connections, each with how many calls wait on it.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Vec<Line>>);

struct Line {
    connection: Connect,
    calls: usize,
    room: usize,
}

/// One call's place on a connection, free again when it is dropped.
pub(super) struct ConnectionSlot<'a> {
    waiting: &'a Waiting,
    line: usize,
    /// The connection.
    pub connection: Connect,
}

impl Drop for ConnectionSlot<'_> {
    fn drop(&mut self) {
        self.waiting.lines()[self.line].calls -= 1;
    }
}

impl Waiting {
    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place on the first connection that has room. That is `bulk`; others are opened when there is none, and one that
    /// cannot be opened is done without.
    pub(super) fn place(
        &self,
        bulk: &Connect,
        calls: Calls,
        open: impl FnOnce() -> Result<Connect>,
    ) -> ConnectionSlot<'_> {
        let mut lines = self.lines();
        if lines.is_empty() {
            lines.push(Line { connection: bulk.clone(), calls: 0, room: SHARED });
        }
        if lines.len() <= calls.further
            && lines.iter().all(|line| line.calls >= line.room)
            && let Ok(connection) = open()
        {
            lines.push(Line { connection, calls: 0, room: calls.each });
        }
        let fewest = lines.iter().enumerate().min_by_key(|(_, l)| (l.calls >= l.room, l.calls));
        let line = fewest.map_or(0, |(at, _)| at);
        lines[line].calls += 1;
        let connection = lines[line].connection.clone();
        ConnectionSlot { waiting: self, line, connection }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LibvirtError;
    use super::*;

    const ALL: Calls = Calls { further: 4, each: 5 };

    fn connect() -> Result<Connect> {
        Ok(Connect::open(Some("test:///default"))?)
    }

    fn calls(waiting: &Waiting) -> Vec<usize> {
        waiting.lines().iter().map(|line| line.calls).collect()
    }

    #[test]
    fn calls_that_wait_are_as_many_as_the_server_works_on() {
        let (waiting, bulk) = (Waiting::default(), connect().unwrap());
        let mut places: Vec<_> = (0..2).map(|_| waiting.place(&bulk, ALL, connect)).collect();
        assert_eq!(calls(&waiting), [2], "a few share one connection");
        places.extend((2..22).map(|_| waiting.place(&bulk, ALL, connect)));
        assert_eq!(calls(&waiting), [2, 5, 5, 5, 5]);
        places.push(waiting.place(&bulk, ALL, connect));
        assert_eq!(calls(&waiting).len(), 5, "no more connections than that");
        places.clear();
        assert_eq!(calls(&waiting), [0; 5]);
    }

    #[test]
    fn a_server_that_takes_no_further_connection_is_enough() {
        let (waiting, bulk) = (Waiting::default(), connect().unwrap());
        let refuse = || Err(LibvirtError::answered("too many active clients"));
        let places: Vec<_> = (0..7).map(|_| waiting.place(&bulk, ALL, refuse)).collect();
        assert_eq!((calls(&waiting), places.len()), (vec![7], 7));
    }
}
