//! What of a first boot changes, in few words: names, and nothing of what files, commands and passwords are.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::blueprint::Guest;
use maquette_core::observed::Observed;
use maquette_core::plan;
use maquette_core::topology::BootDigest;
use maquette_core::values::Secret;
use maquette_testkit::{blueprint_of, input, up};
use uuid::Uuid;

/// The digest of a whole first boot, and its parts, each with a number for what it is.
type FirstBoot<'a> = (Option<u128>, &'a [(&'a str, u128)]);

/// Gives a guest a first boot.
fn have(guest: &mut Guest, (whole, parts): FirstBoot<'_>) {
    let part = |(name, content): &(&str, u128)| BootDigest {
        part: name.parse().unwrap(),
        content: Uuid::from_u128(*content),
    };
    guest.first_boot = whole.map(Uuid::from_u128);
    guest.first_boot_parts = parts.iter().map(part).collect();
}

/// Why a node is made again that had one first boot and is to have another.
fn said(old: FirstBoot<'_>, new: FirstBoot<'_>) -> String {
    let small = ["override.controller.deploy_os=yes", "override.controller.disks.disk1.size=12G"];
    let wanted = input(&[("controller", 1)], "3_nets", &small);
    let mut seen = Observed::default();
    up(&mut seen, &wanted);
    let mut blueprint = blueprint_of(&wanted, &seen);
    have(seen.domains.get_mut("controller-0").unwrap().recorded.guest.as_mut().unwrap(), old);
    have(blueprint.nodes[0].guest.as_mut().unwrap(), new);
    let plan = plan::create(&blueprint, &seen, &|_| Secret::new("private"));
    let node = plan.changes.iter().find(|change| change.name == "controller-0").unwrap();
    assert_eq!(node.op, plan::Op::Replace);
    node.reason.all[0].clone()
}

#[test]
fn a_change_is_told_by_the_names_of_its_parts() {
    let before = [
        ("package nano", 1),
        ("package nginx", 2),
        ("file /etc/motd", 3),
        ("file /etc/old", 4),
        ("commands", 5),
    ];
    let is = |after: &[(&str, u128)], words: &str| {
        let whole = Some(2).filter(|_| !after.is_empty());
        let words = format!("its first boot changes: {words}");
        assert_eq!(said((Some(1), &before), (whole, after)), words);
    };
    let mut after = before;
    after[0].0 = "package vim";
    is(&after, "packages (-nano, +vim)");
    after = before;
    (after[2].1, after[3].0) = (9, "file /etc/new");
    is(&after, "files (/etc/motd, +/etc/new, -/etc/old)");
    after = before;
    after[4].1 = 9;
    is(&after, "commands");
    is(&before, "the order of packages or files");
    is(&before[..4], "commands");
    let words = "packages (-nano, -nginx), files (-/etc/motd, -/etc/old), commands, `user_data`, the password";
    is(&[("user_data", 1), ("password", 2)], words);
    is(&[], "packages (-nano, -nginx), files (-/etc/motd, -/etc/old), commands");
}

#[test]
fn many_names_and_long_ones_are_cut_short() {
    let path = format!("file /{}/end", "x".repeat(50));
    let names = ["package a", "package b", "package c", "package d", "packages", path.as_str()];
    let parts: Vec<(&str, u128)> = names.iter().map(|name| (*name, 1)).collect();
    // Forty characters of a name.
    let end = format!("{}/end", "x".repeat(36));
    let words = format!("its first boot changes: packages (+a, +b, +c, 2 more), files (+…{end})");
    assert_eq!(said((None, &[]), (Some(2), &parts)), words);
}

#[test]
fn of_a_record_of_an_earlier_version_all_is_said_that_it_may_be() {
    for other in [(Some(2), &[("commands", 1)][..]), (None, &[])] {
        let words = said((Some(1), &[]), other);
        assert!(words.contains("packages, files, commands, `user_data`"), "{words}");
    }
}
