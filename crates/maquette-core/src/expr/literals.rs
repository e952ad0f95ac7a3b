//! Texts in quotes inside of expressions as Ansible reads them: a backslash is one, and `%` after a text formats.

use std::borrow::Cow;
use std::ops::Range;

/// A text with expressions that mean here what they mean to Ansible.
pub(super) fn rewritten(text: &str) -> Cow<'_, str> {
    let has_quotes = text.contains(['\'', '"']);
    // Nothing is looked for where not all is evaluated.
    let has_raw = text.match_indices("{%").any(|(at, _)| begins_raw(&text[at + 2..]));
    if !has_quotes || has_raw {
        return Cow::Borrowed(text);
    }
    match text.contains('\\') {
        true => Cow::Owned(formatted(&with_backslashes(text), DEEPEST).into_owned()),
        false => formatted(text, DEEPEST),
    }
}

/// How deep texts are formatted in one another; what is deeper stays as it is.
const DEEPEST: usize = 8;

/// Whether a statement, without its beginning, is `{% raw %}`.
fn begins_raw(statement: &str) -> bool {
    let word = statement.trim_start_matches(['-', '+']).trim_start();
    let rest =
        word.strip_prefix("raw").map(|rest| rest.trim_start().trim_start_matches(['-', '+']));
    rest.is_some_and(|rest| rest.starts_with("%}"))
}

/// The same, in which a backslash in quotes in `{{ … }}` is one: Ansible doubles them before Jinja reads them. Before a
/// quote, where Ansible's would be a mistake, it stays what keeps the text open.
fn with_backslashes(text: &str) -> String {
    let (mut result, mut copied) = (String::new(), 0);
    let mut scan = Scan { text, at: 0, depth: 0 };
    while let Some(sign) = scan.enter() {
        while let Some(literal) = scan.literal() {
            if sign == "{{" {
                result.push_str(&text[copied..literal.start]);
                double(&text[literal.clone()], &mut result);
                copied = literal.end;
            }
        }
    }
    result.push_str(&text[copied..]);
    result
}

fn double(literal: &str, to: &mut String) {
    let mut chars = literal.chars();
    while let Some(c) = chars.next() {
        to.push(c);
        let Some(next) = (c == '\\').then(|| chars.next()).flatten() else { continue };
        match next {
            '\'' | '"' => {}
            '\\' => to.push_str(r"\\"),
            _ => to.push('\\'),
        }
        to.push(next);
    }
}

/// The same with the filter `format` in the place of `%` after a text in quotes: Jinja's `%` takes numbers only here.
fn formatted(text: &str, depth: usize) -> Cow<'_, str> {
    if !text.contains('%') || depth == 0 {
        return Cow::Borrowed(text);
    }
    let (mut result, mut copied) = (String::new(), 0);
    let mut scan = Scan { text, at: 0, depth: 0 };
    while scan.enter().is_some() {
        while let Some(literal) = scan.literal() {
            let sign = after_blanks(text, literal.end);
            if !text[sign..].starts_with('%') || text[sign..].starts_with("%}") {
                continue;
            }
            // What has nothing to apply it to is a mistake, which Jinja names.
            let Some(operand) = operand(text, sign + 1) else { return Cow::Borrowed(text) };
            result.push_str(&text[copied..literal.end]);
            result.push_str(" | format(");
            // Others may be in what it is applied to.
            let inner = format!("{{{{{}}}}}", arguments(&text[operand.clone()]));
            let inner = formatted(&inner, depth - 1);
            result.push_str(&inner[2..inner.len() - 2]);
            result.push(')');
            copied = operand.end;
            scan.at = operand.end;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    result.push_str(&text[copied..]);
    Cow::Owned(result)
}

/// A place in a text, and in how many brackets it is.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Scan<'_> {
    /// Goes into the next expression, if there is one; what it begins with.
    fn enter(&mut self) -> Option<&'static str> {
        while let Some(before) = self.text[self.at..].find('{') {
            let begin = self.at + before;
            let sign = match self.text.as_bytes().get(begin + 1) {
                Some(b'{') => "{{",
                Some(b'%') => "{%",
                Some(b'#') => {
                    let end = self.text[begin + 2..].find("#}");
                    self.at = end.map_or(self.text.len(), |end| begin + 4 + end);
                    continue;
                }
                _ => {
                    self.at = begin + 1;
                    continue;
                }
            };
            (self.at, self.depth) = (begin + 2, 0);
            return Some(sign);
        }
        self.at = self.text.len();
        None
    }

    /// The next text in quotes, with these; none at the end of the expression.
    fn literal(&mut self) -> Option<Range<usize>> {
        while let Some(c) = self.text[self.at..].chars().next() {
            let rest = &self.text[self.at..];
            let ends = self.depth == 0 && rest.starts_with("}}");
            if ends || rest.starts_with("%}") {
                self.at += 2;
                return None;
            }
            match c {
                '\'' | '"' => {
                    let start = self.at;
                    self.at = literal_end(self.text, start);
                    return Some(start..self.at);
                }
                '(' | '[' | '{' => self.depth += 1,
                ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.at += c.len_utf8();
        }
        None
    }
}

/// Where a text in quotes ends, which begins at a place.
fn literal_end(text: &str, at: usize) -> usize {
    let mut chars = text[at..].char_indices();
    let quote = chars.next().map(|(_, c)| c);
    while let Some((offset, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            c if Some(c) == quote => return at + offset + 1,
            _ => {}
        }
    }
    text.len()
}

/// Where a bracket ends, which begins at a place.
fn bracket_end(text: &str, mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '\'' | '"' => {
                at = literal_end(text, at);
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += c.len_utf8();
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn word_end(text: &str, at: usize) -> usize {
    let is_other = |c: char| !c.is_alphanumeric() && c != '_';
    text[at..].find(is_other).map_or(text.len(), |length| at + length)
}

fn after_blanks(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start().len()
}

/// What `%` is applied to: a value, and powers of it, which bind closer.
fn operand(text: &str, from: usize) -> Option<Range<usize>> {
    let mut whole = value(text, from)?;
    loop {
        let next = after_blanks(text, whole.end);
        if !text[next..].starts_with("**") {
            return Some(whole);
        }
        whole.end = value(text, next + 2)?.end;
    }
}

/// A value, with its sign, and with attributes, calls and filters of it.
fn value(text: &str, from: usize) -> Option<Range<usize>> {
    let start = after_blanks(text, from);
    let mut at = start;
    while text[at..].starts_with(['-', '+']) {
        at = after_blanks(text, at + 1);
    }
    at = match text[at..].chars().next()? {
        '\'' | '"' => literal_end(text, at),
        '(' | '[' | '{' => bracket_end(text, at)?,
        c if c.is_alphanumeric() || c == '_' => word_end(text, at),
        _ => return None,
    };
    loop {
        let next = after_blanks(text, at);
        at = match text[next..].chars().next() {
            Some('.') => word_end(text, next + 1),
            Some('(' | '[') => bracket_end(text, next)?,
            Some('|') => word_end(text, after_blanks(text, next + 1)),
            _ => return Some(start..at),
        };
    }
}

/// An operand as arguments: a tuple's are its items.
fn arguments(operand: &str) -> &str {
    let is_bracket = operand.starts_with('(') && bracket_end(operand, 0) == Some(operand.len());
    match is_bracket {
        true => &operand[1..operand.len() - 1],
        false => operand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_sign_after_a_text_is_the_filter_format() {
        for (text, expected) in [
            ("{{ '%02x' % n }}", "{{ '%02x' | format(n) }}"),
            ("{{ \"%02x\"%n }}", "{{ \"%02x\" | format(n) }}"),
            ("a{{ '%d-%s' % (n, 'x') }}b", "a{{ '%d-%s' | format(n, 'x') }}b"),
            ("{{ '%02d' % (n | int + 1) }}", "{{ '%02d' | format(n | int + 1) }}"),
            ("{{ '%02d' % n | int }}", "{{ '%02d' | format(n | int) }}"),
            (
                "{{ '%d' % n | default(3) | int + 1 }}",
                "{{ '%d' | format(n | default(3) | int) + 1 }}",
            ),
            (
                "{{ '%s' % a.b[0].c('%d' % 2) ~ 'x' }}",
                "{{ '%s' | format(a.b[0].c('%d' | format(2))) ~ 'x' }}",
            ),
            ("{{ 'x' ~ '%d' % -1 }}", "{{ 'x' ~ '%d' | format(-1) }}"),
            ("{{ ['%d' % 1, '%d' % 2] }}", "{{ ['%d' | format(1), '%d' | format(2)] }}"),
            (
                "{{ {'a': '%d' % 1} }} {{ '%d' % 2 }}",
                "{{ {'a': '%d' | format(1)} }} {{ '%d' | format(2) }}",
            ),
            ("{% set a = '%d' % 1 %}{{ a }}", "{% set a = '%d' | format(1) %}{{ a }}"),
            ("{{ '%(a)s' % {'a': 1} }}", "{{ '%(a)s' | format({'a': 1}) }}"),
            ("{{ 'it\\'s %d' % 1 }}", "{{ 'it\\'s %d' | format(1) }}"),
            ("{{ '%s' % 'ü' }}ü", "{{ '%s' | format('ü') }}ü"),
            ("{{ '%s' % ('%d' % 1) }}", "{{ '%s' | format('%d' | format(1)) }}"),
            (
                "{{ '%s-%s' % ({'a': '%d' % 1}, '%d' % (2, )) }}",
                "{{ '%s-%s' | format({'a': '%d' | format(1)}, '%d' | format(2, )) }}",
            ),
            ("{{ '%d' % n ** 2 + 1 }}", "{{ '%d' | format(n ** 2) + 1 }}"),
            ("{{ '%d' % (n) ** -k }}", "{{ '%d' | format((n) ** -k) }}"),
        ] {
            assert_eq!(rewritten(text), expected);
        }
    }

    /// `'\1'` was the control character 1.
    #[test]
    fn a_backslash_in_quotes_is_one() {
        for (text, expected) in [
            (r"{{ x | regex_replace('(\d)', '\1') }}", r"{{ x | regex_replace('(\\d)', '\\1') }}"),
            (r"{{ '\\1' }}", r"{{ '\\\\1' }}"),
            (r"{{ '\'' }}", r"{{ '\'' }}"),
            (r"{{ '\\' ~ '\n' }}", r"{{ '\\\\' ~ '\\n' }}"),
            (r"\{{ 'a' }}\", r"\{{ 'a' }}\"),
            (r"{% if a == '\n' %}{% endif %}", r"{% if a == '\n' %}{% endif %}"),
            (r"{{ '%s\d' % a('\.') }}", r"{{ '%s\\d' | format(a('\\.')) }}"),
            (r"{{ '\", r"{{ '\"),
        ] {
            assert_eq!(rewritten(text), expected);
        }
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for text in [
            "50 % of '{{ n }}'",
            "{{ n % 2 }}",
            "{{ 'a' if n % 2 else 'b' }}",
            "{% if n == 'a' %}b{% endif %}",
            "{{ '%d' | format(n) }}",
            "{{ 'open }}",
            "{{ 'a' % }}",
            "{# 'a' % b #}{{ 'a' }}",
            "{%- raw -%}{{ 'a' % b }}{% endraw %}",
            "'%' {{",
            "{{ '%",
            "ü {% 'ü' %",
        ] {
            assert_eq!(rewritten(text), text);
        }
    }

    /// Each level is read for itself.
    #[test]
    fn texts_are_not_formatted_in_one_another_without_end() {
        let deep = format!("{{{{ {}1{} }}}}", "'%s' % (".repeat(20_000), ")".repeat(20_000));
        assert_eq!(rewritten(&deep).matches("format(").count(), DEEPEST);
    }

    #[test]
    fn comments_and_words_like_raw_hide_nothing() {
        assert_eq!(rewritten("{# 'a' % b #}{{ 'a' % b }}"), "{# 'a' % b #}{{ 'a' | format(b) }}");
        assert_eq!(
            rewritten("{% if f == 'raw' %}{{ '%d' % n }}"),
            "{% if f == 'raw' %}{{ '%d' | format(n) }}"
        );
    }
}
