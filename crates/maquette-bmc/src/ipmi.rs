//! IPMI 2.0 over LAN: a function from datagrams to what is to be sent. One [`Node`] is the BMC of one node; no number in a
//! packet leads to another.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::accounts::Accounts;
use crate::bmc::Bmc;
use crate::machine::Console;

mod commands;
mod crypto;
mod packet;
mod session;
mod sol;

use packet::{Message, Packet, payload};
use session::{Sessions, Who};
use sol::Sol;

/// What a datagram leads to.
pub enum Effect {
    /// Something is sent to where the datagram came from.
    Send(Vec<u8>),
    /// The same, held back: somebody was wrong.
    Late(Vec<u8>),
    /// Something is sent to whoever has the console.
    Show(SocketAddr, Vec<u8>),
    /// A console is to be read; what it says is handed to [`Node::says`].
    Open(Box<dyn Console>),
    /// Something is typed into the console.
    Type(Vec<u8>),
    /// The console is let go of.
    Close,
}

/// Packets outside of sessions: so many at once, and so many a second. Whoever sends more is not answered.
const STRANGERS: (u32, u32) = (64, 32);

/// Lets so many through.
struct Bucket {
    left: u32,
    filled: u64,
}

impl Bucket {
    fn admits(&mut self, now: u64) -> bool {
        let seconds = u32::try_from(now.saturating_sub(self.filled)).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(seconds.saturating_mul(STRANGERS.1)).min(STRANGERS.0);
        self.filled = now;
        let admits = self.left > 0;
        self.left = self.left.saturating_sub(1);
        admits
    }
}

/// What commands leave behind, until the BMC is started anew.
#[derive(Debug, Default)]
struct Memory {
    /// The last reservation of the log, and of the sensors' records.
    log_reservation: u16,
    record_reservation: u16,
    /// Whether somebody is in the middle of setting boot options.
    setting: u8,
    /// What whoever set boot options said of themselves.
    initiator: [u8; 9],
}

/// The BMC of one node, over IPMI.
pub struct Node {
    bmc: Arc<Bmc>,
    accounts: Arc<Mutex<Accounts>>,
    sessions: Sessions,
    strangers: Bucket,
    memory: Memory,
    console: Option<Sol>,
    /// The port that it is reached at, which clients compare with the one that they use.
    port: u16,
    effects: Vec<Effect>,
}

impl Node {
    /// A BMC that nobody has a session with, reached at a port.
    pub fn new(bmc: Arc<Bmc>, accounts: Arc<Mutex<Accounts>>, port: u16) -> Self {
        let sessions = Sessions::new(bmc.uuid.to_bytes_le());
        let strangers = Bucket { left: STRANGERS.0, filled: bmc.now() };
        let (memory, console, effects) = (Memory::default(), None, Vec::new());
        Self { bmc, accounts, sessions, strangers, memory, console, port, effects }
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.bmc.name
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a datagram in. May wait for the machine.
    pub fn receive(&mut self, peer: SocketAddr, bytes: &[u8]) -> Vec<Effect> {
        let now = self.bmc.now();
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
            Some(packet) if self.strangers.admits(now) => self.outside(packet, now),
            Some(_) | None => {}
        }
        self.let_go();
        std::mem::take(&mut self.effects)
    }

    /// A packet of nobody yet.
    fn outside(&mut self, packet: Packet<'_>, now: u64) {
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
                let reply = self.sessions.exchange(plus.kind, plus.payload, &accounts, now);
                match reply {
                    Some(reply) if reply.late => {
                        self.effects.push(Effect::Late(reply.bytes));
                        None
                    }
                    reply => reply.map(|reply| reply.bytes),
                }
            }
        };
        self.effects.extend(sent.map(Effect::Send));
    }

    /// A packet of a session.
    fn inside(&mut self, peer: SocketAddr, who: Who, kind: u8, plain: &[u8]) {
        let id = who.session;
        match kind {
            payload::IPMI => {
                // Sent again since the answer was lost: it is answered again, and not done again.
                let answer = match self.sessions.repeated(id, plain) {
                    Some(answer) => Some(answer),
                    None => self.asked(Some((who, peer)), plain),
                };
                let Some(answer) = answer else { return };
                self.sessions.answered(id, plain, &answer);
                let sealed = self.sessions.seal(id, payload::IPMI, &answer);
                self.effects.extend(sealed.map(Effect::Send));
                if commands::closes(plain) {
                    self.sessions.close(id);
                }
            }
            payload::SOL => {
                let Some(sol) = self.console.as_mut().filter(|sol| sol.session == id) else {
                    return;
                };
                sol.peer = peer;
                let typed = sol.receive(plain);
                if !typed.is_empty() {
                    self.effects.push(Effect::Type(typed));
                }
                self.show(false);
            }
            _ => {}
        }
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

    /// Twice a second while somebody has the console: what was not acknowledged is sent again.
    pub fn tick(&mut self) -> Vec<Effect> {
        self.show(true);
        self.let_go();
        std::mem::take(&mut self.effects)
    }

    /// Whether somebody has the console.
    pub fn has_console(&self) -> bool {
        self.console.is_some()
    }

    /// The console has ended.
    pub fn ends(&mut self) {
        self.console = None;
    }

    fn show(&mut self, again: bool) {
        let Some(sol) = &mut self.console else { return };
        for bytes in sol.pending(again) {
            let sealed = self.sessions.seal(sol.session, payload::SOL, &bytes);
            self.effects.extend(sealed.map(|bytes| Effect::Show(sol.peer, bytes)));
        }
    }

    /// Lets go of the console whose session has ended, or whose client is gone.
    fn let_go(&mut self) {
        let gone = |sol: &Sol| sol.is_lost() || !self.sessions.is_active(sol.session);
        if self.console.as_ref().is_some_and(gone) {
            self.console = None;
            self.effects.push(Effect::Close);
        }
    }
}

#[cfg(test)]
mod tests;
