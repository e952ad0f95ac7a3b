//! Host keys of hypervisors: fetched to be shown, and remembered once somebody has agreed. That a host shows the one
//! that is known is checked by `ssh` itself, as `master.rs` tells it to (`StrictHostKeyChecking`).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::time::Duration;

use maquette_core::values::KnownHost;
use ssh_key::HashAlg;

use super::super::process::brief;
use super::error::{ConnectError, classify};
use super::master::{LIMIT, Target, effective};

/// A host key as a line of known_hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// The whole line, as `ssh` wrote it.
    pub line: KnownHost,
    /// `ED25519`, `ECDSA`, …
    pub algorithm: String,
    /// The key's fingerprint: `SHA256:…`.
    pub fingerprint: String,
}

/// Asks the server for its key, by the way that the user's configuration describes (jump hosts
/// included). Nothing secret is offered: no authentication is tried.
pub fn fetch(target: &Target) -> Result<Vec<HostKey>, ConnectError> {
    let directory = tempfile::tempdir().map_err(ConnectError::Local)?;
    let file = directory.path().join("known_hosts");
    let mut ssh = process::Command::new("ssh");
    ssh.args([
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=8",
        "-o",
        "StrictHostKeyChecking=accept-new",
    ])
    .arg("-o")
    .arg(format!("UserKnownHostsFile={}", file.display()))
    .args(["-o", "GlobalKnownHostsFile=none", "-o", "PreferredAuthentications=none"])
    .args(["-o", "ControlPath=none", "-l", &target.user, "--", &target.address, "true"])
    .stdin(Stdio::null());
    let output = brief(&mut ssh, LIMIT).map_err(ConnectError::Local)?;
    let lines = fs::read_to_string(&file).unwrap_or_default();
    let keys: Vec<HostKey> = lines.lines().filter_map(parse).collect();
    if keys.is_empty() {
        let stderr = output.map_or_else(
            || format!("no answer within {} s: it timed out", LIMIT.as_secs()),
            |output| String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        return Err(classify(&target.user, &target.address, &stderr));
    }
    Ok(keys)
}

/// Reads a line of known_hosts: names, algorithm, key.
fn parse(line: &str) -> Option<HostKey> {
    let line: KnownHost = line.trim().parse().ok()?;
    let key = ssh_key::PublicKey::from_openssh(&line.key()).ok()?;
    let algorithm = key.algorithm().to_string();
    let short = algorithm.trim_start_matches("ssh-").split('-').next().unwrap_or_default();
    Some(HostKey {
        line,
        algorithm: short.to_uppercase(),
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
    })
}

/// What a target is called in known_hosts, and the files of them.
fn noted(target: &Target, home: Option<&Path>) -> Result<(String, Vec<PathBuf>), ConnectError> {
    let seen = effective(&target.address, home)?;
    let name = match (seen.host_key_alias, seen.port) {
        (Some(alias), _) => alias.into(),
        (None, None) => seen.hostname.into(),
        (None, Some(port)) => format!("[{}]:{port}", seen.hostname),
    };
    Ok((name, seen.known_hosts.into_iter().filter(|f| f.is_file()).collect()))
}

/// The keys that are known of a target, as lines of known_hosts under its address, so that another
/// user or machine can verify it too.
pub fn known(target: &Target, home: Option<&Path>) -> Result<Vec<KnownHost>, ConnectError> {
    let (name, files) = noted(target, home)?;
    let mut lines = Vec::new();
    for file in &files {
        lines.extend(looked_up(&name, file)?);
    }
    Ok(lines)
}

/// The keys of those shown that a file of known_hosts has of a target, as `ssh` looks them up.
pub fn noted_in(
    target: &Target,
    file: &Path,
    shown: &[HostKey],
    home: Option<&Path>,
) -> Result<Vec<HostKey>, ConnectError> {
    let (name, _) = noted(target, home)?;
    let lines = looked_up(&name, file)?;
    let noted: Vec<String> = lines.iter().map(KnownHost::key).collect();
    let is_noted = |shown: &&HostKey| noted.contains(&shown.line.key());
    Ok(shown.iter().filter(is_noted).cloned().collect())
}

/// The lines of a name in a file of known_hosts, under that name; it may be hashed there.
fn looked_up(name: &str, file: &Path) -> Result<Vec<KnownHost>, ConnectError> {
    looked_up_within(LIMIT, name, file)
}

/// The same, for some time: a pipe may never have an end.
fn looked_up_within(
    limit: Duration,
    name: &str,
    file: &Path,
) -> Result<Vec<KnownHost>, ConnectError> {
    let mut keygen = process::Command::new("ssh-keygen");
    keygen.args(["-F", name, "-f"]).arg(file).stdin(Stdio::null());
    let output = brief(&mut keygen, limit).map_err(ConnectError::Local)?.ok_or_else(|| {
        let why = format!(
            "{} was not read to its end within {} s, or has more than 64 KiB about {name}",
            file.display(),
            limit.as_secs()
        );
        ConnectError::Local(io::Error::new(io::ErrorKind::TimedOut, why))
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    // A marked line (`@cert-authority`) is more than a key.
    let found = text.lines().filter(|l| !l.starts_with(['#', '@']));
    Ok(found.filter_map(|line| under(name, line)).collect())
}

/// A line of known_hosts under another name. A comment of more than plain words is left out.
fn under(name: &str, line: &str) -> Option<KnownHost> {
    let (_, key) = line.split_once([' ', '\t'])?;
    let whole = format!("{name} {}", key.trim()).parse();
    let words: Vec<&str> = key.split_whitespace().take(2).collect();
    whole.or_else(|_| format!("{name} {}", words.join(" ")).parse()).ok()
}

/// Adds keys to the user's known_hosts, as `ssh` does after a yes.
pub fn remember(
    target: &Target,
    keys: &[HostKey],
    home: Option<&Path>,
) -> Result<String, ConnectError> {
    let path = own_file(target, home)?;
    if let Some(directory) = path.parent()
        && !directory.exists()
    {
        use std::os::unix::fs::DirBuilderExt;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(ConnectError::Local)?;
    }
    add(&path, keys).map_err(ConnectError::Local)?;
    Ok(path.display().to_string())
}

/// The same, in the place of those that are known of a target; a copy of the file stays beside it. In files that are not the
/// user's own the old keys stay: `ssh` takes a key that one of the files has.
pub fn replace(
    target: &Target,
    keys: &[HostKey],
    home: Option<&Path>,
) -> Result<String, ConnectError> {
    let path = own_file(target, home)?;
    if !path.is_file() {
        return remember(target, keys, home);
    }
    let (name, _) = noted(target, home)?;
    renew(&path, &name, keys).map_err(ConnectError::Local)?;
    Ok(path.display().to_string())
}

/// The file of known_hosts that `ssh` adds keys to.
fn own_file(target: &Target, home: Option<&Path>) -> Result<PathBuf, ConnectError> {
    let files = effective(&target.address, home)?.known_hosts;
    files.into_iter().next().ok_or_else(|| {
        ConnectError::Local(io::Error::other("the ssh configuration names no known_hosts file"))
    })
}

/// Adds keys at the end of a file.
fn add(path: &Path, keys: &[HostKey]) -> io::Result<()> {
    let text: String = keys.iter().map(|k| format!("{}\n", k.line)).collect();
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// Has keys take the place of others in a file: all of it, or nothing.
fn renew(path: &Path, name: &str, keys: &[HostKey]) -> io::Result<()> {
    // It may be a link to where somebody keeps it.
    let path = fs::canonicalize(path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let scratch = tempfile::tempdir_in(directory)?;
    let new = scratch.path().join("known_hosts");
    fs::copy(&path, &new)?;
    let output = process::Command::new("ssh-keygen").args(["-R", name, "-f"]).arg(&new).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let message = format!("`ssh-keygen -R {name}` fails for {}: {said}", path.display());
        return Err(io::Error::other(message.trim_end().to_string()));
    }
    add(&new, keys)?;
    fs::set_permissions(&new, fs::metadata(&path)?.permissions())?;
    let mut old = path.clone().into_os_string();
    old.push(".old");
    fs::copy(&path, old)?;
    fs::rename(&new, &path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF3EQts5oU6GwaGVyTy8cUMt9GqdlMsn4NZ/Vh37kvlg";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBtLtEvW1qvEJiIWqegS1z+nGvGHxBGH/cwKcT58wStg";

    /// Whoever wrote a project file that named one had the program wait for ever.
    #[test]
    fn a_pipe_that_nobody_writes_to_is_waited_for_no_longer_than_a_server() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = looked_up_within(Duration::from_millis(200), "hv.invalid", &pipe).unwrap_err();
        assert!(matches!(error, ConnectError::Local(_)), "{error:?}");
    }

    /// Somebody brings a file along: names in it may be hashed, ports and comments are in it, and other machines.
    #[test]
    fn a_file_of_known_hosts_says_which_of_the_keys_shown_is_a_machines() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("known");
        let keys = [KEY, OTHER].map(|key| parse(&format!("hv.invalid {key}")).unwrap());
        let target = |address: &str| Target {
            address: address.parse().unwrap(),
            user: "root".parse().unwrap(),
            key: None,
        };
        let noted = |text: &str, address: &str| {
            fs::write(&file, text).unwrap();
            let found = noted_in(&target(address), &file, &keys, Some(directory.path())).unwrap();
            found.into_iter().map(|key| key.fingerprint).collect::<Vec<_>>()
        };
        let one = vec![keys[0].fingerprint.clone()];
        assert_eq!(noted(&format!("hv.invalid {KEY} a comment\n"), "hv.invalid"), one);
        assert_eq!(noted(&format!("# x\nother,hv.invalid {KEY}\n"), "hv.invalid"), one);
        for text in [
            "",
            "nonsense\n",
            &format!("hv2.invalid {KEY}\n"),
            &format!("@revoked hv.invalid {KEY}\n"),
        ] {
            assert!(noted(text, "hv.invalid").is_empty(), "{text}");
        }
        assert!(noted(&format!("hv.invalid {KEY}\n"), "hv2.invalid").is_empty());
        fs::write(&file, format!("hv.invalid {KEY}\n")).unwrap();
        let hashed = process::Command::new("ssh-keygen").args(["-H", "-f"]).arg(&file).output();
        assert!(hashed.unwrap().status.success());
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("hv.invalid"));
        assert_eq!(noted(&text, "hv.invalid"), one);
    }

    #[test]
    fn a_line_of_known_hosts_has_a_fingerprint() {
        let line =
            "hv ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
        let key = parse(line).unwrap();
        assert_eq!(key.algorithm, "ED25519");
        assert_eq!(key.fingerprint, "SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE");
        for line in ["nonsense", &line.replace("hv", "@revoked hv"), &line.replace("hv", "*")] {
            assert!(parse(line).is_none(), "{line}");
        }
    }

    /// Whatever was in a file of known_hosts went into the workspace's.
    #[test]
    fn a_noted_line_is_written_anew() {
        let under = |line: &str| under("[hv]:2222", line).map(|line| line.to_string());
        let plain = format!("[hv]:2222 {KEY}");
        assert_eq!(under(&format!("|1|x=|y= {KEY} me@here")), Some(format!("{plain} me@here")));
        for comment in ["", " \u{1b}[2J", " {{ x }}", " # (2024)"] {
            assert_eq!(
                under(&format!("a,b\t{}{comment}", KEY.replace(' ', "  "))),
                Some(plain.clone())
            );
        }
        for line in ["hv", "hv 1024 35 1234", "hv ssh-ed25519"] {
            assert_eq!(under(line), None, "{line}");
        }
    }

    /// They were removed from files of all users, too, before anybody knew whether the new one can be noted.
    #[test]
    fn a_key_takes_the_place_of_the_old_one_or_nothing_is_changed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("known_hosts");
        let key = |end: &str| {
            format!(
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OI{end}"
            )
        };
        let other = format!("other {}\n", key("eZJ"));
        let before = format!("hv {}\n{other}", key("eZJ"));
        fs::write(&file, &before).unwrap();
        let new = parse(&format!("hv {}", key("eZK"))).unwrap();
        renew(&file, "hv", std::slice::from_ref(&new)).unwrap();
        let after = format!("{other}{}\n", new.line);
        assert_eq!(fs::read_to_string(&file).unwrap(), after);
        assert_eq!(fs::read_to_string(directory.path().join("known_hosts.old")).unwrap(), before);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        // `ssh-keygen` changes no file with lines that it does not understand.
        fs::write(&file, format!("nonsense\n{after}")).unwrap();
        assert!(renew(&file, "hv", &[new]).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("nonsense\n{after}"));
    }
}
