//! Environments of tests on real libvirt, and what they must not leave behind.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// An environment of a test, removed at its end whatever happens.
pub struct Lab {
    pub prefix: &'static str,
    pub home: tempfile::TempDir,
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The program under test: the released one where `tests/e2e/run` names it.
pub fn program() -> PathBuf {
    let named = std::env::var_os("MAQUETTE_TEST_PROGRAM").map(PathBuf::from);
    named.unwrap_or_else(|| env!("CARGO_BIN_EXE_maquette").into())
}

pub fn image() -> String {
    std::env::var("MAQUETTE_TEST_IMAGE").expect("tests/e2e/run sets MAQUETTE_TEST_IMAGE")
}

impl Lab {
    pub fn new(prefix: &'static str) -> Self {
        let lab = Self { prefix, home: tempfile::tempdir().unwrap() };
        // A test that was ended in the middle of a run leaves what says that one is at work.
        let _ = std::fs::remove_file(format!("/run/maquette/environment.{prefix}.busy"));
        // So is what one has left that failed: it is tried again.
        if !leftovers(prefix).is_empty() {
            let _ = lab.run(&["down", "--take-over"]);
        }
        lab.nothing_left();
        lab
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args);
        if args.first() == Some(&"down") {
            command.arg("--yes");
        }
        command
            .args(["--prefix", self.prefix])
            .current_dir(repository().join("tests/e2e"))
            .env("XDG_DATA_HOME", self.home.path());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must end with `code`; its standard error.
    pub fn says(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}:\n{text}");
        text
    }

    pub fn up(&self, nodes: &str, more: &[&str]) -> Vec<String> {
        let image = image();
        let mut args = vec!["up", "--topology-nodes", nodes, "--image-url", &image];
        args.extend(more);
        args.into_iter().map(String::from).collect()
    }

    pub fn up_says(&self, nodes: &str, more: &[&str], code: i32) -> String {
        let args = self.up(nodes, more);
        self.says(&args.iter().map(String::as_str).collect::<Vec<_>>(), code)
    }

    /// Standard output of a command on a node.
    pub fn on(&self, node: &str, command: &str) -> String {
        let output = self.command(&["ssh", node]).args(["--", command]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{node}: {command}: {stderr}");
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    }

    pub fn status(&self) -> Value {
        let output = self.run(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join("maquette/workspaces").join(self.prefix).join(name)
    }

    /// Standard output of a command that root runs on a node.
    pub fn as_root(&self, node: &str, command: &str) -> String {
        let config = self.file("ansible.ssh.config");
        let name = format!("{}-{node}", self.prefix);
        let output = Command::new("ssh")
            .arg("-F")
            .arg(config)
            .args(["-l", "root", &name, "--", command])
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{node}: {command}: {stderr}");
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    }

    /// The bridge of a network, by its name without prefix.
    pub fn bridge(&self, network: &str) -> String {
        let name = format!("{}-{network}", self.prefix);
        let status = self.status();
        let networks = status["networks"].as_array().unwrap();
        let own = networks.iter().find(|n| n["name"] == name.as_str()).unwrap();
        own["bridge"].as_str().unwrap().to_string()
    }

    /// The same as `on`, once the node answers.
    pub fn on_when_up(&self, node: &str, command: &str) -> String {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let output = self.command(&["ssh", node]).args(["--", command]).output().unwrap();
            if output.status.success() {
                return String::from_utf8_lossy(&output.stdout).trim().to_string();
            }
            assert!(std::time::Instant::now() < deadline, "{node} does not answer");
        }
    }

    pub fn nothing_left(&self) {
        // A process that was told to end is there for a moment more.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let mut left = leftovers(self.prefix);
        while !left.is_empty() && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(200));
            left = leftovers(self.prefix);
        }
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A run that the test has started may go on.
            let _ = self.run(&["down", "--take-over"]);
        }
    }
}

pub fn virsh(args: &[&str]) -> String {
    let output = Command::new("virsh").args(["-q", "-c", "qemu:///system"]).args(args).output();
    String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
}

/// Everything of an environment that is on this machine.
pub fn leftovers(prefix: &str) -> BTreeSet<String> {
    let begin = format!("{prefix}-");
    let mut found = BTreeSet::new();
    for list in [
        vec!["list", "--all", "--name"],
        vec!["net-list", "--all", "--name"],
        vec!["vol-list", "images"],
    ] {
        let text = virsh(&list);
        let names = text.lines().filter_map(|l| l.split_whitespace().next());
        found.extend(names.filter(|n| n.starts_with(&begin)).map(String::from));
    }
    for directory in [
        "/var/lib/libvirt/qemu",
        "/var/lib/libvirt/qemu/nvram",
        "/var/lib/libvirt/qemu/channel/target",
        "/var/lib/libvirt/dnsmasq",
        "/var/log/libvirt/qemu",
        "/var/lib/libvirt/images",
        "/run/maquette",
        "/run/libvirt/qemu",
    ] {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
        let ours = |n: &String| {
            n.starts_with(&begin)
                || n.contains(&format!("-{begin}"))
                || n.ends_with(&format!(".{prefix}"))
        };
        found.extend(names.filter(ours).map(|n| format!("{directory}/{n}")));
    }
    let interfaces = std::fs::read_dir("/sys/class/net").unwrap();
    let names = interfaces.map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    found.extend(names.filter(|n| n.starts_with(&begin)));
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let ours = line.contains(&format!("/{begin}")) || line.contains(&format!("guest={begin}"));
        if ours && (line.contains("dnsmasq") || line.contains("qemu-system")) {
            found.insert(line);
        }
    }
    found
}

pub fn taps() -> usize {
    let interfaces = std::fs::read_dir("/sys/class/net").unwrap();
    interfaces.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("vnet")).count()
}
