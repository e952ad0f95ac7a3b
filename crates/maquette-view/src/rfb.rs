//! What a browser sends to a VNC server (RFC 6143), with what would type or click left out.

/// Longest message that is taken in: a list of encodings has 65,535 at most.
const LONGEST: usize = 4 + 4 * 65_535;

/// Says that others may go on looking. With 0 in its place QEMU disconnects them.
const SHARED: u8 = 1;

/// Where a client is in its part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its version, 12 bytes.
    Version,
    /// The way to prove who it is, one byte.
    Security,
    /// The answer to a password's challenge, 16 bytes.
    Answer,
    /// Whether others may look, too, one byte. Who only looks sends nobody away.
    Init,
    /// Messages.
    Messages,
}

/// Lets a client look, and nothing else. It does not know what the server says, and needs not to: how long a client's
/// messages are follows from themselves.
#[derive(Debug)]
pub struct OnlyLooking {
    stage: Stage,
    waiting: Vec<u8>,
    /// Bytes of a message that are still to come and to be left out.
    skip: usize,
}

impl Default for OnlyLooking {
    fn default() -> Self {
        Self { stage: Stage::Version, waiting: Vec::new(), skip: 0 }
    }
}

/// What becomes of a message.
enum MessageUse {
    Pass(usize),
    Drop(usize),
    /// Its length is not known yet.
    Wait,
}

impl OnlyLooking {
    /// What of some bytes goes on to the server. An error if they are not what a client sends that only looks and knows
    /// only what this does.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.waiting.extend(&bytes[skipped..]);
        let (mut passed, mut at) = (Vec::new(), 0);
        loop {
            let rest = &self.waiting[at..];
            let length = match self.use_of(rest)? {
                MessageUse::Wait => break,
                MessageUse::Pass(length) if rest.len() < length => break,
                MessageUse::Pass(length) => {
                    match self.stage {
                        Stage::Init => passed.push(SHARED),
                        _ => passed.extend(&rest[..length]),
                    }
                    length
                }
                MessageUse::Drop(length) => {
                    self.skip = length.saturating_sub(rest.len());
                    length.min(rest.len())
                }
            };
            self.stage = match (self.stage, rest[0]) {
                (Stage::Version, _) => Stage::Security,
                // No password.
                (Stage::Security, 1) => Stage::Init,
                (Stage::Security, _) => Stage::Answer,
                (Stage::Answer, _) => Stage::Init,
                (Stage::Init | Stage::Messages, _) => Stage::Messages,
            };
            at += length;
        }
        self.waiting.drain(..at);
        if self.waiting.len() > LONGEST {
            return Err("a message is too long");
        }
        Ok(passed)
    }

    fn use_of(&self, bytes: &[u8]) -> Result<MessageUse, &'static str> {
        let Some(first) = bytes.first() else { return Ok(MessageUse::Wait) };
        let part = |range: std::ops::Range<usize>| bytes.get(range);
        Ok(match (self.stage, first) {
            (Stage::Version, _) if bytes.len() >= 12 && !bytes.starts_with(b"RFB 003.008\n") => {
                return Err("only version 3.8 of the protocol is known");
            }
            (Stage::Version, _) => MessageUse::Pass(12),
            (Stage::Security, 1 | 2) | (Stage::Init, _) => MessageUse::Pass(1),
            (Stage::Security, _) => return Err("only passwords are known"),
            (Stage::Answer, _) => MessageUse::Pass(16),
            // The form of pixels.
            (Stage::Messages, 0) => MessageUse::Pass(20),
            // The encodings that it knows.
            (Stage::Messages, 2) => match part(2..4) {
                Some(count) => {
                    MessageUse::Pass(4 + 4 * usize::from(u16::from_be_bytes([count[0], count[1]])))
                }
                None => MessageUse::Wait,
            },
            // What it wants to see, and whether it wants to see it all the time.
            (Stage::Messages, 3 | 150) => MessageUse::Pass(10),
            // A fence, which is answered with what it has brought, 64 bytes at most.
            (Stage::Messages, 248) => match part(8..9) {
                Some(length) if length[0] <= 64 => MessageUse::Pass(9 + usize::from(length[0])),
                Some(_) => return Err("a fence is too long"),
                None => MessageUse::Wait,
            },
            // A key; the pointer.
            (Stage::Messages, 4) => MessageUse::Drop(8),
            (Stage::Messages, 5) => MessageUse::Drop(6),
            // Text that was cut; a negative length says that its form is a longer one.
            (Stage::Messages, 6) => match part(4..8) {
                Some(length) => {
                    let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
                    MessageUse::Drop(8 + length.unsigned_abs() as usize)
                }
                None => MessageUse::Wait,
            },
            // Switching off; another size of the screen.
            (Stage::Messages, 250) => MessageUse::Drop(4),
            (Stage::Messages, 251) => match part(6..7) {
                Some(screens) => MessageUse::Drop(8 + 16 * usize::from(screens[0])),
                None => MessageUse::Wait,
            },
            // A key as QEMU wants it.
            (Stage::Messages, 255) => match part(1..2) {
                Some([0]) => MessageUse::Drop(12),
                Some(_) => return Err("an unknown message of QEMU's"),
                None => MessageUse::Wait,
            },
            (Stage::Messages, _) => return Err("an unknown message"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's whole conversation: messages, and whether each goes on.
    fn conversation() -> Vec<(Vec<u8>, bool)> {
        let message = |head: &[u8], length: usize| {
            let mut bytes = head.to_vec();
            bytes.resize(length, 0xaa);
            bytes
        };
        vec![
            (b"RFB 003.008\n".to_vec(), true),
            (vec![2], true),
            (message(&[], 16), true),
            (vec![1], true),
            (message(&[0], 20), true),
            (message(&[2, 0, 0, 3], 16), true),
            (message(&[3], 10), true),
            (message(&[4], 8), false),
            (message(&[5], 6), false),
            (message(&[6, 0, 0, 0, 0, 0, 0, 9], 17), false),
            (message(&[6, 0, 0, 0, 0xff, 0xff, 0xff, 0xf0], 24), false),
            (message(&[150], 10), true),
            (message(&[248, 0, 0, 0, 0, 0, 0, 0, 5], 14), true),
            (message(&[250], 4), false),
            (message(&[251, 0, 0, 0, 0, 0, 2], 40), false),
            (message(&[255, 0], 12), false),
            (message(&[3], 10), true),
        ]
    }

    #[test]
    fn keys_clicks_and_cut_text_are_left_out_however_the_bytes_come() {
        let all: Vec<u8> = conversation().into_iter().flat_map(|(bytes, _)| bytes).collect();
        let looking: Vec<u8> =
            conversation().into_iter().filter(|(_, on)| *on).flat_map(|(bytes, _)| bytes).collect();
        for size in [1, 2, 3, 7, 16, all.len()] {
            let mut client = OnlyLooking::default();
            let passed: Vec<u8> =
                all.chunks(size).flat_map(|part| client.pass(part).unwrap()).collect();
            assert!(passed == looking, "in parts of {size}");
        }
    }

    #[test]
    fn who_only_looks_does_not_ask_for_the_screen_alone() {
        for asked in [0, 1, 0xff] {
            let mut client = OnlyLooking::default();
            let passed = client.pass(&[b"RFB 003.008\n\x01".as_slice(), &[asked]].concat());
            assert_eq!(passed.unwrap(), b"RFB 003.008\n\x01\x01");
        }
    }

    #[test]
    fn what_is_not_known_ends_it() {
        let after = |bytes: &[u8]| {
            let mut client = OnlyLooking::default();
            client.pass(b"RFB 003.008\n\x01\x01").unwrap();
            client.pass(bytes)
        };
        assert!(after(&[7]).is_err() && after(&[255, 1]).is_err());
        assert!(after(&[248, 0, 0, 0, 0, 0, 0, 0, 65]).is_err());
        assert!(OnlyLooking::default().pass(b"RFB 003.003\n").is_err());
        assert!(OnlyLooking::default().pass(b"RFB 003.008\n\x13").is_err());
    }

    /// What is to be left out is not kept for it.
    #[test]
    fn long_text_is_left_out_as_it_comes() {
        let mut client = OnlyLooking::default();
        client.pass(b"RFB 003.008\n\x01\x01").unwrap();
        client.pass(&[6, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]).unwrap();
        for _ in 0..100 {
            assert!(client.pass(&[0u8; 65_536]).unwrap().is_empty());
        }
        assert!(client.waiting.is_empty());
    }
}
