//! Leases of libvirt's DHCP servers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use maquette_core::units::MacAddr;
use serde_json::Value;

use super::sections::Sections;

/// Leases that are not over at a time in seconds.
pub(super) fn held(seen: &Sections, now_s: u64) -> BTreeMap<IpAddr, MacAddr> {
    let all = seen.lines("dhcp").flat_map(leases);
    let held = all.filter(|lease| lease.is_held(now_s));
    held.map(|lease| (lease.address, lease.mac)).collect()
}

/// A lease of a DHCP server of libvirt's.
pub(crate) struct Lease {
    /// Who has it.
    pub mac: MacAddr,
    /// Of which address.
    pub address: IpAddr,
    /// When it is over, in seconds since 1970, as far as that is known.
    pub end_s: Option<u64>,
}

impl Lease {
    /// Whether it is not over at a time in seconds since 1970. dnsmasq says 0 of one that never is.
    pub fn is_held(&self, now_s: u64) -> bool {
        self.end_s.is_some_and(|end_s| end_s == 0 || end_s > now_s)
    }
}

/// Reads the file that libvirt keeps of a DHCP server's leases, also those that are over.
pub(crate) fn leases(json: &str) -> Vec<Lease> {
    let all: Vec<Value> = serde_json::from_str(json).unwrap_or_default();
    let lease = |lease: &Value| {
        let mac = lease["mac-address"].as_str()?.parse().ok()?;
        let address = lease["ip-address"].as_str()?.parse().ok()?;
        Some(Lease { mac, address, end_s: lease["expiry-time"].as_u64() })
    };
    all.iter().filter_map(lease).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn leases_that_are_over_are_nobodys() {
        let lease = |address: &str, end: u64| {
            format!(
                "{{ \"ip-address\": \"{address}\", \"mac-address\": \"52:54:00:00:00:01\", \
                 \"hostname\": \"web-0\", \"expiry-time\": {end} }}"
            )
        };
        let (one, two) = (lease("10.1.0.2", 101), lease("10.1.0.3", 100));
        let text = format!(
            "@@ time\n100\n@@ dhcp\n[ {one}, {two} ]\nbroken\n[ {}, {} ]\n",
            lease("fd00::2", 200),
            // For ever.
            lease("10.1.0.9", 0)
        );
        let leases = crate::probe::read(&text).dhcp_leases;
        let addresses: Vec<String> = leases.keys().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.1.0.2", "10.1.0.9", "fd00::2"]);
    }
}
