//! `ssh`'s arguments in an inventory that a stranger may have written: those that InfraRed and Maquette
//! write are taken, one by one, and put together again; the rest is named.

use super::words;

/// What is taken of a host's arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Options by name, with their values; a path has no quotes, a proxy command is complete.
    pub options: Vec<(String, String)>,
    /// What else is taken (`-q`, `-p 22`), as it is written.
    pub flags: Vec<String>,
}

impl Arguments {
    /// As one value of an inventory.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (name, value) in &self.options {
            let quote = if name.ends_with("File") || name == "ProxyCommand" { "\"" } else { "" };
            out.push_str(&format!(" -o {name}={quote}{value}{quote}"));
        }
        for flag in &self.flags {
            out.push(' ');
            out.push_str(flag);
        }
        out
    }
}

/// Reads arguments; what is not taken is added to `left_out`.
pub fn read(text: &str, left_out: &mut Vec<String>) -> Arguments {
    let mut taken = Arguments::default();
    let Some(list) = shlex::split(text) else {
        left_out.push(text.into());
        return taken;
    };
    let mut list = list.into_iter();
    while let Some(word) = list.next() {
        let (flag, joined) = match word.char_indices().nth(2) {
            Some((at, _)) => (&word[..at], Some(word[at..].to_string())),
            None => (word.as_str(), None),
        };
        match flag {
            "-q" | "-C" | "-4" | "-6" | "-T" | "-t" | "-v" if joined.is_none() => {
                taken.flags.push(word);
            }
            "-o" | "-i" | "-p" | "-l" | "-F" => {
                let Some(value) = joined.or_else(|| list.next()) else {
                    left_out.push(word);
                    continue;
                };
                let whole = format!("{flag} {value}");
                match flag {
                    "-o" => match option(&value) {
                        Some(option) => taken.options.push(option),
                        None => left_out.push(whole),
                    },
                    "-i" if words::is_path(&value) => {
                        taken.options.push(("IdentityFile".into(), value));
                    }
                    "-p" if words::is_port(&value) => taken.flags.push(whole),
                    "-l" if words::is_user(&value) => taken.flags.push(whole),
                    _ => left_out.push(whole),
                }
            }
            _ => left_out.push(word),
        }
    }
    taken
}

/// `NAME=VALUE`, if both are taken.
fn option(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=').or_else(|| text.split_once(' '))?;
    if name.eq_ignore_ascii_case("ProxyCommand") {
        return Some(("ProxyCommand".into(), proxy(value.trim())?));
    }
    let name = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
    let value = value.trim().trim_matches('"');
    name.1(value).then(|| (name.0.to_string(), value.to_string()))
}

/// Whether a value is one.
type Check = fn(&str) -> bool;

/// Options that are taken. Agent forwarding is not one of them: it would lend the user's keys to
/// whatever host an archive names.
const NAMES: [(&str, Check); 20] = [
    ("AddressFamily", words::is_word),
    ("BatchMode", is_switch),
    ("Compression", is_switch),
    ("ConnectTimeout", is_number),
    ("ConnectionAttempts", is_number),
    ("ControlMaster", is_switch),
    ("ControlPersist", words::is_word),
    ("GlobalKnownHostsFile", is_own_file),
    ("HostKeyAlias", words::is_host),
    ("IdentitiesOnly", is_switch),
    ("IdentityFile", words::is_path),
    ("LogLevel", words::is_word),
    ("PasswordAuthentication", is_switch),
    ("Port", words::is_port),
    ("PubkeyAuthentication", is_switch),
    ("ServerAliveCountMax", is_number),
    ("ServerAliveInterval", is_number),
    ("StrictHostKeyChecking", is_switch),
    ("User", words::is_user),
    ("UserKnownHostsFile", is_own_file),
];

fn is_switch(value: &str) -> bool {
    ["yes", "no", "auto", "ask", "accept-new"].contains(&value)
}

fn is_number(value: &str) -> bool {
    !value.is_empty() && value.len() < 7 && value.chars().all(|c| c.is_ascii_digit())
}

/// A file that `ssh` may add to: none, or one of the workspace.
fn is_own_file(value: &str) -> bool {
    value == "/dev/null" || (value.starts_with(words::PLACEHOLDER) && words::is_path(value))
}

/// The way through a hypervisor: `ssh`, such options, and where to. A shell reads it, so nothing is
/// taken that a shell would.
fn proxy(command: &str) -> Option<String> {
    let mut list = shlex::split(command)?.into_iter();
    if list.next()? != "ssh" {
        return None;
    }
    let mut out = String::from("ssh");
    let mut through = false;
    let mut to = None;
    while let Some(word) = list.next() {
        match word.as_str() {
            "-W" if list.next()? == "%h:%p" => through = true,
            "-q" | "-C" | "-4" | "-6" | "-T" => out.push_str(&format!(" {word}")),
            "-o" => {
                let (name, value) = option(&list.next()?).filter(|(n, _)| n != "ProxyCommand")?;
                out.push_str(&format!(" -o {name}={value}"));
            }
            "-i" => {
                let key = list.next().filter(|key| words::is_path(key))?;
                out.push_str(&format!(" -i {key}"));
            }
            "-p" => {
                let port = list.next().filter(|port| words::is_port(port))?;
                out.push_str(&format!(" -p {port}"));
            }
            "-l" => {
                let user = list.next().filter(|user| words::is_user(user))?;
                out.push_str(&format!(" -l {user}"));
            }
            place if to.is_none() && is_destination(place) => to = Some(word),
            // Agent forwarding is left out without leaving out the way.
            "-A" => {}
            _ => return None,
        }
    }
    through.then_some(())?;
    Some(format!("{out} -W %h:%p {}", to?))
}

/// `[USER@]HOST`.
fn is_destination(text: &str) -> bool {
    match text.split_once('@') {
        Some((user, host)) => words::is_user(user) && words::is_host(host),
        None => words::is_host(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> (String, Vec<String>) {
        let mut left_out = Vec::new();
        (read(text, &mut left_out).text(), left_out)
    }

    #[test]
    fn what_infrared_and_maquette_write_is_taken() {
        for text in [
            " -o BatchMode=yes -o ServerAliveInterval=30 -o ControlMaster=auto -o ControlPersist=30m \
             -o StrictHostKeyChecking=no -o UserKnownHostsFile=\"/dev/null\" -o ProxyCommand=\"ssh \
             -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i /root/.ssh/id_rsa -W %h:%p \
             root@hv.example.com\"",
            " -o IdentitiesOnly=yes -o HostKeyAlias=lab-node-0 \
             -o UserKnownHostsFile=\"%%workspace_dir%%/known_hosts\" -o ProxyCommand=\"ssh \
             -o BatchMode=yes -o GlobalKnownHostsFile=%%workspace_dir%%/known_hosts \
             -W %h:%p root@192.0.2.1\"",
        ] {
            assert_eq!(taken(text), (text.to_string(), Vec::new()));
        }
        let (text, left_out) = taken("-o ForwardAgent=yes -q");
        assert_eq!((text.as_str(), left_out), (" -q", vec!["-o ForwardAgent=yes".to_string()]));
    }

    #[test]
    fn what_would_run_something_is_left_out() {
        for text in [
            "-o ProxyCommand='touch /tmp/x'",
            "-o ProxyCommand='ssh -W %h:%p root@h; touch /tmp/x'",
            "-o ProxyCommand='ssh -o ProxyCommand=x -W %h:%p root@h'",
            "-o ProxyCommand='ssh -W %h:%p root@$(touch /tmp/x)'",
            "-o ProxyCommand='ssh -F /tmp/x -W %h:%p root@h'",
            "-o 'proxycommand touch /tmp/x'",
            "-oLocalCommand=touch -oPermitLocalCommand=yes",
            "-o PKCS11Provider=/tmp/x.so",
            "-F %%workspace_dir%%/other",
            "-o UserKnownHostsFile=/root/.ssh/authorized_keys",
            "-o UserKnownHostsFile=%%workspace_dir%%/../../x",
            "-o 'KnownHostsCommand=touch /tmp/x'",
            "-o 'HostKeyAlias=x\ny'",
            "-S /tmp/socket",
            "-E/root/.bashrc",
            "host",
            "'",
        ] {
            let (text, left_out) = taken(text);
            assert_eq!(text, "");
            assert!(!left_out.is_empty());
        }
    }
}
