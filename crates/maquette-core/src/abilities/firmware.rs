//! Firmware and TPMs: what libvirt finds of both on a hypervisor, and which nodes ask for what it does not find.

use std::collections::BTreeSet;

use super::{Abilities, Lack};
use crate::blueprint::Node;
use crate::topology::BootMode;
use crate::virtopts::VirtOpt;

/// What there is for guests of one machine type to start with, and to keep secrets in. What libvirt does not tell counts as there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Firmware {
    /// Whether there is UEFI; none if libvirt does not tell.
    pub uefi: Option<bool>,
    /// Whether there is UEFI with Secure Boot; none if libvirt does not tell.
    pub secure_boot: Option<bool>,
    /// Whether something there emulates TPMs; none if libvirt does not tell.
    pub emulated_tpm: Option<bool>,
    /// Models of TPMs; empty where it is not told.
    pub tpms: BTreeSet<String>,
}

/// What is installed there before nodes are made, so that nothing can be said of it yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Installed {
    /// UEFI firmware for guests.
    pub uefi: bool,
    /// What emulates TPMs.
    pub tpm: bool,
}

pub(super) fn is_uefi(node: &Node) -> bool {
    node.firmware == BootMode::Uefi || node.virtopts.iter().any(VirtOpt::asks_for_uefi)
}

pub(super) fn has_tpm(node: &Node) -> bool {
    node.virtopts.iter().any(VirtOpt::asks_for_emulated_tpm)
}

const FIND_UEFI: &str = "libvirt finds it by the files in /usr/share/qemu/firmware, which OVMF's package brings (`ovmf`, `edk2-ovmf`)";
const FIND_TPM: &str =
    "`swtpm` and `swtpm_setup` emulate them (packages `swtpm` and `swtpm-tools`)";

pub(super) fn lacks<'a>(node: &'a Node, has: &'a Abilities, installed: Installed) -> Vec<Lack<'a>> {
    let (role, machine, has) = (&node.role, &node.machine, &has.firmware);
    let mut lacks = Vec::new();
    let lack = |code, message, help| Lack { code, message, help: Some(help), ..Lack::default() };
    let secure = node.virtopts.iter().any(VirtOpt::asks_for_secure_boot);
    if is_uefi(node) && has.uefi == Some(false) && !installed.uefi {
        let message = format!(
            "node type `{role}` starts with UEFI, and the hypervisor's libvirt finds none for machine type `{machine}`"
        );
        lacks.push(lack("hypervisor::firmware", message, FIND_UEFI));
    } else if secure && has.secure_boot == Some(false) && !installed.uefi {
        let message = format!(
            "node type `{role}` asks for Secure Boot, and the hypervisor's libvirt finds no UEFI with it for machine type `{machine}`"
        );
        let help = match machine.as_str().contains("q35") {
            true => FIND_UEFI,
            false => "machine type `q35` is what OVMF has Secure Boot for",
        };
        lacks.push(lack("hypervisor::firmware", message, help));
    }
    if has_tpm(node) && has.emulated_tpm == Some(false) && !installed.tpm {
        let message = "the hypervisor's libvirt finds nothing that emulates a TPM (--virtopts)";
        lacks.push(lack("hypervisor::tpm", message.into(), FIND_TPM));
    }
    let models = node.virtopts.iter().filter_map(|option| match option {
        VirtOpt::Tpm(model, _) => Some(model.as_str()),
        _ => None,
    });
    for model in models.filter(|model| !has.tpms.is_empty() && !has.tpms.contains(*model)) {
        let message = format!("the hypervisor's QEMU has no TPM `{model}` (--virtopts)");
        let right = has.tpms.iter().map(String::as_str).collect();
        lacks.push(Lack { code: "hypervisor::tpm", message, word: model, right, help: None });
    }
    lacks
}
