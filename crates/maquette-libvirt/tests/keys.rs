//! Keys that no built-in file has, as libvirt's XML has them; libvirt's own schema takes it.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::process::Command;

use maquette_core::blueprint::{Blueprint, Pool};
use maquette_core::names::EnvName;
use maquette_core::topology::{Allocation, BootMode, VirtType};
use maquette_libvirt::xml;
use maquette_testkit::{blueprint_of, input, machine};

const NODE: &str = "web=name: web\ncpu: 2\nmemory: 512\ndeploy_os: no\ndisks: {disk1: {size: 10G}}\n\
                    interfaces: [{network: lan}]\n";

const NETWORK: &str = "
networks:
  net1:
    name: lan
    forward: route
    domain: lab.example.org
    autostart: no
    ip_address: 10.1.0.1
    netmask: 255.255.255.0
    dns: {srvs: [{name: ldap, protocol: tcp, domain: example.org, target: a.example.org, port: 389}]}
    dhcp: {range: {start: 10.1.0.2, end: 10.1.0.9}}
";

fn blueprint(node: &str, boot: BootMode) -> Blueprint {
    let mut input = input(&[(&format!("{NODE}{node}"), 1)], NETWORK, &[]);
    input.request.settings.boot_mode = boot;
    blueprint_of(&input, &machine(&["eth0"]))
}

/// What `virsh -c test:///default` says against a definition.
fn refused(define: &str, xml: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), xml).unwrap();
    let virsh = Command::new("virsh")
        .args(["-c", "test:///default", define, "--validate"])
        .arg(file.path())
        .output();
    String::from_utf8_lossy(&virsh.unwrap().stderr).trim().to_string()
}

#[test]
fn routed_networks_with_a_domain_and_service_records_are_what_libvirt_takes() {
    let blueprint = blueprint("", BootMode::Bios);
    let [network] = blueprint.networks.as_slice() else { panic!("one network") };
    let written = xml::network(network, &EnvName::default(), Allocation::UNPREFIXED);
    for part in [
        "<forward mode='route'/>",
        "<domain name='lab.example.org'",
        "<srv service='ldap' protocol='tcp' domain='example.org' target='a.example.org' port='389'/>",
    ] {
        assert!(written.contains(part), "{part}: {written}");
    }
    assert!(!network.autostart);
    assert_eq!(refused("net-define", &written), "");
}

#[test]
fn named_cpus_machines_and_firmware_are_what_libvirt_takes() {
    let pool =
        Pool { name: "images".parse().unwrap(), path: "/var/lib/libvirt/images".parse().unwrap() };
    let (qemu, kvm) = (VirtType::Qemu, VirtType::Kvm);
    for (keys, boot, virt, parts) in [
        ("cpumodel: Haswell\n", BootMode::Bios, qemu, ["<model", "Haswell"]),
        ("cpumodel: host-model\n", BootMode::Bios, kvm, ["<cpu mode='host-model'", ""]),
        // The emulator has no CPU of a host to be like.
        (
            "cpumodel: host-model\n",
            BootMode::Bios,
            qemu,
            ["<cpu mode='maximum'", "'disable' name='smap'/>"],
        ),
        // Whoever asks for all gets all.
        ("cpumodel: maximum\n", BootMode::Bios, qemu, ["<cpu mode='maximum'/>", ""]),
        ("machine_type: q35\n", BootMode::Bios, qemu, ["machine='q35'", "<genid/>"]),
        ("machine_type: pc-i440fx-2.4\n", BootMode::Bios, qemu, ["pc-i440fx-2.4", ""]),
        ("", BootMode::Uefi, qemu, ["<os firmware='efi'>", ""]),
    ] {
        let mut blueprint = blueprint(keys, boot);
        let [node] = blueprint.nodes.as_mut_slice() else { panic!("one node") };
        node.virt = virt;
        let written = xml::domain(node, &EnvName::default(), &pool, &xml::Mark::default());
        for part in parts {
            assert!(written.contains(part), "{part}: {written}");
        }
        assert_eq!(written.contains("<genid/>"), !keys.contains("2.4"), "{written}");
        // The test driver has other machines, but reads by the same schema.
        let said = refused("define", &written);
        assert!(!said.contains("schema"), "{said}");
    }
}
