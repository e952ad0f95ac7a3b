//! Families of operating systems: what their packages are called. Data only.

/// Package manager of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// Debian, Ubuntu.
    Apt,
    /// Fedora, RHEL and its rebuilds.
    Dnf,
    /// SUSE.
    Zypper,
    /// Arch.
    Pacman,
}

/// A family of operating systems.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name, for people.
    pub name: &'static str,
    /// Values of `ID` in os-release, and of `ID_LIKE` as a second choice.
    pub ids: &'static [&'static str],
    /// Its package manager.
    pub manager: Manager,
    /// What Maquette needs: a program or file that tells that it is there, and the packages that
    /// bring it.
    pub parts: &'static [Part],
    /// What UEFI guests need.
    pub uefi: &'static [Part],
    /// What guests with an emulated TPM need.
    pub tpm: &'static [Part],
    /// What QEMU reads images over HTTP with.
    pub media: &'static [Part],
    /// What brings `virt-xml`.
    pub virt_xml: &'static [Part],
    /// What brings virt-customize, which knows the file systems of other distributions, too.
    pub customize: &'static [Part],
    /// What keeps nodes from serving DHCP on the LAN.
    pub guard: &'static [Part],
    /// What networks on Open vSwitch need.
    pub vswitch: &'static [Part],
}

impl Family {
    /// Everything that may be looked for.
    pub fn all_parts(&self) -> impl Iterator<Item = &'static Part> {
        [self.parts, self.uefi, self.tpm, self.media, self.virt_xml]
            .into_iter()
            .chain([self.customize, self.guard, self.vswitch])
            .flatten()
    }
}

/// Something Maquette needs on a hypervisor.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// Any of these paths tells that it is installed.
    pub paths: &'static [&'static str],
    /// Packages that bring it.
    pub packages: &'static [&'static str],
}

/// Packages of some parts that are missing, by the paths that exist.
pub fn missing(parts: &[Part], there: &dyn Fn(&str) -> bool) -> Vec<String> {
    parts
        .iter()
        .filter(|part| !part.paths.iter().any(|p| there(p)))
        .flat_map(|part| part.packages.iter().map(|p| (*p).to_string()))
        .collect()
}

const EMULATOR: &[&str] = &["/usr/bin/qemu-system-x86_64", "/usr/libexec/qemu-kvm"];
const LIBVIRTD: &[&str] = &["/usr/sbin/libvirtd", "/usr/bin/libvirtd", "/usr/sbin/virtqemud"];
const DNSMASQ: &[&str] = &["/usr/sbin/dnsmasq", "/usr/bin/dnsmasq"];
const QEMU_IMG: &[&str] = &["/usr/bin/qemu-img"];
const CURL: &[&str] = &["/usr/bin/curl"];
const IPTABLES: &[&str] = &["/usr/sbin/iptables", "/usr/bin/iptables"];
const SSH: &[&str] = &["/usr/bin/ssh"];
const PXE: &[&str] = &[
    "/usr/lib/ipxe/qemu/efi-virtio.rom",
    "/usr/lib/ipxe/qemu/pxe-virtio.rom",
    "/usr/share/ipxe/efi-virtio.rom",
    "/usr/share/qemu/efi-virtio.rom",
    "/usr/share/ipxe.efi/efi-virtio.rom",
    "/usr/share/qemu-kvm/efi-virtio.rom",
];

const UEFI: &[&str] = &[
    "/usr/share/OVMF/OVMF_CODE.fd",
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/edk2/ovmf/OVMF_CODE.fd",
    "/usr/share/qemu/ovmf-x86_64-code.bin",
    "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
    "/usr/share/edk2/x64/OVMF_CODE.fd",
];
const TPM: &[&str] = &["/usr/bin/swtpm_setup"];
const MEDIA: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/qemu/block-curl.so",
    "/usr/lib64/qemu-kvm/block-curl.so",
    "/usr/lib64/qemu/block-curl.so",
    "/usr/lib/qemu/block-curl.so",
];
const VIRT_XML: &[&str] = &["/usr/bin/virt-xml"];
const CUSTOMIZE: &[&str] = &["/usr/bin/virt-customize"];
const NFT: &[&str] = &["/usr/sbin/nft", "/usr/bin/nft", "/sbin/nft"];
const OVS: &[&str] = &["/usr/sbin/ovs-vswitchd", "/usr/bin/ovs-vswitchd"];

macro_rules! parts {
    ($($paths:expr => [$($package:literal),* $(,)?]),* $(,)?) => {
        &[$(Part { paths: $paths, packages: &[$($package),*] }),*]
    };
}

/// All families, most particular first.
pub const FAMILIES: [Family; 4] = [
    Family {
        name: "Debian",
        ids: &["debian", "ubuntu"],
        manager: Manager::Apt,
        parts: parts! {
            EMULATOR => ["qemu-system-x86"],
            LIBVIRTD => ["libvirt-daemon-system"],
            DNSMASQ => ["dnsmasq-base"],
            QEMU_IMG => ["qemu-utils"],
            CURL => ["curl", "ca-certificates"],
            IPTABLES => ["iptables"],
            SSH => ["openssh-client"],
            PXE => ["ipxe-qemu"],
        },
        uefi: parts! { UEFI => ["ovmf"] },
        tpm: parts! { TPM => ["swtpm-tools"] },
        media: parts! { MEDIA => ["qemu-block-extra"] },
        virt_xml: parts! { VIRT_XML => ["virtinst"] },
        customize: parts! { CUSTOMIZE => ["libguestfs-tools", "libguestfs-xfs"] },
        guard: parts! { NFT => ["nftables"] },
        vswitch: parts! { OVS => ["openvswitch-switch"] },
    },
    Family {
        name: "Red Hat",
        ids: &["fedora", "rhel", "centos", "rocky", "almalinux", "ol"],
        manager: Manager::Dnf,
        parts: parts! {
            EMULATOR => ["qemu-kvm"],
            LIBVIRTD => ["libvirt"],
            DNSMASQ => ["dnsmasq"],
            QEMU_IMG => ["qemu-img"],
            CURL => ["curl", "ca-certificates"],
            IPTABLES => ["iptables-nft"],
            SSH => ["openssh-clients"],
            PXE => ["ipxe-roms-qemu"],
        },
        uefi: parts! { UEFI => ["edk2-ovmf"] },
        tpm: parts! { TPM => ["swtpm-tools"] },
        media: parts! { MEDIA => ["qemu-kvm-block-curl"] },
        virt_xml: parts! { VIRT_XML => ["virt-install"] },
        customize: parts! { CUSTOMIZE => ["libguestfs-tools-c", "libguestfs-xfs"] },
        guard: parts! { NFT => ["nftables"] },
        vswitch: parts! { OVS => ["openvswitch"] },
    },
    Family {
        name: "SUSE",
        ids: &["opensuse-leap", "opensuse-tumbleweed", "sles", "suse", "opensuse"],
        manager: Manager::Zypper,
        parts: parts! {
            EMULATOR => ["qemu-x86"],
            LIBVIRTD => ["libvirt-daemon-qemu", "libvirt-daemon"],
            DNSMASQ => ["dnsmasq"],
            QEMU_IMG => ["qemu-tools"],
            CURL => ["curl", "ca-certificates-mozilla"],
            IPTABLES => ["iptables"],
            SSH => ["openssh-clients"],
            PXE => ["qemu-ipxe"],
        },
        uefi: parts! { UEFI => ["qemu-ovmf-x86_64"] },
        tpm: parts! { TPM => ["swtpm"] },
        media: parts! { MEDIA => ["qemu-block-curl"] },
        virt_xml: parts! { VIRT_XML => ["virt-install"] },
        customize: parts! { CUSTOMIZE => ["guestfs-tools"] },
        guard: parts! { NFT => ["nftables"] },
        vswitch: parts! { OVS => ["openvswitch"] },
    },
    Family {
        name: "Arch",
        ids: &["arch", "manjaro"],
        manager: Manager::Pacman,
        parts: parts! {
            EMULATOR => ["qemu-system-x86"],
            LIBVIRTD => ["libvirt"],
            DNSMASQ => ["dnsmasq"],
            QEMU_IMG => ["qemu-img"],
            CURL => ["curl", "ca-certificates"],
            IPTABLES => ["iptables-nft"],
            SSH => ["openssh"],
            PXE => ["qemu-system-x86-firmware"],
        },
        uefi: parts! { UEFI => ["edk2-ovmf"] },
        tpm: parts! { TPM => ["swtpm"] },
        media: parts! { MEDIA => ["qemu-block-curl"] },
        virt_xml: parts! { VIRT_XML => ["virt-install"] },
        customize: parts! { CUSTOMIZE => ["guestfs-tools"] },
        guard: parts! { NFT => ["nftables"] },
        vswitch: parts! { OVS => ["openvswitch"] },
    },
];

/// What `/etc/os-release` says.
/// <https://www.freedesktop.org/software/systemd/man/os-release.html>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID`.
    pub id: String,
    /// `ID_LIKE`, in order.
    pub like: Vec<String>,
    /// `VERSION_ID`.
    pub version: String,
    /// `VERSION_CODENAME`.
    pub codename: String,
    /// `PRETTY_NAME`.
    pub name: String,
}

impl OsRelease {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Self {
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(k, _)| k.trim() == key)
                .map(|(_, v)| v.trim().trim_matches(['"', '\'']).to_string())
                .unwrap_or_default()
        };
        Self {
            id: value("ID"),
            like: value("ID_LIKE").split_whitespace().map(String::from).collect(),
            version: value("VERSION_ID"),
            codename: value("VERSION_CODENAME"),
            name: value("PRETTY_NAME"),
        }
    }

    /// The family it belongs to.
    pub fn family(&self) -> Option<&'static Family> {
        let by = |id: &str| FAMILIES.iter().find(|f| f.ids.contains(&id));
        by(&self.id).or_else(|| self.like.iter().find_map(|id| by(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(text: &str) -> Option<&'static str> {
        OsRelease::parse(text).family().map(|f| f.name)
    }

    #[test]
    fn families_are_known_by_id_then_by_likeness() {
        for (text, name) in [
            ("ID=debian\nVERSION_ID=\"12\"", "Debian"),
            ("ID=ubuntu\nID_LIKE=debian", "Debian"),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"", "Debian"),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"", "Red Hat"),
            ("ID=\"centos\"\nVERSION_ID=\"10\"", "Red Hat"),
            ("ID=\"ol\"\nID_LIKE=\"fedora\"", "Red Hat"),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"", "SUSE"),
            (
                "# VERSION=\"20240823\"\nID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"",
                "SUSE",
            ),
            ("VERSION=\"15-SP7\"\nID=\"sles\"\nID_LIKE=\"suse\"", "SUSE"),
            ("ID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"", "Red Hat"),
            ("ID=arch", "Arch"),
            ("ID=manjaro\nID_LIKE=arch", "Arch"),
        ] {
            assert_eq!(family(text), Some(name), "{text}");
        }
        assert_eq!(family("ID=plan9"), None);
    }

    /// The files are the distributions' own, as they were installed.
    #[test]
    fn recorded_files_are_understood() {
        let mut lines = Vec::new();
        insta::glob!("os-release/*.txt", |path| {
            let os = OsRelease::parse(&std::fs::read_to_string(path).unwrap());
            let family = os.family().map_or("none", |f| f.name);
            let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            lines.push(format!("{file}: {family}; {} {}; {}", os.id, os.version, os.name));
        });
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn every_family_covers_the_same_parts() {
        for family in &FAMILIES {
            assert_eq!(family.parts.len(), FAMILIES[0].parts.len(), "{}", family.name);
        }
    }
}
