//! `--ansible-args tags=…`: stages by name.

use super::ansible::{Argument, words};
use super::refuse;
use super::values::InfraredValues;
use crate::failure::Failure;
use crate::lifecycle::show::{How, show};
use crate::load::Loaded;
use crate::pipeline;
use crate::playbooks::stages::{Stage, Stages};
use crate::playbooks::{Hooks, Point};
use crate::world::{Terminal, World};

/// Tags inside the stage of domains, which is one here.
const INSIDE_VMS: [&str; 4] = ["images", "disks", "install", "ips"];

/// Ansible's own words for everything.
const EVERYTHING: [&str; 3] = ["all", "tagged", "always"];

/// What `ansible-playbook` shows, and nothing here does.
const NOT_SHOWN: [&str; 3] = ["list-hosts", "help", "version"];

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
            "check" | "list-tasks" => Some(Self::Plan),
            _ => None,
        }
    }

    /// Shows it, and does nothing else. The user's own playbooks do not run.
    pub fn show(
        self,
        world: &World,
        loaded: &mut Loaded,
        (hooks, stages): (&Hooks, &Stages),
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
            Self::Plan if hooks.is_at(Point::Whole) => {
                pipeline::check(world, loaded)?;
                world.terminal.talk("a playbook of yours does it all: what that does is not shown");
            }
            Self::Plan => {
                let requirements = pipeline::check(world, loaded)?;
                hooks.tell_replaced(world);
                let how = How { stages, nodes: &[], json: false, aside };
                show(world, loaded, &requirements, &how)?;
            }
        }
        Ok(0)
    }
}

/// Whether `--ansible-args` asks to show something instead of doing it.
pub fn look(given: &InfraredValues) -> Result<Option<Look>, Failure> {
    let words = || given.ansible_args.iter().map(|argument| argument.name);
    if let Some(word) = words().find(|word| NOT_SHOWN.contains(word)) {
        let why = format!(
            "`{word}` of --ansible-args is not supported: `check` shows what would be done"
        );
        return Err(refuse(vec![why]));
    }
    let plan = (given.plan || given.dry_run).then_some(Look::Plan);
    Ok(words().find_map(Look::of).or(plan))
}

/// What of `--ansible-args` asks to remove less than all, to show it only, or for something that is not known to be
/// harmless: a removal does none of that.
pub fn narrowing(args: &[Argument]) -> Vec<String> {
    let removed = [Stage::Networks, Stage::Vms];
    let leaves_out = |argument: &&Argument| {
        let of = |tag: &str| stages(tag.trim()).unwrap_or_default();
        let value = argument.value.as_deref().unwrap_or_default();
        let named: Vec<Stage> = value.split(',').flat_map(of).collect();
        match argument.name {
            "tags" => !removed.iter().all(|stage| named.contains(stage)),
            "skip-tags" => removed.iter().any(|stage| named.contains(stage)),
            _ => !argument.is_harmless(),
        }
    };
    let written = |argument: &Argument| match &argument.value {
        Some(value) => format!("{}={value}", argument.name),
        None => argument.name.to_string(),
    };
    args.iter().filter(leaves_out).map(written).collect()
}

/// Reads `tags` and `skip-tags`; says what else is there that only playbooks of the user's own get.
pub fn select(terminal: &Terminal, args: &[Argument], nodes: bool) -> Stages {
    let ours = |name: &str| {
        ["tags", "skip-tags"].contains(&name)
            || NOT_SHOWN.contains(&name)
            || Look::of(name).is_some()
    };
    for Argument { name, .. } in args.iter().filter(|argument| !ours(argument.name)) {
        terminal.talk(&format!(
            "warning: `{name}` of --ansible-args is for your own playbooks only; the rest is not \
             Ansible any more"
        ));
    }
    let (wanted, unwanted) = (words(args, "tags"), words(args, "skip-tags"));
    for tag in wanted.iter().filter(|t| stages(t).is_none()) {
        terminal.talk(&format!("warning: there is no stage with tag `{tag}`"));
    }
    for tag in unwanted.iter().filter(|t| stages(t).is_none()) {
        terminal.talk(&format!(
            "warning: there is no stage with tag `{tag}`: of your own playbooks alone it leaves tasks out"
        ));
    }
    for why in unwanted.iter().filter_map(|tag| left_in(tag)).chain(more_than(&wanted)) {
        terminal.talk(&format!("warning: {why}"));
    }
    chosen(args, nodes)
}

/// The stages that `tags` and `skip-tags` leave.
pub fn chosen(args: &[Argument], nodes: bool) -> Stages {
    let (wanted, unwanted) = (words(args, "tags"), words(args, "skip-tags"));
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

/// What is said of tags that are wanted, and mean more than they say, or nothing.
fn more_than(wanted: &[String]) -> Option<String> {
    let of = |tag: &String| stages(tag).unwrap_or_default();
    let inside = |tag: &&String| INSIDE_VMS.contains(&tag.as_str());
    let (parts, whole): (Vec<&String>, Vec<&String>) = wanted.iter().partition(inside);
    if let Some(part) = parts.first()
        && !whole.into_iter().any(|tag| of(tag).contains(&Stage::Vms))
    {
        return Some(format!(
            "`tags={part}` builds whole nodes: image, disks, domain and addresses of a node are made together"
        ));
    }
    let is_user_alone = !wanted.is_empty() && wanted.iter().all(|tag| of(tag) == [Stage::User]);
    is_user_alone.then(|| {
        "`tags=user` changes nothing: a node has its user from its first boot on; a playbook of yours in the place \
         of that stage runs"
            .to_string()
    })
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
    use super::super::ansible::taken_apart;
    use super::*;

    fn of(text: &str) -> Stages {
        select(&Terminal::deaf(), &taken_apart(text).unwrap(), true)
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

    /// `tags=images` built nodes, and `tags=user` did nothing, both without a word.
    #[test]
    fn tags_that_mean_more_than_they_say_or_nothing_are_told() {
        let said = |words: &[&str]| {
            more_than(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
                .unwrap_or_default()
        };
        assert!(said(&["networks", "disks"]).starts_with("`tags=disks` builds whole nodes"));
        assert!(said(&["user"]).starts_with("`tags=user` changes nothing"));
        for words in [&[][..], &["images", "vms"], &["ips", "all"], &["user", "vms"], &["networks"]]
        {
            assert_eq!(said(words), "", "{words:?}");
        }
    }

    /// `--kill yes --ansible-args skip-tags=networks` removed the networks, too.
    #[test]
    fn what_would_narrow_a_removal_is_found() {
        let narrow = |text: &str| narrowing(&taken_apart(text).unwrap()).len();
        for text in [
            "tags=vms",
            "--tags=vms",
            "tag=vms",
            "tags=pre",
            "skip-tags=networks",
            "skip-tags=validations,disks",
            "limit=compute-0",
            "step",
            "check",
            "chec",
            "syntax",
            "list-tasks",
            "syntax-check",
            "list-hosts",
            "version",
            "inventory=other",
            "extra-vars=kill=no",
        ] {
            assert_eq!(narrow(text), 1, "{text}");
        }
        for text in
            ["tags=all", "tags=networks,vms", "skip-tags=validations,facts", "forks=500", "diff;v"]
        {
            assert_eq!(narrow(text), 0, "{text}");
        }
    }
}
