//! What a node is made of, and what its files are called.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::hardware::Bus;

use super::{Form, NodeName, ValueError, checked, shortened, word};

checked!(
    /// A key below `disks`: it becomes part of a volume's name.
    DiskKey,
    |text| Form {
        what: "a valid disk key",
        longest: 32,
        first: |c| c.is_ascii_alphanumeric(),
        rest: |c| word(c) || c == '-',
        rule: "letters, digits, `-` and `_` only",
    }
    .check(text)
);

checked!(
    /// What a disk is to libvirt: `vda`, `sdb`, `hdc`.
    TargetDevice,
    |text| {
        let letters = ["vd", "sd", "hd"].iter().find_map(|bus| text.strip_prefix(bus));
        if letters.is_some_and(|l| matches!(l.len(), 1..=3) && l.bytes().all(|b| b.is_ascii_lowercase())) {
            return Ok(());
        }
        let shown = shortened(text);
        Err(ValueError::new(format!("`{shown}` is not a valid disk device: it is one like `vda`")))
    }
);

impl TargetDevice {
    /// The disk of a number among those of buses whose devices begin alike.
    pub(crate) fn of(bus: Bus, number: u32) -> Self {
        Self(bus.device(number))
    }
}

checked!(
    /// A serial number of a disk: as much as virtio gives a guest to read, and nothing that udev would write otherwise.
    Serial,
    |text| Form {
        what: "a valid serial number",
        longest: 20,
        first: |c| c.is_ascii_alphanumeric(),
        rest: |c| word(c) || matches!(c, '-' | '.' | '+'),
        rule: "letters, digits and `-_.+` only, and it begins with a letter or digit",
    }
    .check(text)
);

impl Serial {
    /// Most characters.
    const MOST: usize = 20;

    /// The one of a disk that is given none: its key, or the beginning of a longer one with a digest of it.
    pub fn of(key: &DiskKey) -> Self {
        if key.len() <= Self::MOST {
            return Self(key.to_string());
        }
        let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes()).simple().to_string();
        // Both are ASCII.
        Self(format!("{}-{}", &key.as_str()[..Self::MOST - 9], &digest[..8]))
    }
}

checked!(
    /// A model of a NIC, as libvirt's schema takes them.
    /// <https://libvirt.org/formatdomain.html#setting-the-nic-model>
    DeviceModel,
    |text| Form {
        what: "a valid device model",
        longest: 64,
        first: |c| c.is_ascii_alphanumeric(),
        rest: |c| word(c) || c == '-',
        rule: "models have letters, digits, `-` and `_` only",
    }
    .check(text)
);

checked!(
    /// A machine type or CPU model, such as `pc-q35-7.2` or `Skylake-Client-IBRS`.
    MachineName,
    |text| Form {
        what: "a valid machine type or CPU model",
        longest: 64,
        first: |c| c.is_ascii_alphanumeric(),
        rest: |c| word(c) || matches!(c, '-' | '.' | '+'),
        rule: "they have letters, digits, `-`, `_`, `.` and `+` only",
    }
    .check(text)
);

checked!(
    /// A name of a file in a directory, or of a volume in a pool: nothing that leads elsewhere.
    FileName,
    |text| {
        Form {
            what: "a valid file name",
            longest: 255,
            first: |c| word(c),
            rest: |c| word(c) || matches!(c, '-' | '.' | '+' | '@' | ':' | '~'),
            rule: "letters, digits and `-_.+@:~` only, and it begins with a letter, digit or `_`",
        }
        .check(text)
    }
);

impl FileName {
    /// The volume of a node's disk. It may be longer than files' names are if the node's name is, which is reported before
    /// anything is made.
    pub(crate) fn of_disk(node: &NodeName, key: &DiskKey) -> Self {
        Self(format!("{node}-{key}.qcow2"))
    }

    /// The volume of a node's seed.
    pub(crate) fn of_seed(node: &NodeName) -> Self {
        Self(format!("{node}-seed.img"))
    }

    /// What begins with a name of ours and has another ending.
    pub(crate) fn ending(stem: &str, ending: &str) -> Self {
        Self(format!("{stem}{ending}"))
    }

    /// The volume of an image that is not found, or is nobody's: that is reported before anything is made.
    pub(crate) fn unknown() -> Self {
        Self(String::new())
    }
}

checked!(
    /// A path of a file that an ssh config, an inventory and a ProxyCommand name: without blanks, quotes
    /// and signs that ssh or a shell would expand. Letters of any script are fine.
    PlainPath,
    |text| Form {
        what: "a path that ssh and Ansible can be given",
        longest: 4096,
        first: |c| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '~'),
        rest: |c| c.is_alphanumeric() || "/._-+@:,=~".contains(c),
        rule: "it has blanks, quotes or other signs that they would take apart",
    }
    .check(text)
);

checked!(
    /// A directory of the hypervisor, as an absolute path without `..` and without what XML, a shell or
    /// libvirt would understand otherwise.
    Directory,
    |text| {
        let plain = |c: char| c.is_alphanumeric() || "/._-+@:,=~ ".contains(c);
        if !text.starts_with('/') {
            let message = format!("`{}` must be an absolute path", shortened(text));
            return Err(ValueError::new(message));
        }
        if text.len() > 4096 || !text.chars().all(plain) || text.split('/').any(|p| p == "..") {
            let message = format!("`{}` is not a valid directory", shortened(text));
            return Err(ValueError::new(message));
        }
        Ok(())
    }
);

/// The largest packet of a network, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtu(u32);

impl Mtu {
    /// The smallest that carries IPv4 (RFC 791).
    pub const LEAST: u32 = 68;
    /// The largest that Linux gives a bridge (`ETH_MAX_MTU`).
    pub const MOST: u32 = 65_535;

    /// Takes a number of bytes, if it is not too small or too large.
    pub fn new(bytes: u64) -> Result<Self, ValueError> {
        match u32::try_from(bytes) {
            Ok(bytes) if (Self::LEAST..=Self::MOST).contains(&bytes) => Ok(Self(bytes)),
            _ => Err(ValueError::new(format!(
                "{bytes} is not a valid MTU: it is {} to {} bytes",
                Self::LEAST,
                Self::MOST
            ))),
        }
    }

    /// The MTU in bytes.
    pub fn bytes(self) -> u32 {
        self.0
    }
}

impl FromStr for Mtu {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::new(format!("`{}` is not a valid MTU", shortened(text)));
        Self::new(text.parse().map_err(|_| wrong())?)
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The number of a VLAN (IEEE 802.1Q).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VlanId(u16);

impl VlanId {
    /// The largest; 4095 is reserved.
    const MOST: u16 = 4094;

    /// Takes a number from 1 to 4094.
    pub fn new(number: u16) -> Result<Self, ValueError> {
        match number {
            1..=Self::MOST => Ok(Self(number)),
            _ => Err(Self::wrong(&number.to_string())),
        }
    }

    fn wrong(text: &str) -> ValueError {
        ValueError::new(format!("`{}` is not a valid VLAN", shortened(text)))
    }
}

impl FromStr for VlanId {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::new(text.parse().map_err(|_| Self::wrong(text))?)
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
