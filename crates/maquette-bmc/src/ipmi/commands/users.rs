//! Accounts, which are Redfish's, too. A new one has a name first, and is there once it has a password.

use std::sync::PoisonError;

use super::super::{Effect, Unfinished};
use super::app::channel;
use super::{Answer, Call, Row, code, level};
use crate::accounts::{Change, MOST, Role};
use crate::ipmi::session::role;
use crate::secret::Secret;

/// The commands.
pub const ROWS: &[Row] = &[
    (0x06, 0x43, level::ADMINISTRATOR, set_access),
    (0x06, 0x44, level::OPERATOR, access),
    (0x06, 0x45, level::ADMINISTRATOR, set_name),
    (0x06, 0x46, level::OPERATOR, name),
    (0x06, 0x47, level::ADMINISTRATOR, set_password),
];

fn user(call: &mut Call<'_>) -> Result<u8, u8> {
    let id = call.byte()? & 0x3f;
    if (1..=MOST as u8 + 1).contains(&id) { Ok(id) } else { Err(code::FIELD) }
}

fn access(call: &mut Call<'_>) -> Answer {
    channel(call)?;
    let id = user(call)?;
    let accounts = call.node.accounts();
    let enabled = accounts.iter().filter(|account| account.enabled).count() as u8;
    let most = MOST as u8 + 1;
    Ok(match accounts.get(id) {
        Some(account) => {
            let on = if account.enabled { 0x40 } else { 0x80 };
            vec![most, on | enabled, 0, 0x30 | account.role.level()]
        }
        // No access.
        None => vec![most, 0x80 | enabled, 0, 0x0f],
    })
}

fn name(call: &mut Call<'_>) -> Answer {
    let id = user(call)?;
    let name = call.node.accounts().get(id).map(|account| account.name.clone());
    let unfinished = call.node.memory.unfinished.get(&id);
    let name = name.or_else(|| unfinished.map(|account| account.name.clone()));
    let mut data = name.unwrap_or_default().into_bytes();
    data.resize(16, 0);
    Ok(data)
}

/// Text that is as long as its field, or ends before it with a zero.
fn text(bytes: &[u8]) -> Result<&str, u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).map_err(|_| code::FIELD)
}

fn change(call: &mut Call<'_>, id: u8, change: Change) -> Answer {
    if call.node.accounts().get(id).is_none() {
        return change_unfinished(call, id, change);
    }
    let accounts = call.node.accounts.clone();
    let mut accounts = accounts.lock().unwrap_or_else(PoisonError::into_inner);
    accounts.change(id, change).map_err(|_| code::FIELD)?;
    call.node.effects.push(Effect::Accounts);
    // Whoever has changed their own password stays; all others of the account are out.
    if let (Some(account), Some((who, _))) = (accounts.get(id), call.who) {
        call.node.sessions.renew(who.session, account);
    }
    Ok(Vec::new())
}

/// An account of which something is said before it is there. With a password it is; who has not said whether it is enabled
/// enables it later, and who has not said what it may do has it look.
fn change_unfinished(call: &mut Call<'_>, id: u8, change: Change) -> Answer {
    // 1 is the account without a name.
    if id < 2 {
        return Err(code::FIELD);
    }
    if let Some(name) = change.name {
        call.node.accounts().takes_name(&name).map_err(|_| code::FIELD)?;
        let new = Unfinished { name, role: Role::ReadOnly, enabled: false };
        call.node.memory.unfinished.insert(id, new);
        return Ok(Vec::new());
    }
    let account = call.node.memory.unfinished.get_mut(&id).ok_or(code::FIELD)?;
    account.role = change.role.unwrap_or(account.role);
    account.enabled = change.enabled.unwrap_or(account.enabled);
    let Some(password) = change.password else { return Ok(Vec::new()) };
    let (name, role, enabled) = (account.name.clone(), account.role, account.enabled);
    {
        let (mut accounts, enabled) = (call.node.accounts(), Some(enabled));
        let made = accounts.add_at(Some(id), &name, password, role);
        let more = Change { enabled, ..Change::default() };
        made.and_then(|id| accounts.change(id, more)).map_err(|_| code::FIELD)?;
    }
    call.node.memory.unfinished.remove(&id);
    call.node.effects.push(Effect::Accounts);
    Ok(Vec::new())
}

/// An account without a name is none.
fn set_name(call: &mut Call<'_>) -> Answer {
    let (id, bytes) = (user(call)?, call.array::<16>()?);
    let name = text(&bytes)?.to_string();
    if !name.is_empty() {
        return change(call, id, Change { name: Some(name), ..Change::default() });
    }
    call.node.memory.unfinished.remove(&id);
    if call.node.accounts().get(id).is_some() {
        call.node.accounts().remove(id).map_err(|_| code::FIELD)?;
        call.node.effects.push(Effect::Accounts);
    }
    Ok(Vec::new())
}

/// Bits of Set User Access (22.26): whether the others are to be changed, and whether they ask for what no account here has:
/// use by callback only, or none by IPMI.
const CHANGES: u8 = 0x80;
const CALLBACK: u8 = 0x40;
const MESSAGING: u8 = 0x10;

fn set_access(call: &mut Call<'_>) -> Answer {
    let bits = *call.data.0.first().ok_or(code::LENGTH)?;
    channel(call)?;
    // Somebody who takes IPMI from an account is not to believe that it is gone.
    if bits & CHANGES != 0 && (bits & CALLBACK != 0 || bits & MESSAGING == 0) {
        return Err(code::FIELD);
    }
    let (id, level) = (user(call)?, call.byte()? & 0x0f);
    // 15 is no access at all.
    if level == 0x0f {
        return change(call, id, Change { enabled: Some(false), ..Change::default() });
    }
    let role = Some(role(level).ok_or(code::FIELD)?);
    change(call, id, Change { role, ..Change::default() })
}

/// Operations: 0 disables, 1 enables, 2 sets, 3 tests.
fn set_password(call: &mut Call<'_>) -> Answer {
    let first = *call.data.0.first().ok_or(code::LENGTH)?;
    let (id, operation) = (user(call)?, call.byte()? & 3);
    let enabled = match operation {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    };
    if enabled.is_some() {
        return change(call, id, Change { enabled, ..Change::default() });
    }
    let bytes = call.rest();
    let long = first & 0x80 != 0;
    if bytes.len() != if long { 20 } else { 16 } {
        return Err(code::LENGTH);
    }
    let password = Secret::new(text(bytes)?);
    if operation == 2 {
        return change(call, id, Change { password: Some(password), ..Change::default() });
    }
    let accounts = call.node.accounts();
    let account = accounts.get(id).ok_or(code::FIELD)?;
    // 0x80: it is another one.
    if account.password.is(password.reveal()) { Ok(Vec::new()) } else { Err(0x80) }
}
