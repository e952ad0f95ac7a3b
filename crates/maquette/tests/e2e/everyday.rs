//! Verbs of every day, with guests that answer: files, commands, ports, colleagues' keys, screens, a report.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::Lab;

#[test]
fn everyday_verbs_reach_real_guests() {
    let lab = Lab::new("alltag");
    lab.up_says("tiny.yml:2", &[], 0);
    let place = tempfile::tempdir().unwrap();
    files(&lab, place.path());
    commands(&lab);
    ports(&lab);
    keys(&lab, place.path());
    screens(&lab, place.path());
    report(&lab, place.path());
    lab.says(&["down"], 0);
    lab.nothing_left();
}

/// These guests have no SFTP, which `scp` uses unless it is told otherwise.
fn files(lab: &Lab, place: &Path) {
    let path = |name: &str| place.join(name).display().to_string();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    std::fs::write(path("sent"), &bytes).unwrap();
    assert!(!lab.run(&["cp", &path("sent"), "tiny-0:a"]).status.success());
    lab.says(&["cp", "-O", &path("sent"), "tiny-0:a"], 0);
    lab.says(&["scp", "--no-sftp", "tiny-0:a", "tiny-1:b"], 0);
    lab.says(&["cp", "-O", "tiny-1:b", &path("came")], 0);
    assert!(std::fs::read(path("came")).unwrap() == bytes, "another file came back");
}

fn commands(lab: &Lab) {
    let exec = |nodes: &str, command: &str| {
        lab.command(&["exec", nodes]).args(["--json", "--", command]).output().unwrap()
    };
    let hosts = |nodes: &str| {
        let output = exec(nodes, "hostname");
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let all = said["nodes"].as_array().unwrap();
        let host = |node: &Value| node["stdout"].as_str().unwrap().trim().to_string();
        all.iter().map(host).collect::<Vec<_>>()
    };
    assert_eq!(hosts("tiny-*"), ["alltag-tiny-0", "alltag-tiny-1"]);
    assert_eq!(hosts("tiny"), ["alltag-tiny-0", "alltag-tiny-1"]);
    assert_eq!(hosts("*-1"), ["alltag-tiny-1"]);
    let failed = exec("tiny", "[ $(hostname) = alltag-tiny-1 ]");
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(said.contains("the command failed on 1 of 2 nodes"), "{said}");
}

fn ports(lab: &Lab) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut forward = lab
        .command(&["forward", "tiny-0", &format!("{port}:22"), "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(forward.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let said: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(said["forwards"][0]["port"], port);
    let mut banner = [0; 8];
    TcpStream::connect(("127.0.0.1", port)).unwrap().read_exact(&mut banner).unwrap();
    assert_eq!(&banner, b"SSH-2.0-");
    forward.kill().unwrap();
    forward.wait().unwrap();
    // However it ends, the port ends with it.
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(Instant::now() < deadline, "the port is still open");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn keys(lab: &Lab, place: &Path) {
    let key = place.join("colleague");
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    let address = lab.status()["nodes"][1]["address"].as_str().unwrap().to_string();
    let enters = |user: &str| {
        let known = format!("UserKnownHostsFile={}", lab.file("known_hosts").display());
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", &known])
            .args(["-o", "HostKeyAlias=alltag-tiny-1", "-i"])
            .arg(&key)
            .args(["-l", user, &address, "true"]);
        ssh.stderr(Stdio::null()).status().unwrap().success()
    };
    let public = format!("{}.pub", key.display());
    assert!(!enters("cloud-user"));
    lab.says(&["share", &public], 0);
    assert!(enters("cloud-user") && enters("root"));
    // Who has built it still enters.
    assert_eq!(lab.on("tiny-1", "hostname"), "alltag-tiny-1");
    lab.says(&["unshare", &public], 0);
    assert!(!enters("cloud-user") && !enters("root"));
    assert_eq!(lab.on("tiny-1", "hostname"), "alltag-tiny-1");
}

fn screens(lab: &Lab, place: &Path) {
    let shown = lab.run(&["open", "tiny-0", "--print"]);
    let said = String::from_utf8_lossy(&shown.stdout).trim().to_string();
    let port: u16 = said.strip_prefix("vnc://127.0.0.1:").unwrap().parse().unwrap();
    let mut begin = [0; 4];
    TcpStream::connect(("127.0.0.1", port)).unwrap().read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"RFB ");
    let picture = place.join("screen.png");
    lab.says(&["screenshot", "tiny-0", "-o", &picture.display().to_string()], 0);
    let picture = std::fs::read(picture).unwrap();
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n") && picture.len() > 100);
}

fn report(lab: &Lab, place: &Path) {
    let file = place.join("report.tar.gz").display().to_string();
    let image = crate::lab::image();
    let asked = ["--topology-nodes", "tiny.yml:2", "--image-url", &image];
    lab.says(&[&["report", "-o", &file], &asked[..]].concat(), 0);
    let list = Command::new("tar").args(["-tzf", &file]).output().unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    for part in ["consoles/alltag-tiny-0.txt", "domains/alltag-tiny-1.xml"] {
        assert!(list.contains(part), "{part} is not in the report: {list}");
    }
    let all = Command::new("tar").args(["-xzOf", &file]).output().unwrap().stdout;
    let secret = std::fs::read_to_string(lab.file("id_ed25519")).unwrap();
    let line = secret.lines().nth(1).unwrap();
    assert!(!String::from_utf8_lossy(&all).contains(line), "the key is in the report");
}
