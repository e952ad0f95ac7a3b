//! What a hypervisor lacks before anything can be built on it.

use super::{Action, Builder, Change, Op, Plan};
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
        builder.add(Action::EnsurePool(needs.pool.clone()), last, reason);
    }
    Plan { changes, steps: builder.finish() }
}
