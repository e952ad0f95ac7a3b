//! Filters of Ansible's that topology files use, as Ansible has them where Jinja has none, or others.
//! <https://docs.ansible.com/ansible/latest/collections/ansible/utils/docsite/filters_ipaddr.html>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value};

use crate::syntax::parse_bool;

/// Collections that a filter's name may begin with.
const COLLECTIONS: [&str; 4] = ["", "ansible.builtin.", "ansible.utils.", "ansible.netcommon."];

/// Adds them to what expressions can use.
pub fn add(env: &mut Environment<'_>) {
    for collection in COLLECTIONS {
        let name = |filter: &str| format!("{collection}{filter}");
        env.add_filter(name("int"), int);
        env.add_filter(name("bool"), bool);
        env.add_filter(name("ternary"), ternary);
        env.add_filter(name("mandatory"), mandatory);
        env.add_filter(name("ipaddr"), ipaddr);
        env.add_filter(name("ipv4"), ipv4);
        env.add_filter(name("ipv6"), ipv6);
        env.add_filter(name("ipwrap"), ipwrap);
        env.add_filter(name("ipmath"), ipmath);
        env.add_filter(name("ipsubnet"), ipsubnet);
        env.add_filter(name("nthhost"), nthhost);
    }
}

fn failed(what: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// A value that is there: names that nothing defines are mistakes.
fn there(value: &Value) -> Result<&Value, Error> {
    match value.is_undefined() {
        true => Err(Error::from(ErrorKind::UndefinedError)),
        false => Ok(value),
    }
}

/// A value as text without blanks around it.
fn text(value: &Value) -> String {
    value.to_string().trim().to_string()
}

/// What is not a number is the default, or 0.
fn int(value: &Value, default: Option<i64>) -> Result<Value, Error> {
    let value = there(value)?;
    if value.kind() == ValueKind::Bool {
        return Ok(Value::from(i64::from(value.is_true())));
    }
    let text = text(value);
    let whole = text.parse::<i64>().ok();
    let cut = || text.parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| n.trunc() as i64);
    Ok(Value::from(whole.or_else(cut).or(default).unwrap_or(0)))
}

/// Of text only YAML's words for it are true, and `1`.
fn bool(value: &Value) -> Result<Value, Error> {
    let value = there(value)?;
    let text = text(value).to_lowercase();
    Ok(Value::from(text == "1" || parse_bool(&text) == Some(true)))
}

fn ternary(value: &Value, yes: Value, no: Value) -> Result<Value, Error> {
    Ok(if there(value)?.is_true() { yes } else { no })
}

fn mandatory(value: &Value) -> Result<Value, Error> {
    there(value).cloned()
}

/// An address, and how long the part is that its network has in common; whether that was said.
#[derive(Debug, Clone, Copy)]
struct Parsed {
    net: IpNet,
    has_length: bool,
}

impl Parsed {
    fn of(value: &Value) -> Option<Self> {
        let text = text(value);
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.as_str(), None),
        };
        let address: IpAddr = address.parse().ok()?;
        let net = match length.map(|l| (l.parse::<u8>(), l)) {
            None => IpNet::from(address),
            Some((Ok(length), _)) => IpNet::new(address, length).ok()?,
            Some((Err(_), mask)) => IpNet::with_netmask(address, mask.parse().ok()?).ok()?,
        };
        Some(Self { net, has_length: length.is_some() })
    }

    fn bits(self) -> u32 {
        u32::from(self.net.max_prefix_len() - self.net.prefix_len())
    }

    fn is_network(self) -> bool {
        self.bits() > 0 && self.net.addr() == self.net.network()
    }

    /// How many addresses the network has; all that there are is more than a number holds.
    fn size(self) -> Option<u128> {
        1u128.checked_shl(self.bits())
    }

    /// An address by its number in the network, from behind if that is negative.
    fn nth(self, number: i64) -> Option<IpAddr> {
        let size = self.size();
        let offset = match u128::try_from(number) {
            Ok(offset) => offset,
            Err(_) => size?.checked_sub(u128::from(number.unsigned_abs()))?,
        };
        if size.is_some_and(|size| offset >= size) {
            return None;
        }
        plus(self.net.network(), i128::try_from(offset).ok()?)
    }

    fn with_length(self, address: IpAddr) -> String {
        format!("{address}/{}", self.net.prefix_len())
    }

    /// The first and the last address that a host may have.
    fn usable(self) -> Option<(IpAddr, IpAddr)> {
        let (first, last) = (self.net.network(), self.net.broadcast());
        match self.bits() {
            0 => None,
            1 => Some((first, last)),
            _ if first.is_ipv6() => Some((plus(first, 1)?, last)),
            _ => Some((plus(first, 1)?, plus(last, -1)?)),
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn plus(address: IpAddr, offset: i128) -> Option<IpAddr> {
    let sum = number(address).checked_add_signed(offset)?;
    match address {
        IpAddr::V4(_) => Some(Ipv4Addr::from(u32::try_from(sum).ok()?).into()),
        IpAddr::V6(_) => Some(Ipv6Addr::from(sum).into()),
    }
}

/// What a question about an address has for an answer; `false` where it has none.
fn ipaddr(value: &Value, query: Option<Value>) -> Result<Value, Error> {
    let value = there(value)?;
    let Some(parsed) = Parsed::of(value) else { return Ok(Value::from(false)) };
    let Some(query) = query.map(|q| text(&q)).filter(|q| !q.is_empty()) else {
        return Ok(Value::from(text(value)));
    };
    if let Ok(number) = query.parse::<i64>() {
        return Ok(answer(parsed.nth(number).map(|address| parsed.with_length(address))));
    }
    if let Ok(outer) = query.parse::<IpNet>() {
        return Ok(answer(outer.contains(&parsed.net).then(|| text(value))));
    }
    asked(parsed, &query)
        .ok_or_else(|| failed(format!("`ipaddr` does not know the question `{query}`")))
}

fn answer(found: Option<String>) -> Value {
    found.map_or(Value::from(false), Value::from)
}

/// The answer to one of the questions that have a name; none if nobody knows it.
fn asked(parsed: Parsed, query: &str) -> Option<Value> {
    let Parsed { net, .. } = parsed;
    let own = || match parsed.has_length {
        true => net.to_string(),
        false => net.addr().to_string(),
    };
    let is_host = !parsed.is_network();
    let private = || match net.addr() {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => address.segments()[0] & 0xfe00 == 0xfc00,
    };
    let usable = || parsed.usable();
    Some(match query {
        "address" => answer(is_host.then(|| net.addr().to_string())),
        "address/prefix" | "ip/prefix" | "host/prefix" | "host" => {
            answer(is_host.then(|| net.to_string()))
        }
        "cidr" => Value::from(net.to_string()),
        "network" => Value::from(net.network().to_string()),
        "network/prefix" | "subnet" => Value::from(net.trunc().to_string()),
        "net" => answer(parsed.is_network().then(|| net.to_string())),
        "netmask" => Value::from(net.netmask().to_string()),
        "hostmask" | "wildcard" => Value::from(net.hostmask().to_string()),
        "prefix" => Value::from(net.prefix_len()),
        "broadcast" => Value::from(net.broadcast().to_string()),
        "size" => Value::from(parsed.size().unwrap_or(u128::MAX)),
        "first_usable" => answer(usable().map(|(first, _)| first.to_string())),
        "last_usable" => answer(usable().map(|(_, last)| last.to_string())),
        "range_usable" => answer(usable().map(|(first, last)| format!("{first}-{last}"))),
        "version" => Value::from(if net.addr().is_ipv4() { 4 } else { 6 }),
        "type" => Value::from(if is_host { "address" } else { "network" }),
        "int" => Value::from(number(net.addr())),
        "ipv4" => answer(net.addr().is_ipv4().then(own)),
        "ipv6" => answer(net.addr().is_ipv6().then(own)),
        "private" => answer(private().then(own)),
        "public" => answer((!private() && !net.addr().is_loopback()).then(own)),
        "loopback" => answer(net.addr().is_loopback().then(own)),
        "multicast" => answer(net.addr().is_multicast().then(own)),
        _ => return None,
    })
}

fn of_version(value: &Value, query: Option<Value>, is_v4: bool) -> Result<Value, Error> {
    match Parsed::of(there(value)?) {
        Some(parsed) if parsed.net.addr().is_ipv4() == is_v4 => ipaddr(value, query),
        _ => Ok(Value::from(false)),
    }
}

fn ipv4(value: &Value, query: Option<Value>) -> Result<Value, Error> {
    of_version(value, query, true)
}

fn ipv6(value: &Value, query: Option<Value>) -> Result<Value, Error> {
    of_version(value, query, false)
}

/// IPv6 addresses in brackets, and all else as it is.
fn ipwrap(value: &Value) -> Result<Value, Error> {
    let text = text(there(value)?);
    let (address, rest) = match text.split_once('/') {
        Some((address, length)) => (address, format!("/{length}")),
        None => (text.as_str(), String::new()),
    };
    Ok(Value::from(match address.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]{rest}"),
        Err(_) => text,
    }))
}

fn need(value: &Value) -> Result<Parsed, Error> {
    let value = there(value)?;
    Parsed::of(value).ok_or_else(|| failed(format!("`{}` is not an address", text(value))))
}

fn ipmath(value: &Value, amount: i64) -> Result<Value, Error> {
    let address = need(value)?.net.addr();
    let sum = plus(address, amount.into());
    Ok(Value::from(
        sum.ok_or_else(|| failed(format!("{address} {amount:+} is not an address")))?.to_string(),
    ))
}

fn nthhost(value: &Value, number: i64) -> Result<Value, Error> {
    Ok(answer(need(value)?.nth(number).map(|address| address.to_string())))
}

/// The network of an address; how many networks of a length it has; or one of these.
fn ipsubnet(value: &Value, length: Option<u8>, index: Option<i64>) -> Result<Value, Error> {
    let parsed = need(value)?;
    let Some(length) = length else { return Ok(Value::from(parsed.net.trunc().to_string())) };
    let address = parsed.net.network();
    let wanted = IpNet::new(if parsed.has_length { address } else { parsed.net.addr() }, length)
        .map_err(|_| failed(format!("{length} is not a length of {address}")))?;
    if length <= parsed.net.prefix_len() {
        return Ok(Value::from(wanted.trunc().to_string()));
    }
    let count = 1u128 << u32::from(length - parsed.net.prefix_len()).min(127);
    let Some(index) = index else { return Ok(Value::from(count)) };
    let number = match u128::try_from(index) {
        Ok(number) => Some(number),
        Err(_) => count.checked_sub(u128::from(index.unsigned_abs())),
    };
    let size = 1u128.checked_shl(u32::from(wanted.max_prefix_len() - length));
    let offset = number.filter(|n| *n < count).zip(size).and_then(|(n, size)| n.checked_mul(size));
    let start = offset.and_then(|offset| plus(address, i128::try_from(offset).ok()?));
    Ok(answer(start.map(|start| format!("{start}/{length}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(expression: &str) -> Result<String, Error> {
        let mut env = Environment::new();
        env.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        add(&mut env);
        env.render_str(&format!("{{{{ {expression} }}}}"), ())
    }

    /// Answers are those of Ansible 2.9 and of ansible.utils.
    #[test]
    fn filters_mean_what_they_mean_in_ansible() {
        for (expression, wanted) in [
            ("'7' | int + 1", "8"),
            ("'x' | int", "0"),
            ("'x' | int(5)", "5"),
            ("'2.7' | int", "2"),
            ("'yes' | bool", "True"),
            ("'no' | bool", "False"),
            ("'sometimes' | bool", "False"),
            ("1 | bool", "True"),
            ("true | ternary('a', 'b')", "a"),
            ("'192.0.2.5/24' | ipaddr", "192.0.2.5/24"),
            ("'nothing' | ipaddr", "False"),
            ("'192.0.2.5/24' | ipaddr('address')", "192.0.2.5"),
            ("'192.0.2.0/24' | ipaddr('address')", "False"),
            ("'192.0.2.5/24' | ipaddr('address/prefix')", "192.0.2.5/24"),
            ("'192.0.2.5/24' | ipaddr('network')", "192.0.2.0"),
            ("'192.0.2.5/255.255.255.128' | ipaddr('prefix')", "25"),
            ("'192.0.2.5/24' | ipaddr('netmask')", "255.255.255.0"),
            ("'192.0.2.5/24' | ipaddr('broadcast')", "192.0.2.255"),
            ("'192.0.2.5/24' | ipaddr('subnet')", "192.0.2.0/24"),
            ("'192.0.2.0/24' | ipaddr(5)", "192.0.2.5/24"),
            ("'192.0.2.0/24' | ipaddr('-1')", "192.0.2.255/24"),
            ("'192.0.2.0/24' | ansible.utils.ipaddr('10') | ipaddr('address')", "192.0.2.10"),
            ("'192.0.2.0/24' | ipaddr(300)", "False"),
            ("'192.0.2.0/24' | ipaddr('size')", "256"),
            ("'192.0.2.0/24' | ipaddr('first_usable')", "192.0.2.1"),
            ("'192.0.2.0/24' | ipaddr('last_usable')", "192.0.2.254"),
            ("'192.0.2.9' | ipaddr('192.0.2.0/28')", "192.0.2.9"),
            ("'192.0.2.99' | ipaddr('192.0.2.0/28')", "False"),
            ("'fd00::/64' | ipaddr(16)", "fd00::10/64"),
            ("'fd00::1' | ipv4", "False"),
            ("'fd00::1' | ipv6", "fd00::1"),
            ("'fd00::1' | ipwrap", "[fd00::1]"),
            ("'10.0.0.1' | ipwrap", "10.0.0.1"),
            ("'10.0.0.0/8' | nthhost(305)", "10.0.1.49"),
            ("'10.0.0.250' | ipmath(10)", "10.0.1.4"),
            ("'192.168.144.5' | ipsubnet(18)", "192.168.128.0/18"),
            ("'192.168.0.0/16' | ipsubnet(20)", "16"),
            ("'192.168.0.0/16' | ipsubnet(20, 1)", "192.168.16.0/20"),
            ("'192.168.0.0/16' | ipsubnet(20, -1)", "192.168.240.0/20"),
        ] {
            assert_eq!(result(expression).unwrap(), wanted, "{expression}");
        }
        for expression in ["nothing | int", "'1.2.3.4' | ipaddr('moon')", "'x' | nthhost(1)"] {
            assert!(result(expression).is_err(), "{expression}");
        }
    }
}
