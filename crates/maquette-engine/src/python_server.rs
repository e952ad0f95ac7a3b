//! Servers of tests, in Python: each prints its port as its first line.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// One that runs until this is dropped.
pub(crate) struct PythonServer {
    child: Child,
    /// Where it listens on this machine.
    pub(crate) port: String,
    /// What it prints after that.
    pub(crate) lines: mpsc::Receiver<String>,
}

impl PythonServer {
    /// Starts a script in a directory.
    pub(crate) fn start(script: &str, directory: &Path, arguments: &[&OsStr]) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", script])
            .args(arguments)
            .current_dir(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let pipe = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in pipe.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let port = lines.recv_timeout(Duration::from_secs(60)).unwrap();
        Self { child, port, lines }
    }
}

impl Drop for PythonServer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Makes a key and a certificate that nobody has signed, of a server by one of its names, as `IP:127.0.0.1`.
pub(crate) fn certificate(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (key, certificate) = (directory.join("key.pem"), directory.join("cert.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=test", "-addext", &format!("subjectAltName={name}")])
        .args(["-keyout".as_ref(), key.as_os_str(), "-out".as_ref(), certificate.as_os_str()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    (key, certificate)
}
