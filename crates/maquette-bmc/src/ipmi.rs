//! IPMI 2.0 over LAN: a function from datagrams to what is to be sent. One [`Node`] is the BMC of one node; no number in a
//! packet leads to another.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::accounts::{Accounts, Role};
use crate::bmc::Bmc;
use crate::machine::Console;

mod commands;
mod crypto;
mod packet;
mod session;
mod sol;
mod strangers;
mod window;

use commands::level;
use packet::{Message, Packet, payload};
use session::{Answered, Repeated, Sessions, Who};
use sol::Sol;
use strangers::Strangers;

/// What a datagram leads to.
pub enum Effect {
    /// Something is sent to where the datagram came from.
    Send(Vec<u8>),
    /// The same, held back: somebody was wrong.
    Late(Vec<u8>),
    /// Whether somebody has shown that they know the password of an account.
    Shown {
        /// Where they are.
        peer: SocketAddr,
        /// The account's name, as they say it.
        account: String,
        /// Whether they know it.
        right: bool,
    },
    /// An account may have changed.
    Accounts,
    /// Something is sent to whoever has the console.
    Show(SocketAddr, Vec<u8>),
    /// A console is to be read; what it says is handed to [`Node::says`].
    Open(Box<dyn Console>),
    /// Something is typed into the console.
    Type(Vec<u8>),
    /// The console is let go of.
    Close,
}

/// An account that is being made: it does not exist before it has a password.
#[derive(Debug)]
struct Unfinished {
    name: String,
    role: Role,
    enabled: bool,
}

/// What commands leave behind, until the BMC is started again.
#[derive(Debug, Default)]
struct Memory {
    /// The last reservation of the log, and of the sensors' records.
    log_reservation: u16,
    record_reservation: u16,
    /// The last entry of the log when it was reserved: a newer one cancels that.
    log_reserved: Option<u16>,
    /// Whether sessions end after the answer that is being made.
    resets: bool,
    /// Whether somebody is in the middle of setting boot options.
    setting: u8,
    /// Accounts that have a name and no password yet, by their numbers.
    unfinished: BTreeMap<u8, Unfinished>,
    /// What whoever set boot options said of themselves.
    initiator: [u8; 9],
}

/// The BMC of one node, over IPMI.
pub struct Node {
    bmc: Arc<Bmc>,
    accounts: Arc<Mutex<Accounts>>,
    sessions: Sessions,
    strangers: Strangers,
    memory: Memory,
    console: Option<Sol>,
    /// Whether the console's line takes more.
    room: bool,
    /// The port that it is reached at, which clients compare with the one that they use.
    port: u16,
    /// Its address, if it is one.
    address: Ipv4Addr,
    effects: Vec<Effect>,
    /// How often the BMC had begun again when that was looked at last.
    beginnings: u64,
}

impl Node {
    /// A BMC that nobody has a session with, reached at a port.
    pub fn new(bmc: Arc<Bmc>, accounts: Arc<Mutex<Accounts>>, port: u16) -> Self {
        let sessions = Sessions::new(bmc.uuid.to_bytes_le());
        let strangers = Strangers::new(bmc.steady());
        let (memory, console, effects) = (Memory::default(), None, Vec::new());
        let (room, address) = (true, Ipv4Addr::UNSPECIFIED);
        let beginnings = bmc.beginnings();
        Self {
            bmc,
            accounts,
            sessions,
            strangers,
            memory,
            console,
            room,
            port,
            address,
            effects,
            beginnings,
        }
    }

    /// The same, reached at an address.
    #[must_use]
    pub fn at(mut self, address: IpAddr) -> Self {
        if let IpAddr::V4(address) = address.to_canonical() {
            self.address = address;
        }
        self
    }

    /// Ends all sessions where the BMC has begun again.
    fn begin_anew(&mut self) {
        let beginnings = self.bmc.beginnings();
        if std::mem::replace(&mut self.beginnings, beginnings) != beginnings {
            self.sessions.close_all();
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a datagram is worth the time of whoever waits for the machine: a session's own, or one of not too many
    /// others. Waits for nothing.
    pub fn admits(&mut self, peer: SocketAddr, bytes: &[u8]) -> bool {
        match Packet::parse(bytes) {
            Some(Packet::Plus(packet)) if packet.session != 0 => self.sessions.is_signed(&packet),
            // Whoever knows the number of a session that was asked for is where they say they are.
            Some(Packet::Plus(packet)) if self.sessions.expects(packet.kind, packet.payload) => {
                true
            }
            Some(_) => self.strangers.admits(peer.ip(), self.bmc.steady()),
            None => false,
        }
    }

    /// The account whose password is asked for by a datagram: the answer has a code in it that follows from that.
    pub fn claimed(bytes: &[u8]) -> Option<String> {
        match Packet::parse(bytes)? {
            Packet::Plus(packet) if packet.session == 0 => {
                Sessions::claimed(packet.kind, packet.payload)
            }
            _ => None,
        }
    }

    /// Takes a datagram in, if it is [admitted](Self::admits).
    pub fn receive(&mut self, peer: SocketAddr, bytes: &[u8]) -> Vec<Effect> {
        if self.admits(peer, bytes) { self.take(peer, bytes) } else { Vec::new() }
    }

    /// Takes a datagram in that was admitted. May wait for the machine.
    pub fn take(&mut self, peer: SocketAddr, bytes: &[u8]) -> Vec<Effect> {
        let now = self.bmc.steady();
        self.begin_anew();
        self.sessions.expire(now);
        self.let_go();
        match Packet::parse(bytes) {
            Some(Packet::Plus(packet)) if packet.session != 0 => {
                let accounts = self.accounts.clone();
                let accounts = accounts.lock().unwrap_or_else(PoisonError::into_inner);
                let opened = self.sessions.open_packet(&packet, &accounts, now);
                drop(accounts);
                if let Some((who, plain)) = opened {
                    self.inside(peer, who, packet.kind, &plain);
                }
            }
            Some(packet) => self.outside(packet, peer, now),
            None => {}
        }
        self.done()
    }

    /// What is to be done now.
    fn done(&mut self) -> Vec<Effect> {
        self.let_go();
        for (peer, account) in self.sessions.take_wrong() {
            self.effects.push(Effect::Shown { peer, account, right: false });
        }
        std::mem::take(&mut self.effects)
    }

    /// A packet of nobody yet.
    fn outside(&mut self, packet: Packet<'_>, peer: SocketAddr, now: u64) {
        let sent = match packet {
            Packet::Ping(tag) => Some(packet::pong(tag)),
            Packet::Plain(bytes) => self.asked(None, bytes).map(|b| packet::wrap_plain(&b)),
            Packet::Plus(plus) if plus.kind == payload::IPMI && !plus.encrypted => {
                let answer = self.asked(None, plus.payload);
                answer.map(|bytes| packet::wrap_plus(payload::IPMI, &bytes))
            }
            Packet::Plus(plus) => {
                let accounts = self.accounts.clone();
                let accounts = accounts.lock().unwrap_or_else(PoisonError::into_inner);
                let message = (plus.kind, plus.payload);
                let reply = self.sessions.exchange(message, &accounts, peer, now);
                let Some(reply) = reply else { return };
                let wrong = matches!(reply.shown, Some((_, false)));
                if let Some((account, right)) = reply.shown {
                    self.effects.push(Effect::Shown { peer, account, right });
                }
                if wrong {
                    return self.effects.push(Effect::Late(reply.bytes));
                }
                Some(reply.bytes)
            }
        };
        self.effects.extend(sent.map(Effect::Send));
    }

    /// A packet of a session.
    fn inside(&mut self, peer: SocketAddr, who: Who, kind: u8, plain: &[u8]) {
        match kind {
            payload::IPMI => self.command(peer, who, plain),
            payload::SOL => self.typed(peer, who, plain),
            _ => {}
        }
    }

    fn command(&mut self, peer: SocketAddr, who: Who, plain: &[u8]) {
        let (id, begun) = (who.session, self.bmc.moment());
        // Sent again since the answer was lost: it is answered again, and not done again.
        let answer = match self.sessions.repeated(id, plain, begun) {
            Some(Repeated::Answered) => return,
            Some(Repeated::Lost(answer)) => Some(answer),
            None => self.asked(Some((who, peer)), plain),
        };
        let Some(answer) = answer else { return };
        let at = self.bmc.moment();
        let (request, took) = (plain.to_vec(), at.saturating_sub(begun));
        self.sessions.answered(id, Answered { request, answer: answer.clone(), at, took });
        let sealed = self.sessions.seal(id, payload::IPMI, &answer);
        self.effects.extend(sealed.map(Effect::Send));
        if commands::closes(plain, id) && packet::is_done(&answer) {
            self.sessions.close(id);
        }
        if std::mem::take(&mut self.memory.resets) {
            self.bmc.begin_anew();
            self.begin_anew();
        }
    }

    /// Something is typed into the console, or what it says is acknowledged.
    fn typed(&mut self, peer: SocketAddr, who: Who, plain: &[u8]) {
        let Some(sol) = self.console.as_mut().filter(|sol| sol.session == who.session) else {
            return;
        };
        if who.level < level::OPERATOR {
            // It could be opened; the account is another one's now.
            return self.close_console();
        }
        sol.peer = peer;
        let typed = sol.receive(plain, self.room);
        if !typed.is_empty() {
            self.effects.push(Effect::Type(typed));
        }
        self.show(false);
    }

    fn asked(&mut self, who: Option<(Who, SocketAddr)>, bytes: &[u8]) -> Option<Vec<u8>> {
        let message = Message::parse(bytes)?;
        let (code, data) = match commands::run(self, who, &message) {
            Ok(data) => (0, data),
            Err(code) => (code, Vec::new()),
        };
        Some(message.answer(code, &data))
    }

    /// What the console says.
    pub fn says(&mut self, bytes: &[u8]) -> Vec<Effect> {
        if let Some(sol) = &mut self.console {
            sol.says(bytes);
        }
        self.show(false);
        std::mem::take(&mut self.effects)
    }

    /// Twice a second while something [`waits`](Self::waits): what was not acknowledged is sent again.
    pub fn tick(&mut self) -> Vec<Effect> {
        self.begin_anew();
        self.sessions.expire(self.bmc.steady());
        self.show(true);
        self.done()
    }

    /// Whether something has to be looked after.
    pub fn waits(&self) -> bool {
        self.has_console() || self.sessions.is_exchanging()
    }

    /// Whether somebody has the console. It stays theirs while the node is off.
    pub fn has_console(&self) -> bool {
        self.console.is_some()
    }

    /// Whether the console's line takes more of what is typed.
    pub fn has_room(&mut self, room: bool) {
        self.room = room;
    }

    fn show(&mut self, again: bool) {
        let Some(sol) = &mut self.console else { return };
        for bytes in sol.pending(again) {
            let sealed = self.sessions.seal(sol.session, payload::SOL, &bytes);
            self.effects.extend(sealed.map(|bytes| Effect::Show(sol.peer, bytes)));
        }
    }

    /// Takes the console away from whoever has it, who is told so.
    fn close_console(&mut self) {
        let Some(sol) = self.console.take() else { return };
        let sealed = self.sessions.seal(sol.session, payload::SOL, &sol::DEACTIVATED);
        self.effects.extend(sealed.map(|bytes| Effect::Show(sol.peer, bytes)));
        self.effects.push(Effect::Close);
    }

    /// Gives the console back whose session has ended, or whose client is gone.
    fn let_go(&mut self) {
        let gone = |sol: &Sol| sol.is_lost() || !self.sessions.is_active(sol.session);
        if self.console.as_ref().is_some_and(gone) {
            self.close_console();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
