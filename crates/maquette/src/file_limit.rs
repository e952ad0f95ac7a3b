//! Limits of this process: file descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Most that are asked for: a service may be allowed millions, and some programs go through all of them.
const ENOUGH: u64 = 65_536;
/// What a guest that boots takes: `ssh` with its pipes, the port's stream, and both for its successor.
const EACH: u64 = 12;
/// What everything else takes.
const OTHERS: u64 = 128;

/// Raises the limit of open files as far as this user may.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if limit.current.is_some_and(|current| current < most) {
        // It works with fewer, only with fewer guests at a time.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum });
    }
}

/// How many guests may boot at once, of those that `wanted` says.
pub fn boots(wanted: usize) -> usize {
    fit(wanted, getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH))
}

fn fit(wanted: usize, files: u64) -> usize {
    let most = usize::try_from(files.saturating_sub(OTHERS) / EACH).unwrap_or(usize::MAX);
    wanted.min(most).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_that_boot_leave_files_for_the_rest() {
        assert_eq!(fit(512, 65_536), 512);
        assert_eq!(fit(512, 1024), 74);
        assert_eq!(fit(8, 1024), 8);
        assert_eq!(fit(8, 64), 1);
    }
}
