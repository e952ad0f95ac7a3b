//! Which packages can go without anybody else's losing what it needs. Pure: texts to names.

use std::collections::{BTreeMap, BTreeSet};

/// An installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    name: String,
    /// Never removed, whoever installed it.
    essential: bool,
    /// Other names that it answers to.
    provides: Vec<String>,
    /// What it needs: of each, one of several.
    needs: Vec<Vec<String>>,
}

/// Reads lines of `P`ackage, what it pr`O`vides and what it `N`eeds, parted by tabs, lists in Debian's form.
pub fn parse(text: &str) -> Vec<Package> {
    let mut packages: Vec<Package> = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        let kind = fields.next().unwrap_or_default();
        let mut next = || fields.next().unwrap_or_default().trim();
        match kind {
            "P" => {
                let (state, name, essential) = (next(), next(), next());
                // Removed ones that left their configuration need nothing.
                let name = if state.starts_with("ii") { name } else { "" };
                // Of three fields of dpkg's, any of which apt heeds.
                let essential = essential.contains("yes");
                packages.push(Package { name: name.into(), essential, ..Package::default() });
            }
            "O" => {
                if let Some(last) = packages.last_mut() {
                    last.provides.extend(next().split(',').map(bare).filter(|n| !n.is_empty()));
                }
            }
            "N" => {
                let Some(last) = packages.last_mut() else { continue };
                for group in next().split(',') {
                    let any: Vec<String> =
                        group.split('|').map(bare).filter(|n| !n.is_empty()).collect();
                    if !any.is_empty() {
                        last.needs.push(any);
                    }
                }
            }
            _ => {}
        }
    }
    packages.retain(|p| !p.name.is_empty());
    packages
}

/// A name without version, architecture and blanks: ` libc6:amd64 (>= 2.3)` is `libc6`. A capability of
/// RPM, `libx.so.1()(64bit)`, is one word and stays as it is.
fn bare(text: &str) -> String {
    let word = text.split_whitespace().next().unwrap_or_default();
    match word.contains('(') {
        true => word.into(),
        false => word.split(':').next().unwrap_or_default().into(),
    }
}

/// Parts `ours` into what can go and what has to stay: essential ones, and whatever others, or those that
/// stay, need and have from nobody else. What is not installed any more is in neither.
pub fn removable(all: &[Package], ours: &[String]) -> (Vec<String>, Vec<String>) {
    if all.is_empty() {
        return (ours.to_vec(), Vec::new());
    }
    let mut going: BTreeSet<&str> = ours.iter().map(String::as_str).collect();
    let mut givers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in all {
        for name in package.provides.iter().chain([&package.name]) {
            givers.entry(name).or_default().insert(&package.name);
        }
    }
    for package in all.iter().filter(|p| p.essential) {
        going.remove(package.name.as_str());
    }
    loop {
        let mut needed: BTreeSet<&str> = BTreeSet::new();
        for package in all.iter().filter(|p| !going.contains(p.name.as_str())) {
            for any in &package.needs {
                let givers: BTreeSet<&str> =
                    any.iter().filter_map(|n| givers.get(n.as_str())).flatten().copied().collect();
                // One that stays is enough; otherwise nobody knows which of ours is meant.
                if givers.iter().all(|g| going.contains(g)) {
                    needed.extend(givers);
                }
            }
        }
        if needed.is_empty() {
            break;
        }
        going.retain(|name| !needed.contains(name));
    }
    let installed: BTreeSet<&str> = all.iter().map(|p| p.name.as_str()).collect();
    let here = |name: &&String| installed.contains(name.as_str());
    ours.iter().filter(here).cloned().partition(|name| going.contains(name.as_str()))
}

/// What a rehearsal has found in the way.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct InTheWay {
    /// Packages that would go although nobody named them.
    pub strangers: Vec<String>,
    /// Named ones that something else needs.
    pub ours: Vec<String>,
}

/// Reads what `apt-get -s`, `rpm -e --test` or `pacman -R --print` says.
pub fn in_the_way(said: &str, named: &[String]) -> InTheWay {
    let mut found = InTheWay::default();
    for line in said.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Remv" | "Purg", name, ..] => {
                let name = name.split(':').next().unwrap_or_default().to_string();
                if !named.contains(&name) && !found.strangers.contains(&name) {
                    found.strangers.push(name);
                }
            }
            // :: removing x breaks dependency 'x' required by y
            [_, "removing", name, "breaks", ..] => found.ours.push((*name).to_string()),
            // x is needed by (installed) y-1.0
            [name, .., "is", "needed", "by", "(installed)", _]
                if named.iter().any(|n| n == name) =>
            {
                found.ours.push((*name).to_string());
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "\
P\tii \tbase-files\tyes
O\t
N\tlibcrypt1 (>= 1:4)
N\t
P\tii \tlibcrypt1\tno
O\tlibcrypt (= 1)
N\t
N\tlibc6:any (>= 2.36) | musl
P\tii \tlibvirt-daemon\tno
O\t
N\t
N\tqemu-utils, libyajl2 (>= 2), logrotate | cron
P\tii \tqemu-utils\tno
P\tii \tlibyajl2\tno
P\tii \tlogrotate\tno
P\tii \tlibc6\tno
P\trc \tgone\tno
N\tlogrotate
P\tii \tbackup-tool\tno
N\tqemu-utils (>= 1:7)
";

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_string()).collect()
    }

    #[test]
    fn what_others_need_by_now_stays_and_so_does_what_that_needs() {
        let all = parse(DEBIAN);
        let ours =
            names(&["libvirt-daemon", "qemu-utils", "libyajl2", "logrotate", "libcrypt1", "libc6"]);
        let (free, kept) = removable(&all, &ours);
        // An essential package needs libcrypt1, and that needs libc6 by now; others' tool needs qemu-utils.
        assert_eq!(free, names(&["libvirt-daemon", "libyajl2", "logrotate"]));
        assert_eq!(kept, names(&["qemu-utils", "libcrypt1", "libc6"]));
    }

    #[test]
    fn an_alternative_that_stays_is_enough() {
        let text = "P\tii\tmail\tno\nN\texim | postfix\nP\tii\texim\tno\nP\tii\tpostfix\tno\n";
        let all = parse(text);
        assert_eq!(removable(&all, &names(&["exim"])), (names(&["exim"]), vec![]));
        assert_eq!(removable(&all, &names(&["exim", "postfix"])).0, names(&[]));
    }

    #[test]
    fn essential_packages_stay_and_absent_ones_are_passed_over() {
        // The third is of Debian 13: apt removes what is protected as little as what is essential.
        let all = parse("P\tii\tinit\tyes\nP\tii\tx\tno\nP\tii\tsystemd-sysv\tnoyes\n");
        assert_eq!(
            removable(&all, &names(&["init", "x", "gone", "systemd-sysv"])),
            (names(&["x"]), names(&["init", "systemd-sysv"]))
        );
    }

    #[test]
    fn capabilities_of_rpm_are_names() {
        let text =
            "P\tii\tlibx\tno\nO\tlibx.so.1()(64bit)\nP\tii\ttool\tno\nN\tlibx.so.1()(64bit)\n";
        let all = parse(text);
        assert_eq!(removable(&all, &names(&["libx"])), (names(&[]), names(&["libx"])));
        assert_eq!(removable(&all, &names(&["libx", "tool"])).0, names(&["libx", "tool"]));
    }

    #[test]
    fn rehearsals_name_what_is_in_the_way() {
        let named = names(&["qemu", "libx"]);
        let apt = in_the_way("Purg qemu [1:7]\nRemv cloud-tool [2] []\n", &named);
        assert_eq!(apt.strangers, ["cloud-tool"]);
        let pacman = ":: removing libx breaks dependency 'libx' required by tool\n";
        assert_eq!(in_the_way(pacman, &named).ours, ["libx"]);
        let rpm =
            "error: Failed dependencies:\n\tlibx is needed by (installed) tool-1.0-1.x86_64\n";
        assert_eq!(in_the_way(rpm, &named).ours, ["libx"]);
    }
}
