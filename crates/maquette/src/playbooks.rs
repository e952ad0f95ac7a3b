//! The user's own playbooks: at InfraRed's injection points, with the environment's inventory.

pub mod output;
pub mod stages;

use std::path::{Path, PathBuf};
use std::process::Command;

use maquette_core::blueprint::Node;
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::syntax::{Plain, Sources, Value, parse_bool};
use maquette_core::topology::Request;
use maquette_engine::private_file::write_private;
use maquette_engine::{Cause, StepError};

use crate::failure::Failure;
use crate::playbooks::output::Output;
use crate::playbooks::stages::{Stage, Stages};
use crate::signals;

use crate::workspace::Workspace;
use crate::workspace::named::Workspaces;
use crate::workspace::outputs;
use crate::world::World;

/// Where a playbook can stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// In place of a stage.
    Stage(Stage),
    /// In place of the whole provisioning.
    Whole,
    /// In place of the removal.
    Cleanup,
}

/// Injection points: variable, what it replaces, and InfraRed's own playbook for it.
const POINTS: [(&str, Point, &str); 10] = [
    ("provision_cleanup", Point::Cleanup, "cleanup.yml"),
    ("provision_playbook", Point::Whole, "provision.yml"),
    ("provision_pre", Point::Stage(Stage::Pre), "pre.yml"),
    ("validate_hypervisor", Point::Stage(Stage::Validate), "validate_hypervisor.yml"),
    ("prepare_hypervisor", Point::Stage(Stage::Prepare), "prepare_hypervisor.yml"),
    ("provision_networks", Point::Stage(Stage::Networks), "provision_networks.yml"),
    ("provision_vms", Point::Stage(Stage::Vms), "provision_vms.yml"),
    ("provision_user", Point::Stage(Stage::User), "provision_user.yml"),
    ("provision_vms_timezone", Point::Stage(Stage::Timezone), "provision_vms_timezone.yml"),
    ("provision_post", Point::Stage(Stage::Post), "post.yml"),
];

/// Playbooks of InfraRed that are parts of Maquette itself: BGP networks and nodes are built like
/// others.
const BUILT_IN: [&str; 2] = ["provision_networks_bgp.yml", "provision_vms_bgp.yml"];

/// Playbooks that set up appliances, by InfraRed's names and as they are here.
const APPLIANCES: [(&str, &str); 2] = [
    ("provision_post_l3appliance.yml", include_str!("../assets/l3appliance.yml")),
    ("provision_post_ovsvswitch.yml", include_str!("../assets/vswitch.yml")),
];

/// Playbooks of InfraRed for appliances whose makers alone have their images.
const PROPRIETARY: [&str; 2] = ["provision_post_veos.yml", "provision_post_vqfx.yml"];

/// What InfraRed's playbooks ask: whether their stage is to run, and whether any is.
const CONDITION: &str = "_run_condition";
const MAIN_CONDITION: &str = "_main_run_condition";

/// What runs playbooks.
const ANSIBLE: &str = "ansible-playbook";

/// The variable with the ports of switches.
const PORTS: &str = "switch_ports";

/// The network file's key for an L3 appliance.
const L3_CONFIG: &str = "l3appliance_config";

/// Where a playbook is.
#[derive(Debug, Clone)]
enum Playbook {
    /// The user's own.
    File(PathBuf),
    /// One that comes with Maquette: its name and text.
    Own(&'static str, &'static str),
}

impl Playbook {
    /// The playbook that a variable names; none if Maquette itself does what it did.
    fn find(world: &World, variable: &str, path: &str) -> Result<Option<Self>, Diagnostic> {
        let name = path.rsplit('/').next().unwrap_or(path);
        if Path::new(path).is_file() {
            return Ok(Some(Self::File(world.environment.absolute(path))));
        }
        if BUILT_IN.contains(&name) {
            return Ok(None);
        }
        if let Some((name, text)) = APPLIANCES.iter().find(|(own, _)| *own == name) {
            return Ok(Some(Self::Own(name, text)));
        }
        if PROPRIETARY.contains(&name) {
            let message = format!("`{variable}={path}` does not come with Maquette");
            return Err(Diagnostic::error("playbook::proprietary", message).help(
                "name a playbook of your own; its variable `switch_ports` says which port of \
                 each switch leads to which node",
            ));
        }
        let message = format!("there is no playbook {path}, which `{variable}` names");
        Err(Diagnostic::error("playbook::missing", message)
            .help("a relative path starts in the current directory"))
    }
}

/// Says that appliances do not get the authorities of downloads: that was all that InfraRed had them for.
fn tell_of_authorities(world: &World, request: &Request, playbooks: &[(Point, Playbook)]) {
    let own = playbooks.iter().find_map(|(_, playbook)| match playbook {
        Playbook::Own(name, _) => Some(name),
        Playbook::File(_) => None,
    });
    if let Some(name) = own.filter(|_| !request.settings.tls_ca.is_empty()) {
        world.terminal.talk_once(format!(
            "warning: `tls-ca` is for what Maquette downloads, and the appliance of {name} does not get it: \
             `files` and `commands` of its node type install a certificate there"
        ));
    }
}

/// The error of a variable that has something else than a playbook's name.
fn not_one(variable: &str, value: &Value) -> Diagnostic {
    let other = if matches!(value, Value::List(_)) { "a list" } else { "a mapping" };
    Diagnostic::error("playbook::form", format!("`{variable}` takes one playbook, not {other}"))
        .help("a playbook of several lines such as `- import_playbook: first.yml` runs several")
}

/// InfraRed's configuration of Ansible, with the search paths of its roles and filters: where the user names none and there
/// is none in the current directory.
fn configuration(world: &World) -> Option<PathBuf> {
    let environment = &world.environment;
    let here = environment.absolute("ansible.cfg");
    if environment.said("ANSIBLE_CONFIG").is_some() || here.is_file() {
        return None;
    }
    Some(Workspaces::of(environment).home.join("ansible.cfg")).filter(|file| file.is_file())
}

/// Whether InfraRed's stage is to run, by its settings; none where its stages ask that each for themselves. It would make
/// networks again for nodes that are added to them.
fn condition(point: Point, provision: &serde_json::Value) -> Option<bool> {
    let is = |value: &serde_json::Value| match value {
        serde_json::Value::Bool(truth) => *truth,
        serde_json::Value::String(text) => !text.is_empty() && parse_bool(text) != Some(false),
        serde_json::Value::Object(map) => !map.is_empty(),
        _ => false,
    };
    let topology = &provision["topology"];
    let (extends, nodes) = (is(&topology["extend"]), is(&topology["nodes"]));
    match point {
        Point::Whole => None,
        Point::Stage(Stage::Pre | Stage::Prepare | Stage::Networks) => Some(!extends),
        Point::Stage(Stage::Validate) => {
            Some(nodes && !is(&provision["host"]["memory"]["overcommit"]))
        }
        Point::Stage(Stage::Vms) => Some(nodes),
        Point::Stage(Stage::Timezone) => Some(nodes && is(&topology["timezone"])),
        Point::Stage(Stage::User | Stage::Post | Stage::Facts) | Point::Cleanup => Some(true),
    }
}

/// The playbooks of one run.
#[derive(Debug, Clone)]
pub struct Hooks {
    playbooks: Vec<(Point, Playbook)>,
    replaced: Vec<Stage>,
    /// Extra variables, as the playbooks see them.
    vars: serde_json::Value,
    /// Further arguments of `ansible-playbook`.
    args: Vec<String>,
    /// Where goes what they print.
    output: Output,
    /// Whether they know whether InfraRed would run their stages.
    has_conditions: bool,
}

impl Hooks {
    /// Finds the playbooks that extra variables name. `vars` is what the playbooks see besides the network
    /// file's configuration of an L3 appliance, `args` are further arguments of `ansible-playbook`.
    pub fn read(
        world: &World,
        request: &Request,
        vars: &Plain,
        args: &[String],
    ) -> Result<Self, Failure> {
        let extra = &request.extra;
        let mut playbooks = Vec::new();
        let mut diags = Diagnostics::default();
        for (variable, point, own) in POINTS {
            let path = match extra.get(variable).map(|n| &n.value) {
                Some(Value::Scalar(path, _)) => path,
                Some(value @ (Value::List(_) | Value::Map(_))) => {
                    diags.push(not_one(variable, value));
                    continue;
                }
                None | Some(Value::Null) => continue,
            };
            if path == own && Path::new(path).is_file() {
                // As in InfraRed, where a file of that name beside its own was never meant.
                world.terminal.talk_once(format!(
                    "`{variable}={own}` means the stage as it is; `{variable}=./{own}` is the file in this directory"
                ));
            }
            if path == own || path.is_empty() {
                continue;
            }
            match Playbook::find(world, variable, path) {
                Ok(playbook) => playbooks.extend(playbook.map(|playbook| (point, playbook))),
                Err(mistake) => diags.push(mistake),
            }
        }
        if !playbooks.is_empty() && !world.environment.has_program(ANSIBLE) {
            let message = format!("`{ANSIBLE}` is not installed, but there are playbooks to run");
            diags.push(
                Diagnostic::error("playbook::ansible", message)
                    .help("`pip install ansible-core`, or your distribution's package"),
            );
        }
        if diags.has_errors() {
            return Err(Failure::Input(diags, Sources::default()));
        }
        tell_of_authorities(world, request, &playbooks);
        let replaced = playbooks
            .iter()
            .filter_map(|(point, _)| match point {
                Point::Stage(stage) => Some(*stage),
                _ => None,
            })
            .collect();
        let mut vars = vars.clone();
        if let (Plain::Map(vars), Some(node)) = (&mut vars, request.network.get(L3_CONFIG)) {
            vars.insert(L3_CONFIG.into(), Plain::of(node));
        }
        let vars = serde_json::to_value(vars)
            .map_err(|e| Failure::because("cannot write the playbooks' variables", e))?;
        let output = Output::default();
        Ok(Self { playbooks, replaced, vars, args: args.to_vec(), output, has_conditions: false })
    }

    /// Has the playbooks find what InfraRed's find, and what they print go where its variables say.
    #[must_use]
    pub fn with_infrareds(mut self, world: &World, output: Output) -> Self {
        self.output = output;
        if let Some(vars) = self.vars.as_object_mut().filter(|_| !self.playbooks.is_empty()) {
            vars.entry(MAIN_CONDITION).or_insert(true.into());
            self.has_conditions = true;
            if let Some(python) = output::python(&world.environment, ANSIBLE) {
                vars.entry("infrared").or_insert(python);
            }
        }
        self
    }

    /// Leaves out the playbooks of stages that are not selected.
    #[must_use]
    pub fn only(mut self, selected: &Stages) -> Self {
        self.playbooks.retain(|(point, _)| match point {
            Point::Stage(stage) => selected.has(*stage),
            _ => true,
        });
        self.replaced.retain(|stage| selected.has(*stage));
        self
    }

    /// Lets the playbooks from now on know the nodes' wiring, as `switch_ports`, unless the user has
    /// said it.
    pub fn know(&mut self, nodes: &[&Node]) {
        if let Some(vars) = self.vars.as_object_mut() {
            vars.entry(PORTS).or_insert_with(|| outputs::switch_ports(nodes));
        }
    }

    /// Whether there is one at any of some stages.
    pub fn has(&self, stages: &[Stage]) -> bool {
        let is_at = |(point, _): &(Point, Playbook)| matches!(point, Point::Stage(stage) if stages.contains(stage));
        self.playbooks.iter().any(is_at)
    }

    /// Stages that are replaced.
    pub fn replaced(&self) -> &[Stage] {
        &self.replaced
    }

    /// Whether a stage is replaced.
    pub fn replaces(&self, stage: Stage) -> bool {
        self.replaced.contains(&stage)
    }

    /// Says which stages of a plan are left to playbooks of the user's.
    pub fn tell_replaced(&self, world: &World) {
        let stages: Vec<&str> = self.replaced.iter().map(|stage| stage.tag()).collect();
        if !stages.is_empty() {
            let text = "playbooks of yours are in the place of these stages, and what they do is not shown";
            world.terminal.talk(&format!("{text}: {}", stages.join(", ")));
        }
    }

    /// Whether there is a playbook at a point.
    pub fn is_at(&self, point: Point) -> bool {
        self.playbooks.iter().any(|(known, _)| *known == point)
    }

    /// What the playbook at a point sees.
    fn vars_at(&self, point: Point) -> serde_json::Value {
        let mut vars = self.vars.clone();
        let condition = condition(point, &vars["provision"]).filter(|_| self.has_conditions);
        if let (Some(condition), Some(vars)) = (condition, vars.as_object_mut()) {
            vars.entry(CONDITION).or_insert(condition.into());
        }
        vars
    }

    /// Runs the playbook that replaces a stage, if there is one.
    pub fn run(&self, world: &World, stage: Stage, workspace: &Workspace) -> Result<(), Failure> {
        self.at(world, Point::Stage(stage), workspace).map(|_| ())
    }

    /// Runs the playbook at a point; false if there is none.
    pub fn at(&self, world: &World, point: Point, workspace: &Workspace) -> Result<bool, Failure> {
        let Some((_, playbook)) = self.playbooks.iter().find(|(p, _)| *p == point) else {
            return Ok(false);
        };
        let playbook = match playbook {
            Playbook::File(path) => path.clone(),
            Playbook::Own(name, text) => {
                let path = workspace.file(name);
                write_private(&path, text.as_bytes())
                    .map_err(|e| Failure::because(format!("cannot write {}", path.display()), e))?;
                path
            }
        };
        let failed =
            |e: Cause| Failure::because(format!("cannot run playbook {}", playbook.display()), e);
        let vars = workspace.file("extra_vars.json");
        let known = self.vars_at(point).to_string();
        write_private(&vars, known.as_bytes()).map_err(|e| failed(e.into()))?;
        world.terminal.talk(&format!("playbook {}", playbook.display()));
        let mut command = Command::new(ANSIBLE);
        command
            .arg("-i")
            .arg(outputs::whole_inventory(workspace))
            .arg("-e")
            .arg(format!("@{}", vars.display()))
            .args(&self.args)
            .arg(&playbook);
        if let Some(configuration) = configuration(world) {
            command.env("ANSIBLE_CONFIG", configuration);
        }
        let status = self.output.run(world, &mut command);
        // It may hold secrets, and nothing needs it any more.
        let _ = std::fs::remove_file(&vars);
        let Some(status) = status.map_err(|e| failed(e.into()))? else {
            return Err(Failure::Interrupted { booting: Vec::new(), code: signals::code() });
        };
        if status.success() {
            return Ok(true);
        }
        let code = status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1);
        let error = StepError::new(format!("playbook {} failed: {status}", playbook.display()));
        Err(Failure::Status(code, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `_run_condition` was always true: a copy of InfraRed's networks ran again on an environment that was extended.
    #[test]
    fn a_playbook_in_the_place_of_a_stage_knows_whether_infrared_would_run_it() {
        let runs = |settings: serde_json::Value| {
            let stages = Stage::ALL.into_iter();
            let runs =
                stages.filter(|stage| condition(Point::Stage(*stage), &settings) == Some(true));
            runs.map(Stage::tag).collect::<Vec<_>>().join(" ")
        };
        let nodes = serde_json::json!({"web.yml": 1});
        assert_eq!(
            runs(serde_json::json!({"topology": {"nodes": nodes, "timezone": "Etc/UTC"}})),
            "pre validations hypervisor networks vms user timezone post collect-ansible-facts"
        );
        assert_eq!(
            runs(serde_json::json!({"topology": {"nodes": nodes, "extend": true, "timezone": ""}})),
            "validations vms user post collect-ansible-facts"
        );
        assert_eq!(
            runs(
                serde_json::json!({"host": {"memory": {"overcommit": true}}, "topology": {"timezone": "Etc/UTC"}})
            ),
            "pre hypervisor networks user post collect-ansible-facts"
        );
        assert_eq!(condition(Point::Whole, &serde_json::Value::Null), None);
    }
}
