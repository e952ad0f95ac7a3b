//! Bytes on the wire: RMCP, the session header of IPMI 1.5 and that of RMCP+, and the message inside (IPMI 2.0, 13).
//! Everything is read by its length; what does not fit is none.

/// Longest datagram that is looked at; no command of ours needs more.
pub const LONGEST: usize = 1024;

/// Kinds of payloads of RMCP+.
pub mod payload {
    /// An IPMI message.
    pub const IPMI: u8 = 0x00;
    /// Serial over LAN.
    pub const SOL: u8 = 0x01;
    /// A client asks for a session.
    pub const OPEN_REQUEST: u8 = 0x10;
    /// The answer.
    pub const OPEN_RESPONSE: u8 = 0x11;
    /// The first message of the key exchange; the other three follow.
    pub const RAKP_1: u8 = 0x12;
    /// The second, which the BMC sends.
    pub const RAKP_2: u8 = 0x13;
    /// The third, which the client sends.
    pub const RAKP_3: u8 = 0x14;
    /// The fourth, which the BMC sends.
    pub const RAKP_4: u8 = 0x15;
}

/// What a datagram is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'b> {
    /// Somebody asks whether anybody is there (ASF), with a tag.
    Ping(u8),
    /// An IPMI message in a header of IPMI 1.5, without a session.
    Plain(&'b [u8]),
    /// RMCP+.
    Plus(Plus<'b>),
}

/// RMCP+: a payload, and what guards it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plus<'b> {
    /// The kind of payload.
    pub kind: u8,
    /// Whether the payload is encrypted.
    pub encrypted: bool,
    /// Whether the whole has a code that says who made it.
    pub authenticated: bool,
    /// The session, by the receiver's number of it.
    pub session: u32,
    /// The number in the session.
    pub sequence: u32,
    /// The payload as it came.
    pub payload: &'b [u8],
    /// What the code is about: from the session header to the one before the code.
    pub covered: &'b [u8],
    /// The code, if there is one.
    pub code: &'b [u8],
}

/// Takes bytes off the front.
pub struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    /// The next `count` bytes; none, and nothing is taken, where there are fewer.
    pub fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (first, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(first)
    }

    /// So many bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// The next byte; none at the end.
    pub fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A number of two bytes, the lowest first.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// A number of four bytes, the lowest first.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
}

/// ASF's number at IANA.
const ASF: [u8; 4] = [0, 0, 0x11, 0xbe];
/// What stands between a payload and its code.
const NEXT_HEADER: u8 = 0x07;

impl<'b> Packet<'b> {
    /// Reads a datagram.
    pub fn parse(bytes: &'b [u8]) -> Option<Self> {
        if bytes.len() > LONGEST {
            return None;
        }
        let mut reader = Reader(bytes);
        let [6, _, _, class] = reader.array()? else { return None };
        match class {
            0x06 => ping(reader),
            0x07 if reader.0.first() == Some(&0x06) => plus(reader.0).map(Self::Plus),
            0x07 => plain(reader).map(Self::Plain),
            _ => None,
        }
    }
}

fn ping(mut reader: Reader<'_>) -> Option<Packet<'_>> {
    let (number, [kind, tag, _, _]) = (reader.array()?, reader.array()?);
    (number == ASF && kind == 0x80).then_some(Packet::Ping(tag))
}

/// The answer to a ping: IPMI is spoken here (ASF 2.0, 3.2.4.3).
pub fn pong(tag: u8) -> Vec<u8> {
    let mut bytes = vec![6, 0, 0xff, 6];
    bytes.extend(ASF);
    bytes.extend([0x40, tag, 0, 16]);
    bytes.extend(ASF);
    bytes.extend([0, 0, 0, 0, 0x81, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

fn plain(mut reader: Reader<'_>) -> Option<&[u8]> {
    let [kind] = reader.array()?;
    let (_sequence, session) = (reader.u32()?, reader.u32()?);
    let length = usize::from(reader.byte()?);
    let message = reader.take(length)?;
    // Sessions of IPMI 1.5 there are none.
    (kind == 0 && session == 0).then_some(message)
}

/// A message in a header of IPMI 1.5, without a session.
pub fn wrap_plain(message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![6, 0, 0xff, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.push(u8::try_from(message.len()).unwrap_or(u8::MAX));
    bytes.extend(message);
    bytes
}

fn plus(bytes: &[u8]) -> Option<Plus<'_>> {
    let mut reader = Reader(bytes);
    let [6, kind] = reader.array()? else { return None };
    let (session, sequence) = (reader.u32()?, reader.u32()?);
    let length = usize::from(reader.u16()?);
    let payload = reader.take(length)?;
    let authenticated = kind & 0x40 != 0;
    let (mut covered, mut code): (&[u8], &[u8]) = (&[], &[]);
    if authenticated {
        let head = 12 + length;
        // A pad of up to three bytes (some clients use more), its length, the next header, and the code.
        let pad = (4 - (head + 2) % 4) % 4;
        let trailer = [pad, pad + 4].into_iter().find(|pad| {
            let at = head + pad;
            bytes.get(at).map(|n| usize::from(*n)) == Some(*pad)
                && bytes.get(at + 1) == Some(&NEXT_HEADER)
        })?;
        (covered, code) = bytes.split_at_checked(head + trailer + 2)?;
    }
    Some(Plus {
        kind: kind & 0x3f,
        encrypted: kind & 0x80 != 0,
        authenticated,
        session,
        sequence,
        payload,
        covered,
        code,
    })
}

/// A payload without a code, outside of a session.
pub fn wrap_plus(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![6, 0, 0xff, 7];
    bytes.extend(header(kind, 0, 0, payload));
    bytes
}

fn header(kind: u8, session: u32, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![6, kind];
    bytes.extend(session.to_le_bytes());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(u16::try_from(payload.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// A payload, encrypted already, with the code that `sign` makes of it.
pub fn wrap_guarded(
    kind: u8,
    session: u32,
    sequence: u32,
    payload: &[u8],
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let mut covered = header(kind | 0xc0, session, sequence, payload);
    let pad = (4 - (covered.len() + 2) % 4) % 4;
    covered.extend(std::iter::repeat_n(0xff, pad));
    covered.extend([pad as u8, NEXT_HEADER]);
    let code = sign(&covered);
    let mut bytes = vec![6, 0, 0xff, 7];
    bytes.extend(covered);
    bytes.extend(code);
    bytes
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'b> {
    /// The network function.
    pub function: u8,
    /// The command: a number within its network function.
    pub command: u8,
    /// Its data.
    pub data: &'b [u8],
    /// Who asks, and the number of the request.
    from: [u8; 2],
}

/// The address of a BMC.
const BMC: u8 = 0x20;

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte))
}

impl<'b> Message<'b> {
    /// Reads a request.
    pub fn parse(bytes: &'b [u8]) -> Option<Self> {
        let (last, rest) = bytes.split_last()?;
        let (head, body) = rest.split_at_checked(3)?;
        let [address, function, first] = head.try_into().ok()?;
        let good = checksum(&[address, function]) == first && checksum(body) == *last;
        let mut reader = Reader(body);
        let (from, command) = (reader.array()?, reader.byte()?);
        let lun = function & 3;
        let function = function >> 2;
        // Answers have odd functions.
        let ours = address == BMC && lun == 0 && function & 1 == 0;
        (good && ours).then_some(Self { function, command, data: reader.0, from })
    }

    /// An answer to it: a completion code, and data.
    pub fn answer(&self, code: u8, data: &[u8]) -> Vec<u8> {
        let [address, number] = self.from;
        let mut bytes = vec![address, (self.function | 1) << 2 | (number & 3)];
        bytes.push(checksum(&bytes));
        let mut body = vec![BMC, number & 0xfc, self.command, code];
        body.extend(data);
        body.push(checksum(&body));
        bytes.extend(body);
        bytes
    }
}

/// Whether an answer says that what was asked is done.
pub fn is_done(answer: &[u8]) -> bool {
    answer.get(6) == Some(&0)
}

/// A request, for tests.
#[cfg(test)]
pub fn request(function: u8, command: u8, number: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![BMC, function << 2];
    bytes.push(checksum(&bytes));
    let mut body = vec![0x81, number << 2, command];
    body.extend(data);
    body.push(checksum(&body));
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_read_and_answered() {
        let bytes = request(6, 1, 5, &[7, 8]);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.function, message.command, message.data), (6, 1, &[7u8, 8][..]));
        let answer = message.answer(0xc1, &[9]);
        assert_eq!(answer[..2], [0x81, 0x1c]);
        assert_eq!(answer[4..8], [5 << 2, 1, 0xc1, 9]);
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 0x10;
            assert_eq!(Message::parse(&wrong), None, "{at}");
        }
    }

    #[test]
    fn what_is_guarded_is_read_as_it_was_written() {
        for length in 0..40 {
            let payload: Vec<u8> = (0..length).collect();
            let bytes = wrap_guarded(payload::SOL, 5, 9, &payload, |_| vec![0xaa; 12]);
            let Some(Packet::Plus(plus)) = Packet::parse(&bytes) else { panic!("{length}") };
            assert_eq!((plus.kind, plus.session, plus.sequence), (payload::SOL, 5, 9));
            assert_eq!((plus.payload, plus.code), (&payload[..], &[0xaa; 12][..]));
            assert_eq!(plus.covered, &bytes[4..bytes.len() - 12]);
        }
        assert_eq!(Packet::parse(&wrap_plain(&[1, 2])), Some(Packet::Plain(&[1, 2])));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..80), head in any::<bool>()) {
            let mut all = if head { vec![6, 0, 0xff, 7] } else { vec![] };
            all.extend(bytes);
            Packet::parse(&all);
            Message::parse(&all);
        }
    }
}
