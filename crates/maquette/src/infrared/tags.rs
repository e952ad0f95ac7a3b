//! `--ansible-args tags=…`: stages by name.

use super::given::Given;
use super::refuse;
use crate::commands::plan;
use crate::failure::Failure;
use crate::load::Loaded;
use crate::pipeline;
use crate::playbooks::stages::{Stage, Stages};
use crate::world::{Terminal, World};

/// Tags inside the stage of domains, which is one here.
const INSIDE_VMS: [&str; 4] = ["images", "disks", "install", "ips"];

/// Ansible's own words for everything.
const EVERYTHING: [&str; 3] = ["all", "tagged", "always"];

/// Words with which `ansible-playbook` leaves a part out, or asks before each task.
const PARTS: [&str; 4] = ["limit", "l", "start-at-task", "step"];

/// What `ansible-playbook` does not do but show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The tags there are.
    Tags,
    /// Whether the files can be read.
    Syntax,
    /// What would be done.
    Plan,
}

impl Look {
    /// The word that asks for it in `--ansible-args`.
    fn of(word: &str) -> Option<Self> {
        match word {
            "list-tags" => Some(Self::Tags),
            "syntax-check" => Some(Self::Syntax),
            "check" | "C" | "list-tasks" => Some(Self::Plan),
            _ => None,
        }
    }

    /// Shows it, and does nothing else. The user's own playbooks do not run.
    pub fn show(
        self,
        world: &World,
        loaded: &mut Loaded,
        selected: &Stages,
        aside: bool,
    ) -> Result<u8, Failure> {
        match self {
            Self::Tags => {
                let tags: Vec<&str> = Stage::ALL.into_iter().map(Stage::tag).collect();
                world.terminal.result(&format!("tags: {}", tags.join(", ")));
            }
            Self::Syntax => {
                pipeline::check(world, loaded)?;
                world.terminal.talk("no mistakes were found; nothing was done");
            }
            Self::Plan => {
                plan::show(
                    world,
                    loaded,
                    &plan::How { stages: selected, nodes: &[], json: false, aside },
                )?;
            }
        }
        Ok(0)
    }
}

/// Whether `--ansible-args` asks to show something instead of doing it.
pub fn look(given: &Given) -> Result<Option<Look>, Failure> {
    let words = || given.ansible_args.iter().map(|(word, _)| word.as_str());
    if words().any(|word| word == "list-hosts") {
        let why =
            "`list-hosts` of --ansible-args is not supported: `check` shows what would be done";
        return Err(refuse(vec![why.into()]));
    }
    let plan = (given.plan || given.dry_run).then_some(Look::Plan);
    Ok(words().find_map(Look::of).or(plan))
}

/// What of `--ansible-args` asks to remove less than all, or to show it only: a removal does neither.
pub fn narrowing(args: &[(String, Option<String>)]) -> Vec<String> {
    let removed = [Stage::Networks, Stage::Vms];
    let leaves_out = |name: &str, value: &str| {
        let of = |tag: &str| stages(tag.trim()).unwrap_or_default();
        let named: Vec<Stage> = value.split(',').flat_map(of).collect();
        match name {
            "tags" => !removed.iter().all(|stage| named.contains(stage)),
            "skip-tags" => removed.iter().any(|stage| named.contains(stage)),
            "list-hosts" => true,
            other => Look::of(other).is_some() || PARTS.contains(&other),
        }
    };
    let written = |(name, value): &(String, Option<String>)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    };
    let narrow =
        args.iter().filter(|(name, value)| leaves_out(name, value.as_deref().unwrap_or_default()));
    narrow.map(written).collect()
}

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
    let ours = |name: &str| {
        matches!(name, "tags" | "skip-tags" | "list-hosts") || Look::of(name).is_some()
    };
    for (name, _) in args.iter().filter(|(n, _)| !ours(n)) {
        terminal.talk(&format!(
            "warning: `{name}` of --ansible-args is for your own playbooks only; the rest is not \
             Ansible any more"
        ));
    }
    let (wanted, unwanted) = (list("tags"), list("skip-tags"));
    for tag in wanted.iter().chain(&unwanted).filter(|t| stages(t).is_none()) {
        terminal.talk(&format!("warning: there is no stage with tag `{tag}`"));
    }
    for tag in unwanted.iter().filter_map(|tag| left_in(tag)) {
        terminal.talk(&format!("warning: {tag}"));
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

/// What is said of a tag that is to be skipped, and leaves nothing out, or not all.
fn left_in(tag: &str) -> Option<String> {
    let why = match tag {
        "user" => "leaves nothing out: a node has its user from its first boot on",
        "timezone" => {
            "leaves nodes that run as they are; a new one has its time zone from its first boot on, unless \
             `--topology-timezone` is left out"
        }
        inside if INSIDE_VMS.contains(&inside) => {
            "leaves nothing out: image, disks, domain and addresses of a node are made together; \
             `skip-tags=vms` leaves all of them out"
        }
        _ => return None,
    };
    Some(format!("`skip-tags={tag}` {why}"))
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

    /// `--kill yes --ansible-args skip-tags=networks` removed the networks, too.
    #[test]
    fn what_would_narrow_a_removal_is_found() {
        let narrow = |name: &str, value: &str| {
            let value = (!value.is_empty()).then(|| value.to_string());
            narrowing(&[(name.to_string(), value)])
        };
        for (name, value) in [
            ("tags", "vms"),
            ("tags", "pre"),
            ("skip-tags", "networks"),
            ("skip-tags", "validations,disks"),
            ("limit", "compute-0"),
            ("step", ""),
            ("check", ""),
            ("list-tasks", ""),
            ("syntax-check", ""),
        ] {
            assert_eq!(narrow(name, value).len(), 1, "{name}={value}");
        }
        for (name, value) in [
            ("tags", "all"),
            ("tags", "networks,vms"),
            ("skip-tags", "validations,facts"),
            ("forks", "500"),
        ] {
            assert!(narrow(name, value).is_empty(), "{name}={value}");
        }
    }
}
