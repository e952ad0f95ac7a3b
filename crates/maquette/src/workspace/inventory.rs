//! Reading inventories: those that Maquette writes, and those of the user's own in Ansible's INI
//! form.

use std::collections::BTreeMap;
use std::path::Path;

/// A host with its variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Inventory name.
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

/// An inventory.
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
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
