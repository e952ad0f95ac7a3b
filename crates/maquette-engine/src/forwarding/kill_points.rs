//! Opening and closing, killed before every program that they call: the next run goes on with it, and what others have in
//! the file stays as it is to the byte.

use std::cell::RefCell;
use std::fs;

use super::stand_ins::{KEY, OTHER, Place, line};
use crate::dying_host::{Dying, every_point, sparser, stride};
use crate::host::Output;

/// What was there before: a file with the line ends that there are, and bytes that are no text.
const SOME: &[u8] = b"# mine\r\nssh-rsa AAAA x\r\n\xff\0";

fn scene(before: Option<&[u8]>) -> Place {
    before.map_or_else(Place::new, Place::with)
}

/// Nothing is left of it.
fn is_as_before(place: &Place, before: Option<&[u8]>, said: &str) {
    assert_eq!(place.names("records"), [""; 0], "{said}");
    match before {
        None => assert_eq!(place.names("home"), [""; 0], "{said}"),
        Some(text) => {
            assert_eq!(place.names("home/.ssh"), ["authorized_keys"], "{said}");
            assert_eq!(fs::read(place.file()).unwrap(), text, "{said}");
        }
    }
}

fn points(closes: bool, before: Option<&[u8]>) {
    let place = RefCell::new(scene(before));
    let programs = place.borrow().programs(".ssh/authorized_keys");
    let whole = || Dying::new(&programs, None);
    let done = |output: Option<Output>| output.is_some_and(|o| o.status == Some(0));
    // The home directory that the programs know stays, with what it had.
    let run = |host: &Dying<'_>| {
        let place = place.borrow();
        let _ = fs::remove_dir_all(place.at("home/.ssh"));
        let _ = fs::remove_dir_all(place.at("records"));
        if let Some(text) = before {
            fs::create_dir(place.at("home/.ssh")).unwrap();
            fs::write(place.file(), text).unwrap();
        }
        if closes {
            assert!(done(place.open(&whole(), "lab", KEY)));
            return done(place.close(host, "lab"));
        }
        // Another key takes the place of the first one.
        done(place.open(host, "lab", KEY)) && done(place.open(host, "lab", OTHER))
    };
    let judge = |said: &str| {
        let place = place.borrow();
        if !closes {
            assert!(done(place.open(&whole(), "lab", OTHER)), "{said}");
            let mut text = line("lab", OTHER).into_bytes();
            text.extend(before.unwrap_or_default());
            assert_eq!(fs::read(place.file()).unwrap(), text, "{said}");
            assert_eq!(place.names("home/.ssh"), ["authorized_keys"], "{said}");
        }
        assert!(done(place.close(&whole(), "lab")), "{said}");
        is_as_before(&place, before, said);
    };
    let stride = stride(if closes { 1 } else { 2 });
    let points = every_point("forwarding", &programs, &run, &judge, stride);
    assert!(points >= 6 / sparser(), "only {points} points");
}

#[test]
fn killed_before_every_call_a_key_opens_in_the_end_and_what_others_have_stays() {
    points(false, Some(SOME));
}

#[test]
fn killed_before_every_call_a_key_opens_in_the_end_where_nothing_was_before() {
    points(false, None);
}

#[test]
fn killed_before_every_call_a_key_is_gone_in_the_end_and_the_file_is_as_it_was() {
    points(true, Some(SOME));
}

#[test]
fn killed_before_every_call_a_key_is_gone_in_the_end_and_so_is_a_file_that_was_made() {
    points(true, None);
}
