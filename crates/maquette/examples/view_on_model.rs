//! `maquette view` of forty nodes on a model of a hypervisor, for `tests/e2e/view` and `benches/view`. What happens there
//! is read from standard input, a line each:
//!
//! - `stop NODE`, `start NODE`, `pause NODE`;
//! - `vnc NODE PORT`: its VNC server listens there;
//! - `libvirt stops`, `libvirt starts`;
//! - `storm COUNT`: so many changes a second, spread over all nodes; 0 ends it.
//!
//! Arguments are those of `maquette view`. Files are written to the current directory, which has to be empty.

#![allow(clippy::unwrap_used, reason = "a program for tests")]

use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use maquette::{Environment, Terminal, World};
use maquette_core::values::NodeName;
use maquette_libvirt::DomainEvent;
use maquette_testkit::{Machine, Model, ModelHost, ModelHosts};

const PROJECT: &str = "\
prefix: lab
image: debian-12
networks:
  front: {subnet: 10.9.0.0/24, dhcp: yes}
  back: {subnet: 10.9.1.0/24}
  storage: {subnet: 10.9.2.0/24}
nodes:
  web: {count: 16, memory: 1024, networks: [front, back]}
  db: {count: 8, memory: 2048, networks: [back, storage]}
  worker: {count: 16, memory: 1024, networks: [front, back, storage]}
";

fn main() -> ExitCode {
    let top = std::env::current_dir().unwrap();
    std::fs::create_dir_all(top.join("hv/var/log/libvirt/qemu")).unwrap();
    std::fs::write("maquette.yaml", PROJECT).unwrap();
    let machine = Machine { listeners: Some(Vec::new()), ..Machine::prepared() };
    let machine = Arc::new(Mutex::new(machine));
    let world = world(&top, &machine);
    let up = World {
        terminal: Arc::new(Terminal::to(std::io::sink(), std::io::stderr(), None)),
        ..world.clone()
    };
    assert_eq!(maquette::run(["maquette", "up", "--yes"], &up), 0);
    for name in machine.lock().unwrap().seen.domains.keys() {
        let log = top.join(format!("hv/var/log/libvirt/qemu/{name}-serial.log"));
        std::fs::write(log, format!("\r\nDebian GNU/Linux 12 {name} ttyS0\r\n\r\n{name} login: "))
            .unwrap();
    }
    let rate = Arc::new(AtomicU64::new(0));
    let (storming, read) = ((machine.clone(), rate.clone()), (machine, rate));
    std::thread::spawn(move || storm(&storming.0, &storming.1));
    std::thread::spawn(move || happen(&read.0, &read.1));
    let words = ["maquette", "view"].map(String::from).into_iter();
    ExitCode::from(maquette::run(words.chain(std::env::args().skip(1)), &world))
}

fn world(top: &Path, machine: &Arc<Mutex<Machine>>) -> World {
    let host = ModelHost::new(&top.join("hv"), machine.clone());
    World {
        terminal: Arc::new(Terminal::to(std::io::stdout(), std::io::stderr(), None)),
        environment: Environment::of_process(),
        clock: SystemTime::now,
        hosts: Arc::new(ModelHosts { host, known: Mutex::new(None) }),
        libvirt: Arc::new(Model::new(machine.clone())),
    }
}

/// Reads what happens; at its end the program ends.
fn happen(machine: &Mutex<Machine>, rate: &AtomicU64) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let mut machine = machine.lock().unwrap();
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["stop", name] => machine.change(name, |domain| domain.active = false),
            ["start", name] => {
                machine.change(name, |domain| (domain.active, domain.paused) = (true, false));
            }
            ["pause", name] => machine.change(name, |domain| domain.paused = true),
            ["vnc", name, port] => {
                let port = port.parse().unwrap();
                machine.change(name, |domain| domain.vnc_port = Some(port));
            }
            ["libvirt", "starts"] => machine.runs = true,
            ["libvirt", "stops"] => {
                machine.runs = false;
                // Who has gone needs to be told nothing.
                let listeners = machine.listeners.replace(Vec::new()).into_iter().flatten();
                listeners.for_each(|one| drop(one.send(DomainEvent::Closed)));
            }
            ["storm", count] => rate.store(count.parse().unwrap(), Ordering::SeqCst),
            _ => panic!("nobody knows how: {line}"),
        }
    }
    std::process::exit(0);
}

/// Pauses and resumes nodes, one after the other, so many a second.
fn storm(machine: &Mutex<Machine>, rate: &AtomicU64) {
    const STEP: Duration = Duration::from_millis(50);
    let names: Vec<NodeName> = machine.lock().unwrap().seen.domains.keys().cloned().collect();
    let (mut next, mut owed, mut last) = (0, 0.0, Instant::now());
    loop {
        std::thread::sleep(STEP);
        owed += rate.load(Ordering::SeqCst) as f64 * last.elapsed().as_secs_f64();
        last = Instant::now();
        for _ in 0..owed as usize {
            let name = &names[next % names.len()];
            machine.lock().unwrap().change(name, |domain| domain.paused = !domain.paused);
            next += 7;
        }
        owed -= owed.floor();
    }
}
