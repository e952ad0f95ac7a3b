//! Text as YAML has it.

use std::fmt::Write;

use saphyr::{Scalar, ScalarStyle, Yaml};

use crate::values::is_unprintable;

/// A YAML scalar in double quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            // Ends of lines to YAML 1.1, a mark that a reader may take away, and what shows something else than is there
            // to whoever looks at the file.
            c if is_unprintable(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                let _ = match c as u32 {
                    c @ ..=0xffff => write!(out, "\\u{c:04x}"),
                    c => write!(out, "\\U{c:08x}"),
                };
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Text for the library to write, which leaves characters as they are that show something else than is there.
pub(super) fn document(text: &str) -> Yaml<'_> {
    match text.contains(|c: char| is_unprintable(c) && !matches!(c, '\n' | '\t')) {
        true => Yaml::Representation(quoted(text).into(), ScalarStyle::Plain, None),
        false => Yaml::Value(Scalar::String(text.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Plain;

    /// Whatever it holds, readers of YAML 1.1 and 1.2 read that.
    #[test]
    fn what_is_quoted_is_read() {
        for text in [
            "",
            "a: b",
            "\"\\",
            "a\nb\r\n\tc",
            "#x",
            "\u{85}\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}",
            "\u{e9}\u{1f600}",
            "a\u{202e}b\u{2066}\u{7f}\u{9b}\u{61c}\u{e0041}",
        ] {
            let quoted = quoted(text);
            assert!(!quoted.contains(is_unprintable), "{quoted:?}");
            assert_eq!(Plain::read(&quoted).unwrap(), Plain::Text(text.into()), "{quoted}");
        }
    }
}
