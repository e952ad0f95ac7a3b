//! What kind of machine the hypervisor is: one script, one round trip.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use maquette_core::image::AgentRecord;
use maquette_core::lifetime::Lifetime;
use maquette_core::names::EnvName;
use maquette_core::observed::{
    Access, Bmcs, Forwarding, HostLink, HostNetwork, LinkKind, Listening,
};
use maquette_core::plan::LIMITS;
use maquette_core::start_times::Starts;
use maquette_core::units::MacAddr;
use maquette_core::values::Login;

use super::bmcs;
use super::daemons::{self, Daemons};
use super::directories;
use super::family::{self, FAMILIES, Family, OsRelease, Part};
use super::images;
use super::leases;
use super::sections::Sections;
use super::workers::Workers;
use super::zones;
use crate::forwarding;
use crate::host::{Command, Host, HostError, check};

/// What kind of machine the hypervisor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its host name, as `uname -n` prints it.
    pub name: String,
    /// Its operating system.
    pub os: OsRelease,
    /// CPUs that are online.
    pub cpus: usize,
    /// Whether ordinary guests can use hardware virtualisation, and if not, why.
    pub kvm: Result<(), String>,
    /// Mode (octal) and group of `/dev/kvm`, if there is one.
    pub kvm_device: Option<(String, String)>,
    /// Nested virtualisation: the module and whether it is on; none without such a module.
    pub nested: Option<(String, bool)>,
    /// All memory in MiB.
    pub memory_mib: u64,
    /// Memory that could be used now without swapping, in MiB.
    pub available_mib: u64,
    /// What each running domain has really touched, in MiB.
    pub resident_mib: BTreeMap<String, u64>,
    /// How long each running domain's emulator has run, in seconds.
    pub uptime_s: BTreeMap<String, u64>,
    /// Addresses of the host with their subnets, and their interfaces.
    pub addresses: Vec<(IpNet, String)>,
    /// Network interfaces of the host.
    pub network: HostNetwork,
    /// Packages of its family that are missing.
    pub missing: Vec<String>,
    /// Packages that UEFI guests need and that are missing.
    pub missing_uefi: Vec<String>,
    /// Packages that guests with an emulated TPM need and that are missing.
    pub missing_tpm: Vec<String>,
    /// Packages with which QEMU reads images over HTTP, and that are missing.
    pub missing_media: Vec<String>,
    /// Packages that bring `virt-xml` and that are missing.
    pub missing_virt_xml: Vec<String>,
    /// Packages that bring virt-customize and that are missing.
    pub missing_customize: Vec<String>,
    /// Packages that keep nodes from serving DHCP on the LAN, and that are missing.
    pub missing_guard: Vec<String>,
    /// Packages that networks on Open vSwitch need and that are missing.
    pub missing_vswitch: Vec<String>,
    /// Whether Open vSwitch's database answers.
    pub vswitch_runs: bool,
    /// Whether firewalld runs, and has not read the zone that libvirt puts its bridges into, or has none yet since libvirt is
    /// not there.
    pub zone_unknown: bool,
    /// SHA-256 of libvirt's network hook in hexadecimal, if it is there.
    pub hook: Option<String>,
    /// SHA-256 of what removes expired environments in hexadecimal, if it is there and called.
    pub expiry: Option<String>,
    /// Its clock, in seconds since 1970; 0 if it did not say.
    pub now_s: u64,
    /// What is noted there of environments.
    pub lifetimes: BTreeMap<EnvName, Lifetime>,
    /// Images in its pools that were built with an agent, by their files.
    pub agents: BTreeMap<String, AgentRecord>,
    /// What other images in its pools are known by, in hexadecimal, by their files.
    pub identities: BTreeMap<String, String>,
    /// Files of images in which a Linux system was found, and no cloud-init.
    pub without_cloud_init: BTreeSet<String>,
    /// BMCs that are served there, by their environments.
    pub bmcs: BTreeMap<EnvName, Bmcs>,
    /// Whom it was logged in to as, before `sudo`; none if that is not known.
    pub login: Option<Login>,
    /// Keys that are recorded to open it for connections to nodes, by their environments.
    pub forwarding: BTreeMap<EnvName, Forwarding>,
    /// How libvirt's daemons are started.
    pub daemons: Daemons,
    /// How many calls the daemon works on that starts domains.
    pub workers: Workers,
    /// Interfaces with an IPv6 default route, each with its `accept_ra`.
    pub router_interfaces: Vec<(String, String)>,
    /// Time zone that it has: `Europe/Prague`; none if it does not tell.
    pub timezone: Option<String>,
    /// Whether the firewall drops what is forwarded unless a rule says otherwise, as Docker sets it.
    pub forward_drop: bool,
    /// Limits of the kernel's by their names for sysctl, as far as it tells them.
    pub limits: BTreeMap<String, u64>,
    /// Limits of the SSH server; none if it was not asked.
    pub sshd: Option<SshLimits>,
    /// The record of what earlier preparations have changed; empty if there is none.
    pub record: String,
    /// How long nodes took to start there.
    pub starts: Starts,
    /// Leases of libvirt's DHCP servers that are not over, by address.
    pub dhcp_leases: BTreeMap<IpAddr, MacAddr>,
    /// The directory of the storage pool that was asked about, and the bytes in its file system that others than root can have.
    pub pool_room: Option<(String, u64)>,
    /// Who may write to that directory, and to those above it, from itself upwards.
    pub pool_access: Vec<Access>,
    /// Whether SELinux keeps libvirt from logging consoles where `--serial-files` has them.
    pub refuses_serial_files: bool,
    /// Files that are there of those that tell how far a preparation came.
    pub begun: BTreeSet<&'static str>,
}

/// Options of the KVM module: the last thing that preparation writes of nested virtualisation.
pub const NESTED_OPTIONS: &str = "/etc/modprobe.d/maquette-kvm.conf";
/// There until the SSH server has read its limits.
pub const SSH_LIMITS_BEGUN: &str = "/etc/ssh/sshd_config.d/10-maquette.conf.new";
const BEGUN: [&str; 2] = [NESTED_OPTIONS, SSH_LIMITS_BEGUN];

/// Limits of the SSH server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshLimits {
    /// `MaxSessions`: sessions in one connection.
    pub sessions: u32,
    /// The first number of `MaxStartups`: unauthenticated connections before some are refused.
    pub startups: u32,
    /// Whether it reads drop-ins.
    pub drop_ins: bool,
}

impl Facts {
    /// Whether `/dev/kvm` is there and QEMU's user may not open it.
    pub fn kvm_closed(&self) -> bool {
        self.kvm_device.as_ref().is_some_and(|(mode, group)| closed(mode, group))
    }

    /// The family of its operating system.
    pub fn family(&self) -> Option<&'static Family> {
        self.os.family()
    }
}

/// Whether the SSH server is part of what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The hypervisor is this machine.
    Local,
    /// It is reached over SSH.
    Remote,
}

/// Its first line is its title where it fails.
const PROBE: &str = concat!(
    "# Asks for all of a hypervisor's own side.\n",
    include_str!("../../assets/host/access.sh"),
    include_str!("../../assets/probe.sh"),
);

/// Finds out all of it in one round trip, but for the room in a storage pool's directory.
pub fn gather(host: &dyn Host, reach: Reach) -> Result<Facts, HostError> {
    gather_for(host, reach, "")
}

/// The same, how much room others than root have in the directory of a storage pool, and who may write there.
pub fn gather_for(host: &dyn Host, reach: Reach, pool: &str) -> Result<Facts, HostError> {
    let mut args = vec![if reach == Reach::Remote { "remote" } else { "local" }, pool];
    let mut paths: BTreeSet<&str> = daemons::PATHS.iter().copied().collect();
    paths.extend(FAMILIES.iter().flat_map(Family::all_parts).flat_map(|p| p.paths));
    paths.extend(BEGUN);
    args.extend(LIMITS.iter().map(|limit| limit.key));
    args.push("--");
    args.extend(paths);
    let text = check(host, &Command::script(PROBE, args).silent_for(SILENCE))?;
    Ok(read(&text))
}

/// How long a question of the probe may take; most take none of it.
const SILENCE: Duration = Duration::from_secs(300);

/// Understands what the probe printed.
pub fn read(text: &str) -> Facts {
    let seen = Sections::parse(text);
    let has_path = |path: &str| seen.lines("paths").any(|line| line == path);
    let os = OsRelease::parse(seen.text("os"));
    let lacks = |parts: fn(&'static Family) -> &'static [Part]| {
        os.family().map_or(Vec::new(), |family| family::missing(parts(family), &has_path))
    };
    let kvm_device = words(seen.text("kvm"));
    let now_s = seen.text("time").parse().unwrap_or(0);
    let daemons = daemons::detect(&has_path, seen.yes("systemd"), seen.yes("monolithic"));
    let guests = || seen.lines("guests").map(|line| line.split_whitespace().collect::<Vec<_>>());
    Facts {
        name: seen.text("name").to_string(),
        missing: lacks(|f| f.parts),
        missing_uefi: lacks(|f| f.uefi),
        missing_tpm: lacks(|f| f.tpm),
        missing_media: lacks(|f| f.media),
        missing_virt_xml: lacks(|f| f.virt_xml),
        missing_customize: lacks(|f| f.customize),
        missing_guard: lacks(|f| f.guard),
        missing_vswitch: lacks(|f| f.vswitch),
        vswitch_runs: seen.lines("vswitch").any(|l| l == "runs"),
        zone_unknown: zones::is_unknown(&seen, &daemons),
        hook: seen.text("hook").split_whitespace().next().map(String::from),
        expiry: seen.text("expiry").split_whitespace().next().map(String::from),
        now_s,
        lifetimes: Lifetime::parse_all(seen.text("leases")),
        agents: images::agents(&seen),
        identities: images::identities(&seen),
        without_cloud_init: images::without_cloud_init(&seen),
        bmcs: bmcs::by_environment(&seen),
        refuses_serial_files: refuses_serial_files(&seen),
        login: seen.text("login").parse().ok(),
        forwarding: forwarding::parse(seen.lines("forwarding")),
        cpus: seen.text("cpus").parse().unwrap_or(1).max(1),
        kvm: kvm(kvm_device.is_some(), seen.text("flags")),
        kvm_device,
        nested: seen.lines("nested").find_map(nested),
        memory_mib: memory_mib(&seen, "MemTotal:"),
        available_mib: memory_mib(&seen, "MemAvailable:"),
        resident_mib: guests().filter_map(|words| resident(&words)).collect(),
        uptime_s: guests().filter_map(|words| uptime(&words)).collect(),
        addresses: seen.lines("addresses").filter_map(address).collect(),
        network: network(&seen),
        workers: Workers::read(&seen, daemons.of_domains()),
        daemons,
        router_interfaces: seen.lines("router").filter_map(words).collect(),
        timezone: seen.lines("zone").next().map(String::from),
        forward_drop: seen.text("forward") == "-P FORWARD DROP",
        limits: seen.lines("limits").filter_map(limit).collect(),
        sshd: limits(&seen),
        record: seen.text("record").to_string(),
        starts: Starts::parse(seen.text("starts")).as_of(now_s),
        dhcp_leases: leases::held(&seen, now_s),
        pool_room: pool_room(&seen),
        pool_access: directories::of_pool(&seen),
        begun: BEGUN.into_iter().filter(|path| has_path(path)).collect(),
        os,
    }
}

/// Whether SELinux keeps virtlogd from writing to /var/lib/libvirt/qemu.
fn refuses_serial_files(seen: &Sections) -> bool {
    let says = |word: &str| seen.lines("selinux").any(|line| line == word);
    says("enforces") && !says("module")
}

/// What a running domain has touched, in MiB.
fn resident(words: &[&str]) -> Option<(String, u64)> {
    let (kib, name) = (words.first()?, words.get(1)?);
    Some(((*name).to_string(), kib.parse::<u64>().ok()? / 1024))
}

/// How long a domain's emulator has run, in seconds.
fn uptime(words: &[&str]) -> Option<(String, u64)> {
    let [_, name, seconds] = words else { return None };
    Some(((*name).to_string(), seconds.parse().ok()?))
}

/// What there is in a pool's file system: a line of KiB and the directory.
fn pool_room(seen: &Sections) -> Option<(String, u64)> {
    let (kib, directory) = seen.text("room").split_once(' ')?;
    Some((directory.to_string(), kib.parse::<u64>().ok()?.checked_mul(1024)?))
}

/// A line of `/proc/meminfo`, in MiB.
fn memory_mib(seen: &Sections, key: &str) -> u64 {
    let line = seen.lines("memory").find_map(|l| l.strip_prefix(key));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Where the hypervisor's routes of both families lead.
fn all_routes(seen: &Sections) -> Vec<(IpNet, String)> {
    let mut all = routes(seen.text("routes"));
    all.extend(seen.lines("routes6").filter_map(route6));
    all
}

/// A module of KVM's, and whether it lets guests have guests.
fn nested(line: &str) -> Option<(String, bool)> {
    words(line).map(|(module, value)| (module, value.starts_with(['Y', 'y', '1'])))
}

/// A port that some program has, as `ss` has it: `tcp 10.0.0.1%eth0:22`, where `*` is all addresses of both families. Older
/// versions write these as `:::22`.
fn listening(line: &str) -> Option<Listening> {
    let (protocol, local) = line.split_once(' ')?;
    let (address, port) = local.rsplit_once(':')?;
    let address = address.split('%').next()?.trim_matches(['[', ']']);
    let address = match (address, local.starts_with('[')) {
        ("*", _) | ("::", false) => None,
        (address, _) => Some(address.parse().ok()?),
    };
    Some(Listening { udp: protocol == "udp", address, port: port.parse().ok()? })
}

/// Two words of a line.
fn words(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    Some((words.next()?.to_string(), words.next()?.to_string()))
}

/// A line of sysctl's: `fs.inotify.max_user_instances 128`.
fn limit(line: &str) -> Option<(String, u64)> {
    let (key, value) = line.split_once(' ')?;
    Some((key.into(), value.trim().parse().ok()?))
}

fn limits(seen: &Sections) -> Option<SshLimits> {
    let value = |key: &str| {
        let line = seen.lines("sshd").find_map(|l| l.strip_prefix(key)?.strip_prefix(' '))?;
        line.split(':').next()?.trim().parse().ok()
    };
    Some(SshLimits {
        sessions: value("maxsessions")?,
        startups: value("maxstartups")?,
        drop_ins: !seen.text("include").is_empty(),
    })
}

/// The device file of KVM.
pub const KVM: &str = "/dev/kvm";

/// QEMU runs as a member of group `kvm`.
fn closed(mode: &str, group: &str) -> bool {
    let mode = u32::from_str_radix(mode, 8).unwrap_or(0);
    let all = mode & 0o006 == 0o006;
    let by_group = mode & 0o060 == 0o060 && group == "kvm";
    !all && !by_group
}

/// A `/dev/kvm` alone says little: some machines offer one that only special guests can use. A CPU
/// that shows neither `vmx` nor `svm` runs no ordinary guest.
fn kvm(device: bool, flags: &str) -> Result<(), String> {
    if !device {
        return Err("there is no /dev/kvm".into());
    }
    if flags.split_whitespace().any(|f| f == "vmx" || f == "svm") {
        Ok(())
    } else {
        Err("/dev/kvm is there, but the CPU shows neither vmx nor svm".into())
    }
}

/// Reads the kernel's IPv4 routing table; default routes claim nothing.
fn routes(table: &str) -> Vec<(IpNet, String)> {
    let address =
        |hex: &str| u32::from_str_radix(hex, 16).ok().map(|n| Ipv4Addr::from(n.swap_bytes()));
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [name, destination, ..] = fields.as_slice() else { return None };
            let net =
                Ipv4Net::with_netmask(address(destination)?, address(fields.get(7)?)?).ok()?;
            (net.prefix_len() > 0).then(|| (IpNet::V4(net), format!("interface {name}")))
        })
        .collect()
}

/// A line of `ip -6 route show`; default and link-local routes claim nothing.
fn route6(line: &str) -> Option<(IpNet, String)> {
    let mut words = line.split_whitespace();
    let net = words.next()?;
    let net: Ipv6Net = net.parse().or_else(|_| format!("{net}/128").parse()).ok()?;
    let device = words.skip_while(|w| *w != "dev").nth(1).unwrap_or("lo");
    let claims = net.prefix_len() > 0 && !net.addr().is_unicast_link_local() && device != "lo";
    claims.then(|| (IpNet::V6(net), format!("interface {device}")))
}

/// A line of `ip -o address show`: an address may have no route of its own.
fn address(line: &str) -> Option<(IpNet, String)> {
    let mut words = line.split_whitespace().skip(1);
    let device = words.next()?;
    let net: IpNet = words.skip_while(|w| !w.starts_with("inet")).nth(1)?.parse().ok()?;
    let local = match net.addr() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
    };
    (!local).then(|| (net, format!("interface {device}")))
}

/// The host's own network interfaces.
fn network(seen: &Sections) -> HostNetwork {
    let names = seen.text("devices").lines().filter_map(|line| line.split_once(':'));
    let mut links: BTreeMap<String, HostLink> =
        names.map(|(name, _)| (name.trim().to_string(), HostLink::default())).collect();
    for line in seen.lines("links") {
        let mut words = line.split_whitespace();
        let (what, name) = (words.next(), words.next());
        let Some(link) = name.and_then(|name| links.get_mut(name)) else { continue };
        match what {
            Some("port") => link.master = words.next().map(String::from),
            Some("bridge") => link.kind = LinkKind::Bridge,
            Some("wireless") => link.kind = LinkKind::Wireless,
            Some("foreign") => link.kind = LinkKind::Foreign,
            _ => {}
        }
    }
    for name in seen.lines("storage") {
        if let Some(link) = links.get_mut(name) {
            link.carries_root = true;
        }
    }
    HostNetwork {
        links,
        addresses: seen.lines("addresses").filter_map(address).map(|(n, _)| n.addr()).collect(),
        guarded: seen.lines("guards").map(String::from).collect(),
        default_nic: default_nic(seen.text("routes")),
        kernel_vswitch: seen.lines("vswitch").any(|l| l == "kernel"),
        listening: seen.lines("listening").filter_map(listening).collect(),
        routes: all_routes(seen),
        lacks_ipv6: matches!(seen.text("ipv6").trim(), "1" | "none"),
    }
}

/// The interface of the IPv4 default route with the lowest metric.
fn default_nic(table: &str) -> Option<String> {
    let all = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, "00000000", ..] = fields.as_slice() else { return None };
        let metric: u32 = fields.get(6)?.parse().ok()?;
        (fields.get(7) == Some(&"00000000")).then(|| (metric, (*name).to_string()))
    });
    all.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Local;

    #[test]
    fn this_machine_can_be_asked() {
        let facts = gather(&Local, Reach::Local).unwrap();
        assert!(facts.memory_mib > 0 && facts.available_mib > 0);
        assert!(facts.network.links.contains_key("lo"));
        assert!(!facts.name.is_empty());
        assert!(facts.sshd.is_none());
    }

    #[test]
    fn selinux_lets_consoles_be_logged_where_infrared_has_prepared_it() {
        for (said, refuses) in [("", false), ("enforces", true), ("enforces\nmodule", false)] {
            assert_eq!(
                read(&format!("@@ selinux\n{said}\n")).refuses_serial_files,
                refuses,
                "{said}"
            );
        }
    }

    #[test]
    fn kvm_needs_a_device_and_a_cpu_that_can() {
        assert!(kvm(true, "flags\t\t: fpu vmx sse").is_ok());
        assert!(kvm(true, "flags\t\t: fpu svm").is_ok());
        assert!(kvm(false, "flags\t\t: fpu vmx").unwrap_err().contains("no /dev/kvm"));
        assert!(kvm(true, "flags\t\t: fpu hypervisor").unwrap_err().contains("neither"));
    }

    #[test]
    fn ports_that_programs_have_are_read_as_ss_has_them() {
        let read =
            |line| listening(line).map(|l| (l.udp, l.address.map(|a| a.to_string()), l.port));
        let one = |text: &str| Some(text.to_string());
        assert_eq!(read("tcp 10.0.0.1:443"), Some((false, one("10.0.0.1"), 443)));
        assert_eq!(read("udp 0.0.0.0%br0:67"), Some((true, one("0.0.0.0"), 67)));
        assert_eq!(read("tcp [fe80::1]%eth0:22"), Some((false, one("fe80::1"), 22)));
        assert_eq!(read("udp [::]:623"), Some((true, one("::"), 623)));
        assert_eq!(read("tcp *:22"), Some((false, None, 22)));
        assert_eq!(read("tcp :::22"), Some((false, None, 22)));
        for line in ["", "tcp", "tcp 10.0.0.1", "tcp x:1", "tcp 10.0.0.1:http"] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    /// Who counted on it found the pool full with a twentieth of it free.
    #[test]
    fn the_room_in_a_pool_is_what_is_not_kept_for_root() {
        let directory = tempfile::tempdir().unwrap();
        let pool = directory.path().to_str().unwrap();
        let (path, bytes) = gather_for(&Local, Reach::Local, pool).unwrap().pool_room.unwrap();
        let there = rustix::fs::statvfs(pool).unwrap();
        assert_eq!(path, pool);
        // Others write there meanwhile.
        let available = there.f_bavail * there.f_frsize;
        assert!(bytes.abs_diff(available) < 1 << 30, "{bytes} of {available}");
        for nothing in ["", "/nonexistent"] {
            assert_eq!(gather_for(&Local, Reach::Local, nothing).unwrap().pool_room, None);
        }
        assert_eq!(read("@@ room\n4 /a pool\n").pool_room, Some(("/a pool".into(), 4096)));
    }

    #[test]
    fn a_device_is_open_to_its_group_or_to_all() {
        assert!(closed("600", "root"));
        assert!(closed("660", "root"));
        assert!(!closed("660", "kvm"));
        assert!(!closed("666", "root"));
    }

    #[test]
    fn addresses_without_a_route_and_ipv6_routes_claim_too() {
        let found: Vec<String> = [
            "1: lo    inet 127.0.0.1/8 scope host lo\\ valid_lft forever",
            "2: eth0    inet 10.1.2.3/32 scope global eth0\\ valid_lft forever",
            "2: eth0    inet6 fe80::1/64 scope link",
            "3: br0    inet6 2001:db8::1/64 scope global",
        ]
        .iter()
        .filter_map(|line| address(line))
        .map(|(net, owner)| format!("{net} {owner}"))
        .collect();
        assert_eq!(found, ["10.1.2.3/32 interface eth0", "2001:db8::1/64 interface br0"]);
        let found: Vec<String> = [
            "2001:db8:1::/64 dev br0 proto kernel metric 256",
            "2001:db8:2::7 via fe80::1 dev eth0",
            "fe80::/64 dev eth0",
            "default via fe80::1 dev eth0",
        ]
        .iter()
        .filter_map(|line| route6(line))
        .map(|(net, owner)| format!("{net} {owner}"))
        .collect();
        assert_eq!(found, ["2001:db8:1::/64 interface br0", "2001:db8:2::7/128 interface eth0"]);
    }

    #[test]
    fn ipv6_is_off_where_the_kernel_says_so_or_has_none() {
        for (section, lacks) in [("0", false), ("1", true), ("none", true)] {
            let facts = read(&format!("@@ ipv6\n{section}\n"));
            assert_eq!(facts.network.lacks_ipv6, lacks, "{section}");
        }
        // What was not asked is not missing.
        assert!(!read("").network.lacks_ipv6);
    }

    #[test]
    fn routes_are_read_from_the_kernels_table() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let found = routes(table);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0.to_string(), "192.168.0.0/16");
        assert_eq!(found[0].1, "interface eth0");
    }

    /// It was named as a NIC that is free.
    #[test]
    fn a_macvtap_of_a_node_is_no_nic() {
        let looked = PROBE.split_once("for device in /sys/class").unwrap().1;
        let looked = looked.split_once("say guards").unwrap().0;
        let there = tempfile::tempdir().unwrap();
        for device in ["eth0", "macvtap0/macvtap/tap7"] {
            std::fs::create_dir_all(there.path().join("net").join(device)).unwrap();
        }
        let looked = format!("for device in {}{looked}", there.path().display());
        let said = std::process::Command::new("sh").args(["-c", &looked]).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let facts = read(&format!("@@ devices\neth0: 0\nmacvtap0: 0\n@@ links\n{said}"));
        assert_eq!(facts.network.free_nics(), ["eth0"], "{said}");
    }

    /// What the probe prints on the systems that Maquette knows: os-release is the distribution's own
    /// text; the rest is put together so that each differs in what counts.
    #[test]
    fn machines_of_every_family_are_understood() {
        insta::glob!("probes/*.txt", |path| {
            let facts = read(&std::fs::read_to_string(path).unwrap());
            insta::assert_debug_snapshot!(facts);
        });
    }
}
