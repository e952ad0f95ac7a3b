//! What is refused since others have it or since something is unfinished, and what therefore stays.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use std::collections::BTreeSet;

use maquette_core::blueprint::DhcpHost;
use maquette_core::expand;
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::{HostLink, LeftOver, LinkKind, Observed};
use maquette_core::plan::{self, Op, Plan};
use maquette_core::values::NetworkPart;
use maquette_testkit::small::{TWO_DISKS, asked, built, extended};
use maquette_testkit::{
    Input, apply, edit, expand, input, node_volumes, plan_of, titles, topology,
};

/// What stands in the way of making it.
fn refused(wanted: &Input, seen: &Observed) -> Vec<String> {
    let topology = topology(wanted, seen);
    let (blueprint, mut diags) = expand(&topology, seen);
    expand::conflicts(&topology, &blueprint, seen, &mut diags);
    plan::replaced_in_use(&blueprint, seen, &mut diags);
    diags.iter().map(|d| d.message.clone()).collect()
}

/// What stays, and why.
fn kept(plan: &Plan) -> Vec<String> {
    let kept = plan.changes.iter().filter(|c| c.op == Op::Keep);
    kept.map(|c| format!("{}: {}", c.name, c.reason)).collect()
}

/// `virsh domrename`, or another name in a definition: what somebody had saved was deleted below it.
#[test]
fn disks_of_a_node_that_somebody_renamed_are_that_domains() {
    let wanted = asked(&[("controller", 2)], &[]);
    for overlay in [false, true] {
        let mut seen = built(&[("controller", 2)], &[]);
        let mut domain = seen.domains.remove("controller-1").unwrap();
        for disk in domain.defined.disks.iter_mut().filter(|_| overlay) {
            disk.file = disk.file.replace("disk1.qcow2", "disk1.before");
        }
        seen.claims.domain("keep", &domain.defined, None, false);
        assert!(seen.orphans().is_empty());
        let mine = "controller-1-disk1.qcow2";
        let said = format!("others use the volume `{mine}`: keep");
        assert!(refused(&wanted, &seen).contains(&said), "{:?}", refused(&wanted, &seen));
        let drifts = plan::drifts(&seen);
        let what = format!("others' domains have its volume {mine}: keep");
        assert!(drifts.iter().any(|d| d.name == "controller-1" && d.what == what), "{drifts:?}");
        let fewer = plan_of(&asked(&[("controller", 1)], &[]), &seen);
        assert!(!titles(&fewer).iter().any(|t| t.starts_with("delete volume")), "{fewer:?}");
        let plan = plan::destroy(&seen, &EnvName::default());
        let stays = format!("{mine}: stays, since others' domains use it: keep");
        assert!(kept(&plan).contains(&stays), "{:?}", kept(&plan));
        apply(&mut seen, &plan.steps);
        let left: Vec<String> = node_volumes(&seen).into_iter().collect();
        assert_eq!(left, [mine, "controller-1-seed.img"]);
    }
}

#[test]
fn disks_of_a_node_that_a_copy_has_too_outlive_the_node() {
    let mut seen = built(&[("controller", 2)], &[TWO_DISKS]);
    let copied = seen.domains["controller-1"].defined.clone();
    seen.claims.domain("copy", &copied, None, false);
    let mine = node_volumes(&seen);
    let all = |more: &[&str]| {
        let all: Vec<&str> = [TWO_DISKS].iter().chain(more).copied().collect();
        asked(&[("controller", 2)], &all)
    };
    assert_eq!(refused(&all(&[]), &seen), Vec::<String>::new());
    let said = refused(&all(&["override.controller.swap=1024"]), &seen);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said.iter().all(|s| s.ends_with("`: copy") && s.contains("`controller-1-")));
    // A disk that the topology names no more.
    let plan = plan_of(&asked(&[("controller", 2)], &[]), &seen);
    let gone = |plan: &Plan| titles(plan).into_iter().filter(|t| t.starts_with("delete")).count();
    assert_eq!(gone(&plan), 1, "{:?}", titles(&plan));
    assert_eq!(plan.losses(), [(ObjectKind::Volume, "controller-0-disk2.qcow2")]);
    let goes = BTreeSet::from(["controller-1".to_string()]);
    let plan = plan::remove_nodes(&seen, &EnvName::default(), &goes);
    apply(&mut seen, &plan.steps);
    assert!(!seen.domains.contains_key("controller-1"));
    assert_eq!(node_volumes(&seen), mine);
}

/// A controller on one of its networks only.
fn on_management() -> Input {
    let network = "{n: {name: management, forward: nat, ip_address: 172.16.0.1, dhcp: {range: {start: 172.16.0.2, end: 172.16.0.100}}}}";
    let file = format!(
        "networks: {network}\nnodes:\n  default: {{interfaces: [management], external_network: management}}\n"
    );
    let extra = ["override.controller.deploy_os=yes", "override.controller.disks.disk1.size=12G"];
    input(&[("controller", 1)], &file, &extra)
}

/// A topology without it, or with another subnet for it, took the network from below whoever was on it.
#[test]
fn a_network_that_others_are_on_is_neither_removed_nor_made_again() {
    let mut seen = built(&[("controller", 1)], &[]);
    let mut stranger = seen.domains["controller-0"].defined.clone();
    stranger.disks.clear();
    stranger.nics.truncate(1);
    stranger.nics[0].mac = "52:54:00:00:00:99".parse().unwrap();
    stranger.nics[0].network = "data".into();
    let fewer = on_management();
    let other = asked(&[("controller", 1)], &["override.networks.net1.mtu=1400"]);
    let gone = "undefine network data".to_string();
    assert!(titles(&plan_of(&fewer, &seen)).contains(&gone), "{:?}", plan_of(&fewer, &seen));
    assert_eq!(refused(&other, &seen), Vec::<String>::new());
    let alone = seen.clone();
    for active in [false, true] {
        seen = alone.clone();
        seen.claims.domain("win11", &stranger, None, active);
        let said =
            "network `data` has to be made again, and running domains of others are on it: win11";
        assert_eq!(refused(&other, &seen).contains(&said.to_string()), active);
        let plan = plan_of(&fewer, &seen);
        assert!(!titles(&plan).contains(&gone), "{:?}", titles(&plan));
        let why = "stays, since others' domains use it: win11";
        let stays = |plan: &Plan| {
            let of = |c: &&plan::Change| c.name == "data" && c.reason.to_string().contains(why);
            plan.changes.iter().find(of).map(|c| c.op)
        };
        assert_eq!(stays(&plan), Some(Op::Update), "{:#?}", plan.changes);
        apply(&mut seen, &plan.steps);
        let again = plan_of(&fewer, &seen);
        assert!(again.is_empty() && stays(&again) == Some(Op::Keep), "{:#?}", again.changes);
    }
}

/// What its record says of its bridge is not believed, but libvirt has it.
#[test]
fn a_network_whose_record_is_not_believed_stays_for_others_on_its_bridge() {
    let mut seen = built(&[("controller", 1)], &[]);
    let wanted = asked(&[("controller", 1)], &[]);
    let mut stranger = seen.domains["controller-0"].defined.clone();
    stranger.disks.clear();
    stranger.nics.truncate(1);
    stranger.nics[0].mac = "52:54:00:00:00:99".parse().unwrap();
    let bridge = seen.networks["data"].defined.bridge.clone();
    stranger.nics[0].network = format!("bridge/{bridge}");
    edit(&mut seen, ObjectKind::Network, "data");
    let gone = "undefine network data".to_string();
    let destroy = |seen: &Observed| titles(&plan::destroy(seen, &EnvName::default()));
    assert!(destroy(&seen).contains(&gone), "{:?}", destroy(&seen));
    seen.claims.domain("win11", &stranger, None, true);
    assert!(!destroy(&seen).contains(&gone), "{:?}", destroy(&seen));
    let said =
        "network `data` has to be made again, and running domains of others are on it: win11";
    assert!(refused(&wanted, &seen).contains(&said.to_string()), "{:?}", refused(&wanted, &seen));
}

/// `virsh net-edit`: what somebody had made of a network went without a question.
#[test]
fn what_somebody_edited_in_a_network_wants_a_confirmation_of_its_own() {
    let whole = built(&[("controller", 1)], &[]);
    let wanted = asked(&[("controller", 1)], &[]);
    let other = asked(&[("controller", 1)], &["override.networks.net1.mtu=1400"]);
    let fewer = on_management();
    let mut record = whole.clone();
    edit(&mut record, ObjectKind::Network, "data");
    let mut definition = whole.clone();
    definition.networks.get_mut("data").unwrap().defined.mtu = Some(9000);
    for seen in [record, definition] {
        for wanted in [&wanted, &other, &fewer] {
            let plan = plan_of(wanted, &seen);
            assert_eq!(plan::undone_edits(&plan, &seen), ["data"], "{:#?}", plan.changes);
            let data = plan.changes.iter().find(|c| c.name == "data").unwrap();
            let said = "what was edited in it is lost";
            assert!(data.reason.all.iter().any(|why| why == said), "{data:?}");
        }
    }
    // Of what nobody has edited nothing is lost.
    for wanted in [&other, &fewer] {
        let plan = plan_of(wanted, &whole);
        assert!(plan.changes.iter().any(|c| c.name == "data" && c.op != Op::Keep));
        assert!(plan::undone_edits(&plan, &whole).is_empty(), "{:#?}", plan.changes);
    }
}

/// `<dns><host>`, `<route>`, a reservation: nothing compares these with the record, and they went without a question.
#[test]
fn what_somebody_added_to_a_network_wants_that_confirmation_too() {
    let whole = built(&[("controller", 1)], &[]);
    let mut seen = whole.clone();
    let added = ["route", "dns/host"].map(|part| part.parse::<NetworkPart>().unwrap());
    seen.networks.get_mut("data").unwrap().added.extend(added);
    let lost = |wanted: &Input, seen: &Observed| {
        let plan = plan_of(wanted, seen);
        let data = plan.changes.iter().find(|c| c.name == "data").unwrap();
        let said = data.reason.all.iter().find(|why| why.starts_with("what was edited"));
        assert_eq!(plan::undone_edits(&plan, seen).is_empty(), said.is_none(), "{data:?}");
        said.cloned()
    };
    let again = asked(&[("controller", 1)], &["override.networks.net1.mtu=1400"]);
    let fewer = on_management();
    // It stays, and is defined with another reservation.
    let larger = asked(&[("controller", 2)], &[]);
    let said = Some("what was edited in it is lost: dns/host, route".to_string());
    for wanted in [&again, &fewer, &larger] {
        assert_eq!(lost(wanted, &seen), said);
        assert_eq!(lost(wanted, &whole), None);
    }
    // Nothing is done to it, and nothing is lost.
    assert_eq!(lost(&asked(&[("controller", 1)], &[]), &seen), None);
    let plan = plan_of(&larger, &seen);
    apply(&mut seen, &plan.steps);
    assert!(seen.networks["data"].added.is_empty());

    let mut seen = whole;
    let host = DhcpHost { name: None, mac: None, ip: "172.16.0.99".parse().unwrap() };
    seen.networks.get_mut("data").unwrap().defined.hosts.insert(host);
    let said = Some("what was edited in it is lost: ip/dhcp/host".to_string());
    assert_eq!((lost(&again, &seen), lost(&fewer, &seen)), (said.clone(), said));
}

/// Nothing named them any more, so that nothing ever removed them.
#[test]
fn a_disk_that_stays_for_its_clones_is_recorded_before_its_record_goes() {
    for undefined in [false, true] {
        let mut seen = built(&[("controller", 2)], &[]);
        let pool = seen.domains["controller-0"].pool.clone();
        let file = "/var/lib/libvirt/images/controller-1-disk1.qcow2";
        seen.claims.hold_below(file, "volume clone.qcow2");
        if undefined {
            seen.domains.remove("controller-1");
        }
        let goes = BTreeSet::from(["controller-1".to_string()]);
        let environment = EnvName::default();
        let plans =
            [plan::destroy(&seen, &environment), plan::remove_nodes(&seen, &environment, &goes)];
        for plan in plans {
            let titles = titles(&plan);
            let record = "record that volume controller-1-disk1.qcow2 stays";
            assert_eq!(titles.iter().filter(|t| *t == record).count(), 1, "{titles:?}");
            let kept = kept(&plan).concat();
            assert!(kept.contains("others' disks are over it: volume clone.qcow2"), "{kept}");
            assert!(kept.contains("`maquette image prune` removes it"), "{kept}");
            // The model refuses what nothing names.
            let mut seen = seen.clone();
            apply(&mut seen, &plan.steps);
            assert!(seen.has_volume(&pool, "controller-1-disk1.qcow2"));
        }
        // One that a domain has itself is that domain's.
        seen.claims.hold(file, "gold");
        let titles = titles(&plan::destroy(&seen, &EnvName::default()));
        assert!(!titles.iter().any(|t| t.starts_with("record")), "{titles:?}");
    }
}

/// Killed between the two, a run left a disk below a clone that nothing named.
#[test]
fn a_disk_that_stays_for_its_clones_is_recorded_before_its_network_is_made_again() {
    let mut seen = built(&[("controller", 2)], &[]);
    seen.domains.remove("controller-1");
    let file = "/var/lib/libvirt/images/controller-1-disk1.qcow2";
    seen.claims.hold_below(file, "volume clone.qcow2");
    let other = [
        "override.networks.net1.ip_address=172.20.0.1",
        "override.networks.net1.dhcp.range.start=172.20.0.2",
        "override.networks.net1.dhcp.range.end=172.20.0.9",
    ];
    let plan = plan_of(&asked(&[("controller", 1)], &other), &seen);
    let is_record = |step: &&plan::Step| matches!(step.action, plan::Action::KeepVolume { .. });
    let record = plan.steps.iter().find(is_record).expect("it is recorded");
    let gone = |step: &&plan::Step| matches!(step.action, plan::Action::UndefineNetwork { .. });
    let gone: Vec<&plan::Step> = plan.steps.iter().filter(gone).collect();
    assert!(!gone.is_empty(), "{:?}", titles(&plan));
    assert!(gone.iter().all(|step| step.after.contains(&record.id)), "{:?}", titles(&plan));
}

/// Whose disks they are is not known.
#[test]
fn disks_of_an_undefined_node_stay_while_libvirt_describes_a_domain_in_no_way() {
    let mut seen = built(&[("controller", 2)], &[]);
    seen.domains.remove("controller-1");
    seen.claims.domains.insert("broken".into());
    seen.claims.unread.insert("broken".into());
    let plan = plan::destroy(&seen, &EnvName::default());
    let why = "stays, since libvirt does not say which disks others' domains have: broken";
    assert!(kept(&plan).contains(&format!("controller-1-disk1.qcow2: {why}")), "{:?}", kept(&plan));
    apply(&mut seen, &plan.steps);
    assert_eq!(node_volumes(&seen).len(), 2);
}

/// `up` was refused for volumes that are nowhere, and which of them to give back to whom could not be said.
#[test]
fn a_node_whose_volumes_are_gone_is_made_while_libvirt_describes_a_domain_in_no_way() {
    let wanted = asked(&[("controller", 2)], &[]);
    let mut seen = built(&[("controller", 2)], &[]);
    seen.domains.remove("controller-1");
    seen.claims.domains.insert("broken".into());
    seen.claims.unread.insert("broken".into());
    assert!(!refused(&wanted, &seen).is_empty());
    for volumes in seen.volumes.values_mut() {
        volumes.retain(|volume| !volume.starts_with("controller-1-"));
    }
    assert_eq!(refused(&wanted, &seen), Vec::<String>::new());
    // A pool that nobody has looked into may have them.
    let volumes = std::mem::take(&mut seen.volumes);
    assert!(!refused(&wanted, &seen).is_empty());
    seen.volumes = volumes;
    // What a domain is seen to have is in use even where the pool does not list it.
    let file = "/var/lib/libvirt/images/controller-1-disk1.qcow2";
    seen.claims.hold(file, "keep");
    assert!(refused(&wanted, &seen).concat().contains("keep"));
}

/// The unfinished one was finished instead, and nobody said that what was asked for was not made.
#[test]
fn another_extension_is_refused_while_one_is_unfinished() {
    let whole = built(&[("controller", 1), ("compute", 1)], &[]);
    let wanted = extended(&[("controller", 2)], &[]);
    let plan = plan_of(&wanted, &whole);
    let started = |title: &str| title == "boot domain controller-2";
    let stop = titles(&plan).iter().position(|title| started(title)).unwrap();
    let mut seen = whole.clone();
    apply(&mut seen, &plan.steps[..stop]);
    let others: [&[(&str, u32)]; 4] = [
        &[("controller", 1)],
        &[("controller", 4)],
        &[("compute", 2)],
        &[("controller", 2), ("compute", 1)],
    ];
    for other in others {
        let said = refused(&extended(other, &[]), &seen).concat();
        assert!(
            said.starts_with("the latest extension, by `controller:2`, is not finished"),
            "{said}"
        );
    }
    assert_eq!(refused(&wanted, &seen), Vec::<String>::new());
    let rest = plan_of(&wanted, &seen);
    apply(&mut seen, &rest.steps);
    assert_eq!(refused(&extended(&[("compute", 2)], &[]), &seen), Vec::<String>::new());
    // So is one with a node whose first boot nobody has seen to end.
    seen.domains.get_mut("controller-1").unwrap().ready = false;
    assert_eq!(refused(&extended(&[("compute", 2)], &[]), &seen).len(), 1);
}

/// libvirt, killed before it had noted what it was starting, says that nothing is there.
#[test]
fn what_a_killed_libvirt_has_left_is_named_with_what_ends_it() {
    let wanted = asked(&[("controller", 1)], &[]);
    let mut seen = built(&[("controller", 1)], &[]);
    let network = seen.networks.values_mut().next().unwrap();
    network.active = false;
    let (name, bridge) = (network.recorded.name.clone(), network.recorded.bridge.to_string());
    // A network that somebody has stopped is started.
    assert_eq!(refused(&wanted, &seen), Vec::<String>::new());
    assert!(seen.left_overs(&seen.host, |_| true).is_empty(), "its domain runs, says libvirt");
    let link = HostLink { kind: LinkKind::Bridge, ..HostLink::default() };
    seen.host.links.insert(bridge.clone(), link);
    let left = LeftOver::Bridge { network: &name, bridge: &bridge };
    assert_eq!(refused(&wanted, &seen), [left.to_string()]);
    assert!(left.way_out().contains(&format!("`ip link delete {bridge} type bridge`")));
    assert!(left.way_out().contains(&format!("/run/libvirt/network/{name}.pid")));
    // After `down` the bridge alone is there, as somebody else's would be.
    let mut gone = seen.clone();
    gone.networks.clear();
    gone.domains.clear();
    gone.volumes.clear();
    gone.claims.bridges.insert(bridge.clone());
    let topology = topology(&wanted, &gone);
    let (blueprint, mut diags) = expand(&topology, &gone);
    expand::conflicts(&topology, &blueprint, &gone, &mut diags);
    let help = diags.iter().flat_map(|d| d.help.clone()).collect::<String>();
    assert!(help.contains("`virsh net-list --all`") && help.contains(&left.way_out()), "{help}");
    // Of a domain that libvirt says is off a QEMU runs.
    let domain = seen.domains.values_mut().next().unwrap();
    (domain.active, domain.live) = (false, None);
    let said: Vec<String> = seen
        .left_overs(&seen.host, |name| name == "controller-0")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].contains("domain `controller-0` does not run, and a QEMU of it does"));
}
