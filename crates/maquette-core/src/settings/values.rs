//! How the text of a setting becomes its value.

use std::str::FromStr;

use super::{SettingKind, Word};
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
    const KIND: SettingKind;

    /// Reads it, or says why it is not valid.
    ///
    /// # Errors
    ///
    /// What is wrong, as a sentence.
    fn read(text: &str) -> Result<Self::Held, String>;
}

/// How names are written.
pub(super) const NAME: &str =
    "a name: letters, digits, `-`, `_` and `.`, with a letter or digit first";

/// Values whose types say themselves what is valid.
macro_rules! checked {
    ($($type:ty as $held:ty: $kind:expr, $convert:expr;)*) => {$(
        impl Value for $type {
            type Held = $held;
            const KIND: SettingKind = $kind;

            fn read(text: &str) -> Result<$held, String> {
                let convert: fn($type) -> $held = $convert;
                text.parse::<$type>().map(convert).map_err(|error| error.to_string())
            }
        }
    )*};
}

checked! {
    Login as Login: SettingKind::Text("a login name: letters, digits, `_`, `-`, `.` and `@`"), |login| login;
    TimeZone as TimeZone: SettingKind::Text("a time zone's name, such as `Europe/Prague` or `UTC`"), |zone| zone;
    HostAddress as HostAddress: SettingKind::Address, |address| address;
    Line as String: SettingKind::Text("text"), |line| line.to_string();
    Name as Name: SettingKind::Text(NAME), |name| name;
    Mtu as Mtu: SettingKind::Number(Mtu::LEAST as u64, Mtu::MOST as u64), |mtu| mtu;
    u8 as u8: SettingKind::Number(0, u8::MAX as u64), |number| number;
    Ttl as Ttl: SettingKind::Text("a time such as `30m`, `8h`, `2d` or `1d12h`, or `never`"), |ttl| ttl;
    Seconds as u64: SettingKind::Number(0, Seconds::MOST), |time| time.0;
    Mebibytes as u64: SettingKind::Number(0, Mebibytes::MOST), |size| size.0;
}

/// A whole number that has a most.
macro_rules! bounded {
    ($($(#[$doc:meta])* $type:ident: $most:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $type(u64);

        impl $type {
            /// The most there can be.
            pub const MOST: u64 = $most;
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let number = text.trim().parse().ok().filter(|number| *number <= Self::MOST);
                number.map(Self).ok_or_else(|| format!("it is {}", SettingKind::Number(0, Self::MOST).expected()))
            }
        }
    )*};
}

bounded! {
    /// How long something may take, in seconds: a year at most, which the clock of any system can count.
    Seconds: 366 * 24 * 60 * 60;
    /// A part of a machine's memory, in MiB: more bytes than a number holds are nobody's.
    Mebibytes: u64::MAX >> 20;
}

impl Value for Directory {
    type Held = Self;
    const KIND: SettingKind = SettingKind::Text("an absolute path");

    fn read(text: &str) -> Result<Self, String> {
        text.trim_end_matches('/').parse::<Self>().map_err(|e| e.to_string())
    }
}

impl Value for bool {
    type Held = Self;
    const KIND: SettingKind = SettingKind::YesNo;

    fn read(text: &str) -> Result<Self, String> {
        parse_bool(text).ok_or_else(|| "expected yes or no".into())
    }
}

impl Value for Secret {
    type Held = Self;
    const KIND: SettingKind = SettingKind::Secret;

    fn read(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }
}

impl Value for BmcCredentials {
    type Held = Self;
    const KIND: SettingKind = SettingKind::Secret;

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(String::from)
    }
}

/// Texts between commas.
#[derive(Debug)]
pub struct Lines;

impl Value for Lines {
    type Held = Vec<String>;
    const KIND: SettingKind = SettingKind::Text("text; several with commas between them");

    fn read(text: &str) -> Result<Vec<String>, String> {
        let line = Line::read(text)?;
        let parts = line.split(',').map(str::trim).filter(|part| !part.is_empty());
        Ok(parts.map(String::from).collect())
    }
}

impl Value for VirtOpts {
    type Held = Self;
    const KIND: SettingKind = SettingKind::Arguments;

    fn read(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

/// Values that are one of a few words.
macro_rules! words {
    ($($type:ty as $held:ty { $($word:literal => $value:expr, $doc:literal $(, $hidden:ident)?;)* })*) => {$(
        impl Value for $type {
            type Held = $held;
            const KIND: SettingKind = SettingKind::Words(&[
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
