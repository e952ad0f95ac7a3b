//! Names and addresses of hosts.

use std::net::{IpAddr, Ipv6Addr};

use super::{Form, ValueError, checked, shortened};

/// Longest domain name (RFC 1035, section 2.3.4), in characters.
const LONGEST_NAME: usize = 253;

fn dns_name(text: &str) -> Result<(), ValueError> {
    let what = "a valid domain name";
    Form {
        what,
        longest: LONGEST_NAME,
        first: |c| c.is_ascii_alphanumeric() || c == '_',
        rest: |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'),
        rule: "letters, digits, `-`, `_` and `.` only, and it begins with a letter or digit",
    }
    .check(text)?;
    let labels = text.strip_suffix('.').unwrap_or(text).split('.');
    let label = |l: &str| (1..=63).contains(&l.len()) && !l.starts_with('-') && !l.ends_with('-');
    if labels.clone().all(label) {
        return Ok(());
    }
    let shown = shortened(text);
    Err(ValueError::new(format!(
        "`{shown}` is not {what}: each part has 1 to 63 characters, and no `-` at either end"
    )))
}

checked!(
    /// A domain or host name as DNS has them. dnsmasq reads them from lines of its options.
    DnsName,
    dns_name
);

checked!(
    /// A service or protocol in an SRV record, without its `_`.
    ServiceLabel,
    |text| Form {
        what: "a valid service name",
        longest: 62,
        first: |c| c.is_ascii_alphanumeric(),
        rest: |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'),
        rule: "letters, digits, `-` and `_` only",
    }
    .check(text)
);

checked!(
    /// Where a host is reached: a name, an alias of an ssh config, or an address, of IPv6 perhaps with
    /// its zone. It is an argument of `ssh`, and in a ProxyCommand, which a shell reads.
    HostAddress,
    |text| {
        if text.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        if let Some((address, zone)) = text.split_once('%')
            && address.parse::<Ipv6Addr>().is_ok()
        {
            return Form {
                what: "a valid zone of an IPv6 address",
                longest: crate::names::LONGEST_INTERFACE,
                first: |c| c.is_ascii_alphanumeric(),
                rest: |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'),
                rule: "zones are names of network interfaces, such as `eth0`",
            }
            .check(zone);
        }
        let alias = Form {
            what: "a valid host name or address",
            longest: LONGEST_NAME,
            first: |c| c.is_ascii_alphanumeric() || c == '_',
            rest: |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'),
            rule: "names have letters, digits, `-`, `_` and `.` only",
        };
        alias.check(text)
    }
);
