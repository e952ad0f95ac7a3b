//! A host that is a directory: commands run here, and what they find below `/run`, `/var` and `/etc` is in it.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};

use maquette_core::blueprint::Interface;
use maquette_core::values::{HostAddress, KnownHost};
use maquette_engine::host::ssh::{ConnectError, Effective, HostKey, Target};
use maquette_engine::host::{Command, Host, HostError, Hosts, Local, Output, Reached};
use maquette_engine::image::ASK;
use maquette_engine::prepare::record;
use maquette_engine::probe::DIRECTORIES;
use maquette_engine::{doctor, guests, lifetimes, start_times};

use crate::{Machine, bmc, probe};

/// What the engine's script for bridges begins with.
const BRIDGE: &str = "# Puts a NIC of the hypervisor into a bridge";
/// What the engine's probe begins with.
const PROBE: &str = "# All that is asked of a hypervisor's own side";

/// Directories of the host that are in its own directory.
const OWN: [&str; 3] = ["/run/", "/var/", "/etc/"];

/// Reads what `image::ASK` reads. $1: what each server answers  $2: what curl says of that, if anything
const SERVERS: &str = r#"
while IFS= read -r line && [ "$line" != . ]; do :; done
index=0
while IFS= read -r redirects && IFS= read -r address; do
    echo "$index $1"
    [ $# -lt 2 ] || echo "$index | $2"
    index=$((index + 1))
done
"#;

/// The first bytes of a qcow2 file of version 2 whose disk has 2 GiB, in hexadecimal digits.
fn image_head() -> String {
    let fields: [(usize, usize); 14] = [
        (0x5146_49fb, 8),
        (2, 8),
        (0, 24),
        (16, 8),
        (2 << 30, 16),
        (0, 8),
        (4, 8),
        (0x30000, 16),
        (0x10000, 16),
        (1, 8),
        (0, 24),
        (0, 8),
        (0, 8),
        (0, 8),
    ];
    fields.iter().map(|(value, digits)| format!("{value:0digits$x}")).collect()
}

/// A host in a directory. Programs in its `bin` come before this machine's.
#[derive(Clone)]
pub struct ModelHost {
    root: PathBuf,
    machine: Arc<Mutex<Machine>>,
}

impl ModelHost {
    /// One with this directory.
    pub fn new(root: &Path, machine: Arc<Mutex<Machine>>) -> Self {
        Self { root: root.into(), machine }
    }

    fn path(&self, path: &str) -> String {
        let own = |below: &&str| path.starts_with(*below) || path == below.trim_end_matches('/');
        match OWN.iter().any(own) {
            true => format!("{}{path}", self.root.display()),
            false => path.into(),
        }
    }

    /// What `guests::SCRIPT` prints. `sh -euc SCRIPT sh LIMIT [ADDRESS LOG]…`
    fn guests(&self, command: &Command) -> String {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let at = command.args.iter().position(|arg| arg == guests::SCRIPT).map_or(0, |at| at + 3);
        let mut out = String::new();
        for (index, pair) in command.args.get(at..).unwrap_or_default().chunks(2).enumerate() {
            let [address, log] = pair else { continue };
            let word = machine.ssh.get(address).map_or("greeted", String::as_str);
            if address != "-" {
                out.push_str(&format!("ssh {index} {word}\n"));
            }
            if (address == "-" || word != "greeted")
                && let Ok(text) = std::fs::read_to_string(self.path(log))
            {
                out.push_str(&format!("log {index} 1\n"));
                text.lines().for_each(|line| out.push_str(&format!("|{line}\n")));
            }
        }
        out
    }

    /// What `probe::DIRECTORIES` prints. `sh -euc SCRIPT sh DIRECTORY…`
    fn directories(&self, command: &Command) -> String {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let at = command.args.iter().position(|arg| arg == DIRECTORIES).map_or(0, |at| at + 2);
        let mut out = String::new();
        for (number, path) in command.args.get(at..).unwrap_or_default().iter().enumerate() {
            out.push_str(&format!("directory {number}\nfree {}\n", machine.free >> 10));
            let own = machine.seen.pools.iter().filter(|(_, pool)| pool.path == *path);
            let files = own.filter_map(|(name, _)| machine.seen.volumes.get(name)).flatten();
            let others = machine.looks.get(&format!("directory {path}")).into_iter().flatten();
            for line in files.map(|file| format!("file {file}")).chain(others.cloned()) {
                out.push_str(&format!("{line}\n"));
            }
        }
        out
    }

    /// What `doctor::SCRIPT` prints. `sh -euc SCRIPT sh POOL [KIND NAME … …]…`
    fn doctor(&self, command: &Command) -> String {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let at = command.args.iter().position(|arg| arg == doctor::SCRIPT).map_or(0, |at| at + 3);
        let mut sections = vec![
            ("pool".to_string(), "/dev/vda 1000000 1000 900000 1% /".to_string()),
            ("memory".into(), "MemTotal: 8000000 kB\nMemAvailable: 7000000 kB".into()),
            ("forwards".into(), "1".into()),
            ("uplink".into(), "eth0".into()),
        ];
        for object in command.args.get(at..).unwrap_or_default().chunks(5) {
            let [kind, name, ..] = object else { continue };
            let text = if kind == "network" { self.network(&machine, name) } else { String::new() };
            sections.push((format!("{kind} {name}"), text));
        }
        let known: Vec<String> = sections.iter().map(|(name, _)| name.clone()).collect();
        let others = machine.looks.keys().filter(|name| !known.contains(*name));
        sections.extend(others.map(|name| (name.clone(), String::new())).collect::<Vec<_>>());
        let text = |(name, usual): (String, String)| {
            let said = machine.looks.get(&name).map(|lines| lines.join("\n"));
            format!("\n@@ {name}\n{}\n", said.unwrap_or(usual))
        };
        sections.into_iter().map(text).collect()
    }

    /// A network whose DHCP server runs and has given all running nodes their addresses.
    fn network(&self, machine: &Machine, name: &str) -> String {
        let running = machine.seen.domains.values().filter(|d| d.active);
        let nics = running.flat_map(|d| &d.recorded.interfaces).filter(|i| i.network == name);
        let lease = |i: &Interface| {
            let address = i.ipv4.address()?.addr();
            Some(format!("{{\"mac-address\": \"{}\", \"ip-address\": \"{address}\"}}", i.mac))
        };
        let leases: Vec<String> = nics.filter_map(lease).collect();
        format!("dnsmasq runs\nleases [{}]", leases.join(", "))
    }

    /// What prints what `image::ASK` does: that each server has an image, whose disk has 2 GiB, unless something else is set.
    fn servers(&self) -> Command {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let usual = || vec![format!("0 206 445644800 {}", image_head())];
        let said = machine.looks.get("servers").cloned().unwrap_or_else(usual);
        Command::script(SERVERS, said.into_iter().map(|word| word.replace("HEAD", &image_head())))
    }

    /// What is noted of all environments.
    fn notes(&self) -> String {
        let notes = std::fs::read_dir(self.path(lifetimes::DIRECTORY)).into_iter().flatten();
        let notes = notes.flatten().map(|note| std::fs::read_to_string(note.path()));
        notes.flatten().collect()
    }

    fn command(&self, command: &Command) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        Command::new(command.program.clone())
            .args(command.args.iter().map(|arg| self.path(arg)))
            .env("PATH", &format!("{}:{path}", self.root.join("bin").display()))
    }
}

impl Host for ModelHost {
    fn run(&self, command: &Command, on_line: &mut dyn FnMut(&str)) -> Result<Output, HostError> {
        if command.args.iter().any(|arg| arg.contains(PROBE)) {
            // `sh -euc SCRIPT sh WHERE POOL LIMIT… -- PATH…`
            let paths = command.args.iter().position(|arg| arg == "--").map_or(0, |at| at + 1);
            let paths = &command.args[paths..];
            let read = |path| std::fs::read_to_string(self.path(path)).unwrap_or_default();
            let (record, starts) = (read(record::PATH), read(start_times::PATH));
            let leases = self.notes();
            let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
            let stdout = probe::text(&machine, paths, &record, &starts, &leases);
            return Ok(Output { status: Some(0), stdout, stderr: String::new() });
        }
        if command.args.iter().any(|arg| arg.starts_with(BRIDGE)) {
            let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
            let lines = machine.looks.get("bridge").cloned().unwrap_or_default();
            let stdout = lines.iter().map(|line| format!("{line}\n")).collect();
            return Ok(Output { status: Some(0), stdout, stderr: String::new() });
        }
        if command.args.iter().any(|arg| arg == lifetimes::SCRIPT) {
            let stdout = format!("now {}\n{}", probe::NOW_S, self.notes());
            return Ok(Output { status: Some(0), stdout, stderr: String::new() });
        }
        if command.args.iter().any(|arg| arg == guests::SCRIPT) {
            let stdout = self.guests(command);
            return Ok(Output { status: Some(0), stdout, stderr: String::new() });
        }
        if command.args.iter().any(|arg| arg == doctor::SCRIPT) {
            let stdout = self.doctor(command);
            return Ok(Output { status: Some(0), stdout, stderr: String::new() });
        }
        if command.args.iter().any(|arg| arg == DIRECTORIES) {
            let stdout = self.directories(command);
            return Ok(Output { status: Some(0), stdout, stderr: String::new() });
        }
        if command.program.ends_with("/maquette") {
            let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(bmc::told(&mut machine, &command.args));
        }
        let mut words = std::iter::once(&command.program).chain(&command.args);
        if words.any(|word| word == "systemctl") && words.any(|word| word == "--now") {
            // Somebody else may be stopping or removing them.
            if !self.exists("/run/maquette/hypervisor") {
                let stderr = "daemons are started without the hypervisor's lock".into();
                return Ok(Output { status: Some(1), stderr, ..Output::default() });
            }
            self.machine.lock().unwrap_or_else(PoisonError::into_inner).runs = true;
            return Ok(Output { status: Some(0), ..Output::default() });
        }
        Local.run(&self.command(command), on_line)
    }

    fn feed(
        &self,
        command: &Command,
        input: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), HostError> {
        let failed = |source| HostError::File { verb: "feed", path: command.title(), source };
        let mut child = self.spawn(command)?;
        if let Some(mut pipe) = child.stdin.take() {
            input(&mut pipe).map_err(failed)?;
        }
        let output = child.wait_with_output().map_err(failed)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Output { status: output.status.code(), stdout, stderr }.success(command).map(|_| ())
    }

    fn spawn(&self, command: &Command) -> Result<Child, HostError> {
        if command.args.iter().any(|arg| arg == ASK) {
            return Local.spawn(&self.servers());
        }
        Local.spawn(&self.command(command))
    }

    fn read_tail(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, HostError> {
        Local.read_tail(&self.path(path), limit)
    }

    fn exists(&self, path: &str) -> bool {
        Local.exists(&self.path(path))
    }

    fn answers(&self, _address: SocketAddr) -> bool {
        true
    }
}

/// Every machine is the same host; another one than this is known by its host key, or is not.
pub struct ModelHosts {
    /// The host.
    pub host: ModelHost,
    /// What was noted as the key of other machines.
    pub known: Mutex<Option<HostKey>>,
}

impl Hosts for ModelHosts {
    fn here(&self) -> Box<dyn Host> {
        Box::new(self.host.clone())
    }

    fn effective(&self, address: &HostAddress) -> Result<Effective, ConnectError> {
        Ok(Effective { user: "ann".into(), ..Effective::plain(address.clone()) })
    }

    fn connect(&self, target: &Target) -> Result<Reached, ConnectError> {
        let (known, address) = (self.known(target)?, target.address.to_string());
        if known.is_empty() {
            return Err(ConnectError::UnknownHostKey { address });
        }
        if self.fetch_host_keys(target)?.iter().all(|key| !known.contains(&key.line)) {
            let said = "it is not the one in ~/.ssh/known_hosts:1".into();
            return Err(ConnectError::ChangedHostKey { address, said });
        }
        let transport = Ok(PathBuf::from("/usr/bin/ssh"));
        Ok(Reached { host: self.here(), transport, jump: Vec::new() })
    }

    fn fetch_host_keys(&self, _target: &Target) -> Result<Vec<HostKey>, ConnectError> {
        Ok(vec![HostKey {
            algorithm: "ED25519".into(),
            fingerprint: "SHA256:HOSTKEY".into(),
            line: KnownHost::known("hv ssh-ed25519 AAAA"),
        }])
    }

    fn noted_in(
        &self,
        _target: &Target,
        file: &Path,
        shown: &[HostKey],
    ) -> Result<Vec<HostKey>, ConnectError> {
        let text = std::fs::read_to_string(file).map_err(ConnectError::Local)?;
        Ok(shown.iter().filter(|key| text.lines().any(|line| key.line == line)).cloned().collect())
    }

    fn remember(&self, _target: &Target, keys: &[HostKey]) -> Result<String, ConnectError> {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = keys.first().cloned();
        Ok("~/.ssh/known_hosts".into())
    }

    fn replace(&self, target: &Target, keys: &[HostKey]) -> Result<String, ConnectError> {
        self.remember(target, keys)
    }

    fn known(&self, _target: &Target) -> Result<Vec<KnownHost>, ConnectError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(known.iter().map(|key| key.line.clone()).collect())
    }
}
