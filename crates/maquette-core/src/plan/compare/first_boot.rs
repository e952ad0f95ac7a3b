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
