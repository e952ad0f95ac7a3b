//! What the process that serves BMCs and the one that looks names up say to each other: `NUMBER HOST PORT`, and some time later
//! `NUMBER found ADDRESS…` or `NUMBER failed WHY`. The number is what tells a late answer from the next one.

use std::fmt::Write as _;
use std::io::{BufRead, Error, ErrorKind, Read};
use std::net::SocketAddr;

/// Most bytes of a host's name (RFC 1035).
const LONGEST: usize = 255;
/// Most bytes of a line, with its end.
const LINE: u64 = 8192;
/// Most addresses of a name; a name that has more has none, since all of them have to be looked at.
const ADDRESSES: usize = 64;
/// Most characters of why there is none.
const WORDS: usize = 200;

/// A host's name, of letters, digits, `-`, `.` and `_`, which is all that an address of a server may have in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostName(String);

impl HostName {
    /// A name that fits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let sized = (1..=LONGEST).contains(&text.len()) && !text.starts_with('-');
        (sized && text.chars().all(good)).then(|| Self(text.to_string()))
    }

    /// As it is looked up.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that is to be looked up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) number: u64,
    pub(super) host: HostName,
    pub(super) port: u16,
}

impl Request {
    /// As a line.
    pub(super) fn line(&self) -> String {
        format!("{} {} {}\n", self.number, self.host.as_str(), self.port)
    }

    /// Of a line without its end.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (number, host, port) = (words.next()?, words.next()?, words.next()?);
        if words.next().is_some() {
            return None;
        }
        let host = HostName::parse(host)?;
        Some(Self { number: number.parse().ok()?, host, port: port.parse().ok()? })
    }
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) number: u64,
    pub(super) found: Result<Vec<SocketAddr>, String>,
}

impl Answer {
    /// As a line.
    pub(super) fn line(&self) -> String {
        let mut line = self.number.to_string();
        match &self.found {
            Ok(all) if all.len() > ADDRESSES => {
                let _ = write!(line, " failed it has more than {ADDRESSES} addresses");
            }
            Ok(all) => {
                line.push_str(" found");
                for address in all {
                    let _ = write!(line, " {address}");
                }
            }
            Err(why) => {
                line.push_str(" failed ");
                line.extend(why.chars().filter(|c| !c.is_control()).take(WORDS));
            }
        }
        line.push('\n');
        line
    }

    /// Of a line without its end.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (number, rest) = line.split_once(' ')?;
        let (kind, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let found = match kind {
            "found" => {
                let words = rest.split(' ').filter(|word| !word.is_empty());
                Ok(words.map(|word| word.parse().ok()).collect::<Option<Vec<SocketAddr>>>()?)
            }
            "failed" => Err(rest.to_string()),
            _ => return None,
        };
        Some(Self { number: number.parse().ok()?, found })
    }
}

/// The next line without its end; none if there are no more. Fails on one that is too long, not whole, or not text.
pub(super) fn next(from: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    from.take(LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let whole = line.pop() == Some(b'\n');
    match String::from_utf8(line) {
        Ok(line) if whole => Ok(Some(line)),
        _ => Err(Error::new(ErrorKind::InvalidData, "what was said is not a line of text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_one_line(line: &str) -> bool {
        line.ends_with('\n') && line.matches('\n').count() == 1 && line.len() as u64 <= LINE
    }

    proptest! {
        /// Whatever is in an address of a server, the other process is asked for one name.
        #[test]
        fn a_name_makes_one_line(text in any::<String>(), name in "[a-zA-Z0-9._ \n-]{0,300}", number: u64, port: u16) {
            for text in [text, name] {
                let Some(host) = HostName::parse(&text) else { continue };
                let request = Request { number, host, port };
                let line = request.line();
                prop_assert!(is_one_line(&line), "{line:?}");
                prop_assert_eq!(Request::parse(line.trim_end()), Some(request));
            }
        }

        #[test]
        fn an_answer_makes_one_line(why in any::<String>(), all: Vec<SocketAddr>, number: u64) {
            let failed = Answer { number, found: Err(why) }.line();
            prop_assert!(is_one_line(&failed), "{failed:?}");
            prop_assert!(Answer::parse(&failed[..failed.len() - 1]).unwrap().found.is_err());
            let found = Answer { number, found: Ok(all) };
            let line = found.line();
            prop_assert!(is_one_line(&line), "{line:?}");
            let read = Answer::parse(line.trim_end()).unwrap();
            let few = found.found.as_ref().is_ok_and(|all| all.len() <= ADDRESSES);
            prop_assert_eq!(read.number, number);
            if few {
                // The kernel's labels of IPv6 are not in what is written of an address.
                let texts = |found: &Answer| {
                    let all = found.found.clone().unwrap_or_default();
                    all.iter().map(ToString::to_string).collect::<Vec<_>>()
                };
                prop_assert_eq!(texts(&read), texts(&found));
            } else {
                prop_assert!(read.found.is_err());
            }
        }

        #[test]
        fn no_line_breaks_what_reads_it(line in any::<String>()) {
            let _ = (Request::parse(&line), Answer::parse(&line));
        }
    }

    #[test]
    fn what_is_not_a_name_is_not_asked_for() {
        let long = "a".repeat(LONGEST);
        for good in ["a", "media.example.org", "x_1", "127.1", long.as_str()] {
            assert!(HostName::parse(good).is_some(), "{good}");
        }
        let longer = "a".repeat(LONGEST + 1);
        for bad in
            ["", "-a", "a b", "a\nb", "a\n", "a\0", "ä", "::1", "a/b", "a%b", longer.as_str()]
        {
            assert!(HostName::parse(bad).is_none(), "{bad:?}");
        }
        for bad in ["", "1 a", "1 a 80 2", "x a 80", "1 a 65536", "1  80", "1 -a 80"] {
            assert!(Request::parse(bad).is_none(), "{bad:?}");
        }
        for bad in ["", "1", "1 other", "1 found x", "x found", "1 found 192.0.2.1"] {
            assert!(Answer::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_line_has_an_end() {
        let mut two: &[u8] = b"one\ntwo\n";
        assert_eq!(next(&mut two).unwrap().as_deref(), Some("one"));
        assert_eq!(next(&mut two).unwrap().as_deref(), Some("two"));
        assert_eq!(next(&mut two).unwrap(), None);
        let long = vec![b'x'; 1 << 20];
        for bad in [&b"half"[..], &b"\xff\n"[..], &long[..]] {
            let mut bad = bad;
            assert_eq!(next(&mut bad).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }
}
