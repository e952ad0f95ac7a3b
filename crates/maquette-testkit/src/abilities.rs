//! What the model's libvirt can do.

use maquette_core::abilities::{Abilities, Asked, Firmware, Known, Machines};

/// What it says of machine types.
pub fn known(asked: &Asked, lacks_firmware: bool) -> Known {
    let abilities = asked.iter().map(|key| (key.clone(), of(&key.1, !lacks_firmware)));
    Known { machines: machines(), abilities: abilities.collect() }
}

fn machines() -> Machines {
    let all = [("pc", 255), ("pc-i440fx-7.2", 255), ("pc-q35-7.2", 288), ("q35", 288)];
    all.into_iter().map(|(name, most)| (name.to_string(), Some(most))).collect()
}

fn of(machine: &str, firmware: bool) -> Abilities {
    let cpus = [("Haswell", true), ("Skylake-Client", false), ("qemu64", true)];
    let text = |words: &[&str]| words.iter().map(|word| (*word).to_string()).collect();
    Abilities {
        cpus: cpus.into_iter().map(|(name, usable)| (name.to_string(), usable)).collect(),
        videos: text(&["vga", "virtio", "qxl", "cirrus", "none"]),
        buses: match machine.contains("q35") {
            true => text(&["virtio", "scsi", "sata", "usb"]),
            false => text(&["virtio", "scsi", "sata", "usb", "ide"]),
        },
        firmware: Firmware {
            uefi: Some(firmware),
            // As OVMF has it.
            secure_boot: Some(firmware && machine.contains("q35")),
            emulated_tpm: Some(firmware),
            tpms: text(&["tpm-crb", "tpm-tis"]),
        },
    }
}
