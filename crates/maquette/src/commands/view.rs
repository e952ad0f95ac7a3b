//! `maquette view`: a page that shows an environment as it changes, on this machine only.

mod page_actions;
mod progress;
mod screen;
mod slow_facts;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use maquette_engine::StepError;
use maquette_view::{Feed, Options, Server};
use serde_json::json;

use crate::cli::TopologyArgs;
use crate::failure::Failure;
use crate::session::Session;
use crate::world::{Terminal, World};
use crate::{load, render, signals};
use page_actions::PageActions;

/// Arguments of `view`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is asked for, with which what is there is compared.
    #[command(flatten)]
    pub wanted: TopologyArgs,
    /// Port of the page on 127.0.0.1 [default: one that is free]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// Let the page type in consoles, use screens, and pull cables
    #[arg(long)]
    pub allow_changes: bool,
    /// Print the address as JSON, then serve the page
    #[arg(long)]
    pub json: bool,
}

/// Serves the page until it is stopped.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let located = load::located_of(&world.environment, &args.wanted)?;
    // A mistake in what is asked for is told here; one that is made later is shown on the page.
    let mut loaded = load::described(&world.environment, &args.wanted);
    crate::pipeline::check_drawn(world, super::graph::without_image(&mut loaded))?;
    // Who has to be asked whether a host key is the right one sits here, and not at the page.
    drop(Session::open(world, located.clone())?);
    signals::watch(&world.terminal).map_err(|e| Failure::because("cannot catch signals", e))?;
    let feed = Feed::default();
    feed.set(
        "view",
        &json!({
            "environment": located.environment.to_string(),
            "workspace": located.workspace.path.display().to_string(),
            "allow_changes": args.allow_changes,
            "version": env!("CARGO_PKG_VERSION"),
        }),
    );
    let quiet = quiet(world);
    let behind = Arc::new(PageActions { world: quiet.clone(), located: located.clone() });
    let options =
        Options { port: args.port, allow_changes: args.allow_changes, ..Options::default() };
    let server = Server::bind(options, feed.clone(), behind).map_err(|e| refused(args.port, e))?;
    let address = server.address().map_err(|e| refused(args.port, e))?;
    match args.json {
        true => {
            let value =
                json!({"schema": 1, "address": address, "allow_changes": args.allow_changes});
            world.terminal.result(&value.to_string());
        }
        false => world.terminal.result(&address),
    }
    let may = if args.allow_changes { "may type and pull cables" } else { "can only look" };
    world.terminal.talk(&format!(
        "whoever has this address {may}; it is for this machine only, and Ctrl-C ends it"
    ));
    let stop = AtomicBool::new(false);
    let served = std::thread::scope(|scope| {
        scope.spawn(|| watch::forever(&quiet, &located, &args.wanted, &feed, &stop));
        scope.spawn(|| progress::forever(&located.workspace, &feed, &stop));
        let served = server.run();
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        served
    });
    served.map_err(|e| Failure::because("cannot serve the page", e))?;
    Ok(0)
}

/// The same world for what goes on behind the page, whose remarks nobody is to read again and again.
fn quiet(world: &World) -> World {
    let terminal = Terminal::to(std::io::sink(), std::io::sink(), None);
    World { terminal: Arc::new(terminal), ..world.clone() }
}

fn refused(port: u16, error: std::io::Error) -> Failure {
    let said = StepError::new(format!("cannot listen on port {port} of 127.0.0.1")).because(error);
    Failure::Failed(said.hint("without `--port`, a port is taken that is free"))
}

/// A failure in words, for the page.
fn words(failure: &Failure) -> String {
    let painted = match failure {
        Failure::Input(diagnostics, sources) => render::diagnostics(diagnostics, sources),
        Failure::Failed(error) | Failure::Status(_, error) => return error.in_one_line(),
        Failure::After(within, _) => return words(within),
        Failure::Shown | Failure::Declined | Failure::Interrupted { .. } => {
            return "it was not done".into();
        }
    };
    render::plain(painted.text()).into_owned()
}
