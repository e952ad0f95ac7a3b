//! `maquette doctor`: what is wrong with nodes, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use maquette_core::doctor::{Finding, Layer, LoginTried, NodeSigns, Subject, diagnose};
use maquette_core::node_state::SshAnswer;
use maquette_core::observed::Observed;
use maquette_engine::doctor;
use maquette_libvirt::{LibvirtError, Server, networks_to_look_at, node_to_look_at};
use serde_json::Value;

use super::ssh_routes::Routes;
use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::load::{self, Located};
use crate::session::nodes::{self, Meaning};
use crate::session::{Ask, Session};
use crate::userfile::{self, Content};
use crate::world::World;
use crate::{render, signals};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// Which nodes.
    #[arg(value_name = "NODE", help = nodes::ALL)]
    pub nodes: Vec<String>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
    /// Directory for pictures of the screens of nodes that do not boot, NODE.png each
    #[arg(long, value_name = "DIR")]
    pub screenshots: Option<PathBuf>,
}

/// To how many nodes it is logged in at once.
const AT_ONCE: usize = 16;

/// Looks at every layer, and changes none. Exit code 1 if something is wrong.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let located = load::located(&world.environment, &args.place)?;
    signals::watch(&world.terminal).map_err(|e| Failure::because("cannot catch signals", e))?;
    let mut session = Session::open(world, located)?;
    let asked =
        Asked { place: &args.place, nodes: &args.nodes, screenshots: args.screenshots.as_deref() };
    world
        .terminal
        .meanwhile("looking at the hypervisor and at the nodes, which takes some seconds …");
    let found = examine(world, &mut session, asked)?;
    let located = &session.located;
    if args.json {
        world.terminal.result(&format!("{:#}", found.json(located)));
    } else {
        if found.nodes.is_empty() {
            let name = &located.environment;
            world
                .terminal
                .talk(&format!("environment `{name}` has no nodes; `maquette up` builds it"));
        }
        world.terminal.result(&render::findings(&found.findings, &found.nodes));
    }
    Ok(u8::from(!found.findings.is_empty()))
}

/// What `--json` prints of all nodes.
pub fn as_json(
    world: &World,
    session: &mut Session<'_>,
    place: &EnvironmentArgs,
) -> Result<String, Failure> {
    let asked = Asked { place, nodes: &[], screenshots: None };
    let found = examine(world, session, asked)?;
    Ok(format!("{:#}\n", found.json(&session.located)))
}

/// What is looked at.
#[derive(Clone, Copy)]
struct Asked<'a> {
    place: &'a EnvironmentArgs,
    nodes: &'a [String],
    screenshots: Option<&'a Path>,
}

/// What was found.
struct Found {
    nodes: BTreeSet<String>,
    findings: Vec<Finding>,
}

impl Found {
    fn json(&self, located: &Located) -> Value {
        let mut value = render::findings_json(&self.findings, &self.nodes);
        value["environment"] = located.environment.to_string().into();
        value
    }
}

fn examine(world: &World, session: &mut Session<'_>, asked: Asked<'_>) -> Result<Found, Failure> {
    let mut observed = session.running()?.observed();
    let located = &session.located;
    let nodes = match asked.nodes.is_empty() {
        true => observed.domains.keys().map(ToString::to_string).collect(),
        false => nodes::resolve(world, asked.nodes, located, &observed, Meaning::There)?,
    };
    observed.domains.retain(|name, _| nodes.contains(name.as_str()));
    let mut evidence = session.evidence(&observed, Ask::Failed)?;
    let mut signs: BTreeMap<String, NodeSigns> = BTreeMap::new();
    for name in &nodes {
        let evidence = evidence.remove(name).unwrap_or_default();
        signs.insert(name.clone(), NodeSigns { evidence, ..NodeSigns::default() });
    }
    let libvirt = session.libvirt()?.as_ref();
    ask_libvirt(libvirt, &observed, &mut signs)
        .map_err(|e| Failure::because("cannot ask libvirt about the nodes", e))?;
    let networks = networks_to_look_at(&observed, &signs);
    let look = |domain| node_to_look_at(domain, &signs[domain.name.as_str()]);
    let to_look_at: Vec<doctor::Node> = observed.domains.values().map(look).collect();
    let (host, pool) = (session.connection.host.as_ref(), &located.pool.path);
    let host = doctor::look(host, pool, &networks, &to_look_at, &mut signs)
        .map_err(|e| Failure::because("cannot look at the hypervisor", e))?;
    log_in(world, asked.place, &observed, &mut signs);
    let found = diagnose(&host, &observed, &signs);
    let mut findings: Vec<Finding> = found.into_iter().map(Finding::told).collect();
    if let Some(directory) = asked.screenshots {
        take_pictures(world, libvirt, directory, &mut findings)?;
    }
    Ok(Found { nodes, findings })
}

/// Asks libvirt about all nodes at the same time.
fn ask_libvirt(
    server: &dyn Server,
    observed: &Observed,
    signs: &mut BTreeMap<String, NodeSigns>,
) -> Result<(), LibvirtError> {
    let mut all: Vec<(&String, &mut NodeSigns)> = signs.iter_mut().collect();
    for some in all.chunks_mut(AT_ONCE) {
        std::thread::scope(|scope| {
            let ask = |(name, signs): &mut (&String, &mut NodeSigns)| {
                observed
                    .domains
                    .get(name.as_str())
                    .map_or(Ok(()), |domain| server.signs(domain, signs))
            };
            let threads: Vec<_> =
                some.iter_mut().map(|one| scope.spawn(move || ask(one))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
        })?;
    }
    Ok(())
}

/// Logs in to all nodes whose SSH servers answer, as `maquette ssh` does.
fn log_in(
    world: &World,
    place: &EnvironmentArgs,
    observed: &Observed,
    signs: &mut BTreeMap<String, NodeSigns>,
) {
    let routes = Routes::read(world, place).ok();
    let greeted = |(name, signs): &(&String, &mut NodeSigns)| {
        signs.evidence.ssh == Some(SshAnswer::Greeted)
            && observed.domains.contains_key(name.as_str())
    };
    let mut all: Vec<(&String, &mut NodeSigns)> = signs.iter_mut().filter(greeted).collect();
    for some in all.chunks_mut(AT_ONCE) {
        std::thread::scope(|scope| {
            for (name, signs) in some {
                let route = routes.as_ref().and_then(|routes| routes.one(name).ok());
                scope.spawn(move || {
                    signs.login = Some(match route {
                        Some(route) => {
                            let options: Vec<OsString> = route.options([]).collect();
                            doctor::ask(&options, &route.destination)
                        }
                        None => LoginTried::NoKey,
                    });
                });
            }
        });
    }
}

/// Takes pictures of the screens of nodes that do not boot.
fn take_pictures(
    world: &World,
    server: &dyn Server,
    directory: &Path,
    findings: &mut [Finding],
) -> Result<(), Failure> {
    for finding in findings.iter_mut().filter(|f| f.layer == Layer::Firmware) {
        let Subject::Node(name) = &finding.subject else { continue };
        // A screen that cannot be seen is none that helps.
        let Some(picture) = server.screenshot(name).ok().and_then(|taken| render::png(&taken))
        else {
            continue;
        };
        std::fs::create_dir_all(directory)
            .map_err(|e| Failure::because(format!("cannot make {}", directory.display()), e))?;
        let path = directory.join(format!("{name}.png"));
        userfile::write(&world.terminal, &path, &picture, Content::Private)?;
        finding.evidence.push(format!("its screen is in {}", path.display()));
    }
    Ok(())
}
