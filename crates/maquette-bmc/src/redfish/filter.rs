//! `$filter`: comparisons of properties, with `and`, `or`, `not` and brackets.

use std::cmp::Ordering;

use serde_json::Value;

/// Longest filter, and most brackets inside of brackets.
const LONGEST: usize = 1024;
const DEEPEST: u32 = 16;

/// What has to hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// A comparison of the property at a path.
    Compare(Vec<String>, Operator, Value),
    /// Both.
    And(Box<Filter>, Box<Filter>),
    /// One of them, or both.
    Or(Box<Filter>, Box<Filter>),
    /// The contrary.
    Not(Box<Filter>),
}

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
}

impl Filter {
    /// Reads a filter; none if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let words = words(text)?;
        let mut parser = Parser { words: &words, depth: 0 };
        let filter = parser.or()?;
        parser.words.is_empty().then_some(filter)
    }

    /// Whether a resource passes. A property that is not there is like null.
    pub fn holds(&self, value: &Value) -> bool {
        match self {
            Self::And(a, b) => a.holds(value) && b.holds(value),
            Self::Or(a, b) => a.holds(value) || b.holds(value),
            Self::Not(a) => !a.holds(value),
            Self::Compare(path, operator, wanted) => {
                let found = path.iter().fold(value, |value, name| &value[name.as_str()]);
                let order = compared(found, wanted);
                match operator {
                    Operator::Eq => order == Some(Ordering::Equal),
                    Operator::Ne => order != Some(Ordering::Equal),
                    Operator::Gt => order == Some(Ordering::Greater),
                    Operator::Ge => order.is_some_and(Ordering::is_ge),
                    Operator::Lt => order == Some(Ordering::Less),
                    Operator::Le => order.is_some_and(Ordering::is_le),
                }
            }
        }
    }
}

fn compared(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (a, b) if a == b => Some(Ordering::Equal),
        _ => None,
    }
}

/// The words of a filter: brackets, text in quotes, and the rest.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' => 1,
            '\'' => quoted(rest)?,
            _ => rest.find([' ', '(', ')', '\'']).unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at_checked(length)?;
        words.push(word.to_string());
        rest = after.trim_start();
    }
    Some(words)
}

/// How long a text in quotes is; a quote in it is written twice.
fn quoted(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == b'\'')?;
        if bytes.get(at + 1) != Some(&b'\'') {
            return Some(at + 1);
        }
        at += 2;
    }
}

struct Parser<'w> {
    words: &'w [String],
    depth: u32,
}

impl<'w> Parser<'w> {
    fn next(&mut self) -> Option<&'w str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn takes(&mut self, word: &str) -> bool {
        let is = self.words.first().is_some_and(|first| first == word);
        if is {
            self.words = &self.words[1..];
        }
        is
    }

    fn or(&mut self) -> Option<Filter> {
        let mut filter = self.and()?;
        while self.takes("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.and()?));
        }
        Some(filter)
    }

    fn and(&mut self) -> Option<Filter> {
        let mut filter = self.one()?;
        while self.takes("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one()?));
        }
        Some(filter)
    }

    fn one(&mut self) -> Option<Filter> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let filter = if self.takes("not") {
            Filter::Not(Box::new(self.one()?))
        } else if self.takes("(") {
            let filter = self.or()?;
            if !self.takes(")") {
                return None;
            }
            filter
        } else {
            self.compare()?
        };
        self.depth -= 1;
        Some(filter)
    }

    fn compare(&mut self) -> Option<Filter> {
        let path: Vec<String> = self.next()?.split('/').map(String::from).collect();
        let operator = match self.next()? {
            "eq" => Operator::Eq,
            "ne" => Operator::Ne,
            "gt" => Operator::Gt,
            "ge" => Operator::Ge,
            "lt" => Operator::Lt,
            "le" => Operator::Le,
            _ => return None,
        };
        let word = self.next()?;
        let value = match word.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            Some(text) => Value::from(text.replace("''", "'")),
            None => serde_json::from_str(word).ok().filter(|v: &Value| !v.is_string())?,
        };
        Some(Filter::Compare(path, operator, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_hold_or_do_not() {
        let value = json!({"Name": "it's", "N": 5, "On": true, "S": {"H": "OK"}});
        for holds in [
            "Name eq 'it''s'",
            "N gt 4 and N le 5",
            "On eq true",
            "S/H eq 'OK'",
            "not (N eq 4)",
            "N eq 4 or On ne false",
            "Missing eq null",
            "(N eq 5)",
        ] {
            assert!(Filter::parse(holds).unwrap().holds(&value), "{holds}");
        }
        for not in ["N lt 5", "Name eq 'x'", "Missing gt 1", "S/H eq null", "Name gt 5"] {
            assert!(!Filter::parse(not).unwrap().holds(&value), "{not}");
        }
        for bad in ["", "N", "N eq", "N is 5", "(N eq 5", "N eq 5)", "N eq 'x", "N eq x", "not"] {
            assert_eq!(Filter::parse(bad), None, "{bad}");
        }
        assert_eq!(Filter::parse(&"(".repeat(500)), None);
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "[()' a-zA-Z0-9/]{0,80}|\\PC{0,40}") {
            if let Some(filter) = Filter::parse(&text) {
                filter.holds(&json!({"a": 1}));
            }
        }
    }
}
