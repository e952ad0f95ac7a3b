//! Ansible's filters of MAC addresses.

use std::net::{IpAddr, Ipv6Addr};

use minijinja::{Environment, Error, Value};

use super::{Parsed, answer, failed, text, there};

/// Adds them; `name` is a filter's name with its collection.
pub(super) fn add(env: &mut Environment<'_>, name: &dyn Fn(&str) -> String) {
    env.add_filter(name("hwaddr"), hwaddr);
    env.add_filter(name("macaddr"), hwaddr);
    env.add_filter(name("slaac"), slaac);
}

/// A MAC address as a number, in any of the forms that netaddr takes.
fn read(value: &Value) -> Option<u64> {
    let text = text(value);
    let grouped = |sign: char| {
        let groups: Vec<&str> = text.split(sign).collect();
        let digits = match groups.len() {
            6 => 2,
            3 => 4,
            2 if groups.iter().all(|group| group.len() > 4) => 6,
            _ => return None,
        };
        let mut number = 0;
        for group in groups {
            if group.len() > digits {
                return None;
            }
            number = (number << (4 * digits)) | hexadecimal(group)?;
        }
        Some(number)
    };
    let bare = || hexadecimal(&text).filter(|_| matches!(text.len(), 11 | 12));
    let counted = || text.parse().ok().filter(|number| *number < 1 << 48);
    let three = text.matches('.').count() == 2;
    [':', '-']
        .into_iter()
        .find_map(grouped)
        .or_else(|| grouped('.').filter(|_| three))
        .or_else(bare)
        .or_else(counted)
}

fn hexadecimal(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| is_plain)
}

/// The same MAC address in another form; without one, itself if it is one.
fn hwaddr(value: &Value, form: Option<&str>) -> Result<Value, Error> {
    let value = there(value)?;
    let form = form.unwrap_or_default();
    let Some(number) = read(value) else {
        return match form {
            "" | "bool" => Ok(Value::from(false)),
            _ => Err(failed(format!("`{}` is not a MAC address", text(value)))),
        };
    };
    let octets: Vec<u64> = (0..6).rev().map(|at| (number >> (8 * at)) & 0xff).collect();
    let joined = |sign: &str, octet: fn(&u64) -> String| {
        octets.iter().map(octet).collect::<Vec<_>>().join(sign)
    };
    Ok(match form {
        "" => value.clone(),
        "bool" => Value::from(true),
        "int" => Value::from(number),
        "bare" => Value::from(format!("{number:012X}")),
        "linux" => Value::from(joined(":", |octet| format!("{octet:02x}"))),
        "unix" => Value::from(joined(":", |octet| format!("{octet:x}"))),
        "win" | "eui48" => Value::from(joined("-", |octet| format!("{octet:02X}"))),
        "cisco" => {
            let part = |at: u32| (number >> at) & 0xffff;
            Value::from(format!("{:04x}.{:04x}.{:04x}", part(32), part(16), part(0)))
        }
        "pgsql" | "postgresql" | "psql" => {
            Value::from(format!("{:06x}:{:06x}", number >> 24, number & 0xff_ffff))
        }
        other => return Err(failed(format!("`hwaddr` does not know the form `{other}`"))),
    })
}

/// The address that an interface with a MAC address gives itself in an IPv6 network (RFC 4291, appendix A).
fn slaac(value: &Value, mac: Option<Value>) -> Result<Value, Error> {
    let network = Parsed::of(there(value)?).map(|parsed| parsed.net.network());
    let (Some(IpAddr::V6(network)), Some(mac)) = (network, mac.as_ref().and_then(read)) else {
        return Ok(Value::from(false));
    };
    let identifier = ((mac >> 24) << 40) | (0xfffe << 24) | (mac & 0xff_ffff);
    let address = u128::from(network).checked_add(u128::from(identifier));
    Ok(answer(address.map(|address| Ipv6Addr::from(address ^ (0x0200 << 48)).to_string())))
}
