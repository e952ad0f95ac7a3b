//! Variables that all hosts have, in the section `[all:vars]`: ours say where BMCs are, and others add their own.

/// The section's first line.
const SECTION: &str = "[all:vars]";

/// A line of the section as a variable with its value.
fn variable(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    (!line.trim_start().starts_with(['#', ';'])).then_some((name.trim(), value.trim()))
}

/// The variables in the sections that follow an inventory's groups.
fn variables(rest: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut is_inside = false;
    rest.lines().filter_map(move |line| {
        if line.trim_start().starts_with('[') {
            is_inside = line.trim() == SECTION;
            return None;
        }
        variable(line).filter(|_| is_inside)
    })
}

fn value<'a>(rest: &'a str, name: &str) -> Option<&'a str> {
    variables(rest).filter(|(known, _)| *known == name).last().map(|(_, value)| value)
}

/// These sections with ours as they are now. What others have added or changed stays, unless what it was for us has changed.
pub(super) fn merged(base: &str, theirs: &str, ours: &str) -> String {
    let is_new = |(name, now): &(&str, &str)| {
        value(base, name) != Some(*now) || value(theirs, name).is_none()
    };
    let set: Vec<(&str, &str)> = variables(ours).filter(is_new).collect();
    let ended = |name: &str| value(base, name).is_some() && value(ours, name).is_none();
    let mut kept: Vec<String> = Vec::new();
    // Where the next variable of ours goes: behind the last line of the section.
    let mut end = None;
    let mut is_inside = false;
    for line in theirs.lines() {
        if line.trim_start().starts_with('[') {
            is_inside = line.trim() == SECTION;
        }
        let name = variable(line).filter(|_| is_inside).map(|(name, _)| name);
        if name.is_none_or(|name| !ended(name) && !set.iter().any(|(new, _)| *new == name)) {
            kept.push(line.into());
            if is_inside && !line.trim().is_empty() {
                end = Some(kept.len());
            }
        }
    }
    let lines = set.iter().map(|(name, value)| format!("{name}={value}"));
    match end {
        Some(end) => drop(kept.splice(end..end, lines)),
        None if set.is_empty() => {}
        None => kept.extend([String::new(), SECTION.into()].into_iter().chain(lines)),
    }
    without_empty(&kept)
}

/// All lines, but those of the section if there is nothing in it.
fn without_empty(lines: &[String]) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for line in lines.iter().map(String::as_str).chain(["["]) {
        if line.trim_start().starts_with('[') && kept.last().is_some_and(|l| l.trim() == SECTION) {
            kept.pop();
        }
        if !line.is_empty() || kept.last().is_none_or(|last| !last.is_empty()) {
            kept.push(line);
        }
    }
    kept.pop();
    let text: String = kept.iter().map(|line| format!("{line}\n")).collect();
    if text.trim().is_empty() { String::new() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str =
        "\n[all:vars]\nvbmc_management_address=\"10.9.0.1\"\nvbmc_ports={\"a-0\":6230}\n";

    #[test]
    fn where_bmcs_are_is_told_beside_what_others_say_of_all_hosts() {
        assert_eq!(merged("", "", OURS), OURS);
        assert_eq!(merged(OURS, OURS, OURS), OURS);
        let theirs = "\n[web:children]\na\n\n# all\n[all:vars]\nx=y\n# end\n\n[z:vars]\nq=1\n";
        let both = "\n[web:children]\na\n\n# all\n[all:vars]\nx=y\n# end\nvbmc_management_address=\"10.9.0.1\"\nvbmc_ports={\"a-0\":6230}\n\n[z:vars]\nq=1\n";
        assert_eq!(merged("", theirs, OURS), both);
        assert_eq!(merged(OURS, both, OURS), both);
        // One node more, and none.
        let more = OURS.replace("}", ",\"a-1\":6231}");
        let grown = merged(OURS, both, &more);
        assert!(grown.contains("6231}\n") && !grown.contains("6230}\n"), "{grown}");
        assert_eq!(merged(OURS, both, ""), theirs);
        assert_eq!(merged(OURS, OURS, ""), "");
        // What others have changed stays.
        let changed = both.replace("10.9.0.1", "192.0.2.1");
        assert_eq!(merged(OURS, &changed, OURS), changed);
        assert_eq!(merged("", theirs, ""), theirs);
    }
}
