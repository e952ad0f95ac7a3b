//! BMCs: where they are, when they are served, and when that changes.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::BTreeSet;
use std::net::IpAddr;

use maquette_core::blueprint::BmcNode;
use maquette_core::names::EnvName;
use maquette_core::observed::{Listening, Observed};
use maquette_core::plan::{self, Action, Op, Plan, Requirements};
use maquette_core::topology::{BmcChoice, BmcProtocol};
use maquette_core::values::BmcCredentials;
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
    input.request.settings.bmc = Some(BmcChoice::On(BmcProtocol::Both));
    input.request.settings.bmc_network = network.map(|n| n.parse().unwrap());
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

/// What a network of IPv6 has besides: DHCP's range at its end.
const SIX: &str = "
networks:
  net1: {name: lan, forward: nat, ip_address: 10.1.0.1, netmask: 255.255.255.0, dhcp: {range: {start: 10.1.0.2, end: 10.1.0.9}}}
  net2: {name: oob, ipv6: {ip_address: 'fd00:2::1', prefix: 64, dhcp: {range: {start: 'fd00:2::2', end: 'fd00:2::9'}}}}
  net3: {name: end, ipv6: {ip_address: 'fd00:3::1', prefix: 120, dhcp: {range: {start: 'fd00:3::2', end: 'fd00:3::fd'}}}}
";

#[test]
fn a_network_of_ipv6_alone_has_addresses_for_bmcs() {
    let asked = |count, network: &str| {
        let mut input = input(&[(BLANK, count)], SIX, &[]);
        input.request.settings.bmc = Some(BmcChoice::On(BmcProtocol::Both));
        input.request.settings.bmc_network = Some(network.parse().unwrap());
        input
    };
    let two = asked(2, "oob");
    let seen = built(&two);
    let own = |end: &str| {
        let address = format!("fd00:2::ffff:ffff:ffff:{end}");
        format!("https://[{address}], IPMI [{address}]:623")
    };
    assert_eq!(places(&two, &seen), [own("ff7f"), own("ff7e")]);
    assert!(plan_of(&two, &seen).is_empty());
    // Nodes are given others.
    for bmc in seen.domains.values().filter_map(|domain| domain.recorded.bmc.as_ref()) {
        let taken: Vec<IpAddr> = seen.taken_v6(&bmc.network).into_iter().map(IpAddr::V6).collect();
        assert!(taken.contains(&bmc.address), "{taken:?}");
    }
    let end = asked(1, "end");
    let address = "fd00:3::fe";
    let one = [format!("https://[{address}], IPMI [{address}]:623")];
    assert_eq!(places(&end, &built(&end)), one);
    let seen = machine(&["eth0"]);
    let (_, diags) = expand(&topology(&asked(2, "end"), &seen), &seen);
    assert_eq!(diags.iter().map(|d| d.code).collect::<Vec<_>>(), ["bmc::network"]);
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
    without.request.settings.bmc = Some(BmcChoice::Off);
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

/// Whoever had an account of the old one could start it while its disks went, and had the new one.
#[test]
fn the_bmc_of_a_node_that_is_made_anew_is_forgotten_before_its_disks_go() {
    let with_os = BLANK.replace("deploy_os: no\n", "").replace("blank", "web") + "bmc: redfish\n";
    let asked = |keys: &str, blanks| {
        let web = with_os.clone() + keys;
        let blank = BLANK.to_string() + "bmc: redfish\n";
        input(&[(&web, 1), (&blank, blanks)], NETWORK, &[])
    };
    for (blanks, forgets) in [(1, "forget the BMC of web-0"), (0, "stop the BMCs")] {
        let mut seen = built(&asked("", blanks));
        let other = asked("packages: [vim]\n", blanks);
        let plan = plan_of(&other, &seen);
        let titles = titles(&plan);
        let at = |title: &str| titles.iter().position(|t| t == title).unwrap();
        let [forget, off] = [forgets, "power off domain web-0"].map(at);
        assert!(plan.steps[off].after.contains(&plan.steps[forget].id), "{titles:?}");
        let serve = titles.iter().position(|t| t.starts_with("serve")).unwrap();
        let gone = &plan.steps[at("undefine domain web-0")].id;
        assert!(plan.steps[serve].after.contains(gone), "{titles:?}");
        apply(&mut seen, &plan.steps);
        assert!(plan_of(&other, &seen).is_empty(), "{:?}", plan_of(&other, &seen).steps);
        // Undefined by somebody.
        seen.domains.remove("web-0");
        assert_eq!(of_bmcs(&plan_of(&other, &seen))[0], forgets);
    }
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
    input.request.settings.bmc = Some(BmcChoice::On(BmcProtocol::Redfish));
    assert_eq!(places(&input, &machine(&["eth0"])), ["IPMI 10.1.0.1:6230"]);
}

/// Blank nodes beside one with an operating system and an appliance, where nobody says anything of BMCs.
fn unasked(network: &str) -> Input {
    let with_os = BLANK.replace("deploy_os: no\n", "").replace("blank", "web");
    let appliance = with_os.replace("web", "switch") + "supports_libguestfs: no\n";
    let mut input = input(&[(BLANK, 2), (&with_os, 1), (&appliance, 1)], network, &[]);
    input.request.settings.bmc = None;
    input
}

fn switched_off(network: &str) -> Input {
    let mut input = unasked(network);
    input.request.settings.bmc = Some(BmcChoice::Off);
    input
}

#[test]
fn blank_nodes_have_bmcs_that_speak_all_there_is_unless_somebody_says_otherwise() {
    let seen = machine(&["eth0"]);
    assert_eq!(places(&unasked(NETWORK), &seen), [at(8443, 6230), at(8444, 6231)]);
    assert!(Requirements::of(&topology(&unasked(NETWORK), &seen)).media);
    assert_eq!(places(&switched_off(NETWORK), &seen), [""; 0]);
    assert!(!Requirements::of(&topology(&switched_off(NETWORK), &seen)).media);
    let own = BLANK.to_string() + "bmc: off\n";
    let mut input = input(&[(&own, 1)], NETWORK, &[]);
    input.request.settings.bmc = None;
    assert_eq!(places(&input, &seen), [""; 0]);
}

/// Nobody has asked for what cannot be.
#[test]
fn blank_nodes_on_networks_where_the_hypervisor_has_no_address_are_without() {
    let none = "networks: {net1: {name: lan, forward: none}}\n";
    let seen = machine(&["eth0"]);
    assert_eq!(places(&unasked(none), &seen), [""; 0]);
    assert!(!Requirements::of(&topology(&unasked(none), &seen)).media);
    let mut asked = unasked(none);
    asked.request.settings.bmc = Some(BmcChoice::On(BmcProtocol::Both));
    let (_, diags) = expand(&topology(&asked, &seen), &seen);
    assert_eq!(diags.iter().map(|d| d.code).collect::<Vec<_>>(), ["bmc::network"]);
}

/// As they do with the next `up` of whoever has built them with an older Maquette.
#[test]
fn blank_nodes_that_are_there_get_bmcs_and_run_on() {
    let mut seen = built(&switched_off(NETWORK));
    let plan = plan_of(&unasked(NETWORK), &seen);
    assert_eq!(of_bmcs(&plan), ["serve 2 BMCs"]);
    let made: Vec<&str> =
        plan.changes.iter().filter(|c| c.op == Op::Create).map(|c| c.name.as_str()).collect();
    assert_eq!(made, ["blank-0", "blank-1"]);
    let stops = |a: &Action| {
        matches!(
            a,
            Action::StopDomain { .. } | Action::StartDomain { .. } | Action::DeleteVolume { .. }
        )
    };
    assert!(!plan.steps.iter().any(|step| stops(&step.action)), "{:?}", titles(&plan));
    apply(&mut seen, &plan.steps);
    assert!(plan_of(&unasked(NETWORK), &seen).is_empty());
}

/// Steps by their titles, each with the titles of those that it waits for.
fn waits(plan: &Plan, title: &str) -> Vec<String> {
    let step = plan.steps.iter().find(|step| step.action.title() == title).unwrap();
    let before = |id| plan.steps.iter().find(|s| s.id == id).unwrap().action.title();
    step.after.iter().map(|id| before(*id)).collect()
}

/// Its BMC could switch it on again while its disks go.
#[test]
fn a_node_stops_once_its_bmc_is_served_no_more() {
    let seen = built(&asked(2, None));
    let all = plan::destroy(&seen, &EnvName::default());
    assert_eq!(waits(&all, "power off domain blank-0"), ["stop the BMCs"]);
    let one = BTreeSet::from(["blank-0".to_string()]);
    let some = plan::remove_nodes(&seen, &EnvName::default(), &one);
    assert_eq!(waits(&some, "power off domain blank-0"), ["forget the BMC of blank-0"]);
    let fewer = plan_of(&asked(1, None), &seen);
    assert_eq!(of_bmcs(&fewer), ["forget the BMC of blank-1"]);
    assert_eq!(waits(&fewer, "power off domain blank-1"), ["forget the BMC of blank-1"]);
    // One that is off is not to start either.
    let mut off = seen;
    for domain in off.domains.values_mut() {
        (domain.active, domain.live) = (false, None);
    }
    let all = plan::destroy(&off, &EnvName::default());
    let first = all.steps.iter().find(|s| matches!(s.action, Action::DeleteVolume { .. })).unwrap();
    assert_eq!(waits(&all, &first.action.title()), ["stop the BMCs"]);
}

fn taken(udp: bool, address: Option<&str>, port: u16) -> Listening {
    Listening { udp, address: address.map(|text| text.parse().unwrap()), port }
}

#[test]
fn ports_that_another_program_has_are_left_to_it() {
    let mut seen = machine(&["eth0"]);
    let others = [
        taken(true, Some("0.0.0.0"), 6230),
        taken(false, Some("10.1.0.1"), 8444),
        // Of another protocol, another address, or another family.
        taken(true, None, 8445),
        taken(true, Some("192.0.2.1"), 6232),
        taken(true, Some("::"), 6232),
    ];
    seen.host.listening.extend(others);
    let both = asked(2, None);
    assert_eq!(places(&both, &seen), [at(8445, 6232), at(8446, 6233)]);
    let plan = plan_of(&both, &seen);
    apply(&mut seen, &plan.steps);
    // Now these are the environment's own.
    seen.host.listening.insert(taken(false, Some("10.1.0.1"), 8445));
    assert!(plan_of(&both, &seen).is_empty());
    let bmcs = seen.bmcs.as_mut().unwrap();
    (bmcs.run, bmcs.unreached) = (false, ["blank-0".parse().unwrap()].into());
    assert_eq!(places(&both, &seen), [at(8447, 6234), at(8446, 6233)]);
}

#[test]
fn a_standard_port_that_another_program_has_everywhere_is_an_error() {
    let mut seen = machine(&["eth0"]);
    seen.host.listening.insert(taken(false, None, 443));
    let mut asked = asked(1, Some("oob"));
    let (_, diags) = expand(&topology(&asked, &seen), &seen);
    assert_eq!(diags.iter().map(|d| d.code).collect::<Vec<_>>(), ["bmc::port"]);
    asked.request.settings.bmc = Some(BmcChoice::On(BmcProtocol::Ipmi));
    assert_eq!(places(&asked, &seen), ["IPMI 10.2.0.14:623"]);
}

/// A network on which nodes get the addresses that BMCs have, too.
fn on_oob(count: u32, range: &str) -> Input {
    let network = NETWORK.replace("{start: 10.2.0.2, end: 10.2.0.12}", range);
    let role = BLANK.replace("[{network: lan}]", "[{network: lan}, {network: oob}]");
    let mut input = input(&[(&role, count)], &network, &[]);
    input.request.settings.bmc = Some(BmcChoice::On(BmcProtocol::Both));
    input.request.settings.bmc_network = Some("oob".parse().unwrap());
    input
}

/// A range that has become larger reaches over what BMCs have: these move, and no node gets what one has.
#[test]
fn nodes_and_bmcs_never_have_the_same_address() {
    let mut seen = built(&on_oob(2, "{start: 10.2.0.2, end: 10.2.0.4}"));
    for (count, range) in
        [(3, "{start: 10.2.0.11, end: 10.2.0.13}"), (4, "{start: 10.2.0.9, end: 10.2.0.14}")]
    {
        let asked = on_oob(count, range);
        let blueprint = blueprint_of(&asked, &seen);
        let nics = blueprint.nodes.iter().flat_map(|node| &node.interfaces);
        let nodes: Vec<IpAddr> =
            nics.filter_map(|nic| nic.ipv4.address()).map(|net| net.addr().into()).collect();
        let bmcs: Vec<IpAddr> =
            blueprint.nodes.iter().filter_map(|node| Some(node.bmc.as_ref()?.address)).collect();
        assert_eq!(bmcs.len(), count as usize);
        assert!(bmcs.iter().all(|bmc| !nodes.contains(bmc)), "{bmcs:?} {nodes:?}");
        let network = blueprint.networks.iter().find(|n| *n.name == *"oob").unwrap();
        let dhcp = network.dhcp4.unwrap();
        let leased = |ip: &IpAddr| IpAddr::from(dhcp.start) <= *ip && *ip <= IpAddr::from(dhcp.end);
        assert!(!bmcs.iter().any(leased), "{bmcs:?} {range}");
        let plan = plan_of(&asked, &seen);
        apply(&mut seen, &plan.steps);
        assert!(plan_of(&asked, &seen).is_empty());
    }
}

/// While a BMC has an address that it will leave, a node that comes does not get it.
#[test]
fn what_a_bmc_has_no_new_node_gets() {
    let seen = built(&on_oob(1, "{start: 10.2.0.2, end: 10.2.0.4}"));
    // The BMC is at .14.
    let blueprint = blueprint_of(&on_oob(2, "{start: 10.2.0.13, end: 10.2.0.14}"), &seen);
    let second = blueprint.nodes.iter().find(|node| *node.name == *"blank-1").unwrap();
    let nic = second.interfaces.iter().find(|nic| *nic.network == *"oob").unwrap();
    assert_eq!(nic.ipv4.address().map(|net| net.addr().to_string()), Some("10.2.0.13".into()));
}

#[test]
fn who_lets_bmcs_lead_to_the_hypervisor_has_them_served_anew() {
    let seen = built(&asked(1, None));
    let mut open = asked(1, None);
    open.request.settings.bmc_hypervisor_urls = true;
    let plan = plan_of(&open, &seen);
    let served = plan.steps.iter().find_map(|step| match &step.action {
        Action::ServeBmcs { nodes, .. } => Some(nodes[0].hypervisor_urls),
        _ => None,
    });
    assert_eq!((of_bmcs(&plan).len(), served), (1, Some(true)));
}

/// Their users may send the hypervisor there.
#[test]
fn bmcs_are_told_which_networks_are_their_environments() {
    let seen = built(&asked(1, None));
    let more = blueprint_of(&asked(2, None), &seen);
    let plan = plan_of(&asked(2, None), &seen);
    let mut own: Vec<String> = more.networks.iter().map(|n| n.bridge.to_string()).collect();
    own.sort();
    assert!(!own.is_empty());
    for node in served(&plan) {
        let told: Vec<String> = node.networks.iter().map(ToString::to_string).collect();
        assert_eq!(told, own);
    }
}

/// The BMCs that a plan has served.
fn served(plan: &Plan) -> Vec<BmcNode> {
    let served = plan.steps.iter().find_map(|step| match &step.action {
        Action::ServeBmcs { nodes, .. } => Some(nodes.clone()),
        _ => None,
    });
    served.unwrap_or_default()
}

#[test]
fn another_account_has_bmcs_served_anew_and_its_password_is_in_no_words() {
    let mut chosen = asked(2, None);
    let seen = built(&chosen);
    for account in ["environment", "root:Only-4-trials"] {
        chosen.request.settings.bmc_credentials = account.parse().unwrap();
        let plan = plan_of(&chosen, &seen);
        assert!(served(&plan).iter().all(|node| node.credentials == account.parse().unwrap()));
        assert_eq!((served(&plan).len(), plan.steps.len()), (2, 1), "{account}");
        let words = format!("{plan:?}");
        assert!(!words.contains("Only-4-trials"), "{words}");
    }
    for wrong in [
        "admin",
        ":Only-4-trials",
        "root:short",
        "a b:Only-4-trials",
        "root:Only-4-trials-and-more",
        "root:Only'4-trials",
    ] {
        let error = wrong.parse::<BmcCredentials>().unwrap_err();
        assert!(!error.contains("Only"), "{error}");
    }
}

/// Where they cannot be served, nodes nobody has asked a BMC for do without.
#[test]
fn who_has_not_asked_for_bmcs_has_not() {
    let mut quiet = asked(1, None);
    quiet.request.settings.bmc = None;
    let said = |input: &Input| served(&plan_of(input, &machine(&["eth0"])))[0].asked;
    assert!(!said(&quiet));
    assert!(said(&asked(1, None)));
    quiet.request.settings.bmc_network = Some("oob".parse().unwrap());
    assert!(said(&quiet));
    let mut of_type = input(&[(&BLANK.replace("cpu: 1", "bmc: ipmi\ncpu: 1"), 1)], NETWORK, &[]);
    of_type.request.settings.bmc = None;
    assert!(said(&of_type));
}

/// Why a plan changes the only node.
fn reasons(asked: &Input, seen: &Observed) -> String {
    let plan = plan_of(asked, seen);
    let change = plan.changes.iter().find(|change| change.name == "blank-0");
    change.map(|change| change.reason.to_string()).unwrap_or_default()
}

#[test]
fn a_plan_names_each_thing_that_changes_of_a_bmc() {
    let seen = built(&asked(1, None));
    assert_eq!(reasons(&asked(1, None), &seen), "");
    let mut other = asked(1, None);
    other.request.settings.bmc = Some(BmcChoice::On(BmcProtocol::Ipmi));
    assert_eq!(reasons(&other, &seen), "its BMC speaks: both → ipmi");
    other.request.settings.bmc = Some(BmcChoice::Off);
    assert_eq!(reasons(&other, &seen), "it no longer has a BMC");
    let words = reasons(&asked(1, Some("oob")), &seen);
    for part in [
        "network of its BMC: lan → oob",
        "address of its BMC: 10.1.0.1 → 10.2.0.14",
        "address of its BMC is: the hypervisor's → its own",
        "Redfish port of its BMC: 8443 → 443",
        "IPMI port of its BMC: 6230 → 623",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let chosen = BLANK.replace("cpu: 1", "pxe_network: lan\ncpu: 1");
    let mut chosen = input(&[(&chosen, 1)], NETWORK, &[]);
    chosen.request.settings.bmc = Some(BmcChoice::On(BmcProtocol::Both));
    let words = reasons(&chosen, &seen);
    assert!(words.starts_with("NIC that it is provisioned on: any → "), "{words}");
}
