//! `maquette forward`: ports of a node on this machine, by `ssh -L`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use maquette_engine::StepError;

use super::ssh_routes::{Route, Routes};
use crate::cli::Place;
use crate::failure::Failure;
use crate::signals;
use crate::world::World;

/// Arguments of `forward`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: Place,
    /// The node
    pub node: String,
    /// Ports: the one here and the one of the node, or one for both
    #[arg(required = true, value_name = "PORT[:PORT]", value_parser = ports)]
    pub ports: Vec<Ports>,
    /// Let other machines reach them, too, not just this one
    #[arg(long)]
    pub external: bool,
}

impl Args {
    /// The address that `ssh` listens on. `localhost` would be two, and `ssh` takes it for a success if one of them is
    /// free.
    fn listens(&self) -> &'static str {
        if self.external { "*" } else { "127.0.0.1" }
    }
}

/// A port of this machine, and the one of the node that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    here: u16,
    there: u16,
}

/// Reads `PORT` or `PORT:PORT`, the one here first.
fn ports(text: &str) -> Result<Ports, String> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (here, there) = text.split_once(':').unwrap_or((text, text));
    let found = port(here).zip(port(there)).map(|(here, there)| Ports { here, there });
    found.ok_or_else(|| "expected PORT or PORT:PORT, as in `8080:80`".into())
}

/// What runs on the node while ports are forwarded. It sends back the line that it is sent, which shows that the ports
/// are open, and ends with its standard input, however this process ends.
pub const HOLD: &str = "cat";

/// Options of an `ssh` that forwards ports and fails if it cannot. It shares no connection: the ports of a shared one
/// stay open when `ssh` ends.
pub const PORTS_ONLY: [&str; 7] =
    ["-T", "-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes"];

/// Forwards until it is stopped, or the connection ends.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let routes = Routes::open(world, &args.place)?;
    let route = routes.one(&args.node)?;
    routes.must_run(world, &route)?;
    signals::watch(&world.terminal).map_err(|e| Failure::because("cannot catch signals", e))?;
    let failed = |e| Failure::because("cannot run ssh", e);
    let mut ssh = ssh(&route, args).spawn().map_err(failed)?;
    // `wait` closes it otherwise, which would end the command on the node.
    let mut hold = ssh.stdin.take();
    let opened = opened(&mut ssh, hold.as_mut());
    if let Ok(said) = &opened {
        for Ports { here, there } in &args.ports {
            let from = args.listens();
            world.terminal.result(&format!("{from}:{here} → {}:{there}", route.name));
        }
        world.terminal.talk("Ctrl-C ends it");
        said.iter().for_each(|line| world.terminal.result(line));
    }
    let status = ssh.wait().map_err(failed)?;
    drop(hold);
    match (opened, status.success()) {
        (Ok(_), true) => Ok(0),
        (Ok(_), false) => {
            let message = format!("the connection to `{}` has ended", route.name);
            Err(Failure::Failed(StepError::new(message)))
        }
        // What ssh has to say of it stands above this.
        (Err(()), _) => {
            let message = format!("cannot forward ports of `{}`", route.name);
            let hint = "if another program has the port here, name another: `PORT_HERE:PORT_THERE`";
            Err(Failure::Failed(StepError::new(message).hint(hint)))
        }
    }
}

fn ssh(route: &Route, args: &Args) -> Command {
    let mut ssh = Command::new("ssh");
    let listen = args.listens();
    let forwards: Vec<String> = args
        .ports
        .iter()
        .map(|Ports { here, there }| format!("{listen}:{here}:localhost:{there}"))
        .collect();
    let mut own = PORTS_ONLY.to_vec();
    own.extend(["-o", "ServerAliveInterval=30"]);
    own.extend(forwards.iter().flat_map(|forward| ["-L", forward.as_str()]));
    ssh.args(route.options(own)).arg("--").arg(&route.destination).arg(HOLD);
    ssh.stdin(Stdio::piped()).stdout(Stdio::piped());
    ssh
}

/// Waits until [`HOLD`] sends back an empty line; returns the lines that came before it, which login shells print. An
/// error if `ssh` ends first.
pub fn opened(ssh: &mut Child, input: Option<&mut ChildStdin>) -> Result<Vec<String>, ()> {
    let (Some(input), Some(output)) = (input, ssh.stdout.take()) else { return Err(()) };
    // If `ssh` has ended, this fails, and so does reading.
    let _ = input.write_all(b"\n").and_then(|()| input.flush());
    let mut said = Vec::new();
    for line in BufReader::new(output).lines() {
        match line {
            Ok(line) if line.is_empty() => return Ok(said),
            Ok(line) => said.push(line),
            Err(_) => return Err(()),
        }
    }
    Err(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_one_for_both_or_two() {
        assert_eq!(ports("80"), Ok(Ports { here: 80, there: 80 }));
        assert_eq!(ports("8080:80"), Ok(Ports { here: 8080, there: 80 }));
        for wrong in ["", "0", "a", "1:2:3", "80:", "65536"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }
}
