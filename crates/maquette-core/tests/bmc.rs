//! BMCs: where they are, when they are served, and when that changes.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::BTreeSet;

use maquette_core::names::EnvName;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Action, Plan};
use maquette_core::topology::{BmcChoice, BmcProtocol};
use maquette_testkit::{
    Input, apply, blueprint_of, expand, input, machine, plan_of, titles, topology,
};

const NETWORK: &str = "
networks:
  net1: {name: lan, forward: nat, ip_address: 10.1.0.1, netmask: 255.255.255.0, dhcp: {range: {start: 10.1.0.2, end: 10.1.0.9}}}
  net2: {name: oob, forward: none, ip_address: 10.2.0.1, netmask: 255.255.255.240, dhcp: {range: {start: 10.2.0.2, end: 10.2.0.12}}}
";

const BLANK: &str = "blank=name: blank\ncpu: 1\nmemory: 512\ndeploy_os: no\ndisks: {disk1: {size: 1G}}\n\
                     interfaces: [{network: lan}]\n";

/// So many blank nodes with BMCs, on a network with an address for each if one is named.
fn asked(count: u32, network: Option<&str>) -> Input {
    let mut input = input(&[(BLANK, count)], NETWORK, &[]);
    input.request.settings.bmc = BmcChoice::On(BmcProtocol::Both);
    input.request.settings.bmc_network = network.map(String::from);
    input
}

fn built(input: &Input) -> Observed {
    let mut seen = machine(&["eth0"]);
    let plan = plan_of(input, &seen);
    apply(&mut seen, &plan.steps);
    seen
}

/// Where BMCs are, for people.
fn places(input: &Input, seen: &Observed) -> Vec<String> {
    let nodes = blueprint_of(input, seen).nodes;
    nodes.iter().filter_map(|node| Some(node.bmc.as_ref()?.describe())).collect()
}

/// What is done about BMCs.
fn of_bmcs(plan: &Plan) -> Vec<String> {
    titles(plan).into_iter().filter(|title| title.contains("BMC")).collect()
}

fn at(port: u16, ipmi: u16) -> String {
    format!("https://10.1.0.1:{port}, IPMI 10.1.0.1:{ipmi}")
}

#[test]
fn bmcs_that_share_an_address_have_ports_and_keep_them() {
    let mut seen = built(&asked(3, None));
    assert_eq!(places(&asked(3, None), &seen), [at(8443, 6230), at(8444, 6231), at(8445, 6232)]);
    assert!(plan_of(&asked(3, None), &seen).is_empty());
    let gone = BTreeSet::from(["blank-0".to_string()]);
    let plan = plan::remove_nodes(&seen, &EnvName::default(), &gone);
    assert_eq!(of_bmcs(&plan), ["forget the BMC of blank-0"]);
    apply(&mut seen, &plan.steps);
    assert!(plan_of(&asked(2, None), &seen).is_empty());
    assert_eq!(places(&asked(3, None), &seen), [at(8443, 6230), at(8444, 6231), at(8445, 6232)]);
}

#[test]
fn addresses_of_their_own_are_at_the_end_of_the_subnet_and_not_where_dhcp_gives_any() {
    let asked = asked(2, Some("oob"));
    let seen = built(&asked);
    let own = |last| format!("https://10.2.0.{last}, IPMI 10.2.0.{last}:623");
    assert_eq!(places(&asked, &seen), [own(14), own(13)]);
    assert!(plan_of(&asked, &seen).is_empty());
}

#[test]
fn a_network_without_room_or_address_is_an_error() {
    let seen = machine(&["eth0"]);
    for (count, network) in [(3, "oob"), (1, "nowhere")] {
        let asked = asked(count, Some(network));
        let (_, diags) = expand(&topology(&asked, &seen), &seen);
        let codes: Vec<&str> = diags.iter().map(|d| d.code).collect();
        assert_eq!(codes, ["bmc::network"], "{network}");
    }
}

#[test]
fn what_is_not_served_any_more_is_served_again() {
    let asked = asked(1, Some("oob"));
    let seen = built(&asked);
    let mended = |change: fn(&mut Observed)| {
        let mut seen = seen.clone();
        change(&mut seen);
        of_bmcs(&plan_of(&asked, &seen))
    };
    let again = ["serve the BMC of blank-0"];
    assert_eq!(mended(|seen| seen.bmcs.as_mut().unwrap().run = false), again);
    assert_eq!(mended(|seen| seen.bmcs = None), again);
    assert_eq!(mended(|seen| seen.host.addresses.clear()), again);
    let stop = |seen: &mut Observed| seen.networks.values_mut().for_each(|n| n.active = false);
    assert_eq!(mended(stop), again);
    assert_eq!(mended(|_| {}), [""; 0]);
}

/// Ironic has switched it off.
#[test]
fn a_node_that_is_off_and_has_a_bmc_stays_off() {
    let mut seen = built(&asked(1, None));
    let domain = seen.domains.values_mut().next().unwrap();
    (domain.active, domain.live) = (false, None);
    assert!(plan_of(&asked(1, None), &seen).is_empty());
    let mut without = asked(1, None);
    without.request.settings.bmc = BmcChoice::Off;
    let plan = plan_of(&without, &seen);
    assert_eq!(of_bmcs(&plan), ["stop the BMCs"]);
    assert!(plan.steps.iter().any(|s| matches!(s.action, Action::StartDomain { .. })));
}

#[test]
fn a_node_that_is_made_anew_starts_though_its_bmc_had_switched_it_off() {
    let with_os = |keys: &str| BLANK.replace("deploy_os: no\n", "") + "bmc: redfish\n" + keys;
    let asked = |keys: &str| input(&[(&with_os(keys), 1)], NETWORK, &[]);
    let mut seen = built(&asked(""));
    let domain = seen.domains.values_mut().next().unwrap();
    (domain.active, domain.live) = (false, None);
    let starts = |plan: &Plan| {
        let start = |a: &Action| matches!(a, Action::StartDomain { .. });
        plan.steps.iter().filter(|step| start(&step.action)).count()
    };
    assert_eq!(starts(&plan_of(&asked(""), &seen)), 0);
    let other = asked("packages: [vim]\n");
    let plan = plan_of(&other, &seen);
    assert_eq!(starts(&plan), 1, "{:?}", titles(&plan));
}

#[test]
fn an_environment_that_goes_takes_its_bmcs_along_and_is_there_as_long_as_they_are() {
    let mut seen = built(&asked(2, None));
    let plan = plan::destroy(&seen, &EnvName::default());
    assert_eq!(of_bmcs(&plan), ["stop the BMCs"]);
    apply(&mut seen, &plan.steps);
    assert!(!seen.exists());
    // A run was killed before it had ended them.
    seen.bmcs = Some(Default::default());
    assert!(seen.exists());
    assert_eq!(of_bmcs(&plan::destroy(&seen, &EnvName::default())), ["stop the BMCs"]);
}

#[test]
fn nodes_with_an_operating_system_have_none_unless_their_type_says_so() {
    let with_os = BLANK.replace("deploy_os: no\n", "");
    let own = with_os.replace("blank", "own") + "bmc: ipmi\n";
    let mut input = input(&[(&with_os, 1), (&own, 1)], NETWORK, &[]);
    input.request.settings.bmc = BmcChoice::On(BmcProtocol::Redfish);
    assert_eq!(places(&input, &machine(&["eth0"])), ["IPMI 10.1.0.1:6230"]);
}
