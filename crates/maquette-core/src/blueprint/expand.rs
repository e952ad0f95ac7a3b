//! Topology to blueprint.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::{Ipv4Net, Ipv6Net};
use uuid::Uuid;

use super::addresses::Addresses;
use super::macs::Macs;
use super::{Access, Blueprint, Disk, Guest, Image, Interface, Network, Node, Pool, Reservation};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::names::EnvName;
use crate::observed::Observed;
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
}

/// Makes everything concrete. Only addresses can run out; that is reported.
pub fn expand(topology: &Topology, context: &Context<'_>, diags: &mut Diagnostics) -> Blueprint {
    let environment = topology.settings.environment.clone();
    let mut expander = Expander::new(topology, context, &environment);
    let mut nodes = Vec::new();
    for role in &topology.roles {
        for index in 0..role.count {
            nodes.push(expander.node(role, index, diags));
        }
    }
    let networks =
        topology.networks.iter().map(|network| network_of(network, &environment, &nodes)).collect();
    let images: BTreeSet<Image> =
        nodes.iter().flat_map(|n| &n.disks).filter_map(|d| d.backing.clone()).collect();
    Blueprint {
        environment,
        allocation: topology.allocation,
        pool: Pool {
            name: topology.settings.pool_name.clone(),
            path: topology.settings.pool_path.clone(),
        },
        images: images.into_iter().collect(),
        refresh_images: topology.settings.force_image_download,
        networks,
        nodes,
    }
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
    addresses: BTreeMap<&'a str, Addresses>,
}

impl<'a> Expander<'a> {
    fn new(topology: &'a Topology, context: &'a Context<'a>, environment: &'a EnvName) -> Self {
        let observed = context.observed;
        let mut macs = Macs::new(observed.claims.macs.clone());
        for interface in observed.domains.values().flat_map(|d| &d.recorded.interfaces) {
            macs.keep(interface.mac);
        }
        let addresses = topology
            .networks
            .iter()
            .map(|n| {
                let name = n.name.value.as_str();
                (name, Addresses::new(n, &environment.qualify(name), observed))
            })
            .collect();
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
            cpu_model: role.cpu_model.clone(),
            memory_mib: role.memory_mib,
            machine: role.machine_type.clone().unwrap_or("pc".into()),
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
            let definition = self.topology.network(name);
            let v4 = definition.and_then(|n| n.ipv4.as_ref()).map(|i| i.net);
            let v6 = definition.and_then(|n| n.ipv6.as_ref()).map(|i| i.net);
            let free = self.addresses.get_mut(name.as_str());
            let (ipv4, ipv6) = match (kept, free) {
                // An address outside the subnet is one of a subnet that has changed since.
                (Some(kept), Some(free)) => (
                    kept.ipv4
                        .filter(|k| v4.is_some_and(|n| n.contains(&k.addr())))
                        .map(|k| k.addr())
                        .or_else(|| free.next_v4()),
                    kept.ipv6
                        .filter(|k| v6.is_some_and(|n| n.contains(&k.addr())))
                        .map(|k| k.addr())
                        .or_else(|| free.next_v6()),
                ),
                (None, Some(free)) => (free.next_v4(), free.next_v6()),
                (_, None) => (None, None),
            };
            let default_route = !routed && external == Some(name.as_str());
            routed |= default_route;
            list.push(Interface {
                name: format!("eth{index}"),
                mac: match kept {
                    Some(kept) => kept.mac,
                    None => self.macs.derive(self.environment, node, index),
                },
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

fn network_of(network: &topology::Network, environment: &EnvName, nodes: &[Node]) -> Network {
    let name = environment.qualify(&network.name.value);
    let mut reservations: Vec<Reservation> = nodes
        .iter()
        .flat_map(|node| node.interfaces.iter().map(move |i| (node, i)))
        .filter(|(_, i)| i.network == name && (i.ipv4.is_some() || i.ipv6.is_some()))
        .map(|(node, i)| Reservation {
            name: node.name.clone(),
            mac: i.mac,
            ipv4: i.ipv4.map(|n| n.addr()),
            ipv6: i.ipv6.map(|n| n.addr()),
        })
        .collect();
    reservations.sort();
    Network {
        uuid: identifier("network", environment, &name),
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
        reservations,
    }
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
