//! What a node is made of, as its owner has it, on a model of a hypervisor.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::observed::{Hardware, Observed};
use maquette_core::plan;
use maquette_core::topology::SeedDrive;
use maquette_testkit::{Input, blueprint_of, changes, input, mistakes, titles, up};

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

/// What somebody built with an earlier version, whose seeds are disks.
fn built_before() -> Observed {
    let mut seen = Observed::default();
    up(&mut seen, &asked(&[TWO_DISKS]));
    let domain = seen.domains.get_mut("controller-0").unwrap();
    domain.recorded.guest.as_mut().unwrap().drive = SeedDrive::Disk;
    domain.defined = Hardware::of(&domain.recorded, &domain.pool);
    domain.live = Some(domain.defined.clone());
    assert_eq!(domain.defined.disks.last().unwrap().device, "vdz");
    seen
}

fn drive(seen: &Observed) -> SeedDrive {
    seen.domains["controller-0"].recorded.guest.as_ref().unwrap().drive
}

fn devices(seen: &Observed) -> Vec<String> {
    let disks = &seen.domains["controller-0"].defined.disks;
    disks.iter().map(|disk| disk.device.clone()).collect()
}

/// What it is in once the node was made, by an image that finds a CD-ROM or does not.
fn placed(seen: &Observed, asked: &Input, finds_cdrom: bool) -> SeedDrive {
    let mut blueprint = blueprint_of(asked, seen);
    plan::place_seeds(&mut blueprint, seen, &|_| finds_cdrom);
    blueprint.nodes[0].guest.as_ref().unwrap().drive
}

#[test]
fn a_seed_takes_no_letter_from_disks_and_stays_where_earlier_versions_put_it() {
    let mut seen = Observed::default();
    up(&mut seen, &asked(&[TWO_DISKS]));
    assert_eq!(drive(&seen), SeedDrive::CdRom);
    assert_eq!(devices(&seen), ["sdz", "vda", "vdb"]);

    let mut seen = built_before();
    assert!(up(&mut seen, &asked(&[TWO_DISKS])).is_empty());
    up(&mut seen, &asked(&[TWO_DISKS, "override.controller.cpu=3"]));
    assert_eq!((drive(&seen), devices(&seen).len()), (SeedDrive::Disk, 3));
    assert_eq!(placed(&seen, &asked(&[TWO_DISKS]), true), SeedDrive::Disk);
    // What is made again is made as it is now.
    let anew = asked(&[TWO_DISKS, "override.controller.swap=64"]);
    assert_eq!(placed(&seen, &anew, true), SeedDrive::CdRom);
}

#[test]
fn a_seed_is_where_its_image_finds_it_or_its_owner_says() {
    let nothing = Observed::default();
    let chosen = |word: &str| asked(&[&format!("override.controller.seed={word}")]);
    assert_eq!(placed(&nothing, &asked(&[]), true), SeedDrive::CdRom);
    assert_eq!(placed(&nothing, &asked(&[]), false), SeedDrive::Disk);
    assert_eq!(placed(&nothing, &chosen("cdrom"), false), SeedDrive::CdRom);
    assert_eq!(placed(&nothing, &chosen("disk"), true), SeedDrive::Disk);

    let mut seen = Observed::default();
    up(&mut seen, &chosen("disk"));
    assert_eq!((drive(&seen), devices(&seen)), (SeedDrive::Disk, vec!["vda".into(), "vdz".into()]));
    // What is there stays as it is.
    assert!(up(&mut seen, &chosen("cdrom")).is_empty());
    assert_eq!(drive(&seen), SeedDrive::Disk);
}

#[test]
fn a_seed_that_somebody_took_out_comes_back_and_is_no_other_disks_business() {
    let mut seen = Observed::default();
    up(&mut seen, &asked(&[TWO_DISKS]));
    let domain = seen.domains.get_mut("controller-0").unwrap();
    let live = domain.live.as_mut().unwrap();
    live.disks.retain(|disk| disk.device != "sdz");
    let plan = up(&mut seen, &asked(&[TWO_DISKS]));
    assert_eq!(
        changes(&plan),
        "update domain controller-0: disk sdz was taken out outside Maquette (restarts)"
    );
}

#[test]
fn a_disk_on_scsi_is_plugged_in_beside_the_seed() {
    let mut seen = Observed::default();
    up(&mut seen, &asked(&[]));
    let plan = up(&mut seen, &asked(&[TWO_DISKS, "override.controller.disks.disk2.bus=scsi"]));
    let said = changes(&plan);
    assert!(said.ends_with("domain controller-0: plug in disk sda (while it runs)"), "{said}");
    assert_eq!(devices(&seen), ["sda", "sdz", "vda"]);
}

/// They were taken for what they said, planned, and refused by libvirt.
#[test]
fn nic_models_that_qemu_does_not_have_are_refused_where_they_are() {
    let node = |interface: &str| {
        let spine = "spine=name: spine\ncpu: 1\nmemory: 64\ndeploy_os: no\ndisks: {}\n";
        let web = format!(
            "web=name: web\ncpu: 1\nmemory: 64\ndeploy_os: no\ninterfaces: [{{network: data}}, {interface}]\ndisks: {{}}\n"
        );
        mistakes(&mut input(&[(&web, 1), (spine, 1)], "3_nets", &[]))
    };
    for interface in ["{network: data, model: e1001}", "{connect_to: spine, src_model: e1001}"] {
        let found = node(interface);
        let is_it = |one: &String| {
            one.starts_with("topology::nic-model web.yml:5:")
                && one.contains("QEMU has no NIC of model `e1001` [did you mean `e1000`?]")
        };
        assert!(matches!(&found[..], [one] if is_it(one)), "{found:?}");
    }
    for model in ["virtio", "e1000", "igb", "ne2k_pci", "virtio-net-pci"] {
        let found = node(&format!("{{network: data, model: {model}}}"));
        assert!(found.is_empty(), "{model}: {found:?}");
    }
}

/// The fifth one was planned, and libvirt refused its controller.
#[test]
fn a_machine_has_room_for_four_disks_on_ide() {
    let with = |count: usize| {
        let disks: Vec<String> =
            (1..=count).map(|n| format!("disk{n}: {{size: 10G, bus: ide}}")).collect();
        let web = format!(
            "web=name: web\ncpu: 1\nmemory: 64\ndeploy_os: no\ninterfaces: [{{network: data}}]\ndisks: {{{}, disk9: {{size: 1G, bus: scsi}}}}\n",
            disks.join(", ")
        );
        mistakes(&mut input(&[(&web, 1)], "3_nets", &[]))
    };
    assert!(with(4).is_empty(), "{:?}", with(4));
    let found = with(6);
    let said = "disk `disk5` of node type `web` is the fifth on bus `ide`, whose controller has 4";
    assert!(matches!(&found[..], [one] if one.contains(said)), "{found:?}");
}

/// NICs had no boot ROM then, without which SeaBIOS does not boot from the network.
#[test]
fn devices_to_boot_from_count_beside_what_is_for_virt_xml() {
    let mut node = maquette_testkit::node("web-0");
    node.deploy_os = true;
    for (text, order) in [
        ("--boot network,hd,useserial=on", vec!["network", "hd"]),
        ("--boot useserial=on", vec!["hd"]),
        ("--boot network --boot hd,useserial=on", vec!["hd"]),
    ] {
        node.virtopts = text.parse().unwrap();
        assert_eq!(node.boot_order(), order, "{text}");
    }
}
