//! Sessions of RMCP+: how one begins (RAKP; IPMI 2.0, 13.17 to 13.24), and which packets are of it.

use std::net::SocketAddr;
use std::time::Duration;

use super::crypto::{Keys, Suite, same};
use super::packet::{Reader, payload, wrap_plus};
use super::window::Window;
use crate::accounts::{Account, Accounts, Role};
use crate::guesses::Source;
use crate::secret::random;

/// Most sessions: their number has six bits. Fifty clients have one each at the same time, and each of them asks for one first.
pub const SESSIONS: u8 = 63;
/// Most that have only been asked for, in all and of one source.
const ASKED: usize = 256;
const ASKED_EACH: usize = 64;
/// Seconds after which a session that was left in the middle of its key exchange makes room for another one.
const LEFT_S: u64 = 3;
/// Most messages of one key exchange.
const MESSAGES: u8 = 8;
/// For how long a request that is sent again is answered as before, and not done again.
const AGAIN: Duration = Duration::from_secs(5);
/// How soon clients send a request again, at the earliest: what takes longer is asked for again before it is answered.
const PATIENCE: Duration = Duration::from_millis(300);
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
    pub const LENGTH: u8 = 0x0c;
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
    /// Which account of that number, with which password.
    serial: u64,
    name: String,
    limit: u8,
    /// The message that led here, and its answer: it may be sent again.
    first: (Vec<u8>, Vec<u8>),
}

enum Stage {
    Asked,
    Exchanging(Box<Exchange>),
    Active(Box<Active>),
}

struct Active {
    keys: Keys,
    account: u8,
    serial: u64,
    /// The highest level that it may have.
    limit: u8,
    /// The level that it has.
    level: u8,
    sent: u32,
    window: Window,
    /// The last request may be sent again.
    last: Option<Answered>,
    /// The last message of the key exchange and its answer.
    third: (Vec<u8>, Vec<u8>),
}

struct Session {
    /// Our number of it, and the client's.
    id: u32,
    console: u32,
    /// The tag that it was asked for with.
    tag: u8,
    suite: Suite,
    /// The level that was asked for at first.
    wanted: u8,
    used: u64,
    /// Where it was asked for.
    peer: SocketAddr,
    /// Messages of its key exchange so far.
    messages: u8,
    stage: Stage,
}

impl Session {
    fn is_active(&self) -> bool {
        matches!(self.stage, Stage::Active(_))
    }

    /// An account of whose password somebody was sent a code, without having shown that they know the password.
    fn unproven(&self) -> Option<(SocketAddr, String)> {
        match &self.stage {
            Stage::Exchanging(exchange) => Some((self.peer, exchange.name.clone())),
            Stage::Asked | Stage::Active(_) => None,
        }
    }
}

/// What is asked for in the first message: its tag, the role as it was sent, the level, and both random numbers.
type Asked = (u8, u8, u8, [u8; 16], [u8; 16]);

impl Session {
    /// What is agreed by the first message, with the answer to it.
    fn agree(&self, guid: [u8; 16], asked: Asked, account: &Account, bytes: &[u8]) -> Exchange {
        let (tag, role, limit, theirs, ours) = asked;
        let name = account.name.as_bytes();
        let tail = [&[role, u8::try_from(name.len()).unwrap_or(u8::MAX)], name].concat();
        let key = account.password.reveal().as_bytes().to_vec();
        let (sid, cid) = (self.id.to_le_bytes(), self.console.to_le_bytes());
        let covered = [&cid[..], &sid, &theirs, &ours, &guid, &tail].concat();
        let code = self.suite.code(&key, &covered);
        let answer = [&[tag, status::OK, 0, 0][..], &cid, &ours, &guid, &code].concat();
        Exchange {
            console: theirs,
            ours,
            tail,
            key,
            account: account.id,
            serial: account.serial,
            name: account.name.clone(),
            limit,
            first: (bytes.to_vec(), wrap_plus(payload::RAKP_2, &answer)),
        }
    }
}

impl Active {
    fn new(keys: Keys, exchange: &Exchange, third: (Vec<u8>, Vec<u8>)) -> Self {
        let (account, serial, limit) = (exchange.account, exchange.serial, exchange.limit);
        // A session begins as a user's, and is raised by a command.
        let (level, sent, window, last) = (limit.min(2), 0, Window::default(), None);
        Self { keys, account, serial, limit, level, sent, window, last, third }
    }
}

/// What a message of the key exchange leads to.
pub struct Reply {
    /// The datagram to be sent back.
    pub bytes: Vec<u8>,
    /// Whose password was shown, and whether it was right; none where this message shows none.
    pub shown: Option<(String, bool)>,
}

impl Reply {
    fn plain(kind: u8, answer: &[u8]) -> Self {
        Self { bytes: wrap_plus(kind, answer), shown: None }
    }
}

/// What is known of somebody in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// Our number of the session.
    pub session: u32,
    /// The number of their account.
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
    /// Key exchanges that have ended without a right password: where, and for which account.
    wrong: Vec<(SocketAddr, String)>,
}

impl Sessions {
    /// None yet; the BMC is known by a GUID.
    pub fn new(guid: [u8; 16]) -> Self {
        Self { all: Vec::new(), guid, wrong: Vec::new() }
    }

    /// Forgets sessions in which nothing has happened for long.
    pub fn expire(&mut self, now: u64) {
        let wrong = &mut self.wrong;
        self.all.retain(|session| {
            let limit = if session.is_active() { SILENT_S } else { ASKED_S };
            let stays = now.saturating_sub(session.used) < limit;
            if !stays {
                wrong.extend(session.unproven());
            }
            stays
        });
    }

    /// Key exchanges that have ended without a right password since this was asked last.
    pub fn take_wrong(&mut self) -> Vec<(SocketAddr, String)> {
        std::mem::take(&mut self.wrong)
    }

    /// Whether a key exchange is under way.
    pub fn is_exchanging(&self) -> bool {
        self.all.iter().any(|session| session.unproven().is_some())
    }

    /// Whether a message of the key exchange is of a session that was asked for: whoever sends it has got an answer.
    pub fn expects(&self, kind: u8, bytes: &[u8]) -> bool {
        let id = bytes.get(4..8).and_then(|id| id.try_into().ok()).map(u32::from_le_bytes);
        [payload::RAKP_1, payload::RAKP_3].contains(&kind)
            && self.all.iter().any(|s| Some(s.id) == id && s.messages < MESSAGES)
    }

    /// Whether a packet is signed by whoever has its session.
    pub fn is_signed(&self, packet: &super::packet::Plus<'_>) -> bool {
        let session = self.all.iter().find(|session| session.id == packet.session);
        match session.map(|session| &session.stage) {
            Some(Stage::Active(active)) => {
                packet.authenticated
                    && packet.encrypted
                    && active.keys.is_signed(packet.covered, packet.code)
            }
            _ => false,
        }
    }

    /// The account that a message of the key exchange names.
    pub fn claimed(kind: u8, bytes: &[u8]) -> Option<String> {
        let name = bytes.get(28..).filter(|_| kind == payload::RAKP_1)?;
        let length = usize::from(*bytes.get(27)?);
        Some(String::from_utf8_lossy(name.get(..length)?).into_owned())
    }

    /// How many there are, of all kinds.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// How many are active.
    pub fn active(&self) -> usize {
        self.all.iter().filter(|session| session.is_active()).count()
    }

    /// Those that are active: our number, the account, its level, and where it is.
    pub fn listed(&self) -> impl Iterator<Item = (u32, u8, u8, SocketAddr)> {
        self.all.iter().filter_map(|session| match &session.stage {
            Stage::Active(active) => Some((session.id, active.account, active.level, session.peer)),
            Stage::Asked | Stage::Exchanging(_) => None,
        })
    }

    /// Whether one is active.
    pub fn is_active(&self, id: u32) -> bool {
        let mut all = self.all.iter();
        all.any(|session| session.id == id && session.is_active())
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
        (kind, bytes): (u8, &[u8]),
        accounts: &Accounts,
        peer: SocketAddr,
        now: u64,
    ) -> Option<Reply> {
        match kind {
            payload::OPEN_REQUEST => self.open(bytes, peer, now),
            payload::RAKP_1 => self.first(bytes, accounts, now),
            payload::RAKP_3 => self.third(bytes, accounts, now),
            _ => None,
        }
    }

    /// Makes room for another session that is asked for; false if its source has too many in the middle of a key exchange.
    /// What goes is one that nobody has gone on with, if possible, which is all that whoever forges addresses can have. Clients
    /// that have to go have guessed nothing.
    fn make_room(&mut self, source: Source, now: u64) -> bool {
        let of = |session: &Session, own: bool| {
            !session.is_active() && (!own || Source::of(session.peer.ip()) == source)
        };
        for (own, most) in [(true, ASKED_EACH), (false, ASKED)] {
            if self.all.iter().filter(|session| of(session, own)).count() < most {
                continue;
            }
            let asked = |s: &Session| of(s, own) && matches!(s.stage, Stage::Asked);
            let at = self.all.iter().position(asked);
            // One that was left in the middle for longer than any client takes has guessed.
            let is_left = |s: &Session| !own || now.saturating_sub(s.used) >= LEFT_S;
            let at = at.or_else(|| self.all.iter().position(|s| of(s, own) && is_left(s)));
            let Some(at) = at else { return false };
            let gone = self.all.remove(at);
            if own {
                self.wrong.extend(gone.unproven());
            }
        }
        true
    }

    /// Remembers a session that is asked for, under a number of ours; none if there is no room.
    fn begin(&mut self, session: Session) -> Option<u32> {
        let same = |known: &&mut Session| {
            matches!(known.stage, Stage::Asked)
                && (known.peer, known.console, known.tag)
                    == (session.peer, session.console, session.tag)
                && (known.suite, known.wanted) == (session.suite, session.wanted)
        };
        // Sent again, since the answer was lost or is late: a client is one, however slow this is.
        if let Some(known) = self.all.iter_mut().find(same) {
            known.used = session.used;
            return Some(known.id);
        }
        if !self.make_room(Source::of(session.peer.ip()), session.used) {
            return None;
        }
        let id = u32::from_le_bytes(random::<4>().ok()?);
        if id == 0 || self.all.iter().any(|known| known.id == id) {
            return None;
        }
        self.all.push(Session { id, ..session });
        Some(id)
    }

    fn open(&mut self, bytes: &[u8], peer: SocketAddr, now: u64) -> Option<Reply> {
        let mut reader = Reader(bytes);
        let ([tag, wanted, _, _], console) = (reader.array()?, reader.array::<4>()?);
        let refused = |status: u8| {
            let mut answer = vec![tag, status, 0, 0];
            answer.extend(console);
            Some(Reply::plain(payload::OPEN_RESPONSE, &answer))
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
        let highest = if wanted & 0x0f == 0 { 4 } else { wanted & 0x0f };
        let session = Session {
            id: 0,
            console: u32::from_le_bytes(console),
            tag,
            suite,
            wanted: highest,
            used: now,
            peer,
            messages: 0,
            stage: Stage::Asked,
        };
        let Some(id) = self.begin(session) else { return refused(status::RESOURCES) };
        let mut answer = vec![tag, status::OK, highest.min(4), 0];
        answer.extend(console);
        answer.extend(id.to_le_bytes());
        for (number, algorithm) in (0u8..).zip(suite.algorithms()) {
            answer.extend([number, 0, 0, 8, algorithm, 0, 0, 0]);
        }
        Some(Reply::plain(payload::OPEN_RESPONSE, &answer))
    }

    /// The client's random number and name; ours, and a code that shows that we know the password, too.
    fn first(&mut self, bytes: &[u8], accounts: &Accounts, now: u64) -> Option<Reply> {
        let mut reader = Reader(bytes);
        let ([tag, _, _, _], id) = (reader.array()?, reader.u32()?);
        let session = self.all.iter_mut().find(|session| session.id == id && !session.is_active());
        let console = session.as_ref().map_or(0, |session| session.console);
        let refused = |status: u8| {
            let mut answer = vec![tag, status, 0, 0];
            answer.extend(console.to_le_bytes());
            Reply::plain(payload::RAKP_2, &answer)
        };
        let Some(session) = session else { return Some(refused(status::SESSION)) };
        session.messages = session.messages.saturating_add(1);
        if let Stage::Exchanging(exchange) = &session.stage {
            // Sent again, since the answer was lost or late: with another random number the client would not believe us.
            if exchange.first.0 == bytes {
                return Some(Reply { bytes: exchange.first.1.clone(), shown: None });
            }
            self.wrong.extend(session.unproven());
            session.stage = Stage::Asked;
        }
        let (theirs, [role, _, _, length]) = (reader.array::<16>()?, reader.array::<4>()?);
        if length > 16 {
            return Some(refused(status::LENGTH));
        }
        let name = reader.take(usize::from(length))?;
        let name = std::str::from_utf8(name).unwrap_or_default();
        let wanted = if role & 0x0f == 0 { session.wanted } else { role & 0x0f };
        if !(1..=4).contains(&wanted) {
            return Some(refused(status::ROLE));
        }
        let account = accounts.named(name).filter(|a| a.enabled && !a.must_change);
        let Some(account) = account else {
            return Some(Reply { shown: Some((name.into(), false)), ..refused(status::NAME) });
        };
        if wanted > account.role.level() || wanted > session.wanted {
            return Some(refused(status::PRIVILEGE));
        }
        let Ok(ours) = random::<16>() else { return Some(refused(status::RESOURCES)) };
        let asked = (tag, role, wanted, theirs, ours);
        let exchange = session.agree(self.guid, asked, account, bytes);
        let answer = exchange.first.1.clone();
        session.stage = Stage::Exchanging(Box::new(exchange));
        session.used = now;
        Some(Reply { bytes: answer, shown: None })
    }

    /// The client's code, which shows that it knows the password; then the session is active.
    fn third(&mut self, bytes: &[u8], accounts: &Accounts, now: u64) -> Option<Reply> {
        let (guid, active) = (self.guid, self.active());
        let mut reader = Reader(bytes);
        let ([tag, status, _, _], id) = (reader.array()?, reader.u32()?);
        let at = self.all.iter().position(|session| session.id == id)?;
        self.all[at].messages = self.all[at].messages.saturating_add(1);
        let console = self.all[at].console.to_le_bytes();
        let refused = |status: u8| {
            let mut answer = vec![tag, status, 0, 0];
            answer.extend(console);
            Reply::plain(payload::RAKP_4, &answer)
        };
        let exchange = match &self.all[at].stage {
            Stage::Exchanging(exchange) => exchange.clone(),
            // Sent again, since the answer was lost.
            Stage::Active(active) if active.third.0 == bytes => {
                return Some(Reply { bytes: active.third.1.clone(), shown: None });
            }
            Stage::Active(_) | Stage::Asked => return None,
        };
        let suite = self.all[at].suite;
        if status != status::OK {
            // The client does not believe that we know its password, since its own is another one, and says nothing further.
            self.wrong.extend(self.all.remove(at).unproven());
            return None;
        }
        let covered = [&exchange.ours[..], &console, &exchange.tail].concat();
        let known = accounts
            .get(exchange.account)
            .is_some_and(|account| account.enabled && account.serial == exchange.serial);
        if !known || !same(&suite.code(&exchange.key, &covered), reader.0) {
            self.all.remove(at);
            return Some(Reply { shown: Some((exchange.name, false)), ..refused(status::CODE) });
        }
        if active >= usize::from(SESSIONS) {
            self.all.remove(at);
            return Some(refused(status::RESOURCES));
        }
        let covered = [&exchange.console[..], &exchange.ours, &exchange.tail].concat();
        let own = suite.code(&exchange.key, &covered);
        let covered = [&exchange.console[..], &id.to_le_bytes(), &guid].concat();
        let mut code = suite.code(&own, &covered);
        code.truncate(suite.short());
        let mut answer = vec![tag, status::OK, 0, 0];
        answer.extend(console);
        answer.extend(code);
        let answer = wrap_plus(payload::RAKP_4, &answer);
        let third = (bytes.to_vec(), answer.clone());
        let active = Active::new(Keys::of(suite, &own), &exchange, third);
        self.all[at].stage = Stage::Active(Box::new(active));
        self.all[at].used = now;
        Some(Reply { bytes: answer, shown: Some((exchange.name, true)) })
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
        if !self.is_signed(packet) {
            return None;
        }
        let (active, _) = self.find(packet.session)?;
        let plain = active.keys.decrypt(packet.payload)?;
        if !active.window.admits(packet.sequence) {
            return None;
        }
        let account = accounts.get(active.account);
        let account = account.filter(|a| a.enabled && a.serial == active.serial);
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

    /// Lets a session go on that has changed its own account's password.
    pub fn renew(&mut self, id: u32, account: &Account) {
        if let Some((active, _)) = self.find(id)
            && active.account == account.id
        {
            active.serial = account.serial;
        }
    }

    /// What becomes of a request if it was answered already, a moment ago.
    pub fn repeated(&mut self, id: u32, request: &[u8], now: Duration) -> Option<Repeated> {
        let (active, _) = self.find(id)?;
        let last = active.last.as_ref().filter(|last| last.request == request)?;
        let passed = now.saturating_sub(last.at);
        if last.took >= PATIENCE && passed < PATIENCE {
            return Some(Repeated::Answered);
        }
        (passed < AGAIN).then(|| Repeated::Lost(last.answer.clone()))
    }

    /// Remembers an answer, and how long it took.
    pub fn answered(&mut self, id: u32, last: Answered) {
        if let Some((active, _)) = self.find(id) {
            active.last = Some(last);
        }
    }
}

/// A request, its answer, when that was given, and how long it took.
pub struct Answered {
    pub request: Vec<u8>,
    pub answer: Vec<u8>,
    pub at: Duration,
    pub took: Duration,
}

/// A request that comes again.
pub enum Repeated {
    /// Since its answer was lost, which is this.
    Lost(Vec<u8>),
    /// It was sent while the answer was on its way: clients take another one for an error (ipmitool ends a console then).
    Answered,
}

/// The role of a level.
pub fn role(level: u8) -> Option<Role> {
    Role::ALL.into_iter().find(|role| role.level() == level)
}
