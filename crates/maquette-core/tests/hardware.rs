//! What a node is made of, as its owner has it, on a model of a hypervisor.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::observed::Observed;
use maquette_testkit::{Input, changes, input, titles, up};

fn asked(more: &[&str]) -> Input {
    let small = ["override.controller.deploy_os=yes", "override.controller.disks.disk1.size=12G"];
    let extra: Vec<&str> = small.iter().chain(more).copied().collect();
    input(&[("controller", 1)], "3_nets", &extra)
}

const TWO_DISKS: &str = "override.controller.disks.disk2.size=5G";

#[test]
fn memory_grows_up_to_the_most_that_there_may_be_while_it_runs() {
    let with = |memory: &str, most: &str| {
        let memory = format!("override.controller.memory={memory}");
        let most = format!("override.controller.memory_max={most}");
        asked(&[&memory, &most])
    };
    let mut seen = Observed::default();
    up(&mut seen, &with("1024", "4096"));
    let plan = up(&mut seen, &with("4096", "4096"));
    assert_eq!(
        changes(&plan),
        "update domain controller-0: memory: 1024 MiB → 4096 MiB (while it runs)"
    );
    let plan = up(&mut seen, &with("4096", "8192"));
    assert_eq!(
        changes(&plan),
        "update domain controller-0: most memory: 4096 MiB → 8192 MiB (restarts)"
    );
}

#[test]
fn nodes_of_earlier_versions_get_serial_numbers_with_their_next_start() {
    let mut seen = Observed::default();
    up(&mut seen, &asked(&[TWO_DISKS]));
    let domain = seen.domains.get_mut("controller-0").unwrap();
    domain.recorded.disks.iter_mut().for_each(|disk| disk.serial = None);
    let plan = up(&mut seen, &asked(&[TWO_DISKS]));
    assert_eq!(
        changes(&plan),
        "update domain controller-0: its disks have serial numbers when it starts next"
    );
    assert_eq!(titles(&plan), ["define domain controller-0"]);
    let chosen = "override.controller.disks.disk2.serial=data";
    let plan = up(&mut seen, &asked(&[TWO_DISKS, chosen]));
    assert_eq!(
        changes(&plan),
        "update domain controller-0: serial number of controller-0-disk2.qcow2: disk2 → data (restarts)"
    );
}
