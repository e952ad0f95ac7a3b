//! What a hypervisor lacks before anything can be built on it.

use super::{Action, Builder, Change, Op, Plan, Setting, Undo};
use crate::blueprint::Pool;

/// What is known of the hypervisor before libvirt is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// Whether `/dev/kvm` is there and QEMU's user may not open it.
    pub kvm_closed: bool,
    /// libvirt's daemons.
    pub libvirt: LibvirtState,
    /// The storage pool; unknown as long as libvirt cannot be asked.
    pub pool: PoolState,
    /// Whether the SSH server would refuse some of the connections that Ansible opens.
    pub ssh_limits_low: bool,
    /// The KVM module that could do nested virtualisation and does not.
    pub nested_off: Option<String>,
    /// Interfaces with an IPv6 default route that is lost once the hypervisor forwards.
    pub router_interfaces: Vec<String>,
    /// Time zone.
    pub timezone: Option<String>,
    /// Whether libvirt's network hook is there, in this version of it.
    pub hook: bool,
    /// Whether Open vSwitch runs.
    pub vswitch: bool,
    /// How many inotify instances the kernel allows a user, if it says.
    pub inotify_instances: Option<u32>,
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
}

/// What the environment needs of the hypervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// The pool.
    pub pool: Pool,
    /// Packages that are missing, in the family's names.
    pub missing_packages: Vec<String>,
    /// Whether any network has IPv6.
    pub ipv6: bool,
    /// Time zone that the hypervisor shall have.
    pub timezone: Option<String>,
    /// Whether bridges need what libvirt does not do.
    pub hook: bool,
    /// Whether any network is on Open vSwitch.
    pub vswitch: bool,
    /// Networks with a dnsmasq.
    pub networks: usize,
}

/// Inotify instances that are left to everything but dnsmasq.
const SPARE: usize = 64;

type Wanted = (&'static str, String, &'static str, Setting);

/// Settings of the hypervisor's own that differ from what is needed.
fn settings(facts: &HostFacts, needs: &Needs) -> Vec<Wanted> {
    let mut all = Vec::new();
    if facts.ssh_limits_low {
        let detail = "MaxSessions 100, MaxStartups 100:30:100, in a drop-in".to_string();
        let reason = "Ansible opens a connection through the hypervisor for each node";
        all.push(("sshd", detail, reason, Setting::SshLimits));
    }
    if let Some(module) = &facts.nested_off {
        let detail = format!("{module} nested=1");
        let setting = Setting::Nested { module: module.clone() };
        all.push(("nested", detail, "nodes cannot use KVM themselves", setting));
    }
    if needs.ipv6 && !facts.router_interfaces.is_empty() {
        let detail = format!("accept_ra 2 on {}", facts.router_interfaces.join(", "));
        let setting = Setting::RouterAdverts { interfaces: facts.router_interfaces.clone() };
        all.push(("ipv6", detail, "forwarding would cost it its own default route", setting));
    }
    if let Some(zone) = needs.timezone.as_ref().filter(|z| facts.timezone.as_ref() != Some(*z)) {
        let before = facts.timezone.as_deref().unwrap_or("unknown");
        let detail = format!("{before} → {zone}");
        let setting = Setting::Timezone { zone: zone.clone() };
        all.push(("timezone", detail, "as asked for with --topology-timezone", setting));
    }
    // Each network has a dnsmasq, and each of those an instance.
    let taken = facts.networks + needs.networks + SPARE;
    if let Some(now) = facts.inotify_instances
        && needs.networks > 0
        && usize::try_from(now).is_ok_and(|now| now < taken)
        && let Ok(instances) = u32::try_from((2 * taken).next_power_of_two())
    {
        let detail = format!("max_user_instances {now} → {instances}");
        let reason = "each network has a dnsmasq, and each of those takes one";
        all.push(("inotify", detail, reason, Setting::Inotify { instances }));
    }
    all
}

/// Plans the preparation; empty where there is nothing to prepare.
pub fn prepare(facts: &HostFacts, needs: &Needs) -> Plan {
    let mut builder = Builder::default();
    let mut changes = Vec::new();
    let mut change = |op, name: &str, detail: String, reason: &str| {
        changes.push(Change { op, kind: "host", name: name.into(), detail, reason: reason.into() });
    };
    let mut last = Vec::new();
    if !needs.missing_packages.is_empty() {
        let reason = "not installed on the hypervisor";
        change(Op::Create, "packages", needs.missing_packages.join(", "), reason);
        let install = Action::InstallPackages { packages: needs.missing_packages.clone() };
        last = vec![builder.add(install, last, reason)];
    }
    if facts.kvm_closed {
        // As long as root can use KVM and QEMU's user cannot, libvirt takes what it knows of QEMU
        // for outdated and probes it again, for seconds, on nearly every call.
        let reason = "QEMU's user cannot open it, which makes libvirt slow";
        change(Op::Update, "/dev/kvm", "open it to group kvm".into(), reason);
        last = vec![builder.add(Action::OpenKvm, last, reason)];
    }
    if facts.libvirt != LibvirtState::Running {
        let reason = "libvirt does not answer";
        change(Op::Create, "libvirt", "start its daemons".into(), reason);
        last = vec![builder.add(Action::StartDaemons, last, reason)];
    }
    let reason = match &facts.pool {
        PoolState::Active(_) => None,
        PoolState::Inactive(_) => Some("the pool is defined and not started"),
        PoolState::Missing => Some("there is no such pool"),
        PoolState::Unknown => Some("nothing is known of it until libvirt answers"),
    };
    if let Some(reason) = reason {
        change(Op::Create, &format!("pool {}", needs.pool.name), needs.pool.path.clone(), reason);
        builder.add(Action::EnsurePool(needs.pool.clone()), last.clone(), reason);
    }
    if needs.vswitch && !facts.vswitch {
        let reason = "networks are on it";
        change(Op::Create, "Open vSwitch", "start its daemons".into(), reason);
        builder.add(Action::Apply(Setting::Vswitch), last.clone(), reason);
    }
    if needs.hook && !facts.hook {
        let reason = "bridges need what libvirt does not do by itself";
        let detail = "/etc/libvirt/hooks/network.d/maquette".to_string();
        change(Op::Create, "network hook", detail, reason);
        builder.add(Action::Apply(Setting::NetworkHook), last.clone(), reason);
    }
    for (name, detail, reason, setting) in settings(facts, needs) {
        change(Op::Update, name, detail, reason);
        builder.add(Action::Apply(setting), [], reason);
    }
    Plan { changes, steps: builder.finish() }
}

/// Plans to undo what preparation has changed; `undo` is in the order in which it can be done.
pub fn restore(undo: Vec<Undo>) -> Plan {
    let mut builder = Builder::default();
    let mut changes = Vec::new();
    let mut last = Vec::new();
    let reason = "preparation has changed it";
    for part in undo {
        let (name, detail) = part.describe();
        let (kind, reason) = ("host", reason.to_string());
        changes.push(Change { op: Op::Delete, kind, name, detail, reason: reason.clone().into() });
        last = vec![builder.add(Action::Undo(part), last, reason)];
    }
    Plan { changes, steps: builder.finish() }
}
