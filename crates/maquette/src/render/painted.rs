//! Text in colours, and text in none. Colours are ours alone: names, servers' answers and guests' words are shown
//! without, so that nobody can make a line look like another, or disappear.

use std::borrow::Cow;
use std::fmt;

use maquette_core::values::printable;

use super::Again;

/// Text with colours of ours. What others wrote is in it as [`plain`] text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Painted(String);

impl Painted {
    /// Text whose colours are ours, and which has nothing else that a terminal obeys.
    pub(super) fn of(text: &str) -> Self {
        Self(filtered(text, true).into_owned())
    }

    /// Text without colours.
    pub fn plain(text: &str) -> Self {
        Self(plain(text).into_owned())
    }

    /// What the library that reads arguments has painted: in it are words that the user has just typed.
    pub fn of_arguments(error: &clap::Error) -> Self {
        Self::of(error.render().ansi().to_string().trim_end())
    }

    /// The same with flags in the commands that it advises.
    pub fn with(&self, again: &Again) -> Self {
        Self(again.filled(&self.0).into_owned())
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Painted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text as it may be shown, with nothing in it that a terminal obeys but line breaks and tabs.
pub fn plain(text: &str) -> Cow<'_, str> {
    filtered(text, false)
}

/// Of escape sequences those for colours stay, or go without a trace: many programs paint what they say.
fn filtered(text: &str, colours: bool) -> Cow<'_, str> {
    if text.contains("\r\n") {
        // ssh ends its lines like that.
        return Cow::Owned(filtered(&text.replace("\r\n", "\n"), colours).into_owned());
    }
    if !text.contains('\u{1b}') {
        return printable(text);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('\u{1b}') {
        let (before, sequence) = rest.split_at(start);
        out.push_str(&printable(before));
        let colour = sequence.strip_prefix("\u{1b}[").map(|parameters| {
            let of = |c: char| !c.is_ascii_digit() && !matches!(c, ';' | ':');
            (parameters.find(of), parameters)
        });
        rest = match colour {
            Some((Some(length), parameters)) if parameters[length..].starts_with('m') => {
                out.push_str(if colours { &sequence[..length + 3] } else { "" });
                &sequence[length + 3..]
            }
            _ => {
                out.push('\u{fffd}');
                &sequence[1..]
            }
        };
    }
    out.push_str(&printable(rest));
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use maquette_core::diagnostic::{Diagnostic, Diagnostics};
    use maquette_core::object::ObjectKind;
    use maquette_core::plan::{Action, Builder, Change, Op, Plan};
    use maquette_core::syntax::Sources;
    use maquette_engine::StepError;

    use super::super::{diagnostics, plan, step_error};
    use super::*;

    /// Titles, the clipboard and other text were the terminal's to change.
    #[test]
    fn everything_that_a_terminal_obeys_goes_and_of_our_own_text_colours_stay() {
        assert_eq!(plain("plain\n\ttext\r\n"), "plain\n\ttext\n");
        assert_eq!(plain("\u{1b}[1;31mred\u{1b}[0m"), "red");
        let red = "\u{1b}[1;31mred\u{1b}[0m";
        assert_eq!(Painted::of(red).text(), red);
        for hostile in [
            "\u{1b}]0;title\u{7}",
            "\u{1b}]52;c;aWQ=\u{1b}\\",
            "\u{1b}[2J",
            "\u{1b}[",
            "\u{1b}",
            "\u{9b}2J",
            "\r",
            "\u{202e}",
            "\u{8}",
        ] {
            for text in [hostile.to_string(), format!("\u{1b}[1ma{hostile}b\u{1b}[0m")] {
                assert!(!plain(&text).contains(maquette_core::values::is_unprintable), "{text:?}");
                let ours =
                    Painted::of(&text).text().replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
                assert!(!ours.contains(maquette_core::values::is_unprintable), "{ours:?}");
            }
        }
    }

    /// Whoever hides text, or paints an error as a success, tells the user something else than is so.
    #[test]
    fn colours_of_others_are_in_nothing_that_is_painted() {
        const FOREIGN: &str = "a\u{1b}[8mb\u{1b}[32mc";
        let error = StepError {
            causes: vec![FOREIGN.into()],
            excerpt: vec![FOREIGN.into()],
            ..StepError::new(FOREIGN).hint(FOREIGN)
        };
        let mut sources = Sources::default();
        let file = sources.add(FOREIGN, FOREIGN);
        let mut found = Diagnostics::default();
        let diagnostic = Diagnostic::error("a::b", FOREIGN).help(FOREIGN);
        found.push(diagnostic.at(sources.whole(file), FOREIGN));
        let change = Change {
            op: Op::Create,
            kind: ObjectKind::Domain,
            name: FOREIGN.into(),
            detail: FOREIGN.into(),
            reason: FOREIGN.into(),
        };
        let mut steps = Builder::default();
        steps.add(Action::StopNetwork { name: FOREIGN.into() }, [], FOREIGN);
        let whole = Plan { changes: vec![change], steps: steps.finish() };
        for painted in
            [step_error(&error), diagnostics(&found, &sources), plan(&whole, FOREIGN, None)]
        {
            let text = painted.text();
            assert!(text.contains("\u{1b}["), "ours are there: {text:?}");
            assert!(!text.contains("\u{1b}[8m") && !text.contains("\u{1b}[32mc"), "{text:?}");
        }
    }
}
