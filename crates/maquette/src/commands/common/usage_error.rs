//! Mistakes in the command line, as clap reports them, corrected: a wrong value of an environment variable is not blamed on
//! the flag, words of other tools have their own here named, and others are suggested only if they are like what was typed.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Error};
use maquette_core::diagnostic::closest;

use crate::commands::{Cli, complete_names, ssh};
use crate::world::{Environment, World};

/// Plug-ins of InfraRed's that are not here.
const PLUGINS: [&str; 14] = [
    "beaker",
    "cloud-config",
    "collect-logs",
    "foreman",
    "list-builds",
    "openstack",
    "ospdui",
    "packstack",
    "pytest-runner",
    "rally",
    "tempest",
    "tripleo-overcloud",
    "tripleo-standalone",
    "tripleo-undercloud",
];

/// The most nodes that are named where one is missing.
const MOST_NODES: usize = 12;

/// What other tools call removing.
const REMOVING: [&str; 8] =
    ["delete", "rm", "remove", "undefine", "teardown", "undeploy", "purge", "cleanup"];

/// Verbs of other tools behind a verb of ours, and what there is instead.
const BEHIND: [(&str, &[&str], &str); 7] = [
    ("link", &["off", "disconnect", "unplug"], "`maquette link down NODE` pulls a node's cable"),
    ("link", &["on", "connect", "plug"], "`maquette link up NODE` puts a node's cable back"),
    ("bmc", &["on", "off"], "`maquette bmc power NODE on` has its BMC switch a node"),
    ("workspace", &["new", "add"], "`maquette workspace create NAME` makes one"),
    ("image", &REMOVING, "`maquette image prune` removes images and templates that no node uses"),
    (
        "host",
        &["create", "add", "list", "switch", "use"],
        "`--host-address ADDRESS` names a hypervisor, as does `hypervisor: {address: …}` in maquette.yaml",
    ),
    (
        "workspace",
        &["select"],
        "`--prefix NAME` names an environment; `maquette workspace checkout NAME` is about workspaces as InfraRed has them",
    ),
];

/// Verbs of other tools that none here is like, or is like by accident, and what there is instead.
const ELSEWHERE: [(&[&str], &str); 43] = [
    (
        &["snapshot", "snapshots", "save", "revert"],
        "Maquette makes no snapshots; `virsh snapshot-create-as NODE NAME` of libvirt does",
    ),
    (&["apply", "deploy", "create", "build"], "`maquette up` builds what is described"),
    (
        &["provision"],
        "`maquette up` builds what is described; a changed first boot has it replace nodes, and what nodes do later is for Ansible",
    ),
    (&["new", "generate"], "`maquette init` writes a project file to begin with"),
    (
        &["edit", "config", "configure", "set", "modify"],
        "what is asked for is in maquette.yaml; `maquette plan` shows what a change of it takes, `maquette up` does it",
    ),
    (
        &["diff", "preview"],
        "`maquette plan` shows what `up` would do, `maquette status` what was changed by others",
    ),
    (
        &["clone", "duplicate"],
        "`count` of a node type in maquette.yaml has more nodes that are alike",
    ),
    (
        &["rename", "mv"],
        "a node is called after its environment, node type and number: another `name` in maquette.yaml makes other nodes",
    ),
    (&["on", "poweron", "power-on", "boot"], "`maquette start NODE` starts nodes"),
    (
        &["halt", "poweroff", "power-off", "off", "shutdown"],
        "`maquette stop NODE` shuts nodes down",
    ),
    (&["suspend"], "`maquette pause NODE` holds nodes as libvirt's `suspend` does"),
    (&["reload", "reboot"], "`maquette restart NODE` shuts nodes down and starts them"),
    (&REMOVING, "`maquette down` removes the environment, or a node"),
    (&["kill"], "`maquette stop --force NODE` switches nodes off, `maquette down` removes them"),
    (&["prune", "clean"], "`maquette image prune` removes images that no node uses"),
    (
        &["download", "pull", "images", "box", "distro_list", "fetch"],
        "`maquette image list` names images, and `maquette up` downloads them",
    ),
    (
        &["global-status", "env", "envs", "environments"],
        "`maquette list` shows the environments of a hypervisor",
    ),
    (&["version"], "`maquette --version` prints it"),
    (
        &["ps", "inspect", "info", "show", "describe", "get", "nodes", "state"],
        "`maquette status` shows the nodes, `maquette list` the environments",
    ),
    (
        &["top", "stats", "watch", "monitor"],
        "`maquette status --watch` shows nodes as they change, `maquette view` does so in a browser",
    ),
    (&["infrared", "ir"], "`maquette virsh …` takes what `infrared virsh …` took"),
    (
        &["vagrant"],
        "`maquette up`, `ssh`, `status` and `down`; page `From Vagrant` of the documentation has further words",
    ),
    (
        &["kcli"],
        "`maquette up`, `ssh`, `status` and `down`; page `From kcli` of the documentation has further words",
    ),
    (
        &["vl", "virt-lightning", "virt_lightning"],
        "`maquette up`, `ssh`, `status` and `down`; page `From virt-lightning` of the documentation has further words",
    ),
    (
        &["terraform", "tofu"],
        "`maquette plan`, `up` and `down`; page `From Terraform` of the documentation has further words",
    ),
    (
        &["tenks", "ci-framework", "cifmw"],
        "`maquette up --layout FILE` reads its files; page `From ci-framework and tenks` of the documentation has more",
    ),
    (
        &["containerlab", "clab"],
        "`maquette up` builds and `maquette down` removes; nodes are virtual machines here, and `maquette init` writes what they can be like",
    ),
    (
        &["ssh-config", "ssh_config"],
        "`ansible.ssh.config` in the workspace is the configuration for ssh; `maquette up` says where that is",
    ),
    (&["upload", "copy", "rsync"], "`maquette cp FILE NODE:PATH` copies files"),
    (
        &["package"],
        "no image is made of a node; `maquette image build` makes one of Debian's packages",
    ),
    (&["port"], "`maquette forward NODE 8080:80` makes ports of a node reachable here"),
    (&["viewer", "vnc", "gui", "spice"], "`maquette open NODE` shows a node's screen"),
    (&["login", "shell", "connect", "enter"], "`maquette ssh NODE` logs in"),
    (&["attach", "tty", "serial"], "`maquette console NODE` is at a node's serial console"),
    (
        &["run", "command"],
        "`maquette exec NODE -- COMMAND` runs a command, `maquette up` builds what is described",
    ),
    (
        &["export", "backup"],
        "`maquette workspace export` packs a workspace with its keys, `maquette topology convert` writes what there is as files",
    ),
    (
        &["output", "ansible_inventory", "ansible-inventory"],
        "`maquette inventory --list` is for Ansible, `maquette status --json` for other programs",
    ),
    (
        &["check", "lint", "fmt"],
        "`maquette validate` finds mistakes, `maquette plan` shows what would be done",
    ),
    (
        &["network", "networks", "net"],
        "`maquette graph` draws networks, `maquette topology list` names the built-in ones",
    ),
    (
        &["rebuild", "taint", "replace"],
        "`maquette down NODE`, then `maquette up`, makes a node again",
    ),
    (
        &["refresh", "update", "converge"],
        "`maquette up` brings the environment to what is described",
    ),
    (
        &["import"],
        "`maquette topology convert` makes a maquette.yaml of other files and of what is there",
    ),
    (
        &["lab", "vm", "vms"],
        "`maquette up`, `status` and `down` are about all nodes, or those that are named",
    ),
];

/// What to say of an option of ssh's own that stands before the node.
const OF_SSH: &str = "options of ssh come after the node: `maquette ssh NODE -L 8080:localhost:80`";

/// Flags of other tools, of verbs here; of all that have the flag of the advice, where no verbs are named.
const FLAGS_ELSEWHERE: [(&[&str], &[&str], &str); 26] = [
    (
        &["list"],
        &["vm", "vms", "node", "nodes"],
        "`maquette status` shows the nodes of an environment",
    ),
    (
        &["list"],
        &["plan", "plans", "env", "environments"],
        "`maquette list` alone shows the environments of a hypervisor",
    ),
    (&["list"], &["image", "images"], "`maquette image list` names images"),
    (
        &["list"],
        &["network", "networks"],
        "`maquette graph` draws the networks of an environment, `maquette topology list` names the built-in ones",
    ),
    (&["console"], &["-s", "--serial"], "`maquette console NODE` is the serial console"),
    (
        &["ssh"],
        &["-c", "--command"],
        "a command comes after the node: `maquette ssh NODE -- COMMAND`",
    ),
    (
        &["init"],
        &["-upgrade", "--upgrade"],
        "nothing is downloaded beforehand: `maquette init` writes a maquette.yaml",
    ),
    (
        &["up", "plan", "down", "status"],
        &["-target", "--target"],
        "nodes are named without a flag: `maquette up NODE`",
    ),
    (
        &["down", "plan"],
        &["-destroy", "--destroy"],
        "`maquette down` shows what it removes, and asks first",
    ),
    (&["down"], &["--dry-run", "--noop"], "`maquette down` shows what it removes, and asks first"),
    (&[], &["--dry-run", "--noop"], "`maquette plan` shows what would be done"),
    (
        &["down"],
        &["-f", "--force", "--auto-approve", "-auto-approve"],
        "`--yes` agrees to the removal",
    ),
    (
        &["up"],
        &["--force", "--auto-approve", "-auto-approve", "--recreate"],
        "`--yes` agrees to whatever is lost, `--accept KIND` to one kind of it",
    ),
    (
        &["plan"],
        &["-detailed-exitcode", "--detailed-exitcode"],
        "`--exit-code` ends with 3 if there is something to do",
    ),
    (
        &["up", "plan"],
        &["-replace", "--replace"],
        "`maquette down NODE`, then `maquette up`, makes a node again",
    ),
    (&["up"], &["--provider"], "nodes are libvirt's: no provider is named"),
    (
        &["up"],
        &["--provision", "--no-provision"],
        "a changed first boot has `up` replace nodes, and what nodes do later is for Ansible",
    ),
    (
        &["up"],
        &["--kill", "--cleanup", "--remove-nodes"],
        "`maquette down` removes the environment, or a node",
    ),
    (
        &["up", "plan", "validate"],
        &[
            "-P",
            "-var",
            "--var",
            "-var-file",
            "--var-file",
            "--param",
            "--memory",
            "--ram",
            "--cpu",
            "--cpus",
            "--vcpus",
            "--disk",
            "--count",
        ],
        "`-e override.TYPE.KEY=VALUE` changes a value, `-e @FILE` many",
    ),
    (
        &["plan"],
        &["-o", "--out"],
        "plans are not kept: `maquette up` plans again, and asks before anything is lost",
    ),
    (
        &["ssh"],
        &["-l", "--user", "-u"],
        "the user stands before the node: `maquette ssh root@NODE`",
    ),
    (
        &["exec"],
        &["-l", "--user", "-u"],
        "the user stands before nodes: `maquette exec root@NODE -- COMMAND`",
    ),
    (
        &["exec"],
        &["-a", "--all"],
        "without a node the command runs on all: `maquette exec -- COMMAND`",
    ),
    (
        &["cp"],
        &["-a", "--archive"],
        "`--recursive --preserve`, or `-rp`, copies a directory as it is",
    ),
    (&["forward"], &["-L"], "ports are words here: `maquette forward NODE 8080:80`"),
    (&[], &["-f", "--file", "--config"], "`--project FILE` names the project file"),
];

/// clap's error for a command line's `words`, corrected in these points.
pub fn corrected(mut error: Error, words: &[OsString], world: &World) -> Error {
    if let Some(variable) = blamed(&error, words, &world.environment) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    if let Some(tip) = whose_command(&error, words).or_else(|| which_node(&error, words, world)) {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        return error;
    }
    if let Some(verb) = text(&error, ContextKind::InvalidSubcommand).map(String::from) {
        verb_of_others(&mut error, &verb, words);
    }
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(flag) = text(&error, ContextKind::InvalidArg).map(String::from)
    {
        flag_of_others(&mut error, &flag, words);
    }
    error
}

/// Which nodes there are, where a verb is not told which one it is about.
fn which_node(error: &Error, words: &[OsString], world: &World) -> Option<String> {
    let missing = suggested(error, ContextKind::InvalidArg);
    let is_node = missing.first().is_some_and(|first| first == "<NODE>");
    if error.kind() != ErrorKind::MissingRequiredArgument || !is_node {
        return None;
    }
    let words = words.iter().skip(1).filter_map(|word| word.to_str()).map(String::from);
    let nodes: Vec<String> = complete_names::of_nodes(world, &words.collect::<Vec<_>>());
    Some(match nodes.len() {
        0 => "`maquette status` shows the nodes, once `maquette up` has built them".into(),
        1..=MOST_NODES => format!("name a node: {}", nodes.join(", ")),
        many => {
            let first = nodes[..MOST_NODES].join(", ");
            format!("name a node: {first}, … ({many} in all, which `maquette status` shows)")
        }
    })
}

/// How a command for nodes is written that stands there without `--`, as ssh has it.
fn whose_command(error: &Error, words: &[OsString]) -> Option<String> {
    let mut whole = Cli::command();
    whole.build();
    let verb = verb(&whole, words);
    let words: Vec<&str> = words.iter().skip(1).filter_map(|word| word.to_str()).collect();
    let wrong = [ErrorKind::MissingRequiredArgument, ErrorKind::UnknownArgument];
    if verb.get_name() != "exec" || words.contains(&"--") || !wrong.contains(&error.kind()) {
        return None;
    }
    let at = words.iter().position(|word| *word == "exec")?;
    let (mut rest, mut options) = (&words[at + 1..], Vec::new());
    while let Some((flag, after)) = rest.split_first().filter(|(word, _)| word.starts_with('-')) {
        let long = flag.trim_start_matches('-');
        let known = verb.get_arguments().find(|arg| arg.get_long() == Some(long));
        let takes = known.is_some_and(|arg| arg.get_action().takes_values());
        let taken = usize::from(takes).min(after.len());
        options.extend_from_slice(&rest[..=taken]);
        rest = &after[taken..];
    }
    let plain =
        |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.=/".contains(c));
    let written = match rest {
        [node, command @ ..] if !command.is_empty() && words.iter().all(plain) => {
            let options = options.iter().map(|word| format!("{word} ")).collect::<String>();
            format!("maquette exec {options}{node} -- {}", command.join(" "))
        }
        _ => "maquette exec NODE -- COMMAND".into(),
    };
    Some(format!("the command stands after `--`: `{written}`"))
}

/// Says what there is in the place of a verb that is not here.
fn verb_of_others(error: &mut Error, verb: &str, words: &[OsString]) {
    let mut whole = Cli::command();
    whole.build();
    let of = self::verb(&whole, words).get_name();
    let behind = BEHIND.iter().find(|(ours, verbs, _)| *ours == of && verbs.contains(&verb));
    let anywhere = || ELSEWHERE.iter().find(|(verbs, _)| verbs.contains(&verb));
    let elsewhere = behind.map(|(_, _, tip)| *tip).or_else(|| anywhere().map(|(_, tip)| *tip));
    let tip = elsewhere.map(String::from).or_else(|| {
        PLUGINS.contains(&verb).then(|| {
            format!(
                "`infrared {verb} …` runs that plug-in of InfraRed's; it finds the inventory of the active workspace, \
                 which is in the same $IR_HOME"
            )
        })
    });
    if let Some(tip) = tip {
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        return;
    }
    // Clap finds `inventory` in `network`.
    let names = suggested(error, ContextKind::SuggestedSubcommand);
    match closest(verb, names.iter().map(String::as_str)) {
        Some(name) => {
            let name = ContextValue::Strings(vec![name.to_string()]);
            error.insert(ContextKind::SuggestedSubcommand, name);
        }
        None => {
            error.remove(ContextKind::SuggestedSubcommand);
            // What is left of it would be printed as an empty line.
            error.remove(ContextKind::Suggested);
        }
    }
}

/// Says what there is in the place of a flag that is not here. Clap would have it written behind `--`, where it would be the
/// name of a node, and finds a flag in each that begins alike.
fn flag_of_others(error: &mut Error, flag: &str, words: &[OsString]) {
    let mut whole = Cli::command();
    whole.build();
    let verb = verb(&whole, words);
    let has = |name: &str| verb.get_arguments().any(|arg| arg.get_long() == Some(name));
    let fits = |(verbs, flags, tip): &(&[&str], &[&str], &str), written: &str| {
        let named = tip.split(['`', ' ']).find_map(|word| word.strip_prefix("--"));
        let here = match verbs.is_empty() {
            true => named.map_or_else(|| has("topology-nodes"), has),
            false => verbs.contains(&verb.get_name()),
        };
        here && flags.contains(&written)
    };
    // Terraform has long flags with one dash, of which clap names the first letter alone.
    let typed = words.iter().filter_map(|word| word.to_str());
    let typed = typed.map(|word| word.split_once('=').map_or(word, |(name, _)| name));
    let whole = typed.filter(|word| flag.len() == 2 && word.len() > 2 && word.starts_with(flag));
    let written: Vec<&str> = whole.chain([flag]).collect();
    let similar = suggested(error, ContextKind::SuggestedArg);
    error.remove(ContextKind::Suggested);
    let row = |written: &&str| FLAGS_ELSEWHERE.iter().find(|row| fits(row, written));
    if let Some((_, _, tip)) = written.iter().find_map(row) {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![(*tip).into()]));
    } else if verb.get_name() == "ssh" && ssh::is_option(flag) {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![OF_SSH.into()]));
    } else if let Some(tip) = before_the_verb(flag, words) {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    } else if closest(flag, similar.iter().map(String::as_str)).is_none() {
        error.remove(ContextKind::SuggestedArg);
    }
}

/// What to say of a flag that stands before the verb whose flag it is, which may be a verb of a verb.
fn before_the_verb(flag: &str, words: &[OsString]) -> Option<String> {
    let whole = Cli::command();
    let words: Vec<&str> = words.iter().skip(1).filter_map(|word| word.to_str()).collect();
    let (mut command, mut verbs) = (&whole, Vec::new());
    for (at, word) in words.iter().enumerate() {
        if let Some(verb) = command.find_subcommand(word) {
            command = verb;
            verbs.push(at);
        }
    }
    let last = *verbs.last()?;
    let is_flag = |word: &&str| word.split_once('=').map_or(*word, |(name, _)| name) == flag;
    let has = |arg: &clap::Arg| {
        arg.get_long().is_some_and(|long| flag.strip_prefix("--") == Some(long))
            || arg.get_short().is_some_and(|short| flag == format!("-{short}"))
    };
    // Before the first verb nothing belongs, whatever it is.
    if !words[..verbs[0]].iter().any(is_flag) && !command.get_arguments().any(has) {
        return None;
    }
    let before = (0..last).filter(|at| !verbs.contains(at)).map(|at| words[at]);
    let options: Vec<&str> = before.collect();
    let named: Vec<&str> = verbs.iter().map(|at| words[*at]).collect();
    options.iter().any(is_flag).then(|| {
        format!("options come after the verb: `maquette {} {}`", named.join(" "), options.join(" "))
    })
}

/// The environment variable that a refused value comes from.
fn blamed(error: &Error, words: &[OsString], environment: &Environment) -> Option<String> {
    let shown = text(error, ContextKind::InvalidArg)?;
    let value = text(error, ContextKind::InvalidValue)?;
    let mut command = Cli::command();
    command.build();
    let command = verb(&command, words);
    let argument = command.get_arguments().find(|a| a.to_string() == shown)?;
    let variable = argument.get_env()?;
    let given = environment.text(variable.to_str()?)?;
    let delimiter = argument.get_value_delimiter();
    let one = given == value || delimiter.is_some_and(|d| given.split(d).any(|part| part == value));
    // A flag counts more than its variable: where both are given, the flag's value was refused.
    let flag = format!("--{}", argument.get_long()?);
    let is_flag = |word: &OsString| {
        let word = word.to_string_lossy();
        word == flag.as_str() || word.strip_prefix(&flag).is_some_and(|rest| rest.starts_with('='))
    };
    (one && !words.iter().any(is_flag)).then(|| variable.to_string_lossy().into_owned())
}

/// The verb, or the verb of a verb, that the words name.
fn verb<'a>(top: &'a Command, words: &[OsString]) -> &'a Command {
    let words = words.iter().skip(1).map(OsString::as_os_str).filter_map(OsStr::to_str);
    words.fold(top, |command, word| command.find_subcommand(word).unwrap_or(command))
}

fn text(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

fn suggested(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(name)) => vec![name.clone()],
        Some(ContextValue::Strings(names)) => names.clone(),
        _ => Vec::new(),
    }
}
