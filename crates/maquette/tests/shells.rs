//! Login shells on the hypervisor: of other kinds, that talk, that hang, that run something else. A real
//! SSH server on this machine has a port for each; it needs root, as everything that `scripts/test` runs.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A shell's name, and what takes the place of the login shell.
const SHELLS: [(&str, &str); 9] = [
    ("plain", r#"sh -c "$SSH_ORIGINAL_COMMAND""#),
    ("tcsh", r#"exec tcsh -c "$SSH_ORIGINAL_COMMAND""#),
    ("fish", r#"exec fish -c "$SSH_ORIGINAL_COMMAND""#),
    (
        "noisy",
        r#"echo "got held 1 {} 0"; printf "no end"; sh -c "$SSH_ORIGINAL_COMMAND"; s=$?; echo bye; exit $s"#,
    ),
    ("forced", "date"),
    ("silly", "exit 0"),
    ("endless", "yes"),
    ("silent", "exec sleep 60"),
    ("nologin", "echo 'This account is currently not available.'; exit 1"),
];

struct Server {
    directory: tempfile::TempDir,
    sshd: Child,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for key in ["host", "key"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(at(key))
                .status();
            assert!(made.unwrap().success());
        }
        fs::copy(at("key.pub"), at("authorized")).unwrap();
        // All at once, so that no two get the same.
        let free: Vec<TcpListener> =
            SHELLS.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = free.iter().map(|l| l.local_addr().unwrap().port()).collect();
        drop(free);
        let host = fs::read_to_string(at("host.pub")).unwrap();
        let mut server = format!(
            "ListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\n\
             PidFile none\nUsePAM yes\nPermitRootLogin yes\nMaxStartups 100\n",
            at("host").display(),
            at("authorized").display()
        );
        let mut client = String::new();
        let mut known = String::new();
        for port in &ports {
            server.push_str(&format!("Port {port}\n"));
        }
        for ((name, command), port) in SHELLS.iter().zip(&ports) {
            server.push_str(&format!("Match LocalPort {port}\n  ForceCommand {command}\n"));
            client.push_str(&format!("Host {name}\n  HostName 127.0.0.1\n  Port {port}\n"));
            known.push_str(&format!("[127.0.0.1]:{port} {host}"));
        }
        client.push_str(&format!("Host *\n  UserKnownHostsFile {}\n", at("known").display()));
        fs::write(at("known"), known).unwrap();
        fs::write(at("client"), client).unwrap();
        fs::write(at("server"), server).unwrap();
        // The user's configuration is found by the password database, not by HOME.
        let ssh = format!("#!/bin/sh\nexec /usr/bin/ssh -F '{}' \"$@\"\n", at("client").display());
        fs::create_dir(at("bin")).unwrap();
        fs::write(at("bin/ssh"), ssh).unwrap();
        fs::set_permissions(at("bin/ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        let mut sshd = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(at("server"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(sshd.stderr.take().unwrap());
        let mut listening = 0;
        let mut line = String::new();
        while listening < SHELLS.len() {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "sshd ended");
            // Somebody else was quicker; it would go on with the other ports.
            assert!(!line.contains("Bind to port"), "{line}");
            listening += usize::from(line.contains("Server listening"));
        }
        std::thread::spawn(move || said.lines().for_each(drop));
        Self { directory, sshd }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, shell: &str) -> Command {
        let mut maquette = Command::new(env!("CARGO_BIN_EXE_maquette"));
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path("bin").display());
        maquette
            .args(["host", "check", "--json", "--host-user", "root", "--host-address", shell])
            .arg("--host-key")
            .arg(self.path("key"))
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.directory.path());
        maquette
    }

    fn check(&self, shell: &str) -> Output {
        self.command(shell).output().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

/// The lines of a check that do not change from one moment to the next.
fn lasting(output: &Output) -> Vec<String> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("\"checks\""), "{stderr}");
    let changes = |l: &&str| !["GiB", "MiB", "qemu+ssh://"].iter().any(|w| l.contains(w));
    stdout.lines().filter(changes).map(String::from).collect()
}

/// Commands mean the same, and answers are read the same, whatever logs in: the probe's long script, and
/// libvirt's own stream, if libvirt is there.
#[test]
fn every_kind_of_login_shell_gives_the_same_answers() {
    let server = Server::start();
    let plain = lasting(&server.check("plain"));
    assert!(plain.len() > 10, "{plain:?}");
    for shell in ["tcsh", "fish", "noisy"] {
        assert_eq!(lasting(&server.check(shell)), plain, "{shell}");
    }
    // Nothing can be run from where temporary files are.
    let place = server.path("noexec");
    fs::create_dir(&place).unwrap();
    let maquette = server.command("noisy");
    let mut apart = Command::new("unshare");
    let script = "mount -t tmpfs -o noexec none \"$TMPDIR\" && exec \"$@\"";
    apart.args(["-m", "sh", "-c", script, "sh"]).arg(maquette.get_program());
    apart.args(maquette.get_args()).current_dir(server.directory.path());
    apart.envs(maquette.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = apart.env("TMPDIR", place).env_remove("XDG_RUNTIME_DIR").output().unwrap();
    assert_eq!(lasting(&output), plain);
}

/// Whatever is out of files says so, and nothing hangs or panics.
#[test]
fn too_few_open_files_are_told_of() {
    let server = Server::start();
    for files in ["5", "8", "10", "13"] {
        let maquette = server.command("plain");
        let mut limited = Command::new("prlimit");
        limited.arg(format!("--nofile={files}:{files}")).arg(maquette.get_program());
        limited.args(maquette.get_args()).current_dir(server.directory.path());
        limited.envs(maquette.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = limited.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{files}: {stderr}");
        assert!(!stderr.contains("panicked"), "{files}: {stderr}");
        if files == "5" {
            assert!(stderr.contains("Too many open files"), "{files}: {stderr}");
            assert!(stderr.contains("ulimit -n"), "{files}: {stderr}");
        }
    }
}

#[test]
fn a_login_that_runs_no_commands_is_told_of_in_time() {
    let server = Server::start();
    for (shell, said) in [
        ("forced", "does not run the commands it is given; it says: "),
        ("silly", "does not run the commands it is given"),
        ("endless", "it says: y"),
        ("silent", "no login within 9 s"),
        ("nologin", "it says: This account is currently not available."),
    ] {
        let begun = Instant::now();
        let output = server.check(shell);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{shell}: {stderr}");
        assert!(stderr.contains(said), "{shell}: {stderr}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{shell}");
    }
}

/// Whoever stops it while it connects leaves no sockets behind, however it is stopped.
#[test]
fn a_run_that_is_stopped_while_it_connects_leaves_no_sockets() {
    let server = Server::start();
    let place = server.path("run");
    fs::create_dir(&place).unwrap();
    let sockets = || fs::read_dir(&place).unwrap().count();
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let maquette = server.command("silent");
        // Whoever runs this may ignore a closed terminal.
        let mut run = Command::new("env");
        run.args(["--default-signal=HUP", "--"]).arg(maquette.get_program());
        run.args(maquette.get_args()).current_dir(server.directory.path());
        run.envs(maquette.get_envs().filter_map(|(name, value)| Some((name, value?))));
        run.env("XDG_RUNTIME_DIR", &place).stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = run.spawn().unwrap();
        let begun = Instant::now();
        while sockets() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "it never connects");
            std::thread::yield_now();
        }
        let kill = Command::new("kill").args(["-s", signal, &run.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert_eq!(run.wait().unwrap().code(), Some(code), "{signal}");
        assert_eq!(sockets(), 0, "{signal}");
    }
}

/// Something that takes every connection and never speaks.
#[test]
fn a_server_that_never_speaks_is_given_up() {
    let server = Server::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut client = fs::read_to_string(server.path("client")).unwrap();
    client.insert_str(0, &format!("Host mute\n  HostName 127.0.0.1\n  Port {port}\n"));
    fs::write(server.path("client"), client).unwrap();
    let begun = Instant::now();
    let output = server.check("mute");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot reach mute") && stderr.contains("timed out"), "{stderr}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// Not a test of its own: what the next one starts, with a path on which `ssh` finds the server.
#[test]
#[ignore = "started by another test"]
fn taken_over_inside() {
    use maquette_engine::host::lock::{Lock, Patience};
    use maquette_engine::host::ssh::{Directories, Target};
    use maquette_engine::host::{self, Host, HostError, Ssh};
    let (Ok(key), Ok(file)) = (std::env::var("SHELLS_KEY"), std::env::var("SHELLS_FILE")) else {
        return;
    };
    let (address, user) = ("plain".parse().unwrap(), "root".parse().unwrap());
    let target = Target { address, user, key: Some(key.parse().unwrap()) };
    let name = format!("shells-{}", std::process::id());
    let take = |ssh: &Ssh, take_over| {
        let lost = std::sync::Arc::default();
        let patience = Patience { wait: 0, take_over };
        Lock::acquire(ssh, &name, "ann", patience, &lost, &mut |_| {}).unwrap()
    };
    let through = |ssh: &Ssh| {
        let mut transport = Command::new(ssh.libvirt_transport().unwrap());
        transport.args(["-T", "-e", "none", "--", "hypervisor", "sh -c 'x'"]);
        transport.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let touch = || host::Command::new("touch").arg(format!("{file}.late"));

    let one = Ssh::connect(&target, &Directories::default()).unwrap();
    let first = take(&one, false);
    let ours = first.fence(&one);
    ours.write(&file, b"first", 0o600).unwrap();
    let mut libvirt = through(&one);
    assert!(libvirt.try_wait().unwrap().is_none());
    let begun = Instant::now();
    let marked = || {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let mark = format!("MAQUETTE_RUN={}", one.mark());
        let has = |e: &fs::DirEntry| {
            let environment = fs::read(e.path().join("environ")).unwrap_or_default();
            environment.split(|b| *b == 0).any(|word| word == mark.as_bytes())
        };
        all.filter(has).count()
    };
    while marked() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the way to libvirt has no mark");
    }

    let two = Ssh::connect(&target, &Directories::default()).unwrap();
    let second = take(&two, true);
    // What libvirt has not begun ends with the connection.
    libvirt.wait().unwrap();
    assert_eq!(marked(), 0);
    let refused = |result: Result<(), HostError>| matches!(result, Err(HostError::Taken));
    assert!(refused(ours.run(&touch(), &mut |_| {}).map(drop)));
    assert!(ours.write(&file, b"late", 0o600).is_err());
    assert!(ours.rename(&file, &format!("{file}.late")).is_err());
    assert!(ours.remove(&file).is_err());
    assert_eq!(fs::read(&file).unwrap(), b"first");
    assert!(!fs::exists(format!("{file}.late")).unwrap());
    let theirs = second.fence(&two);
    theirs.write(&file, b"second", 0o600).unwrap();
    assert_eq!(theirs.read_tail(&file, 99).unwrap().unwrap(), b"second");
    assert_eq!(theirs.run(&touch(), &mut |_| {}).unwrap().status, Some(0));
    theirs.remove(&format!("{file}.late")).unwrap();
    drop(second);
    println!("taken over");
}

/// A run on another machine, where the run that was taken over may not have heard of it: what it sends is
/// refused there, and its way to libvirt has an end.
#[test]
fn what_a_run_sends_to_another_machine_is_refused_there_once_it_is_taken_over() {
    let server = Server::start();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", server.path("bin").display());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "taken_over_inside", "--ignored", "--nocapture"])
        .env("PATH", path)
        .env("HOME", server.directory.path())
        .env("SHELLS_KEY", server.path("key"))
        .env("SHELLS_FILE", server.path("file"))
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success() && said.contains("taken over\n"), "{said}");
}
