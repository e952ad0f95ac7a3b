//! Cloud images that can be asked for by name. Data only.

/// A published cloud image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What `--image-url` calls it.
    pub name: &'static str,
    /// Where it is.
    pub url: &'static str,
    /// Where its checksum is published.
    pub checksums: &'static str,
}

macro_rules! entries {
    ($($name:literal: $folder:literal, $file:literal, $sums:literal;)*) => {
        &[$(Entry {
            name: $name,
            url: concat!($folder, $file),
            checksums: concat!($folder, $sums),
        }),*]
    };
}

/// All of them, by distribution and version.
pub const ENTRIES: &[Entry] = entries! {
    "almalinux-9": "https://repo.almalinux.org/almalinux/9/cloud/x86_64/images/",
        "AlmaLinux-9-GenericCloud-latest.x86_64.qcow2", "CHECKSUM";
    "almalinux-10": "https://repo.almalinux.org/almalinux/10/cloud/x86_64/images/",
        "AlmaLinux-10-GenericCloud-latest.x86_64.qcow2", "CHECKSUM";
    "centos-stream-9": "https://cloud.centos.org/centos/9-stream/x86_64/images/",
        "CentOS-Stream-GenericCloud-9-latest.x86_64.qcow2",
        "CentOS-Stream-GenericCloud-9-latest.x86_64.qcow2.SHA256SUM";
    "centos-stream-10": "https://cloud.centos.org/centos/10-stream/x86_64/images/",
        "CentOS-Stream-GenericCloud-10-latest.x86_64.qcow2",
        "CentOS-Stream-GenericCloud-10-latest.x86_64.qcow2.SHA256SUM";
    "debian-12": "https://cloud.debian.org/images/cloud/bookworm/latest/",
        "debian-12-generic-amd64.qcow2", "SHA512SUMS";
    "debian-13": "https://cloud.debian.org/images/cloud/trixie/latest/",
        "debian-13-generic-amd64.qcow2", "SHA512SUMS";
    "fedora-42": "https://download.fedoraproject.org/pub/fedora/linux/releases/42/Cloud/x86_64/images/",
        "Fedora-Cloud-Base-Generic-42-1.1.x86_64.qcow2", "Fedora-Cloud-42-1.1-x86_64-CHECKSUM";
    "fedora-43": "https://download.fedoraproject.org/pub/fedora/linux/releases/43/Cloud/x86_64/images/",
        "Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2", "Fedora-Cloud-43-1.6-x86_64-CHECKSUM";
    "rocky-9": "https://dl.rockylinux.org/pub/rocky/9/images/x86_64/",
        "Rocky-9-GenericCloud-Base.latest.x86_64.qcow2",
        "Rocky-9-GenericCloud-Base.latest.x86_64.qcow2.CHECKSUM";
    "rocky-10": "https://dl.rockylinux.org/pub/rocky/10/images/x86_64/",
        "Rocky-10-GenericCloud-Base.latest.x86_64.qcow2",
        "Rocky-10-GenericCloud-Base.latest.x86_64.qcow2.CHECKSUM";
    "ubuntu-22.04": "https://cloud-images.ubuntu.com/releases/22.04/release/",
        "ubuntu-22.04-server-cloudimg-amd64.img", "SHA256SUMS";
    "ubuntu-24.04": "https://cloud-images.ubuntu.com/releases/24.04/release/",
        "ubuntu-24.04-server-cloudimg-amd64.img", "SHA256SUMS";
};

/// The entry of a name.
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|e| e.name == name)
}
