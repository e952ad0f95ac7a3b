//! The account of BMCs.

use std::str::FromStr;

use super::Secret;

/// The account that each BMC has at first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BmcCredentials {
    /// A random password for each.
    #[default]
    Node,
    /// One random password for all.
    Environment,
    /// One account for all that somebody has chosen.
    Chosen {
        /// Name of the account.
        user: String,
        /// Password of the account.
        password: Secret,
    },
}

impl BmcCredentials {
    /// Its name where nobody has chosen one.
    pub const USER: &str = "admin";

    /// An account of this name and password, if BMCs take both; what is wrong with it does not repeat what is secret.
    pub fn chosen(user: &str, password: &str) -> Result<Self, &'static str> {
        // What Redfish and IPMI both take, and no file of others has to quote.
        let plain = |text: &str, signs: &str| {
            text.chars().all(|c| c.is_ascii_alphanumeric() || signs.contains(c))
        };
        if !(1..=16).contains(&user.len()) || !plain(user, "-._") {
            return Err("a user's name has 1 to 16 letters, digits, and signs of `-._`");
        }
        if !(8..=20).contains(&password.len()) || !plain(password, "-._+,/:=@^~!") {
            return Err("a password has 8 to 20 letters, digits, and signs of `-._+,/:=@^~!`");
        }
        Ok(Self::Chosen { user: user.into(), password: Secret::new(password) })
    }

    /// As it is written, with its secret.
    pub fn text(&self) -> Secret {
        match self {
            Self::Node => Secret::new("node"),
            Self::Environment => Secret::new("environment"),
            Self::Chosen { user, password } => Secret::new(format!("{user}:{}", password.reveal())),
        }
    }
}

impl FromStr for BmcCredentials {
    type Err = &'static str;

    /// What is wrong does not repeat what is secret.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (user, password) = match text {
            "node" => return Ok(Self::Node),
            "environment" => return Ok(Self::Environment),
            _ => text.split_once(':').ok_or("they are `node`, `environment`, or USER:PASSWORD")?,
        };
        Self::chosen(user, password)
    }
}
