//! `maquette forward`: ports of a node on this machine, by `ssh -L`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use maquette_core::diagnostic::Diagnostic;
use maquette_engine::StepError;
use serde_json::{Value, json};

use super::ssh_routes::{Route, Routes};
use crate::cli::EnvironmentArgs;
use crate::failure::Failure;
use crate::signals;
use crate::world::{Terminal, World};

/// Arguments of `forward`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which environment.
    #[command(flatten)]
    pub place: EnvironmentArgs,
    /// The node
    pub node: String,
    /// Ports: the one here and the one of the node, or one for both
    #[arg(required = true, value_name = "PORT[:PORT]", value_parser = ports)]
    pub ports: Vec<Ports>,
    /// Let other machines reach them, too, not just this one
    #[arg(long)]
    pub external: bool,
    /// Print what leads where as JSON, once it does
    #[arg(long)]
    pub json: bool,
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

/// Most bytes that login shells may print before the ports are open.
const MOST_SAID: u64 = 64 << 10;

/// How long it may take until they are: as long as servers leave for a login, in which somebody may have to type.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long what `ssh` said last may take to arrive, once it has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Forwards until it is stopped, or the connection ends.
pub fn run(world: &World, args: &Args) -> Result<u8, Failure> {
    if let Some(error) = named_twice(&args.ports) {
        return Err(Failure::input(error));
    }
    let routes = Routes::open(world, &args.place)?;
    let route = routes.one(&args.node)?;
    routes.must_run(world, &route)?;
    signals::watch(&world.terminal).map_err(|e| Failure::because("cannot catch signals", e))?;
    let failed = |e| Failure::because("cannot run ssh", e);
    let mut forwarding = Forwarding::start(world, ssh(&route, args)).map_err(failed)?;
    let opened = forwarding.opened(PATIENCE);
    if let Ok(said) = &opened {
        tell(world, args, &route.name);
        world.terminal.talk("Ctrl-C ends it");
        // What shells print is no part of the JSON.
        let show = |line: &String| match args.json {
            true => world.terminal.talk(line),
            false => world.terminal.result(line),
        };
        said.iter().for_each(show);
    }
    let is_good = forwarding.ended().map_err(failed)?;
    let error = match (opened, is_good) {
        (Ok(_), true) => return Ok(0),
        (Ok(_), false) => StepError::new(format!("the connection to `{}` has ended", route.name)),
        // What ssh has to say of it stands above this.
        (Err(NotOpen::Ended), _) => {
            routes.explain_lost(world, std::slice::from_ref(&route))?;
            let hint = "if another program has the port here, name another: `PORT_HERE:PORT_THERE`";
            StepError::new(format!("cannot forward ports of `{}`", route.name)).hint(hint)
        }
        (Err(why), _) => {
            let error = StepError::new(format!("cannot forward ports of `{}`", route.name));
            StepError { causes: vec![format!("its login shell {}", why.words(PATIENCE))], ..error }
        }
    };
    Err(Failure::Failed(error))
}

/// What is wrong with ports of which one of this machine is to lead to two places.
fn named_twice(ports: &[Ports]) -> Option<Diagnostic> {
    let again = ports.iter().enumerate();
    let mut again = again.filter(|(at, port)| ports[..*at].iter().any(|p| p.here == port.here));
    let (_, Ports { here, there }) = again.next()?;
    let message = format!("port {here} of this machine is named twice");
    let other = format!("another port here leads to that of the node: `8080:{there}`");
    Some(Diagnostic::error("forward::port", message).help(other))
}

/// Says what leads where.
fn tell(world: &World, args: &Args, node: &str) {
    let from = args.listens();
    if args.json {
        let forward = |Ports { here, there }: &Ports| json!({"port": here, "to": there});
        let forwards: Vec<Value> = args.ports.iter().map(forward).collect();
        let value = json!({"schema": 1, "node": node, "address": from, "forwards": forwards});
        return world.terminal.result(&value.to_string());
    }
    for Ports { here, there } in &args.ports {
        world.terminal.result(&format!("{from}:{here} → {node}:{there}"));
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
    own.extend(forwards.iter().flat_map(|forward| ["-L", forward.as_str()]));
    ssh.args(route.options(own)).arg("--").arg(&route.destination).arg(HOLD);
    ssh
}

/// Why ports are not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOpen {
    /// `ssh` has ended, and has said why.
    Ended,
    /// For too long, the login shell there has not run [`HOLD`].
    Silent,
    /// The login shell there prints more than one needs to say hello.
    Endless,
}

impl NotOpen {
    /// What the login shell does, but for what `ssh` itself has said.
    pub fn words(self, patience: Duration) -> String {
        match self {
            Self::Ended => "has ended".into(),
            Self::Silent => format!("runs no command within {} s", patience.as_secs()),
            Self::Endless => format!("prints more than {} KiB before that", MOST_SAID >> 10),
        }
    }
}

/// An `ssh` that forwards ports and runs [`HOLD`]. What it and the other side say on standard error is shown.
pub struct Forwarding {
    ssh: Child,
    /// The other side ends with this.
    hold: Option<ChildStdin>,
    said: Receiver<()>,
}

impl Forwarding {
    /// Starts a command of `ssh`.
    pub fn start(world: &World, mut ssh: Command) -> io::Result<Self> {
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut ssh = ssh.spawn()?;
        // Waiting would close it, which would end the command on the node.
        let hold = ssh.stdin.take();
        let (sender, said) = mpsc::channel();
        if let Some(stderr) = ssh.stderr.take() {
            let terminal = world.terminal.clone();
            std::thread::spawn(move || {
                hand_on(&terminal, stderr);
                // Nobody may be waiting.
                let _ = sender.send(());
            });
        }
        Ok(Self { ssh, hold, said })
    }

    /// Waits until the ports are open; returns the lines that login shells print before.
    pub fn opened(&mut self, patience: Duration) -> Result<Vec<String>, NotOpen> {
        let (Some(hold), Some(output)) = (&mut self.hold, self.ssh.stdout.take()) else {
            return Err(NotOpen::Ended);
        };
        // If `ssh` has ended, this fails, and so does reading.
        let _ = hold.write_all(b"\n").and_then(|()| hold.flush());
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(before_empty_line(output)));
        let opened = receiver.recv_timeout(patience).unwrap_or(Err(NotOpen::Silent));
        if opened.is_err() {
            // It may have ended by itself.
            let _ = self.ssh.kill();
        }
        opened
    }

    /// Waits until `ssh` has ended; whether its exit status was 0.
    pub fn ended(&mut self) -> io::Result<bool> {
        let status = self.ssh.wait()?;
        // What it said comes before what is said about it; a program that it has left behind may say more.
        let _ = self.said.recv_timeout(LAST_WORDS);
        Ok(status.success())
    }

    /// Ends `ssh`, and waits until it has ended.
    pub fn end(&mut self) {
        drop(self.hold.take());
        let _ = self.ended();
    }
}

/// The lines that come before the empty one that [`HOLD`] sends back.
fn before_empty_line(output: ChildStdout) -> Result<Vec<String>, NotOpen> {
    let mut output = BufReader::new(output).take(MOST_SAID);
    let mut said = Vec::new();
    loop {
        let mut line = Vec::new();
        match output.read_until(b'\n', &mut line) {
            Ok(_) if line == b"\n" => return Ok(said),
            Ok(_) if line.ends_with(b"\n") => {
                said.push(String::from_utf8_lossy(&line).trim_end().to_string());
            }
            _ if output.limit() == 0 => return Err(NotOpen::Endless),
            _ => return Err(NotOpen::Ended),
        }
    }
}

/// Shows lines from elsewhere as they come; a line without an end in pieces.
fn hand_on(terminal: &Terminal, from: impl Read) {
    const LONGEST: u64 = 1 << 16;
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.by_ref().take(LONGEST).read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        terminal.talk(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What comes of a script in the place of `ssh`, and what of it is shown.
    fn tried(script: &str, patience: Duration) -> (Result<Vec<String>, NotOpen>, String) {
        let said = Said::default();
        let terminal = Arc::new(Terminal::to(io::sink(), said.clone(), None));
        let world = World { terminal, ..World::of_process() };
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        let mut forwarding = Forwarding::start(&world, shell).unwrap();
        let opened = forwarding.opened(patience);
        forwarding.end();
        let said = String::from_utf8_lossy(&said.0.lock().unwrap()).into_owned();
        (opened, said)
    }

    #[test]
    fn a_guest_opens_the_ports_or_ends_the_waiting() {
        let opened = |script: &str| tried(script, Duration::from_secs(120)).0;
        assert_eq!(opened("echo hello; exec cat"), Ok(vec!["hello".into()]));
        assert_eq!(opened("echo no"), Err(NotOpen::Ended));
        assert_eq!(opened("exec yes"), Err(NotOpen::Endless));
        assert_eq!(opened("exec tr '\\0' x </dev/zero"), Err(NotOpen::Endless));
        let silent = tried("exec sleep 1000", Duration::from_millis(50)).0;
        assert_eq!(silent, Err(NotOpen::Silent));
    }

    #[test]
    fn what_a_guest_says_meanwhile_is_text_to_a_terminal() {
        let script = r"printf 'it says \033]52;c;aWQ=\007\302\2332J\342\200\256x\n' >&2; exec cat";
        let (opened, said) = tried(script, Duration::from_secs(120));
        assert_eq!(opened, Ok(Vec::new()));
        let obeyed = |c: char| maquette_core::values::is_unprintable(c) && c != '\n';
        assert!(said.starts_with("it says ") && !said.contains(obeyed), "{said:?}");
    }

    #[test]
    fn a_port_of_this_machine_leads_to_one_place() {
        let all = |text: &str| text.split(' ').map(|p| ports(p).unwrap()).collect::<Vec<_>>();
        assert!(named_twice(&all("80 8080:80")).is_none());
        let error = named_twice(&all("80 8080:81 80")).unwrap();
        assert_eq!(error.message, "port 80 of this machine is named twice");
    }

    #[test]
    fn ports_are_one_for_both_or_two() {
        assert_eq!(ports("80"), Ok(Ports { here: 80, there: 80 }));
        assert_eq!(ports("8080:80"), Ok(Ports { here: 8080, there: 80 }));
        for wrong in ["", "0", "a", "1:2:3", "80:", "65536"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }
}
