//! What a hypervisor lacks before anything can be built on it, and the way back. Each thing that may be changed has a
//! file here (when it is lacking, in which words), and one in the engine's `prepare` (changing it, putting it back).

mod daemons;
mod expiry;
mod firewalld;
mod kernel;
mod kvm;
mod limits;
mod nested;
mod network_hook;
mod packages;
mod pool;
mod router_adverts;
mod setting;
mod ssh_limits;
mod timezone;
mod vswitch;

use std::collections::BTreeMap;

pub use kvm::OPEN as KVM_OPEN;
pub use limits::{LIMITS, Limit};
pub use setting::Setting;

use super::remove::close_forwarding;
use super::{Action, Builder, Change, Op, Plan, StepId};
use crate::blueprint::Pool;
use crate::names::EnvName;
use crate::object::ObjectKind;
use crate::observed::Forwarding;

impl Setting {
    /// What changing it is called: verb and object.
    pub fn title(&self) -> String {
        match self {
            Self::Packages { names } => packages::title(names),
            Self::Kvm { group, .. } => kvm::title(group),
            Self::Firewalld => firewalld::title(),
            Self::Daemons => daemons::title(),
            Self::Pool { name, .. } => pool::title(name),
            Self::Vswitch => vswitch::title(),
            Self::NetworkHook => network_hook::title(),
            Self::Expiry => expiry::title(),
            Self::SshLimits => ssh_limits::title(),
            Self::Nested { .. } => nested::title(),
            Self::RouterAdverts { .. } => router_adverts::title(),
            Self::Timezone { .. } => timezone::title(),
            Self::Limit { limit, .. } => kernel::title(limit),
        }
    }

    /// The way back to this value: name and detail, for people.
    pub fn way_back(&self) -> (String, String) {
        match self {
            Self::Packages { names } => packages::way_back(names),
            Self::Kvm { mode, group } => kvm::way_back(mode, group),
            Self::Firewalld => firewalld::way_back(),
            Self::Daemons => daemons::way_back(),
            Self::Pool { name, .. } => pool::way_back(name),
            Self::Vswitch => vswitch::way_back(),
            Self::NetworkHook => network_hook::way_back(),
            Self::Expiry => expiry::way_back(),
            Self::SshLimits => ssh_limits::way_back(),
            Self::Nested { .. } => nested::way_back(),
            Self::RouterAdverts { interfaces } => router_adverts::way_back(interfaces),
            Self::Timezone { zone } => timezone::way_back(zone),
            Self::Limit { limit, value } => kernel::way_back(limit, *value),
        }
    }
}

/// What is known of the hypervisor before libvirt is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// Whether `/dev/kvm` is there and QEMU's user may not open it.
    pub kvm_closed: bool,
    /// Whether firewalld runs, and has not read the zone that libvirt puts its bridges into, or has none yet since libvirt is
    /// not there.
    pub zone_unknown: bool,
    /// Whether libvirt's daemons are there, and answer.
    pub libvirt: LibvirtState,
    /// The storage pool; unknown as long as libvirt cannot be asked.
    pub pool: PoolState,
    /// Whether the SSH server would refuse some of the connections that Ansible opens.
    pub ssh_limits_low: bool,
    /// The KVM module that could do nested virtualisation and does not: `kvm_intel` or `kvm_amd`; none if nothing is to be
    /// done.
    pub nested_off: Option<String>,
    /// Interfaces with an IPv6 default route that is lost once the hypervisor forwards.
    pub router_interfaces: Vec<String>,
    /// Time zone that it has: `Europe/Prague`; none if it does not tell.
    pub timezone: Option<String>,
    /// Whether libvirt's network hook is there, in this version of it.
    pub hook: bool,
    /// Whether what removes expired environments is there, in this version of it, and is called.
    pub expiry: bool,
    /// Whether Open vSwitch runs.
    pub vswitch: bool,
    /// Limits of the kernel's by their names for sysctl, as far as it tells them.
    pub limits: BTreeMap<String, u64>,
    /// Networks that are there besides the environment's.
    pub networks: usize,
}

/// State of libvirt's daemons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LibvirtState {
    /// They answer.
    Running,
    /// Installed, not running.
    Stopped,
    /// Not installed.
    Missing,
}

/// State of the storage pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolState {
    /// Started, with this directory.
    Active(String),
    /// Defined with this directory, not started.
    Inactive(String),
    /// Not defined.
    Missing,
    /// libvirt cannot be asked yet.
    Unknown,
    /// It is there and cannot be used; why. Whoever needs it stops before anything is planned.
    Unreadable(String),
}

/// What the environment needs of the hypervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HypervisorNeeds {
    /// The storage pool that everything is built in.
    pub pool: Pool,
    /// Packages that are missing, in the family's names.
    pub missing_packages: Vec<String>,
    /// Whether any network has IPv6.
    pub ipv6: bool,
    /// Time zone that the hypervisor shall have: `Europe/Prague`; none leaves it as it is.
    pub timezone: Option<String>,
    /// Whether bridges need what libvirt does not do.
    pub hook: bool,
    /// Whether the environment is removed when its time is up.
    pub expiry: bool,
    /// Whether any network is on Open vSwitch.
    pub vswitch: bool,
    /// Networks with a dnsmasq.
    pub networks: usize,
    /// Interfaces of its nodes.
    pub interfaces: usize,
}

/// Something that is not as it shall be.
struct Lack {
    op: Op,
    name: String,
    detail: String,
    reason: &'static str,
    setting: Setting,
}

impl Lack {
    fn new(
        op: Op,
        name: impl Into<String>,
        detail: String,
        reason: &'static str,
        setting: Setting,
    ) -> Self {
        Self { op, name: name.into(), detail, reason, setting }
    }
}

/// Plans the preparation; empty where there is nothing to prepare.
pub fn prepare(facts: &HostFacts, needs: &HypervisorNeeds) -> Plan {
    // Each waits for the one before: libvirt has to be there before it can be asked.
    let chain =
        [packages::lacks(needs), kvm::lacks(facts), firewalld::lacks(facts), daemons::lacks(facts)];
    // These wait for all of those.
    let after = [
        pool::lacks(facts, needs),
        vswitch::lacks(facts, needs),
        network_hook::lacks(facts, needs),
        expiry::lacks(facts, needs),
    ];
    // And these for nothing.
    let beside = [
        ssh_limits::lacks(facts),
        nested::lacks(facts),
        router_adverts::lacks(facts, needs),
        timezone::lacks(facts, needs),
    ];
    let mut builder = Builder::default();
    let mut changes = Vec::new();
    let mut add = |lack: Lack, after: &[StepId]| {
        let Lack { op, name, detail, reason, setting } = lack;
        changes.push(Change { op, kind: ObjectKind::Host, name, detail, reason: reason.into() });
        builder.add(Action::Apply(setting), after.iter().copied(), reason)
    };
    let mut last = Vec::new();
    for lack in chain.into_iter().flatten() {
        last = vec![add(lack, &last)];
    }
    for lack in after.into_iter().flatten() {
        add(lack, &last);
    }
    let beside = beside.into_iter().flatten().chain(kernel::lacks(facts, needs));
    for lack in beside {
        add(lack, &[]);
    }
    Plan { changes, steps: builder.finish() }
}

/// Plans to put back what preparation has changed; `before` is in the order in which it can be done. Logins that are still
/// open for environments are closed.
pub fn restore(before: Vec<Setting>, open: &BTreeMap<EnvName, Forwarding>) -> Plan {
    let mut builder = Builder::default();
    let left = open.iter().map(|(environment, known)| {
        let reason = format!("nothing else is left of environment `{environment}`");
        close_forwarding(known, environment, &reason, &mut builder)
    });
    let mut changes: Vec<Change> = left.collect();
    let mut last = Vec::new();
    let reason = "preparation has changed it";
    for setting in before {
        let (name, detail) = setting.way_back();
        changes.push(Change {
            op: Op::Delete,
            kind: ObjectKind::Host,
            name,
            detail,
            reason: reason.into(),
        });
        last = vec![builder.add(Action::Restore(setting), last, reason)];
    }
    Plan { changes, steps: builder.finish() }
}
