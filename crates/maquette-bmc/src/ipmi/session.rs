//! Sessions of RMCP+: how one begins (RAKP; IPMI 2.0, 13.17 to 13.24), and which packets are of it.

use super::crypto::{Keys, Suite, same};
use super::packet::{Reader, payload, wrap_plus};
use crate::accounts::{Accounts, Role};
use crate::secret::random;

/// Most sessions; most that have only been asked for, of which the oldest go.
const SESSIONS: usize = 16;
const ASKED: usize = 32;
/// Seconds until a session ends in which nothing happens, and until one that was asked for is forgotten.
const SILENT_S: u64 = 60;
const ASKED_S: u64 = 20;

/// Status codes of the key exchange (IPMI 2.0, table 13-15).
mod status {
    pub const OK: u8 = 0x00;
    pub const RESOURCES: u8 = 0x01;
    pub const SESSION: u8 = 0x02;
    pub const ROLE: u8 = 0x09;
    pub const PRIVILEGE: u8 = 0x0a;
    pub const NAME: u8 = 0x0d;
    pub const CODE: u8 = 0x0f;
    pub const SUITE: u8 = 0x11;
    pub const PARAMETER: u8 = 0x12;
}

/// What was agreed in the key exchange so far.
#[derive(Clone)]
struct Exchange {
    console: [u8; 16],
    ours: [u8; 16],
    /// The role that was asked for, and the name, as they are in the codes.
    tail: Vec<u8>,
    key: Vec<u8>,
    account: u8,
    limit: u8,
}

enum Stage {
    Asked,
    Exchanging(Box<Exchange>),
    Active(Box<Active>),
}

struct Active {
    keys: Keys,
    account: u8,
    /// The highest level that it may have.
    limit: u8,
    /// The level that it has.
    level: u8,
    sent: u32,
    window: Window,
    /// The last request and its answer: it may be sent again.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

struct Session {
    /// Our number of it, and the client's.
    id: u32,
    console: u32,
    suite: Suite,
    /// The level that was asked for at first.
    wanted: u8,
    used: u64,
    stage: Stage,
}

/// Which numbers of packets have been seen, so that none is done twice (IPMI 2.0, 6.12.13).
#[derive(Default)]
struct Window {
    highest: u32,
    seen: u32,
}

/// How far numbers may go ahead.
const AHEAD: u32 = 16;

impl Window {
    fn admits(&mut self, number: u32) -> bool {
        if number == 0 {
            return false;
        }
        if number > self.highest {
            let step = number - self.highest;
            // The first may be any.
            if self.highest != 0 && step > AHEAD {
                return false;
            }
            self.seen = self.seen.checked_shl(step).unwrap_or(0) | 1;
            self.highest = number;
            return true;
        }
        let behind = self.highest - number;
        let bit = 1u32.checked_shl(behind).filter(|bit| behind < AHEAD && self.seen & bit == 0);
        self.seen |= bit.unwrap_or(0);
        bit.is_some()
    }
}

/// An answer, and whether it is held back since somebody was wrong.
pub struct Reply {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether it is held back.
    pub late: bool,
}

/// What is known of somebody in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// Our number of the session.
    pub session: u32,
    /// The account.
    pub account: u8,
    /// The level that they have.
    pub level: u8,
    /// The highest that they may have.
    pub limit: u8,
}

/// All sessions of a BMC.
pub struct Sessions {
    all: Vec<Session>,
    guid: [u8; 16],
}

impl Sessions {
    /// None yet; the BMC is known by a GUID.
    pub fn new(guid: [u8; 16]) -> Self {
        Self { all: Vec::new(), guid }
    }

    fn expire(&mut self, now: u64) {
        self.all.retain(|session| {
            let limit = if matches!(session.stage, Stage::Active(_)) { SILENT_S } else { ASKED_S };
            now.saturating_sub(session.used) < limit
        });
    }

    /// How many are active.
    pub fn active(&self) -> usize {
        self.all.iter().filter(|session| matches!(session.stage, Stage::Active(_))).count()
    }

    /// Whether one is active.
    pub fn is_active(&self, id: u32) -> bool {
        let mut all = self.all.iter();
        all.any(|s| s.id == id && matches!(s.stage, Stage::Active(_)))
    }

    /// Ends a session.
    pub fn close(&mut self, id: u32) -> bool {
        let before = self.all.len();
        self.all.retain(|session| session.id != id);
        self.all.len() < before
    }

    /// Ends all.
    pub fn close_all(&mut self) {
        self.all.clear();
    }

    /// A message of the key exchange; the answer to it.
    pub fn exchange(
        &mut self,
        kind: u8,
        bytes: &[u8],
        accounts: &Accounts,
        now: u64,
    ) -> Option<Reply> {
        self.expire(now);
        match kind {
            payload::OPEN_REQUEST => self.open(bytes, now),
            payload::RAKP_1 => self.first(bytes, accounts, now),
            payload::RAKP_3 => self.third(bytes, accounts, now),
            _ => None,
        }
    }

    fn open(&mut self, bytes: &[u8], now: u64) -> Option<Reply> {
        let mut reader = Reader(bytes);
        let ([tag, wanted, _, _], console) = (reader.array()?, reader.array::<4>()?);
        let refused = |status: u8| {
            let mut answer = vec![tag, status, 0, 0];
            answer.extend(console);
            Some(Reply { bytes: wrap_plus(payload::OPEN_RESPONSE, &answer), late: false })
        };
        let mut algorithms = [0; 3];
        for (number, algorithm) in (0u8..).zip(&mut algorithms) {
            let [kind, _, _, length, chosen, _, _, _] = reader.array()?;
            if kind != number || ![0, 8].contains(&length) {
                return refused(status::PARAMETER);
            }
            // A length of nothing leaves the choice to us.
            *algorithm = if length == 0 {
                Suite::Seventeen.algorithms()[usize::from(number)]
            } else {
                chosen & 0x3f
            };
        }
        let Some(suite) = Suite::of(algorithms) else { return refused(status::SUITE) };
        let asked = self.all.iter().filter(|s| !matches!(s.stage, Stage::Active(_))).count();
        if asked >= ASKED {
            let oldest = self.all.iter().position(|s| !matches!(s.stage, Stage::Active(_)))?;
            self.all.remove(oldest);
        }
        let Ok(number) = random::<4>() else { return refused(status::RESOURCES) };
        let id = u32::from_le_bytes(number);
        if id == 0 || self.all.iter().any(|session| session.id == id) {
            return refused(status::RESOURCES);
        }
        let highest = if wanted & 0x0f == 0 { 4 } else { wanted & 0x0f };
        let (used, stage, client) = (now, Stage::Asked, u32::from_le_bytes(console));
        self.all.push(Session { id, console: client, suite, wanted: highest, used, stage });
        let mut answer = vec![tag, status::OK, highest.min(4), 0];
        answer.extend(console);
        answer.extend(id.to_le_bytes());
        for (number, algorithm) in (0u8..).zip(suite.algorithms()) {
            answer.extend([number, 0, 0, 8, algorithm, 0, 0, 0]);
        }
        Some(Reply { bytes: wrap_plus(payload::OPEN_RESPONSE, &answer), late: false })
    }

    /// The client's random number and name; ours, and a code that shows that we know the password, too.
    fn first(&mut self, bytes: &[u8], accounts: &Accounts, now: u64) -> Option<Reply> {
        let guid = self.guid;
        let mut reader = Reader(bytes);
        let ([tag, _, _, _], id) = (reader.array()?, reader.u32()?);
        let session = self.all.iter_mut().find(|s| s.id == id);
        let session = session.filter(|s| !matches!(s.stage, Stage::Active(_)));
        let console = session.as_ref().map_or(0, |session| session.console);
        let refused = |status: u8, late: bool| {
            let mut answer = vec![tag, status, 0, 0];
            answer.extend(console.to_le_bytes());
            Some(Reply { bytes: wrap_plus(payload::RAKP_2, &answer), late })
        };
        let Some(session) = session else { return refused(status::SESSION, false) };
        let (theirs, [role, _, _, length]) = (reader.array::<16>()?, reader.array::<4>()?);
        let name = reader.take(usize::from(length)).filter(|name| name.len() <= 16)?;
        let text = std::str::from_utf8(name).unwrap_or_default();
        let wanted = if role & 0x0f == 0 { session.wanted } else { role & 0x0f };
        if !(1..=4).contains(&wanted) {
            return refused(status::ROLE, false);
        }
        let account = accounts.named(text).filter(|a| a.enabled && !a.must_change);
        let Some(account) = account else { return refused(status::NAME, true) };
        if wanted > account.role.level() {
            return refused(status::PRIVILEGE, false);
        }
        let Ok(ours) = random::<16>() else { return refused(status::RESOURCES, false) };
        let mut tail = vec![role, length];
        tail.extend(name);
        let key = account.password.reveal().as_bytes().to_vec();
        let (sid, cid) = (session.id.to_le_bytes(), console.to_le_bytes());
        let covered = [&cid[..], &sid, &theirs, &ours, &guid, &tail].concat();
        let code = session.suite.code(&key, &covered);
        let mut answer = vec![tag, status::OK, 0, 0];
        answer.extend([&cid[..], &ours, &guid, &code].concat());
        let (account, limit) = (account.id, wanted);
        let exchange = Exchange { console: theirs, ours, tail, key, account, limit };
        session.stage = Stage::Exchanging(Box::new(exchange));
        session.used = now;
        Some(Reply { bytes: wrap_plus(payload::RAKP_2, &answer), late: false })
    }

    /// The client's code, which shows that it knows the password; then the session is active.
    fn third(&mut self, bytes: &[u8], accounts: &Accounts, now: u64) -> Option<Reply> {
        let (guid, active) = (self.guid, self.active());
        let mut reader = Reader(bytes);
        let ([tag, status, _, _], id) = (reader.array()?, reader.u32()?);
        let at = self.all.iter().position(|session| session.id == id)?;
        let console = self.all[at].console.to_le_bytes();
        let refused = |status: u8, late: bool| {
            let mut answer = vec![tag, status, 0, 0];
            answer.extend(console);
            Some(Reply { bytes: wrap_plus(payload::RAKP_4, &answer), late })
        };
        let Stage::Exchanging(exchange) = &self.all[at].stage else { return None };
        let (exchange, suite) = (exchange.clone(), self.all[at].suite);
        if status != status::OK {
            // The client does not believe us, and says no more.
            self.all.remove(at);
            return None;
        }
        let covered = [&exchange.ours[..], &console, &exchange.tail].concat();
        let known = accounts.get(exchange.account).is_some_and(|account| account.enabled);
        if !known || !same(&suite.code(&exchange.key, &covered), reader.0) {
            self.all.remove(at);
            return refused(status::CODE, true);
        }
        if active >= SESSIONS {
            self.all.remove(at);
            return refused(status::RESOURCES, false);
        }
        let covered = [&exchange.console[..], &exchange.ours, &exchange.tail].concat();
        let own = suite.code(&exchange.key, &covered);
        let covered = [&exchange.console[..], &id.to_le_bytes(), &guid].concat();
        let mut code = suite.code(&own, &covered);
        code.truncate(suite.short());
        let (keys, account, limit) = (Keys::of(suite, &own), exchange.account, exchange.limit);
        // A session begins as a user's, and is raised by a command.
        let (level, sent, window, last) = (limit.min(2), 0, Window::default(), None);
        let active = Active { keys, account, limit, level, sent, window, last };
        self.all[at].stage = Stage::Active(Box::new(active));
        self.all[at].used = now;
        let mut answer = vec![tag, status::OK, 0, 0];
        answer.extend(console);
        answer.extend(code);
        Some(Reply { bytes: wrap_plus(payload::RAKP_4, &answer), late: false })
    }

    fn find(&mut self, id: u32) -> Option<(&mut Active, u32)> {
        let session = self.all.iter_mut().find(|session| session.id == id)?;
        match &mut session.stage {
            Stage::Active(active) => Some((active, session.console)),
            Stage::Asked | Stage::Exchanging(_) => None,
        }
    }

    /// What is in a packet of a session: signed, encrypted, and not seen before.
    pub fn open_packet(
        &mut self,
        packet: &super::packet::Plus<'_>,
        accounts: &Accounts,
        now: u64,
    ) -> Option<(Who, Vec<u8>)> {
        self.expire(now);
        if !packet.authenticated || !packet.encrypted {
            return None;
        }
        let (active, _) = self.find(packet.session)?;
        if !active.keys.is_signed(packet.covered, packet.code) {
            return None;
        }
        let plain = active.keys.decrypt(packet.payload)?;
        if !active.window.admits(packet.sequence) {
            return None;
        }
        let account = accounts.get(active.account).filter(|account| account.enabled);
        let highest = account.map_or(0, |account| account.role.level());
        active.limit = active.limit.min(highest);
        active.level = active.level.min(active.limit);
        let (account, level, limit) = (active.account, active.level, active.limit);
        let who = Who { session: packet.session, account, level, limit };
        if highest == 0 {
            self.close(packet.session);
            return None;
        }
        let session = self.all.iter_mut().find(|session| session.id == packet.session)?;
        session.used = now;
        Some((who, plain))
    }

    /// A packet of a session.
    pub fn seal(&mut self, id: u32, kind: u8, payload: &[u8]) -> Option<Vec<u8>> {
        let (active, console) = self.find(id)?;
        active.sent = active.sent.checked_add(1).unwrap_or(1);
        let encrypted = active.keys.encrypt(payload)?;
        let (sent, keys) = (active.sent, &active.keys);
        Some(super::packet::wrap_guarded(kind, console, sent, &encrypted, |b| keys.sign(b)))
    }

    /// Sets the level of a session; the level that it has now.
    pub fn raise(&mut self, id: u32, level: u8) -> Option<u8> {
        let (active, _) = self.find(id)?;
        if level > active.limit {
            return None;
        }
        if level >= 2 {
            active.level = level;
        }
        Some(active.level)
    }

    /// The answer to a request that was answered already.
    pub fn repeated(&mut self, id: u32, request: &[u8]) -> Option<Vec<u8>> {
        let (active, _) = self.find(id)?;
        active.last.as_ref().filter(|(known, _)| known == request).map(|(_, answer)| answer.clone())
    }

    /// Remembers an answer.
    pub fn answered(&mut self, id: u32, request: &[u8], answer: &[u8]) {
        if let Some((active, _)) = self.find(id) {
            active.last = Some((request.to_vec(), answer.to_vec()));
        }
    }
}

/// The role of a level.
pub fn role(level: u8) -> Option<Role> {
    Role::ALL.into_iter().find(|role| role.level() == level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_admitted_once_and_not_from_far_away() {
        let mut window = Window::default();
        assert!(!window.admits(0));
        assert!(window.admits(7) && !window.admits(7));
        assert!(window.admits(9) && window.admits(8) && !window.admits(8));
        assert!(window.admits(25) && !window.admits(42) && window.admits(41));
        assert!(!window.admits(9) && window.admits(26) && !window.admits(26));
    }
}
