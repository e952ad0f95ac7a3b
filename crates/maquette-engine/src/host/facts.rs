//! What kind of machine the hypervisor is.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::family::OsRelease;
use super::{Command, Host, HostError, check, read_text};

/// What kind of machine the hypervisor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Operating system.
    pub os: OsRelease,
    /// CPUs that are online.
    pub cpus: usize,
    /// Whether ordinary guests can use hardware virtualisation, and if not, why.
    pub kvm: Result<(), String>,
    /// Whether `/dev/kvm` is there and only root may open it.
    pub kvm_closed: bool,
    /// Subnets the host has routes to, with their interfaces.
    pub routes: Vec<(IpNet, String)>,
    /// Network interfaces of the host.
    pub interfaces: Vec<String>,
}

/// Finds out.
pub fn gather(host: &dyn Host) -> Result<Facts, HostError> {
    let cpuinfo = read_text(host, "/proc/cpuinfo")?;
    Ok(Facts {
        os: OsRelease::parse(&read_text(host, "/etc/os-release")?),
        cpus: cpuinfo.lines().filter(|l| l.starts_with("processor")).count().max(1),
        kvm: kvm(host.exists(KVM), &cpuinfo),
        kvm_closed: host.exists(KVM) && kvm_closed(host)?,
        routes: routes(&read_text(host, "/proc/net/route")?),
        interfaces: interfaces(&read_text(host, "/proc/net/dev")?),
    })
}

const KVM: &str = "/dev/kvm";

/// QEMU runs as a member of group `kvm`.
fn kvm_closed(host: &dyn Host) -> Result<bool, HostError> {
    let text = check(host, &Command::new("stat").args(["-c", "%a %G", KVM]))?;
    Ok(closed(&text))
}

/// From `MODE GROUP`, the mode in octal.
fn closed(stat: &str) -> bool {
    let (mode, group) = stat.trim().split_once(' ').unwrap_or_default();
    let mode = u32::from_str_radix(mode, 8).unwrap_or(0);
    let all = mode & 0o006 == 0o006;
    let by_group = mode & 0o060 == 0o060 && group == "kvm";
    !all && !by_group
}

/// Gives group `kvm` access.
pub fn open_kvm(host: &dyn Host) -> Result<(), HostError> {
    check(host, &Command::script("chgrp kvm \"$1\"; chmod 0660 \"$1\"", [KVM])).map(|_| ())
}

/// A `/dev/kvm` alone says little: some machines offer one that only special guests can use. A CPU
/// that shows neither `vmx` nor `svm` runs no ordinary guest.
fn kvm(device: bool, cpuinfo: &str) -> Result<(), String> {
    if !device {
        return Err("there is no /dev/kvm".into());
    }
    let flags = cpuinfo.lines().find(|l| l.starts_with("flags")).unwrap_or_default();
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

fn interfaces(table: &str) -> Vec<String> {
    table
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim().to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kvm_needs_a_device_and_a_cpu_that_can() {
        assert!(kvm(true, "flags\t\t: fpu vmx sse").is_ok());
        assert!(kvm(true, "flags\t\t: fpu svm").is_ok());
        assert!(kvm(false, "flags\t\t: fpu vmx").unwrap_err().contains("no /dev/kvm"));
        assert!(kvm(true, "flags\t\t: fpu hypervisor").unwrap_err().contains("neither"));
    }

    #[test]
    fn a_device_is_open_to_its_group_or_to_all() {
        assert!(closed("600 root\n"));
        assert!(closed("660 root\n"));
        assert!(!closed("660 kvm\n"));
        assert!(!closed("666 root\n"));
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
}
