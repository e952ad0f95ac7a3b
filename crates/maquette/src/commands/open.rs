//! `maquette open`.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use maquette_engine::StepError;
use maquette_engine::host::ssh::Target;
use serde_json::json;

use super::forward::{self, Forwarding, NotOpen};
use super::ssh_routes;
use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::session::nodes;
use crate::signals;
use crate::workspace::outputs;
use crate::world::World;

/// Arguments of `open`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// The node
    pub node: String,
    /// Print where its screen is instead of showing it
    #[arg(long)]
    pub print: bool,
    /// With `--print`: as JSON
    #[arg(long, requires = "print")]
    pub json: bool,
}

/// A program that shows a screen, and how it is told the port on this machine.
type Viewer = (&'static str, fn(u16) -> String);

/// Those that are looked for, the first that is there counts.
const VIEWERS: [Viewer; 2] = [
    ("remote-viewer", |port| format!("vnc://127.0.0.1:{port}")),
    ("vncviewer", |port| format!("127.0.0.1::{port}")),
];

/// Shows a node's screen with the viewer that is there; without one, says where it is.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    let node = nodes::running(world, &args.place, &args.node)?;
    let domain = &node.domain;
    let Some(port) = domain.vnc_port else {
        let error = StepError::new(format!("libvirt reports no VNC port for `{}`", domain.name));
        return Err(Failure::Failed(error));
    };
    let password = node.session.located.workspace.file(outputs::VNC_PASSWORD);
    let password = Some(password).filter(|p| domain.recorded.vnc.tag.is_some() && p.exists());
    let target = node.session.connection.remote.as_ref().map(|remote| &remote.target);
    if args.json {
        let value = json!({
            "schema": 1,
            "node": domain.name,
            "address": "127.0.0.1",
            "port": port,
            "hypervisor": target.map(|t| format!("{}@{}", t.user, t.address)),
            "password_file": password.map(|file| file.display().to_string()),
        });
        world.terminal.result(&format!("{value:#}"));
        return Ok(0);
    }
    if let Some(password) = password {
        world.terminal.talk(&format!("the password is in {}", password.display()));
    }
    let path = world.environment.text("PATH").unwrap_or_default();
    let found = VIEWERS.iter().find_map(|(name, url)| {
        let mut places = std::env::split_paths(&path).map(|directory| directory.join(name));
        Some((places.find(|place| place.is_file())?, url))
    });
    let Some((viewer, url)) = found.filter(|_| !args.print) else {
        tell(world, port, target, args.print);
        return Ok(0);
    };
    let tunnel = target.map(|target| Tunnel::open(world, target, port)).transpose()?;
    if let Some(tunnel) = &tunnel {
        let asks = domain.recorded.vnc.tag.is_some();
        let asks = if asks { "with the password" } else { "without a password" };
        let port = tunnel.port;
        world.terminal.talk(&format!(
            "as long as it is shown, everybody who uses this machine reaches it on port {port} {asks}"
        ));
    }
    let url = url(tunnel.as_ref().map_or(port, |tunnel| tunnel.port));
    show(viewer, url)
}

/// Where a screen is, and the way there.
fn tell(world: &World, port: u16, target: Option<&Target>, asked: bool) {
    if let Some(target) = target {
        let key = target.key.as_ref().map_or(String::new(), |key| format!("-i {key} "));
        let (user, address) = (&target.user, &target.address);
        let way = format!("ssh {key}-N -L {port}:127.0.0.1:{port} {user}@{address}");
        world.terminal.talk(&format!("it is on the hypervisor; `{way}` leads there"));
    }
    if !asked {
        let names = VIEWERS.map(|(name, _)| name).join(" or ");
        world.terminal.talk(&format!("there is no {names} here to show it with"));
    }
    world.terminal.result(&format!("vnc://127.0.0.1:{port}"));
}

fn show(viewer: PathBuf, url: String) -> Result<u8, Failure> {
    let failed = format!("cannot run {}", viewer.display());
    let status = Command::new(viewer).arg(url).status();
    let status = status.map_err(|e| Failure::because(failed, e))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// How long it may take until the hypervisor is reached: nobody is asked for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A port of this machine that leads to one of the hypervisor, for as long as this lives.
struct Tunnel {
    /// The port of this machine.
    port: u16,
    forwarding: Forwarding,
}

impl Tunnel {
    /// Opens it with `ssh`.
    fn open(world: &World, target: &Target, there: u16) -> Result<Self, Failure> {
        let failed = |e: std::io::Error| Failure::because("cannot reach the screen over SSH", e);
        signals::watch(&world.terminal).map_err(failed)?;
        // Should somebody take it before ssh does, ssh says so.
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr());
        let port = free.map_err(failed)?.port();
        let mut ssh = Command::new("ssh");
        if let Some(key) = &target.key {
            ssh.args(["-i", key]);
        }
        ssh.args(forward::PORTS_ONLY).args(["-o", "BatchMode=yes", "-L"]);
        ssh.arg(format!("127.0.0.1:{port}:127.0.0.1:{there}")).args(ssh_routes::limits()).arg("--");
        ssh.arg(format!("{}@{}", target.user, target.address)).arg(forward::HOLD);
        let mut forwarding = Forwarding::start(world, ssh).map_err(failed)?;
        if let Err(why) = forwarding.opened(PATIENCE) {
            forwarding.end();
            let mut error = StepError::new("cannot reach the screen over SSH");
            // Otherwise ssh has said why.
            if why != NotOpen::Ended {
                error.causes.push(format!("the hypervisor's login shell {}", why.words(PATIENCE)));
            }
            return Err(Failure::Failed(
                error.hint("`maquette open --print NODE` tells the way there"),
            ));
        }
        Ok(Self { port, forwarding })
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.forwarding.end();
    }
}
