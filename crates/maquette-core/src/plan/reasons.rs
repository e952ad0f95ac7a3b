//! Why something happens to an object.

use std::fmt;

/// Every reason for what happens to an object, the weightiest first, and how it happens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reasons {
    /// The reasons, each in a few words.
    pub all: Vec<String>,
    /// How: `restarts`, `while it runs`; none where the change alone tells it.
    pub how: Option<&'static str>,
}

impl Reasons {
    /// Reasons for something that happens in a certain way.
    pub fn how(all: Vec<String>, how: &'static str) -> Self {
        Self { all, how: Some(how) }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl From<Vec<String>> for Reasons {
    fn from(all: Vec<String>) -> Self {
        Self { all, how: None }
    }
}

impl From<String> for Reasons {
    fn from(reason: String) -> Self {
        let all = if reason.is_empty() { Vec::new() } else { vec![reason] };
        Self { all, how: None }
    }
}

impl From<&str> for Reasons {
    fn from(reason: &str) -> Self {
        reason.to_string().into()
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.all.join("; "))?;
        match self.how {
            Some(how) => write!(f, " ({how})"),
            None => Ok(()),
        }
    }
}
