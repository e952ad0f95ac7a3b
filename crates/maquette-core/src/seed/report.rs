//! What a guest reports of its first boot, a line each: the words that its script (`assets/seed/report.sh`) says, and by which
//! whoever waits knows them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// One line of a guest, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// cloud-init runs.
    Begun,
    /// The agent of a template has nothing to do until it hears who it is.
    Template,
    /// The agent of a template that has become a node asks what time it is.
    Clock,
    /// The agent of a template holds everything else up.
    Still,
    /// A template has not become a node, and is what it was: its agent has done nothing that a boot does not do again. The
    /// result that follows says why.
    Untouched,
    /// The address that the guest got, if it can be its own.
    Address(Option<IpAddr>),
    /// cloud-init's result, which is JSON.
    Result(String),
    /// cloud-init is done, and the rest was reported.
    Done,
    /// Anything else.
    Other(String),
}

impl Report {
    /// Reads a line.
    pub fn of(line: &str) -> Self {
        match (line, line.split_once(' ')) {
            (BEGUN, _) => Self::Begun,
            (TEMPLATE, _) => Self::Template,
            (CLOCK, _) => Self::Clock,
            (STILL, _) => Self::Still,
            (UNTOUCHED, _) => Self::Untouched,
            (DONE, _) => Self::Done,
            (_, Some((ADDRESS, net))) => {
                Self::Address(address(net.split('/').next().unwrap_or_default()))
            }
            (_, Some((RESULT, json))) => Self::Result(json.into()),
            _ => Self::Other(line.into()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begun => BEGUN,
            Self::Template => TEMPLATE,
            Self::Clock => CLOCK,
            Self::Still => STILL,
            Self::Untouched => UNTOUCHED,
            Self::Address(_) => ADDRESS,
            Self::Result(_) => RESULT,
            Self::Done => DONE,
            Self::Other(line) => line,
        })
    }
}

/// cloud-init runs.
pub(super) const BEGUN: &str = "cloud-init";

/// The agent of a template has nothing to do until it hears who it is.
const TEMPLATE: &str = "template";

/// The agent of a template that has become a node asks what time it is. The answer is the same word and the nanoseconds since
/// 1970.
pub const CLOCK: &str = "clock";

/// The agent of a template is told to hold everything else up, says so, and does until it hears who it is: its memory is saved
/// then. Both say this word.
pub const STILL: &str = "still";

/// A template has not become a node, and is what it was.
const UNTOUCHED: &str = "untouched";

/// Comes before the address that the guest got, with the subnet's length, as `ip` prints it.
const ADDRESS: &str = "address";

/// An address that a guest may say is its own: not one that means another machine to whoever connects to it, or one for
/// each link.
pub fn address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.trim().parse().ok()?;
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    let vague = match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().is_some() || v6.is_unicast_link_local(),
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_link_local(),
    };
    let no_guest = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    (!(no_guest || broadcast || vague)).then_some(address)
}

/// Comes before cloud-init's result, which is JSON.
const RESULT: &str = "result";

/// How the first error begins where the agent of an image that was built before there was a word for it reports that its
/// template is untouched: it draws no random numbers of its own, or its seed or NICs did not come.
pub const UNTOUCHED_BEFORE: [&str; 3] = ["wake: ", "seed: ", "nics: "];

/// cloud-init is done, and the rest was reported.
const DONE: &str = "done";

/// What the units in the guest run.
pub(super) const SCRIPT: &str = include_str!("../../assets/seed/report.sh");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_says_these_words_and_no_others() {
        let said = SCRIPT.lines().flat_map(|line| line.split(';'));
        let said = said.filter_map(|part| part.trim().rsplit_once("say ").map(|(_, rest)| rest));
        let words: Vec<&str> = said.filter_map(|rest| rest.split_whitespace().next()).collect();
        assert_eq!(words, [BEGUN, ADDRESS, RESULT, DONE]);
    }

    #[test]
    fn lines_are_told_apart() {
        let address = Report::Address(Some([192, 0, 2, 7].into()));
        for (line, report) in [
            ("cloud-init", Report::Begun),
            ("template", Report::Template),
            ("clock", Report::Clock),
            ("still", Report::Still),
            ("untouched", Report::Untouched),
            ("address 192.0.2.7/24", address),
            ("address 127.0.0.1/8", Report::Address(None)),
            ("result {\"v1\": {}}", Report::Result("{\"v1\": {}}".into())),
            ("done", Report::Done),
            ("done and more", Report::Other("done and more".into())),
            ("address", Report::Other("address".into())),
        ] {
            assert_eq!(Report::of(line), report, "{line}");
            assert!(line.starts_with(&report.to_string()), "{line}");
        }
    }

    /// A guest would have whoever connects to it connect to itself, or to many.
    #[test]
    fn a_guest_has_an_address_that_can_be_one_machines() {
        for text in ["10.0.0.5", " 192.0.2.7\n", "2001:db8::5", "fd00::1"] {
            assert_eq!(address(text), text.trim().parse().ok(), "{text}");
        }
        let others = ["127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "0.1.2.3", "::", "224.0.0.1"];
        let more = [
            "ff02::1",
            "255.255.255.255",
            "::ffff:127.0.0.1",
            "localhost",
            "",
            "169.254.169.254",
            "fe80::1",
        ];
        for text in others.iter().chain(&more) {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
