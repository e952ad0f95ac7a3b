//! What can be found out about why nodes are not ready: on the hypervisor's own side, for all nodes in one round trip,
//! and in guests that can be logged in to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use maquette_core::doctor::firewall::Ruleset;
use maquette_core::doctor::{
    HostSigns, Inside, Load, LoginTried, Neighbour, NetworkSigns, NodeSigns, Space, Started,
};
use maquette_core::units::MacAddr;
use maquette_core::values::console_text;

use crate::host::process::brief;
use crate::host::ssh::{ConnectError, classify};
use crate::host::{Command, Host, HostError, check, login_line};
use crate::probe::{self, Sections};
use crate::ready;

/// What [`look`] runs on the hypervisor.
pub const SCRIPT: &str = include_str!("../assets/host/doctor.sh");

/// What [`ask`] runs in a guest.
const INSIDE: &str = include_str!("../assets/guest-doctor.sh");

/// A network to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name in libvirt.
    pub name: String,
    /// Name of its bridge.
    pub bridge: String,
}

/// A node to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Name of its domain.
    pub name: String,
    /// Its address, if it is known.
    pub address: Option<IpAddr>,
    /// File of its first disk, where it shall be looked whether it can be booted.
    pub disk: Option<String>,
    /// Directories of its disks that are in another pool.
    pub pools: Vec<String>,
    /// MAC addresses of its interfaces.
    pub macs: Vec<MacAddr>,
}

/// Looks at a hypervisor's own side. What is found of nodes is added to `signs`.
///
/// # Errors
/// If the hypervisor cannot be asked. What it cannot tell is no error, but not known.
pub fn look(
    host: &dyn Host,
    pool: &str,
    networks: &[Network],
    nodes: &[Node],
    signs: &mut BTreeMap<String, NodeSigns>,
) -> Result<HostSigns, HostError> {
    let dash = || "-".to_string();
    let words = |n: &Network| ["network".into(), n.name.clone(), n.bridge.clone(), dash(), dash()];
    let networks = networks.iter().flat_map(words);
    let words = |n: &Node| {
        let macs: Vec<String> = n.macs.iter().map(ToString::to_string).collect();
        let address = n.address.map_or_else(dash, |a| a.to_string());
        let disk = n.disk.clone().unwrap_or_else(dash);
        ["node".into(), n.name.clone(), address, disk, macs.join(",")]
    };
    let pools: BTreeSet<&String> = nodes.iter().flat_map(|node| &node.pools).collect();
    let pools =
        pools.into_iter().flat_map(|path| ["pool".into(), path.clone(), dash(), dash(), dash()]);
    let objects = networks.chain(pools).chain(nodes.iter().flat_map(words));
    let args = std::iter::once(pool.to_string()).chain(objects);
    let said = check(host, &Command::script(SCRIPT, args))?;
    let seen = Sections::parse(&said);
    for node in nodes {
        let name = format!("node {}", node.name);
        read_node(seen.lines(&name), signs.entry(node.name.clone()).or_default());
    }
    Ok(read_host(&seen))
}

/// A line that somebody else wrote, as people may see it.
fn clean(line: &str) -> String {
    console_text(line.as_bytes()).replace('\n', " ").trim().to_string()
}

fn read_host(seen: &Sections) -> HostSigns {
    let memory = |key: &str| {
        let line = seen.lines("memory").find_map(|line| line.strip_prefix(key))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
    };
    let yes = |name: &str| match seen.text(name) {
        "" => None,
        text => Some(text != "0"),
    };
    let network = |(name, text): (&str, &str)| {
        Some((name.strip_prefix("network ")?.to_string(), read_network(text)))
    };
    let disk_pool =
        |(name, text): (&str, &str)| Some((name.strip_prefix("pool ")?.to_string(), space(text)?));
    HostSigns {
        pool: space(seen.text("pool")),
        disk_pools: seen.all().filter_map(disk_pool).collect(),
        logs: space(seen.text("logs")),
        memory_mib: memory("MemTotal:").zip(memory("MemAvailable:")),
        load: load(seen.text("load")),
        oom_kills: seen.text("kills").parse().ok(),
        kernel_log: seen.lines("kernel").filter_map(|l| l.strip_prefix('|')).map(clean).collect(),
        forwards: yes("forwards"),
        bridge_filtered: yes("bridges").unwrap_or(false),
        uplink: Some(seen.text("uplink")).filter(|name| !name.is_empty()).map(String::from),
        firewall: Ruleset::read(seen.text("iptables"), seen.text("nft")),
        networks: seen.all().filter_map(network).collect(),
    }
}

/// The number of CPUs and the average over one minute: `2 28.10`.
fn load(line: &str) -> Option<Load> {
    let (cpus, average) = line.split_once(' ')?;
    let average: f64 = average.trim().parse().ok()?;
    Some(Load { average: average.round() as u64, cpus: cpus.parse().ok().filter(|n| *n > 0)? })
}

/// A line of `df -P -k`: device, size, used, available, percent, mount point.
fn space(line: &str) -> Option<Space> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, size, _, free, _, path, ..] = words[..] else { return None };
    let bytes = |kib: &str| kib.parse::<u64>().ok()?.checked_mul(1024);
    Some(Space { path: path.into(), free: bytes(free)?, size: bytes(size)? })
}

fn read_network(text: &str) -> NetworkSigns {
    let lines = || text.lines();
    let dnsmasq = lines().find_map(|line| line.strip_prefix("dnsmasq ")).map(|word| word == "runs");
    let leases = lines().find_map(|line| line.strip_prefix("leases ")).unwrap_or_default();
    let leases =
        probe::leases(leases).into_iter().map(|lease| (lease.mac, lease.address)).collect();
    NetworkSigns { dnsmasq, leases }
}

/// When a domain was started last, and when the hypervisor was: two times in seconds since 1970.
fn started(line: &str) -> Option<Started> {
    let (domain, hypervisor) = line.split_once(' ')?;
    let (epoch_s, boot_s): (u64, u64) = (domain.parse().ok()?, hypervisor.parse().ok()?);
    Some(Started { uptime_s: epoch_s.checked_sub(boot_s)?, epoch_s })
}

fn read_node<'a>(lines: impl Iterator<Item = &'a str>, signs: &mut NodeSigns) {
    for line in lines {
        let Some((kind, rest)) = line.split_once(' ') else { continue };
        match kind {
            "uptime" => {
                let known = signs.evidence.uptime_s;
                signs.evidence.uptime_s = known.or_else(|| rest.parse().ok());
            }
            "started" => signs.started = started(rest),
            "neighbour" => signs.neighbour = Some(neighbour(rest)),
            "sector" => signs.boot_sector = Some(rest == "55aa"),
            "dhcp" => signs.dhcp_log.extend(rest.strip_prefix('|').map(clean)),
            "log" => signs.emulator_log.extend(rest.strip_prefix('|').map(clean)),
            _ => {}
        }
    }
    // What it begins with is QEMU's command line.
    let wordy = |line: &String| line.len() > 300 || line.ends_with('\\') || line.is_empty();
    signs.emulator_log.retain(|line| !wordy(line));
    let from = signs.emulator_log.len().saturating_sub(3);
    signs.emulator_log.drain(..from);
}

/// `10.1.0.2 dev lan lladdr 52:54:00:00:00:01 REACHABLE`
fn neighbour(line: &str) -> Neighbour {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mac = words.windows(2).find(|two| two[0] == "lladdr").and_then(|two| two[1].parse().ok());
    match mac {
        Some(mac) if !words.contains(&"FAILED") => Neighbour::Has(mac),
        _ => Neighbour::Nobody,
    }
}

/// How long a guest may take to answer, in seconds.
const LIMIT_S: u64 = 60;

/// Logs in to a guest and asks what it says of itself. `options` of `ssh` lead there, `name` is the node's in its
/// configuration.
pub fn ask(options: &[std::ffi::OsString], name: &str) -> LoginTried {
    let mut ssh = Process::new("ssh");
    ssh.args(options).args(["-T", "-o", "BatchMode=yes", "-o", "ControlPath=none"]);
    ssh.args(["--", name, &login_line(INSIDE)]).stdin(Stdio::null());
    let output = match brief(&mut ssh, Duration::from_secs(LIMIT_S)) {
        Ok(Some(output)) => output,
        Ok(None) => return LoginTried::Failed(format!("no answer within {LIMIT_S} s")),
        Err(error) => return LoginTried::Failed(format!("it cannot be run: {error}")),
    };
    let (out, err) = (console_text(&output.stdout), console_text(&output.stderr));
    match out.split_once("@@doctor@@\n") {
        Some((_, said)) => LoginTried::In(inside(said)),
        None => login_failed(&err),
    }
}

/// Why a login failed, by what `ssh` said.
pub fn login_failed(stderr: &str) -> LoginTried {
    let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty());
    let last = || last.unwrap_or("its login shell runs no commands").to_string();
    match classify("", "", stderr) {
        ConnectError::ChangedHostKey { said, .. } if !said.is_empty() => {
            LoginTried::OtherHostKey(said)
        }
        ConnectError::ChangedHostKey { .. } | ConnectError::UnknownHostKey { .. } => {
            LoginTried::OtherHostKey(last())
        }
        ConnectError::Refused { said, .. } => LoginTried::Refused(said),
        _ => LoginTried::Failed(last()),
    }
}

/// A file system that is used so far has no room, in percent.
const FULL: u64 = 99;

fn inside(said: &str) -> Inside {
    let (result, rest) = said.split_once("@@status@@").unwrap_or((said, ""));
    let (status, disks) = rest.split_once("@@disks@@").unwrap_or((rest, ""));
    let result = result.trim();
    let errors = (!result.is_empty()).then(|| ready::errors(result));
    let status = status.lines().map(clean).filter(|line| !line.is_empty() && line != "detail:");
    let disk = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, _, used, at, ..] = words[..] else { return None };
        Some((at.to_string(), used.strip_suffix('%')?.parse().ok()?))
    };
    let full = disks.lines().filter_map(disk).filter(|(_, used)| *used >= FULL);
    Inside { errors, status: status.take(20).collect(), full: full.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Local;

    #[test]
    fn what_the_hypervisor_says_is_read() {
        let said = "motd\n@@ pool\ntmpfs 65536 65000 536 100% /pool\n\n@@ memory\nMemTotal: 2048 kB\n\
            MemAvailable: 1024 kB\n\n@@ load\n2 27.60\n\n@@ kills\n3\n\n@@ kernel\n|[1.0] oom-kill:\u{1b}[31m x\nKilled process\n\n\
            @@ forwards\n0\n\n@@ network lan\ndnsmasq ended\nleases [ { \"ip-address\": \"10.1.0.2\", \
            \"mac-address\": \"52:54:00:00:00:01\" } ]\n";
        let seen = read_host(&Sections::parse(said));
        let pool = Space { path: "/pool".into(), free: 536 << 10, size: 64 << 20 };
        assert_eq!((seen.pool, seen.logs, seen.memory_mib), (Some(pool), None, Some((2, 1))));
        assert_eq!(seen.load, Some(Load { average: 28, cpus: 2 }));
        assert_eq!(
            (seen.oom_kills, seen.forwards, seen.bridge_filtered),
            (Some(3), Some(false), false)
        );
        assert_eq!(seen.kernel_log, ["[1.0] oom-kill: x"]);
        let lan = &seen.networks["lan"];
        assert_eq!(lan.dnsmasq, Some(false));
        assert_eq!(lan.leases[&"52:54:00:00:00:01".parse().unwrap()].to_string(), "10.1.0.2");
    }

    /// QEMU reads there what a guest writes.
    #[test]
    fn a_disk_is_looked_at_without_rights_and_with_limits() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let looks = "#!/bin/sh\ncat /proc/self/status /proc/self/limits >\"${0%/*}/seen\"\n\
             for word; do case $word in of=*) printf '%0512d' 0 >\"${word#of=}\" ;; esac; done\n";
        std::fs::write(at("qemu-img"), looks).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(at("qemu-img"), executable).unwrap();
        let mut sh = std::process::Command::new("sh");
        sh.args(["-c", SCRIPT, "sh", "/", "node", "lab-web-0", "-", "/nowhere/disk", "-"]);
        sh.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", directory.path().display()));
        let output = sh.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.lines().any(|line| line == "sector 3030"), "{output:?}");
        let seen = std::fs::read_to_string(at("seen")).unwrap();
        let value = |name: &str| {
            let line = seen.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line[name.len()..].split_whitespace().next().unwrap_or_default().to_string()
        };
        assert_eq!(value("Max file size"), "65536");
        assert_eq!(value("Max open files"), "64");
        let rights = u64::from_str_radix(&value("CapEff:"), 16).unwrap();
        const DAC_READ_SEARCH: u64 = 1 << 2;
        assert_eq!(rights & !DAC_READ_SEARCH, 0, "{rights:x}");
    }

    #[test]
    fn what_is_said_of_a_node_is_read() {
        let lines = [
            "neighbour 10.1.0.2 dev lan lladdr 52:54:00:00:00:09 STALE",
            "sector 0000",
            "uptime 7",
            "started 1700000500 1700000000",
            "log |-device virtio \\",
            "log |2026-01-01: shutting down, reason=crashed",
            "dhcp |DHCPDISCOVER(lan) 52:54:00:00:00:01",
            "sector",
            "log unquoted",
        ];
        let mut signs = NodeSigns::default();
        read_node(lines.into_iter(), &mut signs);
        let other = Neighbour::Has("52:54:00:00:00:09".parse().unwrap());
        assert_eq!((signs.neighbour, signs.boot_sector), (Some(other), Some(false)));
        assert_eq!(signs.emulator_log, ["2026-01-01: shutting down, reason=crashed"]);
        assert_eq!((signs.dhcp_log.len(), signs.evidence.uptime_s), (1, Some(7)));
        assert_eq!(neighbour("10.1.0.2 dev lan FAILED"), Neighbour::Nobody);
        assert_eq!(signs.started, Some(Started { uptime_s: 500, epoch_s: 1_700_000_500 }));
        // Started before the hypervisor was: what its kernel says is younger.
        assert_eq!(started("1699999999 1700000000"), None);
    }

    /// The script on this machine, which need not be a hypervisor.
    #[test]
    fn a_machine_is_looked_at_whatever_it_lacks() {
        let directory = tempfile::tempdir().unwrap();
        let pool = directory.path().to_str().unwrap();
        let network = Network { name: "nowhere".into(), bridge: "nowhere0".parse().unwrap() };
        let disk = directory.path().join("a.qcow2").to_str().map(String::from);
        let node = Node {
            name: "nobody".into(),
            address: None,
            disk,
            pools: vec![pool.into()],
            macs: Vec::new(),
        };
        let mut signs = BTreeMap::new();
        let seen = look(&Local, pool, &[network], &[node], &mut signs).unwrap();
        assert!(seen.pool.as_ref().unwrap().size > 0);
        assert_eq!(seen.disk_pools[pool].size, seen.pool.unwrap().size);
        assert!(seen.memory_mib.unwrap().0 > 0);
        assert_eq!(seen.networks["nowhere"], NetworkSigns::default());
        assert_eq!(signs["nobody"], NodeSigns::default());
    }

    #[test]
    fn how_a_login_failed_is_told_apart() {
        let changed = "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nOffending ED25519 key in /k:3\nHost key verification failed.\n";
        assert!(
            matches!(login_failed(changed), LoginTried::OtherHostKey(said) if said.starts_with("Offending"))
        );
        let unknown = "No ED25519 host key is known for n and you have requested strict checking.\nHost key verification failed.\n";
        assert!(matches!(login_failed(unknown), LoginTried::OtherHostKey(_)));
        let denied = "u@n: Permission denied (publickey).\n";
        assert_eq!(
            login_failed(denied),
            LoginTried::Refused("u@n: Permission denied (publickey).".into())
        );
        let ended = "kex_exchange_identification: Connection closed by remote host\n";
        assert!(matches!(login_failed(ended), LoginTried::Failed(_)));
    }

    #[test]
    fn what_a_guest_says_of_itself_is_read() {
        let said = "{\"v1\": {\"errors\": [\"('timezone', Invalid timezone Foo/Bar)\"]}}\n@@status@@\nstatus: error\n\
            detail:\nInvalid timezone\u{1b}[2J Foo/Bar\n\n@@disks@@\n/dev/vda1 100 99 1 99% /\n/dev/vda2 100 1 99 1% /boot\n";
        let inside = inside(said);
        assert_eq!(inside.errors.unwrap(), ["('timezone', Invalid timezone Foo/Bar)"]);
        assert_eq!(inside.status, ["status: error", "Invalid timezone Foo/Bar"]);
        assert_eq!(inside.full, [("/".to_string(), 99)]);
        assert_eq!(super::inside("\n@@status@@\n\n@@disks@@\n").errors, None);
    }
}
