//! Everything that a step can do. A new effect is a new row here, and the compiler then lists the
//! places that must handle it.

mod live;
mod shutdown;

use std::net::IpAddr;

pub use live::LiveChange;
pub use shutdown::Shutdown;

use super::prepare::Setting;
use crate::blueprint::{
    BmcNode, DhcpHost, Disk, DiskPool, Forwarding, Image, Network, Node, Pool, Template, Uplink,
    Vswitch,
};
use crate::names::EnvName;
use crate::seed::SeedFile;
use crate::topology::{Allocation, Srv};
use crate::values::{
    FileName, InterfaceName, Login, Mtu, NetworkName, NodeName, PublicKey, TimeZone,
};

/// Steps of one lane share a limit on how many run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Commands and files on the hypervisor, one after the other.
    Host,
    /// Images: downloading them, and copying them there.
    Fetch,
    /// Quick calls to libvirt.
    Control,
    /// Calls that take long: creating, filling and deleting volumes.
    Bulk,
    /// Guests that boot: as many as the CPUs can carry.
    Boot,
    /// Guests that start without anybody waiting for them, and that end: libvirt mostly waits.
    Power,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Self; 6] =
        [Self::Host, Self::Fetch, Self::Control, Self::Bulk, Self::Boot, Self::Power];

    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Fetch => "fetch",
            Self::Control => "control",
            Self::Bulk => "bulk",
            Self::Boot => "boot",
            Self::Power => "power",
        }
    }
}

/// How to know that a deployed node is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Where it answers SSH; none if somebody on the LAN gives it its address, which it reports then.
    pub address: Option<IpAddr>,
    /// Whether the address is known from the node alone.
    pub leased: bool,
    /// Whether it is reached without going through the hypervisor.
    pub direct: bool,
    /// Login by which it is reached.
    pub user: Login,
    /// Its pinned host key.
    pub host_key: PublicKey,
}

/// What changes in a network while it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkChange {
    /// Reservations that go.
    pub remove: Vec<DhcpHost>,
    /// Reservations that come.
    pub add: Vec<DhcpHost>,
    /// DNS service records that go.
    pub remove_srvs: Vec<Srv>,
    /// DNS service records that come.
    pub add_srvs: Vec<Srv>,
}

/// How far a change of a guest's keys goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// The domain is recorded with it at once.
    Recorded,
    /// The same; if the guest cannot be changed, that is said, and nothing else fails for it.
    Tried,
    /// The guest only: another step records the domain.
    Guest,
}

/// One effect, with all the data it needs. Doing it twice changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Change a thing of the hypervisor.
    Apply(Setting),
    /// Put a thing of the hypervisor back as it was before preparation.
    Restore(Setting),
    /// Bring a base image into the pool's cache.
    FetchImage {
        /// The image, with the volume that it becomes.
        image: Image,
        /// Directory of the pool.
        pool: Pool,
        /// Smallest disk that overlays it, in bytes; a larger image is refused.
        smallest: Option<u64>,
    },
    /// Define a network; its metadata records the environment.
    DefineNetwork {
        /// The network as it shall be.
        network: Box<Network>,
        /// Environment it belongs to.
        environment: EnvName,
        /// The environment's allocation, recorded with it.
        allocation: Allocation,
    },
    /// Change a network while it runs, and record what it is now.
    UpdateNetwork {
        /// The network as it shall be.
        network: Box<Network>,
        /// Environment it belongs to.
        environment: EnvName,
        /// The environment's allocation.
        allocation: Allocation,
        /// What changes in the running one.
        change: NetworkChange,
    },
    /// Put a NIC of the hypervisor into a network's bridge, which takes over what the NIC has. Unless we
    /// reach the hypervisor again afterwards, it puts everything back by itself.
    BridgeNic {
        /// Name of the bridge.
        bridge: InterfaceName,
        /// The NIC and how it joins.
        uplink: Uplink,
    },
    /// Give the NIC back what it had, and remove the bridge.
    ReleaseNic {
        /// Name of the bridge.
        bridge: InterfaceName,
        /// The NIC that leaves it.
        nic: InterfaceName,
    },
    /// Make a bridge of Open vSwitch with the hypervisor's interfaces on it.
    MakeVswitch {
        /// Name of the bridge.
        bridge: InterfaceName,
        /// What is on it.
        vswitch: Vswitch,
        /// Environment it belongs to.
        environment: EnvName,
        /// MTU; none leaves the kernel's, 1500 bytes.
        mtu: Option<Mtu>,
    },
    /// Remove a bridge of Open vSwitch.
    RemoveVswitch {
        /// Name of the bridge.
        bridge: InterfaceName,
        /// Environment it belongs to.
        environment: EnvName,
    },
    /// Put the interfaces of running domains back onto a network's bridge, which is a new one.
    Reconnect {
        /// The network, by its libvirt name.
        network: NetworkName,
        /// Its bridge, to which they are connected.
        bridge: InterfaceName,
        /// Running domains that have interfaces on it.
        domains: Vec<NodeName>,
    },
    /// Start a network.
    StartNetwork {
        /// libvirt name.
        name: NetworkName,
        /// Whether it starts with the hypervisor.
        autostart: bool,
    },
    /// Stop a network.
    StopNetwork {
        /// Name, as libvirt has it: it may have been changed by hand.
        name: String,
    },
    /// Remove a network's definition.
    UndefineNetwork {
        /// Name, as libvirt has it: it may have been changed by hand.
        name: String,
    },
    /// Define a domain; its metadata names its volumes, so that none is ever forgotten.
    DefineDomain {
        /// The node that the domain is defined from.
        node: Box<Node>,
        /// Environment it belongs to.
        environment: EnvName,
        /// Pool of its volumes.
        pool: Pool,
    },
    /// Have the pool of a directory that disks name run, defined where it is this environment's.
    MakePool {
        /// The pool, and whether it is this environment's.
        pool: DiskPool,
    },
    /// Remove such a pool that this environment has defined, if nothing is in it; its directory stays.
    RemovePool {
        /// The pool, by name and directory.
        pool: Pool,
    },
    /// Create a disk's volume.
    CreateVolume {
        /// The disk, which may name a pool of its own.
        disk: Box<Disk>,
        /// Pool of its image, and of itself if it names none.
        pool: Pool,
        /// The template whose disk it overlays; its image's, if that template could not be made.
        over: Option<Template>,
    },
    /// Create and fill a seed volume.
    CreateSeed {
        /// Volume name.
        volume: FileName,
        /// Pool to create it in.
        pool: Pool,
        /// What it holds: NoCloud's files, and those of an agent.
        files: Vec<SeedFile>,
    },
    /// Enlarge a disk's volume.
    ResizeVolume {
        /// Volume name.
        volume: String,
        /// Pool it is in.
        pool: Pool,
        /// New virtual size in bytes.
        bytes: u64,
    },
    /// Delete a volume.
    DeleteVolume {
        /// Volume name.
        volume: String,
        /// Pool it is in.
        pool: Pool,
    },
    /// Record that a volume stays after its node for those that others have over it, so that it goes with the images that
    /// nothing uses.
    KeepVolume {
        /// Volume name.
        volume: String,
        /// Pool it is in.
        pool: Pool,
    },
    /// Start a domain and, if it has an operating system, wait until it is ready.
    StartDomain {
        /// The node, by its libvirt name.
        name: NodeName,
        /// What to wait for; none waits for nothing but the start.
        ready: Option<Readiness>,
    },
    /// Boot an image once and keep its memory, unless that was done.
    MakeTemplate {
        /// What is made.
        template: Template,
        /// A node that will start from it.
        node: Box<Node>,
        /// Pool that it is made in.
        pool: Pool,
        /// Whether nothing goes on without it; else what was to start from it boots.
        required: bool,
        /// Content of its seed.
        files: Vec<SeedFile>,
    },
    /// Start a domain from a template, or by booting where that cannot be done, and wait until it is ready.
    RestoreDomain {
        /// The domain, whose first disk overlays the template's.
        node: Box<Node>,
        /// Pool of its volumes and of the template.
        pool: Pool,
        /// The template that it starts from.
        template: Template,
        /// What to wait for.
        ready: Readiness,
    },
    /// Wait for a running domain whose first boot was never seen to end.
    AwaitDomain {
        /// The node, by its libvirt name.
        name: NodeName,
        /// What to wait for.
        ready: Readiness,
    },
    /// Change a running domain.
    ChangeDomain {
        /// The node, by its libvirt name.
        name: NodeName,
        /// What changes.
        change: LiveChange,
    },
    /// Set the time zone of a running domain's guest, and record it.
    SetTimezone {
        /// The domain as it is recorded then.
        node: Box<Node>,
        /// Environment it belongs to.
        environment: EnvName,
        /// Pool of its volumes.
        pool: Pool,
        /// Its time zone from then on.
        zone: TimeZone,
        /// How it is reached.
        ready: Readiness,
    },
    /// Change which keys of colleagues open a running domain's guest.
    ShareDomain {
        /// The domain as it is recorded then.
        node: Box<Node>,
        /// Environment it belongs to.
        environment: EnvName,
        /// Pool of its volumes.
        pool: Pool,
        /// Keys that come.
        add: Vec<PublicKey>,
        /// Keys that go.
        remove: Vec<PublicKey>,
        /// How it is reached.
        ready: Readiness,
        /// How far this step goes.
        sharing: Sharing,
    },
    /// Record again what a domain was made from, and change nothing else of it.
    RecordDomain {
        /// The domain as it is recorded then.
        node: Box<Node>,
        /// Environment it belongs to.
        environment: EnvName,
        /// Pool of its volumes.
        pool: Pool,
    },
    /// Serve the BMCs of an environment's nodes, and no others.
    ServeBmcs {
        /// Environment that they belong to.
        environment: EnvName,
        /// All of them.
        nodes: Vec<BmcNode>,
    },
    /// Stop serving the BMCs of nodes that go.
    ForgetBmcs {
        /// Environment that they belong to.
        environment: EnvName,
        /// The nodes that go.
        nodes: Vec<NodeName>,
    },
    /// Serve no BMCs of an environment any more, and forget all of them.
    StopBmcs {
        /// Environment that they belong to.
        environment: EnvName,
    },
    /// Have a key open the hypervisor for connections to an environment's nodes, and for nothing else.
    OpenForwarding {
        /// Environment that it belongs to.
        environment: EnvName,
        /// The key, and the login.
        forwarding: Forwarding,
    },
    /// Have no key of an environment open the hypervisor any more.
    CloseForwarding {
        /// Environment that it belongs to.
        environment: EnvName,
    },
    /// Stop a domain's vCPUs.
    PauseDomain {
        /// The node, by its libvirt name.
        name: NodeName,
    },
    /// Press a domain's reset button.
    ResetDomain {
        /// The node, by its libvirt name.
        name: NodeName,
    },
    /// Let a paused domain go on.
    ResumeDomain {
        /// The node, by its libvirt name.
        name: NodeName,
    },
    /// Stop a domain.
    StopDomain {
        /// Name, as libvirt has it: it may have been changed by hand.
        name: String,
        /// Whether its guest may shut down by itself first.
        shutdown: Shutdown,
    },
    /// Remove a domain's definition and what libvirt keeps with it.
    UndefineDomain {
        /// Name, as libvirt has it: it may have been changed by hand.
        name: String,
    },
}

impl Action {
    /// Verb and object, for people: `create volume controller-0-disk1.qcow2`.
    pub fn title(&self) -> String {
        match self {
            Self::Apply(setting) => setting.title(),
            Self::Restore(setting) => format!("restore {}", setting.way_back().0),
            Self::FetchImage { image, .. } => format!("fetch image {}", image.shown()),
            Self::DefineNetwork { network, .. } => format!("define network {}", network.name),
            Self::UpdateNetwork { network, .. } => format!("update network {}", network.name),
            Self::BridgeNic { bridge, uplink } => {
                format!("put {} into bridge {bridge}", uplink.nic)
            }
            Self::ReleaseNic { bridge, nic } => format!("take {nic} out of bridge {bridge}"),
            Self::MakeVswitch { bridge, .. } => format!("make Open vSwitch bridge {bridge}"),
            Self::RemoveVswitch { bridge, .. } => format!("remove Open vSwitch bridge {bridge}"),
            Self::Reconnect { network, .. } => format!("reconnect nodes to network {network}"),
            Self::StartNetwork { name, .. } => format!("start network {name}"),
            Self::StopNetwork { name } => format!("stop network {name}"),
            Self::UndefineNetwork { name } => format!("undefine network {name}"),
            Self::DefineDomain { node, .. } => format!("define domain {}", node.name),
            Self::MakePool { pool } => format!("start pool {}", pool.pool.name),
            Self::RemovePool { pool } => format!("remove pool {}", pool.name),
            Self::CreateVolume { disk, .. } => format!("create volume {}", disk.volume),
            Self::CreateSeed { volume, .. } => format!("create volume {volume}"),
            Self::ResizeVolume { volume, .. } => format!("resize volume {volume}"),
            Self::DeleteVolume { volume, .. } => format!("delete volume {volume}"),
            Self::KeepVolume { volume, .. } => format!("record that volume {volume} stays"),
            Self::StartDomain { name, ready: None } => format!("start domain {name}"),
            Self::StartDomain { name, ready: Some(_) } => format!("boot domain {name}"),
            Self::MakeTemplate { template, .. } => format!("make template {}", template.name()),
            Self::RestoreDomain { node, .. } => format!("restore domain {}", node.name),
            Self::AwaitDomain { name, .. } => format!("wait for domain {name}"),
            Self::ChangeDomain { name, change } => format!("change {name}: {}", change.describe()),
            Self::SetTimezone { node, zone, .. } => {
                format!("set time zone of domain {} to {zone}", node.name)
            }
            Self::ShareDomain { node, .. } => format!("set SSH keys of domain {}", node.name),
            Self::RecordDomain { node, .. } => format!("record domain {}", node.name),
            Self::ServeBmcs { nodes, .. } => match nodes.as_slice() {
                [node] => format!("serve the BMC of {}", node.name),
                _ => format!("serve {} BMCs", nodes.len()),
            },
            Self::ForgetBmcs { nodes, .. } => match nodes.as_slice() {
                [node] => format!("forget the BMC of {node}"),
                _ => format!("forget {} BMCs", nodes.len()),
            },
            Self::StopBmcs { .. } => "stop the BMCs".into(),
            Self::OpenForwarding { forwarding, .. } => {
                format!("open {}'s login for forwarding", forwarding.user)
            }
            Self::CloseForwarding { .. } => "close the login for forwarding".into(),
            Self::PauseDomain { name } => format!("pause domain {name}"),
            Self::ResetDomain { name } => format!("reset domain {name}"),
            Self::ResumeDomain { name } => format!("resume domain {name}"),
            Self::StopDomain { name, shutdown } => match shutdown {
                Shutdown::Within(_) => format!("stop domain {name}"),
                Shutdown::PullPlug => format!("power off domain {name}"),
            },
            Self::UndefineDomain { name } => format!("undefine domain {name}"),
        }
    }

    /// Stable word in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Apply(Setting::Packages { .. }) => "install-packages",
            Self::Apply(Setting::Kvm { .. }) => "open-kvm",
            Self::Apply(Setting::Daemons) => "start-daemons",
            Self::Apply(Setting::Pool { .. }) => "ensure-pool",
            Self::Apply(_) => "apply-setting",
            Self::Restore(_) => "restore",
            Self::FetchImage { .. } => "fetch-image",
            Self::DefineNetwork { .. } => "define-network",
            Self::UpdateNetwork { .. } => "update-network",
            Self::BridgeNic { .. } => "bridge-nic",
            Self::ReleaseNic { .. } => "release-nic",
            Self::MakeVswitch { .. } => "make-vswitch",
            Self::RemoveVswitch { .. } => "remove-vswitch",
            Self::Reconnect { .. } => "reconnect-network",
            Self::StartNetwork { .. } => "start-network",
            Self::StopNetwork { .. } => "stop-network",
            Self::UndefineNetwork { .. } => "undefine-network",
            Self::DefineDomain { .. } => "define-domain",
            Self::MakePool { .. } => "make-pool",
            Self::RemovePool { .. } => "remove-pool",
            Self::CreateVolume { .. } => "create-volume",
            Self::CreateSeed { .. } => "create-seed",
            Self::ResizeVolume { .. } => "resize-volume",
            Self::DeleteVolume { .. } => "delete-volume",
            Self::KeepVolume { .. } => "keep-volume",
            Self::StartDomain { .. } => "start-domain",
            Self::MakeTemplate { .. } => "make-template",
            Self::RestoreDomain { .. } => "restore-domain",
            Self::AwaitDomain { .. } => "await-domain",
            Self::ChangeDomain { .. } => "change-domain",
            Self::SetTimezone { .. } => "set-timezone",
            Self::ShareDomain { .. } => "share-domain",
            Self::RecordDomain { .. } => "record-domain",
            Self::ServeBmcs { .. } => "serve-bmcs",
            Self::ForgetBmcs { .. } => "forget-bmcs",
            Self::StopBmcs { .. } => "stop-bmcs",
            Self::OpenForwarding { .. } => "open-forwarding",
            Self::CloseForwarding { .. } => "close-forwarding",
            Self::PauseDomain { .. } => "pause-domain",
            Self::ResetDomain { .. } => "reset-domain",
            Self::ResumeDomain { .. } => "resume-domain",
            Self::StopDomain { .. } => "stop-domain",
            Self::UndefineDomain { .. } => "undefine-domain",
        }
    }

    /// The lane it runs in.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Apply(_)
            | Self::Restore(_)
            | Self::BridgeNic { .. }
            | Self::ReleaseNic { .. }
            | Self::MakeVswitch { .. }
            | Self::RemoveVswitch { .. }
            | Self::KeepVolume { .. }
            | Self::ServeBmcs { .. }
            | Self::ForgetBmcs { .. }
            | Self::StopBmcs { .. }
            | Self::OpenForwarding { .. }
            | Self::CloseForwarding { .. } => Lane::Host,
            Self::FetchImage { .. } => Lane::Fetch,
            Self::CreateVolume { .. }
            | Self::CreateSeed { .. }
            | Self::ResizeVolume { .. }
            | Self::DeleteVolume { .. } => Lane::Bulk,
            Self::StartDomain { ready: Some(_), .. }
            | Self::MakeTemplate { .. }
            | Self::RestoreDomain { .. }
            | Self::AwaitDomain { .. }
            | Self::SetTimezone { .. }
            | Self::ShareDomain { .. } => Lane::Boot,
            Self::StartDomain { ready: None, .. } | Self::StopDomain { .. } => Lane::Power,
            Self::DefineNetwork { .. }
            | Self::UpdateNetwork { .. }
            | Self::Reconnect { .. }
            | Self::ChangeDomain { .. }
            | Self::PauseDomain { .. }
            | Self::ResetDomain { .. }
            | Self::ResumeDomain { .. }
            | Self::StartNetwork { .. }
            | Self::StopNetwork { .. }
            | Self::UndefineNetwork { .. }
            | Self::DefineDomain { .. }
            | Self::MakePool { .. }
            | Self::RemovePool { .. }
            | Self::RecordDomain { .. }
            | Self::UndefineDomain { .. } => Lane::Control,
        }
    }
}
