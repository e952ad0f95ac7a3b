//! `maquette host`: a report on a hypervisor, and undoing its preparation.

use std::sync::Arc;
use std::time::Duration;

use maquette_core::blueprint::Template;
use maquette_core::diagnostic::Diagnostic;
use maquette_core::plan::{self, Action, Plan, PoolState, Setting, Step};
use maquette_core::units::ByteSize;
use maquette_core::values::NodeName;
use maquette_engine::prepare::record::Record;
use maquette_engine::prepare::{self, daemons, record, ssh_limits};
use maquette_engine::probe::{Daemons, Facts, SshLimits};
use maquette_engine::{StepError, lifetimes, start_times};
use maquette_libvirt::Survey;
use serde_json::json;

use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::load::Located;
use crate::session::{self, Hypervisor, Session};
use crate::world::World;
use crate::{consent, render};

/// What to do with a hypervisor.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Report what it has and lacks, and change nothing
    Check {
        /// Which one.
        #[command(flatten)]
        place: EnvironmentArgs,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Undo what preparation has changed; refused while domains exist
    Restore(RestoreArgs),
}

/// Which hypervisor is put back, and how.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// Which one.
    #[command(flatten)]
    place: EnvironmentArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Print what happens as JSON, one event a line
    #[arg(long)]
    json: bool,
}

/// Checks a hypervisor, or puts it back.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    match args {
        Args::Check { place, json } => check(world, place, *json),
        Args::Restore(args) => restore(world, args),
    }
}

/// What the report says of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Good,
    /// Not yet as it should be; `up` changes it.
    Prepared,
    /// Something can be built, and will be slow, or will not reach all it should.
    Poor,
    /// Nothing can be built.
    Bad,
}

impl Verdict {
    fn sign(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Prepared => "up will",
            Self::Poor => "warning",
            Self::Bad => "error",
        }
    }
}

/// One line of the report.
struct Item {
    name: &'static str,
    verdict: Verdict,
    text: String,
    remedy: Option<String>,
}

/// The lines of the report, in order.
#[derive(Default)]
struct Report(Vec<Item>);

impl Report {
    fn add(&mut self, name: &'static str, verdict: Verdict, text: impl Into<String>) {
        self.0.push(Item { name, verdict, text: text.into(), remedy: None });
    }

    /// Adds to the last line what can be done about it.
    fn advise(&mut self, remedy: impl Into<String>) {
        if let Some(last) = self.0.last_mut() {
            last.remedy = Some(remedy.into());
        }
    }
}

/// Prints the report; exit code 1 if nothing could be built.
fn check(world: &World, place: &EnvironmentArgs, as_json: bool) -> Result<u8, Failure> {
    let mut session = Session::at(world, place)?;
    let hypervisor = session.find()?;
    let facts = &hypervisor.facts;
    let mut report = Report::default();
    system(facts, &mut report);
    virtualisation(facts, &mut report);
    libvirt(&hypervisor, &session.located, &mut report);
    memory(&hypervisor, &mut report);
    network(facts, &mut report);
    if let Some(limits) = &facts.sshd {
        ssh(limits, &mut report);
    }
    let bad = report.0.iter().any(|i| i.verdict == Verdict::Bad);
    if as_json {
        let items: Vec<_> = report
            .0
            .iter()
            .map(|i| {
                json!({"name": i.name, "verdict": i.verdict.sign(), "text": i.text, "remedy": i.remedy})
            })
            .collect();
        let value = json!({
            "schema": 1, "hypervisor": session.connection.label, "name": facts.name, "checks": items,
        });
        world.terminal.result(&format!("{value:#}"));
    } else {
        world
            .terminal
            .result(&format!("hypervisor {} at {}\n", facts.name, session.connection.label));
        let rows: Vec<_> = report
            .0
            .iter()
            .map(|i| (i.name, i.verdict.sign(), i.text.as_str(), i.remedy.as_deref()))
            .collect();
        world.terminal.result(&render::checklist(&rows));
    }
    Ok(u8::from(bad))
}

fn system(facts: &Facts, report: &mut Report) {
    match facts.family() {
        Some(family) => {
            report.add("system", Verdict::Good, format!("{} ({})", facts.os.name, family.name));
        }
        None => {
            report.add("system", Verdict::Poor, format!("{}, not a known family", facts.os.name));
            report.advise("install libvirt, QEMU, qemu-utils, dnsmasq and curl by hand");
        }
    }
    if facts.missing.is_empty() {
        report.add("packages", Verdict::Good, "all there");
    } else {
        report.add("packages", Verdict::Prepared, format!("install {}", facts.missing.join(", ")));
    }
}

fn virtualisation(facts: &Facts, report: &mut Report) {
    match &facts.kvm {
        Ok(()) => report.add("KVM", Verdict::Good, "usable"),
        Err(why) => {
            report.add("KVM", Verdict::Poor, format!("{why}; guests are emulated, and slow"));
            report.advise("switch virtualisation on in the firmware, or in the outer hypervisor");
        }
    }
    if let Some((mode, group)) = facts.kvm_device.as_ref().filter(|_| facts.kvm_closed()) {
        let text = format!("open /dev/kvm (mode {mode}, group {group}) to group kvm");
        report.add("/dev/kvm", Verdict::Prepared, text);
    }
    let nested_off = prepare::host_facts(facts, None).nested_off;
    match &facts.nested {
        Some((module, _)) if nested_off.is_some() => {
            report.add("nested", Verdict::Prepared, format!("switch it on in {module}"));
        }
        Some((module, true)) => report.add("nested", Verdict::Good, format!("on in {module}")),
        Some((module, false)) if Record::of(facts).is_ok_and(|r| r.nested.is_some()) => {
            report.add(
                "nested",
                Verdict::Poor,
                format!("{module} was loaded before that was set, and has to be loaded again"),
            );
            report.advise("restart the hypervisor");
        }
        _ => {}
    }
}

fn libvirt(hypervisor: &Hypervisor, located: &Located, report: &mut Report) {
    match (&hypervisor.libvirt, &hypervisor.facts.daemons) {
        (Some(_), _) => report.add("libvirt", Verdict::Good, "answers"),
        (None, Daemons::Missing) if hypervisor.facts.family().is_none() => {
            report.add("libvirt", Verdict::Bad, "not installed");
        }
        (None, Daemons::Missing) => {
            report.add("libvirt", Verdict::Prepared, "install and start it")
        }
        (None, _) => report.add("libvirt", Verdict::Prepared, "start it"),
    }
    let (name, wanted) = (&located.pool.name, &located.pool.path);
    match hypervisor.seen.as_ref().map(|s| (&s.pool, s.observed.pool_free)) {
        Some((PoolState::Active(path), free)) if path.trim_end_matches('/') == wanted => {
            let free = free.map_or(String::new(), |f| format!(", {} free", ByteSize(f)));
            report.add("pool", Verdict::Good, format!("{name} at {path}{free}"));
        }
        Some((PoolState::Active(path) | PoolState::Inactive(path), _))
            if path.trim_end_matches('/') != wanted =>
        {
            report.add("pool", Verdict::Bad, format!("{name} is at {path}, not at {wanted}"));
            report.advise(format!("use it with `--disk-pool {path}`, or another `--pool-name`"));
        }
        Some((PoolState::Unreadable(why), _)) => {
            report.add("pool", Verdict::Bad, format!("{name} cannot be used: {why}"));
            report.advise(format!(
                "`virsh pool-refresh {name}` tells more; or another `--pool-name`"
            ));
        }
        Some((PoolState::Inactive(_), _)) => {
            report.add("pool", Verdict::Prepared, format!("start {name}"));
        }
        _ => report.add("pool", Verdict::Prepared, format!("define {name} at {wanted}")),
    }
}

fn memory(hypervisor: &Hypervisor, report: &mut Report) {
    let facts = &hypervisor.facts;
    let mib = |mib: u64| ByteSize(mib.saturating_mul(1 << 20));
    let observed = hypervisor.observed();
    let nothing = maquette_core::blueprint::Blueprint::nothing();
    let capacity = maquette_core::capacity::Capacity {
        cpus: facts.cpus,
        total_mib: facts.memory_mib,
        available_mib: facts.available_mib,
        reserved_mib: 0,
        resident_mib: &facts.resident_mib,
    };
    let memory = maquette_core::capacity::memory(&nothing, &observed, &capacity);
    let text = format!(
        "{} for new nodes ({} of {} available, {} promised to existing domains), {} CPUs",
        mib(memory.free()),
        mib(memory.available),
        mib(facts.memory_mib),
        mib(memory.promised),
        facts.cpus,
    );
    let verdict = if memory.free() < 1024 { Verdict::Poor } else { Verdict::Good };
    report.add("memory", verdict, text);
}

fn network(facts: &Facts, report: &mut Report) {
    if facts.forward_drop {
        report.add(
            "firewall",
            Verdict::Poor,
            "drops forwarded packets by default, as Docker sets it",
        );
        report.advise(
            "nodes on NAT networks may not reach the outside: `iptables -P FORWARD ACCEPT`",
        );
    }
    if facts.zone_unknown {
        let text = "reload it, for libvirt's zone, if all of its rules are permanent";
        report.add("firewalld", Verdict::Prepared, text);
    }
    let at_risk: Vec<&str> = facts
        .router_interfaces
        .iter()
        .filter(|(_, value)| value == "1")
        .map(|(name, _)| name.as_str())
        .collect();
    if !at_risk.is_empty() {
        let text = format!("for IPv6 networks, set accept_ra to 2 on {}", at_risk.join(", "));
        report.add("IPv6", Verdict::Prepared, text);
    }
    if let Some(zone) = &facts.timezone {
        report.add("time zone", Verdict::Good, zone.clone());
    }
}

fn ssh(limits: &SshLimits, report: &mut Report) {
    let text = format!("MaxSessions {}, MaxStartups {}", limits.sessions, limits.startups);
    match (limits.sessions.min(limits.startups) >= ssh_limits::SESSIONS, limits.drop_ins) {
        (true, _) => report.add("sshd", Verdict::Good, text),
        (false, true) => report.add("sshd", Verdict::Prepared, format!("raise {text} to 100")),
        (false, false) => {
            report.add("sshd", Verdict::Poor, format!("{text}, and it reads no drop-ins"));
            report.advise("put `MaxSessions 100` and `MaxStartups 100:30:100` into sshd_config");
        }
    }
}

/// Finds a hypervisor with libvirt running if it is installed: what still exists there is seen only then.
fn with_libvirt(world: &World, session: &mut Session<'_>) -> Result<Arc<Hypervisor>, Failure> {
    let hypervisor = session.find()?;
    let daemons = &hypervisor.facts.daemons;
    if hypervisor.libvirt.is_some() || *daemons == Daemons::Missing {
        return Ok(hypervisor);
    }
    // Whoever else stopped them had a reason. A restoring that did not come to its end has stopped them itself.
    let record = Record::of(&hypervisor.facts).unwrap_or_default();
    if record.daemons || record.restoring {
        world
            .terminal
            .talk("libvirt does not answer; starting its daemons, to see what still exists");
        daemons::start(session.behind_lock().host(), daemons)
            .map_err(|e| Failure::because("cannot start libvirt", e))?;
        world.terminal.touched("libvirt's daemons, which were started".into());
    }
    session.running()
}

/// The same before anything is locked. To start daemons is a change, too: somebody may be stopping or removing them. They
/// are started under the lock, and nobody waits for it while the user thinks.
fn first_look(world: &World, session: &mut Session<'_>) -> Result<Arc<Hypervisor>, Failure> {
    let hypervisor = session.find()?;
    if hypervisor.libvirt.is_some() || hypervisor.facts.daemons == Daemons::Missing {
        return Ok(hypervisor);
    }
    session.lock_hypervisor("host restore")?;
    let hypervisor = with_libvirt(world, session);
    session.unlock_hypervisor();
    hypervisor
}

/// What was done by a restoring that was refused only then.
const FORGOTTEN: &str = "images that nothing used, and Maquette's own notes there, were removed; nothing else was undone";

/// Undoes preparation. All domains must be gone first, also those that are not Maquette's.
fn restore(world: &World, args: &RestoreArgs) -> Result<u8, Failure> {
    let mut session = Session::at(world, &args.place)?;
    let hypervisor = first_look(world, &mut session)?;
    let record = recorded(&hypervisor)?;
    let plan = undoing(&hypervisor, &record);
    if plan.is_empty() {
        world.terminal.talk("preparation has left no changes here");
        return Ok(0);
    }
    in_use(&hypervisor, Leftovers::Go, &plan, &record)?;
    if !args.json {
        world.terminal.plan(&plan, &hypervisor.title());
    }
    if !args.yes {
        let hints = ["say `--yes` if that is what you want".into()];
        consent::question(
            world,
            "plan::unconfirmed",
            "undo that on the hypervisor",
            args.json,
            &hints,
        )?;
    }
    session.prepare_runs(args.json, Duration::from_secs(60))?;
    session.lock_hypervisor("host restore")?;
    // Cached images go, too: whoever begins to build from now on waits, and who began before is seen.
    session.lock_images("host restore")?;
    // Until now somebody may have prepared, built or restored something here.
    let shown = plan;
    let hypervisor = with_libvirt(world, &mut session)?;
    let record = recorded(&hypervisor)?;
    in_use(&hypervisor, Leftovers::Go, &shown, &record)?;
    session.must_be_idle()?;
    let plan = undoing(&hypervisor, &record);
    let known = |name: &String| shown.changes.iter().any(|c| c.name == *name);
    if let Some(new) = plan.changes.iter().find(|c| !known(&c.name)) {
        let message = format!("somebody has just prepared this hypervisor further: {}", new.name);
        let error = StepError::new(message).hint("nothing was undone; run the same command again");
        return Err(Failure::Failed(error));
    }
    if hypervisor.libvirt.is_some() {
        for pool in &record.pools {
            session.prune(pool)?;
        }
    }
    let fence = session.behind_lock();
    let host = fence.host();
    start_times::remove(host).map_err(|e| Failure::because("cannot undo preparation", e))?;
    lifetimes::remove_all(host).map_err(|e| Failure::because("cannot undo preparation", e))?;
    // What is left of templates is gone now, or somebody else's.
    let hypervisor = with_libvirt(world, &mut session)?;
    in_use(&hypervisor, Leftovers::AreGone, &plan, &record).map_err(|e| e.after(FORGOTTEN))?;
    session.run(&plan)?;
    let fence = session.behind_lock();
    record::remove_directory(fence.host())
        .map_err(|e| Failure::because("cannot undo preparation", e))?;
    Ok(0)
}

/// Undoes what preparation has changed, and closes logins that are still open for environments of which nothing else is left.
fn undoing(hypervisor: &Hypervisor, record: &Record) -> Plan {
    plan::restore(prepare::undoable(record), &hypervisor.facts.forwarding)
}

/// What preparation has changed, as it is noted on the hypervisor; an error if that cannot be read.
fn recorded(hypervisor: &Hypervisor) -> Result<Record, Failure> {
    Record::of(&hypervisor.facts).map_err(|why| {
        Failure::Failed(
            StepError::new(format!(
                "the record of what preparation has changed, {}, cannot be read: {why}",
                record::PATH
            ))
            .hint("repair it by hand: without it nobody knows what to put back"),
        )
    })
}

/// Domains that making a template has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leftovers {
    /// They are removed together with the images.
    Go,
    /// They were removed: those that are there are somebody else's.
    AreGone,
}

/// Refuses what others have made with a libvirt that preparation has brought, and that would go or stop.
fn others_need_libvirt(found: &Survey, record: &Record, plan: &Plan) -> Result<(), Failure> {
    let ends = |step: &Step| {
        matches!(step.action, Action::Restore(Setting::Packages { .. } | Setting::Daemons))
    };
    if !plan.steps.iter().any(ends) {
        return Ok(());
    }
    // Libvirt brings the network of that name itself.
    let networks = found.networks.iter().map(|(name, _)| name).filter(|name| *name != "default");
    let pools = found.pools.iter().filter(|name| !record.pools.contains(*name));
    let all: Vec<String> = networks
        .map(|name| format!("network {name}"))
        .chain(pools.map(|name| format!("storage pool {name}")))
        .collect();
    if all.is_empty() {
        return Ok(());
    }
    let message = format!("others use the libvirt that would go: {}", all.join(", "));
    Err(Failure::input(
        Diagnostic::error("host::in-use", message)
            .help("whoever made them removes them: `virsh net-undefine` and `virsh pool-undefine`, which leaves files"),
    ))
}

/// Refuses while domains or environments exist on a hypervisor, or what others made with a libvirt that goes.
fn in_use(
    hypervisor: &Hypervisor,
    leftovers: Leftovers,
    plan: &Plan,
    record: &Record,
) -> Result<(), Failure> {
    let observed = hypervisor.observed();
    let own = observed.domains.keys().map(NodeName::as_str);
    let others = observed.claims.domains.iter().map(String::as_str).chain(own);
    let others =
        others.filter(|name| leftovers == Leftovers::AreGone || !Template::is_called_so(name));
    let domains: Vec<&str> = others.collect();
    if !domains.is_empty() {
        return Err(Failure::input(
            Diagnostic::error(
                "host::in-use",
                format!("domains still exist on the hypervisor: {}", domains.join(", ")),
            )
            .help(
                "`maquette down` removes an environment; domains of others are removed by their owners",
            ),
        ));
    }
    // An environment may be networks alone, with a NIC of the hypervisor in one.
    if let Some(server) = &hypervisor.libvirt {
        let found = server.survey().map_err(session::unobserved)?;
        let names: Vec<String> = found.environments.iter().map(ToString::to_string).collect();
        if !names.is_empty() {
            let message =
                format!("environments still exist on the hypervisor: {}", names.join(", "));
            return Err(Failure::input(
                Diagnostic::error("host::in-use", message)
                    .help("`maquette down --prefix NAME` removes each"),
            ));
        }
        others_need_libvirt(&found, record, plan)?;
    }
    // They are served from here, by what would go, whatever has become of their nodes.
    let bmcs: Vec<String> = hypervisor.facts.bmcs.keys().map(ToString::to_string).collect();
    if !bmcs.is_empty() {
        let message =
            format!("BMCs of environments are still on the hypervisor: {}", bmcs.join(", "));
        return Err(Failure::input(
            Diagnostic::error("host::in-use", message)
                .help("`maquette down --prefix NAME` removes those of each"),
        ));
    }
    Ok(())
}
