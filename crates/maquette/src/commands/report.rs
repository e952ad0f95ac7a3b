//! `maquette report`: all that somebody else needs to find out what is wrong, without secrets.

mod others;

use std::collections::BTreeSet;
use std::path::PathBuf;

use maquette_core::blueprint::Guest;
use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use maquette_core::scrub::scrub;
use maquette_core::values::{BmcCredentials, Secret, console_text};
use maquette_engine::bmc::CREDENTIALS;
use maquette_engine::private_file::read_text;
use maquette_engine::ssh_keys::{EnvironmentKey, KEY_FILE, SECRET_FILE};
use maquette_libvirt::Server;
use serde_json::json;
use uuid::Uuid;

use super::{doctor, status};
use crate::cli::TopologyArgs;
use crate::failure::Failure;
use crate::load::Located;
use crate::session::{Hypervisor, Session};
use crate::userfile::{self, Content};
use crate::workspace::archive;
use crate::workspace::outputs::VNC_PASSWORD;
use crate::world::World;
use crate::{load, pipeline, render};

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is asked for, whose plan goes along.
    #[command(flatten)]
    pub wanted: TopologyArgs,
    /// File to write, in tar.gz [default: maquette-report-ENVIRONMENT.tar.gz]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print what was written as JSON
    #[arg(long)]
    pub json: bool,
}

/// Most bytes from the end of a console or log.
const MOST: u64 = 64 << 10;

/// What is said at the beginning.
const README: &str = "\
What is in here was read by `maquette report`; nothing was changed. Seeds, keys and the content of disks are not in it.
Passwords, keys and tokens were taken out where Maquette knows them or they look like it: read it before passing it on.
Consoles are what the guests wrote.
";

/// Writes the report.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let located = load::located_of(&world.environment, &args.wanted)?;
    let mut secrets = secrets(world, &located);
    let first_boots = FirstBoots::read(world, args, &located);
    secrets.extend_from_slice(&first_boots.secrets);
    let mut session = Session::open(world, located.clone())?;
    world
        .terminal
        .meanwhile("looking at the hypervisor and at the nodes, which takes some seconds …");
    // It is wanted most where something does not answer.
    let hypervisor = session.find()?;
    let observed = hypervisor.observed();
    let mut facts = hypervisor.facts.clone();
    others::leave_out(&mut facts, &located.environment, &observed);
    let unread = first_boots.unread(&observed);
    let left_out = left_out(&unread);
    let readme = format!("{README}{}", left_out.as_deref().unwrap_or_default());
    let mut files = vec![("README.txt".to_string(), readme)];
    files.push(("versions.txt".into(), versions(&hypervisor)));
    files.push(("hypervisor.txt".into(), format!("{facts:#?}\n")));
    let or_why = |result: Result<String, Failure>| match result {
        Ok(text) => text,
        Err(failure) => format!("not available: {}\n", why(&failure)),
    };
    files.push(("status.json".into(), or_why(status::as_json(world, &mut session))));
    files.push((
        "doctor.json".into(),
        or_why(doctor::as_json(world, &mut session, &args.wanted.place)),
    ));
    files.push(("plan.json".into(), or_why(plan(world, args, &mut session))));
    if let Some(server) = hypervisor.libvirt.as_deref() {
        files.extend(definitions(server, &observed));
    }
    files.extend(logs(&session, &observed, &unread));
    for (_, text) in &mut files {
        *text = scrub(text, &secrets);
    }
    let folder = format!("maquette-report-{}", located.environment);
    let path = args.output.clone().unwrap_or_else(|| format!("{folder}.tar.gz").into());
    let failed = |e| Failure::because(format!("cannot write {}", path.display()), e);
    let bytes = archive::bundle(&folder, &files).map_err(failed)?;
    userfile::write(&world.terminal, &path, &bytes, Content::Private)?;
    if args.json {
        let names: Vec<&String> = files.iter().map(|(name, _)| name).collect();
        let file = path.display().to_string();
        let value = json!({"schema": 1, "file": file, "folder": folder, "files": names});
        world.terminal.result(&format!("{value:#}"));
    }
    if let Some(left_out) = left_out {
        world.terminal.talk(left_out.trim_end());
    }
    let count = files.len();
    world.terminal.talk(&format!(
        "{} has {count} files; passwords, keys and tokens were taken out, and what guests wrote is in it: read it \
         before you pass it on",
        path.display()
    ));
    Ok(0)
}

fn why(failure: &Failure) -> String {
    match failure {
        Failure::Failed(error) | Failure::Status(_, error) => error.in_one_line(),
        Failure::Input(diagnostics, _) => {
            diagnostics.iter().map(|d| d.message.as_str()).collect::<Vec<_>>().join("; ")
        }
        other => format!("it ended with {}", other.code()),
    }
}

fn versions(hypervisor: &Hypervisor) -> String {
    let facts = &hypervisor.facts;
    let emulator = hypervisor.libvirt.as_ref().and_then(|server| server.emulator().ok());
    // The CPU's description follows.
    let emulator = emulator.unwrap_or_default();
    let emulator = emulator.lines().next().unwrap_or_default().trim_end_matches([',', ' ']);
    let version = env!("CARGO_PKG_VERSION");
    format!("maquette {version}\nhypervisor {}, {}\n{emulator}\n", facts.name, facts.os.name)
}

/// The plan that `up` would carry out.
fn plan(world: &World, args: &Args, session: &mut Session<'_>) -> Result<String, Failure> {
    let mut loaded = load::wanted(&world.environment, &args.wanted);
    let requirements = pipeline::check(world, &mut loaded)?;
    let environment = loaded.request.settings.environment.to_string();
    let hypervisor = session.prepared_for(&requirements)?;
    let planned = pipeline::plan(world, &loaded, &hypervisor, pipeline::Scope::USUAL)?;
    let value = render::plan_json(&planned.plan, &environment, &hypervisor.preparation);
    Ok(format!("{value:#}\n"))
}

/// What libvirt has of domains and networks.
fn definitions(server: &dyn Server, observed: &Observed) -> Vec<(String, String)> {
    let domains =
        observed.domains.keys().map(|name| (ObjectKind::Domain, "domains", name.as_str()));
    let networks =
        observed.networks.keys().map(|name| (ObjectKind::Network, "networks", name.as_str()));
    let read = |(kind, folder, name): (ObjectKind, &str, &str)| {
        let text = match server.definition(kind, name) {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => format!("not available: {error}\n"),
        };
        (format!("{folder}/{name}.xml"), text)
    };
    domains.chain(networks).map(read).collect()
}

/// Ends of consoles and of QEMU's logs, but for those of some nodes.
fn logs(
    session: &Session<'_>,
    observed: &Observed,
    without: &BTreeSet<&str>,
) -> Vec<(String, String)> {
    let host = session.connection.host.as_ref();
    let read = |name: String, path: String| {
        let bytes = host.read_tail(&path, MOST).ok().flatten()?;
        Some((name, console_text(&bytes)))
    };
    let of = |domain: &maquette_core::observed::Domain| {
        let name = &domain.name;
        let serial = maquette_libvirt::serial_log(&domain.recorded);
        let emulator = format!("/var/log/libvirt/qemu/{name}.log");
        [read(format!("consoles/{name}.txt"), serial), read(format!("qemu/{name}.txt"), emulator)]
    };
    let domains = observed.domains.values().filter(|d| !without.contains(d.name.as_str()));
    domains.flat_map(of).flatten().collect()
}

/// The shortest line or value of a first boot that is taken for a secret, in characters: any shorter one is in every text.
const SHORTEST: usize = 6;

/// What the topology gives nodes for their first boots, which consoles and logs may repeat.
#[derive(Default)]
struct FirstBoots {
    /// It line by line, and the topology's password.
    secrets: Vec<String>,
    /// Digests of it, as nodes that were given the same have them in their records.
    digests: BTreeSet<Uuid>,
}

impl FirstBoots {
    /// What can be understood of it; all the rest of a report is wanted where that is nothing.
    fn read(world: &World, args: &Args, located: &Located) -> Self {
        let mut loaded = load::wanted(&world.environment, &args.wanted);
        let (_, topology) = pipeline::examine(&world.environment, &mut loaded);
        let roles = || topology.iter().flat_map(|topology| &topology.roles);
        let texts = roles().flat_map(|role| role.first_boot.secret_texts());
        let mut secrets: Vec<String> =
            texts.filter(|text| text.chars().count() >= SHORTEST).collect();
        let password = loaded.request.settings.vnc_password.as_ref();
        secrets.extend(password.map(|p| p.reveal().to_string()));
        let account = topology.as_ref().map(|topology| &topology.settings.bmc_credentials);
        let accounts = account.into_iter().chain([&loaded.request.settings.bmc_credentials]);
        secrets.extend(accounts.filter_map(|account| match account {
            BmcCredentials::Chosen { password, .. } => Some(password.reveal().to_string()),
            _ => None,
        }));
        // Without the environment's key nobody knows which texts a digest is of.
        let digests = match EnvironmentKey::read(&located.workspace.path) {
            Ok(Some(key)) => {
                let tag = |secret: &Secret| key.tag(secret);
                roles().filter_map(|role| role.first_boot.digest(&tag)).collect()
            }
            _ => BTreeSet::new(),
        };
        Self { secrets, digests }
    }

    /// Nodes that were given something else for their first boots, which nobody can take out of what they wrote.
    fn unread<'a>(&self, observed: &'a Observed) -> BTreeSet<&'a str> {
        let given = |guest: &Guest| guest.first_boot.is_some_and(|d| !self.digests.contains(&d));
        let nodes = observed.guests().filter(|(_, guest)| given(guest));
        nodes.map(|(domain, _)| domain.name.as_str()).collect()
    }
}

/// What is said of nodes whose consoles and logs are not in a report, if there are any.
fn left_out(unread: &BTreeSet<&str>) -> Option<String> {
    let names: Vec<&str> = unread.iter().copied().collect();
    (!names.is_empty()).then(|| {
        format!(
            "Consoles and QEMU's logs of {} are left out: what these nodes were given for their first boots may be in \
             them, and is not what was read now. With the files and flags of their `maquette up`, in the workspace \
             that built them, `maquette report` takes it out of them.\n",
            names.join(", ")
        )
    })
}

/// What is secret in the workspace, line by line, and in variables of ours.
fn secrets(world: &World, located: &Located) -> Vec<String> {
    let files = [KEY_FILE, SECRET_FILE, VNC_PASSWORD].map(|name| located.workspace.file(name));
    let texts = files.iter().filter_map(|file| read_text(file).ok());
    let lines = |text: String| text.lines().map(|l| l.trim().to_string()).collect::<Vec<_>>();
    let given = |name| world.environment.raw(name).map(|text| text.to_string_lossy().into_owned());
    let account = read_text(&located.workspace.file(CREDENTIALS)).ok();
    // Of an account the password is secret, and not its name.
    let accounts = [account, given("MAQUETTE_BMC_CREDENTIALS")].into_iter().flatten();
    let of_account = accounts.filter_map(|text| Some(text.trim().split_once(':')?.1.to_string()));
    let all = texts.flat_map(lines).chain(given("MAQUETTE_VNC_PASSWORD")).chain(of_account);
    all.filter(|line| !line.is_empty() && !line.starts_with("-----")).collect()
}
