//! An inventory that a stranger may have written, rewritten from what is taken of it.
//!
//! Ansible evaluates templates in it, runs what its connection variables name, and runs tasks on this
//! machine for hosts with a local connection. So: only `localhost` and `hypervisor` may be this machine,
//! and they are in no other groups than `local` and `hypervisor`; of Ansible's own variables only
//! those are taken that InfraRed and Maquette write; nothing is a template. What a host is called and where
//! it is are judged as Ansible reads them, and not as they are spelt. `localhost` is this machine and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv6Addr;

use super::{arguments, words};
use crate::workspace::inventory::{quoted, section};

/// What is taken of a host, besides its line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Its name in the inventory.
    pub name: String,
    /// Variables that are taken, in order.
    pub vars: Vec<(String, String)>,
}

impl Host {
    /// A variable's value.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Hosts that may be this machine.
const OWN: [&str; 2] = ["localhost", "hypervisor"];
/// Groups that they may be in.
const OWN_GROUPS: [&str; 3] = ["local", "hypervisor", "ungrouped"];
/// The one of them that is always this machine.
const LOCAL: &str = "localhost";
/// The one template that is taken: Maquette writes it for this machine.
const OWN_PYTHON: &str = "{{ ansible_playbook_python }}";

/// Reads the INI form and rewrites it; what is left out is added to `left_out`.
pub fn rewrite(text: &str, left_out: &mut Vec<String>) -> (String, Vec<Host>) {
    // Which of them are this machine may be said further down than where they are put into a group.
    let mut ignored = Vec::new();
    let first = Reading::of(text, (BTreeSet::new(), true), &mut ignored);
    let known = (first.local, first.says_local);
    let reading = Reading::of(text, known, left_out);
    (reading.out, reading.hosts)
}

enum Section {
    Hosts(Option<String>),
    Vars,
    Children,
    Other,
}

struct Reading<'a> {
    section: Section,
    out: String,
    hosts: Vec<Host>,
    /// Hosts that are this machine, which is known from a reading before.
    own: BTreeSet<String>,
    /// Hosts that this reading has found to be this machine.
    local: BTreeSet<String>,
    /// Whether somewhere a line says of `localhost` that it is this machine, which is known from a reading before; Ansible takes
    /// it for an SSH server otherwise, wherever variables of groups have that.
    is_said: bool,
    /// The same as this reading has found it.
    says_local: bool,
    left_out: &'a mut Vec<String>,
}

impl<'a> Reading<'a> {
    fn of(
        text: &str,
        (own, is_said): (BTreeSet<String>, bool),
        left_out: &'a mut Vec<String>,
    ) -> Self {
        let mut reading = Self {
            section: Section::Hosts(None),
            out: String::new(),
            hosts: Vec::new(),
            own,
            local: BTreeSet::from([LOCAL.to_string()]),
            is_said,
            says_local: false,
            left_out,
        };
        for line in text.lines() {
            reading.line(line);
        }
        reading
    }

    fn line(&mut self, line: &str) {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            self.out.push('\n');
            return;
        }
        if trimmed.starts_with(['#', ';']) {
            return;
        }
        if trimmed.starts_with('[') {
            return self.head(trimmed);
        }
        match &self.section {
            Section::Hosts(group) => {
                let group = group.clone();
                self.host(line, group.as_deref());
            }
            Section::Vars => match of_section(trimmed, self.left_out) {
                Some(line) => {
                    let _ = writeln!(self.out, "{line}");
                }
                None => self.leave(trimmed),
            },
            Section::Children if words::is_word(trimmed) && !is_own_group(trimmed) => {
                let _ = writeln!(self.out, "{trimmed}");
            }
            Section::Children | Section::Other => self.leave(trimmed),
        }
    }

    fn head(&mut self, line: &str) {
        let head = section(line).map_or("", |(head, _)| head);
        let (name, kind) = head.split_once(':').map_or((head, None), |(n, kind)| (n, Some(kind)));
        self.section = match kind {
            _ if !words::is_word(name) => Section::Other,
            None => Section::Hosts(Some(name.into())),
            Some("vars") => Section::Vars,
            Some("children") => Section::Children,
            Some(_) => Section::Other,
        };
        match self.section {
            Section::Other => self.leave(line),
            _ => {
                let _ = writeln!(self.out, "[{head}]");
            }
        }
    }

    fn host(&mut self, line: &str, group: Option<&str>) {
        let line = line.trim();
        let Some((name, vars)) = shlex::split(line).and_then(|words| {
            let (name, vars) = words.split_first()?;
            is_name(name).then(|| (name.clone(), vars.to_vec()))
        }) else {
            return self.leave(line);
        };
        let mut host = Host { name, vars: Vec::new() };
        for word in vars {
            match variable(&host.name, &word, self.left_out) {
                Some(var) => host.vars.push(var),
                None => self.leave(&format!("{} {word}", host.name)),
            }
        }
        // Ansible takes the last of several.
        let says_local =
            |(name, value): &(String, String)| name == "ansible_connection" && value == "local";
        let local = host.vars.iter().any(says_local);
        // The hypervisor of a lab on one machine may be reached over SSH.
        let here = |(name, value): &(String, String)| is_address(name) && words::is_here(value);
        if (local || host.vars.iter().any(here)) && OWN.contains(&host.name.as_str()) {
            self.local.insert(host.name.clone());
        }
        if host.name == LOCAL {
            // In another group the line is not taken.
            self.says_local |= local && group.is_none_or(is_own_group);
            if !self.is_said {
                host.vars.push(("ansible_connection".into(), "local".into()));
            }
        }
        if local && !OWN.contains(&host.name.as_str()) {
            // It would be this machine to every playbook. It was one to nobody but the exporter.
            self.leave(&format!("{} ansible_connection=local", host.name));
            host.vars = [("ansible_host", "NA"), ("ansible_connection", "ssh")]
                .map(|(name, value)| (name.into(), value.into()))
                .into();
        }
        if self.own.contains(&host.name) && group.is_some_and(|g| !is_own_group(g)) {
            return self.leave(&format!("{} in group {}", host.name, group.unwrap_or_default()));
        }
        self.out.push_str(&host.name);
        // Two blanks, where they are, since readers look for them.
        let blanks = line[host.name.len().min(line.len())..].starts_with("  ");
        self.out.push_str(if blanks && !host.vars.is_empty() { " " } else { "" });
        for (name, value) in &host.vars {
            let _ = write!(self.out, " {name}={}", quoted(value));
        }
        self.out.push('\n');
        if !host.vars.is_empty() {
            self.hosts.push(host);
        }
    }

    fn leave(&mut self, what: &str) {
        self.left_out.push(what.into());
    }
}

fn is_own_group(name: &str) -> bool {
    OWN_GROUPS.contains(&name) || name == "all"
}

/// Whether Ansible takes a word for a host of just that name: a colon in it begins a port, unless the whole is an IPv6
/// address, and a bracket a range or a section. Names of this machine besides `localhost` are nobody's.
fn is_name(word: &str) -> bool {
    words::is_host(word)
        && !word.starts_with('[')
        && (!word.contains(':') || word.parse::<Ipv6Addr>().is_ok())
        && (word == LOCAL || !words::is_here(word))
}

/// Whether a variable says where a host is.
fn is_address(name: &str) -> bool {
    ["ansible_host", "ansible_ssh_host"].contains(&name)
}

/// Whether a value is what it looks like. Ansible reads one that is a literal of Python's as Python does: strings beside each
/// other become one there, and escapes are characters, so that either can be a template that is not one yet.
fn is_plain(value: &str) -> bool {
    !(value.contains('\\') || value.contains('"') && value.contains('{'))
}

/// A line of a section of variables, if it is taken. Ansible reads the value as Python would: in quotes it is a text, whatever
/// is in it.
fn of_section(line: &str, left_out: &mut Vec<String>) -> Option<String> {
    let (name, raw) = line.split_once('=')?;
    let (name, raw) = (name.trim(), raw.trim_matches([' ', '\t']));
    if name == "vbmc_ports" {
        let ports: BTreeMap<String, u16> = serde_json::from_str(raw).ok()?;
        let are_ports = ports.iter().all(|(node, port)| words::is_word(node) && *port > 0);
        let text = are_ports.then(|| serde_json::to_string(&ports).ok()).flatten()?;
        return Some(format!("{name}={text}"));
    }
    let (name, value) = variable("", line, left_out)?;
    let quote = raw.chars().next().filter(|first| ['\'', '"'].contains(first));
    let value = match quote.filter(|_| !value.contains('"')) {
        Some(quote) => format!("{quote}{value}{quote}"),
        None => quoted(&value),
    };
    Some(format!("{name}={value}"))
}

/// `NAME=VALUE`, if it is taken.
fn variable(host: &str, text: &str, left_out: &mut Vec<String>) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim_matches([' ', '\t']));
    let mut value = value.to_string();
    // What belongs to a section is not read by words.
    if host.is_empty() {
        value = shlex::split(&value).filter(|words| words.len() == 1)?.remove(0);
    }
    if !words::is_word(name) || name.contains(['.', '-']) {
        return None;
    }
    if OWN.contains(&host) && name == "ansible_python_interpreter" && value == OWN_PYTHON {
        return Some((name.into(), value));
    }
    if !words::is_text(&value) || value.contains('\'') {
        return None;
    }
    // Ansible's own plug-in does not look at the workspace's host keys.
    if name == "ansible_connection" && value == "paramiko" {
        value = "ssh".into();
    }
    let taken = match name {
        "ansible_connection" if host == LOCAL => value == "local",
        "ansible_python_interpreter" => is_python(&value),
        // Tasks for `localhost` would run somewhere else, or as somebody else.
        _ if host == LOCAL && name.to_ascii_lowercase().starts_with("ansible") => false,
        _ if is_address(name) => {
            words::is_host(&value) && (OWN.contains(&host) || !words::is_here(&value))
        }
        "ansible_user" | "ansible_ssh_user" | "ansible_become_user" => words::is_user(&value),
        "ansible_port" | "ansible_ssh_port" => words::is_port(&value),
        "ansible_connection" if host.is_empty() => value == "ssh",
        "ansible_connection" => ["ssh", "local"].contains(&value.as_str()),
        "ansible_ssh_private_key_file" | "ansible_private_key_file" => words::is_path(&value),
        "ansible_become" => {
            ["yes", "no", "true", "false", "True", "False"].contains(&value.as_str())
        }
        "ansible_become_method" => value == "sudo",
        "ansible_ssh_common_args" | "ansible_ssh_extra_args" => {
            let mut rest = Vec::new();
            value = arguments::read(&value, &mut rest).text();
            left_out.extend(rest.into_iter().map(|r| format!("{host} {name}: {r}")));
            !value.is_empty()
        }
        _ => !name.to_ascii_lowercase().starts_with("ansible") && is_plain(&value),
    };
    taken.then(|| (name.into(), value))
}

/// A Python of the system, or Ansible's choice of one.
fn is_python(value: &str) -> bool {
    if ["auto", "auto_silent", "auto_legacy", "auto_legacy_silent"].contains(&value) {
        return true;
    }
    let directories = ["/usr/bin/", "/usr/local/bin/", "/usr/libexec/", "/bin/"];
    let program = directories.iter().find_map(|d| value.strip_prefix(d)).unwrap_or(value);
    let version = program.strip_prefix("platform-").unwrap_or(program).strip_prefix("python");
    version.is_some_and(|v| v.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> (String, Vec<String>) {
        let mut left_out = Vec::new();
        let (text, _) = rewrite(text, &mut left_out);
        (text, left_out)
    }

    #[test]
    fn what_infrared_and_maquette_write_survives_letter_by_letter() {
        let text = "\nlocalhost  ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'\n\
            hypervisor  ansible_host=hv.example.com ansible_user=root ansible_ssh_private_key_file=/root/.ssh/id_rsa ansible_python_interpreter='/usr/libexec/platform-python'\n\
            node-0  ansible_host=192.0.2.7 ansible_connection=ssh ansible_user=stack ansible_ssh_private_key_file=%%workspace_dir%%/id_rsa \
            ansible_ssh_common_args=' -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=\"/dev/null\" -o ProxyCommand=\"ssh -o StrictHostKeyChecking=no -i /root/.ssh/id_rsa -W %h:%p root@hv.example.com\"'\n\
            old-1 original_name=node-1  ansible_host=NA\n\
            \n[local]\nlocalhost\n\n[hypervisor]\nhypervisor\n\n[undercloud]\nnode-0\n\
            \n[all:vars]\nvbmc_management_address=\"10.9.0.1\"\nvbmc_ports={\"blank-0\":6230,\"blank-1\":6231}\nport=\"6230\"\n";
        let text = text.replace("'/usr/libexec/platform-python'", "/usr/libexec/platform-python");
        let text = text.replace("node-1  ansible", "node-1 ansible");
        assert_eq!(taken(&text), (text.clone(), Vec::new()));
    }

    #[test]
    fn nothing_of_a_stranger_runs_here() {
        for line in [
            "a ansible_connection=local",
            "a ansible_python_interpreter=/tmp/x",
            "localhost ansible_python_interpreter='sh /tmp/x'",
            "a ansible_host='{{ lookup(\"pipe\", \"touch /tmp/x\") }}'",
            "a x='{% raw %}'",
            "a ansible_ssh_executable=/tmp/x",
            "a ansible_ssh_common_args='-o ProxyCommand=\"touch /tmp/x\"'",
            "a ansible_user='root -o ProxyCommand=x'",
            "a ansible_ssh_private_key_file=../../x",
            "$(x) y=z",
            "[tester]\nlocalhost",
            "[a:vars]\nansible_connection=local",
            "[a:vars]\nx='{{ y }}'",
            "[a:children]\nlocal",
            "[x y]\nz",
            "hypervisor ansible_connection=local\n[tester]\nhypervisor",
            "[tester]\nhypervisor\n[hypervisor]\nhypervisor ansible_connection=local",
            "hypervisor 'ansible_connection= local'\n[tester]\nhypervisor",
            "hypervisor ansible_connection=ssh ansible_connection=local\n[tester]\nhypervisor",
            "[tester]\nlocalhost:22",
            "[tester]\nhypervisor:22\n[hypervisor]\nhypervisor ansible_connection=local",
            "[tester]\n[localhost]:22",
            "[tester]\n127.0.0.1\n",
            "[tester]\n::1",
            "[tester:]\nlocalhost",
            "a ansible_connection=ssh ansible_connection=local",
            "a ansible_connection=local ansible_connection=ssh",
            "a ansible_host=127.0.0.1",
            "a ansible_ssh_host=127.1",
            "a ansible_host=127.8.9.1 ansible_user=root",
            "a ansible_host=0",
            "a ansible_host=0x7f000001",
            "a ansible_host=017700000001",
            "a ansible_host=2130706433",
            "a ansible_host=[::1]",
            "a ansible_host=::",
            "a ansible_host=::ffff:127.0.0.1",
            "a ansible_host=LocalHost.",
            "a ansible_host=localhost.localdomain",
            "a ansible_host=x.localhost",
            "a ansible_host=ip6-loopback",
            "[a:vars]\nansible_host=127.0.0.1",
            "[a:vars]\nansible_ssh_host='localhost'",
            "[a]\nlocalhost.localdomain",
            "[a]\n127.1",
            "[tester]\nhypervisor\n[hypervisor]\nhypervisor ansible_host=127.0.1.1",
            "[a:vars]\nvbmc_ports={\"a\": \"$(x)\"}",
            r#"a x='"\x7b\x7b y }}"'"#,
            r#"a x='"{" "{ y }" "}"'"#,
            r"a x='[\x7b\x7b y }}]'",
            r"[a:vars]
x='\x7b\x7b y }}'",
        ] {
            let (text, left_out) = taken(line);
            assert!(!left_out.is_empty(), "{line}");
            for bad in ["/tmp/x", "{{", "{%", "$(", "..", "ProxyCommand", r"\x7b", ":22", "x='"] {
                assert!(!text.contains(bad), "{line}: {text}");
            }
            let here = [
                "=0",
                "::",
                "2130706433",
                "017700000001",
                "=127",
                "=[",
                "loopback",
                "=LocalHost",
                ".localhost",
            ];
            let here = here.iter().find(|here| text.contains(*here));
            assert!(here.is_none() || line.contains("hypervisor "), "{line}: {text}");
            let own = line.contains("hypervisor ") || line.starts_with("localhost ");
            assert!(own || !text.contains("=local"), "{line}: {text}");
            assert!(!text.contains("[tester]\nlocalhost\n"));
            assert!(!text.contains("[tester]\nhypervisor\n"));
            assert!(!text.contains("127.0.0.1") && !text.contains("::1"), "{line}: {text}");
        }
    }

    /// Tasks for `localhost` went to a stranger's machine, with the operator's variables and files.
    #[test]
    fn localhost_is_this_machine_whatever_an_inventory_says() {
        let local = "localhost ansible_connection=local";
        for (text, written, left) in [
            (
                "localhost ansible_host=192.0.2.9 ansible_connection=ssh ansible_user=root",
                format!("{local}\n"),
                3,
            ),
            ("[local]\nlocalhost", format!("[local]\n{local}\n"), 0),
            (
                "[web]\nlocalhost ansible_connection=local\n[local]\nlocalhost",
                format!("[web]\n[local]\n{local}\n"),
                1,
            ),
            (
                "[all:vars]\nansible_host=192.0.2.9\n[local]\nlocalhost x=1",
                "[all:vars]\nansible_host=192.0.2.9\n[local]\nlocalhost x=1 ansible_connection=local\n"
                    .to_string(),
                0,
            ),
            (
                "localhost ansible_connection=local ansible_become=yes\n[local]\nlocalhost",
                format!("{local}\n[local]\nlocalhost\n"),
                1,
            ),
        ] {
            let (rewritten, left_out) = taken(text);
            assert_eq!((rewritten.as_str(), left_out.len()), (written.as_str(), left), "{text}");
            assert_eq!(taken(&rewritten), (written, Vec::new()));
        }
    }

    #[test]
    fn hosts_are_reached_by_ssh_where_another_plug_in_would_ask_for_no_known_key() {
        let line = "a ansible_host=192.0.2.1 ansible_connection=paramiko";
        assert_eq!(taken(line), (format!("{}\n", line.replace("paramiko", "ssh")), Vec::new()));
    }

    #[test]
    fn what_looks_like_it_and_is_not_is_taken() {
        for line in [
            "fd00::1 ansible_host=fd00::1",
            "a x=[1,2]",
            "a x='[\"b\", \"c\"]'",
            "a x='{1: 2}'",
            "[hypervisor]\nhypervisor ansible_connection=local",
            "[hypervisor]\nhypervisor ansible_host=localhost ansible_user=root",
            "a ansible_host=128.0.0.1",
            "[tester]\nhypervisor ansible_connection=ssh",
        ] {
            assert_eq!(taken(line), (format!("{line}\n"), Vec::new()));
        }
    }
}
