//! Models of devices that QEMU has for x86-64, and what goes with them, in libvirt's words: neither libvirt's capabilities
//! nor `virt-xml` would tell of another one before the node is defined.
//! <https://libvirt.org/formatdomain.html#devices>

use super::VirtOpt;

const WATCHDOGS: &[&str] = &["i6300esb", "ib700", "itco"];
const ACTIONS: &[&str] = &["reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi"];
const SOUNDS: &[&str] =
    &["ac97", "es1370", "ich6", "ich7", "ich9", "pcspk", "sb16", "usb", "virtio"];
const TPMS: &[&str] = &["tpm-crb", "tpm-tis"];
const TPM_VERSIONS: &[&str] = &["1.2", "2.0"];
const BALLOONS: &[&str] = &["none", "virtio", "virtio-transitional", "virtio-non-transitional"];

/// Refuses an option that asks for a device that there is not.
pub(super) fn known(option: VirtOpt) -> Result<VirtOpt, String> {
    let words: &[(&str, &str, &String, &[&str])] = match &option {
        VirtOpt::Watchdog(model, action) => {
            &[("--watchdog", "model", model, WATCHDOGS), ("--watchdog", "action", action, ACTIONS)]
        }
        VirtOpt::Sound(model) => &[("--sound", "model", model, SOUNDS)],
        VirtOpt::Tpm(model, version) => {
            &[("--tpm", "model", model, TPMS), ("--tpm", "version", version, TPM_VERSIONS)]
        }
        VirtOpt::Balloon(model) => &[("--memballoon", "model", model, BALLOONS)],
        _ => &[],
    };
    for (name, what, word, all) in words {
        if !all.contains(&word.as_str()) {
            let all: Vec<String> = all.iter().map(|known| format!("`{known}`")).collect();
            return Err(format!("{name} has no {what} `{word}`; there are {}", all.join(", ")));
        }
    }
    Ok(option)
}

/// Puts an option behind others. Of what a definition has once, a second one adds to the first, or the last counts.
pub(super) fn join(all: &mut Vec<VirtOpt>, option: VirtOpt) {
    let before = all.iter_mut().find_map(|known| match (known, &option) {
        (VirtOpt::Memory(names), VirtOpt::Memory(more)) => {
            let more: Vec<String> = more.iter().filter(|n| !names.contains(n)).cloned().collect();
            names.extend(more);
            Some(())
        }
        (VirtOpt::IoThreads(count), VirtOpt::IoThreads(last)) => {
            *count = *last;
            Some(())
        }
        _ => None,
    });
    if before.is_none() {
        all.push(option);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{VirtOpt, parse};

    /// They were two elements, of which libvirt refuses or forgets one.
    #[test]
    fn what_a_definition_has_once_is_there_once() {
        let text = "--memorybacking hugepages=on --iothreads 2 --memorybacking locked=on,hugepages=on --iothreads 3";
        let memory = VirtOpt::Memory(vec!["hugepages".into(), "locked".into()]);
        assert_eq!(parse(text), Ok(vec![memory, VirtOpt::IoThreads(3)]));
    }
}
