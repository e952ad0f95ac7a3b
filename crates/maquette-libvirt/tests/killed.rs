//! Killed inside a step: before and after each call that a step makes, and in the middle of what it sends.
//! The next run gets to the same end, and taking it down leaves nothing.
//!
//! Planner, executor and backend are the real ones; the hypervisor is libvirt's test driver, one for each
//! point. It has neither streams nor a shell: seeds are kept here, commands do nothing, and devices are plugged in by
//! `stand_in`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::killer::{Killer, Point, beside, carry_out};
use crate::stand_in::Machine;
use maquette_core::blueprint::{Blueprint, Ipv4Setup, Pool};
use maquette_core::defaults::{self, Kind};
use maquette_core::names::EnvName;
use maquette_core::observed::{HostNetwork, Observed};
use maquette_core::plan::{self, Action, HypervisorNeeds, Plan, PoolState, Setting};
use maquette_core::seed::seed_files;
use maquette_core::topology::{Preallocation, VirtType};
use maquette_core::values::Secret;
use maquette_engine::executor::Summary;
use maquette_engine::host::{Command, Host, HostError, Output};
use maquette_engine::image::Transfer;
use maquette_engine::prepare::{self, record, record::Record};
use maquette_engine::probe;
use maquette_engine::{Backend, Lanes, StepContext, StepError, seed_volume};
use maquette_libvirt::{Client, Gate, Instead, Libvirt, observe, pools, prune};
use maquette_testkit::Input;
use virt::sys;

const HYPERVISOR: &str = "<node>
  <network><name>theirs</name><bridge name='theirs0'/><ip address='192.168.122.1' netmask='255.255.255.0'/></network>
  <pool type='dir'><name>images</name><target><path>/var/lib/libvirt/images</path></target></pool>
</node>";

/// Seeds, by volume, as far as they were sent.
type Seeds = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Ends a run, keeps seeds, and plugs devices in.
struct Ending(Arc<Killer>, Seeds, Arc<Machine>);

impl Gate for Ending {
    fn before(&self, _call: &str) -> Result<(), String> {
        self.0.before()
    }

    fn after(&self, _call: &str) -> Result<(), String> {
        self.0.after()
    }

    fn instead(&self, call: &Instead<'_>) -> Option<Result<(), String>> {
        let (volume, content) = match *call {
            Instead::Upload { volume, content } => (volume, content),
            Instead::Attach { .. } => return Some(self.2.instead(call)),
            _ => return None,
        };
        // A volume is there, and empty, before anything is sent.
        self.1.lock().unwrap().insert(volume.into(), Vec::new());
        let send = |chunk: &[u8]| {
            self.0.before()?;
            self.1.lock().unwrap().get_mut(volume).unwrap().extend_from_slice(chunk);
            self.0.after()
        };
        Some(content.chunks(content.len().div_ceil(4)).try_for_each(send))
    }
}

/// Files of the host that are written whole, by path.
type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A host on which images are there and commands do nothing.
struct Shell(Arc<Killer>, Files);

impl Shell {
    fn call(&self) -> Result<(), HostError> {
        self.0.call(|| Ok(()))
    }
}

impl Host for Shell {
    fn run(&self, _: &Command, _: &mut dyn FnMut(&str)) -> Result<Output, HostError> {
        self.call()?;
        Ok(Output { status: Some(0), ..Output::default() })
    }

    fn spawn(&self, command: &Command) -> Result<Child, HostError> {
        let source = std::io::Error::other("it has no processes");
        Err(HostError::Start { program: command.program.clone(), source })
    }

    fn read_tail(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>, HostError> {
        self.call().map(|()| self.1.lock().unwrap().get(path).cloned())
    }

    fn exists(&self, _: &str) -> bool {
        self.call().is_ok()
    }

    fn upload(&self, _: &Path, _: &str, _: &mut dyn FnMut(u64)) -> Result<(), HostError> {
        self.call()
    }

    fn write(&self, path: &str, content: &[u8], _: u32) -> Result<(), HostError> {
        let write = || self.1.lock().unwrap().insert(path.into(), content.into());
        self.0.call(|| Ok(write())).map(|_| ())
    }

    fn answers(&self, _: SocketAddr) -> bool {
        false
    }

    fn rename(&self, _: &str, _: &str) -> Result<(), HostError> {
        self.call()
    }

    fn remove(&self, path: &str) -> Result<(), HostError> {
        self.0.call(|| Ok(self.1.lock().unwrap().remove(path))).map(|_| ())
    }
}

/// The real backend. The driver shows no other definition of a network than the one that runs, so a
/// network is off for a moment while it is defined again.
struct Ground<'a>(Libvirt<'a>, Arc<Killer>);

impl Ground<'_> {
    fn beside(&self, action: &Action, context: &StepContext<'_>) {
        beside(|| self.0.perform(action, context)).unwrap();
    }
}

impl Backend for Ground<'_> {
    fn perform(&self, action: &Action, context: &StepContext<'_>) -> Result<(), StepError> {
        if matches!(action, Action::FetchImage { .. }) {
            // It is there; what fetching one takes is tried where it is done, in a shell.
            let call = self.1.before().and_then(|()| self.1.after());
            return call.map_err(StepError::new);
        }
        let Action::UpdateNetwork { network, .. } = action else {
            return self.0.perform(action, context);
        };
        if self.1.is_dead().is_err() {
            return self.0.perform(action, context);
        }
        let seen = observe(self.0.client()?, &environment(), "images", None).unwrap().observed;
        let name = network.name.clone();
        let active = seen.networks.get(&name).is_some_and(|n| n.active);
        if active {
            self.beside(&Action::StopNetwork { name: name.to_string() }, context);
        }
        let result = self.0.perform(action, context);
        if active {
            self.beside(&Action::StartNetwork { name, autostart: network.autostart }, context);
        }
        result
    }

    fn lanes(&self) -> Lanes {
        self.0.lanes()
    }
}

/// What a run does.
enum What {
    /// Nothing at all.
    Nothing,
    Up(Box<Input>),
    Down,
    /// Removes one node.
    Remove(&'static str),
}

/// What a run does, with what was planned for that. Planning is pure: it is not done again on the same hypervisor,
/// which is most of what this test does.
struct Goal {
    what: What,
    planned: Mutex<Vec<(Observed, Plan)>>,
}

impl Goal {
    fn new(what: What) -> Self {
        Self { what, planned: Mutex::default() }
    }

    fn up(nodes: &[(&str, u32)], extra: &[&str]) -> Self {
        Self::new(What::Up(Box::new(maquette_testkit::input(nodes, "3_nets", extra))))
    }

    /// A controller with a further disk and a further NIC.
    fn plugged() -> Self {
        let text = defaults::get(Kind::Network, "3_nets").unwrap();
        let nic = "      - network: external\n";
        let text = text.replace(nic, &format!("{nic}      - network: data\n"));
        let nodes = [("controller", 1)];
        Self::new(What::Up(Box::new(maquette_testkit::input(&nodes, &text, TWO_DISKS))))
    }

    fn plan(&self, seen: &Observed) -> Plan {
        let mut planned = self.planned.lock().unwrap();
        if let Some((_, plan)) = planned.iter().find(|(then, _)| then == seen) {
            return plan.clone();
        }
        let plan = match &self.what {
            What::Nothing => Plan::default(),
            What::Up(input) => {
                plan::create(&blueprint_of(input, seen), seen, &|_| Secret::new("private"))
            }
            What::Down => plan::destroy(seen, &environment()),
            What::Remove(node) => {
                plan::remove_nodes(seen, &environment(), &[(*node).to_string()].into())
            }
        };
        planned.push((seen.clone(), plan.clone()));
        plan
    }
}

/// One hypervisor.
struct Lab {
    _directory: tempfile::TempDir,
    uri: String,
    client: Arc<Client>,
    seeds: Seeds,
    machine: Arc<Machine>,
    transfer: Transfer,
}

fn environment() -> EnvName {
    EnvName::default()
}

impl Lab {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("node.xml"), HYPERVISOR).unwrap();
        let uri = format!("test://{}/node.xml", directory.path().display());
        let client = Arc::new(Client::open_for_tests(&uri).unwrap());
        let (seeds, transfer) = (Seeds::default(), Transfer::default());
        let machine = Machine::new(client.clone(), directory.path().into());
        Self { _directory: directory, uri, client, seeds, machine, transfer }
    }

    /// Somebody changes an object's record, so that it is not believed any more.
    fn edit(&self, edit: Edit) {
        let edited = |xml: String| {
            let (before, digest) = xml.split_once("digest=").unwrap();
            let (quote, digest) = digest.split_at(1);
            format!("{before}digest={quote}0{digest}")
        };
        match edit {
            Edit::Nothing => return,
            Edit::Domain(name) => {
                let domain = self.client.domain(name).unwrap().unwrap();
                let xml = domain.xml_desc(sys::VIR_DOMAIN_XML_INACTIVE).unwrap();
                self.client.define_domain(&edited(xml)).unwrap();
            }
            Edit::Network(name) => {
                let network = self.client.network(name).unwrap().unwrap();
                let xml = network.xml_desc(0).unwrap();
                // The driver shows what runs.
                network.destroy().unwrap();
                self.client.define_network(&edited(xml)).unwrap().create().unwrap();
            }
        }
        assert_eq!(self.look().edited.len(), 1, "its record is believed");
    }

    fn look(&self) -> Observed {
        let seen = observe(&self.client, &environment(), "images", None).unwrap();
        let found = pools(&self.client).unwrap();
        seen.on_host(&[], HostNetwork::default()).with_pools(found, BTreeMap::new())
    }

    fn plan(&self, goal: &Goal) -> Plan {
        goal.plan(&self.look())
    }

    /// Plans and carries out; how it ended, how many calls it took, and what failed.
    fn run(&mut self, goal: &Goal, at: Option<Point>) -> (Summary, usize, Vec<String>) {
        let plan = self.plan(goal);
        let killer = Killer::new(at);
        let shell = Shell(killer.clone(), Files::default());
        let backend = Ground(self.backend(&shell), killer.clone());
        let (summary, failed) = carry_out(&plan, &backend);
        (summary, killer.calls(), failed)
    }

    fn backend<'a>(&'a self, shell: &'a Shell) -> Libvirt<'a> {
        crate::killer::backend(shell, &self.uri, &self.transfer, Duration::from_secs(1))
            .with_client(self.client.clone())
            .with_gate(Arc::new(Ending(shell.0.clone(), self.seeds.clone(), self.machine.clone())))
    }

    /// Does it in one go; nothing is left to do after that.
    fn reach(&mut self, goal: &Goal, said: &str) -> usize {
        let (summary, calls, failed) = self.run(goal, None);
        assert!(summary.is_success(), "{said}: {failed:#?}");
        let plan = self.plan(goal);
        assert!(plan.is_empty(), "{said}: it is not finished: {:#?}", plan.changes);
        calls
    }

    /// All that it is by now, and whether each seed of a node is whole.
    fn state(&self, kept: &BTreeMap<String, Vec<u8>>) -> (Observed, Vec<String>) {
        let seen = self.look();
        let seeds = self.seeds.lock().unwrap();
        let mut torn = Vec::new();
        for node in seen.domains.values().map(|d| &d.recorded) {
            let Some(guest) = &node.guest else { continue };
            let files = seed_files(node, guest, &Secret::new("private"), None);
            let name = guest.seed.as_str();
            let whole = || seed_volume::image(&files).unwrap();
            if seeds.get(name) != Some(&kept.get(name).cloned().unwrap_or_else(whole)) {
                torn.push(guest.seed.to_string());
            }
        }
        (seen, torn)
    }
}

/// The blueprint of an input. No guest ever boots there, so nobody waits for one.
fn blueprint_of(input: &Input, seen: &Observed) -> Blueprint {
    let mut blueprint = maquette_testkit::blueprint_of(input, seen);
    for node in &mut blueprint.nodes {
        node.virt = VirtType::Test;
        node.access.address = None;
        for interface in node.interfaces.iter_mut().filter(|i| i.ipv4.asks_dhcp()) {
            interface.ipv4 = interface.ipv4.address().map_or(Ipv4Setup::Off, |address| {
                Ipv4Setup::Static { address, gateway: None, nameserver: None }
            });
        }
        // The driver refuses it.
        node.disks.iter_mut().for_each(|d| d.preallocation = Preallocation::Off);
    }
    blueprint
}

const DEPLOYED: &[&str] =
    &["override.controller.deploy_os=yes", "override.controller.disks.disk1.size=12G"];
const LARGER: &[&str] = &[
    "override.controller.deploy_os=yes",
    "override.controller.disks.disk1.size=12G",
    "override.controller.memory=40960",
];
const IN_A_DIRECTORY: &[&str] = &[
    "override.controller.deploy_os=yes",
    "override.controller.disks.disk1.size=12G",
    "override.controller.disks.disk2.size=5G",
    "override.controller.disks.disk2.path=/srv/disks",
];
const IN_ANOTHER: &[&str] = &[
    "override.controller.deploy_os=yes",
    "override.controller.disks.disk1.size=12G",
    "override.controller.disks.disk2.size=5G",
    "override.controller.disks.disk2.path=/srv/others",
];
const TWO_DISKS: &[&str] = &[
    "override.controller.deploy_os=yes",
    "override.controller.disks.disk1.size=12G",
    "override.controller.disks.disk2.size=5G",
];
const FEWER_ADDRESSES: &[&str] = &[
    "override.controller.deploy_os=yes",
    "override.controller.disks.disk1.size=12G",
    "override.networks.net2.dhcp.range.end=172.16.0.90",
];
/// A guest's seed is of its first boot, and stays as it was.
const PLUGGED: &str = "a disk and a NIC plugged in";
const BARE: &[&str] = &["override.controller.deploy_os=no"];

/// What somebody does before a run.
#[derive(Clone, Copy)]
enum Edit {
    Nothing,
    /// Changes the record of a domain.
    Domain(&'static str),
    /// Changes that of a network.
    Network(&'static str),
}

/// What is there, what somebody does to it, and what is done about that.
type Story = (&'static str, Goal, Edit, Goal);

fn stories() -> Vec<Story> {
    let nothing = || Goal::new(What::Nothing);
    let one = || Goal::up(&[("controller", 1)], DEPLOYED);
    let two = || Goal::up(&[("controller", 1), ("ironic", 1)], DEPLOYED);
    let other = |extra| Goal::up(&[("controller", 1)], extra);
    let fewer = || Goal::up(&[("controller", 1), ("ironic", 1)], FEWER_ADDRESSES);
    let as_it_is = [
        ("from nothing", nothing(), two()),
        ("two guests", nothing(), Goal::up(&[("controller", 2)], DEPLOYED)),
        ("one more node", one(), two()),
        ("one node less", two(), one()),
        ("a node with more memory", one(), other(LARGER)),
        (PLUGGED, one(), Goal::plugged()),
        ("a node made anew", other(BARE), one()),
        ("a network made again under nodes", two(), fewer()),
        ("a directory for disks", nothing(), Goal::up(&[("controller", 2)], IN_A_DIRECTORY)),
        ("another directory", other(IN_A_DIRECTORY), other(IN_ANOTHER)),
        ("taken down with it", other(IN_A_DIRECTORY), Goal::new(What::Down)),
        ("taken down", two(), Goal::new(What::Down)),
        ("a node removed", two(), Goal::new(What::Remove("controller-0"))),
    ];
    let edited = [
        ("a node's record mended", one(), Edit::Domain("controller-0"), one()),
        ("a network's record mended", one(), Edit::Network("management"), one()),
    ];
    let as_it_is = as_it_is.into_iter().map(|(name, from, goal)| (name, from, Edit::Nothing, goal));
    as_it_is.chain(edited).collect()
}

/// A whole `scripts/test`, which says when it began, tries every point; a run by hand one of so many, each day others.
fn sparser() -> usize {
    let whole = ["MAQUETTE_TEST_BEGUN", "MAQUETTE_TEST_ALL"];
    if whole.iter().any(|name| std::env::var_os(name).is_some()) { 1 } else { 8 }
}

fn is_tried(number: usize) -> bool {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    (number + (since.as_secs() / 86400) as usize).is_multiple_of(sparser())
}

/// Tries every point of one story; how many there were.
fn every_point((name, from, edit, goal): &Story) -> usize {
    let down = Goal::new(What::Down);
    let start = |said: &str| {
        let mut lab = Lab::new();
        if !matches!(from.what, What::Nothing) {
            lab.reach(from, &format!("{said}: what is there before"));
        }
        lab.edit(*edit);
        lab
    };
    let empty = Lab::new().look();
    let mut whole = start(name);
    let kept = if *name == PLUGGED { whole.seeds.lock().unwrap().clone() } else { BTreeMap::new() };
    let calls = whole.reach(goal, name);
    let (wanted, torn) = whole.state(&kept);
    assert!(torn.is_empty(), "{name}: {torn:?}");
    // What libvirt writes by itself is nobody's.
    let added: Vec<_> = wanted.networks.values().flat_map(|network| &network.added).collect();
    assert!(added.is_empty(), "{name}: {added:?}");
    let mut points = 0;
    for call in 1..=calls {
        for made in [false, true] {
            if !is_tried(2 * call + usize::from(made)) {
                continue;
            }
            let point = Point { call, made };
            let said = format!("{name}, {point:?} of {calls}");
            let mut lab = start(&said);
            let (summary, ..) = lab.run(goal, Some(point));
            // The last call of all leaves nothing undone.
            assert!(!summary.is_success() || made, "{said}: it was not killed");
            // Nobody else was there, and so nobody is asked about edits.
            if matches!(edit, Edit::Nothing) {
                let plan = lab.plan(goal);
                assert!(plan::undone_edits(&plan, &lab.look()).is_empty(), "{said}: {plan:#?}");
            }
            // Some are taken down at once; the others go on first.
            if !(call + usize::from(made)).is_multiple_of(3) {
                lab.reach(goal, &said);
                let (seen, torn) = lab.state(&kept);
                assert!(torn.is_empty(), "{said}: half filled: {torn:?}");
                assert!(seen == wanted, "{said}: {seen:#?} is not {wanted:#?}");
            }
            lab.reach(&down, &format!("{said}, taken down"));
            let left = lab.look();
            assert!(left == empty, "{said}: left behind: {left:#?}");
            points += 1;
        }
    }
    println!("{name}: {points} points");
    points
}

/// A pool that preparation makes and restoring removes.
struct PoolLab {
    lab: Lab,
    files: Files,
}

impl PoolLab {
    fn new() -> Self {
        Self { lab: Lab::new(), files: Files::default() }
    }

    fn state(&self) -> PoolState {
        observe(&self.lab.client, &environment(), "new", None).unwrap().pool
    }

    fn record(&self) -> Record {
        let files = self.files.lock().unwrap();
        let text = files.get(record::PATH).map(|text| String::from_utf8(text.clone()).unwrap());
        Record::parse(&text.unwrap_or_default()).unwrap()
    }

    /// Does as `up` does where the pool is not as it shall be, or as `host restore` does; how it ended, and how many
    /// calls it took.
    fn run(&self, restores: bool, at: Option<Point>) -> (Result<(), StepError>, usize) {
        let killer = Killer::new(at);
        let shell = Shell(killer.clone(), self.files.clone());
        let backend = self.lab.backend(&shell);
        let context =
            StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
        let plan = match restores {
            true => plan::restore(prepare::undoable(&self.record()), &BTreeMap::new()),
            false => {
                let facts = prepare::host_facts(&probe::read(""), Some((self.state(), 0)));
                let mut plan = plan::prepare(&facts, &needs());
                plan.steps.retain(|s| matches!(s.action, Action::Apply(Setting::Pool { .. })));
                plan
            }
        };
        // Its images go first, as long as somebody can tell which they are.
        let pruned = self.record().pools.into_iter().filter(|_| restores).try_for_each(|pool| {
            let beside = Shell(Killer::new(None), self.files.clone());
            prune(&self.lab.client, &beside, "/var/lib/maquette/images", &pool).map(|_| ())
        });
        let done = pruned.and_then(|()| {
            plan.steps.iter().try_for_each(|s| backend.perform(&s.action, &context))
        });
        (done, killer.calls())
    }
}

fn needs() -> HypervisorNeeds {
    HypervisorNeeds {
        pool: Pool { name: "new".parse().unwrap(), path: "/new".parse().unwrap() },
        missing_packages: Vec::new(),
        ipv6: false,
        timezone: None,
        hook: false,
        expiry: false,
        vswitch: false,
        networks: 0,
        interfaces: 0,
    }
}

#[test]
fn killed_at_every_call_a_pool_is_made_and_removed() {
    let mut points = 0;
    for restores in [false, true] {
        let start = || {
            let lab = PoolLab::new();
            if restores {
                lab.run(false, None).0.unwrap();
            }
            lab
        };
        let (done, calls) = start().run(restores, None);
        done.unwrap();
        assert!(calls >= 4, "{calls}");
        for call in 1..=calls {
            for (made, back) in [(false, false), (false, true), (true, false), (true, true)] {
                let said = format!("restores: {restores}, call {call} of {calls}, made: {made}");
                let lab = start();
                let (done, _) = lab.run(restores, Some(Point { call, made }));
                assert!(done.is_err() || made, "{said}: it was not killed");
                // It is made whole, or taken back at once.
                if !back {
                    lab.run(false, None).0.unwrap_or_else(|e| panic!("{said}: {e:?}"));
                    assert_eq!(lab.state(), PoolState::Active("/new".into()), "{said}");
                    assert!(lab.record().pools.contains("new"), "{said}: nobody would remove it");
                }
                lab.run(true, None).0.unwrap_or_else(|e| panic!("{said}, restored: {e:?}"));
                assert_eq!(lab.state(), PoolState::Missing, "{said}");
                assert!(lab.record().is_empty(), "{said}");
                points += 1;
            }
        }
    }
    println!("a pool: killed at {points} points");
    assert!(points >= 32, "only {points} points");
}

#[test]
fn killed_at_every_call_inside_every_step() {
    let stories = stories();
    let total: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = stories.iter().map(|s| scope.spawn(move || every_point(s))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    println!("killed at {total} points, all converged, nothing was left");
    assert!(total >= 400 / sparser(), "only {total} points");
}
