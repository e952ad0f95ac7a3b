//! What others have made of an inventory survives its being written anew: InfraRed's plug-ins add hosts, groups and
//! variables, and change users. Three texts are compared: what Maquette wrote last (`base`), what became of it
//! (`theirs`), and what Maquette would write now (`ours`).

use std::collections::BTreeSet;
use std::fmt::Write;

/// A variable by which other plug-ins remember how Maquette calls a host.
const ORIGINAL_NAME: &str = "original_name";

/// An inventory in Ansible's INI form, as far as it is taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Text {
    hosts: Vec<Host>,
    groups: Vec<(String, Vec<String>)>,
    /// Sections of variables and of child groups, as they are written.
    rest: String,
}

/// A host with its variables, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    name: String,
    vars: Vec<(String, String)>,
}

impl Host {
    fn var(&self, name: &str) -> Option<&str> {
        self.vars.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: &str) {
        match self.vars.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value.into(),
            None => self.vars.push((name.into(), value.into())),
        }
    }

    /// Whether it is what Maquette calls `name`.
    fn is(&self, name: &str) -> bool {
        self.name == name || self.var(ORIGINAL_NAME) == Some(name)
    }
}

impl Text {
    fn read(text: &str) -> Self {
        let mut read = Self::default();
        let mut section: Option<String> = None;
        let mut is_rest = false;
        for line in text.lines() {
            let words = line.trim();
            let comment = words.is_empty() || words.starts_with(['#', ';']);
            if let Some(name) = words.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                is_rest = name.contains(':');
                if is_rest {
                    let _ = write!(read.rest, "\n{line}\n");
                } else {
                    read.group(name);
                    section = Some(name.into());
                }
                continue;
            }
            if is_rest {
                if !words.is_empty() {
                    let _ = writeln!(read.rest, "{line}");
                }
                continue;
            }
            let Some(words) = shlex::split(words).filter(|_| !comment) else { continue };
            let Some((name, vars)) = words.split_first() else { continue };
            let host = read.host(name);
            for (name, value) in vars.iter().filter_map(|v| v.split_once('=')) {
                host.set(name, value);
            }
            if let Some(section) = &section {
                let members = read.group(section);
                if !members.contains(name) {
                    members.push(name.clone());
                }
            }
        }
        read
    }

    fn host(&mut self, name: &str) -> &mut Host {
        let at = self.hosts.iter().position(|h| h.name == name).unwrap_or(self.hosts.len());
        if at == self.hosts.len() {
            self.hosts.push(Host { name: name.into(), vars: Vec::new() });
        }
        &mut self.hosts[at]
    }

    fn group(&mut self, name: &str) -> &mut Vec<String> {
        let at = self.groups.iter().position(|g| g.0 == name).unwrap_or(self.groups.len());
        if at == self.groups.len() {
            self.groups.push((name.into(), Vec::new()));
        }
        &mut self.groups[at].1
    }

    fn find(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|h| h.name == name)
    }

    fn has_member(&self, group: &str, host: &str) -> bool {
        self.groups.iter().any(|(name, members)| name == group && members.iter().any(|m| m == host))
    }

    fn write(&self) -> String {
        let mut out = String::from("\n");
        for host in &self.hosts {
            // InfraRed's readers look for two blanks, or for the original name.
            let _ = write!(out, "{}", host.name);
            if let Some(name) = host.var(ORIGINAL_NAME) {
                let _ = write!(out, " {ORIGINAL_NAME}={}", quoted(name));
            }
            out.push(' ');
            for (name, value) in host.vars.iter().filter(|(name, _)| name != ORIGINAL_NAME) {
                let _ = write!(out, " {name}={}", quoted(value));
            }
            out.push('\n');
        }
        for (name, members) in &self.groups {
            let _ = write!(out, "\n[{name}]\n");
            members.iter().for_each(|member| {
                let _ = writeln!(out, "{member}");
            });
        }
        out.push_str(&self.rest);
        out
    }
}

/// A value as the reader of inventories takes words apart.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:[]@+,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.into();
    }
    if !value.contains('\'') {
        return format!("'{value}'");
    }
    // Within double quotes a backslash stands before what ends or escapes.
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// An inventory with what is ours as it is now, and all that others have added or changed. Of hosts in `anew` nothing
/// stays that others knew: they were made again.
pub fn merged(base: &str, theirs: &str, ours: &str, anew: &BTreeSet<String>) -> String {
    let (base, ours) = (Text::read(base), Text::read(ours));
    let mut merged = Text::read(theirs);
    let left: Vec<&Host> = base.hosts.iter().filter(|h| ours.find(&h.name).is_none()).collect();
    let gone = |host: &Host| left.iter().any(|known| host.is(&known.name));
    let removed: Vec<String> =
        merged.hosts.iter().filter(|h| gone(h)).map(|h| h.name.clone()).collect();
    merged.hosts.retain(|host| !removed.contains(&host.name));
    let (mut renamed, mut added) = (Vec::new(), BTreeSet::new());
    for host in &ours.hosts {
        let known = merged.hosts.iter_mut().find(|h| h.is(&host.name));
        match known.filter(|_| !anew.contains(&host.name)) {
            Some(known) => update(known, base.find(&host.name), host),
            None => {
                let others = merged.hosts.iter().filter(|h| h.is(&host.name));
                renamed.extend(others.map(|h| h.name.clone()).filter(|name| *name != host.name));
                merged.hosts.retain(|h| !h.is(&host.name));
                merged.hosts.push(host.clone());
                added.insert(host.name.clone());
            }
        }
    }
    for (_, members) in &mut merged.groups {
        members.retain(|member| !removed.contains(member) && !renamed.contains(member));
    }
    for (group, members) in &ours.groups {
        for member in members.iter().filter(|m| !base.has_member(group, m) || added.contains(*m)) {
            let called = merged.hosts.iter().find(|h| h.is(member)).map(|h| h.name.clone());
            let members = merged.group(group);
            if let Some(called) = called.filter(|name| !members.contains(name)) {
                members.push(called);
            }
        }
    }
    // A group of ours that nobody is in any more is not in an inventory of ours, either.
    let is_ours = |name: &str| base.groups.iter().any(|(known, _)| known == name);
    merged.groups.retain(|(name, members)| !members.is_empty() || !is_ours(name));
    merged.write()
}

/// Gives a host the variables that it has now. What others have changed stays, unless what it was for us has changed, too.
fn update(host: &mut Host, base: Option<&Host>, now: &Host) {
    for (name, value) in &now.vars {
        let before = base.and_then(|b| b.var(name));
        if before != Some(value.as_str()) || host.var(name).is_none() {
            host.set(name, value);
        }
    }
    let before = base.map(|b| b.vars.as_slice()).unwrap_or_default();
    let ended = |name: &String| now.var(name).is_none() && before.iter().any(|(n, _)| n == name);
    host.vars.retain(|(name, _)| !ended(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "\nlocalhost  ansible_connection=local\n\
        undercloud-0  ansible_host=10.0.0.2 ansible_user=cloud-user ansible_ssh_common_args=' -o A=\"b c\"'\n\
        compute-0  ansible_host=10.0.0.3 ansible_user=cloud-user\n\
        compute-1  ansible_host=10.0.0.4 ansible_user=cloud-user\n\
        \n[local]\nlocalhost\n\n[undercloud]\nundercloud-0\n\n[overcloud_nodes]\ncompute-0\ncompute-1\n";

    /// What tripleo-undercloud, tripleo-overcloud and a user make of it.
    const THEIRS: &str = "\nlocalhost  ansible_connection=local\n\
        undercloud-0  ansible_host=10.0.0.2 ansible_user=stack ansible_ssh_common_args=' -o A=\"b c\"' note=\"it's\"\n\
        overcloud-novacompute-0 original_name=compute-0  ansible_host=192.168.24.7 ansible_user=heat-admin\n\
        compute-1  ansible_host=10.0.0.4 ansible_user=cloud-user\n\
        ceph-9  ansible_host=10.9.9.9\n\
        \n[local]\nlocalhost\n\n[undercloud]\nundercloud-0\n\n[overcloud_nodes]\novercloud-novacompute-0\ncompute-1\nceph-9\n\
        \n[undercloud_hypervisors]\nundercloud-0\n\n[all:vars]\nx=y\n";

    fn none() -> BTreeSet<String> {
        BTreeSet::new()
    }

    #[test]
    fn what_nobody_has_changed_stays_as_it_was_written() {
        let text = "\na  ansible_host=1.2.3.4 ansible_ssh_common_args=' -o A=\"b c\"'\n\n[g]\na\n";
        assert_eq!(merged(text, text, text, &none()), text);
        assert_eq!(merged("", "", text, &none()), text);
    }

    #[test]
    fn what_others_added_to_the_inventory_survives_every_run() {
        assert_eq!(merged(BASE, THEIRS, BASE, &none()), THEIRS);
        // One node more, one less, and another address.
        let now = BASE
            .replace("compute-1  ansible_host=10.0.0.4", "compute-2  ansible_host=10.0.0.5")
            .replace("compute-1", "compute-2")
            .replace("undercloud-0  ansible_host=10.0.0.2", "undercloud-0  ansible_host=10.0.0.9");
        let wanted = THEIRS
            .replace("compute-1  ansible_host=10.0.0.4 ansible_user=cloud-user\n", "")
            .replace(
                "ceph-9  ansible_host=10.9.9.9\n",
                "ceph-9  ansible_host=10.9.9.9\ncompute-2  ansible_host=10.0.0.5 ansible_user=cloud-user\n",
            )
            .replace("compute-1\nceph-9\n", "ceph-9\ncompute-2\n")
            .replace("undercloud-0  ansible_host=10.0.0.2", "undercloud-0  ansible_host=10.0.0.9");
        assert_eq!(merged(BASE, THEIRS, &now, &none()), wanted);
    }

    #[test]
    fn an_inventory_that_somebody_emptied_is_written_anew() {
        assert_eq!(merged(BASE, "", BASE, &none()), BASE);
    }

    #[test]
    fn of_a_host_that_was_made_again_nothing_stays_that_others_knew() {
        let anew: BTreeSet<String> = ["undercloud-0", "compute-0"].map(String::from).into();
        let text = merged(BASE, THEIRS, BASE, &anew);
        assert!(text.contains("ansible_host=10.0.0.2 ansible_user=cloud-user"), "{text}");
        assert!(text.contains("\ncompute-0  ansible_host=10.0.0.3"), "{text}");
        assert!(!text.contains("heat-admin") && !text.contains("stack"), "{text}");
    }
}
