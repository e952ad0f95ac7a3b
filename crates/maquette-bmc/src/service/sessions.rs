//! Redfish sessions, and who somebody is.

use std::sync::MutexGuard;

use super::{Identity, Service, held};
use crate::accounts::{Account, Change, Refused};
use crate::secret::{Secret, hex, random};

/// A Redfish session.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its name in paths.
    pub id: String,
    token: Secret,
    /// The account's number.
    pub account: u8,
    /// Which account of that number, with which password.
    serial: u64,
    /// The account's name when it began.
    pub user: String,
    /// Where it came from.
    pub origin: String,
    /// When it began, in seconds since 1970.
    pub created: u64,
    /// When it was used last, in seconds of the steady clock.
    used: u64,
    /// How often BMCs may have begun again: it ends with the next time.
    beginnings: u64,
}

fn identity(account: &Account, session: Option<String>) -> Identity {
    let (role, must_change, serial) = (account.role, account.must_change, account.serial);
    Identity { account: account.id, serial, role, must_change, session }
}

/// Takes the one out that has been silent for longest.
fn forget_oldest(sessions: &mut Vec<Session>, account: Option<u8>) {
    let all = sessions.iter().enumerate();
    let oldest = all
        .filter(|(_, session)| account.is_none_or(|account| session.account == account))
        .min_by_key(|(_, session)| session.used)
        .map(|(at, _)| at);
    oldest.map(|at| sessions.remove(at));
}

impl Service {
    /// Begins a session; its token is told this once. An account that has too many loses its own oldest one; so does the
    /// account with most of them, if there are too many in all.
    pub fn begin(
        &self,
        who: &Identity,
        user: &str,
        origin: &str,
    ) -> std::io::Result<(Session, Secret)> {
        let token = Secret::new(hex(&random::<24>()?));
        let id = hex(&random::<8>()?);
        let session = Session {
            id,
            token: token.clone(),
            account: who.account,
            serial: who.serial,
            user: user.to_string(),
            origin: origin.to_string(),
            created: self.now(),
            used: self.steady(),
            beginnings: self.beginnings(),
        };
        let mut sessions = self.sessions();
        let of = |sessions: &[Session], account: u8| {
            sessions.iter().filter(|session| session.account == account).count()
        };
        if of(&sessions, who.account) >= self.options.limits.sessions_each {
            forget_oldest(&mut sessions, Some(who.account));
        } else if sessions.len() >= self.options.limits.sessions {
            let most = sessions.iter().map(|s| s.account).max_by_key(|a| of(&sessions, *a));
            forget_oldest(&mut sessions, most);
        }
        sessions.push(session.clone());
        Ok((session, token))
    }

    /// Sessions that have not ended: somebody has used them lately, and their accounts are as they were.
    pub fn sessions(&self) -> MutexGuard<'_, Vec<Session>> {
        let mut sessions = held(&self.sessions);
        // Accounts are locked after sessions, here and below.
        let valid: Vec<(u8, u64)> =
            self.accounts().iter().filter(|a| a.enabled).map(|a| (a.id, a.serial)).collect();
        let (now, limit) = (self.steady(), self.options.limits.session_s);
        let beginnings = self.beginnings();
        sessions.retain(|session| {
            now.saturating_sub(session.used) <= limit
                && session.beginnings >= beginnings
                && valid.contains(&(session.account, session.serial))
        });
        sessions
    }

    fn beginnings(&self) -> u64 {
        self.bmcs().map(|bmc| bmc.beginnings()).sum()
    }

    /// Has a session go on when a BMC begins anew the next time: whoever asks for that logs out after it.
    pub fn outlasts_reset(&self, id: &str) {
        if let Some(session) = self.sessions().iter_mut().find(|session| session.id == id) {
            session.beginnings += 1;
        }
    }

    /// Ends a session.
    pub fn end(&self, id: &str) -> bool {
        let mut sessions = self.sessions();
        let before = sessions.len();
        sessions.retain(|session| session.id != id);
        sessions.len() < before
    }

    /// Changes an account. The session that has done so goes on, if the account is its own; all others of that account have
    /// ended if its password is another one.
    pub fn change_account(&self, id: u8, change: Change, by: Option<&str>) -> Result<(), Refused> {
        let mut sessions = self.sessions();
        let mut accounts = self.accounts();
        let disabled = change.enabled == Some(false);
        accounts.change(id, change)?;
        let serial = accounts.get(id).map(|account| account.serial).filter(|_| !disabled);
        let own = |session: &&mut Session| session.account == id && Some(&*session.id) == by;
        if let (Some(session), Some(serial)) = (sessions.iter_mut().find(own), serial) {
            session.serial = serial;
        }
        Ok(())
    }

    /// Whose token it is.
    pub fn by_token(&self, token: &str) -> Option<Identity> {
        let now = self.steady();
        let (id, account) = self
            .sessions()
            .iter_mut()
            .filter(|session| session.token.is(token))
            .map(|session| {
                session.used = now;
                (session.id.clone(), session.account)
            })
            .last()?;
        let accounts = self.accounts();
        let account = accounts.get(account).filter(|account| account.enabled)?;
        Some(identity(account, Some(id)))
    }

    /// Whose name and password they are.
    pub fn by_password(&self, name: &str, password: &str) -> Option<Identity> {
        let accounts = self.accounts();
        accounts.opens(name, password).map(|account| identity(account, None))
    }

    /// Whether somebody who has shown who they are is that still: their session goes on, and their account is as it was.
    pub fn holds(&self, who: &Identity) -> bool {
        if let Some(id) = &who.session {
            return self.sessions().iter().any(|session| session.id == *id);
        }
        let accounts = self.accounts();
        accounts.get(who.account).is_some_and(|a| a.enabled && a.serial == who.serial)
    }
}
