//! What others have made of an inventory survives its being rewritten: InfraRed's plug-ins add hosts, groups and
//! variables, and change users. Three texts are compared: what Maquette wrote last (`base`), what became of it
//! (`theirs`), and what Maquette would write now (`ours`).

mod shared;

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::workspace::inventory::{quoted, section};

/// A variable by which other plug-ins remember how Maquette calls a host.
const ORIGINAL_NAME: &str = "original_name";
/// The variable that names the workspace's own known_hosts.
const SSH_ARGUMENTS: &str = "ansible_ssh_common_args";
/// What other plug-ins set of a host that Maquette wrote.
const USER: &str = "ansible_user";

/// An inventory in Ansible's INI form, as far as it is taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Text {
    hosts: Vec<Host>,
    groups: Vec<Group>,
    /// Sections of variables and of child groups, as they are written.
    rest: String,
}

/// A host with its variables, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Host {
    name: String,
    vars: Vec<(String, String)>,
    /// Lines of it that cannot be taken apart, as they are.
    unread: Vec<String>,
    /// Comments above it.
    comments: String,
}

/// A group with the names of its hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Group {
    name: String,
    members: Vec<String>,
    /// Lines of hosts in it whose very name cannot be taken apart, as they are.
    unread: Vec<String>,
    /// Comments above it and in it.
    comments: String,
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

    /// Whether it is what Maquette calls `name`. One that is called as one of `ours` is that one, whatever it says it was.
    fn is(&self, name: &str, ours: &Text) -> bool {
        let was = || self.var(ORIGINAL_NAME) == Some(name) && ours.find(&self.name).is_none();
        self.name == name || was()
    }
}

impl Text {
    fn read(text: &str) -> Self {
        let mut read = Self::default();
        let mut section_of: Option<String> = None;
        let mut is_rest = false;
        let mut comments = String::new();
        for line in text.lines() {
            let words = line.trim();
            if words.is_empty() {
                continue;
            }
            if let Some((name, behind)) = section(line) {
                is_rest = name.contains(':');
                let mut comments = std::mem::take(&mut comments);
                if is_rest {
                    let _ = write!(read.rest, "\n{comments}{line}\n");
                } else {
                    if !behind.is_empty() {
                        let _ = writeln!(comments, "{behind}");
                    }
                    read.group(name).comments.push_str(&comments);
                    section_of = Some(name.into());
                }
            } else if words.starts_with(['#', ';']) {
                let _ = writeln!(comments, "{line}");
            } else if is_rest {
                let _ = writeln!(read.rest, "{}{line}", std::mem::take(&mut comments));
            } else {
                read.member(line, section_of.as_deref(), &std::mem::take(&mut comments));
            }
        }
        read.rest.push_str(&comments);
        read
    }

    /// Reads a line of a host.
    fn member(&mut self, line: &str, section: Option<&str>, comments: &str) {
        let Some(first) = line.split_whitespace().next() else { return };
        let words = shlex::split(line).filter(|words| !words.is_empty());
        let is_whole = |word: &String| word.contains('=');
        let words = words.filter(|words| words.iter().skip(1).all(is_whole));
        let words = words.filter(|words| words.first().is_some_and(|name| name == first));
        let words = words.filter(|words| words.iter().all(|word| is_read_again(word)));
        if let (None, Some(section), false) = (&words, section, is_read_again(first)) {
            let group = self.group(section);
            group.comments.push_str(comments);
            return add_once(&mut group.unread, line);
        }
        let name = words.as_ref().and_then(|words| words.first()).map_or(first, String::as_str);
        let host = self.host(name);
        match &words {
            Some(words) => {
                for (name, value) in words.iter().skip(1).filter_map(|v| v.split_once('=')) {
                    host.set(name, value);
                }
            }
            None => add_once(&mut host.unread, line),
        }
        let Some(section) = section else { return host.comments.push_str(comments) };
        let group = self.group(section);
        group.comments.push_str(comments);
        if !group.members.iter().any(|member| member == name) {
            group.members.push(name.into());
        }
    }

    fn host(&mut self, name: &str) -> &mut Host {
        let at = self.hosts.iter().position(|h| h.name == name).unwrap_or(self.hosts.len());
        if at == self.hosts.len() {
            self.hosts.push(Host { name: name.into(), ..Host::default() });
        }
        &mut self.hosts[at]
    }

    fn group(&mut self, name: &str) -> &mut Group {
        let at = self.groups.iter().position(|g| g.name == name).unwrap_or(self.groups.len());
        if at == self.groups.len() {
            self.groups.push(Group { name: name.into(), ..Group::default() });
        }
        &mut self.groups[at]
    }

    fn find(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|h| h.name == name)
    }

    /// Which host stands for one of ours: the one of its name, before one that says it was called so.
    fn stands_for(&self, name: &str, ours: &Self) -> Option<usize> {
        let named = self.hosts.iter().position(|h| h.name == name);
        named.or_else(|| self.hosts.iter().position(|h| h.is(name, ours)))
    }

    fn has_member(&self, group: &str, host: &str) -> bool {
        self.groups.iter().any(|g| g.name == group && g.members.iter().any(|m| m == host))
    }

    fn write(&self) -> String {
        let mut out = String::from("\n");
        for host in &self.hosts {
            out.push_str(&host.comments);
            for line in &host.unread {
                let _ = writeln!(out, "{line}");
            }
            if host.vars.is_empty() && !host.unread.is_empty() {
                continue;
            }
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
        for Group { name, members, unread, comments } in &self.groups {
            let _ = write!(out, "\n{comments}[{name}]\n");
            for member in members {
                // `[1:3]` alone would begin a section; with a variable it is three hosts.
                let vars = self.find(member).map_or(&[][..], |host| &host.vars);
                match (section(member), vars.first()) {
                    (None, _) => writeln!(out, "{member}"),
                    (Some(_), Some((name, value))) => {
                        writeln!(out, "{member} {name}={}", quoted(value))
                    }
                    (Some(_), None) => Ok(()),
                }
                .unwrap_or_default();
            }
            unread.iter().for_each(|line| out.extend([line, "\n"]));
        }
        out.push_str(&self.rest);
        out
    }
}

fn add_once(lines: &mut Vec<String>, line: &str) {
    if !lines.iter().any(|known| known == line) {
        lines.push(line.into());
    }
}

/// Whether a name, or a variable with its value, is read again as it is written here: one in quotes, or with any in its
/// variable's name, is not.
fn is_read_again(word: &str) -> bool {
    let written = match word.split_once('=') {
        Some((name, value)) => format!("{name}={}", quoted(value)),
        None => word.to_string(),
    };
    shlex::split(&written).is_some_and(|read| read == [word])
}

/// An inventory with what is ours as it is now, and all that others have added or changed. Of hosts in `anew` nothing
/// stays that others knew: they were made again.
pub fn merged(base: &str, theirs: &str, ours: &str, anew: &BTreeSet<String>) -> String {
    merge(&Text::read(base), Text::read(theirs), &Text::read(ours), anew)
}

/// The same where nobody has noted what was written last: in a workspace of InfraRed's own, or of an earlier release. What
/// Maquette wrote is known by `mark`, the path of the workspace's known_hosts; all else was added by others.
pub fn merged_first(theirs: &str, ours: &str, anew: &BTreeSet<String>, mark: &str) -> String {
    let (theirs, ours) = (Text::read(theirs), Text::read(ours));
    let mut base = Text::default();
    for host in &theirs.hosts {
        let is_marked = host.var(SSH_ARGUMENTS).is_some_and(|args| args.contains(mark));
        match ours.hosts.iter().find(|now| host.is(&now.name, &ours)) {
            None if is_marked => base.hosts.push(host.clone()),
            None => {}
            Some(now) if host.name != now.name => base.hosts.push(now.clone()),
            Some(now) => {
                let user = now.var(USER).map(|user| (USER.to_string(), user.to_string()));
                let vars = user.into_iter().collect();
                base.hosts.push(Host { name: now.name.clone(), vars, ..Host::default() });
            }
        }
    }
    merge(&base, theirs, &ours, anew)
}

fn merge(base: &Text, theirs: Text, ours: &Text, anew: &BTreeSet<String>) -> String {
    let mut merged = theirs;
    let left: Vec<&Host> = base.hosts.iter().filter(|h| ours.find(&h.name).is_none()).collect();
    let gone = |host: &Host| left.iter().any(|known| host.is(&known.name, ours));
    let removed: Vec<String> =
        merged.hosts.iter().filter(|h| gone(h)).map(|h| h.name.clone()).collect();
    merged.hosts.retain(|host| !removed.contains(&host.name));
    let (mut renamed, mut added) = (Vec::new(), BTreeSet::new());
    for host in &ours.hosts {
        let known = merged.stands_for(&host.name, ours).and_then(|at| merged.hosts.get_mut(at));
        let is_kept = |known: &&mut Host| known.unread.is_empty() && !anew.contains(&host.name);
        match known.filter(is_kept) {
            Some(known) => update(known, base.find(&host.name), host),
            None => {
                let others = merged.hosts.iter().filter(|h| h.is(&host.name, ours));
                renamed.extend(others.map(|h| h.name.clone()).filter(|name| *name != host.name));
                merged.hosts.retain(|h| !h.is(&host.name, ours));
                merged.hosts.push(host.clone());
                added.insert(host.name.clone());
            }
        }
    }
    for Group { members, .. } in &mut merged.groups {
        members.retain(|member| !removed.contains(member) && !renamed.contains(member));
    }
    for Group { name: group, members, .. } in &ours.groups {
        for member in members.iter().filter(|m| !base.has_member(group, m) || added.contains(*m)) {
            let called = merged.stands_for(member, ours).and_then(|at| merged.hosts.get(at));
            let called = called.map(|host| host.name.clone());
            let members = &mut merged.group(group).members;
            if let Some(called) = called.filter(|name| !members.contains(name)) {
                members.push(called);
            }
        }
    }
    merged.rest = shared::merged(&base.rest, &merged.rest, &ours.rest);
    // A group of ours that nobody is in any more is not in an inventory of ours, either.
    let is_ours = |name: &str| base.groups.iter().any(|known| known.name == name);
    let is_empty = |group: &Group| group.members.is_empty() && group.unread.is_empty();
    merged.groups.retain(|group| !is_empty(group) || !is_ours(&group.name));
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

    /// InfraRed and the first release noted nothing: all that others had added was gone after the first run.
    #[test]
    fn without_a_note_of_what_was_written_only_what_names_this_workspace_is_removed() {
        let marked = "ansible_ssh_common_args=' -o UserKnownHostsFile=\"/w/known_hosts\"'";
        let theirs = format!(
            "\nundercloud-0  ansible_host=10.0.0.2 ansible_user=stack {marked}\n\
             old-0  ansible_host=10.0.0.3 {marked}\nceph-9  ansible_host=10.9.9.9\n\
             \n[undercloud]\nundercloud-0\nold-0\n\n[ceph]\nceph-9\n"
        );
        let ours = format!(
            "\nundercloud-0  ansible_host=10.0.0.7 ansible_user=cloud-user {marked}\n\
             \n[undercloud]\nundercloud-0\n"
        );
        let wanted = format!(
            "\nundercloud-0  ansible_host=10.0.0.7 ansible_user=stack {marked}\n\
             ceph-9  ansible_host=10.9.9.9\n\n[undercloud]\nundercloud-0\n\n[ceph]\nceph-9\n"
        );
        assert_eq!(merged_first(&theirs, &ours, &none(), "/w/known_hosts"), wanted);
        // One that InfraRed had built was built again.
        let anew = ["undercloud-0".to_string()].into();
        let text = merged_first(&theirs, &ours, &anew, "/w/known_hosts");
        assert!(text.contains("ansible_user=cloud-user") && text.contains("ceph-9  ans"), "{text}");
    }

    #[test]
    fn comments_and_lines_that_cannot_be_read_stay_as_they_are() {
        let odd = "odd-0 ansible_host=10.9.9.9 note=it's";
        let theirs = format!(
            "\n# the lab\nundercloud-0  ansible_host=10.0.0.2 ansible_user=stack\n{odd}\n\
             \n# storage\n[ceph]\nodd-0\n\n# all\n[all:vars]\nx=y\n# end\n"
        );
        let ours = "\nundercloud-0  ansible_host=10.0.0.2\n";
        assert_eq!(merged(ours, &theirs, ours, &none()), theirs);
        let base = format!("{ours}odd-0  ansible_host=10.9.9.9\n\n[ceph]\nodd-0\n");
        assert!(!merged(&base, &theirs, ours, &none()).contains("odd-0"), "a node that is gone");
    }

    /// A comment behind a section's name made a host of the section, and all its hosts were lost to the next one.
    #[test]
    fn sections_with_a_comment_and_ranges_of_hosts_are_what_ansible_reads() {
        let ours = "\na-0  ansible_host=10.0.0.2\n\n[web]\na-0\n";
        let theirs = "\na-0  ansible_host=10.0.0.2\n\n[web] # the first ones\na-0\nmine\n\n[all:vars] # of all\nx=y\n";
        let wanted = "\na-0  ansible_host=10.0.0.2\nmine \n\n# the first ones\n[web]\na-0\nmine\n\n[all:vars] # of all\nx=y\n";
        assert_eq!(merged(ours, theirs, ours, &none()), wanted);
        let theirs =
            "\na-0  ansible_host=10.0.0.2\n\n[web]\na-0\n\n[mine]\n[1:3] ansible_user=me\na-0\n";
        let text = merged(ours, theirs, ours, &none());
        assert!(text.contains("\n[1:3]  ansible_user=me\n"), "{text}");
        assert!(text.ends_with("\n[mine]\n[1:3] ansible_user=me\na-0\n"), "{text}");
        assert_eq!(merged(ours, &text, ours, &none()), text);
    }

    /// It had the place of the node that it says it is, and was read as another host the next time.
    #[test]
    fn a_host_with_a_name_in_quotes_stays_and_is_nobody_else() {
        let ours = "\na-0  ansible_host=10.0.0.2\n\n[web]\na-0\n";
        let theirs = "\n\"my host\" original_name=a-0\n";
        let text = merged(ours, theirs, ours, &none());
        assert!(text.starts_with(theirs) && text.contains("\na-0  ansible_host="), "{text}");
        assert_eq!(merged(ours, &text, ours, &none()), text);
        // Nor is what has a variable with quotes in its name.
        let odd = "odd x\\\"y=1";
        let text = merged(ours, &format!("{odd}\n"), ours, &none());
        assert!(text.contains(&format!("\n{odd}\n")) && text.contains("\na-0  ansible"), "{text}");
    }

    #[test]
    fn a_host_with_a_name_in_quotes_stays_in_its_group_whatever_the_number_of_runs() {
        let ours = "\na-0  ansible_host=10.0.0.2\n\n[a]\na-0\n";
        for odd in ["\"my host\" ansible_host=10.0.0.9", "'web-9' ansible_host=10.0.0.9"] {
            let theirs = format!("\n[mine]\n# odd\n{odd}\n\n[a]\n{odd}\n");
            let once = merged(ours, &theirs, ours, &none());
            assert!(once.contains(&format!("\n# odd\n[mine]\n{odd}\n")), "{once}");
            assert_eq!(once.matches(odd).count(), 2, "{once}");
            assert_eq!(once.matches(&odd[..4]).count(), 2, "{once}");
            assert_eq!(merged(ours, &once, ours, &none()), once);
        }
    }

    #[test]
    fn the_host_of_its_name_is_ours_before_one_that_was_called_so() {
        let before = "\na-0  ansible_host=10.0.0.2\n\n[a]\na-0\n";
        let ours = before.replace("0.0.2", "0.0.3");
        let theirs = format!("\nfoo original_name=a-0  ansible_host=10.0.0.2{before}");
        let text = merged(before, &theirs, &ours, &none());
        assert!(text.contains("\na-0  ansible_host=10.0.0.3\n"), "{text}");
    }

    /// It took the other one away.
    #[test]
    fn one_of_ours_that_says_it_was_another_is_itself() {
        let ours = "\na-0  ansible_host=10.0.0.2\na-1  ansible_host=10.0.0.3\n\n[a]\na-0\na-1\n";
        let theirs = ours.replace("a-0  ", "b it's original_name=a-1\na-0 original_name=a-1  ");
        for text in
            [merged(ours, &theirs, ours, &none()), merged_first(&theirs, ours, &none(), "/w")]
        {
            for host in [
                "\na-0 original_name=a-1  ansible_host=10.0.0.2\n",
                "\na-1  ansible_host=10.0.0.3\n",
            ] {
                assert!(text.contains(host), "{text}");
            }
        }
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
