//! What must not grow, however long browsers look. This process measures itself, so that tests run one at a time.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

mod common;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use common::{Page, until};
use serde_json::json;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// An hour of it is `benches/view`.
#[test]
fn three_browsers_and_one_that_sleeps_do_not_make_it_grow() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let page = Page::serve(false);
    let asleep = page.follow();
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let mut events = page.follow();
            std::thread::spawn(move || {
                let mut count = 0usize;
                loop {
                    let (_, data) = events.next();
                    count += 1;
                    if data.contains("\"last\"") {
                        return count;
                    }
                }
            })
        })
        .collect();
    let round = |round: usize| {
        for number in 0..4000 {
            let text = format!("{round} {number} {}", "x".repeat(300));
            page.feed.set(&format!("node/lab-web-{}", number % 40), &json!(text));
            if number % 20 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    };
    round(0);
    let before = resident_kib();
    (1..8).for_each(round);
    let after = resident_kib();
    page.feed.set("last", &json!(true));
    for reader in readers {
        assert!(reader.join().unwrap() > 100);
    }
    drop(asleep);
    // Seven rounds are ten megabytes for each reader.
    assert!(after < before + 6 * 1024, "{before} KiB grew to {after} KiB");
}

/// What this process has in memory.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_guest_that_floods_its_console_while_nobody_reads_does_not_make_it_grow() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let page = Page::serve(true);
    let mut one = page.own_socket("console/web-0");
    one.read_until(b"login: ");
    let before = resident_kib();
    one.send(b"flood");
    until("all is written", || {
        let mut late = page.own_socket("console/web-0");
        late.send(b"done");
        late.read_until(b"done").len() > 60_000
    });
    assert!(resident_kib() < before + 12 * 1024);
    let seen = one.read_until(b"done");
    assert!(String::from_utf8_lossy(&seen).contains("[some output was not shown]"));
}
