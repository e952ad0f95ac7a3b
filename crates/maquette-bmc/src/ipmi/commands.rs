//! What can be asked, by whom, and by which numbers (IPMI 2.0, appendix G).

use std::net::SocketAddr;

use super::Node;
use super::packet::{Message, Reader};
use super::session::Who;
use crate::machine::Fault;

mod app;
mod chassis;
mod fru;
mod log;
mod payloads;
mod sensors;
mod transport;
mod users;
mod watchdog;

/// Completion codes.
mod code {
    pub const COMMAND: u8 = 0xc1;
    pub const RESERVATION: u8 = 0xc5;
    pub const LENGTH: u8 = 0xc7;
    pub const RANGE: u8 = 0xc9;
    pub const ABSENT: u8 = 0xcb;
    pub const FIELD: u8 = 0xcc;
    pub const PRIVILEGE: u8 = 0xd4;
    pub const STATE: u8 = 0xd5;
    pub const FAILED: u8 = 0xff;
    pub const PARAMETER: u8 = 0x80;
}

/// The data of an answer, or a completion code.
pub type Answer = Result<Vec<u8>, u8>;

/// A request that somebody may make.
pub struct Call<'a> {
    node: &'a mut Node,
    who: Option<(Who, SocketAddr)>,
    data: Reader<'a>,
    now: u64,
}

impl<'a> Call<'a> {
    fn byte(&mut self) -> Result<u8, u8> {
        self.data.byte().ok_or(code::LENGTH)
    }

    fn u16(&mut self) -> Result<u16, u8> {
        self.data.u16().ok_or(code::LENGTH)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], u8> {
        self.data.array().ok_or(code::LENGTH)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.data.0)
    }

    fn who(&self) -> Result<(Who, SocketAddr), u8> {
        self.who.ok_or(code::PRIVILEGE)
    }
}

impl From<Fault> for FaultCode {
    fn from(fault: Fault) -> Self {
        Self(match fault {
            Fault::Gone => code::ABSENT,
            Fault::State(_) | Fault::Refused(_) | Fault::Taken(_) => code::STATE,
            Fault::Unsupported(_) => code::FIELD,
            Fault::Failed(_) => code::FAILED,
        })
    }
}

/// The completion code of a fault.
pub struct FaultCode(u8);

/// The completion code of a fault.
fn faulty(fault: Fault) -> u8 {
    FaultCode::from(fault).0
}

type Row = (u8, u8, u8, fn(&mut Call<'_>) -> Answer);

/// Levels of privilege; nobody needs to have a session for the lowest.
pub mod level {
    pub const NOBODY: u8 = 0;
    pub const CALLBACK: u8 = 1;
    pub const USER: u8 = 2;
    pub const OPERATOR: u8 = 3;
    pub const ADMINISTRATOR: u8 = 4;
}

const CLOSE_SESSION: u8 = 0x3c;

/// Whether a request ends a session, by its number.
pub fn closes(bytes: &[u8], id: u32) -> bool {
    Message::parse(bytes).is_some_and(|message| {
        (message.function, message.command) == (0x06, CLOSE_SESSION)
            && message.data.starts_with(&id.to_le_bytes())
    })
}

/// Does what is asked.
pub fn run(node: &mut Node, who: Option<(Who, SocketAddr)>, message: &Message<'_>) -> Answer {
    let tables: [&[Row]; 9] = [
        app::ROWS,
        chassis::ROWS,
        fru::ROWS,
        log::ROWS,
        payloads::ROWS,
        sensors::ROWS,
        transport::ROWS,
        users::ROWS,
        watchdog::ROWS,
    ];
    let mut rows = tables.into_iter().flatten();
    let row = rows.find(|row| (row.0, row.1) == (message.function, message.command));
    let Some((_, _, level, act)) = row else { return Err(code::COMMAND) };
    let has = who.map_or(level::NOBODY, |(who, _)| who.level);
    if has < *level {
        return Err(code::PRIVILEGE);
    }
    let (now, bmc) = (node.bmc.now(), node.bmc.clone());
    let answer = act(&mut Call { node, who, data: Reader(message.data), now });
    // Before the answer: whoever has it can count on it. What users may do changes nothing.
    if *level >= level::OPERATOR {
        bmc.keep();
    }
    answer
}
