//! Text from outside, checked once: what parses can be written anywhere.
//!
//! A topology may be a stranger's, and so may a domain's metadata on a shared hypervisor. What they say
//! ends in ssh configs, inventories, cloud-config and dnsmasq's options, each with a syntax of its own
//! in which a line break or a quote means something. So each kind of text has a type here that takes
//! what such a value can sensibly be, and nothing that any of these files would understand otherwise.
//! Writers take these types and need not escape.

mod access;
mod bmc_credentials;
mod console;
mod dns;
mod first_boot;
mod hardware;
mod line;
mod names;
mod netboot;
mod secret;
mod ssh;
pub mod system;

use thiserror::Error;

pub use access::{ConnectionPlugin, Group, Login, PublicKey, TimeZone};
pub use bmc_credentials::BmcCredentials;
pub use console::console_text;
pub use dns::{DnsName, HostAddress, ServiceLabel};
pub use first_boot::{BootPart, FileMode, GuestPath, GuestText, Owner, PackageName};
pub use hardware::{
    DeviceModel, Directory, DiskKey, FileName, MachineName, Mtu, PlainPath, Serial, TargetDevice,
    VlanId,
};
pub use line::{Line, has_template_marks, is_unprintable, printable};
pub use names::{InterfaceName, Name, NetworkName, NetworkPart, NodeName, NodeType};
pub use netboot::{NetbootFile, NetbootUrl, TftpRoot};
pub use secret::Secret;
pub use ssh::{KnownHost, SshCommand, SshPath, SshWord};

/// Why a text is not a valid value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ValueError(String);

impl ValueError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// What text of a kind may look like.
struct Form {
    /// What it is called in messages, with its article: `a login name`.
    what: &'static str,
    /// Most characters.
    longest: usize,
    /// Which characters begin it.
    first: fn(char) -> bool,
    /// Which characters follow.
    rest: fn(char) -> bool,
    /// The same for people.
    rule: &'static str,
}

impl Form {
    fn check(&self, text: &str) -> Result<(), ValueError> {
        let what = self.what;
        let mut chars = text.chars();
        let Some(first) = chars.next() else {
            return Err(ValueError::new(format!("{what} must not be empty")));
        };
        if text.chars().count() > self.longest {
            let (shown, most) = (shortened(text), self.longest);
            let message = format!("`{shown}` is not {what}: it is longer than {most} characters");
            return Err(ValueError::new(message));
        }
        if !(self.first)(first) || !chars.all(self.rest) {
            let (shown, rule) = (shortened(text), self.rule);
            return Err(ValueError::new(format!("`{shown}` is not {what}: {rule}")));
        }
        Ok(())
    }
}

/// A text for a message: no longer than a line, and without anything that a terminal obeys.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    let one_line = |c| if is_unprintable(c) { '\u{fffd}' } else { c };
    let shown: String = text.chars().take(MOST).map(one_line).collect();
    if shown.chars().count() < text.chars().count() { format!("{shown}…") } else { shown }
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// A type around a checked text.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// A value that is a word of this program.
            pub fn known(text: &'static str) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::values::ValueError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> Result<(), $crate::values::ValueError> = $check;
                check(text).map(|()| Self(text.into()))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl PartialEq<String> for $name {
            fn eq(&self, other: &String) -> bool {
                self.0 == *other
            }
        }

        impl PartialEq<$name> for str {
            fn eq(&self, other: &$name) -> bool {
                *self == other.0
            }
        }

        impl PartialEq<$name> for &str {
            fn eq(&self, other: &$name) -> bool {
                **self == other.0
            }
        }

        impl PartialEq<$name> for String {
            fn eq(&self, other: &$name) -> bool {
                *self == other.0
            }
        }
    };
}
use checked;

#[cfg(test)]
mod tests;
