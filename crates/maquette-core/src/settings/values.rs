//! How the text of a setting becomes its value.

use super::{Kind, Word};
use crate::hardware::{BmcChoice, BmcProtocol, BootMode, Bus, VirtType};
use crate::lifetime::Ttl;
use crate::syntax::parse_bool;
use crate::values::{
    BmcCredentials, Directory, HostAddress, Line, Login, Mtu, Name, Secret, TimeZone,
};
use crate::virtopts::VirtOpts;

/// How text becomes a value.
pub trait Value {
    /// What settings hold of it.
    type Held;
    /// How it is written.
    const KIND: Kind;

    /// Reads it, or says why it is not valid.
    ///
    /// # Errors
    ///
    /// What is wrong, as a sentence.
    fn read(text: &str) -> Result<Self::Held, String>;
}

/// Values whose types say themselves what is valid.
macro_rules! checked {
    ($($type:ty as $held:ty: $kind:expr, $convert:expr;)*) => {$(
        impl Value for $type {
            type Held = $held;
            const KIND: Kind = $kind;

            fn read(text: &str) -> Result<$held, String> {
                let convert: fn($type) -> $held = $convert;
                text.parse::<$type>().map(convert).map_err(|error| error.to_string())
            }
        }
    )*};
}

checked! {
    Login as Login: Kind::Text, |login| login;
    TimeZone as TimeZone: Kind::Text, |zone| zone;
    HostAddress as HostAddress: Kind::Address, |address| address;
    Line as String: Kind::Text, |line| line.to_string();
    Name as Name: Kind::Text, |name| name;
    Mtu as u32: Kind::Number(Mtu::LEAST as u64, Mtu::MOST as u64), Mtu::bytes;
    u8 as u8: Kind::Number(0, u8::MAX as u64), |number| number;
    Ttl as Ttl: Kind::Text, |ttl| ttl;
    u64 as u64: Kind::Number(0, u64::MAX), |number| number;
}

impl Value for Directory {
    type Held = Self;
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Self, String> {
        let directory = text.trim_end_matches('/').parse::<Self>();
        directory.map_err(|error| error.to_string())
    }
}

impl Value for bool {
    type Held = Self;
    const KIND: Kind = Kind::YesNo;

    fn read(text: &str) -> Result<Self, String> {
        parse_bool(text).ok_or_else(|| "expected yes or no".into())
    }
}

impl Value for Secret {
    type Held = Self;
    const KIND: Kind = Kind::Secret;

    fn read(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }
}

impl Value for BmcCredentials {
    type Held = Self;
    const KIND: Kind = Kind::Secret;

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(String::from)
    }
}

/// Texts between commas.
#[derive(Debug)]
pub struct Lines;

impl Value for Lines {
    type Held = Vec<String>;
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let line = Line::read(text)?;
        let parts = line.split(',').map(str::trim).filter(|part| !part.is_empty());
        Ok(parts.map(String::from).collect())
    }
}

impl Value for VirtOpts {
    type Held = Self;
    const KIND: Kind = Kind::Arguments;

    fn read(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

/// Values that are one of a few words.
macro_rules! words {
    ($($type:ty as $held:ty { $($word:literal => $value:expr, $doc:literal $(, $hidden:ident)?;)* })*) => {$(
        impl Value for $type {
            type Held = $held;
            const KIND: Kind = Kind::Words(&[
                $(Word { $($hidden: true,)? ..Word::new($word, $doc) }),*
            ]);

            fn read(text: &str) -> Result<$held, String> {
                match text {
                    $($word => Ok($value),)*
                    _ => Err(format!("it is {}", Self::KIND.expected())),
                }
            }
        }
    )*};
}

/// Which interfaces of BGP node files are used.
#[derive(Debug)]
pub struct BgpMode;

/// How guests are asked to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VirtChoice {
    /// With KVM where it works, else under emulation.
    #[default]
    Auto,
    /// In this way only.
    Only(VirtType),
}

/// How new nodes are asked to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartChoice {
    /// From a template where there is one, or where several nodes can share one; else by booting.
    #[default]
    Auto,
    /// From a template, which is made if there is none.
    Warm,
    /// By booting.
    Cold,
}

words! {
    StartChoice as Self {
        "auto" => Self::Auto, "From a template where there is one or several nodes can share one";
        "warm" => Self::Warm, "From a template, which is made if there is none";
        "cold" => Self::Cold, "By booting";
    }
    Bus as Self {
        "virtio" => Self::Virtio, "`vda`, `vdb`, …";
        "scsi" => Self::Scsi, "`sda`, `sdb`, …";
    }
    BootMode as Self {
        "bios" => Self::Bios, "SeaBIOS";
        "uefi" => Self::Uefi, "UEFI";
    }
    BmcChoice as Self {
        "off" => Self::Off, "No BMC";
        "redfish" => Self::On(BmcProtocol::Redfish), "Redfish over HTTPS";
        "ipmi" => Self::On(BmcProtocol::Ipmi), "IPMI 2.0";
        "both" => Self::On(BmcProtocol::Both), "Redfish and IPMI";
    }
    VirtChoice as Self {
        "auto" => Self::Auto, "KVM where it works, else emulation";
        "kvm" => Self::Only(VirtType::Kvm), "Hardware virtualisation";
        "qemu" => Self::Only(VirtType::Qemu), "QEMU's emulation";
        "test" => Self::Only(VirtType::Test), "libvirt's test driver", hidden;
    }
    BgpMode as bool {
        "basic" => true, "";
    }
}
