//! Rules of a hypervisor's firewall, in the words of iptables and of nft, are walked through as the kernel does.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::doctor::firewall::{Hook, Keeper, Packet, Ruleset};

fn packet<'a>(input: &'a str, output: Option<&'a str>) -> Packet<'a> {
    let (input, source) = (Some(input), "10.1.0.1".parse().unwrap());
    Packet { input, output, source, destination: None, service: None, from_port: None }
}

fn forwarded(iptables: &str, nft: &str) -> Option<(Keeper, String)> {
    let rules = Ruleset::read(iptables, nft);
    let found = rules.dropped(Hook::Forward, &packet("lan", Some("eth0")));
    found.map(|dropped| (dropped.keeper, dropped.by))
}

/// As `iptables-save -c` says it on a hypervisor with libvirt's own rules.
const LIBVIRT: &str = "*nat\n:FORWARD DROP [0:0]\nCOMMIT\n*filter\n:FORWARD ACCEPT [0:0]\n:LIBVIRT_FWI - [0:0]\n\
    :LIBVIRT_FWO - [0:0]\n:LIBVIRT_FWX - [0:0]\n[1:2] -A FORWARD -j LIBVIRT_FWX\n[1:2] -A FORWARD -j LIBVIRT_FWI\n\
    [1:2] -A FORWARD -j LIBVIRT_FWO\n[0:0] -A LIBVIRT_FWI -d 10.1.0.0/24 -o lan -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
    [0:0] -A LIBVIRT_FWI -o lan -j REJECT --reject-with icmp-port-unreachable\n\
    [0:0] -A LIBVIRT_FWO -s 10.1.0.0/24 -i lan -j ACCEPT\n[0:0] -A LIBVIRT_FWO -i lan -j REJECT\n\
    [0:0] -A LIBVIRT_FWX -i lan -o lan -j ACCEPT\nCOMMIT\n";

#[test]
fn rules_of_iptables_are_walked_as_the_kernel_does() {
    assert_eq!(forwarded("", ""), None);
    assert_eq!(forwarded(LIBVIRT, ""), None);
    let rules = Ruleset::read(LIBVIRT, "");
    assert!(rules.dropped(Hook::Forward, &packet("eth0", Some("lan"))).is_some());
    assert_eq!(rules.dropped(Hook::Forward, &packet("lan", Some("lan"))), None);
    // Docker's own rules do not mean us; libvirt's before them do.
    let docker = LIBVIRT.replace(":FORWARD ACCEPT", ":FORWARD DROP").replace(
        "[1:2] -A FORWARD -j LIBVIRT_FWX\n",
        ":DOCKER-USER - [0:0]\n[1:2] -A FORWARD -j DOCKER-USER\n[1:2] -A FORWARD -j LIBVIRT_FWX\n",
    );
    assert_eq!(forwarded(&docker, ""), None);
    let flushed = docker
        .replace("-A LIBVIRT_FWO -s 10.1.0.0/24 -i lan -j ACCEPT", "")
        .replace("[0:0] -A LIBVIRT_FWO -i lan -j REJECT\n", "");
    let (keeper, by) = forwarded(&flushed, "").unwrap();
    assert_eq!(keeper, Keeper::Docker);
    assert!(by.contains("policy of chain FORWARD (iptables)"), "{by}");
    let user = flushed.replace("COMMIT\n", "[0:0] -A DOCKER-USER -i lan -j ACCEPT\nCOMMIT\n");
    assert_eq!(forwarded(&user, ""), None);
}

/// It is better to say nothing than something wrong.
#[test]
fn what_cannot_be_told_of_rules_is_not_said_to_drop() {
    let with = |rules: &str| {
        let text = format!("*filter\n:FORWARD DROP [0:0]\n:X - [0:0]\n{rules}\nCOMMIT\n");
        forwarded(&text, "").is_some()
    };
    assert!(with(""));
    for passes in [
        "-A FORWARD -m set --match-set trusted src -j ACCEPT",
        "-A FORWARD -p tcp -j ACCEPT",
        "-A FORWARD -j NFQUEUE --queue-num 1",
        "-A FORWARD -m mark --mark 0x1 -j X\n-A X -j ACCEPT",
        "-A FORWARD ! -i docker0 -j ACCEPT",
        "-A FORWARD -i la+ -m comment --comment \"let it -j pass\" -j ACCEPT",
        "-A FORWARD -g X\n-A X -i lan -j ACCEPT",
    ] {
        assert!(!with(passes), "{passes}");
    }
    for drops in [
        "-A FORWARD -i docker0 -m set --match-set trusted src -j ACCEPT",
        "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A FORWARD ! -i lan -j ACCEPT",
        "-A FORWARD -j LOG --log-prefix \"no -j ACCEPT\"",
        "-A FORWARD -g X\n-A FORWARD -j ACCEPT",
        "-A FORWARD -j X\n-A X -i lan -j REJECT\n-A FORWARD -j ACCEPT",
        // A circle.
        "-A FORWARD -o else -j X\n-A X -j X",
    ] {
        assert!(with(drops), "{drops}");
    }
    // A circle that is entered, and words without an end.
    assert!(!with("-A FORWARD -j X\n-A X -j X"));
    for odd in [
        "-A",
        "-A FORWARD",
        "-A FORWARD -i",
        "-A FORWARD !",
        "-A \"",
        "-A NOWHERE -j ACCEPT",
        ":",
        "[1",
    ] {
        assert!(with(odd), "{odd}");
    }
}

#[test]
fn rules_of_nft_are_walked_as_the_kernel_does() {
    let with = |policy: &str, exprs: &[&str]| {
        let chain = |name: &str, more: &str| {
            format!(
                "{{\"chain\": {{\"family\": \"inet\", \"table\": \"firewalld\", \"name\": \"{name}\"{more}}}}}"
            )
        };
        let base =
            format!(", \"type\": \"filter\", \"hook\": \"forward\", \"policy\": \"{policy}\"");
        let rule = |(at, expr): (usize, &&str)| {
            let name = if at == 0 { "sub" } else { "base" };
            format!(
                "{{\"rule\": {{\"family\": \"inet\", \"table\": \"firewalld\", \"chain\": \"{name}\", \"handle\": 4, \"expr\": [{expr}]}}}}"
            )
        };
        let rules = exprs.iter().enumerate().map(rule);
        let all: Vec<String> =
            [chain("sub", ""), chain("base", &base)].into_iter().chain(rules).collect();
        forwarded("", &format!("{{\"nftables\": [{}]}}", all.join(", ")))
    };
    let meta = |key: &str, right: &str| {
        format!(
            "{{\"match\": {{\"op\": \"==\", \"left\": {{\"meta\": {{\"key\": \"{key}\"}}}}, \"right\": {right}}}}}"
        )
    };
    let (lan, other) = (meta("iifname", "\"lan\""), meta("iifname", "{\"set\": [\"a\", \"b*\"]}"));
    let (accept, reject) = ("{\"accept\": null}", "{\"reject\": {\"type\": \"icmpx\"}}");
    let jump = "{\"jump\": {\"target\": \"sub\"}}";
    let states = "{\"vmap\": {\"key\": {\"ct\": {\"key\": \"state\"}}, \"data\": {\"set\": \
        [[\"established\", {\"accept\": null}], [\"invalid\", {\"drop\": null}]]}}}";
    assert_eq!(with("accept", &[""]), None);
    let dropped = with("drop", &["", states]).unwrap();
    assert_eq!(dropped.0, Keeper::Firewalld);
    let of = |first: &str, second: &str| format!("{first}, {second}");
    assert!(with("accept", &[&of(&lan, reject), jump]).is_some());
    assert_eq!(with("drop", &[&of(&lan, accept), jump]), None);
    assert!(with("accept", &["", &of(&other, accept), reject]).is_some());
    // A set that is kept elsewhere may have it.
    assert_eq!(with("drop", &["", &of(&meta("iifname", "\"@trusted\""), accept)]), None);
    assert!(with("drop", &["", &of(&meta("nfproto", "\"ipv6\""), accept)]).is_some());
    // What is iptables' own is asked of iptables.
    let own = "{\"nftables\": [{\"chain\": {\"family\": \"ip\", \"table\": \"filter\", \"name\": \"FORWARD\", \
        \"type\": \"filter\", \"hook\": \"forward\", \"policy\": \"drop\"}}]}";
    assert!(forwarded("", own).is_some());
    assert_eq!(forwarded(LIBVIRT, own), None);
    for odd in ["", "[", "{}", "{\"nftables\": [{\"rule\": {}}, {\"chain\": 1}]}"] {
        assert_eq!(forwarded("", odd), None);
    }
}
