//! What stands in for libvirt's daemon in tests.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// What a client asks before a connection is open, by libvirt's numbers: how it proves who it is, whether something
/// is supported, and to be let in.
const ASKED: [(u32, &[u32]); 3] = [(66, &[1, 0]), (60, &[1]), (1, &[])];

/// Answers what comes before a connection is open, and nothing after that.
/// <https://libvirt.org/kbase/internals/rpc.html>
pub fn answer(mut stream: UnixStream) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut call = vec![0; u32::from_be_bytes(length) as usize - 4];
        stream.read_exact(&mut call)?;
        let word = |at: usize| u32::from_be_bytes(call[at * 4..][..4].try_into().unwrap());
        let (program, version, procedure, serial) = (word(0), word(1), word(2), word(4));
        let known = ASKED.iter().find(|(asked, _)| program == 0x2000_8086 && *asked == procedure);
        let Some((_, said)) = known else { continue };
        let header = [28 + 4 * said.len() as u32, program, version, procedure, 1, serial, 0];
        let bytes = header.iter().chain(*said).flat_map(|word| word.to_be_bytes());
        stream.write_all(&bytes.collect::<Vec<_>>())?;
    }
}
