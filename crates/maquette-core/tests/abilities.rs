//! What nodes ask for and libvirt or QEMU of a hypervisor does not have.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::abilities::{self, Abilities, Firmware, Installed, Known};
use maquette_core::observed::Observed;
use maquette_core::topology::BootMode;
use maquette_testkit::{Input, expand, input, topology};

const NETWORK: &str = "networks:\n  net1: {name: lan, forward: nat, ip_address: 10.9.0.1, dhcp: {range: {start: 10.9.0.2, end: 10.9.0.99}}}\n\
                       nodes:\n  default:\n    interfaces: [lan]\n    external_network: lan\n";

fn node(keys: &str) -> String {
    format!(
        "web={{name: web, cpu: 1, memory: 512, disks: {{disk1: {{size: 20G}}}}, groups: [web]{keys}}}"
    )
}

/// What a hypervisor cannot do, as the model of one has it.
fn unable(keys: &str, options: &str) -> Vec<String> {
    let told = (Firmware::default(), Installed::default());
    unable_of(input(&[(&node(keys), 2)], NETWORK, &[]), options, told)
}

fn unable_of(
    mut wanted: Input,
    options: &str,
    (firmware, installed): (Firmware, Installed),
) -> Vec<String> {
    wanted.request.settings.virtopts = options.parse().unwrap();
    let seen = Observed::default();
    let topology = topology(&wanted, &seen);
    let (blueprint, mut diags) = expand(&topology, &seen);
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_string()).collect();
    let asked = abilities::asked(&blueprint, &seen);
    let machines = [("pc", 255), ("q35", 288)];
    let machines = machines.map(|(name, most)| (name.to_string(), Some(most))).into();
    let known = asked.into_iter().map(|key| {
        let buses =
            if key.1 == "q35" { words(&["virtio", "scsi"]) } else { words(&["virtio", "ide"]) };
        let cpus = [("Haswell", true), ("qemu64", true)].map(|(name, is)| (name.to_string(), is));
        let (cpus, videos) = (cpus.into(), words(&["vga", "qxl"]));
        (key, Abilities { cpus, videos, buses, firmware: firmware.clone() })
    });
    let known = Known { machines, abilities: known.collect() };
    let what = (&topology, &blueprint, &seen);
    abilities::check(what, (&known, installed), &mut diags);
    diags.iter().map(|d| format!("{} [{}]", d.message, d.help.join("; "))).collect()
}

#[test]
fn firmware_and_tpms_that_libvirt_does_not_find_are_refused_unless_they_are_installed_first() {
    let nothing = || Firmware {
        uefi: Some(false),
        secure_boot: Some(false),
        emulated_tpm: Some(false),
        tpms: ["tpm-tis".to_string()].into(),
    };
    let whole = || Firmware {
        uefi: Some(true),
        secure_boot: Some(true),
        emulated_tpm: Some(true),
        tpms: ["tpm-tis".to_string(), "tpm-crb".to_string()].into(),
    };
    let secure = "--boot uefi,loader_secure=yes";
    let found = |uefi: bool, keys: &str, options: &str, has, installed| {
        let keys = if uefi { format!(", deploy_os: no{keys}") } else { keys.into() };
        let mut wanted = input(&[(&node(&keys), 2)], NETWORK, &[]);
        if uefi {
            wanted.request.settings.boot_mode = BootMode::Uefi;
        }
        unable_of(wanted, options, (has, installed))
    };
    for (uefi, options, said) in [
        (
            true,
            "",
            "starts with UEFI, and the hypervisor's libvirt finds none for machine type `pc`",
        ),
        (false, "--boot uefi", "starts with UEFI"),
        (false, secure, "starts with UEFI"),
        (false, "--tpm model=tpm-tis", "finds nothing that emulates a TPM"),
        (false, "--tpm emulator,persistent_state=on", "finds nothing that emulates a TPM"),
    ] {
        let none = Installed::default();
        let refused = found(uefi, "", options, nothing(), none);
        assert!(refused.len() == 1 && refused[0].contains(said), "{uefi} {options}: {refused:#?}");
        let both = Installed { uefi: true, tpm: true };
        for (has, installed) in [(nothing(), both), (whole(), none), (Firmware::default(), none)] {
            let found = found(uefi, "", options, has, installed);
            assert_eq!(found, Vec::<String>::new(), "{uefi} {options}");
        }
    }
    let insecure = || Firmware { secure_boot: Some(false), ..whole() };
    let none = Installed::default();
    for (keys, help) in [("", "machine type `q35`"), (", machine_type: q35", "OVMF's package")] {
        let refused = found(false, keys, secure, insecure(), none);
        assert!(refused.len() == 1 && refused[0].contains("asks for Secure Boot"), "{refused:#?}");
        assert!(refused[0].contains(help), "{refused:#?}");
        assert!(found(false, keys, "--boot uefi", insecure(), none).is_empty());
    }
    // The model is QEMU's, whatever is installed.
    let one = Firmware { tpms: ["tpm-tis".to_string()].into(), ..whole() };
    let refused = found(false, "", "--tpm default", one, Installed { tpm: true, uefi: false });
    assert!(refused.len() == 1 && refused[0].contains("no TPM `tpm-crb`"), "{refused:#?}");
}

#[test]
fn what_the_hypervisor_cannot_do_is_refused_in_the_plan() {
    for (keys, options, said) in [
        (", machine_type: q36", "", "asks for machine type `q36`"),
        (", machine_type: pc-q35-99.0", "", "asks for machine type `pc-q35-99.0`"),
        (", cpumodel: NoSuchCPU", "", "asks for CPU model `NoSuchCPU`"),
        (", cpumodel: Hasswell", "", "did you mean `Haswell`?"),
        ("", "--cpu Skylake", "asks for CPU model `Skylake`"),
        ("", "--video foo", "has no video device `foo`"),
        ("", "--video qxxl", "did you mean `qxl`?"),
        ("", "--machine q36", "did you mean `q35`?"),
    ] {
        let found = unable(keys, options);
        assert!(found.len() == 1 && found[0].contains(said), "{keys} {options}: {found:#?}");
    }
    let many = unable(", machine_type: q35", "").len() + unable("", "").len();
    assert_eq!(many + unable(", cpumodel: host-model", "--video vga").len(), 0);
    assert!(unable(", cpumodel: Haswell, machine_type: q35", "--video qxl").is_empty());
}
