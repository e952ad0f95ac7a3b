//! Servers that take their time.

use super::servers::Place;
use super::*;

/// A little more than what counts as nothing is something: it went on for days.
#[test]
fn a_download_at_a_crawl_ends_and_the_next_run_goes_on_from_there() {
    let place = Place::new();
    let bring = |limits| {
        let transfer = Transfer { limits, ..Transfer::default() };
        bring_to(&Local, &transfer, &place.server.url("crawl/a.qcow2"), place.pool.path(), None)
    };
    let error = bring(Limits { slow: 1, slowest: 1 << 30, ..Limits::default() }).unwrap_err();
    assert!(
        error.hints.iter().any(|hint| hint.contains("16 KiB a second on average")),
        "{error:?}"
    );
    assert!(error.hints.iter().any(|hint| hint.contains("is kept")), "{error:?}");
    // What is slower than that in its middle, and works, has the time that it needs.
    place.server.codes();
    bring(Limits { slow: 1, slowest: 1 << 16, ..Limits::default() }).unwrap();
    assert_eq!(place.server.codes(), ["206"]);
    place.is_whole();
}

/// With nobody between who waits for minutes: how long that is in real runs.
#[test]
fn a_server_and_another_run_have_a_time_each() {
    let pool = tempfile::tempdir().unwrap();
    let programs = Programs::new(&[]);
    programs.quiet("curl", "echo \"curl: told $*\" >&2\nexit 28\n");
    let host = Dying::new(&programs, None);
    let source = "http://h/a.qcow2";
    let error = bring_to(&host, &Transfer::default(), source, pool.path(), None).unwrap_err();
    let told = "--connect-timeout 10 --speed-limit 4096 --speed-time 60 --max-time 86400 ";
    assert!(error.causes[0].contains(told), "{error:?}");
    assert_eq!(Limits::default().patience, 900);
}
