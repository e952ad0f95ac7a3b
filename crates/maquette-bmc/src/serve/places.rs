//! Places for connections. Whoever has most of them makes room for others, so that nobody can take them all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use crate::guesses::Source;
use crate::service::Limits;

/// Most connections of a process, whatever the number of its listeners: it may have 1024 files open, usually.
const PROCESS: usize = 800;

/// One place.
struct Taken {
    number: u64,
    listener: u64,
    source: Source,
    end: Option<AbortHandle>,
}

/// All places of a process, in the order in which they were taken.
#[derive(Default)]
struct Table(Vec<Taken>);

impl Table {
    fn count(&self, listener: Option<u64>, source: Option<Source>) -> usize {
        let of = |taken: &&Taken| {
            listener.is_none_or(|listener| taken.listener == listener)
                && source.is_none_or(|source| taken.source == source)
        };
        self.0.iter().filter(of).count()
    }

    /// Takes the oldest place of the source that has most away from it, unless `source` has as many. The number of it.
    fn make_room(&mut self, listener: Option<u64>, source: Source) -> Option<Taken> {
        let of = |taken: &&Taken| listener.is_none_or(|listener| taken.listener == listener);
        let mut counts: HashMap<Source, usize> = HashMap::new();
        for taken in self.0.iter().filter(of) {
            *counts.entry(taken.source).or_default() += 1;
        }
        let own = counts.get(&source).copied().unwrap_or(0);
        let (most, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        if count <= own + 1 {
            return None;
        }
        let at = self.0.iter().position(|taken| of(&taken) && taken.source == most)?;
        Some(self.0.remove(at))
    }

    fn take(&mut self, number: u64, listener: u64, limits: &Limits, source: Source) -> bool {
        if self.count(Some(listener), Some(source)) >= limits.connections_each {
            return false;
        }
        for (scope, most) in [(Some(listener), limits.connections), (None, PROCESS)] {
            if self.count(scope, None) < most {
                continue;
            }
            let Some(taken) = self.make_room(scope, source) else { return false };
            taken.end.inspect(AbortHandle::abort);
        }
        self.0.push(Taken { number, listener, source, end: None });
        true
    }
}

/// They are the process's, as its files are.
static TABLE: Mutex<Table> = Mutex::new(Table(Vec::new()));
static NUMBERS: AtomicU64 = AtomicU64::new(0);

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that was not given before: a listener's, or a place's.
pub fn number() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// A place that is kept until this is dropped.
pub struct ClientSlot(u64);

impl ClientSlot {
    /// A place for a connection; none if its source has enough, or there is none for it.
    pub fn take(listener: u64, limits: &Limits, source: Source) -> Option<Self> {
        let number = number();
        let taken = table().take(number, listener, limits, source);
        taken.then(|| Self(number))
    }

    /// What ends the connection if others need its place.
    pub fn ends_by(&self, end: AbortHandle) {
        let mut table = table();
        match table.0.iter_mut().find(|taken| taken.number == self.0) {
            Some(taken) => taken.end = Some(end),
            // It was needed at once.
            None => end.abort(),
        }
    }
}

impl Drop for ClientSlot {
    fn drop(&mut self) {
        table().0.retain(|taken| taken.number != self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::of([192, 0, 2, last].into())
    }

    #[test]
    fn nobody_takes_all_places() {
        let limits = Limits { connections: 20, connections_each: 8, ..Limits::default() };
        let mut table = Table::default();
        let mut number = 0;
        let mut take = |table: &mut Table, listener, last| {
            number += 1;
            table.take(number, listener, &limits, source(last))
        };
        assert_eq!((0..100).filter(|_| take(&mut table, 1, 1)).count(), 8);
        for last in [2, 3] {
            assert!((0..100).filter(|_| take(&mut table, 1, last)).count() >= 6);
        }
        assert_eq!(table.count(Some(1), None), 20);
        // Whoever comes now finds a place, and takes it from whoever has most.
        for last in 4..10 {
            assert!(take(&mut table, 1, last), "{last}");
        }
        assert_eq!(table.count(Some(1), None), 20);
        assert!(table.count(Some(1), Some(source(1))) >= 4);
        // Another listener's places are its own, until there are too many in all.
        for listener in 2..100 {
            (0..8).for_each(|_| {
                take(&mut table, listener, 1);
            });
        }
        assert_eq!(table.count(None, None), PROCESS);
        assert!(take(&mut table, 100, 77));
        assert_eq!(table.count(None, None), PROCESS);
    }
}
