//! Filters and questions of the same family that few files have: neighbours of an address, what is in what, merging.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};

use super::{Parsed, answer, failed, is_list, need, number, plus, text, there, whole};

/// Adds them; `name` is a filter's name with its collection.
pub(super) fn add(env: &mut Environment<'_>, name: &dyn Fn(&str) -> String) {
    env.add_filter(name("next_nth_usable"), next);
    env.add_filter(name("previous_nth_usable"), previous);
    env.add_filter(name("network_in_usable"), in_usable);
    env.add_filter(name("network_in_network"), in_network);
    env.add_filter(name("reduce_on_network"), reduce_on_network);
    env.add_filter(name("cidr_merge"), cidr_merge);
    env.add_filter(name("ip4_hex"), ip4_hex);
    env.add_filter(name("ipv6form"), ipv6form);
    env.add_filter(name("combine"), combine);
    env.add_filter(name("path_join"), path_join);
}

/// The answer to one of the rarer questions of `ipaddr`; none if nobody knows it.
pub(super) fn asked(parsed: Parsed, query: &str) -> Result<Option<Value>, Error> {
    let Parsed { net, has_length } = parsed;
    if matches!(query, "next_usable" | "previous_usable" | "peer") && !has_length {
        return Err(failed(format!("`ipaddr('{query}')` is asked of networks, such as {net}")));
    }
    let (addr, bits) = (net.addr(), parsed.bits());
    let itself = |is: bool| answer(is.then(|| parsed.itself()));
    let is_host = bits > 0 && (!parsed.is_network() || bits == 1);
    Ok(Some(match query {
        "ip_netmask" => answer(is_host.then(|| format!("{addr} {}", net.netmask()))),
        "network_netmask" => Value::from(format!("{} {}", net.network(), net.netmask())),
        "network_wildcard" => Value::from(format!("{} {}", net.network(), net.hostmask())),
        "next_usable" => answer(neighbour(parsed, 1)),
        "previous_usable" => answer(neighbour(parsed, -1)),
        "peer" => match peer(parsed) {
            Some(peer) => Value::from(peer.to_string()),
            None => return Err(failed(format!("{net} has no peer: it is not one of two hosts"))),
        },
        "size_usable" => match bits {
            0 => Value::from(0),
            1 => Value::from(2),
            _ => Value::from(parsed.size().map_or(u128::MAX - 1, |size| size - 2)),
        },
        "unicast" => itself(!addr.is_multicast()),
        "link-local" => itself(match addr {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
        }),
        "revdns" => Value::from(reversed(addr)),
        "wrap" => match (addr, has_length) {
            (IpAddr::V4(_), _) => itself(true),
            (IpAddr::V6(_), false) => Value::from(format!("[{addr}]")),
            (IpAddr::V6(_), true) => Value::from(format!("[{addr}]/{}", net.prefix_len())),
        },
        _ => return Ok(None),
    }))
}

/// The name that DNS has the name of an address under.
fn reversed(addr: IpAddr) -> String {
    match addr {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(v6) => {
            let digits = format!("{:032x}", u128::from(v6));
            let digits: Vec<String> = digits.chars().rev().map(|c| c.to_string()).collect();
            format!("{}.ip6.arpa.", digits.join("."))
        }
    }
}

/// The address so many after one, if it is in its network and a host can have it.
fn neighbour(parsed: Parsed, offset: i64) -> Option<String> {
    let (first, last) = parsed.usable()?;
    let found = plus(parsed.net.addr(), offset.into())?;
    (first <= found && found <= last).then(|| found.to_string())
}

/// The other host of a network that has two.
fn peer(parsed: Parsed) -> Option<IpAddr> {
    let addr = parsed.net.addr();
    let low = number(addr) & 3;
    let offset = match (parsed.bits(), low) {
        (1, low) if low & 1 == 0 => 1,
        (1, _) | (2, 2) => -1,
        (2, 1) => 1,
        _ => return None,
    };
    plus(addr, offset)
}

/// Which one a network is, counted from 1, of those of its length in another one.
pub(super) fn rank(net: IpNet, outer: IpNet) -> Result<Value, Error> {
    let bits = u32::from(net.max_prefix_len() - net.prefix_len());
    if !outer.contains(&net) {
        return Err(failed(format!("{} is not in {}", net.trunc(), outer.trunc())));
    }
    let first = number(outer.network()).checked_shr(bits).unwrap_or(0);
    let own = number(net.network()).checked_shr(bits).unwrap_or(0);
    let rank = own.checked_sub(first).and_then(|before| before.checked_add(1));
    let rank = rank.ok_or_else(|| failed(format!("{} has too many networks", outer.trunc())))?;
    Ok(Value::from(rank.to_string()))
}

fn next(value: &Value, offset: &Value) -> Result<Value, Error> {
    let (value, offset) = (there(value)?, whole(offset)?);
    Ok(answer(Parsed::of(value).and_then(|parsed| neighbour(parsed, offset))))
}

fn previous(value: &Value, offset: &Value) -> Result<Value, Error> {
    let (value, offset) = (there(value)?, whole(offset)?);
    let back = offset.checked_neg().ok_or_else(|| failed(format!("{offset} is too far")))?;
    Ok(answer(Parsed::of(value).and_then(|parsed| neighbour(parsed, back))))
}

/// The first and the last address of a network as numbers. One of two addresses ends with its first.
fn ends(parsed: Parsed) -> (u128, u128) {
    let first = parsed.net.network();
    let last = if parsed.bits() > 1 { parsed.net.broadcast() } else { first };
    (number(first), number(last))
}

fn is_within((first, last): (u128, u128), inner: Parsed) -> bool {
    let (start, end) = ends(inner);
    (first..=last).contains(&start) && (first..=last).contains(&end)
}

/// Whether hosts of a network can have an address, or all of another network.
fn in_usable(value: &Value, inner: &Value) -> Result<bool, Error> {
    let outer = need(value)?;
    let usable = outer.usable().map(|(first, last)| (number(first), number(last)));
    Ok(is_within(usable.unwrap_or_else(|| ends(outer)), need(inner)?))
}

fn in_network(value: &Value, inner: &Value) -> Result<bool, Error> {
    Ok(is_within(ends(need(value)?), need(inner)?))
}

fn reduce_on_network(value: &Value, network: &Value) -> Result<Value, Error> {
    let outer = ends(need(network)?);
    let mut kept = Vec::new();
    for item in there(value)?.try_iter()? {
        if is_within(outer, need(&item)?) {
            kept.push(item);
        }
    }
    Ok(Value::from(kept))
}

/// The fewest networks that have all of some; or with `span` one that has them all.
fn cidr_merge(value: &Value, action: Option<&str>, named: Kwargs) -> Result<Value, Error> {
    let action = action.or(named.get("action")?).unwrap_or("merge");
    named.assert_all_used()?;
    let value = there(value)?;
    let nets: Result<Vec<IpNet>, Error> = match is_list(value) {
        true => value.try_iter()?.map(|item| need(&item).map(|p| p.net)).collect(),
        false => text(value).split(',').map(|t| need(&Value::from(t)).map(|p| p.net)).collect(),
    };
    let nets = nets?;
    match (action, nets.as_slice()) {
        ("merge", _) => {
            let whole: Vec<IpNet> = nets.iter().map(IpNet::trunc).collect();
            Ok(Value::from_iter(IpNet::aggregate(&whole).iter().map(ToString::to_string)))
        }
        ("span", []) => Ok(Value::from(false)),
        ("span", [one]) => Ok(Value::from(one.to_string())),
        ("span", _) => spanning(nets).map(|net| Value::from(net.to_string())),
        _ => Err(failed(format!("`cidr_merge` has no action `{action}`"))),
    }
}

/// The smallest network with the first of some and the last.
fn spanning(mut nets: Vec<IpNet>) -> Result<IpNet, Error> {
    nets.sort_by_key(|net| (net.addr().is_ipv6(), number(net.network()), net.prefix_len()));
    let (Some(first), Some(last)) = (nets.first(), nets.last()) else {
        return Err(failed("`cidr_merge` has no networks".into()));
    };
    if first.addr().is_ipv6() != last.addr().is_ipv6() {
        return Err(failed(format!("no network has both {first} and {last}")));
    }
    let mut span = last.trunc();
    while number(span.network()) > number(first.network()) {
        let Some(wider) = span.supernet() else { break };
        span = wider;
    }
    Ok(span)
}

fn ip4_hex(value: &Value, delimiter: Option<&str>) -> Result<String, Error> {
    let IpAddr::V4(address) = need(value)?.net.addr() else {
        return Err(failed(format!("`{}` is not an IPv4 address", text(value))));
    };
    let octets: Vec<String> = address.octets().iter().map(|octet| format!("{octet:02x}")).collect();
    Ok(octets.join(delimiter.unwrap_or_default()))
}

fn ipv6form(value: &Value, form: &str) -> Result<String, Error> {
    let wrong = || failed(format!("`{}` is not an IPv6 address", text(value)));
    let address: Ipv6Addr = match text(there(value)?).parse() {
        Ok(IpAddr::V6(address)) => address,
        Ok(IpAddr::V4(address)) if matches!(form, "compress" | "expand") => {
            return Ok(address.to_string());
        }
        _ => return Err(wrong()),
    };
    let groups = |group: &dyn Fn(&u16) -> String| {
        address.segments().iter().map(group).collect::<Vec<_>>().join(":")
    };
    match form {
        "compress" => Ok(address.to_string()),
        "expand" => Ok(groups(&|group| format!("{group:04x}"))),
        "x509" => Ok(groups(&|group| format!("{group:x}"))),
        _ => Err(failed(format!("`ipv6form` has no form `{form}`"))),
    }
}

/// What `combine` makes of two lists at the same key.
const LISTS: [&str; 6] = ["replace", "keep", "append", "prepend", "append_rp", "prepend_rp"];

/// Mappings laid over each other, of which the last wins.
fn combine(value: &Value, others: Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let is_recursive = named.get::<Option<bool>>("recursive")?.unwrap_or(false);
    let lists = named.get::<Option<&str>>("list_merge")?.unwrap_or("replace");
    named.assert_all_used()?;
    if !LISTS.contains(&lists) {
        return Err(failed(format!("`combine` has no list_merge='{lists}'")));
    }
    let mut all = Vec::new();
    for each in std::iter::once(there(value)?).chain(others.iter()) {
        match is_list(there(each)?) {
            true => all.extend(each.try_iter()?),
            false => all.push(each.clone()),
        }
    }
    let mut combined = Value::from_pairs(Vec::<(Value, Value)>::new());
    for each in all {
        if each.kind() != ValueKind::Map {
            let message = format!("`combine` takes mappings, and not {}", each.kind());
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
        combined = over(&combined, &each, is_recursive, lists)?;
    }
    Ok(combined)
}

fn over(below: &Value, above: &Value, is_recursive: bool, lists: &str) -> Result<Value, Error> {
    let mut pairs: Vec<(Value, Value)> = Vec::new();
    for key in below.try_iter()? {
        let known = below.get_item(&key)?;
        pairs.push((key, known));
    }
    for key in above.try_iter()? {
        let new = above.get_item(&key)?;
        match pairs.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => {
                let both = known.kind() == ValueKind::Map && new.kind() == ValueKind::Map;
                *known = match is_recursive && both {
                    true => over(known, &new, true, lists)?,
                    false if is_list(known) && is_list(&new) => joined(known, &new, lists)?,
                    false => new,
                };
            }
            None => pairs.push((key, new)),
        }
    }
    Ok(Value::from_pairs(pairs))
}

/// Two lists at the same key as one; `rp` takes away of the lower one what the upper one has.
fn joined(below: &Value, above: &Value, how: &str) -> Result<Value, Error> {
    let above: Vec<Value> = above.try_iter()?.collect();
    let below: Vec<Value> = below.try_iter()?.collect();
    let rest =
        || -> Vec<Value> { below.iter().filter(|item| !above.contains(item)).cloned().collect() };
    Ok(Value::from(match how {
        "keep" => below,
        "append" => [below, above].concat(),
        "prepend" => [above, below].concat(),
        "append_rp" => [rest(), above].concat(),
        "prepend_rp" => [above.clone(), rest()].concat(),
        _ => above,
    }))
}

/// A path of several parts, of which one that begins at the root drops those before it.
fn path_join(parts: &Value) -> Result<String, Error> {
    if !is_list(there(parts)?) {
        return Ok(parts.to_string());
    }
    let parts: Vec<String> = parts.try_iter()?.map(|part| part.to_string()).collect();
    let join = |path: String, part: &String| match (part.starts_with('/'), path.is_empty()) {
        (true, _) | (_, true) => part.clone(),
        _ => format!("{}/{part}", path.trim_end_matches('/')),
    };
    Ok(parts.iter().fold(String::new(), join))
}
