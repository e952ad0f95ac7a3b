//! Writing XML: elements, attributes and text, all escaped.

/// Writes indented XML. Elements are closed by leaving the closure that fills them.
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
    depth: usize,
}

/// Attributes of an element, in order.
pub type Attributes<'a> = &'a [(&'a str, &'a str)];

impl Writer {
    /// An element without content.
    pub fn empty(&mut self, name: &str, attributes: Attributes<'_>) {
        self.open(name, attributes);
        self.out.push_str("/>\n");
    }

    /// An element that holds text.
    pub fn text(&mut self, name: &str, attributes: Attributes<'_>, text: &str) {
        self.open(name, attributes);
        self.out.push('>');
        escape(&mut self.out, text);
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push_str(">\n");
    }

    /// An element that holds elements.
    pub fn element(
        &mut self,
        name: &str,
        attributes: Attributes<'_>,
        content: impl FnOnce(&mut Self),
    ) {
        self.open(name, attributes);
        self.out.push_str(">\n");
        self.depth += 1;
        content(self);
        self.depth -= 1;
        self.indent();
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push_str(">\n");
    }

    /// What was written.
    pub fn finish(self) -> String {
        self.out
    }

    fn open(&mut self, name: &str, attributes: Attributes<'_>) {
        self.indent();
        self.out.push('<');
        self.out.push_str(name);
        for (key, value) in attributes {
            self.out.push(' ');
            self.out.push_str(key);
            self.out.push_str("='");
            escape(&mut self.out, value);
            self.out.push('\'');
        }
    }

    fn indent(&mut self) {
        for _ in 0..self.depth {
            self.out.push_str("  ");
        }
    }
}

/// Control characters that XML 1.0 cannot hold become the replacement character.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\t' => out.push_str("&#9;"),
            c if (c as u32) < 0x20 || matches!(c as u32, 0xfffe | 0xffff) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_survives(value in "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\u{fffe}\u{ffff}]*") {
            let mut writer = Writer::default();
            writer.element("a", &[("k", &value)], |w| w.text("b", &[], &value));
            let xml = writer.finish();
            let document = roxmltree::Document::parse(&xml).unwrap();
            let root = document.root_element();
            prop_assert_eq!(root.attribute("k"), Some(value.as_str()));
            let b = root.first_element_child().unwrap();
            prop_assert_eq!(b.text().unwrap_or(""), value.as_str());
        }
    }
}
