//! Feeds every target its corpus, and mutations of it that are the same on every run. Crashes that a fuzzer
//! found are in the corpus, so that they stay mended. No libFuzzer, no special toolchain.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use maquette_fuzz::TARGETS;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut all: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|e| panic!("{}: {e}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    all.sort();
    assert!(!all.is_empty(), "{} has no corpus", directory.display());
    all
}

/// Xorshift (Marsaglia 2003): the same numbers on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// What separates, ends or means something in one of the syntaxes concerned.
const TOKENS: [&str; 32] = [
    "\n",
    "\r",
    "\0",
    "\t",
    "\"",
    "'",
    "\\",
    "\\n",
    "\u{1b}]0;x\u{7}",
    "{{ 1 }}",
    "{%",
    "{#",
    "$(id)",
    "`id`",
    "; ",
    "#",
    "=",
    ",",
    ":",
    "/",
    "../",
    "/etc/passwd",
    "&#10;",
    "<!--",
    "]]>",
    "-o",
    "%h",
    "[x]",
    "@",
    "\u{2028}",
    "18446744073709551615",
    "-1",
];

fn mutated(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(out.len() + 1);
        let end = (at + 1 + random.below(16)).min(out.len());
        match random.below(6) {
            0 if at < out.len() => out[at] ^= 1 << random.below(8),
            1 if at < end => drop(out.drain(at..end)),
            2 if at < end => {
                let part = out[at..end].to_vec();
                let to = random.below(out.len() + 1);
                out.splice(to..to, part);
            }
            3 if !other.is_empty() => {
                let from = random.below(other.len());
                let to = (from + 1 + random.below(64)).min(other.len());
                out.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let token = TOKENS[random.below(TOKENS.len())];
                out.splice(at..at, token.bytes());
            }
        }
    }
    out
}

fn replay(target: &str, mutations: usize) {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let corpus = corpus(target);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let attempt = |what: &str, input: &[u8]| {
        if catch_unwind(AssertUnwindSafe(|| run(input))).is_err() {
            panic!("{target}: {what}: {:?}", String::from_utf8_lossy(input));
        }
    };
    for (path, input) in &corpus {
        attempt(&path.display().to_string(), input);
    }
    for _ in 0..mutations {
        let (path, input) = &corpus[random.below(corpus.len())];
        let (_, other) = &corpus[random.below(corpus.len())];
        attempt(&format!("mutated {}", path.display()), &mutated(input, other, &mut random));
    }
}

#[test]
fn archives() {
    replay("archive", 500);
}

#[test]
fn changes_of_topologies() {
    replay("changes", 300);
}

#[test]
fn topologies_as_files_of_our_own() {
    replay("convert", 300);
}

#[test]
fn inventories_that_others_write_into() {
    replay("merge", 2000);
}

#[test]
fn image_heads() {
    replay("image", 2000);
}

#[test]
fn inventories() {
    replay("inventory", 2000);
}

#[test]
fn packets_of_ipmi() {
    replay("ipmi", 1000);
}

#[test]
fn requests_of_redfish() {
    replay("redfish", 1000);
}

#[test]
fn probe_output() {
    replay("probe", 1000);
}

#[test]
fn records() {
    replay("record", 2000);
}

#[test]
fn reports_of_guests() {
    replay("report", 1000);
}

#[test]
fn topologies() {
    replay("topology", 500);
}

#[test]
fn libvirts_xml() {
    replay("xml", 500);
}

#[test]
fn every_target_is_replayed_here_and_built_for_the_fuzzer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let own = fs::read_to_string(file!().rsplit_once("tests/").map_or_else(
        || PathBuf::from(file!()),
        |(_, name)| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name),
    ))
    .unwrap();
    for (target, _) in TARGETS {
        assert!(own.contains(&format!("replay(\"{target}\"")), "{target}");
        assert!(manifest.contains(&format!("name = \"{target}\"\n")), "{target}");
        assert!(root.join(format!("fuzz_targets/{target}.rs")).exists(), "{target}");
    }
}

/// What libvirt would hand to dnsmasq for every network of the corpus, and of all built-in files, is what
/// dnsmasq itself takes.
#[test]
fn dnsmasq_takes_what_networks_become() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.conf");
    let mut taken = 0;
    // Where it is, many users do not look.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut attempt = |what: &str, text: &str| {
        let Some((blueprint, _)) = maquette_fuzz::blueprint(text) else { return };
        for network in &blueprint.networks {
            let xml = maquette_libvirt::xml::network(
                network,
                &blueprint.environment,
                blueprint.allocation,
            );
            let Some(text) = maquette_fuzz::dnsmasq::configuration(&xml) else { continue };
            fs::write(&file, &text).unwrap();
            let output = Command::new("dnsmasq")
                .env("PATH", &path)
                .arg("--test")
                .arg(format!("--conf-file={}", file.display()))
                .output()
                .expect("`scripts/deps test` brings dnsmasq");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{what}: {said}: {text}");
            taken += 1;
        }
    };
    for (path, input) in corpus("topology") {
        attempt(&path.display().to_string(), &String::from_utf8_lossy(&input));
    }
    for name in maquette_core::defaults::names(maquette_core::defaults::Kind::Network) {
        let network =
            maquette_core::defaults::get(maquette_core::defaults::Kind::Network, name).unwrap();
        let node =
            "name: compute\ndeploy_os: no\ncpu: 1\nmemory: 128\ndisks:\n  disk1: {size: 9G}\n";
        attempt(name, &format!("%% node\n{node}%% network\n{network}"));
    }
    assert!(taken > 5, "only {taken} configurations were tried");
}
