//! What is wrong with nodes, and why: from what was found out about every layer below a login, the lowest one that is at
//! fault is named, with what shows it and what to do.

mod bmcs;
pub mod firewall;
mod host;
mod node;
mod signs;

use std::collections::BTreeMap;

pub use node::first_boot_again;
pub use signs::{
    Frames, HostSigns, Inside, Load, LoginTried, Neighbour, NetworkSigns, NodeSigns, Power, Space,
    Started,
};

use crate::node_state::{Halt, last_halt};
use crate::observed::Observed;

/// A layer on the way to a node, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The hypervisor: room, memory, what may be opened.
    Hypervisor,
    /// A network on it.
    Network,
    /// The domain: whether it runs.
    Domain,
    /// What boots it.
    Firmware,
    /// The guest's kernel.
    Kernel,
    /// The guest's NIC.
    Nic,
    /// DHCP: whether the guest asks for an address, and gets one.
    Dhcp,
    /// The node's address.
    Address,
    /// The SSH server's port.
    Port,
    /// The login: host key and the environment's key.
    Login,
    /// What the first boot sets up.
    FirstBoot,
    /// What runs in the guest.
    Guest,
}

impl Layer {
    /// For people and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hypervisor => "hypervisor",
            Self::Network => "network",
            Self::Domain => "domain",
            Self::Firmware => "firmware",
            Self::Kernel => "kernel",
            Self::Nic => "nic",
            Self::Dhcp => "dhcp",
            Self::Address => "address",
            Self::Port => "port",
            Self::Login => "login",
            Self::FirstBoot => "first-boot",
            Self::Guest => "guest",
        }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The hypervisor itself.
    Hypervisor,
    /// A network, by its libvirt name.
    Network(String),
    /// A node, by its libvirt name.
    Node(String),
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub subject: Subject,
    /// The layer that is at fault.
    pub layer: Layer,
    /// A word for programs, which stays the same: `kernel-panic`.
    pub code: &'static str,
    /// What is wrong, for people.
    pub cause: String,
    /// What shows it.
    pub evidence: Vec<String>,
    /// What to do.
    pub advice: Vec<String>,
    /// For how many seconds its node has run, where one that may still be booting looks like this, too.
    pub booting_s: Option<u64>,
}

/// What is said of a node that was started so many seconds ago.
fn may_be_starting(up_s: u64) -> String {
    format!("it was started {up_s} s ago, and may still be starting")
}

impl Finding {
    fn new(subject: Subject, layer: Layer, code: &'static str, cause: impl Into<String>) -> Self {
        let (evidence, advice) = (Vec::new(), Vec::new());
        Self { subject, layer, code, cause: cause.into(), evidence, advice, booting_s: None }
    }

    fn of(node: &str, layer: Layer, code: &'static str, cause: impl Into<String>) -> Self {
        Self::new(Subject::Node(node.into()), layer, code, cause)
    }

    #[must_use]
    fn seen(mut self, evidence: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.evidence.extend(evidence.into_iter().map(Into::into));
        self
    }

    #[must_use]
    fn advise(self, advice: impl Into<String>) -> Self {
        self.advise_all([advice])
    }

    #[must_use]
    fn advise_all(mut self, advice: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.advice.extend(advice.into_iter().map(Into::into));
        self
    }

    /// As somebody is told who asks what is wrong: that a node may still be booting comes before what is seen so far.
    #[must_use]
    pub fn told(mut self) -> Self {
        let Some(up_s) = self.booting_s.take() else { return self };
        let known = may_be_starting(up_s);
        self.evidence.retain(|line| *line != known);
        self.evidence.insert(0, format!("so far: {}", self.cause));
        self.cause = format!("it is still booting: it was started {up_s} s ago");
        self.advice.insert(0, "`maquette up` waits for it".into());
        self
    }

    /// In a few words, for somebody who waits: with what shows it where it may pass.
    pub fn briefly(self) -> String {
        let shown = usize::from(self.may_pass());
        let words = std::iter::once(self.cause).chain(self.evidence.into_iter().take(shown));
        words.collect::<Vec<_>>().join("; ")
    }

    /// Whether nothing but a fault looks so, however slow a guest is.
    pub fn is_plain(&self) -> bool {
        self.layer <= Layer::Kernel
            || ["dhcp-unanswered", "login-refused", "host-key"].contains(&self.code)
    }

    /// Whether the guest never goes on by itself.
    pub fn is_final(&self) -> bool {
        ["kernel-panic", "no-boot-sector"].contains(&self.code)
    }

    /// Whether it may pass by itself, so that it helps to wait longer.
    pub fn may_pass(&self) -> bool {
        self.layer > Layer::Kernel || self.code == "boot-silent"
    }
}

/// Whether the kernel panicked of a guest whose console ends so, and does not start again by itself; in words.
pub fn panicked(console: &str) -> Option<&'static str> {
    let is_panic = last_halt(console) == Some(Halt::Panic);
    let begins_anew = console.lines().rev().take(6).any(|line| line.contains("Rebooting in "));
    (is_panic && !begins_anew).then(|| Halt::Panic.meaning())
}

/// Why nobody hears the power button of a guest whose console ends so; none if somebody may.
pub fn is_deaf(console: &str) -> Option<&'static str> {
    let halt = last_halt(console)?;
    // systemd goes on in emergency mode.
    (!matches!(halt, Halt::Emergency | Halt::NoSeed)).then(|| halt.meaning())
}

/// What is wrong with the hypervisor, the networks of some nodes, and these nodes, lowest layer first for each.
pub fn diagnose(
    host: &HostSigns,
    observed: &Observed,
    nodes: &BTreeMap<String, NodeSigns>,
) -> Vec<Finding> {
    let domains =
        || nodes.iter().filter_map(|(name, s)| Some((observed.domains.get(name.as_str())?, s)));
    let on = |network: &str| {
        let mut all = domains().flat_map(|(domain, _)| &domain.recorded.interfaces);
        all.any(|i| i.network == network)
    };
    let mut found = host::hypervisor(host);
    for network in observed.networks.values().filter(|n| nodes.is_empty() || on(&n.name)) {
        found.extend(host::network(host, network));
        found.extend(bmcs::filtered(host, observed, network));
    }
    for (domain, signs) in domains() {
        let mut of_node = node::node(host, observed, domain, signs);
        of_node.sort_by_key(|finding| finding.layer);
        found.extend(of_node);
    }
    found
}
