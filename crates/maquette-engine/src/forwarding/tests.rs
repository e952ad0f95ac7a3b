//! What becomes of a user's file of keys.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::stand_ins::{KEY, OTHER, Place, line};
use crate::dying_host::Dying;

const USUAL: &str = ".ssh/authorized_keys .ssh/authorized_keys2";

/// Opens for an environment, which has to work.
fn open(place: &Place, environment: &str, key: &str) {
    let programs = place.programs(USUAL);
    let output = place.open(&Dying::new(&programs, None), environment, key).unwrap();
    assert_eq!(output.status, Some(0), "{}", output.stderr);
}

fn close(place: &Place, environment: &str) {
    let programs = place.programs(USUAL);
    let output = place.close(&Dying::new(&programs, None), environment).unwrap();
    assert_eq!(output.status, Some(0), "{}", output.stderr);
}

#[test]
fn a_line_comes_once_and_goes_and_all_else_is_as_it_was_to_the_byte() {
    for text in ["", "ssh-rsa AAAA x", "ssh-rsa AAAA x\n", "a\r\nb\r\n", "\u{feff}# x\n\n\n"] {
        let place = Place::with(text.as_bytes());
        for _ in 0..2 {
            open(&place, "lab", KEY);
            assert_eq!(place.text(), format!("{}{text}", line("lab", KEY)));
        }
        assert_eq!(place.file().metadata().unwrap().permissions().mode() & 0o777, 0o640);
        close(&place, "lab");
        assert_eq!(place.text(), text);
        assert_eq!(place.file().metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(place.names("home/.ssh"), ["authorized_keys"]);
    }
}

#[test]
fn a_directory_and_a_file_that_were_not_there_go_again() {
    let place = Place::new();
    open(&place, "lab", KEY);
    let mode = |name: &str| place.at(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("home/.ssh"), mode("home/.ssh/authorized_keys")), (0o700, 0o600));
    close(&place, "lab");
    assert!(!place.at("home/.ssh").exists());
    // What somebody has put there meanwhile stays.
    open(&place, "lab", KEY);
    fs::write(place.file(), format!("{}ssh-rsa AAAA x\n", line("lab", KEY))).unwrap();
    close(&place, "lab");
    assert_eq!(place.text(), "ssh-rsa AAAA x\n");
}

#[test]
fn environments_have_a_line_each_and_another_key_takes_the_place_of_the_first() {
    let place = Place::with(b"ssh-rsa AAAA x\n");
    open(&place, "lab", KEY);
    open(&place, "lab.2", OTHER);
    open(&place, "lab", &KEY.replace("AAAAI", "AAAAJ"));
    assert!(!place.text().contains(KEY), "{}", place.text());
    assert_eq!(place.text().lines().count(), 3);
    close(&place, "lab");
    assert_eq!(place.text(), format!("{}ssh-rsa AAAA x\n", line("lab.2", OTHER)));
    close(&place, "lab");
    close(&place, "lab.2");
    assert_eq!(place.text(), "ssh-rsa AAAA x\n");
}

/// Somebody has opened more with it by hand, or has put a sign before the line.
#[test]
fn a_key_that_stands_there_otherwise_stays_as_it_is() {
    for text in [format!("{KEY} me\n"), format!("#restrict {KEY} me\n")] {
        let place = Place::with(text.as_bytes());
        open(&place, "lab", KEY);
        assert_eq!(place.text(), text);
        close(&place, "lab");
        assert_eq!(place.text(), text);
    }
}

#[test]
fn a_line_goes_that_an_editor_has_moved_or_given_other_ends() {
    let place = Place::with(b"a\n");
    open(&place, "lab", KEY);
    let moved = format!("a\r\nfrom=\"192.0.2.1\",{}\r\nb", line("lab", KEY).trim_end());
    fs::write(place.file(), moved).unwrap();
    close(&place, "lab");
    assert_eq!(place.text(), "a\r\nb");
}

#[test]
fn a_symbolic_link_stays_one() {
    let place = Place::new();
    fs::create_dir(place.at("home/.ssh")).unwrap();
    fs::write(place.at("keys"), "ssh-rsa AAAA x\n").unwrap();
    symlink("../../keys", place.file()).unwrap();
    open(&place, "lab", KEY);
    assert!(place.file().is_symlink());
    assert_eq!(
        fs::read_to_string(place.at("keys")).unwrap(),
        format!("{}ssh-rsa AAAA x\n", line("lab", KEY))
    );
    close(&place, "lab");
    assert!(place.file().is_symlink());
    assert_eq!(place.text(), "ssh-rsa AAAA x\n");
}

/// A run goes on without it, and says why.
#[test]
fn what_cannot_be_changed_is_said_and_is_not_touched() {
    let refused = |place: &Place, reads: &str, user: &str| {
        let programs = place.programs(reads);
        let host = Dying::new(&programs, None);
        let output =
            crate::host::Host::run(&host, &place.command(&["open", "lab", user, KEY]), &mut |_| {});
        let output = output.unwrap();
        assert_eq!(output.status, Some(super::NOT_THERE), "{}", output.stderr);
        output.stderr
    };
    let place = Place::with(b"ssh-rsa AAAA x\n");
    let said = refused(&place, "/etc/ssh/keys/%u", &place.user);
    assert!(said.contains("/etc/ssh/keys/%u"), "{said}");
    assert!(refused(&place, "none", &place.user).contains("none"));
    let said = refused(&place, USUAL, "nosuchuser");
    assert!(said.contains("no home directory"), "{said}");
    assert_eq!(place.text(), "ssh-rsa AAAA x\n");
    assert!(place.names("records").is_empty());
    let place = Place::new();
    fs::create_dir_all(place.file()).unwrap();
    assert!(refused(&place, USUAL, &place.user).contains("is not a file"));
    close(&place, "lab");
    assert!(place.names("records").is_empty());
}

/// A home directory on a server that is not mounted now: the line would have stayed, and nobody would have known of it.
#[test]
fn a_line_is_remembered_until_it_is_gone_from_the_home_directory_that_it_is_in() {
    for before in [None, Some(b"ssh-rsa AAAA x\n")] {
        let place = before.map_or_else(Place::new, |text| Place::with(text));
        open(&place, "lab", KEY);
        let programs = place.programs(USUAL);
        let refused = || {
            let output = place.close(&Dying::new(&programs, None), "lab").unwrap();
            assert_eq!(output.status, Some(1), "{}", output.stderr);
            let says = |word| assert!(output.stderr.contains(word), "{}", output.stderr);
            says("is away, or another one than it was");
            says("remembered in");
            assert_eq!(place.names("records"), ["environment.lab"]);
        };
        fs::rename(place.at("home"), place.at("away")).unwrap();
        refused();
        // What it is mounted on is there, empty, or with files of its own.
        fs::create_dir(place.at("home")).unwrap();
        refused();
        fs::create_dir(place.at("home/.ssh")).unwrap();
        refused();
        fs::write(place.file(), "ssh-rsa BBBB y\n").unwrap();
        refused();
        assert_eq!(place.text(), "ssh-rsa BBBB y\n");
        fs::remove_dir_all(place.at("home")).unwrap();
        fs::rename(place.at("away"), place.at("home")).unwrap();
        close(&place, "lab");
        assert!(place.names("records").is_empty());
        assert_eq!(place.file().exists(), before.is_some());
    }
}

/// A record of a version that did not note which home directory it was.
#[test]
fn an_older_record_is_understood() {
    let place = Place::with(b"a\n");
    open(&place, "lab", KEY);
    let record = place.at("records/environment.lab");
    let text = fs::read_to_string(&record).unwrap();
    let (older, _) = text.split_once("home ").unwrap();
    fs::write(&record, older).unwrap();
    open(&place, "lab", KEY);
    assert_eq!(fs::read_to_string(&record).unwrap(), older);
    close(&place, "lab");
    assert_eq!(place.text(), "a\n");
}

/// Its server is dead: whoever asks waits for ever.
#[test]
fn a_home_directory_that_does_not_answer_is_given_up() {
    let place = Place::with(b"a\n");
    open(&place, "lab", KEY);
    let programs = place.programs(USUAL);
    programs.quiet("readlink", "exec sleep 300\n");
    let begun = std::time::Instant::now();
    for words in [&["close", "lab"][..], &["open", "lab", &place.user, OTHER]] {
        let command = place.command(words).env("MAQUETTE_HOME_ANSWERS", "1");
        let host = Dying::new(&programs, None);
        let output = crate::host::Host::run(&host, &command, &mut |_| {}).unwrap();
        assert_ne!(output.status, Some(0), "{words:?}");
        assert!(output.stderr.contains("does not answer"), "{}", output.stderr);
        assert_eq!(place.names("records"), ["environment.lab"]);
    }
    assert!(begun.elapsed().as_secs() < 100);
    close(&place, "lab");
    assert_eq!(place.text(), "a\n");
}

/// Two runs at a time, of two environments of the same user.
#[test]
fn runs_beside_each_other_lose_no_line() {
    let place = Place::with(b"ssh-rsa AAAA x\n");
    let programs = place.programs(USUAL);
    let key = |n: usize| format!("ssh-ed25519 AAAAkey{n}x");
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (place, programs) = (&place, &programs);
            scope.spawn(move || {
                let host = Dying::new(programs, None);
                let output = place.open(&host, &format!("lab{n}"), &key(n)).unwrap();
                assert_eq!(output.status, Some(0), "{}", output.stderr);
            });
        }
    });
    let text = place.text();
    for n in 0..6 {
        assert!(text.contains(&line(&format!("lab{n}"), &key(n))), "{text}");
    }
    assert_eq!(text.lines().count(), 7, "{text}");
}

/// A disk that is full in the middle of a copy: half of it takes nothing's place.
#[test]
fn what_cannot_be_written_whole_leaves_the_file_as_it_is() {
    for program in ["cat", "sync"] {
        let place = Place::with(b"ssh-rsa AAAA x\n");
        let programs = place.programs(USUAL);
        programs.quiet(program, "exit 1\n");
        let output = place.open(&Dying::new(&programs, None), "lab", KEY).unwrap();
        assert_ne!(output.status, Some(0), "{program}");
        assert_eq!(place.text(), "ssh-rsa AAAA x\n", "{program}");
        assert_eq!(place.names("home/.ssh"), ["authorized_keys"], "{program}");
    }
}

/// The part that a user's shell gets stands in single quotes.
#[test]
fn what_is_done_with_a_users_rights_has_no_quotes_that_would_end_it() {
    let edit = include_str!("../../assets/host/forwarding-edit.sh");
    assert!(!edit.contains('\''), "{edit}");
}

#[test]
fn a_probes_lines_are_understood() {
    let line = format!("lab stack no {KEY}");
    let found = super::parse([line.as_str(), "", "x", "lab2 b@d yes x"].into_iter());
    assert_eq!(found.len(), 1);
    let (name, known) = found.first_key_value().unwrap();
    assert_eq!((name.to_string().as_str(), known.authorized), ("lab", false));
    assert_eq!(known.recorded.user.as_str(), "stack");
    assert_eq!(known.recorded.key.as_str(), KEY);
}
