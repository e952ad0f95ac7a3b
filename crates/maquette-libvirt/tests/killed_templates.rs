//! Killed inside the two steps that templates have: while one is made, and while a node starts from it. Before and after
//! each call to libvirt, each command and each order to a shell on the hypervisor. The next run gets to the same end, no
//! template is used that was not finished, and taking it down leaves nothing.
//!
//! Planner, executor and backend are the real ones, and so are the shells; libvirt is its test driver, with what it
//! lacks in `stand_in`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::killer::{Killer, Point, beside, carry_out};
use crate::stand_in::{Machine, Mood, Voice};
use maquette_core::blueprint::{self, Blueprint};
use maquette_core::names::EnvName;
use maquette_core::observed::{HostNetwork, Observed};
use maquette_core::plan::{self, Action, Plan};
use maquette_core::settings::StartChoice;
use maquette_core::start_times::Came;
use maquette_core::topology::{Preallocation, VirtType};
use maquette_core::values::Secret;
use maquette_engine::executor::Summary;
use maquette_engine::host::{Command, Host, HostError, Local, Output};
use maquette_engine::image::Transfer;
use maquette_engine::{Backend, Lanes, StepContext, StepError};
use maquette_libvirt::{Client, Gate, Instead, Libvirt, Notes, Port, observe, prune};

const WEB: &str = "web=name: web\ncpu: 1\nmemory: 768\n\
    disks: {disk1: {size: 4G}, disk2: {size: 1G}}\nexternal_network: management\n\
    interfaces:\n  nic1: {network: management}\n  nic2: {network: data}\n";

/// Ends a run, and does what the driver cannot.
struct Ending(Arc<Killer>, Arc<Machine>);

impl Gate for Ending {
    fn before(&self, _call: &str) -> Result<(), String> {
        self.0.before()
    }

    fn after(&self, call: &str) -> Result<(), String> {
        if ["restore memory", "resize a disk", "resume", "attach a device"].contains(&call) {
            self.1.note(call);
            // Its guest goes on.
            self.1.tell();
        }
        self.0.after()
    }

    fn instead(&self, call: &Instead<'_>) -> Option<Result<(), String>> {
        Some(self.1.instead(call))
    }

    fn port(&self, domain: &str) -> Option<Arc<dyn Port>> {
        let (machine, killer) = (self.1.clone(), self.0.clone());
        let over = Mutex::new((false, false));
        Some(Arc::new(Voice { machine, killer, domain: domain.into(), over }))
    }
}

/// The hypervisor's own side. What concerns neither pool nor records does nothing.
struct Shell(Arc<Killer>, Arc<Machine>);

impl Shell {
    fn is_ours(&self, command: &Command) -> bool {
        let top = self.1.directory.parent().unwrap().display().to_string();
        command.program == "date" || command.args.iter().any(|arg| arg.contains(&top))
    }

    /// Orders to a shell pass one by one, and end when the run does.
    fn relay(&self, child: &mut Child) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let orders = Arc::new(Mutex::new(child.stdin.take()));
        child.stdin = Some(ChildStdin::from(OwnedFd::from(ours)));
        let (ending, killer) = (orders.clone(), self.0.clone());
        self.0.at_end(move || drop(ending.lock().unwrap().take()));
        std::thread::spawn(move || {
            for line in BufReader::new(theirs).lines().map_while(Result::ok) {
                if killer.before().is_err() {
                    break;
                }
                if let Some(pipe) = orders.lock().unwrap().as_mut() {
                    // One that is gone does not read.
                    let _ = pipe.write_all(format!("{line}\n").as_bytes());
                }
                if killer.after().is_err() {
                    break;
                }
            }
            orders.lock().unwrap().take();
        });
    }
}

impl Host for Shell {
    fn run(&self, command: &Command, on_line: &mut dyn FnMut(&str)) -> Result<Output, HostError> {
        self.0.call(|| {
            self.1.as_files();
            match self.is_ours(command) {
                true => Local.run(command, on_line),
                false => Ok(Output { status: Some(0), ..Output::default() }),
            }
        })
    }

    fn spawn(&self, command: &Command) -> Result<Child, HostError> {
        let mut spawned = None;
        let made = self.0.call(|| {
            let mut child = Local.spawn(command)?;
            self.relay(&mut child);
            spawned = Some(child);
            Ok(())
        });
        let child = made.map(|()| spawned.take());
        if let Some(mut child) = spawned {
            // Nobody hears it, and it ends.
            drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
            child.wait().unwrap();
        }
        child.map(Option::unwrap)
    }

    fn read_tail(&self, _: &str, _: u64) -> Result<Option<Vec<u8>>, HostError> {
        Ok(None)
    }

    fn exists(&self, path: &str) -> bool {
        self.1.as_files();
        self.0.call(|| Ok(Local.exists(path))).unwrap_or(false)
    }

    fn answers(&self, _: SocketAddr) -> bool {
        false
    }

    fn is_lost(&self) -> bool {
        self.0.is_dead().is_err()
    }
}

/// The real backend, which dies in the steps that templates have only.
struct Ground<'a>(Libvirt<'a>, Arc<Killer>);

impl Backend for Ground<'_> {
    fn perform(&self, action: &Action, context: &StepContext<'_>) -> Result<(), StepError> {
        self.1.is_dead().map_err(StepError::new)?;
        match action {
            Action::MakeTemplate { .. } | Action::RestoreDomain { .. } => {
                self.0.perform(action, context)
            }
            _ => beside(|| self.0.perform(action, context)),
        }
    }

    fn lanes(&self) -> Lanes {
        self.0.lanes()
    }
}

/// What a run does.
#[derive(Clone, Copy)]
enum Goal {
    Nothing,
    /// As many nodes.
    Up(u32, StartChoice),
    /// What as many nodes could start from.
    Templates(u32),
    Down,
}

/// A directory for one hypervisor after another.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let xml = format!(
            "<node><pool type='dir'><name>images</name><target><path>{}</path></target>
             <volume type='file'><name>maquette-debian-12.qcow2</name><capacity>1</capacity></volume></pool></node>",
            place.pool().display()
        );
        fs::write(place.0.path().join("node.xml"), xml).unwrap();
        place
    }

    fn pool(&self) -> PathBuf {
        self.0.path().join("pool")
    }

    fn records(&self) -> PathBuf {
        self.0.path().join("records")
    }

    /// A new hypervisor, on which nothing is.
    fn lab(&self) -> Lab<'_> {
        for directory in [self.pool(), self.records()] {
            // There is none yet.
            let _ = fs::remove_dir_all(&directory);
            fs::create_dir(&directory).unwrap();
        }
        let uri = format!("test://{}/node.xml", self.0.path().display());
        let client = Arc::new(Client::open_for_tests(&uri).unwrap());
        let records = self.records().display().to_string();
        let transfer = Transfer { records, ..Transfer::default() };
        let machine = Machine::new(client, self.pool());
        Lab { place: self, machine, uri, transfer, notes: Notes::default() }
    }
}

/// One hypervisor.
struct Lab<'a> {
    place: &'a Place,
    machine: Arc<Machine>,
    uri: String,
    transfer: Transfer,
    /// What its runs have learnt.
    notes: Notes,
}

fn environment() -> EnvName {
    EnvName::default()
}

impl Lab<'_> {
    fn look(&self) -> Observed {
        self.machine.refresh();
        let seen = observe(&self.machine.client, &environment(), "images", None).unwrap();
        seen.on_host(&[], HostNetwork::default())
    }

    fn blueprint(&self, count: u32, start: StartChoice, seen: &Observed) -> Blueprint {
        let mut input = maquette_testkit::input(&[(WEB, count)], "3_nets", &[]);
        input.request.settings.pool_path = self.place.pool().display().to_string().parse().unwrap();
        let mut blueprint = maquette_testkit::blueprint_of(&input, seen);
        blueprint.start = start;
        let pool = blueprint.pool.clone();
        for node in &mut blueprint.nodes {
            node.virt = VirtType::Qemu;
            let template = blueprint::template(node, None, &pool, &|_| true, "QEMU 1");
            blueprint.templates.insert(node.name.clone(), template);
            node.virt = VirtType::Test;
            // The driver refuses it.
            node.disks.iter_mut().for_each(|d| d.preallocation = Preallocation::Off);
        }
        blueprint
    }

    fn plan(&self, goal: Goal) -> Plan {
        let seen = self.look();
        match goal {
            Goal::Nothing => Plan::default(),
            Goal::Up(count, start) => {
                let blueprint = self.blueprint(count, start, &seen);
                plan::create(&blueprint, &seen, &|_| Secret::new("private"))
            }
            Goal::Templates(count) => {
                plan::templates(&self.blueprint(count, StartChoice::Warm, &seen), &seen)
            }
            Goal::Down => plan::destroy(&seen, &environment()),
        }
    }

    /// Plans and carries out; how it ended, how many calls it took, and what failed.
    fn run(&self, goal: Goal, at: Option<Point>) -> (Summary, usize, Vec<String>) {
        let plan = self.plan(goal);
        let killer = Killer::new(at);
        let machine = self.machine.clone();
        killer.at_end(move || machine.tell());
        let shell = Shell(killer.clone(), self.machine.clone());
        let backend = Ground(self.backend(&shell), killer.clone());
        let (summary, failed) = carry_out(&plan, &backend);
        (summary, killer.calls(), failed)
    }

    fn backend<'a>(&'a self, shell: &'a Shell) -> Libvirt<'a> {
        crate::killer::backend(shell, &self.uri, &self.transfer, Duration::from_secs(300))
            .with_client(self.machine.client.clone())
            .with_notes(self.notes.clone())
            .with_gate(Arc::new(Ending(shell.0.clone(), self.machine.clone())))
    }

    /// Does it in one go; nothing is left to do after that.
    fn reach(&self, goal: Goal, said: &str) -> usize {
        let (summary, calls, failed) = self.run(goal, None);
        assert!(summary.is_success(), "{said}: {failed:#?}");
        let plan = self.plan(goal);
        assert!(plan.is_empty(), "{said}: it is not finished: {:#?}", plan.changes);
        calls
    }

    /// Everything there is. What a shell that was killed has locked is a file without content.
    fn state(&self, said: &str) -> (Observed, Vec<String>) {
        let seen = self.look();
        let all = seen.domains.values().all(|d| d.active && d.ready && d.live.is_some());
        assert!(all, "{said}: {:#?}", seen.domains);
        assert!(seen.claims.domains.is_empty(), "{said}: {:?}", seen.claims.domains);
        let mut files: Vec<String> = self.machine.files().into_iter().collect();
        files.retain(|file| !file.ends_with(".part.lock"));
        (seen, files)
    }

    /// Takes everything down, and removes what nothing uses.
    fn remove(&self, said: &str) -> (Observed, Vec<String>) {
        self.reach(Goal::Down, &format!("{said}, taken down"));
        prune(&self.machine.client, &Local, &self.transfer.records, "images").unwrap();
        self.machine.forget_memory();
        let seen = self.look();
        let records = fs::read_dir(self.place.records()).into_iter().flatten().flatten();
        let records = records.map(|entry| entry.path().display().to_string());
        (seen, self.machine.files().into_iter().chain(records).collect())
    }
}

/// Lines that only one of two values has, written out.
fn differences<T: std::fmt::Debug>(found: &T, wanted: &T) -> String {
    let (found, wanted) = (format!("{found:#?}"), format!("{wanted:#?}"));
    let only = |sign: &str, here: &str, there: &str| -> String {
        let lines = here.lines().filter(|line| !there.lines().any(|other| other == *line));
        lines.map(|line| format!("{sign}{line}\n")).collect()
    };
    only("-", &wanted, &found) + &only("+", &found, &wanted)
}

/// Tries every point of one story; how many there were.
fn every_point(name: &str, from: Goal, goal: Goal) -> usize {
    let place = Place::new();
    let empty = place.lab().remove(name);
    let start = |said: &str| {
        let lab = place.lab();
        lab.reach(from, &format!("{said}: what is there before"));
        lab
    };
    let whole = start(name);
    let calls = whole.reach(goal, name);
    let wanted = whole.state(name);
    assert_eq!(whole.remove(name), empty, "{name}");
    let mut points = 0;
    for call in 1..=calls {
        for made in [false, true] {
            let point = Point { call, made };
            let said = format!("{name}, {point:?} of {calls}");
            let lab = start(&said);
            let (summary, ..) = lab.run(goal, Some(point));
            // The last call of all leaves nothing undone; neither does one that a shell has heard before it ended.
            assert!(!summary.is_success() || made, "{said}: it was not killed");
            // Some are taken down at once; the others go on first.
            if !(call + usize::from(made)).is_multiple_of(3) {
                lab.reach(goal, &said);
                let state = lab.state(&said);
                assert!(state == wanted, "{said}: {}", differences(&state, &wanted));
            }
            let left = lab.remove(&said);
            assert!(left == empty, "{said}: left behind: {}", differences(&left, &empty));
            points += 1;
        }
    }
    println!("{name}: {points} points");
    points
}

/// What is called like a domain from which a template is made, and is not, is not ended for that.
#[test]
fn somebody_elses_domain_of_such_a_name_is_left_alone() {
    let place = Place::new();
    let lab = place.lab();
    let blueprint = lab.blueprint(1, StartChoice::Warm, &lab.look());
    let name = blueprint.templates.values().next().unwrap().as_ref().unwrap().name();
    let xml = format!(
        "<domain type='test'><name>{name}</name><memory unit='MiB'>8</memory>\
         <os><type>hvm</type></os></domain>"
    );
    lab.machine.client.create_domain(&xml).unwrap();
    let (summary, _, failed) = lab.run(Goal::Templates(1), None);
    assert!(!summary.is_success());
    assert!(failed.iter().any(|f| f.contains("somebody else's")), "{failed:?}");
    let left = lab.machine.client.domain(&name).unwrap().unwrap();
    assert!(left.is_active().unwrap());
}

/// It would draw the same random numbers as its twins until it hears others.
fn a_guest_hears_who_it_is_before_it_runs() {
    let place = Place::new();
    let lab = place.lab();
    lab.reach(Goal::Templates(1), "before");
    lab.machine.story.lock().unwrap().clear();
    lab.reach(Goal::Up(1, StartChoice::Warm), "a node");
    let story = std::mem::take(&mut *lab.machine.story.lock().unwrap());
    // Its second disk; two NICs and the seed are in its memory.
    let wanted = ["restore memory", "hear, paused", "resize a disk", "attach a device", "resume"];
    assert_eq!(story, wanted);
    // What is not plugged in yet of one that is left paused is so by the next run, which lets none go on that has not heard.
    let mut paused = 0;
    for call in 1.. {
        let lab = place.lab();
        lab.reach(Goal::Templates(1), "before");
        let (summary, ..) =
            lab.run(Goal::Up(1, StartChoice::Warm), Some(Point { call, made: true }));
        if summary.is_success() {
            break;
        }
        if !lab.look().domains.values().any(|domain| domain.paused) {
            continue;
        }
        lab.machine.story.lock().unwrap().clear();
        lab.reach(Goal::Up(1, StartChoice::Warm), "the next run");
        let story = lab.machine.story.lock().unwrap();
        let mut heard =
            story.iter().filter(|what| ["hear, paused", "resume"].contains(&what.as_str()));
        assert_ne!(heard.next().map(String::as_str), Some("resume"), "{call}: {story:?}");
        paused += 1;
    }
    assert!(paused > 2, "{paused}");
}

/// A node that has memory of a template, and whose devices do not come, boots in the same run; so does one that another run
/// has left so.
fn what_does_not_go_on_to_its_end_boots() {
    let place = Place::new();
    let refused = "libvirt cannot restore it";
    for (mood, count, blamed) in [
        (Mood::Refuses, 1, Some("cannot plug in what belongs to domain")),
        (Mood::Misses, 1, Some("nics: none came")),
        (Mood::RefusesMemory, 1, Some(refused)),
        // The others start from it.
        (Mood::MissesOnce, 2, None),
    ] {
        let lab = place.lab();
        *lab.machine.mood.lock().unwrap() = mood;
        let said = format!("{mood:?}");
        lab.reach(Goal::Up(count, StartChoice::Warm), &said);
        let (seen, _) = lab.state(&said);
        let live = seen.domains["web-0"].live.as_ref().unwrap();
        assert_eq!((live.nics.len(), live.disks.len()), (2, 3), "{said}");
        let notes = std::mem::take(&mut *lab.notes.lock().unwrap());
        let booted: Vec<&str> = notes.booted.keys().map(String::as_str).collect();
        assert_eq!(booted, ["web-0"], "{said}");
        let came: Vec<Came> = notes.templates.into_values().collect();
        match (&came[..], blamed) {
            ([Came::Failed(why)], Some(wanted)) => assert!(why.contains(wanted), "{said}: {why}"),
            ([Came::Started], None) => {}
            _ => panic!("{said}: {came:?}"),
        }
        lab.remove(&said);
    }
}

/// Memory that QEMU does not take goes, and is made again once no disk overlays what is left of its template; what this run has
/// made would not become better.
fn memory_that_is_refused_is_made_anew() {
    let place = Place::new();
    let lab = place.lab();
    let memories = || -> Vec<String> {
        lab.machine.files().into_iter().filter(|file| file.ends_with(".save")).collect()
    };
    lab.reach(Goal::Templates(1), "it is made");
    assert_eq!(memories().len(), 1);
    *lab.notes.lock().unwrap() = Default::default();
    *lab.machine.mood.lock().unwrap() = Mood::RefusesMemory;
    lab.reach(Goal::Up(1, StartChoice::Auto), "its memory is refused");
    let notes = std::mem::take(&mut *lab.notes.lock().unwrap());
    assert!(notes.booted.contains_key("web-0"), "{notes:?}");
    let came: Vec<&Came> = notes.templates.values().collect();
    assert!(matches!(came[..], [Came::Gone(why)] if why.contains("cannot restore")), "{notes:?}");
    assert!(memories().is_empty(), "{:?}", memories());
    // A disk of its nodes overlays what is left of it, so that it is not made as long as they are there.
    let (summary, _, failed) = lab.run(Goal::Templates(1), None);
    assert!(!summary.is_success() && failed.iter().any(|f| f.contains("overlay")), "{failed:?}");
    assert!(lab.notes.lock().unwrap().templates.is_empty(), "that is not the template's fault");
    lab.reach(Goal::Down, "taken down");
    *lab.machine.mood.lock().unwrap() = Mood::Well;
    *lab.notes.lock().unwrap() = Default::default();
    lab.reach(Goal::Up(1, StartChoice::Warm), "it is made anew");
    let notes = std::mem::take(&mut *lab.notes.lock().unwrap());
    assert!(notes.booted.is_empty(), "{notes:?}");
    assert_eq!(notes.templates.into_values().collect::<Vec<_>>(), [Came::Started]);
    assert_eq!(memories().len(), 1);
}

/// What is left of runs that were killed together with the shells that would have removed it, on a hypervisor that crashed.
fn what_a_crash_left_goes_with_the_next_run() {
    let place = Place::new();
    let lab = place.lab();
    let left = [".maquette-warm-a.other-0.qcow2.part", ".maquette-warm-b.qcow2.part"];
    for file in left {
        fs::write(place.pool().join(file), "memory").unwrap();
        fs::write(place.pool().join(format!("{file}.lock")), "").unwrap();
    }
    lab.reach(Goal::Up(1, StartChoice::Warm), "after a crash");
    let files = lab.machine.files();
    assert!(!files.iter().any(|file| left.iter().any(|l| file.starts_with(l))), "{files:?}");
}

const INSIDE: &str = "MAQUETTE_TEST_INSIDE";

/// Whoever waits for a node logs in to it. `ssh` is found by the path, which is the process's: the test runs in one of
/// its own.
#[test]
fn killed_at_every_call_a_template_is_made_and_nodes_start_from_it() {
    let programs = tempfile::tempdir().unwrap();
    let ssh = programs.path().join("ssh");
    fs::write(&ssh, "#!/bin/sh\nprintf '@@result@@{\"v1\": {\"errors\": []}}'\n").unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "inside", "--ignored", "--nocapture"])
        .env("PATH", format!("{}:{path}", programs.path().display()))
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    println!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success());
}

#[test]
#[ignore = "another test runs it, with another `ssh`"]
fn inside() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    a_guest_hears_who_it_is_before_it_runs();
    what_does_not_go_on_to_its_end_boots();
    memory_that_is_refused_is_made_anew();
    what_a_crash_left_goes_with_the_next_run();
    let stories = [
        ("a template and a node", Goal::Nothing, Goal::Up(1, StartChoice::Warm)),
        ("two nodes from a template", Goal::Templates(2), Goal::Up(2, StartChoice::Auto)),
    ];
    let total: usize = std::thread::scope(|scope| {
        let run = |(name, from, goal): (&str, Goal, Goal)| every_point(name, from, goal);
        let threads: Vec<_> = stories.map(|s| scope.spawn(move || run(s))).into_iter().collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    println!("killed at {total} points, all converged, nothing was left");
    assert!(total >= 200, "only {total} points");
}
