//! What is changed in guests that run, killed before every program that the script calls: the next run ends with what was asked
//! for, and until then either what was there before or that counts.

use std::fs;
use std::path::Path;

use crate::dying_host::{Dying, Programs, every_point, feed, sparser, stride};
use crate::host::{Command, Host};

const KEYS: &str = include_str!("../../assets/host/login-keys.sh");
const ZONE: &str = include_str!("../../assets/host/guest-timezone.sh");

/// Programs that change something. Those of a script's inner shell are looked for on the path, too.
const CALLED: [&str; 9] = ["mkdir", "rm", "mv", "cat", "awk", "chmod", "sync", "ln", "sh"];

/// A script in a guest whose user is not root, and whose `sudo` runs a line of shell.
fn run(host: &dyn Host, home: &Path, script: &str, input: &str) -> bool {
    let user = home.join("user").display().to_string();
    let command = Command::new("sh").args(["-c", script]).env("HOME", &user);
    feed(host, &command, &mut |pipe| pipe.write_all(input.as_bytes())).is_ok()
}

fn programs(sudo: &str) -> Programs {
    let programs = Programs::new(&CALLED);
    programs.quiet("id", "echo 1000\n");
    programs.add("sudo", sudo);
    programs
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn killed_before_every_program_keys_come_and_go_and_none_is_lost() {
    const BEFORE: &str = "# mine\nssh-ed25519 AAAA ann\nssh-ed25519 BBBB bob\n";
    const AFTER: &str = "# mine\nssh-ed25519 AAAA ann\nssh-ed25519 CCCC cleo\n";
    let home = tempfile::tempdir().unwrap();
    let at = |whose: &str| home.path().join(whose).join(".ssh");
    let root = format!("shift 3; exec sh -euc \"$1\" sh {}/root\n", home.path().display());
    let programs = programs(&root);
    let input = "+ ssh-ed25519 CCCC cleo\n- ssh-ed25519 BBBB bob\n";
    let story = |host: &Dying<'_>| {
        for whose in ["user", "root"] {
            let _ = fs::remove_dir_all(home.path().join(whose));
            fs::create_dir_all(at(whose)).unwrap();
            fs::write(at(whose).join("authorized_keys"), BEFORE).unwrap();
        }
        run(host, home.path(), KEYS, input)
    };
    let judge = |said: &str| {
        for whose in ["user", "root"] {
            let text = fs::read_to_string(at(whose).join("authorized_keys")).unwrap();
            assert!(text == BEFORE || text == AFTER, "{said}: {whose}: {text}");
        }
        let again = Dying::new(&programs, None);
        assert!(run(&again, home.path(), KEYS, input), "{said}");
        for whose in ["user", "root"] {
            let text = fs::read_to_string(at(whose).join("authorized_keys")).unwrap();
            assert_eq!(text, AFTER, "{said}: {whose}");
            assert_eq!(names(&at(whose)), ["authorized_keys"], "{said}: {whose}");
        }
    };
    let points = every_point("keys of a guest", &programs, &story, &judge, stride(1));
    assert!(points >= 12 / sparser(), "only {points} points");
}

#[test]
fn killed_before_every_program_a_guest_has_one_time_zone_or_the_other() {
    let home = tempfile::tempdir().unwrap();
    let at = |path: &str| home.path().join(path);
    fs::create_dir_all(at("usr/share/zoneinfo/Europe")).unwrap();
    for zone in ["Europe/Prague", "Europe/Rome"] {
        fs::write(at("usr/share/zoneinfo").join(zone), "TZif").unwrap();
    }
    let root = format!("shift 3; exec sh -euc \"$1\" sh \"$3\" {}\n", home.path().display());
    let programs = programs(&root);
    let zone_of = || {
        let target = fs::read_link(at("etc/localtime")).unwrap().display().to_string();
        target.strip_prefix("../usr/share/zoneinfo/").unwrap().to_string()
    };
    let noted = || fs::read_to_string(at("etc/timezone")).unwrap().trim().to_string();
    let story = |host: &Dying<'_>| {
        let _ = fs::remove_dir_all(at("etc"));
        fs::create_dir_all(at("etc")).unwrap();
        fs::write(at("etc/timezone"), "Europe/Rome\n").unwrap();
        std::os::unix::fs::symlink("../usr/share/zoneinfo/Europe/Rome", at("etc/localtime"))
            .unwrap();
        run(host, home.path(), ZONE, "Europe/Prague\n")
    };
    let judge = |said: &str| {
        for zone in [zone_of(), noted()] {
            assert!(["Europe/Rome", "Europe/Prague"].contains(&zone.as_str()), "{said}: {zone}");
        }
        assert!(run(&Dying::new(&programs, None), home.path(), ZONE, "Europe/Prague\n"), "{said}");
        assert_eq!(
            (zone_of(), noted()),
            ("Europe/Prague".into(), "Europe/Prague".into()),
            "{said}"
        );
        assert_eq!(names(&at("etc")), ["localtime", "timezone"], "{said}");
    };
    let points = every_point("time zone of a guest", &programs, &story, &judge, stride(1));
    assert!(points >= 8 / sparser(), "only {points} points");
}
