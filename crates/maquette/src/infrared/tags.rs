//! `--ansible-args tags=…`: stages by name.

use crate::playbooks::stages::{Stage, Stages};

use crate::world::Terminal;

/// Tags inside the stage of domains, which is one here.
const INSIDE_VMS: [&str; 4] = ["images", "disks", "install", "ips"];

/// Ansible's own words for everything.
const EVERYTHING: [&str; 3] = ["all", "tagged", "always"];

/// Reads `tags` and `skip-tags`; says what else is there that only playbooks of the user's own get.
pub fn select(terminal: &Terminal, args: &[(String, Option<String>)], nodes: bool) -> Stages {
    let list = |name: &str| -> Vec<String> {
        args.iter()
            .filter(|(n, _)| n == name)
            .filter_map(|(_, value)| value.as_deref())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().to_string())
            .filter(|tag| !tag.is_empty())
            .collect()
    };
    for (name, _) in args.iter().filter(|(n, _)| n != "tags" && n != "skip-tags") {
        terminal.talk(&format!(
            "warning: `{name}` of --ansible-args is for your own playbooks only; the rest is not \
             Ansible any more"
        ));
    }
    let (wanted, unwanted) = (list("tags"), list("skip-tags"));
    for tag in wanted.iter().chain(&unwanted).filter(|t| stages(t).is_none()) {
        terminal.talk(&format!("warning: there is no stage with tag `{tag}`"));
    }
    let mut chosen: Vec<Stage> = match wanted.is_empty() {
        true => Stage::ALL.to_vec(),
        false => wanted.iter().filter_map(|t| stages(t)).flatten().collect(),
    };
    let skipped: Vec<Stage> = unwanted
        .iter()
        .filter(|t| !INSIDE_VMS.contains(&t.as_str()))
        .filter_map(|t| stages(t))
        .flatten()
        .collect();
    chosen.retain(|s| !skipped.contains(s) && (nodes || *s != Stage::Vms));
    chosen.sort();
    chosen.dedup();
    Stages::only(chosen)
}

/// The stages of a tag; none if nothing has it.
fn stages(tag: &str) -> Option<Vec<Stage>> {
    if EVERYTHING.contains(&tag) {
        return Some(Stage::ALL.to_vec());
    }
    if INSIDE_VMS.contains(&tag) {
        return Some(vec![Stage::Vms]);
    }
    if tag == "quiesce" || tag == "untagged" {
        return Some(Vec::new());
    }
    Stage::ALL.into_iter().find(|s| s.tag() == tag).map(|s| vec![s])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Stages {
        let args: Vec<(String, Option<String>)> = text
            .split(';')
            .filter(|p| !p.is_empty())
            .map(|p| {
                let (name, value) = p.split_once('=').unwrap_or((p, ""));
                (name.to_string(), Some(value.to_string()))
            })
            .collect();
        select(&Terminal::deaf(), &args, true)
    }

    #[test]
    fn stages_are_chosen_by_tag() {
        assert_eq!(of(""), Stages::all());
        assert_eq!(of("tags=pre,hypervisor"), Stages::only(vec![Stage::Pre, Stage::Prepare]));
        assert_eq!(of("tags=networks,vms;skip-tags=vms"), Stages::only(vec![Stage::Networks]));
        assert!(!of("skip-tags=validations").has(Stage::Validate));
        assert_eq!(of("tags=disks"), Stages::only(vec![Stage::Vms]));
        assert!(of("skip-tags=disks").has(Stage::Vms));
    }
}
