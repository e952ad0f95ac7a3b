//! Nodes that may answer elsewhere by now.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::node_state::{Condition, Evidence, SshAnswer};
use maquette_core::observed::{Domain, Observed};
use maquette_testkit::{apply, input, plan_of};

/// Its address was leased by its LAN, which may have given it another one since: nobody hears of that, and every `up` waited
/// to its end.
#[test]
fn a_node_that_may_have_moved_is_not_waited_for() {
    let asked = ["override.controller.deploy_os=yes", "override.controller.disks.disk1.size=12G"];
    let mut observed = Observed::default();
    let plan = plan_of(&input(&[("controller", 1)], "3_nets", &asked), &observed);
    apply(&mut observed, &plan.steps);
    let node = observed.domains.get_mut("controller-0").unwrap();
    node.ready = true;
    let after = |uptime_s| Evidence {
        ssh: Some(SshAnswer::NoRoute),
        uptime_s: Some(uptime_s),
        ..Evidence::default()
    };
    let of = |node: &Domain, found: &Evidence| {
        (Condition::is_awaited(node, found), Condition::may_have_moved(node, found))
    };
    assert_eq!(of(node, &after(5000)), (true, false));
    node.recorded.access.address = Some([192, 0, 2, 7].into());
    assert_eq!(of(node, &after(5000)), (false, true));
    let reason = Condition::of(node, &after(5000)).reason.unwrap();
    assert!(reason.contains("192.0.2.7; it has that address from its LAN"), "{reason}");
    // It may just be starting.
    assert_eq!(of(node, &after(5)), (true, false));
}
