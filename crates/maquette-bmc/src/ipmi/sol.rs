//! Serial over LAN (IPMI 2.0, 15): a console in packets, each acknowledged, one under way in each direction.

use std::collections::VecDeque;
use std::net::SocketAddr;

/// Most characters in a packet, as it is said when a console is opened.
pub const PACKET: usize = 200;
/// Most characters that wait for a client; the oldest go.
const BEHIND: usize = 64 << 10;
/// How often a packet is sent until the client is taken to be gone.
const ATTEMPTS: u32 = 20;

/// A packet that was not acknowledged yet.
struct Sent {
    sequence: u8,
    bytes: Vec<u8>,
    attempts: u32,
}

/// A console that somebody has.
pub struct Sol {
    /// Our number of the session that it is in.
    pub session: u32,
    /// Where they are.
    pub peer: SocketAddr,
    waiting: VecDeque<u8>,
    sent: Option<Sent>,
    last: u8,
    /// The number of the last packet of the client's, which is not taken in twice.
    theirs: u8,
    /// What of theirs is to be acknowledged: its number, and how many characters.
    taken: Option<(u8, u8)>,
    /// A packet of theirs that there was no room for.
    refused: Option<u8>,
}

/// A packet that tells a client that the console is not theirs any more.
pub const DEACTIVATED: [u8; 4] = [0, 0, 0, 0x10];
/// What says of a packet that nothing of it was taken.
const NACK: u8 = 0x40;
/// What asks for a BREAK on the line, which libvirt's consoles do not have.
const BREAK: u8 = 0x10;

impl Sol {
    /// A console, for a session.
    pub fn new(session: u32, peer: SocketAddr) -> Self {
        let (waiting, sent, last, theirs) = (VecDeque::new(), None, 0, 0);
        let (taken, refused) = (None, None);
        Self { session, peer, waiting, sent, last, theirs, taken, refused }
    }

    /// Whether the client has not answered for long.
    pub fn is_lost(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.attempts > ATTEMPTS)
    }

    /// Takes a packet of the client's in: what was typed. Without room for it the client is told to send it again.
    pub fn receive(&mut self, payload: &[u8], room: bool) -> Vec<u8> {
        let Some((&[sequence, ack, accepted, operation], typed)) = payload.split_first_chunk()
        else {
            return Vec::new();
        };
        self.acknowledged(ack & 0x0f, accepted, operation & NACK != 0);
        let sequence = sequence & 0x0f;
        if sequence != 0 && typed.is_empty() && operation & BREAK != 0 {
            self.refused = Some(sequence);
        }
        if sequence == 0 || typed.is_empty() {
            return Vec::new();
        }
        if !room && self.theirs != sequence {
            self.refused = Some(sequence);
            return Vec::new();
        }
        let typed = &typed[..typed.len().min(PACKET)];
        self.taken = Some((sequence, u8::try_from(typed.len()).unwrap_or(u8::MAX)));
        if std::mem::replace(&mut self.theirs, sequence) == sequence {
            return Vec::new();
        }
        typed.to_vec()
    }

    fn acknowledged(&mut self, ack: u8, accepted: u8, refused: bool) {
        let Some(sent) = self.sent.take_if(|sent| ack != 0 && sent.sequence == ack) else { return };
        // What did not fit is sent again, as a packet of its own.
        let accepted = usize::from(accepted).min(sent.bytes.len());
        if refused {
            for byte in sent.bytes[accepted..].iter().rev() {
                self.waiting.push_front(*byte);
            }
        }
    }

    /// What the console says.
    pub fn says(&mut self, bytes: &[u8]) {
        self.waiting.extend(bytes);
        let over = self.waiting.len().saturating_sub(BEHIND);
        self.waiting.drain(..over);
    }

    /// Packets that are to be sent now; with `again`, also the one that was not acknowledged.
    pub fn pending(&mut self, again: bool) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        if let Some((sequence, count)) = self.taken.take() {
            packets.push(vec![0, sequence, count, 0]);
        }
        if let Some(sequence) = self.refused.take() {
            packets.push(vec![0, sequence, 0, NACK]);
        }
        if self.sent.is_none() && !self.waiting.is_empty() {
            let count = self.waiting.len().min(PACKET);
            self.last = self.last % 15 + 1;
            let bytes = self.waiting.drain(..count).collect();
            self.sent = Some(Sent { sequence: self.last, bytes, attempts: 0 });
        }
        if let Some(sent) = &mut self.sent
            && (again || sent.attempts == 0)
        {
            sent.attempts += 1;
            let mut packet = vec![sent.sequence, 0, 0, 0];
            packet.extend(&sent.bytes);
            packets.push(packet);
        }
        packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sol() -> Sol {
        Sol::new(1, ([127, 0, 0, 1], 1).into())
    }

    #[test]
    fn what_is_typed_comes_once_and_is_acknowledged_each_time() {
        let mut sol = sol();
        assert_eq!(sol.receive(&[1, 0, 0, 0, b'l', b's'], true), b"ls");
        assert_eq!(sol.pending(false), [[0, 1, 2, 0]]);
        assert_eq!(sol.receive(&[1, 0, 0, 0, b'l', b's'], true), b"");
        assert_eq!(sol.pending(false), [[0, 1, 2, 0]]);
        for short in [&[][..], &[1], &[1, 0, 0], &[0, 0, 0, 0, 7], &[2, 0, 0, 0]] {
            assert_eq!(sol.receive(short, true), b"");
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_asked_for_again() {
        let mut sol = sol();
        assert_eq!(sol.receive(&[1, 0, 0, 0, b'l', b's'], false), b"");
        assert_eq!(sol.pending(false), [[0, 1, 0, NACK]]);
        assert_eq!(sol.receive(&[1, 0, 0, 0, b'l', b's'], true), b"ls");
        // What was taken is not refused afterwards.
        assert_eq!(sol.receive(&[1, 0, 0, 0, b'l', b's'], false), b"");
        assert_eq!(sol.pending(false), [[0, 1, 2, 0]]);
    }

    #[test]
    fn a_packet_is_sent_until_it_is_acknowledged_and_not_for_ever() {
        let mut sol = sol();
        sol.says(&[7; PACKET + 1]);
        assert_eq!(sol.pending(false).len(), 1);
        assert!(sol.pending(false).is_empty());
        assert_eq!(sol.pending(true)[0][0], 1);
        sol.receive(&[0, 1, 0xc8, 0], true);
        assert_eq!(sol.pending(false), [[2, 0, 0, 0, 7]]);
        sol.receive(&[0, 2, 0, 0x40], true);
        assert_eq!(sol.pending(false), [[3, 0, 0, 0, 7]]);
        assert!(!sol.is_lost());
        for _ in 0..ATTEMPTS {
            sol.pending(true);
        }
        assert!(sol.is_lost());
    }
}
