//! What a guest writes on its console, as text for people.

use super::printable;

/// A guest's output without what moves a cursor, paints or names a window: escape sequences (ECMA-48, and the
/// strings of xterm) and carriage returns go without a trace, since every boot is full of them. Any other
/// character that a terminal would obey becomes U+FFFD.
pub fn console_text(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut out = String::new();
    let mut rest: &str = &text;
    while let Some(start) = rest.find('\u{1b}') {
        out.push_str(&rest[..start]);
        let sequence = &rest[start..];
        rest = &sequence[length(sequence)..];
    }
    out.push_str(rest);
    printable(&out.replace('\r', "")).into_owned()
}

/// Longest string of a sequence, in bytes.
const LONGEST: usize = 4096;

/// Bytes of the sequence that a text begins with. One that is not whole is its beginning alone, so that no
/// text is lost with it.
fn length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let run = |from: usize, of: std::ops::RangeInclusive<u8>| {
        from + bytes[from..].iter().take_while(|byte| of.contains(byte)).count()
    };
    match bytes.get(1) {
        Some(b'[') => {
            let end = run(run(2, 0x30..=0x3f), 0x20..=0x2f);
            let whole = bytes.get(end).is_some_and(|last| (0x40..=0x7e).contains(last));
            if whole { end + 1 } else { 2 }
        }
        // A title, the clipboard and the like: up to BEL or `ESC \`.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let near = &bytes[..bytes.len().min(LONGEST)];
            let bell = near.iter().position(|byte| *byte == 7).map(|at| at + 1);
            let string = near[1..].windows(2).position(|two| two == b"\x1b\\").map(|at| at + 3);
            bell.into_iter().chain(string).min().unwrap_or(2)
        }
        _ => {
            let end = run(1, 0x20..=0x2f);
            let whole = bytes.get(end).is_some_and(|last| (0x30..=0x7e).contains(last));
            if whole { end + 1 } else { 1 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_go_and_all_text_stays() {
        for (raw, shown) in [
            ("\u{1b}[0;32m  OK  \u{1b}[0m] Started\r\n", "  OK  ] Started\n"),
            ("\r\u{1b}[K\u{1b}[?25lboot\u{1b}[1;1H\u{1b}[ q", "boot"),
            ("\u{1b}]0;title\u{7}a\u{1b}]52;c;aWQ=\u{1b}\\b\u{1b}P1\u{1b}\\c", "abc"),
            ("\u{1b}(B\u{1b}7\u{1b}=x\u{1b}M", "x"),
            // What is not whole hides nothing.
            ("\u{1b}]0;title", "0;title"),
            ("\u{1b}[3", "3"),
            ("\u{1b}[3ö", "3ö"),
            ("\u{1b}ö\u{1b}\u{1b}[mx\u{1b}", "öx"),
            ("a\u{8}b\u{9b}2J\tc\n", "a\u{fffd}b\u{fffd}2J\tc\n"),
        ] {
            assert_eq!(console_text(raw.as_bytes()), shown, "{raw:?}");
        }
        assert_eq!(console_text(b"\xff\x1b[m"), "\u{fffd}");
    }
}
