//! What libvirt says that it can do.
//!
//! <https://libvirt.org/formatcaps.html>, <https://libvirt.org/formatdomaincaps.html>

use std::collections::BTreeSet;

use maquette_core::abilities::{Abilities, Firmware, Machines};
use roxmltree::{Document, Node as Element};

use super::read::ReadError;

fn named<'a, 'd: 'a>(
    parent: Element<'a, 'd>,
    name: &'static str,
) -> impl Iterator<Item = Element<'a, 'd>> {
    parent.children().filter(move |e| e.has_tag_name(name))
}

/// Machine types of x86-64 guests, from a driver's capabilities.
pub fn machines(xml: &str) -> Result<Machines, ReadError> {
    let document = Document::parse(xml)?;
    let guests = named(document.root_element(), "guest").flat_map(|guest| named(guest, "arch"));
    let arches = guests.filter(|arch| arch.attribute("name") == Some("x86_64"));
    // Some versions tell those of KVM apart.
    let all = arches.flat_map(|arch| {
        let own = named(arch, "machine");
        own.chain(named(arch, "domain").flat_map(|domain| named(domain, "machine")))
    });
    let machine = |e: Element<'_, '_>| {
        let most = e.attribute("maxCpus").and_then(|text| text.parse().ok());
        Some((e.text()?.trim().to_string(), most))
    };
    Ok(all.filter_map(machine).collect())
}

/// What there is for guests of a machine type, from the capabilities of domains of it.
pub fn abilities(xml: &str) -> Result<Abilities, ReadError> {
    let document = Document::parse(xml)?;
    let root = document.root_element();
    let modes = named(root, "cpu").flat_map(|cpu| named(cpu, "mode"));
    let custom = modes.filter(|mode| mode.attribute("name") == Some("custom"));
    let model = |e: Element<'_, '_>| {
        // Where it is not known, nothing speaks against it.
        Some((e.text()?.trim().to_string(), e.attribute("usable") != Some("no")))
    };
    Ok(Abilities {
        cpus: custom.flat_map(|mode| named(mode, "model")).filter_map(model).collect(),
        videos: values(root, "video", "modelType").unwrap_or_default(),
        buses: values(root, "disk", "bus").unwrap_or_default(),
        firmware: firmware(root),
    })
}

/// What there is of firmware and TPMs. Lists that libvirt leaves out it does not know yet; an empty one says that there is none.
fn firmware(root: Element<'_, '_>) -> Firmware {
    let systems = || named(root, "os");
    let loaders = || systems().flat_map(|os| named(os, "loader"));
    let has = |list: Option<BTreeSet<String>>, word: &str| list.map(|list| list.contains(word));
    let tpms = || named(root, "devices").flat_map(|all| named(all, "tpm"));
    Firmware {
        uefi: refused(systems()).or_else(|| has(listed(systems(), "firmware"), "efi")),
        secure_boot: refused(loaders()).or_else(|| has(listed(loaders(), "secure"), "yes")),
        emulated_tpm: refused(tpms()).or_else(|| has(listed(tpms(), "backendModel"), "emulator")),
        tpms: listed(tpms(), "model").unwrap_or_default(),
    }
}

/// That something is not supported, if it is said so.
fn refused<'a, 'd: 'a>(mut parts: impl Iterator<Item = Element<'a, 'd>>) -> Option<bool> {
    parts.any(|part| part.attribute("supported") == Some("no")).then_some(false)
}

/// Values of an enumeration of a kind of devices.
fn values(root: Element<'_, '_>, device: &'static str, name: &str) -> Option<BTreeSet<String>> {
    listed(named(root, "devices").flat_map(|all| named(all, device)), name)
}

/// Values of an enumeration that some of these parts have; none where no part has it.
fn listed<'a, 'd: 'a>(
    parts: impl Iterator<Item = Element<'a, 'd>>,
    name: &str,
) -> Option<BTreeSet<String>> {
    let lists = parts.flat_map(|part| named(part, "enum"));
    let mut wanted = lists.filter(|list| list.attribute("name") == Some(name)).peekable();
    wanted.peek()?;
    let values = wanted.flat_map(|list| named(list, "value")).filter_map(|value| value.text());
    Some(values.map(|text| text.trim().to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libvirt_can_do_is_read() {
        let found = machines(
            "<capabilities><host/><guest><os_type>hvm</os_type><arch name='i686'><machine>isapc</machine></arch></guest>\
             <guest><arch name='x86_64'><machine canonical='pc-i440fx-7.2' maxCpus='255'>pc</machine>\
             <machine maxCpus='288'>pc-q35-7.2</machine><domain type='kvm'><machine>q35</machine></domain></arch></guest>\
             </capabilities>",
        );
        let found: Vec<_> = found.unwrap().into_iter().collect();
        let expected = [("pc", Some(255)), ("pc-q35-7.2", Some(288)), ("q35", None)];
        assert_eq!(found, expected.map(|(name, most)| (name.to_string(), most)));
        let found = abilities(
            "<domainCapabilities><cpu><mode name='host-model' supported='yes'><model>EPYC</model></mode>\
             <mode name='custom' supported='yes'><model usable='yes'>qemu64</model><model usable='no'>Haswell</model>\
             <model usable='unknown'>n270</model></mode></cpu><devices>\
             <disk supported='yes'><enum name='diskDevice'><value>disk</value></enum><enum name='bus'><value>virtio</value></enum></disk>\
             <video supported='yes'><enum name='modelType'><value>vga</value><value>qxl</value></enum></video>\
             </devices></domainCapabilities>",
        );
        let found = found.unwrap();
        let cpus: Vec<_> =
            found.cpus.iter().map(|(name, usable)| (name.as_str(), *usable)).collect();
        assert_eq!(cpus, [("Haswell", false), ("n270", true), ("qemu64", true)]);
        assert_eq!(found.buses, BTreeSet::from(["virtio".to_string()]));
        assert_eq!(found.videos.len(), 2);
        // What says nothing says nothing against anything.
        assert_eq!(abilities("<domainCapabilities/>").unwrap(), Abilities::default());
        assert!(machines("<capabilities/>").unwrap().is_empty());
    }

    /// As libvirt 9.0 says it, where OVMF is there and swtpm is not.
    #[test]
    fn firmware_and_tpms_are_read() {
        let read = |os: &str, tpm: &str| {
            let xml =
                format!("<domainCapabilities>{os}<devices>{tpm}</devices></domainCapabilities>");
            abilities(&xml).unwrap().firmware
        };
        let os = |efi: &str, secure: &str| {
            format!(
                "<os supported='yes'><enum name='firmware'>{efi}</enum><loader supported='yes'><value>/usr/share/OVMF/OVMF_CODE.fd</value>\
                 <enum name='type'><value>rom</value></enum><enum name='secure'>{secure}<value>no</value></enum></loader></os>"
            )
        };
        let tpm = |backends: &str| {
            format!(
                "<tpm supported='yes'><enum name='model'><value>tpm-tis</value></enum>\
                 <enum name='backendModel'><value>passthrough</value>{backends}</enum></tpm>"
            )
        };
        let models = BTreeSet::from(["tpm-tis".to_string()]);
        let found = read(&os("<value>efi</value>", ""), &tpm(""));
        let (uefi, secure_boot, emulated_tpm) = (Some(true), Some(false), Some(false));
        assert_eq!(found, Firmware { uefi, secure_boot, emulated_tpm, tpms: models.clone() });
        let found = read(&os("", "<value>yes</value>"), &tpm("<value>emulator</value>"));
        let (uefi, secure_boot, emulated_tpm) = (Some(false), Some(true), Some(true));
        assert_eq!(found, Firmware { uefi, secure_boot, emulated_tpm, tpms: models });
        let none = read("<os supported='no'/>", "<tpm supported='no'/>");
        assert_eq!((none.uefi, none.emulated_tpm), (Some(false), Some(false)));
        // Older versions have fewer lists.
        assert_eq!(read("<os supported='yes'/>", "<tpm supported='yes'/>"), Firmware::default());
    }
}
