//! What of a first boot changes, in few words: names, and nothing of what files, commands and passwords are.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::blueprint::Guest;
use crate::topology::BootDigest;
use crate::values::BootPart;

/// Most packages, and most files, that are named.
const MOST_NAMED: usize = 3;

/// Most characters of a name; of a path its end tells more.
const LONGEST_NAME: usize = 40;

/// What changes, where the digests of both differ.
pub(super) fn change(old: &Guest, new: &Guest) -> String {
    let is_told = |guest: &Guest| guest.first_boot.is_none() || !guest.first_boot_parts.is_empty();
    if !is_told(old) || !is_told(new) {
        return "what its first boot does changes: packages, files, commands, `user_data`, `console` or the password"
            .into();
    }
    let (old, new) = (contents(old), contents(new));
    let both: BTreeSet<&BootPart> = old.keys().chain(new.keys()).copied().collect();
    let (mut packages, mut files, mut others) = (Vec::new(), Vec::new(), Vec::new());
    // One that is not named any more may be among those that are not.
    let rest = |part: &BootPart| match part {
        BootPart::Package(_) => BootPart::Packages,
        _ => BootPart::Files,
    };
    let is_named = |part: &BootPart| matches!(part, BootPart::Package(_) | BootPart::File(_));
    for part in both {
        let without = match (old.get(part), new.get(part)) {
            (None, _) => Some(&old),
            (_, None) => Some(&new),
            _ => None,
        };
        let rest = rest(part);
        if is_named(part) && without.is_some_and(|parts| parts.contains_key(&&rest)) {
            continue;
        }
        let sign = match (old.get(part), new.get(part)) {
            (None, _) => "+",
            (_, None) => "-",
            (had, has) if had != has => "",
            _ => continue,
        };
        match part {
            BootPart::Package(name) => packages.push(format!("{sign}{}", shortened(name))),
            BootPart::File(path) => files.push(format!("{sign}{}", shortened(path))),
            BootPart::Packages => packages.push("others".into()),
            BootPart::Files => files.push("others".into()),
            BootPart::Commands => others.push("commands"),
            BootPart::UserData => others.push("`user_data`"),
            BootPart::Console => others.push("`console`"),
            BootPart::Password => others.push("the password"),
        }
    }
    let lists = [of("packages", &packages), of("files", &files)].into_iter().flatten();
    let mut all: Vec<String> = lists.chain(others.into_iter().map(String::from)).collect();
    if all.is_empty() {
        all.push("the order of packages or files".into());
    }
    format!("its first boot changes: {}", all.join(", "))
}

fn contents(guest: &Guest) -> BTreeMap<&BootPart, Uuid> {
    guest.first_boot_parts.iter().map(|BootDigest { part, content }| (part, *content)).collect()
}

/// The first of some names, and how many more there are; none if there are no names.
fn of(what: &str, names: &[String]) -> Option<String> {
    let more = names.len().saturating_sub(MOST_NAMED);
    let shown = names.iter().take(MOST_NAMED).cloned();
    let shown: Vec<String> = shown.chain((more > 0).then(|| format!("{more} more"))).collect();
    (!shown.is_empty()).then(|| format!("{what} ({})", shown.join(", ")))
}

/// The end of a name.
fn shortened(name: &str) -> String {
    match name.chars().count().saturating_sub(LONGEST_NAME) {
        0 => name.into(),
        more => format!("…{}", name.chars().skip(more).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A guest whose first boot has parts, each with a number for what it is.
    fn guest(parts: &[(&str, u128)]) -> Guest {
        let part = |(name, content): &(&str, u128)| BootDigest {
            part: name.parse().unwrap(),
            content: Uuid::from_u128(*content),
        };
        let parts: Vec<BootDigest> = parts.iter().map(part).collect();
        let whole = Some(Uuid::from_u128(1)).filter(|_| !parts.is_empty());
        Guest { first_boot: whole, first_boot_parts: parts, ..nothing() }
    }

    fn nothing() -> Guest {
        use crate::values::{FileName, Login, PublicKey};
        Guest {
            seed: FileName::known("n-0-seed.img"),
            drive: crate::topology::SeedDrive::CdRom,
            user: Login::known("cloud-user"),
            authorized_key: PublicKey::known("ssh-ed25519 AAAA maquette"),
            shared: Vec::new(),
            host_key: PublicKey::known("ssh-ed25519 BBBB n-0"),
            generation: None,
            timezone: None,
            swap_mib: 0,
            first_boot: None,
            first_boot_parts: Vec::new(),
        }
    }

    #[test]
    fn a_change_is_told_by_the_names_of_its_parts() {
        let before = [
            ("package nano", 1),
            ("package nginx", 2),
            ("file /etc/motd", 3),
            ("file /etc/old", 4),
            ("commands", 5),
        ];
        let is = |after: &[(&str, u128)], words: &str| {
            let words = format!("its first boot changes: {words}");
            assert_eq!(change(&guest(&before), &guest(after)), words);
        };
        let mut after = before;
        after[0].0 = "package vim";
        is(&after, "packages (-nano, +vim)");
        after = before;
        (after[2].1, after[3].0) = (9, "file /etc/new");
        is(&after, "files (/etc/motd, +/etc/new, -/etc/old)");
        after = before;
        after[4].1 = 9;
        is(&after, "commands");
        is(&before, "the order of packages or files");
        is(&before[..4], "commands");
        let words = "packages (-nano, -nginx), files (-/etc/motd, -/etc/old), commands, `user_data`, the password";
        is(&[("user_data", 1), ("password", 2)], words);
        is(&[], "packages (-nano, -nginx), files (-/etc/motd, -/etc/old), commands");
    }

    #[test]
    fn many_names_and_long_ones_are_cut_short() {
        let path = format!("file /{}/end", "x".repeat(50));
        let names = ["package a", "package b", "package c", "package d", "packages", path.as_str()];
        let parts: Vec<(&str, u128)> = names.iter().map(|name| (*name, 1)).collect();
        let words = change(&guest(&[]), &guest(&parts));
        let end = format!("{}/end", "x".repeat(LONGEST_NAME - 4));
        let files = format!("files (+…{end})");
        assert_eq!(
            words,
            format!("its first boot changes: packages (+a, +b, +c, 2 more), {files}")
        );
    }

    #[test]
    fn of_a_record_of_an_earlier_version_all_is_said_that_it_may_be() {
        let earlier = Guest { first_boot: Some(Uuid::from_u128(1)), ..nothing() };
        for other in [guest(&[("commands", 1)]), nothing()] {
            assert!(change(&earlier, &other).contains("packages, files, commands, `user_data`"));
        }
    }
}
