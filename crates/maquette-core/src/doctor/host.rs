//! What is wrong with a hypervisor, and with networks on it.

use std::net::Ipv4Addr;

use super::firewall::{Dropped, Hook, Keeper, Packet};
use super::{Finding, HostSigns, Layer, NodeSigns, Space, Subject};
use crate::blueprint::{Carrier, Outside};
use crate::observed::{Domain, Network};
use crate::units::ByteSize;

/// With less room than this QEMU is about to stop guests that write, in bytes.
const LEAST_ROOM: u64 = 64 << 20;

/// With less memory than this the kernel is about to end processes: this part of all.
const LEAST_MEMORY: u64 = 33;

/// With more processes than this for each CPU guests take several times as long as usual. Two for each boot under
/// emulation.
const BUSY: u64 = 3;

/// The finding that the hypervisor has so much to do that guests are slow.
pub(super) fn busy(host: &HostSigns) -> Option<String> {
    let load = host.load.filter(|load| load.average > load.cpus.saturating_mul(BUSY))?;
    let cpus = if load.cpus == 1 { "CPU" } else { "CPUs" };
    Some(format!(
        "the hypervisor's load is {} on {} {cpus}: everything takes longer there",
        load.average, load.cpus
    ))
}

/// Whether a file system is as good as full.
pub(super) fn is_full(space: &Space) -> bool {
    space.free < LEAST_ROOM.min(space.size / 50)
}

pub(super) fn room(space: &Space) -> String {
    let (free, size) = (ByteSize(space.free), ByteSize(space.size));
    format!("{free} of {size} are free at {}", space.path)
}

/// The same of a directory that may be no mount point.
pub(super) fn room_of(directory: &str, space: &Space) -> String {
    let (free, size) = (ByteSize(space.free), ByteSize(space.size));
    format!("{free} of {size} are free in {directory}")
}

/// What is wrong with the hypervisor itself.
pub(super) fn hypervisor(host: &HostSigns) -> Vec<Finding> {
    let finding =
        |code, cause: &str| Finding::new(Subject::Hypervisor, Layer::Hypervisor, code, cause);
    let mut found = Vec::new();
    if let Some(pool) = host.pool.as_ref().filter(|pool| is_full(pool)) {
        found.push(
            finding(
                "pool-full",
                "the storage pool is full: nodes that write are about to be paused",
            )
            .seen([room(pool)])
            .advise("make room there; `maquette image prune` removes images that nothing uses"),
        );
    }
    // What is on one file system with the pool is told of that.
    let others = host.disk_pools.iter().filter(|(_, space)| is_full(space));
    let same = |space: &Space| {
        host.pool.as_ref().is_some_and(|pool| (pool.free, pool.size) == (space.free, space.size))
    };
    found.extend(others.filter(|(_, space)| !same(space)).map(|(directory, space)| {
        finding(
            "pool-full",
            "a directory of disks is full: nodes that write are about to be paused",
        )
        .seen([room_of(directory, space)])
        .advise("make room there")
    }));
    let same = |logs: &&Space| {
        host.pool.as_ref().is_none_or(|p| (p.free, p.size) != (logs.free, logs.size))
    };
    if let Some(logs) = host.logs.as_ref().filter(|logs| is_full(logs)).filter(same) {
        found.push(
            finding("log-full", "there is no room for libvirt's logs: consoles are not recorded")
                .seen([room(logs)])
                .advise("make room there"),
        );
    }
    if let Some((all, available)) = host.memory_mib
        && available < all / LEAST_MEMORY
    {
        let mib = |mib: u64| ByteSize(mib.saturating_mul(1 << 20));
        let seen = format!("{} of {} of memory are available", mib(available), mib(all));
        let kills = host.oom_kills.filter(|kills| *kills > 0).map(|kills| {
            format!(
                "since it was started the kernel has ended {kills} processes for want of memory"
            )
        });
        found.push(
            finding(
                "memory-low",
                "the hypervisor's memory is used up: its kernel may end a node's QEMU",
            )
            .seen([seen].into_iter().chain(kills))
            .advise("stop nodes, or give them less memory"),
        );
    }
    found
}

/// A packet that nodes of a network send to somewhere else.
fn outwards<'a>(host: &'a HostSigns, network: &'a Network) -> Packet<'a> {
    let source = network.recorded.ipv4.map_or(Ipv4Addr::UNSPECIFIED, |net| net.addr());
    let (input, output) = (Some(network.recorded.bridge.as_str()), host.uplink.as_deref());
    Packet { input, output, source, destination: None, service: None, from_port: None }
}

/// A packet that the hypervisor itself sends to nodes of a network.
fn inwards<'a>(network: &'a Network, service: (&'static str, u16)) -> Packet<'a> {
    let source = network.recorded.ipv4.map_or(Ipv4Addr::UNSPECIFIED, |net| net.addr());
    let (input, output) = (None, Some(network.recorded.bridge.as_str()));
    let (destination, from_port) = (None, None);
    Packet { input, output, source, destination, service: Some(service), from_port }
}

/// What of DHCP is dropped.
pub(super) struct DhcpDropped {
    /// The server's answers, and not the nodes' requests.
    pub answers: bool,
    pub by: Dropped,
}

impl DhcpDropped {
    /// What a network's finding says of it, and which way it goes.
    fn said(&self) -> (&'static str, Way) {
        match self.answers {
            false => ("the hypervisor's firewall drops requests for addresses (DHCP)", Way::Dhcp),
            true => (
                "the hypervisor's firewall drops answers to requests for addresses (DHCP)",
                Way::Inwards,
            ),
        }
    }

    /// What a node's finding says of it, and what helps.
    pub(super) fn said_of_node(&self, bridge: &str) -> (&'static str, String) {
        match self.answers {
            false => (
                "it gets no address: the hypervisor's firewall drops its requests",
                format!("let what comes in through `{bridge}` to UDP port 67 pass"),
            ),
            true => (
                "it gets no address: the hypervisor's firewall drops the answers to its requests",
                format!("let what leaves through `{bridge}` from UDP port 67 pass"),
            ),
        }
    }
}

/// What drops requests to a network's DHCP server, or its answers.
pub(super) fn dhcp_dropped(host: &HostSigns, network: &Network) -> Option<DhcpDropped> {
    let answer = Packet { from_port: Some(67), ..inwards(network, ("udp", 68)) };
    let request = Packet {
        input: Some(network.recorded.bridge.as_str()),
        output: None,
        source: Ipv4Addr::UNSPECIFIED,
        destination: Some(Ipv4Addr::BROADCAST),
        service: Some(("udp", 67)),
        from_port: Some(68),
    };
    let dropped = |hook, packet, answers| {
        host.firewall.dropped(hook, packet).map(|by| DhcpDropped { answers, by })
    };
    dropped(Hook::Input, &request, false).or_else(|| dropped(Hook::Output, &answer, true))
}

/// What keeps the hypervisor from an address of a network's node, at the port of its SSH server.
pub(super) fn ssh_dropped(
    host: &HostSigns,
    network: &Network,
    address: Ipv4Addr,
) -> Option<Dropped> {
    let packet = Packet { destination: Some(address), ..inwards(network, ("tcp", 22)) };
    host.firewall.dropped(Hook::Output, &packet)
}

/// Whether a network's DHCP server ought to run and does not.
pub(super) fn dhcp_stopped(host: &HostSigns, network: &Network) -> bool {
    let runs = host.networks.get(network.name.as_str()).and_then(|n| n.dnsmasq);
    network.recorded.dhcp4.is_some() && network.active && runs == Some(false)
}

/// What is wrong with a network.
pub(super) fn network(host: &HostSigns, network: &Network) -> Vec<Finding> {
    let (name, bridge) = (&network.name, &network.recorded.bridge);
    let finding = |code, cause: &str| {
        Finding::new(Subject::Network(name.to_string()), Layer::Network, code, cause)
    };
    if !network.active {
        let cause = finding("network-stopped", "it is not running");
        return vec![cause.advise("`maquette up` starts it")];
    }
    let mut found = Vec::new();
    if dhcp_stopped(host, network) {
        let cause = "its DHCP server does not run: nodes get no addresses";
        found.push(
            finding("dhcp-server-stopped", cause)
                .seen([format!("libvirt's dnsmasq of network `{name}` has ended")])
                .advise(format!(
                    "`virsh net-destroy {name}` and `maquette up` start both again, and connect nodes"
                )),
        );
    }
    if network.recorded.dhcp4.is_some()
        && let Some(dropped) = dhcp_dropped(host, network)
    {
        let (cause, way) = dropped.said();
        found.push(filtered(finding("dhcp-filtered", cause), &dropped.by, bridge, way));
    }
    // What is known of the firewall and of forwarding is about IPv4.
    if network.recorded.ipv4.is_none() && network.recorded.ipv6.is_some() {
        return found;
    }
    let leads_outside =
        matches!(&network.recorded.carrier, Carrier::Libvirt(way) if *way != Outside::Isolated);
    if leads_outside && host.forwards == Some(false) {
        found.push(
            finding(
                "forwarding-off",
                "the hypervisor forwards nothing: nodes do not reach the outside",
            )
            .seen(["net.ipv4.ip_forward is 0"])
            .advise("`sysctl net.ipv4.ip_forward=1`, and see what sets it to 0 in /etc/sysctl.d"),
        );
    }
    let packet = outwards(host, network);
    if leads_outside && let Some(dropped) = host.firewall.dropped(Hook::Forward, &packet) {
        let cause = "the hypervisor's firewall drops what its nodes send to the outside";
        found.push(filtered(finding("forward-filtered", cause), &dropped, bridge, Way::Outwards));
    }
    let within = Packet { output: Some(bridge.as_str()), ..packet };
    if host.bridge_filtered
        && network.recorded.carrier.is_served()
        && let Some(dropped) = host.firewall.dropped(Hook::Forward, &within)
    {
        let cause = "the hypervisor's firewall drops what its nodes send each other";
        let finding = finding("bridge-filtered", cause).seen([
            "net.bridge.bridge-nf-call-iptables is 1: frames within a bridge pass the firewall",
        ]);
        found.push(filtered(finding, &dropped, bridge, Way::Within));
    }
    found
}

/// What goes through a firewall.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Outwards,
    Within,
    Dhcp,
    /// From the hypervisor itself to nodes.
    Inwards,
}

fn filtered(finding: Finding, dropped: &Dropped, bridge: &str, way: Way) -> Finding {
    let finding = finding.seen([dropped.by.clone()]);
    match (dropped.keeper, way) {
        (Keeper::Ufw, Way::Inwards) => finding
            .advise(format!("ufw keeps these rules; `ufw allow out on {bridge}` lets them pass")),
        (_, Way::Inwards) => finding
            .advise(format!("let what leaves through `{bridge}` pass in the hypervisor's firewall")),
        (Keeper::Docker, _) => finding
            .advise(format!(
                "Docker keeps these rules; `iptables -I DOCKER-USER -i {bridge} -j ACCEPT` and the same \
                 with `-o {bridge}` let them pass until Docker starts again"
            ))
            .advise("`\"ip-forward-no-drop\": true` in /etc/docker/daemon.json keeps Docker from dropping what is not its own"),
        (Keeper::Firewalld, _) => finding.advise(format!(
            "firewalld keeps these rules; `firewall-cmd --zone=libvirt --change-interface={bridge}` lets them pass"
        )),
        (Keeper::Ufw, Way::Dhcp) => finding
            .advise(format!("ufw keeps these rules; `ufw allow in on {bridge}` lets them pass")),
        (Keeper::Ufw, _) => finding
            .advise(format!("ufw keeps these rules; `ufw route allow in on {bridge}` lets them pass")),
        (Keeper::Unknown, _) => {
            finding.advise(format!("let what comes in through `{bridge}` pass in the hypervisor's firewall"))
        }
    }
}

/// A line without what systemd makes of a dash.
fn unescaped(line: &str) -> String {
    line.replace("\\x2d", "-")
}

/// Whether a line of a kernel's or an audit log was written before a domain was started last, and tells nothing of now. One
/// without a time may be of any.
fn is_old(line: &str, signs: &NodeSigns) -> bool {
    let Some(started) = &signs.started else { return false };
    // `[ 1234.567890] …` of the kernel, `… audit(1732700000.123:45): …` of auditd.
    let seconds = |text: &str| {
        let digits = text.trim_start().split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<u64>().ok()
    };
    let kernel = line.strip_prefix('[').and_then(seconds);
    let audit = || line.split_once("audit(").and_then(|(_, rest)| seconds(rest));
    match audit() {
        Some(at) => at < started.epoch_s,
        // That clock is not set by others, and may be off by some seconds a day.
        None => kernel.is_some_and(|at| at.saturating_add(1 + at / 10_000) < started.uptime_s),
    }
}

/// What the kernel says of a QEMU that it ended because memory was used up since the domain was started; of which one cannot be
/// told where it says no more than the program.
pub(super) fn killed(host: &HostSigns, domain: &Domain, signs: &NodeSigns) -> Option<String> {
    let own = [format!("-{}.scope", domain.name), format!("-{}.libvirt-qemu", domain.name)];
    let lines = || host.kernel_log.iter().rev().filter(|line| !is_old(line, signs));
    let named = lines().find(|line| {
        let line = unescaped(line);
        line.contains("oom-kill:") && own.iter().any(|own| line.contains(own))
    });
    let any = || {
        let told = lines().any(|line| line.contains("oom-kill:") && line.contains("machine"));
        let killed = |line: &&String| line.contains("Killed process") && line.contains("qemu");
        lines().find(killed).filter(|_| !told)
    };
    named.or_else(any).cloned()
}

/// What the kernel says that a domain's QEMU may not do.
pub(super) struct Denied {
    /// The line of the kernel's or audit's log.
    pub line: String,
    /// Whether that is about a file of the domain's. QEMU is denied some of what it tries at starts that succeed
    /// (`/sys/devices/system/node/`, `/etc/gss/mech.d/`), and goes on without it.
    pub is_own_file: bool,
}

/// What the kernel says that a domain's QEMU may not do, since it was started: what is about its files first.
pub(super) fn denied(host: &HostSigns, domain: &Domain, signs: &NodeSigns) -> Option<Denied> {
    let profile = format!("libvirt-{}", domain.recorded.uuid);
    let apparmor = |line: &str| line.contains("apparmor=\"DENIED\"");
    let selinux = |line: &str| {
        let is_confined = line.contains("svirt") || line.contains("virtlogd");
        line.contains("avc:") && line.contains("denied") && is_confined
    };
    let name = |file: &str| file.rsplit('/').next().unwrap_or(file).to_string();
    let console = format!("{}-serial.log", domain.name);
    let files = || {
        let disks = domain.defined.disks.iter().map(|disk| disk.file.as_str());
        disks.chain([console.as_str()])
    };
    let about = |line: &str, file: &str| {
        line.contains(&format!("\"{file}\"")) || line.contains(&format!("name=\"{}\"", name(file)))
    };
    // Of these others may have the same, or ones that are called the same.
    let disks = domain.recorded.disks.iter();
    let images = disks.filter_map(|disk| Some(disk.backing.as_ref()?.volume.to_string()));
    let beside: Vec<String> = images.chain([format!("{}_VARS.fd", domain.name)]).collect();
    let is_beside = |line: &str| beside.iter().any(|file| line.contains(&format!("/{file}\"")));
    let is_own = |line: &str| line.contains(&profile);
    // Whoever may make no file in a directory is denied that directory.
    let is_log = |line: &str| {
        domain.recorded.serial_file && line.contains("virtlogd") && line.contains("name=\"qemu\"")
    };
    let is_own_file = |line: &str| {
        (selinux(line) && is_log(line))
            || ((apparmor(line) || selinux(line)) && files().any(|file| about(line, file)))
            || (apparmor(line) && is_own(line) && is_beside(line))
    };
    let lines = || host.kernel_log.iter().rev().filter(|line| !is_old(line, signs));
    let found = |line: &String, is_own_file| Denied { line: line.clone(), is_own_file };
    let first = lines().find(|line| is_own_file(line)).map(|line| found(line, true));
    let other = || lines().find(|line| apparmor(line) && is_own(line));
    first.or_else(|| other().map(|line| found(line, false)))
}
