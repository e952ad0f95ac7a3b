//! The rules of ARCHITECTURE.md that a machine can check.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/borders.rs"]
mod borders;
#[path = "tidy/cases.rs"]
mod cases;
#[path = "tidy/commits.rs"]
mod commits;
#[path = "tidy/faults.rs"]
mod faults;
#[path = "tidy/fenced.rs"]
mod fenced;
#[path = "tidy/kinds.rs"]
mod kinds;
#[path = "tidy/order.rs"]
mod order;
#[path = "tidy/reads.rs"]
mod reads;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/words.rs"]
mod words;

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    files_ending(directory, "rs", found);
}

fn files_ending(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_ending(&path, ending, found);
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
}

#[test]
fn no_crate_knows_what_it_must_not() {
    for (name, forbidden) in [
        ("maquette-core", &["maquette-engine", "virt", "clap", "roxmltree", "indicatif"][..]),
        ("maquette-engine", &["maquette-libvirt", "virt", "clap", "roxmltree", "indicatif"]),
        ("maquette-libvirt", &["clap", "indicatif", "saphyr", "minijinja"]),
        (
            "maquette-view",
            &["maquette-core", "maquette-engine", "maquette-libvirt", "virt", "clap"],
        ),
        ("maquette-bmc", &["maquette-core", "maquette-libvirt", "virt", "clap", "axum"]),
        ("maquette", &["virt", "roxmltree", "saphyr", "axum", "tokio"]),
    ] {
        let manifest = fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap();
        let normal = manifest.split("[dev-dependencies]").next().unwrap();
        for dependency in forbidden {
            let line = format!("\n{dependency}.workspace");
            assert!(!normal.contains(&line), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_core_touches_nothing() {
    let mut files = Vec::new();
    sources(&crates().join("maquette-core/src"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for word in
            ["std::fs", "std::process", "std::env", "std::thread", "std::time", "SystemTime"]
        {
            assert!(!text.contains(word), "{}: {word}", file.display());
        }
    }
}

/// A field that a comparison or a record does not name is a change that nobody plans, or that is forgotten:
/// what takes a struct apart names all of it, so that a new field does not compile before it has a class.
#[test]
fn comparisons_and_records_take_structs_apart_whole() {
    let mut files = Vec::new();
    sources(&crates().join("maquette-core/src/plan/compare"), &mut files);
    sources(&crates().join("maquette-libvirt/src/xml/metadata"), &mut files);
    files.push(crates().join("maquette-core/src/plan/compare.rs"));
    files.push(crates().join("maquette-core/src/plan/drift.rs"));
    files.push(crates().join("maquette-core/src/plan/devices.rs"));
    files.push(crates().join("maquette-core/src/blueprint/template.rs"));
    files.retain(|f| !f.ends_with("tests.rs") && !f.ends_with("properties.rs"));
    assert!(files.len() > 9, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let mut patterns =
            text.split("let ").skip(1).filter_map(|rest| rest.split(['=', ';']).next());
        let partial = patterns.find(|pattern| pattern.contains('{') && pattern.contains(".."));
        assert!(partial.is_none(), "{}: {}", file.display(), partial.unwrap());
    }
}

/// Sums of sizes that come from outside wrapped around in what users run, and in no test.
#[test]
fn arithmetic_is_checked_in_what_users_run_too() {
    let manifest = fs::read_to_string(crates().join("../Cargo.toml")).unwrap();
    let release = manifest.split("[profile.release]").nth(1).unwrap().split("\n[").next().unwrap();
    assert!(release.contains("overflow-checks = true"), "{release}");
}

/// Cargo builds elsewhere where `CARGO_TARGET_DIR` says so. Tools of the tests are always in `target`.
#[test]
fn scripts_look_where_cargo_builds() {
    let top = crates().join("..");
    let mut looked = 0;
    for directory in ["scripts", "tests/e2e", "benches", ".ci"] {
        for entry in fs::read_dir(top.join(directory)).unwrap().flatten() {
            let Ok(text) = fs::read_to_string(entry.path()) else { continue };
            looked += 1;
            for line in text.lines().filter(|l| !l.trim_start().starts_with(['#', 'N'])) {
                let fixed = line.contains("target/release") || line.contains("target/debug");
                let told = line.contains("CARGO_TARGET_DIR:-") || line.contains("$target/");
                let fuzz = line.contains("fuzz/target/");
                assert!(!fixed || told || fuzz, "{}: {line}", entry.path().display());
            }
        }
    }
    assert!(looked > 15, "{looked}");
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let mut files = Vec::new();
    sources(&crates(), &mut files);
    for (ending, least) in [("py", 8), ("sh", 30)] {
        let before = files.len();
        files_ending(&crates(), ending, &mut files);
        assert!(files.len() > before + least, "{ending}: {files:?}");
    }
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 600, "{} has {lines} lines; split it", file.display());
    }
}

/// Where one program has the tests of several files, a file that it does not name is not even compiled.
#[test]
fn every_file_of_tests_is_in_a_program() {
    let mut looked = 0;
    for crate_name in ["maquette-core", "maquette-libvirt"] {
        let tests = crates().join(crate_name).join("tests");
        let named = fs::read_to_string(tests.join("all.rs")).unwrap();
        for file in fs::read_dir(&tests).unwrap().flatten().map(|entry| entry.path()) {
            let name = file.file_stem().unwrap().to_str().unwrap().to_string();
            if file.extension().is_some_and(|ending| ending == "rs") && name != "all" {
                assert!(
                    named.contains(&format!("mod {name};\n")),
                    "{} is in no program",
                    file.display()
                );
                looked += 1;
            }
        }
    }
    assert!(looked > 40, "{looked}");
}

/// Functions longer than a screen, each with the reason.
const LONG: [(&str, &str, &str); 1] =
    [("maquette-libvirt/src/perform.rs", "act", "a row for each kind of step")];

/// Names and lengths of a file's functions, as rustfmt writes them.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (begin, line) in lines.iter().enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let words = line.trim_start().split("fn ").collect::<Vec<_>>();
        let before = ["", "pub ", "pub(super) ", "pub(crate) ", "unsafe ", "const "];
        let [before_fn, name, ..] = words.as_slice() else { continue };
        if !before.contains(before_fn) {
            continue;
        }
        let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let closes = |line: &&str| {
            let rest = line.strip_prefix(indent);
            rest == Some("}")
                || rest.is_some_and(|rest| rest.starts_with(')') && rest.ends_with(';'))
        };
        let one_line = line.ends_with(';') || line.ends_with('}');
        let end = lines[begin..].iter().position(closes).filter(|_| !one_line);
        found.push((name, end.map_or(1, |end| end + 1)));
    }
    found
}

#[test]
fn functions_fit_on_a_screen() {
    let mut files = program_files();
    files.retain(|file| !file.ends_with("properties.rs"));
    let mut long = Vec::new();
    let mut seen = 0;
    for file in files {
        let program = program_text(&file);
        let file = file.strip_prefix(crates()).unwrap().display().to_string();
        for (name, lines) in functions(&program) {
            seen += 1;
            if lines > 60 {
                long.push((file.clone(), name, lines));
            }
        }
    }
    assert!(seen > 1500, "{seen}");
    long.retain(|(file, name, _)| !LONG.iter().any(|(f, n, _)| f == file && n == name));
    assert!(long.is_empty(), "more than 60 lines: {long:#?}");
}

/// The crates of the program.
const CRATES: [&str; 6] = [
    "maquette-core",
    "maquette-engine",
    "maquette-libvirt",
    "maquette-view",
    "maquette-bmc",
    "maquette",
];

/// Files below `src` of all crates, but for those that are tests: what these say is for whoever runs them.
fn program_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in CRATES {
        sources(&crates().join(name).join("src"), &mut files);
    }
    let tests = [
        "tests.rs",
        "template_tests.rs",
        "wake_tests.rs",
        "native_tests.rs",
        "systemd_tests.rs",
        "first_boot_tests.rs",
        "kill_points.rs",
        "enemy.rs",
        "stand_ins.rs",
        "dying_host.rs",
        "python_server.rs",
    ];
    let folder = |file: &Path| {
        file.to_string_lossy().rsplit("/src/").next().is_some_and(|below| below.contains("/tests/"))
    };
    files.retain(|file| !folder(file) && !tests.iter().any(|test| file.ends_with(test)));
    files
}

/// A file's text without the tests at its end.
fn program_text(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_string()
}

/// Those of the program's files whose text, as `read`, holds any of some words, but for comments.
fn files_holding(words: &[&str], read: impl Fn(&Path) -> String) -> Vec<String> {
    let holds = |file: &PathBuf| {
        let text = read(file);
        let any = |text: &str| words.iter().any(|word| text.contains(word));
        // Most hold none of them at all, which is seen in no time.
        any(&text) && text.lines().any(|line| any(line.split("//").next().unwrap()))
    };
    let mut found: Vec<String> = program_files()
        .iter()
        .filter(|file| holds(file))
        .map(|file| file.strip_prefix(crates()).unwrap().display().to_string())
        .collect();
    found.sort();
    found
}

/// The program's files that hold any of some words, also in the tests at their end.
fn files_with(words: &[&str]) -> Vec<String> {
    files_holding(words, |file| fs::read_to_string(file).unwrap())
}

#[test]
fn unsafe_code_is_in_three_files() {
    let client = "maquette-libvirt/src/client";
    let expected = ["events", "pipe", "raw"].map(|file| format!("{client}/{file}.rs"));
    assert_eq!(files_with(&["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"]), expected);
}

/// What prints elsewhere could not be silenced, coloured or tried.
#[test]
fn one_file_prints() {
    let words = ["println!(", "print!(", "io::stdout()", "io::stderr()"];
    assert_eq!(files_with(&words), ["maquette/src/world/terminal.rs"]);
}

/// Files and why they may.
type Allowed = &'static [(&'static str, &'static str)];

/// Ways past what strips text of control sequences, to a terminal or into a file, and who goes them, with the reason.
const UNFILTERED: [(&[&str], Allowed); 3] = [
    (
        &["terminal.bytes(", "terminal.raw(", ".terminal.raw("],
        &[
            ("maquette/src/commands/capture.rs", "frames, which are not printed on a terminal"),
            ("maquette/src/commands/console.rs", "it is a terminal on the guest"),
            (
                "maquette/src/commands/screenshot.rs",
                "a picture, which is not printed on a terminal",
            ),
            ("maquette/src/playbooks/output.rs", "what ansible-playbook prints, as it prints it"),
            ("maquette/src/userfile.rs", "the user names standard output as a file"),
        ],
    ),
    (
        &[".exec()", ".status();", ".status()?", "Stdio::inherit"],
        &[
            (
                "maquette/src/commands/common/foreground.rs",
                "ssh and scp, which have the terminal as if it had become them",
            ),
            ("maquette/src/commands/cp.rs", "it becomes scp, which has the terminal"),
            ("maquette/src/commands/open.rs", "a viewer of the user's own"),
            ("maquette/src/commands/ssh.rs", "it becomes ssh, which has the terminal"),
            ("maquette/src/playbooks/output.rs", "playbooks are run as the user runs them"),
        ],
    ),
    (
        &["File::create("],
        &[("maquette/src/commands/workspace.rs", "a download, in a directory of our own")],
    ),
];

/// What guests, servers and libvirt say reaches a terminal as text. Whoever prints it by another way has a reason.
#[test]
fn what_others_say_is_printed_as_text() {
    for (words, allowed) in UNFILTERED {
        let mut found = files_holding(words, program_text);
        found.retain(|file| file.starts_with("maquette/") && !file.ends_with("world/terminal.rs"));
        let known: Vec<&str> = allowed.iter().map(|(file, _)| *file).collect();
        assert_eq!(found, known, "{words:?}");
    }
}

/// A process whose standard error nobody takes writes to the user's terminal by itself.
#[test]
fn whoever_starts_a_process_takes_what_it_says() {
    for file in files_holding(&[".spawn()"], program_text) {
        let text = program_text(&crates().join(&file));
        let started = text.matches(".spawn()").count();
        // Who leaves the terminal to it is among `UNFILTERED`.
        let taken = ["stderr(Stdio::piped())", "stderr(Stdio::null())", "stderr(Stdio::inherit())"];
        let taken: usize = taken.iter().map(|words| text.matches(words).count()).sum();
        assert!(taken >= started, "{file}: {started} started, {taken} heard");
    }
}

/// What of a process a program can ask for behind everybody's back, and who may, with the reason.
const OF_PROCESS: [(&[&str], Allowed); 3] = [
    (
        &[
            "env::var",
            "env::current_dir",
            "env::home_dir",
            "env::temp_dir",
            "env::args",
            "path::absolute(",
        ],
        &[
            ("maquette/src/world/environment.rs", "it is what is handed in"),
            ("maquette/src/lib.rs", "`main` hands the arguments in"),
        ],
    ),
    (
        &["SystemTime::now", "Zoned::now", "Timestamp::now"],
        &[
            ("maquette/src/world.rs", "it is what is handed in"),
            ("maquette-bmc/src/clock.rs", "it is what is handed in"),
        ],
    ),
    (
        &["Instant::now"],
        &[
            ("maquette-bmc/src/clock.rs", "it is what is handed in"),
            ("maquette-engine/src/executor.rs", "events say how long a step took"),
            ("maquette-engine/src/host/heard.rs", "what a command last said is so long ago"),
            ("maquette-engine/src/host/process.rs", "a process may take so long"),
            ("maquette-engine/src/image/fetch_shell.rs", "a lock may say nothing for so long"),
            ("maquette-engine/src/guest_script.rs", "a script in a guest may take so long"),
            ("maquette-engine/src/ready.rs", "a first boot may take so long"),
            (
                "maquette-libvirt/src/clock.rs",
                "the time there goes on from what it was when it was asked",
            ),
            ("maquette-libvirt/src/bmc/connection.rs", "a daemon may be away for so long"),
            ("maquette-libvirt/src/domain.rs", "a guest may take so long to stop or to let go"),
            ("maquette-libvirt/src/perform/warm.rs", "a template may take so long to boot"),
            ("maquette/src/commands/view/slow_facts.rs", "what was found out is believed so long"),
            ("maquette/src/commands/view/watch.rs", "the page is told so often at most"),
            ("maquette/src/playbooks/output.rs", "what a playbook left may print so long"),
        ],
    ),
];

/// Whoever asks the process itself for variables, directories or the time cannot be tried with others.
#[test]
fn the_world_is_handed_in() {
    for (words, allowed) in OF_PROCESS {
        let asking = files_holding(words, program_text);
        let mut known: Vec<&str> = allowed.iter().map(|(file, _)| *file).collect();
        known.sort_unstable();
        assert_eq!(asking, known, "{words:?}");
    }
}

/// Libraries that are known in one place: whoever replaces one has one file, or one folder, to change.
#[test]
fn a_library_is_named_in_one_place() {
    // BMCs use none of our other crates, and some of the same libraries.
    for (words, places) in [
        (&["use minijinja", "minijinja::"][..], &["maquette-core/src/expr"][..]),
        (&["use saphyr", "saphyr::", "saphyr_parser::"], &["maquette-core/src/syntax/"]),
        (&["use virt::", "virt::sys"], &["maquette-libvirt/src/client"]),
        (
            &["use roxmltree", "roxmltree::"],
            &["maquette-libvirt/src/xml/", "maquette-bmc/src/redfish"],
        ),
        (&["use fatfs", "fatfs::"], &["maquette-engine/src/seed_volume.rs"]),
        (&["use ssh_key", "ssh_key::"], &["maquette-engine/src/"]),
        (&["use indicatif", "indicatif::"], &["maquette/src/progress/live.rs"]),
        (&["use comfy_table", "comfy_table::"], &["maquette/src/render/table.rs"]),
        (&["use annotate_snippets", "annotate_snippets::"], &["maquette/src/render/diagnostic.rs"]),
        (&["use jiff", "jiff::"], &["maquette/src/", "maquette-bmc/src/clock.rs"]),
        (&["use tar::", "tar::Archive"], &["maquette/src/workspace/archive"]),
        (&["use axum", "axum::"], &["maquette-view/src/"]),
        (&["use hyper", "hyper::"], &["maquette-bmc/src/serve"]),
        (
            &["use tokio", "tokio::"],
            &["maquette-view/src/", "maquette-bmc/src/serve", "maquette-bmc/src/service.rs"],
        ),
    ] {
        let files = files_with(words);
        assert!(!files.is_empty(), "{words:?} is nowhere");
        let place = |file: &&String| !places.iter().any(|place| file.starts_with(place));
        let elsewhere: Vec<&String> = files.iter().filter(place).collect();
        assert!(elsewhere.is_empty(), "{words:?} outside of {places:?}: {elsewhere:?}");
    }
}

/// A script in a string is read by no editor and by no shellcheck.
#[test]
fn scripts_are_files() {
    for file in program_files() {
        let text = program_text(&file);
        let strings = text.split("r#\"").skip(1).map(|rest| rest.split("\"#").next().unwrap());
        let script = |s: &&str| {
            s.lines().count() > 1 && ["fi\n", "$1", "done\n", "exec "].iter().any(|w| s.contains(w))
        };
        let found: Vec<&str> = strings.filter(script).collect();
        assert!(found.is_empty(), "{}: {found:?}", file.display());
    }
}

/// After a power cut a name may be there and the content not. What a script renames it has synced before, but
/// for an image that gets its own name later.
#[test]
fn what_scripts_rename_is_on_the_disk_before() {
    let growing = [
        r#"mv -f -- "$part.new" "$part""#,
        r#"mv -f -- "$part-$1" "$part""#,
        r#"mv "$output.part" "$output""#,
        // What is read by whoever has written it.
        r#"mv -f "$state/trouble.new" "$state/trouble""#,
        r#"mv "$state/extra.new" "$state/extra""#,
        // A file of the hypervisor's, which has been there for long.
        r#"mv "$directory/$name" "$aside""#,
    ];
    let assets = crates().join("maquette-engine/assets");
    let folders = ["", "bridge", "expire", "guest-agent", "host", "image", "net", "prepare"];
    let files = folders.map(|folder| fs::read_dir(assets.join(folder)));
    let mut looked = 0;
    for path in files.into_iter().flat_map(Result::unwrap).map(|entry| entry.unwrap().path()) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let mut synced: Vec<&str> = Vec::new();
        for command in text.lines().flat_map(|line| line.split("&&")).flat_map(|c| c.split(';')) {
            let command = command.trim_start_matches(['{', ' ']).trim_end();
            let mut words = command.split(' ').filter(|word| !word.starts_with('-'));
            match words.next() {
                // `settle` and `sync` take all that is in a directory as well.
                Some("sync" | "settle") => {
                    synced.extend(words.map(|word| word.strip_suffix("/*").unwrap_or(word)));
                }
                Some("mv") if !growing.contains(&command) => {
                    looked += 1;
                    let from = words.next().unwrap();
                    assert!(synced.contains(&from), "{}: {command}", path.display());
                }
                _ => {}
            }
        }
    }
    assert!(looked > 10, "{looked}");
}

/// The program knows libvirt's XML from hearsay: what it needs is handed to it by name.
#[test]
fn the_program_names_no_xml() {
    let files = files_with(&["maquette_libvirt::xml"]);
    let program: Vec<&String> = files.iter().filter(|f| f.starts_with("maquette/")).collect();
    assert!(program.is_empty(), "{program:?}");
}
