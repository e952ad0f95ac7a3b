//! What `scripts/lint-commits` says of messages of commits.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::crates;

const MAIN: &str = "refs/remotes/origin/main";
const NO_BODY: &str = "no body says why";

/// A repository with the script in it.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        let scripts = repository.0.path().join("scripts");
        fs::create_dir(&scripts).unwrap();
        fs::copy(crates().join("../scripts/lint-commits"), scripts.join("lint-commits")).unwrap();
        repository
    }

    fn git(&self, arguments: &[&str]) {
        let who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgSign=false"];
        let mut git = here(Command::new("git"), self.0.path());
        let output = git.args(who).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    fn commit(&self, message: &str) {
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// What the script says, a line each; none if it is content.
    fn complaints(&self) -> Vec<String> {
        let mut lint = here(Command::new("bash"), self.0.path());
        let output: Output = lint.arg("scripts/lint-commits").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), said.is_empty(), "{said}");
        said.lines().map(|line| line.split("`: ").nth(1).unwrap_or(line).to_string()).collect()
    }
}

/// Whatever the user has set for all repositories, or runs this test from.
fn here(mut command: Command, directory: &Path) -> Command {
    command.current_dir(directory).env("HOME", directory).env("XDG_CONFIG_HOME", directory);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CEILING_DIRECTORIES", directory);
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command
}

#[test]
fn a_commit_has_an_area_72_characters_and_a_body() {
    let repository = Repository::new();
    // A tree that was unpacked has no history.
    assert!(repository.complaints().is_empty());
    repository.git(&["init", "--quiet"]);
    assert!(repository.complaints().is_empty(), "no commit yet");
    let subject = format!("area: {}", "…".repeat(66));
    repository.commit(&format!("{subject}\n\nWhy."));
    for (message, complaint) in [
        (format!("{subject}…\n\nWhy."), "73 characters are more than 72"),
        ("area: a stop.\n\nWhy.".into(), "there is a full stop at its end"),
        (
            "Something changes\n\nWhy.".into(),
            "it does not begin with an area, as in `area: what changes for whom`",
        ),
        ("area: it has no body".into(), NO_BODY),
        ("area: it is signed\n\nSigned-off-by: A <a@b.c>".into(), NO_BODY),
    ] {
        repository.git(&["update-ref", MAIN, "HEAD"]);
        repository.commit(&message);
        assert_eq!(repository.complaints(), [complaint]);
        // What has landed cannot be mended.
        repository.git(&["update-ref", MAIN, "HEAD"]);
        repository.commit("area: one that has not landed\n\nWhy.");
        assert!(repository.complaints().is_empty());
        // Where that is not known, too much is not asked.
        repository.git(&["update-ref", "-d", MAIN]);
        let subjects: &[&str] = if complaint == NO_BODY { &[] } else { &[complaint] };
        assert_eq!(repository.complaints(), subjects);
        repository.git(&["reset", "--quiet", "--soft", "HEAD~2"]);
    }
}
