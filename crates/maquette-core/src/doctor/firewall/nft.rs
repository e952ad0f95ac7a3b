//! What `nft -j list ruleset` prints: libnftables-json(5).

use ipnet::Ipv4Net;
use serde_json::Value;

use super::{Chain, Hook, Match, Rule, Verdict, Want};

/// Names of iptables' own tables.
const OF_IPTABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

/// The chains that packets of IPv4 pass; those of iptables too, if `all` says so.
pub(super) fn read(text: &str, all: bool) -> Vec<Chain> {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return Vec::new() };
    let mut chains: Vec<Chain> = Vec::new();
    for entry in value["nftables"].as_array().into_iter().flatten() {
        if let Some(chain) = entry.get("chain").and_then(|c| read_chain(c, all)) {
            chains.push(chain);
        } else if let Some(rule) = entry.get("rule")
            && let Some(table) = table(rule, all)
            && let Some(chain) = chains
                .iter_mut()
                .find(|c| c.table == table && Some(c.name.as_str()) == rule["chain"].as_str())
        {
            chain.rules.extend(rules(rule));
        }
    }
    chains
}

/// What a table is called, if it is one that matters.
fn table(object: &Value, all: bool) -> Option<String> {
    let (family, name) = (object["family"].as_str()?, object["table"].as_str()?);
    let matters = family == "inet" || (family == "ip" && (all || !OF_IPTABLES.contains(&name)));
    matters.then(|| format!("nft table {family} {name}"))
}

fn read_chain(chain: &Value, all: bool) -> Option<Chain> {
    let hook = match (chain["type"].as_str(), chain["hook"].as_str()) {
        (Some("filter"), Some("input")) => Some(Hook::Input),
        (Some("filter"), Some("forward")) => Some(Hook::Forward),
        (Some("filter"), Some("output")) => Some(Hook::Output),
        _ => None,
    };
    let name = chain["name"].as_str()?.to_string();
    let drops = chain["policy"] == "drop";
    Some(Chain { table: table(chain, all)?, name, hook, drops, rules: Vec::new() })
}

/// A rule is one for each of its verdicts: a map has many.
fn rules(rule: &Value) -> Vec<Rule> {
    let mut matches: Vec<Match> = Vec::new();
    for part in rule["expr"].as_array().into_iter().flatten() {
        let Some((kind, value)) = part.as_object().and_then(|o| o.iter().next()) else { continue };
        if let Some(verdict) = verdict(kind, value) {
            let text = if kind == "reject" { "it rejects" } else { kind.as_str() };
            return vec![Rule { matches, verdict, text: format!("`{}`", shown(rule, text)) }];
        }
        match kind.as_str() {
            "match" => matches.push(read_match(value)),
            "vmap" => return mapped(&matches, value, rule),
            "counter" | "log" | "comment" | "mangle" => {}
            _ => matches.push(Match { want: Want::Other, negated: false }),
        }
    }
    Vec::new()
}

/// The rule for people: its comment, or its number, with which nft lists it.
fn shown(rule: &Value, what: &str) -> String {
    match (rule["comment"].as_str(), rule["handle"].as_u64()) {
        (Some(comment), _) => format!("{what} # {comment}"),
        (None, Some(handle)) => format!("{what} # handle {handle}"),
        (None, None) => what.into(),
    }
}

fn verdict(kind: &str, value: &Value) -> Option<Verdict> {
    let target = || value["target"].as_str().unwrap_or_default().to_string();
    Some(match kind {
        "accept" => Verdict::Accept,
        "drop" | "reject" => Verdict::Drop,
        "return" => Verdict::Return,
        "jump" => Verdict::Jump(target()),
        "goto" => Verdict::Goto(target()),
        // A program decides.
        "queue" => Verdict::Accept,
        _ => return None,
    })
}

fn read_match(value: &Value) -> Match {
    let (left, right) = (&value["left"], &value["right"]);
    let negated = value["op"] == "!=";
    Match { want: want(left, right).unwrap_or(Want::Other), negated }
}

fn want(left: &Value, right: &Value) -> Option<Want> {
    let items: Vec<&Value> = match right {
        Value::Array(all) => all.iter().collect(),
        Value::Object(map) if map.contains_key("set") => map["set"].as_array()?.iter().collect(),
        one => vec![one],
    };
    let words = || -> Option<Vec<String>> {
        let word = |v: &&Value| Some(v.as_str()?.to_string()).filter(|w| !w.starts_with('@'));
        items.iter().map(word).collect()
    };
    let field = left["payload"]["field"].as_str();
    let protocol = left["payload"]["protocol"].as_str();
    match left["meta"]["key"].as_str() {
        Some("iifname" | "iif") => return Some(Want::Input(words()?)),
        Some("oifname" | "oif") => return Some(Want::Output(words()?)),
        Some("l4proto") => return Some(Want::Protocol(words()?)),
        // Only IPv4 is asked about.
        Some("nfproto" | "protocol") => {
            let v4 = words()?.iter().any(|w| w == "ipv4" || w == "ip");
            return Some(Want::Known(v4));
        }
        Some(_) => return None,
        None => {}
    }
    if left["ct"]["key"] == "state" {
        return Some(Want::Known(words()?.iter().any(|w| w == "new")));
    }
    let port = |v: &&Value| u16::try_from(v.as_u64()?).ok();
    match (protocol, field) {
        (Some("ip"), Some("saddr")) => {
            items.iter().map(|v| network(v)).collect::<Option<_>>().map(Want::Source)
        }
        (Some("ip"), Some("daddr")) => {
            items.iter().map(|v| network(v)).collect::<Option<_>>().map(Want::Destination)
        }
        (Some("ip6"), _) => Some(Want::Known(false)),
        (Some(protocol @ ("udp" | "tcp" | "th")), Some(field @ ("dport" | "sport"))) => {
            let of = Some(protocol.to_string()).filter(|of| of != "th");
            let ports = items.iter().map(port).collect::<Option<_>>()?;
            Some(if field == "dport" { Want::Port(of, ports) } else { Want::FromPort(of, ports) })
        }
        _ => None,
    }
}

fn network(value: &Value) -> Option<Ipv4Net> {
    match value {
        Value::String(one) => format!("{one}/32").parse().ok(),
        other => {
            let (address, length) =
                (other["prefix"]["addr"].as_str()?, other["prefix"]["len"].as_u64()?);
            format!("{address}/{length}").parse().ok()
        }
    }
}

/// `ct state vmap { established : accept, invalid : drop }`
fn mapped(matches: &[Match], map: &Value, rule: &Value) -> Vec<Rule> {
    let entries = map["data"]["set"].as_array().into_iter().flatten();
    let each = entries.filter_map(|entry| {
        let (key, value) = (entry.get(0)?, entry.get(1)?);
        let (kind, inner) = value.as_object()?.iter().next()?;
        let want = want(&map["key"], key).unwrap_or(Want::Other);
        let matches = matches.iter().cloned().chain([Match { want, negated: false }]).collect();
        Some(Rule {
            matches,
            verdict: verdict(kind, inner)?,
            text: format!("`{}`", shown(rule, kind)),
        })
    });
    let all: Vec<Rule> = each.collect();
    // A map that is kept elsewhere may accept anything.
    if all.is_empty() {
        let other = Match { want: Want::Other, negated: false };
        let matches = matches.iter().cloned().chain([other]).collect();
        return vec![Rule { matches, verdict: Verdict::Accept, text: String::new() }];
    }
    all
}
