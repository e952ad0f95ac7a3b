//! What `iptables-save` prints: <https://ipset.netfilter.org/iptables-save.man.html>.

use ipnet::Ipv4Net;

use super::{Chain, Hook, Match, Rule, Verdict, Want};

/// Targets after which the next rule is looked at.
const PASSING: [&str; 13] = [
    "LOG",
    "NFLOG",
    "ULOG",
    "MARK",
    "CONNMARK",
    "CONNSECMARK",
    "SECMARK",
    "CT",
    "TCPMSS",
    "CHECKSUM",
    "TTL",
    "DSCP",
    "AUDIT",
];

/// The chains of the table `filter`.
pub(super) fn read(text: &str) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut table = "";
    for line in text.lines() {
        // Counters come first where they are asked for.
        let line = match line.strip_prefix('[') {
            Some(rest) => rest.split_once("] ").map_or("", |(_, rule)| rule),
            None => line,
        };
        if let Some(name) = line.strip_prefix('*') {
            table = name.trim();
        } else if table != "filter" {
            continue;
        } else if let Some(declared) = line.strip_prefix(':') {
            let mut words = declared.split_whitespace();
            let (Some(name), policy) = (words.next(), words.next()) else { continue };
            let hook = match name {
                "INPUT" => Some(Hook::Input),
                "FORWARD" => Some(Hook::Forward),
                "OUTPUT" => Some(Hook::Output),
                _ => None,
            };
            // Rules of both kinds of iptables apply, each by itself.
            let earlier = chains.iter().filter(|c| c.name == name).count();
            let table = if earlier == 0 { "iptables" } else { "iptables-legacy" }.into();
            let drops = policy == Some("DROP");
            chains.push(Chain { table, name: name.into(), hook, drops, rules: Vec::new() });
        } else if let Some(words) = line.strip_prefix("-A ").and_then(shlex::split)
            && let Some((name, words)) = words.split_first()
            && let Some(at) = chains.iter().rposition(|c| c.name == *name)
        {
            let table = chains[at].table.clone();
            let is_chain = |t: &str| chains.iter().any(|c| c.table == table && c.name == t);
            let mut rule = rule(words, is_chain);
            rule.text = format!("`{line}`");
            chains[at].rules.push(rule);
        }
    }
    chains
}

fn rule(words: &[String], is_chain: impl Fn(&str) -> bool) -> Rule {
    let mut rule = Rule { matches: Vec::new(), verdict: Verdict::Pass, text: String::new() };
    let (mut at, mut negated) = (0, false);
    while let Some(word) = words.get(at) {
        at += 1;
        if word == "!" {
            negated = true;
            continue;
        }
        let from = at;
        while words.get(at).is_some_and(|next| next != "!" && !next.starts_with('-')) {
            at += 1;
        }
        let values = &words[from..at];
        let value = values.first().map_or("", String::as_str);
        let want = match word.as_str() {
            "-i" => Want::Input(vec![value.into()]),
            "-o" => Want::Output(vec![value.into()]),
            "-s" => network(value).map_or(Want::Other, |net| Want::Source(vec![net])),
            "-d" => network(value).map_or(Want::Other, |net| Want::Destination(vec![net])),
            "-p" => Want::Protocol(vec![value.into()]),
            "--dport" | "--dports" => ports(value).map_or(Want::Other, |all| Want::Port(None, all)),
            "--sport" | "--sports" => {
                ports(value).map_or(Want::Other, |all| Want::FromPort(None, all))
            }
            "--ctstate" | "--state" => Want::Known(value.split(',').any(|state| state == "NEW")),
            // What a module is asked for comes after its name.
            "-m" | "--comment" => {
                negated = false;
                continue;
            }
            "-j" => {
                rule.verdict = verdict(value, is_chain);
                // The rest is the target's.
                break;
            }
            "-g" => {
                rule.verdict = Verdict::Goto(value.into());
                break;
            }
            _ => Want::Other,
        };
        rule.matches.push(Match { want, negated: std::mem::take(&mut negated) });
    }
    rule
}

fn network(text: &str) -> Option<Ipv4Net> {
    text.parse().or_else(|_| format!("{text}/32").parse()).ok()
}

/// Of a range it cannot be told.
fn ports(text: &str) -> Option<Vec<u16>> {
    text.split(',').map(|port| port.parse().ok()).collect()
}

fn verdict(target: &str, is_chain: impl Fn(&str) -> bool) -> Verdict {
    match target {
        "ACCEPT" => Verdict::Accept,
        "DROP" | "REJECT" => Verdict::Drop,
        "RETURN" => Verdict::Return,
        chain if is_chain(chain) => Verdict::Jump(chain.into()),
        passing if PASSING.contains(&passing) => Verdict::Pass,
        // A queue, for one: a program decides.
        _ => Verdict::Accept,
    }
}
