//! `maquette extend`: an environment lasts longer, or for ever.

use std::time::Duration;

use maquette_core::diagnostic::Diagnostic;
use maquette_core::lease::{Lease, Ttl};
use maquette_core::names::EnvName;
use maquette_core::plan::{Action, Requirements, Setting};
use maquette_engine::StepError;
use maquette_engine::probe::Facts;
use serde_json::json;

use super::{entry, power};
use crate::cli::{Locking, Place};
use crate::failure::Failure;
use crate::load;
use crate::render;
use crate::session::{self, Session};
use crate::workspace::Owner;
use crate::workspace::identity::{self, Way};
use crate::workspace::outputs;
use crate::world::World;

/// Arguments of `extend`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// What to do if somebody else is changing it.
    #[command(flatten)]
    pub locking: Locking,
    /// How long it lasts from now on, such as `8h` or `2d`, or `never` to keep it [default: as long as it was given before]
    #[arg(value_name = "TIME", value_parser = ttl)]
    pub time: Option<Ttl>,
    /// Print when it expires as JSON
    #[arg(long)]
    pub json: bool,
}

fn ttl(text: &str) -> Result<Ttl, String> {
    text.parse()
}

/// Runs it; the exit code if it did not fail.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let located = load::located(&world.environment, &args.place)?;
    let environment = &located.environment;
    let session = Session::open(world, located.clone())?;
    let mut runner = session.runner(args.json, Duration::from_secs(power::START_TIMEOUT))?;
    runner.lock(environment, "extend", args.locking)?;
    let requirements = Requirements { ttl: args.time, ..Requirements::default() };
    let mut hypervisor = session.prepared_for(&requirements)?;
    if !hypervisor.observed().exists() {
        let message = format!("there is no {}", session.title());
        return Err(Failure::input(
            Diagnostic::error("environment::unknown", message)
                .help("`--prefix NAME` and `--host-address ADDRESS` choose another one"),
        ));
    }
    let known = hypervisor.facts.leases.get(environment).cloned().unwrap_or_default();
    let Some(time) = args.time.or(known.ttl_s.map(Ttl::For)) else {
        let message =
            format!("environment `{environment}` does not expire, and nothing says when it is to");
        return Err(Failure::input(
            Diagnostic::error("lease::unknown", message)
                .help("say how long it lasts, as in `maquette extend 8h`"),
        ));
    };
    let lease = known.after(Some(time), None, clock(&hypervisor.facts)?);
    let (observed, user) = (hypervisor.observed(), &world.environment);
    let way = identity::way(&observed, &located.workspace, user);
    if matches!(way, Some(Way::Shared(_))) && lease.ends_before(&known) {
        return Err(others(environment));
    }
    // Nothing else is prepared for this.
    let preparation = std::mem::take(&mut hypervisor.preparation);
    let own = |action: &Action| matches!(action, Action::Apply(Setting::Expiry));
    let mut preparation = preparation.only(own, |_| true);
    preparation.changes.retain(|change| change.name == "expiry");
    if !preparation.is_empty() {
        if !args.json {
            world.terminal.plan(&preparation, &session::title(&hypervisor.facts));
        }
        runner.lock_hypervisor("extend")?;
        runner.run(&preparation, &hypervisor)?;
        runner.unlock_hypervisor();
    }
    runner.note(environment, &lease)?;
    if outputs::belongs(&located.workspace, &Owner::new(environment, &located.host)) {
        outputs::write_lease(&located.workspace, environment, &lease).map_err(entry::unwritten)?;
    }
    say(world, args, &session, &lease, hypervisor.facts.now_s);
    Ok(0)
}

/// The error of who would have what others have built removed sooner: that is as good as removing it unasked.
fn others(environment: &EnvName) -> Failure {
    let message = format!(
        "environment `{environment}` was built by another workspace, which shares it with this one"
    );
    Failure::input(
        Diagnostic::error("lease::shared", message)
            .help("it can be given more time here, and less in the workspace that built it"),
    )
}

/// The hypervisor's clock, by which an environment expires: in seconds since 1970.
///
/// # Errors
///
/// It did not say: an environment would expire at once.
pub(super) fn clock(facts: &Facts) -> Result<u64, Failure> {
    let unknown = || {
        let message = "the hypervisor does not tell what time it is, by which environments expire";
        Failure::Failed(StepError::new(message).hint("look at what `date +%s` says there"))
    };
    (facts.now_s != 0).then_some(facts.now_s).ok_or_else(unknown)
}

fn say(world: &World, args: &Args, session: &Session<'_>, lease: &Lease, now_s: u64) {
    let environment = &session.located.environment;
    if args.json {
        let value = json!({
            "schema": 1,
            "environment": environment.to_string(),
            "expires_at_s": lease.expires_s,
        });
        return world.terminal.result(&format!("{value:#}"));
    }
    let until = render::lease(lease, now_s, true);
    let until = until.unwrap_or_else(|| "lasts until it is removed".into());
    world.terminal.result(&format!("environment `{environment}` {until}"));
}
