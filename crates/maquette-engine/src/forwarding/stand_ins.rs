//! A home directory on a hypervisor whose users and SSH server are stand-ins.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::SCRIPT;
use crate::dying_host::Programs;
use crate::host::{Command, Host, Output};

pub(super) const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEq+x/Yz0";
pub(super) const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOther0";

/// Programs that change something, or may be waited for.
const CALLED: [&str; 10] =
    ["mkdir", "flock", "rm", "mv", "sync", "cp", "chmod", "sed", "cat", "rmdir"];

pub(super) struct Place {
    root: tempfile::TempDir,
    /// Who runs this: it needs no other rights.
    pub(super) user: String,
}

impl Place {
    pub(super) fn new() -> Self {
        let id = std::process::Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(id.stdout).unwrap().trim().to_string();
        let place = Self { root: tempfile::tempdir().unwrap(), user };
        fs::create_dir(place.at("home")).unwrap();
        place
    }

    /// A home directory whose file says this.
    pub(super) fn with(text: &[u8]) -> Self {
        let place = Self::new();
        fs::create_dir(place.at("home/.ssh")).unwrap();
        fs::write(place.file(), text).unwrap();
        fs::set_permissions(place.file(), fs::Permissions::from_mode(0o640)).unwrap();
        place
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The file of keys.
    pub(super) fn file(&self) -> PathBuf {
        self.at("home/.ssh/authorized_keys")
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.file()).unwrap()).into_owned()
    }

    /// Programs among which are users and an SSH server that reads these files of keys.
    pub(super) fn programs(&self, reads: &str) -> Programs {
        let programs = Programs::as_functions(&CALLED);
        let home = self.at("home").display().to_string();
        // Other users have none.
        let user = &self.user;
        programs.quiet(
            "getent",
            &format!("[ \"$2\" != {user} ] || echo {user}:x:0:0::{home}:/bin/sh\n"),
        );
        programs.quiet("sshd", &format!("echo 'port 22'; echo 'authorizedkeysfile {reads}'\n"));
        programs.quiet("uname", "echo hv.example\n");
        programs
    }

    pub(super) fn command(&self, words: &[&str]) -> Command {
        let records = self.at("records").display().to_string();
        Command::script(SCRIPT, words.iter().copied()).env("MAQUETTE_FORWARDING", &records)
    }

    pub(super) fn open(&self, host: &dyn Host, environment: &str, key: &str) -> Option<Output> {
        host.run(&self.command(&["open", environment, &self.user, key]), &mut |_| {}).ok()
    }

    pub(super) fn close(&self, host: &dyn Host, environment: &str) -> Option<Output> {
        host.run(&self.command(&["close", environment]), &mut |_| {}).ok()
    }

    /// Names in a directory.
    pub(super) fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(directory)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The line of a key.
pub(super) fn line(environment: &str, key: &str) -> String {
    format!(
        "restrict,port-forwarding,permitopen=\"*:22\",permitlisten=\"localhost:1\",\
         command=\"echo This key of Maquette only leads to nodes.; exit 1\" {key} maquette:{environment}@hv.example\n"
    )
}
