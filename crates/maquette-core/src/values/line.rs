//! Free text on one line, and text for terminals.

use std::borrow::Cow;

use super::{ValueError, checked, shortened};

/// Longest free text, in characters.
const LONGEST: usize = 4096;

checked!(
    /// Text of one line without anything that a terminal, a template engine or a line-based file
    /// would obey. What it means is for somebody else to judge.
    Line,
    |text| {
        if text.chars().count() > LONGEST {
            let message = format!("`{}` is longer than {LONGEST} characters", shortened(text));
            return Err(ValueError::new(message));
        }
        if text.chars().any(is_unprintable) {
            let message = format!("`{}` has control characters in it", shortened(text));
            return Err(ValueError::new(message));
        }
        if has_template_marks(text) {
            let message = format!("`{}` has `{{{{`, `{{%` or `{{#` in it", shortened(text));
            return Err(ValueError::new(message));
        }
        Ok(())
    }
);

/// Whether a text has what begins an expression, a statement or a comment of Jinja: Ansible evaluates
/// it wherever it reads the text.
pub fn has_template_marks(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// Whether a terminal does something else with a character than showing it: C0 and C1 controls, line and
/// paragraph separators, and the marks that turn the direction of what follows (Unicode's UAX #9),
/// which show something else than is there.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(
            c,
            '\u{061c}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Text for people without what a terminal would obey: every such character becomes U+FFFD, but line
/// breaks and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    let bad = |c: char| is_unprintable(c) && !matches!(c, '\n' | '\t');
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if bad(c) { '\u{fffd}' } else { c }).collect())
}
