//! Reading inventories: those that Maquette writes, and those of the user's own in Ansible's INI
//! form.

use std::collections::BTreeMap;
use std::path::Path;

use maquette_core::values::is_unprintable;

/// A host with its variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Its name in the inventory.
    pub name: String,
    /// Variables, in text.
    pub vars: BTreeMap<String, String>,
    /// Groups that name it, sorted.
    pub groups: Vec<String>,
}

impl Host {
    /// A variable's value.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str)
    }

    /// Whether Ansible runs on this machine for it.
    pub fn is_local(&self) -> bool {
        self.var("ansible_connection") == Some("local")
    }
}

/// What a line says that begins a section, as Ansible's `ini` plug-in reads it: what is in brackets, and the comment behind
/// them. A line that goes on otherwise is a host's: `[1:3] ansible_host=…` are three.
pub fn section(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.trim().strip_prefix('[')?.split_once(']')?;
    let rest = rest.trim();
    (rest.is_empty() || rest.starts_with('#')).then_some((name, rest))
}

/// The form of an inventory that is not INI, by how it begins: Ansible goes by the file's name and text, too.
pub fn other_form(text: &str) -> Option<&'static str> {
    if text.starts_with("#!") {
        return Some("a program");
    }
    let lines = text.lines().map(str::trim);
    let first = lines.into_iter().find(|line| !line.is_empty() && !line.starts_with(['#', ';']))?;
    match first {
        _ if first.starts_with('{') => Some("JSON"),
        // A host has no colon at its end.
        _ if first.starts_with("---") || first.ends_with(':') => Some("YAML"),
        _ => None,
    }
}

/// The hosts of an inventory with their variables and groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Hosts, in order of appearance.
    pub hosts: Vec<Host>,
}

impl Inventory {
    /// Reads a file.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Self::parse(&crate::reading::text(path)?))
    }

    /// Reads the INI form; sections of variables and of child groups are passed over.
    pub fn parse(text: &str) -> Self {
        let mut inventory = Self::default();
        let mut group = Some("ungrouped".to_string());
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some((name, _)) = section(line) {
                group = (!name.contains(':')).then(|| name.to_string());
                continue;
            }
            let Some(group) = &group else { continue };
            let Some(words) = shlex::split(line) else { continue };
            let Some((name, vars)) = words.split_first() else { continue };
            let host = inventory.host(name);
            host.vars.extend(
                vars.iter()
                    .filter_map(|v| v.split_once('='))
                    .map(|(key, value)| (key.to_string(), value.to_string())),
            );
            if !host.groups.contains(group) {
                host.groups.push(group.clone());
                host.groups.sort();
            }
        }
        inventory
    }

    /// The first line that no inventory has, by its number, and what is wrong with it.
    pub fn mistake(text: &str) -> Option<(usize, &'static str)> {
        let mut of_hosts = true;
        text.lines().zip(1..).find_map(|(line, number)| {
            let is_tab = |c: char| c == '\t';
            if line.chars().any(|c| is_unprintable(c) && !is_tab(c)) {
                return Some((number, "has a character that is not text"));
            }
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                return None;
            }
            match line.starts_with('[') {
                true => match section(line) {
                    None => Some((number, "begins a section and does not end it")),
                    Some((name, _)) => {
                        // What is behind `=` in a section of variables is the value as it stands.
                        of_hosts = !name.contains(':');
                        None
                    }
                },
                false if of_hosts && shlex::split(line).is_none() => {
                    Some((number, "opens a quote and does not close it"))
                }
                _ => None,
            }
        })
    }

    fn host(&mut self, name: &str) -> &mut Host {
        let at = self.hosts.iter().position(|h| h.name == name).unwrap_or(self.hosts.len());
        if at == self.hosts.len() {
            self.hosts.push(Host { name: name.into(), ..Host::default() });
        }
        &mut self.hosts[at]
    }

    /// A host by name.
    pub fn find(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|h| h.name == name)
    }

    /// Groups with their hosts, sorted.
    pub fn groups(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for host in &self.hosts {
            for group in host.groups.iter().filter(|g| *g != "ungrouped") {
                all.entry(group).or_default().push(&host.name);
            }
        }
        all
    }
}

/// A value as the reader of inventories takes words apart.
pub fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:[]@+,%".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.into();
    }
    if !value.contains('\'') {
        return format!("'{value}'");
    }
    // Within double quotes a backslash stands before what ends or escapes.
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `virsh --inventory` took whatever bytes there are.
    #[test]
    fn the_first_line_that_no_inventory_has_is_told() {
        for (text, wrong) in [
            ("a ansible_host=1\n[web]\na\n\n# it's mine\n; so's this\n", None),
            ("[web\na\n", Some(1)),
            ("[web]\na x='1\n", Some(2)),
            ("[web:vars]\nnote=it's mine\n[web]\na\n", None),
            ("[web:vars]\nnote=it's mine\n[web]\na x='1\n", Some(4)),
            ("a\nb\u{1b}[2J\n", Some(2)),
            ("a\tx=1\n\0", Some(2)),
        ] {
            assert_eq!(Inventory::mistake(text).map(|(line, _)| line), wrong, "{text:?}");
        }
    }

    /// `virsh --inventory` took YAML for a list of hosts called `all:` and `hosts:`, and wrote its own behind that.
    #[test]
    fn what_is_not_in_the_form_of_ini_is_told_by_its_text() {
        for (text, form) in [
            ("---\nall:\n  hosts:\n    mon0:\n", Some("YAML")),
            ("# ours\nall:\n  children: {}\n", Some("YAML")),
            ("ceph:\n  hosts:\n    mon0: {ansible_host: 10.0.0.7}\n", Some("YAML")),
            ("\n{\"all\": {\"hosts\": {}}}\n", Some("JSON")),
            ("#!/bin/sh\necho '{}'\n", Some("a program")),
            ("mon0 ansible_host=10.0.0.7\n[ceph]\nmon0\n", None),
            ("[1:3] ansible_host=10.0.0.7\n", None),
            ("mon0:2222\n", None),
            ("# nothing\n", None),
        ] {
            assert_eq!(other_form(text), form, "{text:?}");
        }
    }

    #[test]
    fn a_section_may_have_a_comment_behind_it() {
        let of = |line| section(line).map(|(name, _)| name);
        for line in ["[web]", " [web] ", "[web] # the first ones", "[web]# ours"] {
            assert_eq!(of(line), Some("web"), "{line}");
        }
        assert_eq!(section("[all:vars] # ours"), Some(("all:vars", "# ours")));
        for line in ["web", "[1:3] ansible_host=10.0.0.1", "[web", "[web] db", "[web] ; no"] {
            assert_eq!(of(line), None, "{line}");
        }
        let read = Inventory::parse("[web] # ours\na-0\n");
        assert_eq!(read.find("a-0").unwrap().groups, ["web"]);
    }

    #[test]
    fn hosts_variables_and_groups_are_read() {
        let text = "\nlocalhost ansible_connection=local\n\
                    a-0  ansible_host=10.0.0.1 ansible_ssh_common_args=' -o A=\"b c\" -o D=e'\n\n\
                    # no\n[local]\nlocalhost\n\n[two]\na-0\n[one]\na-0\n[all:vars]\nx=y\n";
        let read = Inventory::parse(text);
        let host = read.find("a-0").unwrap();
        assert_eq!(host.var("ansible_ssh_common_args"), Some(" -o A=\"b c\" -o D=e"));
        assert_eq!(host.groups, ["one", "two", "ungrouped"]);
        assert!(read.find("localhost").unwrap().is_local());
        assert_eq!(read.groups().keys().copied().collect::<Vec<_>>(), ["local", "one", "two"]);
        assert_eq!(read.hosts.len(), 2);
    }
}
