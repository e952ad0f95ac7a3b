//! Values in an archive that are taken: what each kind may look like.

use std::net::{Ipv4Addr, Ipv6Addr};

use maquette_core::values::Line;

/// Stands for the workspace's path in an archive.
pub const PLACEHOLDER: &str = "%%workspace_dir%%";

fn all(text: &str, longest: usize, others: &str) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && !text.starts_with('-')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// A word without any meaning to a shell, `ssh` or Ansible.
pub fn is_word(text: &str) -> bool {
    all(text, 64, "_.-")
}

/// A host's name or address, in brackets or with a zone perhaps.
pub fn is_host(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    all(inner, 255, "_.:-")
}

/// Names that distributions have in /etc/hosts for the machine itself.
const LOCAL: [&str; 8] = [
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost4.localdomain4",
    "localhost6",
    "localhost6.localdomain6",
    "ip6-localhost",
    "ip6-loopback",
];

/// Whether a host's name or address is that of the machine that asks: its loopback, or no address at all, however it is spelt.
pub fn is_here(text: &str) -> bool {
    let text = text.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    // `127.0.0.0/8` and `0.0.0.0/8` (RFC 1122, section 3.2.1.3).
    let is_own = |address: Ipv4Addr| [0, 127].contains(&address.octets()[0]);
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return address.is_loopback()
            || address.is_unspecified()
            || address.to_ipv4().is_some_and(is_own);
    }
    let is_named = LOCAL.contains(&text.as_str()) || text.ends_with(".localhost");
    is_named || ipv4(&text).is_some_and(is_own)
}

/// An IPv4 address as `inet_aton` reads it, which is asked for names as well: `127.1`, `0x7f000001`.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| match part.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if part.len() > 1 && part.starts_with('0') => u32::from_str_radix(part, 8).ok(),
        None => part.parse().ok(),
    };
    let parts = text.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3
        || first.iter().any(|byte| *byte > 255)
        || *last > u32::MAX >> (8 * first.len())
    {
        return None;
    }
    let high: u32 = first.iter().zip([24, 16, 8]).map(|(byte, bits)| byte << bits).sum();
    Some(Ipv4Addr::from(high | last))
}

/// A login name.
pub fn is_user(text: &str) -> bool {
    all(text, 64, "_.-")
}

/// A TCP port.
pub fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0) && !text.starts_with('+')
}

/// A path, of the workspace or of this machine, that does not go up.
pub fn is_path(text: &str) -> bool {
    let rest = text.strip_prefix(PLACEHOLDER).unwrap_or(text);
    all(rest, 1024, "_./~@+-") && !rest.split('/').any(|part| part == "..")
}

/// Whether a value is plain text: no line or other control character, no mark of a template.
pub fn is_text(text: &str) -> bool {
    text.parse::<Line>().is_ok()
}
