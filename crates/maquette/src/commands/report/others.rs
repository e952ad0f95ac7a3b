//! What a report leaves out of what a hypervisor says of itself, since it is other people's.

use std::collections::{BTreeMap, BTreeSet};

use maquette_core::image::AgentRecord;
use maquette_core::names::EnvName;
use maquette_core::observed::{Access, HostLink, HostNetwork, LinkKind, Observed};
use maquette_core::units::MacAddr;
use maquette_engine::probe::Facts;

fn of_own_domains(maps: [&mut BTreeMap<String, u64>; 2], observed: &Observed) {
    for map in maps {
        map.retain(|name, _| observed.domains.contains_key(name.as_str()));
    }
}

/// Leaves out what the hypervisor has of other environments. Each fact is named, so that a new one has to be decided on.
pub(super) fn leave_out(facts: &mut Facts, environment: &EnvName, observed: &Observed) {
    let own = Own::of(&facts.network, observed);
    let Facts {
        name: _,
        os: _,
        cpus: _,
        kvm: _,
        kvm_device: _,
        nested: _,
        memory_mib: _,
        available_mib: _,
        resident_mib,
        uptime_s,
        addresses,
        network,
        missing: _,
        missing_uefi: _,
        missing_tpm: _,
        missing_media: _,
        missing_virt_xml: _,
        missing_customize: _,
        missing_guard: _,
        missing_vswitch: _,
        vswitch_runs: _,
        zone_unknown: _,
        hook: _,
        expiry: _,
        now_s: _,
        lifetimes,
        agents,
        identities,
        without_cloud_init,
        bmcs,
        login: _,
        forwarding,
        daemons: _,
        workers: _,
        router_interfaces,
        timezone: _,
        forward_drop: _,
        limits: _,
        sshd: _,
        record: _,
        starts: _,
        dhcp_leases,
        pool_room: _,
        pool_access,
        begun: _,
        refuses_serial_files: _,
    } = facts;
    pool_access.iter_mut().for_each(leave_out_owner);
    of_own_domains([resident_mib, uptime_s], observed);
    lifetimes.retain(|name, _| name == environment);
    bmcs.retain(|name, _| name == environment);
    forwarding.retain(|name, _| name == environment);
    own.leave_out_images(agents, identities, without_cloud_init);
    dhcp_leases.retain(|_, mac| own.macs.contains(mac));
    own.leave_out_interfaces(router_interfaces, addresses);
    own.leave_out_network(network, &addresses.iter().map(|(net, _)| net.addr()).collect());
}

fn leave_out_owner(at: &mut Access) {
    at.stranger = at.stranger.take().map(|_| "somebody".into());
}

/// What may be in a report.
struct Own {
    /// Interfaces of the environment and of the hypervisor.
    interfaces: BTreeSet<String>,
    /// Addresses of the nodes' NICs.
    macs: BTreeSet<MacAddr>,
    /// Volumes of the nodes' images.
    images: BTreeSet<String>,
}

impl Own {
    fn of(network: &HostNetwork, observed: &Observed) -> Self {
        let recorded = || observed.domains.values().map(|domain| &domain.recorded);
        let networks = observed.networks.values();
        let mut interfaces: BTreeSet<String> =
            networks.map(|network| network.recorded.bridge.to_string()).collect();
        // A bridge is a network of somebody's, unless the hypervisor itself is reached through it.
        let is_own_bridge =
            |name: &String| interfaces.contains(name) || network.default_nic.as_ref() == Some(name);
        let is_theirs =
            |name: &String, link: &HostLink| link.kind == LinkKind::Bridge && !is_own_bridge(name);
        let is_kept = |(name, link): &(&String, &HostLink)| {
            let master = link.master.as_ref();
            let master = master.and_then(|name| Some((name, network.links.get(name)?)));
            !is_theirs(name, link) && master.is_none_or(|(name, link)| !is_theirs(name, link))
        };
        let kept: Vec<String> =
            network.links.iter().filter(is_kept).map(|(name, _)| name.clone()).collect();
        interfaces.extend(kept);
        let nics = recorded().flat_map(|node| &node.interfaces);
        let disks = recorded().flat_map(|node| &node.disks);
        Self {
            interfaces,
            macs: nics.map(|nic| nic.mac).collect(),
            images: disks.filter_map(|d| Some(d.backing.as_ref()?.volume.to_string())).collect(),
        }
    }

    fn leave_out_images(
        &self,
        agents: &mut BTreeMap<String, AgentRecord>,
        identities: &mut BTreeMap<String, String>,
        without_cloud_init: &mut BTreeSet<String>,
    ) {
        without_cloud_init.retain(|file| self.has_image(file));
        agents.retain(|file, _| self.has_image(file));
        identities.retain(|file, _| self.has_image(file));
    }

    fn leave_out_interfaces<T>(
        &self,
        routers: &mut Vec<(String, String)>,
        addresses: &mut Vec<(T, String)>,
    ) {
        routers.retain(|(name, _)| self.is_kept(name));
        addresses.retain(|(_, name)| self.is_kept(name));
    }

    /// Whether a file is an image of the nodes'.
    fn has_image(&self, file: &str) -> bool {
        file.rsplit_once('/').is_some_and(|(_, volume)| self.images.contains(volume))
    }

    /// Whether an interface may be named; facts have `interface NAME` of some.
    fn is_kept(&self, name: &str) -> bool {
        self.interfaces.contains(name.strip_prefix("interface ").unwrap_or(name))
    }

    fn leave_out_network(&self, network: &mut HostNetwork, kept: &BTreeSet<std::net::IpAddr>) {
        let HostNetwork {
            links,
            addresses,
            default_nic: _,
            guarded,
            kernel_vswitch: _,
            routes,
            lacks_ipv6: _,
            listening,
        } = network;
        links.retain(|name, _| self.is_kept(name));
        addresses.retain(|address| kept.contains(address));
        guarded.retain(|name| self.is_kept(name));
        routes.retain(|(_, name)| self.is_kept(name));
        let is_kept =
            |address: std::net::IpAddr| address.is_unspecified() || kept.contains(&address);
        listening.retain(|port| port.address.is_none_or(is_kept));
    }
}

#[cfg(test)]
mod tests {
    use maquette_engine::probe;
    use maquette_testkit::small::built;

    use super::*;

    /// Names of their environments, nodes and logins, keys, addresses and networks were.
    #[test]
    fn nothing_of_other_environments_is_left() {
        let observed = built(&[("controller", 1)], &[]);
        let nic = observed.domains["controller-0"].recorded.interfaces[0].mac;
        let bridge = observed.networks["data"].recorded.bridge.clone();
        let text = format!(
            "\n@@ name\nhv\n\n@@ time\n100\n\n@@ leases\nenvironment default\nexpires 7777\nenvironment theirs\nexpires 8888\n\
             \n@@ guests\n1 controller-0 1111\n1 theirs-web-0 2222\n\
             \n@@ bmcs\nenvironment theirs yes\nbmc theirs-web-0 0123\n\
             \n@@ forwarding\ntheirs theirlogin yes ssh-ed25519 AAAA\n\
             \n@@ dhcp\n[{{\"ip-address\": \"10.9.0.2\", \"mac-address\": \"52:54:00:99:99:99\", \"expiry-time\": 200}},\
             {{\"ip-address\": \"10.1.0.2\", \"mac-address\": \"{nic}\", \"expiry-time\": 200}}]\n\
             \n@@ images\n/pool/maquette-theirs-0.qcow2\nagent {0} {0}\n\
             \n@@ devices\nInter-|\n face |\neth0: 1\ntheirs-lan: 1\nvnet7: 1\n{bridge}: 1\n\
             \n@@ links\nbridge theirs-lan\nport vnet7 theirs-lan\nbridge {bridge}\n\
             \n@@ guards\ntheirs-lan\n\
             \n@@ listening\ntcp 10.9.0.1:443\ntcp *:22\n\
             \n@@ addresses\n1: eth0 inet 192.0.2.1/24 scope global\n2: theirs-lan inet 10.9.0.1/24 scope global\n",
            "0123456789abcdef".repeat(4),
        );
        let mut facts = probe::read(&text);
        let before = format!("{facts:#?}");
        let theirs = ["theirs", "10.9.0", "8888", "vnet7"];
        for word in theirs {
            assert!(before.contains(word), "{word}: {before}");
        }
        leave_out(&mut facts, &EnvName::default(), &observed);
        let after = format!("{facts:#?}");
        for word in theirs {
            assert!(!after.contains(word), "{word}: {after}");
        }
        for word in ["7777", "1111", "10.1.0.2", "192.0.2.1", "eth0", bridge.as_str()] {
            assert!(after.contains(word), "{word}: {after}");
        }
    }
}
