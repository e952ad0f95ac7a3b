//! `maquette extend`: an environment lasts longer, or for ever.

use std::sync::Arc;
use std::time::Duration;

use maquette_core::diagnostic::Diagnostic;
use maquette_core::lifetime::{Lifetime, Ttl};
use maquette_core::names::EnvName;
use maquette_core::plan::{Action, Requirements, Setting};

use super::power;
use crate::cli::{EnvironmentArgs, Locking};
use crate::consent::question;
use crate::failure::Failure;
use crate::lifecycle::renewal::{Renewal, clock};
use crate::render;
use crate::session::{Hypervisor, Session};
use crate::workspace::Owner;
use crate::workspace::identity::{self, Way};
use crate::workspace::outputs;
use crate::world::World;

/// Arguments of `extend`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// What to do if somebody else is changing it.
    #[command(flatten)]
    pub locking: Locking,
    /// How long it lasts from now on, such as `8h` or `2d`, or `never` to keep it [default: as long as it was given before]
    #[arg(value_name = "TIME", value_parser = ttl)]
    pub time: Option<Ttl>,
    /// Do not ask before it expires sooner than noted
    #[arg(short, long)]
    pub yes: bool,
    /// Print what happens as JSON, one event a line; the last one is when it expires
    #[arg(long)]
    pub json: bool,
}

fn ttl(text: &str) -> Result<Ttl, String> {
    text.parse()
}

/// Runs it; the exit code if it did not fail.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let mut session = Session::at(world, &args.place)?;
    session.prepare_runs(args.json, Duration::from_secs(power::START_TIMEOUT))?;
    let (hypervisor, renewal) = settle(world, args, &mut session)?;
    // Nothing else is prepared for this.
    let own = |action: &Action| matches!(action, Action::Apply(Setting::Expiry));
    let mut preparation = hypervisor.preparation.clone().only(own, |_| true);
    preparation.changes.retain(|change| change.name == "expiry");
    if !preparation.is_empty() {
        if !args.json {
            world.terminal.plan(&preparation, &hypervisor.title());
        }
        session.lock_hypervisor("extend")?;
        session.run(&preparation)?;
        session.unlock_hypervisor();
    }
    let (located, lifetime) = (&session.located, renewal.next);
    let environment = &located.environment;
    session.note(environment, &lifetime)?;
    if outputs::belongs(&located.workspace, &Owner::new(environment, &located.host)) {
        outputs::write_lifetime(&located.workspace, environment, &lifetime)
            .map_err(|e| located.workspace.unwritten(e))?;
    }
    say(world, args, &session, &lifetime, hypervisor.facts.now_s);
    Ok(0)
}

/// Looks what is noted under the lock, and asks whether the environment may expire sooner than that. Nobody has to wait for the
/// answer; what is noted by then is asked for again if it is something else, and the time counts from then on.
fn settle(
    world: &World,
    args: &Args,
    session: &mut Session<'_>,
) -> Result<(Arc<Hypervisor>, Renewal), Failure> {
    let requirements = Requirements { ttl: args.time, ..Requirements::default() };
    let (mut agreed, mut locking) = (None, args.locking);
    loop {
        session.lock("extend", locking)?;
        let hypervisor = session.prepared_for(&requirements)?;
        session.tell_left_overs();
        let renewal = renewal(world, args, session, &hypervisor)?;
        let is_open = !args.yes && agreed.as_ref() != Some(&renewal.known);
        let Some(what) = renewal.sooner(&session.located.environment).filter(|_| is_open) else {
            return Ok((hypervisor, renewal));
        };
        session.unlock();
        let hints = ["`--yes` if that is what you want".to_string()];
        question(world, "lease::sooner", &what, args.json, &hints)?;
        agreed = Some(renewal.known);
        // Who has it by now is not ended for our having waited.
        locking = Locking { take_over: false, ..locking };
    }
}

/// What becomes of what is noted of an environment that is there.
fn renewal(
    world: &World,
    args: &Args,
    session: &Session<'_>,
    hypervisor: &Hypervisor,
) -> Result<Renewal, Failure> {
    let (environment, observed) = (&session.located.environment, hypervisor.observed());
    if !observed.exists() {
        let message = format!("there is no {}", session.title());
        return Err(Failure::input(
            Diagnostic::error("environment::unknown", message)
                .help("`--prefix NAME` and `--host-address ADDRESS` choose another one"),
        ));
    }
    let known = hypervisor.facts.lifetimes.get(environment).cloned().unwrap_or_default();
    let Some(time) = args.time.or(known.ttl_s.map(Ttl::For)) else {
        let message =
            format!("environment `{environment}` does not expire, and nothing says when it is to");
        return Err(Failure::input(
            Diagnostic::error("lease::unknown", message)
                .help("say how long it lasts, as in `maquette extend 8h`"),
        ));
    };
    let now_s = clock(&hypervisor.facts)?;
    let next = known.extended(time, now_s);
    let renewal = Renewal { known, next, now_s, exists: true, ttl: None };
    let way = identity::way(&observed, &session.located.workspace, &world.environment);
    let is_own = matches!(way, Some(Way::Built)) || observed.guests().next().is_none();
    if !is_own && renewal.next.ends_before(&renewal.known) {
        return Err(others(environment, way.is_some()));
    }
    Ok(renewal)
}

/// The error of who would have what others have built removed sooner: that is as good as removing it unasked.
fn others(environment: &EnvName, is_shared: bool) -> Failure {
    let why = match is_shared {
        true => "which shares it with this one",
        false => "and no key here opens it",
    };
    let message = format!("environment `{environment}` was built by another workspace, {why}");
    Failure::input(
        Diagnostic::error("lease::shared", message)
            .help("it can be given more time here, and less in the workspace that built it"),
    )
}

fn say(world: &World, args: &Args, session: &Session<'_>, lifetime: &Lifetime, now_s: u64) {
    let environment = &session.located.environment;
    if args.json {
        return world.terminal.result(&render::lifetime_event(environment, lifetime).to_string());
    }
    let until = render::lifetime(lifetime, now_s, true);
    let until = until.unwrap_or_else(|| "lasts until it is removed".into());
    world.terminal.result(&format!("environment `{environment}` {until}"));
}
