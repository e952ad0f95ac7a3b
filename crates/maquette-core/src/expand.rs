//! Topology to blueprint: everything that is still open is decided here.

mod addresses;
mod bmcs;
mod conflicts;
mod direct;
mod exhausted;
mod extension;
mod images;
mod interfaces;
mod macs;
mod narrow;
mod networks;
mod pools;
mod subnets;
mod wiring;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};
use uuid::Uuid;

pub use conflicts::{conflicts, conflicts_of_nodes, in_use};
pub use images::{CloudInit, image_sources, is_refreshed};
pub use narrow::narrow;
pub use pools::pool_of_system;
pub use subnets::choose;

use self::addresses::Addresses;
use self::exhausted::{Without, reached_on};
use self::images::{looked_into, refreshed, source};
use self::interfaces::{attachment, ipv4_setup};
use self::macs::Macs;
use self::wiring::{Indexes, Port, Wiring};
use crate::blueprint::{
    Access, Blueprint, Disk, Guest, HostKeys, Image, Interface, Network, Node, Pool, Vnc,
};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::names::{EnvName, identifier};
use crate::observed::{Domain, Observed};
use crate::topology::{
    FirstBoot, OsVariant, Preallocation, Role, SeedDrive, Settings, Topology, VirtType,
};
use crate::units::MacAddr;
use crate::values::{
    DeviceModel, FileName, InterfaceName, Login, MachineName, Name, NetworkName, NodeName,
    NodeType, PublicKey, Secret, Serial, TargetDevice,
};

/// Volume names of base images, by source.
pub type ImageMap = BTreeMap<String, Image>;

/// What expansion needs besides the topology.
pub struct Context<'a> {
    /// What is already there.
    pub observed: &'a Observed,
    /// How new guests are run.
    pub virt: VirtType,
    /// Base images that were resolved.
    pub images: &'a ImageMap,
    /// Which of them have cloud-init.
    pub cloud_init: &'a CloudInit,
    /// Public key of this environment.
    pub authorized_key: &'a PublicKey,
    /// Host keys of all nodes: a recorded one that differs from the derived one is not believed.
    pub host_keys: HostKeys<'a>,
    /// Generation of nodes that are made in this run: a random number.
    pub generation: u64,
    /// VNC servers of all nodes.
    pub vnc: &'a Vnc,
    /// Tells secrets apart; only who has the environment's secret can try guesses against what it gives.
    pub tag: &'a dyn Fn(&Secret) -> String,
}

/// Whether nodes are added to what is there. The first time there is nothing, and an extension is like any
/// other build.
fn extends(topology: &Topology, observed: &Observed) -> bool {
    topology.settings.extend && !observed.networks.is_empty()
}

/// Nodes that stay as they are: an extension takes everything that is there.
fn kept(topology: &Topology, context: &Context<'_>) -> Vec<Node> {
    recorded(context.observed.domains.values().filter(|_| topology.settings.extend), context)
}

/// Nodes as they are recorded, with what only who has their key knows of them.
fn recorded<'a>(domains: impl Iterator<Item = &'a Domain>, context: &Context<'_>) -> Vec<Node> {
    let mut nodes: Vec<Node> = domains.map(|d| d.recorded.clone()).collect();
    for node in &mut nodes {
        if node.vnc == *context.vnc {
            node.vnc = context.vnc.clone();
        }
        // Nodes that another workspace made have keys that this one cannot know.
        let own = |g: &&mut Guest| g.authorized_key == *context.authorized_key;
        if let Some(guest) = node.guest.as_mut().filter(own) {
            guest.host_key = (context.host_keys)(&node.name, node.uuid, guest.generation);
        }
    }
    nodes
}

/// The pool that new nodes are built in.
pub fn pool(topology: &Topology) -> Pool {
    let Settings { pool_name, pool_path, .. } = &topology.settings;
    Pool { name: pool_name.clone(), path: pool_path.clone() }
}

/// Makes everything concrete. Only addresses can run out; that is reported.
pub fn expand(topology: &Topology, context: &Context<'_>, diags: &mut Diagnostics) -> Blueprint {
    let environment = topology.settings.environment.clone();
    let observed = context.observed;
    let pool = pool(topology);
    extension::refuse_another(topology, observed, diags);
    let mut nodes = kept(topology, context);
    let mut networks: Vec<Network> = match extends(topology, observed) {
        true => observed.networks.values().map(|n| n.recorded.clone()).collect(),
        false => networks::of_file(topology, &environment, observed, diags),
    };
    let number = |role: &Role| {
        let numbers = indexes(role, observed, &environment, topology.settings.extend);
        (role.name.value.clone(), numbers)
    };
    let numbers: Indexes = topology.roles.iter().map(number).collect();
    let there = |name: &Name| {
        let own = NetworkName::of(&environment, name);
        networks.iter().any(|n| n.name == own) || host_bridge(observed, name)
    };
    wiring::other_hubs(topology, &numbers, |name| host_bridge(observed, name), diags);
    let wiring = Wiring::of(topology, &numbers, there);
    let mtu = topology.settings.mtu;
    networks.extend(wiring.links.iter().map(|(n, hub)| networks::link(n, *hub, mtu, &environment)));
    let mut expander = Expander::new(topology, context, &environment, &networks);
    let made = expander.nodes(&wiring, &numbers, diags);
    nodes.extend(bmcs::with_bmcs(made, &nodes, &networks, (topology, observed), diags));
    same_addresses(&nodes, diags);
    nodes.sort_by_key(|n| {
        let place = topology.roles.iter().position(|r| r.name.value == n.role);
        (place.unwrap_or(usize::MAX), n.role.clone(), n.index)
    });
    let extension = extension::came_with(&nodes, observed, topology.settings.extend);
    for network in &mut networks {
        networks::add_nodes(network, &nodes, observed, &pool, &extension);
    }
    let seed_drives = seed_drives(topology, &nodes);
    let images: BTreeSet<Image> =
        nodes.iter().flat_map(|n| &n.disks).filter_map(|d| d.backing.clone()).collect();
    Blueprint {
        shutdown_s: topology.settings.shutdown_s,
        extend: topology.settings.extend,
        environment,
        allocation: topology.allocation,
        pool,
        refresh_images: refreshed(topology, &images, context),
        looked_into: looked_into(topology, &nodes, context, diags),
        images: images.into_iter().collect(),
        networks,
        nodes,
        start: topology.settings.start,
        first_boots: first_boots(topology, context),
        seed_drives,
        bmc_hypervisor_urls: topology.settings.bmc_hypervisor_urls,
        bmc_tag: Some((context.tag)(&bmcs::tagged(&topology.settings.bmc_credentials))),
        bmc_credentials: topology.settings.bmc_credentials.clone(),
        bmcs_asked: bmcs::are_asked(topology),
        // What is decided later.
        ..Blueprint::nothing()
    }
}

/// No node has a higher number: records of others' with one are not a node's.
pub const MOST_INDEX: u32 = 9_999_999;

/// Numbers of a node type's nodes. Nodes that are there keep theirs, whatever gaps removed ones have left;
/// new ones get the lowest that are free, or with an extension those above the highest in use.
fn indexes(role: &Role, observed: &Observed, environment: &EnvName, extend: bool) -> Vec<u32> {
    let own = observed.domains.values().filter(|d| d.recorded.role == role.name.value);
    let used: BTreeSet<u32> = own.map(|d| d.recorded.index).collect();
    let count = role.count as usize;
    if !extend {
        let kept = used.iter().copied().take(count);
        let free = (0..).filter(|index| !used.contains(index));
        let mut all: Vec<u32> = kept.chain(free.take(count.saturating_sub(used.len()))).collect();
        all.sort_unstable();
        return all;
    }
    if extension::is_unfinished(observed) {
        let numbers = extension::missing(observed).into_iter().filter_map(|node| {
            let rest = node.strip_prefix(&environment.qualify(&role.name.value))?;
            rest.strip_prefix('-')?.parse().ok()
        });
        return numbers.collect();
    }
    // Where none is left above the highest one, there are gaps below. A record may say another number than the name.
    let first = used.last().map_or(0, |highest| highest.saturating_add(1));
    let is_free = |index: &u32| {
        let name = NodeName::of(environment, &role.name.value, *index);
        !used.contains(index) && !observed.domains.contains_key(&name)
    };
    (first..=MOST_INDEX).chain(0..first).filter(is_free).take(count).collect()
}

/// A node that is there keeps the order of what others have plugged into it; what comes is plugged in at
/// the end, so that nothing else of it moves.
fn keep_order(
    ports: &mut [Port],
    observed: &Observed,
    environment: &EnvName,
    role: &NodeType,
    index: u32,
) {
    let name = NodeName::of(environment, role, index);
    let Some(domain) = observed.domains.get(&name) else { return };
    let place = |port: &Port| {
        let network = NetworkName::of(environment, &port.network);
        domain.recorded.interfaces.iter().position(|i| i.network == network)
    };
    ports.sort_by_key(|port| match port.far {
        false => (false, 0),
        true => (true, place(port).unwrap_or(usize::MAX)),
    });
}

/// What the seeds of nodes are in, where their owner has chosen that.
fn seed_drives(topology: &Topology, nodes: &[Node]) -> BTreeMap<NodeName, SeedDrive> {
    let chosen = |node: &Node| {
        let role = topology.roles.iter().find(|role| role.name.value == node.role)?;
        Some((node.name.clone(), role.seed?))
    };
    nodes.iter().filter_map(chosen).collect()
}

/// What first boots do, by its digest.
fn first_boots(topology: &Topology, context: &Context<'_>) -> BTreeMap<Uuid, FirstBoot> {
    let all = topology.roles.iter().map(|role| &role.first_boot);
    all.filter_map(|first_boot| Some((first_boot.digest(context.tag)?, first_boot.clone())))
        .collect()
}

/// Whether the hypervisor has a bridge of a name that is not this environment's.
fn host_bridge(observed: &Observed, name: &str) -> bool {
    let own = observed.networks.values().any(|n| n.recorded.bridge == name);
    observed.host.has_bridge(name) && !own
}

struct Expander<'a> {
    topology: &'a Topology,
    context: &'a Context<'a>,
    environment: &'a EnvName,
    macs: Macs,
    /// By libvirt name.
    networks: BTreeMap<&'a NetworkName, &'a Network>,
    /// By libvirt name.
    addresses: BTreeMap<NetworkName, Addresses>,
    without: Without,
}

impl<'a> Expander<'a> {
    fn new(
        topology: &'a Topology,
        context: &'a Context<'a>,
        environment: &'a EnvName,
        networks: &'a [Network],
    ) -> Self {
        let observed = context.observed;
        let mut macs = Macs::new(observed.claims.macs.clone());
        for interface in observed.domains.values().flat_map(|d| &d.recorded.interfaces) {
            macs.keep(interface.mac);
        }
        let addresses =
            networks.iter().map(|n| (n.name.clone(), Addresses::new(n, observed))).collect();
        let networks = networks.iter().map(|n| (&n.name, n)).collect();
        let without = Without::new();
        Self { topology, context, environment, macs, networks, addresses, without }
    }

    /// All nodes of the topology.
    fn nodes(&mut self, wiring: &Wiring, numbers: &Indexes, diags: &mut Diagnostics) -> Vec<Node> {
        let mut new: Vec<(&Role, u32, Vec<Port>)> = Vec::new();
        for role in &self.topology.roles {
            let name = &role.name.value;
            for index in numbers.get(name).into_iter().flatten() {
                let mut ports = wiring.ports(role, *index, numbers);
                keep_order(&mut ports, self.context.observed, self.environment, name, *index);
                new.push((role, *index, ports));
            }
        }
        // What a user has chosen for one node is not given to another before its turn comes.
        for (role, index, ports) in &new {
            self.reserve(role, *index, ports, diags);
        }
        let nodes =
            new.iter().map(|(role, index, ports)| self.node(role, *index, ports, diags)).collect();
        self.warn_of_exhausted(diags);
        nodes
    }

    /// Sets addresses aside that users have chosen. A node whose number is higher than how many there are may have none.
    fn reserve(&mut self, role: &Role, index: u32, ports: &[Port], diags: &mut Diagnostics) {
        for ip in role.interfaces.all.iter().filter_map(|i| i.ip.as_ref()) {
            if ip.of(index).is_none() {
                let message = format!("`ip` has no address for `{}-{index}`", role.name.value);
                let diagnostic = Diagnostic::error("blueprint::no-address", message);
                diags.push(diagnostic.at(ip.span(index), "").help("add one to the list"));
            }
        }
        for port in ports {
            let network = NetworkName::of(self.environment, &port.network);
            let (Some(ip), Some(of)) = (port.ip, self.addresses.get_mut(&network)) else {
                continue;
            };
            if of.net4.is_none_or(|net| !net.contains(&ip)) {
                let node = format!("{}-{index}", role.name.value);
                let message = format!("{ip}, for `{node}`, is not in the subnet of `{network}`");
                diags.push(Diagnostic::error("blueprint::no-address", message));
            }
            of.chosen.insert(ip);
        }
    }

    fn node(&mut self, role: &Role, index: u32, ports: &[Port], diags: &mut Diagnostics) -> Node {
        let settings = &self.topology.settings;
        let name = NodeName::of(self.environment, &role.name.value, index);
        let observed = self.context.observed;
        let existing = observed.domains.get(&name).map(|d| &d.recorded);
        let uuid = identifier("domain", self.environment, &name);
        let octet = role.octets.get(index as usize).copied();
        let interfaces = self.interfaces(role, &name, ports, octet);
        self.without_addresses(role, &name, &interfaces, diags);
        let virt = existing.map_or(self.context.virt, |n| n.virt);
        let recorded = existing.and_then(|n| n.guest.as_ref());
        let generation = recorded.map_or(Some(self.context.generation), |g| g.generation);
        let guest = (role.deploy_os && role.adapt_image).then(|| Guest {
            seed: FileName::of_seed(&name),
            drive: recorded.map(|g| g.drive).or(role.seed).unwrap_or_default(),
            user: role.ssh_user.as_ref().unwrap_or(&settings.username).clone(),
            authorized_key: self.context.authorized_key.clone(),
            shared: recorded.map_or_else(|| observed.shared_keys(), |guest| guest.shared.clone()),
            host_key: (self.context.host_keys)(&name, uuid, generation),
            generation,
            // What nobody asks for stays.
            timezone: settings
                .timezone
                .clone()
                .or_else(|| recorded.and_then(|guest| guest.timezone.clone())),
            swap_mib: role.swap_mib,
            first_boot: role.first_boot.digest(self.context.tag),
            first_boot_parts: role.first_boot.parts(self.context.tag),
        });
        let machine = settings.virtopts.machine().or(role.machine_type.as_ref());
        let user = match &guest {
            Some(guest) => guest.user.clone(),
            None => role.ssh_user.clone().unwrap_or_else(|| Login::known("root")),
        };
        Node {
            access: self.access(role, user, &name, &interfaces, diags),
            disks: self.disks(role, &name),
            role: role.name.value.clone(),
            index,
            uuid,
            virt,
            vcpus: role.vcpus,
            cpu_model: settings.virtopts.cpu().unwrap_or(&role.cpu_model).clone(),
            memory_mib: role.memory_mib.value,
            memory_max_mib: role.memory_max_mib,
            machine: machine.cloned().unwrap_or_else(|| MachineName::known("pc")),
            vnc: self.context.vnc.clone(),
            serial_file: self.logs_to_file(existing),
            virtopts: settings.virtopts.clone(),
            firmware: if role.deploy_os { Default::default() } else { settings.boot_mode },
            boot: role.boot.clone(),
            // All are given theirs together.
            bmc: None,
            deploy_os: role.deploy_os,
            interfaces,
            groups: role.groups.clone(),
            guest,
            name,
        }
    }

    /// Whether its console is logged where `--serial-files` has it: one that is logged there already stays.
    fn logs_to_file(&self, existing: Option<&Node>) -> bool {
        let refused = self.context.observed.refuses_serial_files;
        self.topology.settings.serial_files && (!refused || existing.is_some_and(|n| n.serial_file))
    }

    /// How a node is reached: on its external network, at the address that it has there.
    fn access(
        &self,
        role: &Role,
        user: Login,
        name: &NodeName,
        interfaces: &[Interface],
        diags: &mut Diagnostics,
    ) -> Access {
        let reached_on = reached_on(role);
        let reached = reached_on.and_then(|n| {
            let network = NetworkName::of(self.environment, n);
            let on_it = |i: &&Interface| {
                if i.is_on_host_bridge() { i.network == **n } else { i.network == network }
            };
            interfaces.iter().find(on_it)
        });
        let on_lan = |i: &Interface| {
            let network = self.networks.get(&i.network);
            i.is_on_host_bridge() || network.is_some_and(|n| n.carrier.uplink().is_some())
        };
        let direct = reached.is_some_and(on_lan);
        let address = reached.and_then(|own| {
            own.ipv4.address().map(|n| n.addr().into()).or(own.ipv6.map(|n| n.addr().into()))
        });
        // What somebody on the LAN gave it is known since it said so.
        let existing = self.context.observed.domains.get(name);
        let known = existing.and_then(|d| d.recorded.access.address);
        let address = address.or(known.filter(|_| reached.is_some_and(|i| i.ipv4.asks_dhcp())));
        if let (true, None, Some(network)) = (role.deploy_os, address, reached_on) {
            let network = NetworkName::of(self.environment, network);
            if self.addresses.get(&network).is_some_and(Addresses::gives_v4) {
                diags.push(self.no_v4(&network, name));
            }
        }
        Access { address, user, connection: role.ansible_connection.clone(), direct }
    }

    fn interfaces(
        &mut self,
        role: &Role,
        node: &str,
        ports: &[Port],
        octet: Option<u8>,
    ) -> Vec<Interface> {
        let external = role.external_network.as_ref().map(|e| e.network.value.as_str());
        let observed = self.context.observed;
        let told = self.topology.settings.virtopts.system();
        let system = told.or(role.variant.as_ref().map(|v| &v.value));
        let usual = system.and_then(OsVariant::nic).unwrap_or("virtio");
        let mut routed = false;
        let mut list = Vec::new();
        for (index, port) in ports.iter().enumerate() {
            let qualified = NetworkName::of(self.environment, &port.network);
            let network = self.networks.get(&qualified).copied();
            let on_host = port.bridged && network.is_none();
            let name = if on_host { NetworkName::of_host_bridge(&port.network) } else { qualified };
            let kept = observed.interface(node, index);
            let kept = kept.filter(|i| i.network == name && i.is_on_host_bridge() == on_host);
            let mac = match (port.mac, kept) {
                (Some(mac), _) => mac,
                (None, Some(kept)) => kept.mac,
                (None, None) => self.macs.derive(self.environment, node, index),
            };
            self.macs.keep(mac);
            let (address, ipv6) = self.addresses_of(node, &name, mac, kept, (octet, port.ip));
            let default_route = !routed && external == Some(port.network.as_str());
            routed |= default_route;
            list.push(Interface {
                name: InterfaceName::in_guest(index),
                mac,
                model: port.model.clone().unwrap_or_else(|| DeviceModel::known(usual)),
                attachment: attachment(network, on_host, port),
                ipv4: ipv4_setup(network, on_host, address, default_route),
                ipv6,
                default_route,
                mtu: network.map_or(self.topology.settings.mtu, |n| n.mtu),
                network: name,
            });
        }
        list
    }

    /// Addresses of one interface: those that the user has chosen, those it has, else those that are next.
    fn addresses_of(
        &mut self,
        node: &str,
        network: &str,
        mac: MacAddr,
        kept: Option<&Interface>,
        (octet, chosen): (Option<u8>, Option<Ipv4Addr>),
    ) -> (Option<Ipv4Net>, Option<Ipv6Net>) {
        let Some(free) = self.addresses.get_mut(network) else { return (None, None) };
        let (v4, v6) = (free.net4, free.net6);
        if let Some(numbered) = free.numbered.filter(|_| chosen.is_none()) {
            let [a, b, c, _] = numbered.network().octets();
            let own = octet.map(|o| Ipv4Addr::new(a, b, c, o));
            return (own.and_then(|a| Ipv4Net::new(a, numbered.prefix_len()).ok()), None);
        }
        let reserved = self.context.observed.reservation(node, network, mac);
        let kept4 = kept.and_then(|k| k.ipv4.address()).map(|n| n.addr());
        let kept4 = kept4.or(reserved.and_then(|r| r.ipv4));
        let kept6 = kept.and_then(|k| k.ipv6).map(|n| n.addr());
        let kept6 = kept6.or(reserved.and_then(|r| r.ipv6));
        // An address outside the subnet is one of a subnet that has changed since.
        let kept4 = kept4.filter(|k| v4.is_some_and(|n| n.contains(k)) && !free.chosen.contains(k));
        let ipv4 = chosen.or(kept4).or_else(|| free.next_v4(mac));
        let ipv6 =
            kept6.filter(|k| v6.is_some_and(|n| n.contains(k))).or_else(|| free.next_v6(mac));
        (
            ipv4.zip(v4).and_then(|(a, n)| Ipv4Net::new(a, n.prefix_len()).ok()),
            ipv6.zip(v6).and_then(|(a, n)| Ipv6Net::new(a, n.prefix_len()).ok()),
        )
    }

    fn disks(&self, role: &Role, node: &NodeName) -> Vec<Disk> {
        let settings = &self.topology.settings;
        let there = self.context.observed.domains.get(node).map(|domain| &domain.recorded);
        let mut used: BTreeMap<&str, u32> = BTreeMap::new();
        role.disks
            .iter()
            .enumerate()
            .map(|(i, disk)| {
                let source = source(role, i, disk, settings);
                let bus = disk.bus.unwrap_or(settings.disk_bus);
                let letter = used.entry(bus.device_prefix()).or_default();
                let device = TargetDevice::of(bus, *letter);
                *letter += 1;
                let backing = source.map(|s| images::image(role, i, s, there, self.context));
                Disk {
                    volume: FileName::of_disk(node, &disk.key),
                    device,
                    bus,
                    cache: disk.cache,
                    size: match disk.import_url {
                        Some(_) => None,
                        None => disk.size.as_ref().map(|s| s.value),
                    },
                    preallocation: match backing {
                        Some(_) => Preallocation::Off,
                        None => disk.preallocation,
                    },
                    backing,
                    serial: Some(match &disk.serial {
                        Some(serial) => serial.value.clone(),
                        None => Serial::of(&disk.key),
                    }),
                    pool: disk
                        .path
                        .as_ref()
                        .and_then(|p| self.disk_pool(&p.value, node, &disk.key)),
                }
            })
            .collect()
    }
}

/// Two nodes of one address: one that the user has chosen is another's, which an extension keeps as it is.
fn same_addresses(nodes: &[Node], diags: &mut Diagnostics) {
    let mut seen: BTreeMap<(&str, Ipv4Addr), &str> = BTreeMap::new();
    for node in nodes {
        for interface in &node.interfaces {
            let Some(address) = interface.ipv4.address().map(|n| n.addr()) else { continue };
            if let Some(first) = seen.insert((interface.network.as_str(), address), &node.name) {
                let message = format!("`{first}` and `{}` would both have {address}", node.name);
                diags.push(
                    Diagnostic::error("blueprint::same-address", message)
                        .help("choose another `ip`, or remove the node that has it"),
                );
            }
        }
    }
}
