//! Host keys of hypervisors: fetched to be shown, and remembered once somebody has agreed. That a host shows the one
//! that is known is checked by `ssh` itself, as `master.rs` tells it to (`StrictHostKeyChecking`).

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};

use ssh_key::HashAlg;

use super::super::process::brief;
use super::error::{ConnectError, classify};
use super::master::{LIMIT, Target, effective};

/// A host key as a line of known_hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// The whole line, as `ssh` wrote it.
    pub line: String,
    /// `ED25519`, `ECDSA`, …
    pub algorithm: String,
    /// `SHA256:…`
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
    let (_, key) = line.split_once(' ')?;
    let key = ssh_key::PublicKey::from_openssh(key.trim()).ok()?;
    let algorithm = key.algorithm().to_string();
    let short = algorithm.trim_start_matches("ssh-").split('-').next().unwrap_or_default();
    Some(HostKey {
        line: line.to_string(),
        algorithm: short.to_uppercase(),
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
    })
}

/// What a target is called in known_hosts, and the files of them.
fn noted(target: &Target, home: Option<&Path>) -> Result<(String, Vec<PathBuf>), ConnectError> {
    let seen = effective(&target.address, home)?;
    let name = match (seen.host_key_alias, seen.port.as_str()) {
        (Some(alias), _) => alias,
        (None, "22" | "") => seen.hostname,
        (None, port) => format!("[{}]:{port}", seen.hostname),
    };
    Ok((name, seen.known_hosts.into_iter().filter(|f| f.is_file()).collect()))
}

/// Removes the keys that are known of a target from the user's own known_hosts; `ssh-keygen` keeps a copy of these. In files
/// that are not the user's to change they stay, and `ssh` goes on refusing.
pub fn forget(target: &Target, home: Option<&Path>) -> Result<(), ConnectError> {
    let (name, files) = noted(target, home)?;
    for file in files {
        let output = process::Command::new("ssh-keygen")
            .args(["-R", &name, "-f"])
            .arg(&file)
            .output()
            .map_err(ConnectError::Local)?;
        drop(output);
    }
    Ok(())
}

/// The keys that are known of a target, as lines of known_hosts under its address, so that another
/// user or machine can verify it too.
pub fn known(target: &Target, home: Option<&Path>) -> Result<Vec<String>, ConnectError> {
    let (name, files) = noted(target, home)?;
    let mut lines = Vec::new();
    for file in &files {
        let output = process::Command::new("ssh-keygen")
            .args(["-F", &name, "-f"])
            .arg(file)
            .output()
            .map_err(ConnectError::Local)?;
        let text = String::from_utf8_lossy(&output.stdout);
        // A marked line (`@cert-authority`) is more than a key.
        let found = text.lines().filter(|l| !l.starts_with(['#', '@']));
        lines.extend(found.filter_map(|l| Some(format!("{name} {}", l.split_once(' ')?.1))));
    }
    Ok(lines)
}

/// Adds keys to the user's known_hosts, as `ssh` does after a yes.
pub fn remember(
    target: &Target,
    keys: &[HostKey],
    home: Option<&Path>,
) -> Result<String, ConnectError> {
    let files = effective(&target.address, home)?.known_hosts;
    let Some(path) = files.first() else {
        let error = std::io::Error::other("the ssh configuration names no known_hosts file");
        return Err(ConnectError::Local(error));
    };
    if let Some(directory) = path.parent()
        && !directory.exists()
    {
        use std::os::unix::fs::DirBuilderExt;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(ConnectError::Local)?;
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(ConnectError::Local)?;
    let text: String = keys.iter().map(|k| format!("{}\n", k.line)).collect();
    file.write_all(text.as_bytes()).map_err(ConnectError::Local)?;
    Ok(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_known_hosts_has_a_fingerprint() {
        let line =
            "hv ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
        let key = parse(line).unwrap();
        assert_eq!(key.algorithm, "ED25519");
        assert_eq!(key.fingerprint, "SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE");
        assert!(parse("nonsense").is_none());
    }
}
