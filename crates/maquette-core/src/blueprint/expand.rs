//! Topology to blueprint.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::{Ipv4Net, Ipv6Net};
use uuid::Uuid;

use super::addresses::Addresses;
use super::macs::Macs;
use super::{
    Access, Blueprint, Disk, Guest, Image, Interface, Network, Node, Pool, Reservation, Tenant, Vnc,
};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::names::{EnvName, interface_name};
use crate::observed::Observed;
use crate::topology::virtopts::{self, VirtOpt};
use crate::topology::{self, Preallocation, Role, Topology, VirtType};

/// Volume names of base images, by source.
pub type ImageMap = BTreeMap<String, Image>;

/// Gives the public host key of a new node, by its name and identifier.
pub type HostKeys<'a> = &'a dyn Fn(&str, Uuid) -> String;

/// What expansion needs besides the topology.
pub struct Context<'a> {
    /// What is already there.
    pub observed: &'a Observed,
    /// How new guests are run.
    pub virt: VirtType,
    /// Base images that were resolved.
    pub images: &'a ImageMap,
    /// Public key of this environment.
    pub authorized_key: &'a str,
    /// Host keys of new nodes.
    pub host_keys: HostKeys<'a>,
    /// VNC servers of all nodes.
    pub vnc: &'a Vnc,
}

/// Makes everything concrete. Only addresses can run out; that is reported.
pub fn expand(topology: &Topology, context: &Context<'_>, diags: &mut Diagnostics) -> Blueprint {
    let environment = topology.settings.environment.clone();
    let observed = context.observed;
    let pool = Pool {
        name: topology.settings.pool_name.clone(),
        path: topology.settings.pool_path.clone(),
    };
    // An extension takes everything that is there as it is.
    let kept = observed.domains.values().filter(|_| topology.settings.extend);
    let mut nodes: Vec<Node> = kept.map(|d| d.recorded.clone()).collect();
    for node in nodes.iter_mut().filter(|n| n.vnc == *context.vnc) {
        node.vnc = context.vnc.clone();
    }
    let mut networks: Vec<Network> = match topology.extends(observed) {
        true => observed.networks.values().map(|n| n.recorded.clone()).collect(),
        false => topology.networks.iter().map(|n| network_of(n, &environment)).collect(),
    };
    let mut expander = Expander::new(topology, context, &environment, &networks);
    for role in &topology.roles {
        for index in indexes(role, observed, &environment, topology.settings.extend) {
            nodes.push(expander.node(role, index, diags));
        }
    }
    nodes.sort_by_key(|n| {
        let place = topology.roles.iter().position(|r| r.name.value == n.role);
        (place.unwrap_or(usize::MAX), n.role.clone(), n.index)
    });
    for network in &mut networks {
        settle(network, &nodes, observed, &pool);
    }
    let images: BTreeSet<Image> =
        nodes.iter().flat_map(|n| &n.disks).filter_map(|d| d.backing.clone()).collect();
    Blueprint {
        shutdown_s: topology.settings.shutdown_s,
        extend: topology.settings.extend,
        environment,
        allocation: topology.allocation,
        pool,
        images: images.into_iter().collect(),
        refresh_images: topology.settings.force_image_download,
        networks,
        nodes,
    }
}

/// Numbers of a role's nodes. Nodes that are there keep theirs, whatever gaps removed ones have left;
/// new ones get the lowest that are free, or with an extension those above the highest in use.
fn indexes(role: &Role, observed: &Observed, environment: &EnvName, extend: bool) -> Vec<u32> {
    let own = observed.domains.values().filter(|d| d.recorded.role == role.name.value);
    let used: BTreeSet<u32> = own.clone().map(|d| d.recorded.index).collect();
    let count = role.count as usize;
    if !extend {
        let kept = used.iter().copied().take(count);
        let free = (0..).filter(|index| !used.contains(index));
        let mut all: Vec<u32> = kept.chain(free.take(count.saturating_sub(used.len()))).collect();
        all.sort_unstable();
        return all;
    }
    // Repeating an interrupted extension finishes it: its networks know all of its nodes before any
    // of them is made.
    let noted = observed.networks.values().flat_map(|n| &n.recorded.tenants);
    let begun: BTreeSet<u32> = noted
        .filter(|t| !observed.domains.contains_key(&t.node))
        .filter_map(|t| t.node.strip_prefix(&environment.qualify(&role.name.value)))
        .filter_map(|rest| rest.strip_prefix('-')?.parse().ok())
        .collect();
    let unfinished = own.clone().any(|d| {
        let node = &d.recorded;
        let waiting = node.guest.is_some() && !d.ready;
        waiting || !observed.missing_volumes(node, &d.pool).is_empty()
    });
    if unfinished || !begun.is_empty() {
        return begun.into_iter().collect();
    }
    let first = used.last().map_or(0, |highest| highest + 1);
    (first..).take(count).collect()
}

/// A namespace of our own, so that identifiers depend on nothing but names.
fn identifier(kind: &str, environment: &EnvName, name: &str) -> Uuid {
    let space = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"https://maquette.dev/");
    Uuid::new_v5(&space, format!("{kind}\0{environment}\0{name}").as_bytes())
}

struct Expander<'a> {
    topology: &'a Topology,
    context: &'a Context<'a>,
    environment: &'a EnvName,
    macs: Macs,
    /// By libvirt name.
    addresses: BTreeMap<String, Addresses>,
}

impl<'a> Expander<'a> {
    fn new(
        topology: &'a Topology,
        context: &'a Context<'a>,
        environment: &'a EnvName,
        networks: &[Network],
    ) -> Self {
        let observed = context.observed;
        let mut macs = Macs::new(observed.claims.macs.clone());
        for interface in observed.domains.values().flat_map(|d| &d.recorded.interfaces) {
            macs.keep(interface.mac);
        }
        let addresses =
            networks.iter().map(|n| (n.name.clone(), Addresses::new(n, observed))).collect();
        Self { topology, context, environment, macs, addresses }
    }

    fn node(&mut self, role: &Role, index: u32, diags: &mut Diagnostics) -> Node {
        let settings = &self.topology.settings;
        let name = self.environment.qualify(&format!("{}-{index}", role.name.value));
        let existing = self.context.observed.domains.get(&name).map(|d| &d.recorded);
        let uuid = identifier("domain", self.environment, &name);
        let interfaces = self.interfaces(role, &name);
        let reached_on =
            role.provision_network.as_ref().or(role.external_network.as_ref().map(|e| &e.network));
        let address = reached_on.and_then(|n| {
            let network = self.environment.qualify(&n.value);
            let own = interfaces.iter().find(|i| i.network == network)?;
            own.ipv4.map(|n| n.addr().into()).or(own.ipv6.map(|n| n.addr().into()))
        });
        if let (true, None, Some(network)) = (role.deploy_os, address, reached_on) {
            diags.push(out_of_addresses(self.topology, &network.value, &name));
        }
        let virt = existing.map_or(self.context.virt, |n| n.virt);
        let guest = (role.deploy_os && role.adapt_image).then(|| Guest {
            seed: format!("{name}-seed.img"),
            user: settings.username.clone(),
            authorized_key: self.context.authorized_key.to_string(),
            host_key: match existing.and_then(|n| n.guest.as_ref()) {
                Some(guest) => guest.host_key.clone(),
                None => (self.context.host_keys)(&name, uuid),
            },
            timezone: settings.timezone.clone(),
            swap_mib: role.swap_mib,
            mtu: settings.mtu,
        });
        let options = virtopts::parse(&settings.virtopts).unwrap_or_default();
        let option =
            |pick: fn(VirtOpt) -> Option<String>| options.clone().into_iter().find_map(pick);
        let user = match &guest {
            Some(guest) => guest.user.clone(),
            None => role.ssh_user.clone().unwrap_or("root".into()),
        };
        Node {
            disks: self.disks(role, &name),
            role: role.name.value.clone(),
            index,
            uuid,
            virt,
            vcpus: role.vcpus,
            cpu_model: option(|o| match o {
                VirtOpt::Cpu(model) => Some(model),
                _ => None,
            })
            .unwrap_or_else(|| role.cpu_model.clone()),
            memory_mib: role.memory_mib,
            machine: option(|o| match o {
                VirtOpt::Machine(machine) => Some(machine),
                _ => None,
            })
            .or(role.machine_type.clone())
            .unwrap_or("pc".into()),
            vnc: self.context.vnc.clone(),
            serial_file: settings.serial_files,
            virtopts: settings.virtopts.clone(),
            firmware: if role.deploy_os { Default::default() } else { settings.boot_mode },
            deploy_os: role.deploy_os,
            interfaces,
            groups: role.groups.clone(),
            guest,
            access: Access { address, user, connection: role.ansible_connection.clone() },
            name,
        }
    }

    fn interfaces(&mut self, role: &Role, node: &str) -> Vec<Interface> {
        let external = role.external_network.as_ref().map(|e| e.network.value.as_str());
        let mut routed = false;
        let mut list = Vec::new();
        for (index, wanted) in role.interfaces.iter().enumerate() {
            let name = &wanted.network.value;
            let network = self.environment.qualify(name);
            let kept =
                self.context.observed.interface(node, index).filter(|i| i.network == network);
            let mac = match kept {
                Some(kept) => kept.mac,
                None => self.macs.derive(self.environment, node, index),
            };
            let reserved = self.context.observed.reservation(node, &network, mac);
            let kept4 = kept.and_then(|k| k.ipv4).map(|n| n.addr());
            let kept4 = kept4.or(reserved.and_then(|r| r.ipv4));
            let kept6 = kept.and_then(|k| k.ipv6).map(|n| n.addr());
            let kept6 = kept6.or(reserved.and_then(|r| r.ipv6));
            let free = self.addresses.get_mut(&network);
            let (v4, v6) = free.as_ref().map_or((None, None), |f| (f.net4, f.net6));
            let (ipv4, ipv6) = match free {
                // An address outside the subnet is one of a subnet that has changed since.
                Some(free) => (
                    kept4.filter(|k| v4.is_some_and(|n| n.contains(k))).or_else(|| free.next_v4()),
                    kept6.filter(|k| v6.is_some_and(|n| n.contains(k))).or_else(|| free.next_v6()),
                ),
                None => (None, None),
            };
            let default_route = !routed && external == Some(name.as_str());
            routed |= default_route;
            list.push(Interface {
                name: format!("eth{index}"),
                mac,
                network,
                model: wanted.model.clone().unwrap_or("virtio".into()),
                ipv4: ipv4.zip(v4).and_then(|(a, n)| Ipv4Net::new(a, n.prefix_len()).ok()),
                ipv6: ipv6.zip(v6).and_then(|(a, n)| Ipv6Net::new(a, n.prefix_len()).ok()),
                default_route,
            });
        }
        list
    }

    fn disks(&self, role: &Role, node: &str) -> Vec<Disk> {
        let settings = &self.topology.settings;
        let mut used: BTreeMap<&str, u8> = BTreeMap::new();
        role.disks
            .iter()
            .enumerate()
            .map(|(i, disk)| {
                let system = i == 0 && role.deploy_os;
                let source = disk.import_url.as_ref().or(if system {
                    role.import_url.as_ref().or(settings.image.as_ref())
                } else {
                    None
                });
                let bus = disk.bus.unwrap_or(settings.disk_bus);
                let letter = used.entry(bus.device_prefix()).or_default();
                let device = format!("{}{}", bus.device_prefix(), letters(*letter));
                *letter += 1;
                let backing = source.map(|s| {
                    self.context
                        .images
                        .get(s)
                        .cloned()
                        .unwrap_or(Image { source: s.clone(), volume: String::new() })
                });
                Disk {
                    volume: format!("{node}-{}.qcow2", disk.key),
                    device,
                    bus,
                    cache: disk.cache.clone(),
                    size: match disk.import_url {
                        Some(_) => None,
                        None => disk.size.as_ref().map(|s| s.value),
                    },
                    preallocation: match backing {
                        Some(_) => Preallocation::Off,
                        None => disk.preallocation,
                    },
                    backing,
                }
            })
            .collect()
    }
}

/// `a` … `z`, `aa` …, as the kernel counts disks.
fn letters(index: u8) -> String {
    let letter = |n: u8| char::from(b'a' + n % 26);
    if index < 26 {
        letter(index).to_string()
    } else {
        format!("{}{}", letter(index / 26 - 1), letter(index))
    }
}

fn network_of(network: &topology::Network, environment: &EnvName) -> Network {
    let name = environment.qualify(&network.name.value);
    Network {
        uuid: identifier("network", environment, &name),
        bridge: interface_name(&name),
        name,
        forward: network.forward,
        ipv4: network.ipv4.as_ref().map(|i| i.net),
        dhcp4: network.ipv4.as_ref().and_then(|i| i.dhcp),
        ipv6: network.ipv6.as_ref().map(|i| i.net),
        dhcp6: network.ipv6.as_ref().and_then(|i| i.dhcp),
        domain: network.domain.clone(),
        srvs: network.srvs.clone(),
        mtu: network.mtu,
        autostart: network.autostart,
        reservations: Vec::new(),
        tenants: Vec::new(),
    }
}

/// Enters the nodes that are on a network.
fn settle(network: &mut Network, nodes: &[Node], observed: &Observed, pool: &Pool) {
    let orphans = observed.orphans();
    let on_it = |i: &&Interface| i.network == network.name;
    let reservations = nodes.iter().flat_map(|node| {
        let held = node.interfaces.iter().filter(on_it);
        let held = held.filter(|i| i.ipv4.is_some() || i.ipv6.is_some());
        held.map(|i| Reservation {
            name: node.name.clone(),
            mac: i.mac,
            ipv4: i.ipv4.map(|n| n.addr()),
            ipv6: i.ipv6.map(|n| n.addr()),
        })
    });
    let mut reservations: Vec<Reservation> = reservations.collect();
    reservations.sort();
    let residents = nodes.iter().filter(|node| node.interfaces.iter().any(|i| on_it(&i)));
    let tenants = residents.map(|node| Tenant {
        node: node.name.clone(),
        pool: match (observed.domains.get(&node.name), orphans.get(&node.name)) {
            (Some(domain), _) => domain.pool.clone(),
            (None, Some(orphan)) => orphan.pool.clone(),
            (None, None) => pool.clone(),
        },
        volumes: node.volumes().map(String::from).collect(),
    });
    let mut tenants: Vec<Tenant> = tenants.collect();
    tenants.sort();
    (network.reservations, network.tenants) = (reservations, tenants);
}

fn out_of_addresses(topology: &Topology, network: &str, node: &str) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        "blueprint::no-address",
        format!("the DHCP range of network `{network}` has no address left for `{node}`"),
    )
    .help("widen `dhcp.range`, or ask for fewer nodes");
    match topology.network(network).and_then(|n| n.ipv4.as_ref()) {
        Some(ipv4) => diagnostic.at(ipv4.span, ""),
        None => diagnostic,
    }
}

/// Every source of a base image that `topology` names, sorted.
pub fn image_sources(topology: &Topology) -> BTreeSet<String> {
    let mut sources = BTreeSet::new();
    for role in topology.roles.iter().filter(|r| r.count > 0) {
        for (i, disk) in role.disks.iter().enumerate() {
            if let Some(source) = &disk.import_url {
                sources.insert(source.clone());
            } else if i == 0 && role.deploy_os {
                sources.extend(role.import_url.clone().or(topology.settings.image.clone()));
            }
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_lettered_like_the_kernel_does() {
        assert_eq!(letters(0), "a");
        assert_eq!(letters(25), "z");
        assert_eq!(letters(26), "aa");
        assert_eq!(letters(53), "bb");
    }

    #[test]
    fn identifiers_differ_by_kind_environment_and_name() {
        let lab = EnvName::from_prefix("lab").unwrap();
        let ids = [
            identifier("domain", &lab, "a"),
            identifier("network", &lab, "a"),
            identifier("domain", &EnvName::default(), "a"),
            identifier("domain", &lab, "b"),
        ];
        for (i, a) in ids.iter().enumerate() {
            assert!(ids[i + 1..].iter().all(|b| a != b));
        }
    }
}
