//! Who may use a BMC, and what: accounts with roles, as Redfish and IPMI both know them.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// What somebody may do, in Redfish's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// Log in and read.
    Login,
    /// Change the BMC itself.
    ConfigureManager,
    /// Change accounts.
    ConfigureUsers,
    /// Change the node: power, boot, media.
    ConfigureComponents,
    /// Change one's own password.
    ConfigureSelf,
}

impl Privilege {
    /// As Redfish writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "Login",
            Self::ConfigureManager => "ConfigureManager",
            Self::ConfigureUsers => "ConfigureUsers",
            Self::ConfigureComponents => "ConfigureComponents",
            Self::ConfigureSelf => "ConfigureSelf",
        }
    }
}

/// The three roles that every Redfish service has; they are IPMI's levels of privilege, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// May do everything.
    Administrator,
    /// May use the node, and not change the BMC.
    Operator,
    /// May read, and change its own password.
    ReadOnly,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Administrator, Self::Operator, Self::ReadOnly];

    /// As Redfish writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "Administrator",
            Self::Operator => "Operator",
            Self::ReadOnly => "ReadOnly",
        }
    }

    /// The role of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// What it allows.
    pub fn privileges(self) -> &'static [Privilege] {
        use Privilege::{
            ConfigureComponents, ConfigureManager, ConfigureSelf, ConfigureUsers, Login,
        };
        match self {
            Self::Administrator => {
                &[Login, ConfigureManager, ConfigureUsers, ConfigureComponents, ConfigureSelf]
            }
            Self::Operator => &[Login, ConfigureComponents, ConfigureSelf],
            Self::ReadOnly => &[Login, ConfigureSelf],
        }
    }

    /// IPMI's number of the highest level that it may have: 4 administrator, 3 operator, 2 user.
    pub fn level(self) -> u8 {
        match self {
            Self::Administrator => 4,
            Self::Operator => 3,
            Self::ReadOnly => 2,
        }
    }

    /// Whether it may do something.
    pub fn may(self, privilege: Privilege) -> bool {
        self.privileges().contains(&privilege)
    }
}

/// Longest name, which IPMI sends in 16 bytes.
pub const LONGEST_NAME: usize = 16;
/// Shortest and longest password; IPMI has keys of 20 bytes.
pub const PASSWORD: std::ops::RangeInclusive<usize> = 8..=20;
/// Most accounts of a service, besides IPMI's number 1, which has no name.
pub const MOST: usize = 15;

/// One account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// Its number, which IPMI has, too: 2 and more, since 1 is the account without a name.
    pub id: u8,
    /// Its name: 1 to [`LONGEST_NAME`] printable characters of ASCII, without blanks and colons.
    pub name: String,
    /// Its password, whose length is in [`PASSWORD`].
    pub password: Secret,
    /// What it may do.
    pub role: Role,
    /// Whether anybody may log in with it.
    pub enabled: bool,
    /// Whether nothing is allowed with it but another password.
    pub must_change: bool,
    /// Counts changes, also those that nobody can read.
    #[serde(skip)]
    pub generation: u64,
    /// Another one for each account, for each password, and after each time that it was disabled: whoever came in with
    /// another one is out.
    #[serde(skip)]
    pub serial: u64,
}

/// Why an account cannot be made or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There are as many as there may be.
    Full,
    /// The name is another account's.
    Taken,
    /// The name is too long, or has characters that cannot be sent.
    Name,
    /// The password is too short, too long, or has characters that cannot be sent.
    Password,
    /// Nobody could change anything any more.
    LastAdministrator,
    /// There is no such account.
    Unknown,
}

/// What is changed of an account; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Another name.
    pub name: Option<String>,
    /// Another password.
    pub password: Option<Secret>,
    /// Another role.
    pub role: Option<Role>,
    /// Whether it is enabled.
    pub enabled: Option<bool>,
    /// Whether its password has to be changed.
    pub must_change: Option<bool>,
}

/// All accounts.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    all: Vec<Account>,
    /// The last serial number that was given.
    serials: u64,
}

fn checked_name(name: &str) -> Result<&str, Refused> {
    let plain = name.chars().all(|c| c.is_ascii_graphic() && c != ':');
    if plain && !name.is_empty() && name.len() <= LONGEST_NAME {
        Ok(name)
    } else {
        Err(Refused::Name)
    }
}

fn checked_password(password: &Secret) -> Result<(), Refused> {
    let text = password.reveal();
    let plain = text.chars().all(|c| c.is_ascii() && !c.is_ascii_control());
    if plain && PASSWORD.contains(&text.len()) { Ok(()) } else { Err(Refused::Password) }
}

impl Accounts {
    /// All, by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.all.iter()
    }

    /// One by its number.
    pub fn get(&self, id: u8) -> Option<&Account> {
        self.all.iter().find(|account| account.id == id)
    }

    /// One by its name. All are looked at, so that time does not tell which names there are.
    pub fn named(&self, name: &str) -> Option<&Account> {
        let asked = Secret::new(name);
        self.all.iter().fold(
            None,
            |found, account| {
                if asked.is(&account.name) { Some(account) } else { found }
            },
        )
    }

    /// The account that a name and a password open. A name that nobody has takes as long as a wrong password.
    pub fn opens(&self, name: &str, password: &str) -> Option<&Account> {
        let nobody = Secret::new("no account has this");
        let account = self.named(name);
        let right = account.map_or(&nobody, |account| &account.password).is(password);
        account.filter(|account| right && account.enabled)
    }

    /// Takes the place of all accounts, as they were left by a service that has ended: all of them, or none.
    pub fn remember(&mut self, accounts: Vec<Account>) -> Result<(), Refused> {
        let mut all = Self { all: Vec::new(), serials: self.serials };
        for mut account in accounts {
            checked_name(&account.name)?;
            checked_password(&account.password)?;
            let numbered = (2..=MOST as u8 + 1).contains(&account.id);
            if !numbered || all.get(account.id).is_some() || all.named(&account.name).is_some() {
                return Err(Refused::Taken);
            }
            all.serials += 1;
            account.serial = all.serials;
            all.all.push(account);
        }
        if !all.iter().any(|account| account.enabled && account.role == Role::Administrator) {
            return Err(Refused::LastAdministrator);
        }
        all.all.sort_by_key(|account| account.id);
        *self = all;
        Ok(())
    }

    /// Makes an account, with the lowest number that is free; it is refused as [`Refused`] says.
    pub fn add(&mut self, name: &str, password: Secret, role: Role) -> Result<u8, Refused> {
        let free = (2..=MOST as u8 + 1).find(|id| self.get(*id).is_none());
        self.add_at(free, name, password, role)
    }

    /// An error if no account can be made with a name.
    pub fn takes_name(&self, name: &str) -> Result<(), Refused> {
        let name = checked_name(name)?;
        if self.named(name).is_some() { Err(Refused::Taken) } else { Ok(()) }
    }

    /// Makes an account, with a number that is free.
    pub fn add_at(
        &mut self,
        id: Option<u8>,
        name: &str,
        password: Secret,
        role: Role,
    ) -> Result<u8, Refused> {
        self.takes_name(name)?;
        checked_password(&password)?;
        let name = name.to_string();
        let numbered = |id: &u8| (2..=MOST as u8 + 1).contains(id) && self.get(*id).is_none();
        let id = id.filter(numbered).ok_or(Refused::Full)?;
        self.serials += 1;
        let (enabled, must_change, generation, serial) = (true, false, 0, self.serials);
        self.all.push(Account {
            id,
            name,
            password,
            role,
            enabled,
            must_change,
            generation,
            serial,
        });
        self.all.sort_by_key(|account| account.id);
        Ok(id)
    }

    /// Changes an account: all of it, or nothing, where a part of the change is refused.
    pub fn change(&mut self, id: u8, change: Change) -> Result<(), Refused> {
        let Change { name, password, role, enabled, must_change } = change;
        if let Some(name) = &name {
            checked_name(name)?;
            if self.named(name).is_some_and(|other| other.id != id) {
                return Err(Refused::Taken);
            }
        }
        password.as_ref().map_or(Ok(()), checked_password)?;
        let account = self.get(id).ok_or(Refused::Unknown)?;
        // Whoever has to change it has not done so with the same one.
        if account.must_change && password.as_ref().is_some_and(|p| account.password.is(p.reveal()))
        {
            return Err(Refused::Password);
        }
        let stays = role.unwrap_or(account.role) == Role::Administrator
            && enabled.unwrap_or(account.enabled);
        if !stays && self.is_last_administrator(id) {
            return Err(Refused::LastAdministrator);
        }
        let serial = self.serials + 1;
        let account = self.all.iter_mut().find(|a| a.id == id).ok_or(Refused::Unknown)?;
        if password.is_some() || enabled == Some(false) {
            (account.serial, self.serials) = (serial, serial);
        }
        if password.is_some() {
            account.must_change = false;
        }
        account.name = name.unwrap_or_else(|| account.name.clone());
        account.password = password.unwrap_or_else(|| account.password.clone());
        account.role = role.unwrap_or(account.role);
        account.enabled = enabled.unwrap_or(account.enabled);
        account.must_change = must_change.unwrap_or(account.must_change);
        account.generation += 1;
        Ok(())
    }

    /// Removes an account. The last administrator that is enabled stays.
    pub fn remove(&mut self, id: u8) -> Result<(), Refused> {
        if self.is_last_administrator(id) {
            return Err(Refused::LastAdministrator);
        }
        let before = self.all.len();
        self.all.retain(|account| account.id != id);
        if self.all.len() < before { Ok(()) } else { Err(Refused::Unknown) }
    }

    fn is_last_administrator(&self, id: u8) -> bool {
        let mut others = self.all.iter().filter(|a| a.id != id && a.enabled);
        self.get(id).is_some_and(|a| a.enabled && a.role == Role::Administrator)
            && !others.any(|a| a.role == Role::Administrator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        let mut accounts = Accounts::default();
        accounts.add("admin", Secret::new("password"), Role::Administrator).unwrap();
        accounts
    }

    #[test]
    fn only_name_and_password_together_open_an_account_that_is_enabled() {
        let mut all = accounts();
        let id = all.add("look", Secret::new("12345678"), Role::ReadOnly).unwrap();
        assert_eq!(all.opens("look", "12345678").unwrap().id, id);
        for (name, password) in [("look", "password"), ("admin", "12345678"), ("", ""), ("x", "")] {
            assert!(all.opens(name, password).is_none(), "{name}");
        }
        assert!(all.opens("nobody", "no account has this").is_none());
        all.change(id, Change { enabled: Some(false), ..Change::default() }).unwrap();
        assert!(all.opens("look", "12345678").is_none());
    }

    #[test]
    fn the_last_administrator_stays() {
        let mut all = accounts();
        assert_eq!(all.remove(2), Err(Refused::LastAdministrator));
        let role = Change { role: Some(Role::Operator), ..Change::default() };
        assert_eq!(all.change(2, role), Err(Refused::LastAdministrator));
        let id = all.add("other", Secret::new("password"), Role::Administrator).unwrap();
        all.remove(2).unwrap();
        assert_eq!(all.remove(id), Err(Refused::LastAdministrator));
    }

    #[test]
    fn names_and_passwords_are_what_ipmi_can_send() {
        let mut all = accounts();
        for name in ["", "a b", "a:b", "ä", "12345678901234567", "a\n"] {
            let made = all.add(name, Secret::new("password"), Role::ReadOnly);
            assert_eq!(made, Err(Refused::Name), "{name}");
        }
        for password in ["", "1234567", "123456789012345678901", "passwörter"] {
            let made = all.add("user", Secret::new(password), Role::ReadOnly);
            assert_eq!(made, Err(Refused::Password), "{password}");
        }
        assert_eq!(all.add("admin", Secret::new("password"), Role::ReadOnly), Err(Refused::Taken));
    }

    #[test]
    fn a_password_that_has_to_be_changed_is_another_one_afterwards() {
        let mut all = accounts();
        all.change(2, Change { must_change: Some(true), ..Change::default() }).unwrap();
        let change = |text: &str| Change { password: Some(Secret::new(text)), ..Change::default() };
        assert_eq!(all.change(2, change("password")), Err(Refused::Password));
        all.change(2, change("password2")).unwrap();
        assert!(!all.get(2).unwrap().must_change);
    }

    #[test]
    fn an_account_of_the_same_number_is_another_one() {
        let mut all = accounts();
        let id = all.add("look", Secret::new("password"), Role::ReadOnly).unwrap();
        let first = all.get(id).unwrap().serial;
        all.remove(id).unwrap();
        assert_eq!(all.add("other", Secret::new("password"), Role::ReadOnly), Ok(id));
        let second = all.get(id).unwrap().serial;
        all.change(id, Change { enabled: Some(false), ..Change::default() }).unwrap();
        all.change(id, Change { enabled: Some(true), ..Change::default() }).unwrap();
        let third = all.get(id).unwrap().serial;
        assert!(first != second && second != third, "{first} {second} {third}");
    }

    #[test]
    fn there_are_only_so_many() {
        let mut all = accounts();
        for number in 1..MOST {
            all.add(&format!("u{number}"), Secret::new("password"), Role::ReadOnly).unwrap();
        }
        let made = all.add("more", Secret::new("password"), Role::ReadOnly);
        assert_eq!(made, Err(Refused::Full));
    }
}
