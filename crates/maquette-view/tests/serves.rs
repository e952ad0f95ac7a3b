//! What browsers get: events, consoles and screens.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

mod common;

use common::{Events, Page, until};
use maquette_view::Options;
use serde_json::json;

#[test]
fn events_begin_with_everything_and_tell_what_changes() {
    let page = Page::serve(false);
    page.feed.set("node/web-0", &json!({"state": "ready"}));
    let mut events = page.follow();
    assert_eq!(events.next(), ("all".into(), r#"[["node/web-0",{"state":"ready"}]]"#.into()));
    page.feed.set("node/web-0", &json!({"state": "shut off", "reason": "two\nlines"}));
    let (kind, data) = events.next();
    assert_eq!(kind, "change");
    assert_eq!(data, r#"["node/web-0",{"reason":"two\nlines","state":"shut off"}]"#);
    page.feed.remove("node/web-0");
    assert_eq!(events.next(), ("change".into(), r#"["node/web-0",null]"#.into()));
}

/// A browser that is stopped in a debugger, or asleep.
#[test]
fn who_reads_nothing_for_long_is_told_everything_anew() {
    let page = Page::serve(false);
    let mut events = page.follow();
    events.next();
    let text = "x".repeat(10_000);
    // Far more than the buffers of a connection hold.
    for number in 0..5000 {
        page.feed.set(&format!("node/{}", number % 40), &json!([number, text]));
    }
    page.feed.set("last", &json!(true));
    let mut anew = 0;
    let mut read = 0;
    loop {
        let (kind, data) = events.next();
        read += 1;
        anew += usize::from(kind == "all");
        if data.contains("\"last\"") {
            assert!(kind == "change" || data.matches("\"node/").count() == 40);
            break;
        }
    }
    assert!(anew > 0 && read < 4500, "{read} events, {anew} times everything");
}

#[test]
fn who_has_gone_gives_the_place_back() {
    let page = Page::serve(false);
    let follows = || {
        let mut events = page.follow();
        (events.status() == 200).then_some(events)
    };
    for round in 0..3 {
        // That somebody has gone is seen when something is sent.
        let mut all: Vec<Events> = Vec::new();
        until("all places are free", || {
            page.feed.set("tick", &json!([round, all.len()]));
            all.extend(follows());
            all.len() == 64
        });
        assert!(follows().is_none());
    }
}

/// Whoever only looked took the console from others for as long as the page was open.
#[test]
fn browsers_that_only_look_are_shown_the_log_together_and_take_no_console() {
    let page = Page::serve(false);
    let mut one = page.own_socket("console/web-0");
    one.read_until(b"login: ");
    one.send(b"root\r");
    // Who comes later sees what was written before.
    let mut other = page.own_socket("console/web-0");
    assert_eq!(other.read_until(b"login: "), b"login: ");
    assert_eq!(page.fake.logs.lock().unwrap().0, 1);
    one.close();
    assert_eq!(page.fake.logs.lock().unwrap().1, 0);
    other.close();
    until("the console has ended", || page.fake.logs.lock().unwrap().1 == 1);
    // It can be opened again.
    page.own_socket("console/web-0").read_until(b"login: ");
    assert_eq!(page.fake.logs.lock().unwrap().0, 2);
    assert_eq!(page.own_socket("console/none").reason(), "`none` has no log");
    assert_eq!(*page.fake.consoles.lock().unwrap(), (0, 0));
}

#[test]
fn what_is_typed_reaches_the_node_if_that_was_asked_for() {
    let page = Page::serve(true);
    let mut one = page.own_socket("console/web-0");
    let mut other = page.own_socket("console/web-0");
    one.read_until(b"login: ");
    other.read_until(b"login: ");
    one.send(b"root\r");
    assert_eq!(one.read_until(b"root\r"), b"root\r");
    assert_eq!(other.read_until(b"root\r"), b"root\r");
    // Ctrl-] would end the console of both.
    one.send(b"\x1dwho\x1d\r");
    assert_eq!(other.read_until(b"who\r"), b"who\r");
}

/// What a node writes has no end; whoever looks at it types, and leaves, all the same.
#[test]
fn a_node_that_floods_can_be_typed_to() {
    let page = Page::serve(true);
    let mut one = page.own_socket("console/web-0");
    one.read_until(b"login: ");
    one.send(b"endless");
    one.read_until(b"xxxx");
    one.send(b"\x03");
    one.read_until(b"stopped");
    one.close();
    until("the console has ended", || page.fake.consoles.lock().unwrap().1 == 1);
}

#[test]
fn a_console_that_nobody_lets_go_of_is_not_waited_for_without_end() {
    let patience = std::time::Duration::from_secs(2);
    let page = Page::serve_with(Options { allow_changes: true, patience, ..Options::default() });
    let mut one = page.own_socket("console/web-0");
    one.read_until(b"login: ");
    one.send(b"deaf");
    one.close();
    let reason = page.own_socket("console/web-0").reason();
    assert!(reason.contains("has not ended yet"), "{reason}");
}

#[test]
fn a_mistake_in_a_console_ends_it_for_all_who_look_at_it() {
    let page = Page::serve(true);
    let mut one = page.own_socket("console/web-0");
    one.read_until(b"login: ");
    one.send(b"panic");
    assert!(one.reason().contains("a mistake of Maquette's"));
    page.own_socket("console/web-0").read_until(b"login: ");
}

#[test]
fn the_address_without_its_last_slash_leads_to_the_page() {
    let page = Page::serve(false);
    let answer = page.ask(&format!("GET /{}", page.token), &[], "");
    assert_eq!(answer.status, 308);
    assert!(answer.head.contains(&format!("location: /{}/\r\n", page.token)), "{}", answer.head);
}

#[test]
fn a_console_that_cannot_be_opened_says_why() {
    let page = Page::serve(true);
    assert_eq!(page.own_socket("console/none").reason(), "there is no `none`");
    assert_eq!(page.own_socket("screen/none").reason(), "there is no `none`");
}

#[test]
fn a_screen_is_looked_at_and_clicked_only_if_that_was_asked_for() {
    let hello = b"RFB 003.008\n\x01\x01";
    let look = [3, 0, 0, 0, 0, 0, 0, 9, 0, 9];
    let key = [4, 1, 0, 0, 0, 0, 0, b'x'];
    for types in [false, true] {
        let page = Page::serve(types);
        let mut screen = page.own_socket("screen/web-0");
        assert_eq!(screen.read_until(b"RFB 003.008\n"), b"RFB 003.008\n");
        let all = [hello.as_slice(), &key, &look].concat();
        screen.send(&all);
        screen.read_until(&look);
        let expected = if types { all } else { [hello.as_slice(), &look].concat() };
        assert_eq!(*page.fake.typed.lock().unwrap(), expected);
        // Whoever has it can type with another viewer.
        let password = page.get("screen-password/web-0");
        assert_eq!(password.status, if types { 200 } else { 403 });
        assert_eq!(password.body.contains("12345678"), types);
        screen.close();
    }
}
