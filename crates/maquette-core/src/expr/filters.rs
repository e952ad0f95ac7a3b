//! Filters of Ansible's that topology files and layouts use, as Ansible has them where Jinja has none, or others.
//! <https://docs.ansible.com/ansible/latest/collections/ansible/utils/docsite/filters_ipaddr.html>

mod lists;
mod macs;
mod methods;
mod patterns;
mod rarer;
#[cfg(test)]
mod tests;
mod texts;
mod unknown;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

pub use unknown::instead_of;

use crate::syntax::parse_bool;

/// Collections that a filter's name may begin with.
const COLLECTIONS: [&str; 4] = ["", "ansible.builtin.", "ansible.utils.", "ansible.netcommon."];

/// Adds them to what expressions can use.
pub fn add(env: &mut Environment<'_>) {
    for collection in COLLECTIONS {
        let name = |filter: &str| format!("{collection}{filter}");
        env.add_filter(name("default"), default);
        env.add_filter(name("d"), default);
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
        rarer::add(env, &name);
        macs::add(env, &name);
        lists::add(env, &name);
        texts::add(env, &name);
        patterns::add(env, &name);
    }
    env.add_function("range", range);
    env.add_function("dict", lists::dict);
    env.set_unknown_method_callback(methods::call);
}

/// No list that anybody goes through has such numbers; Jinja's own arithmetic ends in a panic at the largest ones.
const FARTHEST: isize = 1 << 32;

/// Jinja's `range`.
fn range(lower: isize, upper: Option<isize>, step: Option<isize>) -> Result<Value, Error> {
    let is_far = |number: isize| !(-FARTHEST..=FARTHEST).contains(&number);
    match [Some(lower), upper, step].into_iter().flatten().find(|number| is_far(*number)) {
        Some(number) => Err(failed(format!("`range` does not go to {number}"))),
        None => minijinja::functions::range(lower, upper, step),
    }
}

/// The default stands for what nothing defines; with `boolean`, for all that is not true.
fn default(
    value: &Value,
    other: Option<Value>,
    boolean: Option<bool>,
    named: Kwargs,
) -> Result<Value, Error> {
    let other = other.or(named.get("default_value")?).unwrap_or_else(|| Value::from(""));
    let is_any = boolean.or(named.get("boolean")?).unwrap_or(false);
    named.assert_all_used()?;
    let is_missing = value.is_undefined() || (is_any && !value.is_true());
    Ok(if is_missing { other } else { value.clone() })
}

fn failed(what: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// Charges so many instructions for what a filter does in one go.
fn spend(state: &State, count: usize) -> Result<(), Error> {
    state.consume_fuel(u64::try_from(count).unwrap_or(u64::MAX))
}

/// A value that is there: names that nothing defines are mistakes.
pub(super) fn there(value: &Value) -> Result<&Value, Error> {
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
fn int(
    value: &Value,
    default: Option<i64>,
    base: Option<u32>,
    named: Kwargs,
) -> Result<Value, Error> {
    let value = there(value)?;
    let default = default.or(named.get("default")?).unwrap_or(0);
    let base = base.or(named.get("base")?).unwrap_or(10);
    named.assert_all_used()?;
    if !(2..=36).contains(&base) {
        return Err(failed(format!("`int` has no base {base}")));
    }
    if value.kind() == ValueKind::Bool {
        return Ok(Value::from(i64::from(value.is_true())));
    }
    let text = text(value).to_lowercase();
    let prefix = match base {
        2 => "0b",
        8 => "0o",
        16 => "0x",
        _ => "",
    };
    let whole = i64::from_str_radix(text.strip_prefix(prefix).unwrap_or(&text), base).ok();
    let cut = || text.parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| n.trunc() as i64);
    Ok(Value::from(whole.or_else(cut).unwrap_or(default)))
}

/// Of text only YAML's words for it are true, and `1`.
fn bool(value: &Value) -> Result<Value, Error> {
    let value = there(value)?;
    let text = text(value).to_lowercase();
    Ok(Value::from(text == "1" || parse_bool(&text) == Some(true)))
}

/// With a third value, that is what stands for `none`.
fn ternary(
    value: &Value,
    yes: Value,
    no: Value,
    none: Option<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    let none = none.or(named.get("none_val")?);
    named.assert_all_used()?;
    Ok(match there(value)? {
        value if value.is_none() => none.filter(|none| !none.is_none()).unwrap_or(no),
        value if value.is_true() => yes,
        _ => no,
    })
}

fn mandatory(value: &Value, message: Option<String>, named: Kwargs) -> Result<Value, Error> {
    let message = message.or(named.get("msg")?);
    named.assert_all_used()?;
    match message.filter(|_| value.is_undefined()) {
        Some(message) => Err(failed(message)),
        None => there(value).cloned(),
    }
}

/// An address, and how long the part is that its network has in common; whether that was said.
#[derive(Debug, Clone, Copy)]
struct Parsed {
    net: IpNet,
    has_length: bool,
}

impl Parsed {
    fn of(value: &Value) -> Option<Self> {
        if !matches!(value.kind(), ValueKind::String | ValueKind::Number) {
            return None;
        }
        let text = text(value);
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.as_str(), None),
        };
        let address = address.parse().ok().or_else(|| counted(address))?;
        let net = match length.map(|l| (l.parse::<u8>(), l)) {
            None => IpNet::from(address),
            Some((Ok(length), _)) => IpNet::new(address, length).ok()?,
            Some((Err(_), mask)) => IpNet::with_netmask(address, mask.parse().ok()?).ok()?,
        };
        Some(Self { net, has_length: length.is_some() })
    }

    /// The address itself, with its length if that was said.
    fn itself(self) -> String {
        match self.has_length {
            true => self.net.to_string(),
            false => self.net.addr().to_string(),
        }
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
            _ => Some((plus(first, 1)?, plus(last, -1)?)),
        }
    }
}

/// An address that is written as a number.
fn counted(text: &str) -> Option<IpAddr> {
    let number = text.parse::<u128>().ok().filter(|number| *number > 0)?;
    Some(match u32::try_from(number) {
        Ok(number) => Ipv4Addr::from(number).into(),
        Err(_) => Ipv6Addr::from(number).into(),
    })
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address so many after another one, or before it; none if there is none.
fn plus(address: IpAddr, offset: i128) -> Option<IpAddr> {
    let sum = number(address).checked_add_signed(offset)?;
    match address {
        IpAddr::V4(_) => Some(Ipv4Addr::from(u32::try_from(sum).ok()?).into()),
        IpAddr::V6(_) => Some(Ipv6Addr::from(sum).into()),
    }
}

/// What a question about an address has for an answer; `False` where it has none. Of a list, the answers that there are.
fn ipaddr(value: &Value, query: Option<Value>) -> Result<Value, Error> {
    if is_list(there(value)?) {
        let mut answers = Vec::new();
        for item in value.try_iter()? {
            answers.push(ipaddr(&item, query.clone())?);
        }
        let is_answer = |answer: &Value| answer.kind() != ValueKind::Bool || answer.is_true();
        return Ok(Value::from_iter(answers.into_iter().filter(is_answer)));
    }
    let Some(parsed) = Parsed::of(value) else { return Ok(Value::from(false)) };
    let Some(query) = query.map(|q| text(&q)).filter(|q| !q.is_empty()) else {
        return Ok(Value::from(parsed.itself()));
    };
    if let Some(answer) = asked(parsed, &query) {
        return Ok(answer);
    }
    if let Some(answer) = rarer::asked(parsed, &query)? {
        return Ok(answer);
    }
    if let Ok(number) = query.parse::<i64>() {
        if parsed.bits() == 0 {
            return Ok(Value::from(parsed.itself()));
        }
        return Ok(answer(parsed.nth(number).map(|address| parsed.with_length(address))));
    }
    match query.parse::<IpNet>() {
        Ok(outer) => Ok(answer(outer.contains(&parsed.net).then(|| parsed.itself()))),
        Err(_) => Err(failed(format!("`ipaddr` does not know the question `{query}`"))),
    }
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn answer(found: Option<String>) -> Value {
    found.map_or(Value::from(false), Value::from)
}

/// The answer to one of the questions that have a name; none if nobody knows it.
fn asked(parsed: Parsed, query: &str) -> Option<Value> {
    let Parsed { net, .. } = parsed;
    let (addr, bits) = (net.addr(), parsed.bits());
    let itself = |is: bool| answer(is.then(|| parsed.itself()));
    let is_host = !parsed.is_network();
    let is_private = match addr {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => address.segments()[0] & 0xfe00 == 0xfc00,
    };
    let usable = || parsed.usable();
    Some(match query {
        // A network of two addresses has none of its own.
        "bool" => Value::from(true),
        "address" | "ip" => answer((is_host || bits == 1).then(|| addr.to_string())),
        "address/prefix" | "ip/prefix" | "host/prefix" | "gateway" | "gw" | "router"
        | "hostnet" => answer((is_host && bits > 0).then(|| net.to_string())),
        "host" => answer(is_host.then(|| net.to_string())),
        "cidr" => Value::from(net.to_string()),
        "network" | "network_id" => Value::from(net.network().to_string()),
        "network/prefix" | "subnet" => Value::from(net.trunc().to_string()),
        "net" => answer(parsed.is_network().then(|| net.to_string())),
        "netmask" => Value::from(net.netmask().to_string()),
        "hostmask" | "wildcard" => Value::from(net.hostmask().to_string()),
        "prefix" => Value::from(net.prefix_len()),
        "broadcast" => answer((bits > 1).then(|| net.broadcast().to_string())),
        "size" => Value::from(parsed.size().unwrap_or(u128::MAX)),
        "first_usable" => answer(usable().map(|(first, _)| first.to_string())),
        "last_usable" => answer(usable().map(|(_, last)| last.to_string())),
        "range_usable" => answer(usable().map(|(first, last)| format!("{first}-{last}"))),
        "version" => Value::from(if addr.is_ipv4() { 4 } else { 6 }),
        "type" => Value::from(if is_host { "address" } else { "network" }),
        "int" if parsed.has_length => Value::from(format!("{}/{}", number(addr), net.prefix_len())),
        "int" => Value::from(number(addr)),
        "ipv4" | "v4" => itself(addr.is_ipv4()),
        "ipv6" | "v6" => match addr {
            IpAddr::V4(v4) => {
                Value::from(format!("{}/{}", v4.to_ipv6_mapped(), net.prefix_len() + 96))
            }
            IpAddr::V6(_) => itself(true),
        },
        "private" => itself(is_private),
        "public" => itself(!is_private && !addr.is_loopback() && !addr.is_multicast()),
        "loopback" | "lo" => itself(addr.is_loopback()),
        "multicast" => itself(addr.is_multicast()),
        _ => return None,
    })
}

fn of_version(value: &Value, query: Option<Value>, is_v4: bool) -> Result<Value, Error> {
    let is_asked = |value: &Value| {
        Parsed::of(value).is_some_and(|parsed| parsed.net.addr().is_ipv4() == is_v4)
    };
    let value = there(value)?;
    if is_list(value) {
        return ipaddr(&Value::from_iter(value.try_iter()?.filter(is_asked)), query);
    }
    if is_asked(value) { ipaddr(value, query) } else { Ok(Value::from(false)) }
}

fn ipv4(value: &Value, query: Option<Value>) -> Result<Value, Error> {
    of_version(value, query, true)
}

fn ipv6(value: &Value, query: Option<Value>) -> Result<Value, Error> {
    of_version(value, query, false)
}

/// IPv6 addresses in brackets, and all else as it is.
fn ipwrap(value: &Value) -> Result<Value, Error> {
    if is_list(there(value)?) {
        let wrapped: Result<Vec<Value>, Error> = value.try_iter()?.map(|v| ipwrap(&v)).collect();
        return wrapped.map(Value::from);
    }
    let text = text(value);
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

/// A number, which may be text: extra variables are.
fn whole(value: &Value) -> Result<i64, Error> {
    let text = text(there(value)?);
    text.parse().map_err(|_| failed(format!("`{text}` is not a number")))
}

fn ipmath(value: &Value, amount: i64) -> Result<Value, Error> {
    let address = need(value)?.net.addr();
    let sum = plus(address, amount.into());
    Ok(Value::from(
        sum.ok_or_else(|| failed(format!("{address} {amount:+} is not an address")))?.to_string(),
    ))
}

/// An address by its number; the network itself, which has number 0, is not one.
fn nthhost(value: &Value, number: &Value) -> Result<Value, Error> {
    let (parsed, number) = (need(value)?, whole(number)?);
    let found = parsed.nth(number).filter(|_| parsed.bits() > 0 && number != 0);
    Ok(answer(found.map(|address| address.to_string())))
}

/// What is in a list of so many at a position, from behind if that is negative.
fn position(count: u128, index: i64) -> Option<u128> {
    let from_behind = || count.checked_sub(u128::from(index.unsigned_abs()));
    u128::try_from(index).ok().or_else(from_behind).filter(|number| *number < count)
}

/// Of a network: how many networks of a length it has, or one of these. Of an address: the network of a length that it is
/// in, or a smaller one, each half as large as the one before it.
fn ipsubnet(value: &Value, length: Option<Value>, index: Option<Value>) -> Result<Value, Error> {
    let Parsed { net, .. } = need(value)?;
    let Some(length) = length else { return Ok(Value::from(net.to_string())) };
    if let Some(outer) = Parsed::of(&length).filter(|_| text(&length).contains(['.', ':'])) {
        return rarer::rank(net, outer.net);
    }
    let index = index.as_ref().map(whole).transpose()?;
    let address = net.network();
    let wrong = || failed(format!("{} is not a length of {address}", text(&length)));
    let wanted = u8::try_from(whole(&length)?).map_err(|_| wrong())?;
    let largest = net.max_prefix_len();
    let with_length =
        |address: IpAddr, length: u8| IpNet::new(address, length).map(|net| net.trunc());
    with_length(net.addr(), wanted).map_err(|_| wrong())?;
    if net.prefix_len() == largest {
        let found = position(u128::from(largest - wanted), index.unwrap_or(0))
            .and_then(|number| u8::try_from(number).ok())
            .and_then(|number| with_length(net.addr(), wanted + number).ok());
        return Ok(answer(found.map(|net| net.to_string())));
    }
    let Some(halvings) = wanted.checked_sub(net.prefix_len()) else {
        return Ok(Value::from(false));
    };
    let count = 1u128 << u32::from(halvings).min(127);
    let Some(index) = index else { return Ok(Value::from(count)) };
    let size = 1u128.checked_shl(u32::from(largest - wanted));
    let offset = position(count, index).zip(size).and_then(|(n, size)| n.checked_mul(size));
    let start = offset.and_then(|offset| plus(address, i128::try_from(offset).ok()?));
    Ok(answer(start.map(|start| format!("{start}/{wanted}"))))
}
