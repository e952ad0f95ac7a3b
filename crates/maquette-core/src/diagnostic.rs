//! What is wrong with the user's input, as data.
//!
//! A [`Diagnostic`] points at source text by [`Span`]; drawing it is the binary's work. Stages
//! collect into one [`Diagnostics`] and go on as far as they can, so that a run reports every
//! mistake and not just the first.

use std::collections::{HashMap, HashSet};

use crate::span::{SourceId, Span};

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; the run goes on.
    Warning,
    /// Nothing is touched until this is mended.
    Error,
}

/// A remark on one piece of source text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    /// The text it points at.
    pub span: Span,
    /// What to say there; may be empty.
    pub text: String,
}

/// One mistake or warning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Stable code, such as `topology::unknown-key`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One line that says what is wrong, naming the object.
    pub message: String,
    /// The places concerned; the first is where the mistake is.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Vec<String>,
    /// Whether there may be a password in the lines that it is about, so that they are not shown.
    pub secret: bool,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: Vec::new(),
            help: Vec::new(),
            secret: false,
        }
    }

    /// A warning without a place yet.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds a place; if there may be a password there, its lines are not shown.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secret |= span.secret;
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// The same of a place that may not be known: what is recorded on the hypervisor has none.
    #[must_use]
    pub fn at_known(self, span: Option<Span>) -> Self {
        match span {
            Some(span) => self.at(span, ""),
            None => self,
        }
    }

    /// Has the lines that it is about not be shown.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Adds a line of advice.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Adds "did you mean" when one of `candidates` is close to `word`, else nothing.
    #[must_use]
    pub fn suggest<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(word, candidates) {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        }
    }
}

/// All that was found wrong so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// The same, to be looked up: a file of many keys may have as many mistakes.
    recorded: HashSet<Diagnostic>,
    /// Boxed, since errors carry all this about.
    idle: Box<Idle>,
    /// How many forbid going on.
    errors: usize,
    /// Values that could not be found out, which nothing else is said of.
    unknown: Box<Unknown>,
}

/// Values that could not be found out, since an expression fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Unknown {
    places: HashSet<Span>,
    /// Why, in the words that were said of the first, and which error that was.
    said: HashMap<(String, Option<String>), usize>,
    /// How many mistakes were left out: they had been told, or follow from others.
    left_out: usize,
}

/// How many places an error shows of one reason.
const PLACES: usize = 5;

/// What becomes of keys that nobody knows, and of known ones without effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Idle {
    /// They are what they were recorded as.
    #[default]
    AsRecorded,
    /// All are warnings, and so are extra variables without effect.
    Warnings,
    /// All are warnings; a key that is there twice is one in these sources.
    Usual(HashSet<SourceId>),
    /// All are errors, and so are extra variables without effect, but for those in these sources.
    Errors(HashSet<SourceId>),
}

/// Code of a key that nobody knows.
pub const UNKNOWN_KEY: &str = "topology::unknown-key";

/// Code of a key that does nothing where it is.
pub const WITHOUT_EFFECT: &str = "topology::without-effect";

/// Code of a key that is there twice, of which the last one counts.
pub const DUPLICATE_KEY: &str = "yaml::duplicate";

/// Code of an extra variable that does nothing.
pub const UNUSED_EXTRA: &str = "extra::unused";

impl Diagnostics {
    /// Takes unknown keys, and known ones without effect, for warnings, as users of InfraRed expect, which ignored
    /// them.
    pub fn lenient() -> Self {
        Self { idle: Box::new(Idle::Warnings), ..Self::default() }
    }

    /// The same for keys, wherever they are, as every verb has it that is not strict. A key that is there twice is a warning in
    /// files that other tools read, too, which [`Self::be_lenient_in`] names: they take the last one.
    pub fn usual() -> Self {
        Self { idle: Box::new(Idle::Usual(HashSet::new())), ..Self::default() }
    }

    /// Takes all that has no effect for an error.
    pub fn strict() -> Self {
        Self { idle: Box::new(Idle::Errors(HashSet::new())), ..Self::default() }
    }

    /// Names a file that other tools read, too, for [`Self::usual`]; elsewhere it changes nothing.
    pub fn be_lenient_in(&mut self, source: SourceId) {
        if let Idle::Usual(sources) = &mut *self.idle {
            sources.insert(source);
        }
    }

    /// Names a file that its user cannot mend: what has no effect there is never an error.
    pub fn be_never_strict_in(&mut self, source: SourceId) {
        if let Idle::Errors(sources) = &mut *self.idle {
            sources.insert(source);
        }
    }

    /// Whether a diagnostic is of such a file.
    pub fn is_never_strict(&self, diagnostic: &Diagnostic) -> bool {
        let source = diagnostic.labels.first().map(|label| label.span.source);
        matches!(&*self.idle, Idle::Errors(but) if source.is_some_and(|s| but.contains(&s)))
    }

    /// Whether keys that nobody knows were warned of in files of Maquette's own: something that was asked for is not in what was
    /// read.
    pub fn has_slips(&self) -> bool {
        let Idle::Usual(foreign) = &*self.idle else { return false };
        let of_others = |d: &Diagnostic| d.labels.iter().any(|l| foreign.contains(&l.span.source));
        self.list.iter().any(|d| d.code == UNKNOWN_KEY && !of_others(d))
    }

    /// An empty list that is as strict.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self { idle: self.idle.clone(), ..Self::default() }
    }

    /// How bad it is here.
    fn severity(&self, diagnostic: &Diagnostic) -> Severity {
        let of_key = [UNKNOWN_KEY, WITHOUT_EFFECT, DUPLICATE_KEY].contains(&diagnostic.code);
        let source = diagnostic.labels.first().map(|label| label.span.source);
        match &*self.idle {
            Idle::Warnings if of_key || diagnostic.code == UNUSED_EXTRA => Severity::Warning,
            Idle::Usual(_) if of_key && diagnostic.code != DUPLICATE_KEY => Severity::Warning,
            Idle::Usual(files) if of_key && source.is_some_and(|s| files.contains(&s)) => {
                Severity::Warning
            }
            Idle::Errors(_) if self.is_never_strict(diagnostic) => diagnostic.severity,
            Idle::Errors(_) if of_key || diagnostic.code == UNUSED_EXTRA => Severity::Error,
            _ => diagnostic.severity,
        }
    }

    /// Records why a value is not known: that it is not what it has to be would follow from that, and is not said. Where the
    /// words name the reason, other places of the same reason stand with the first.
    pub fn push_unknown(&mut self, diagnostic: Diagnostic, is_named: bool) {
        let label = diagnostic.labels.first().cloned();
        let words = (diagnostic.message.clone(), label.as_ref().map(|l| l.text.clone()));
        let first = self.unknown.said.get(&words).filter(|_| is_named).copied();
        let place = label.map(|label| label.span);
        let is_new = place.is_none_or(|place| !self.unknown.places.contains(&place));
        match first.and_then(|first| self.list.get_mut(first)) {
            Some(first) if is_new && first.labels.len() < PLACES => {
                first.labels.extend(place.map(|span| Label { span, text: "also here".into() }));
            }
            Some(_) => {}
            None => {
                self.unknown.said.insert(words, self.list.len());
                self.push(diagnostic);
            }
        }
        self.unknown.places.extend(place);
    }

    /// How many mistakes there were, those included that were left out.
    pub fn mistakes(&self) -> usize {
        self.errors + self.unknown.left_out
    }

    /// Records one, unless the very same has been recorded already (two node types may be decoded from
    /// the same text).
    pub fn push(&mut self, mut diagnostic: Diagnostic) {
        diagnostic.severity = self.severity(&diagnostic);
        let place = diagnostic.labels.first().map(|label| label.span);
        if place.is_some_and(|place| self.unknown.places.contains(&place)) {
            self.unknown.left_out += 1;
            return;
        }
        let is_error = usize::from(diagnostic.severity == Severity::Error);
        if self.recorded.insert(diagnostic.clone()) {
            self.errors += is_error;
            self.list.push(diagnostic);
        } else {
            self.unknown.left_out += is_error;
        }
    }

    /// Records all of `other`.
    pub fn extend(&mut self, other: Diagnostics) {
        for diagnostic in other.list {
            self.push(diagnostic);
        }
        self.unknown.places.extend(other.unknown.places);
    }

    /// Whether any of them forbids going on.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many of them forbid going on.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// In the order of what people read: file by file, as these were read, from the first line to the last. What is of no
    /// file comes at the end.
    pub fn in_order(&self) -> Vec<&Diagnostic> {
        let mut all: Vec<&Diagnostic> = self.list.iter().collect();
        all.sort_by_key(|diagnostic| {
            let place = diagnostic.labels.first().map(|label| label.span);
            place.map_or((true, None, 0), |at| (false, Some(at.source), at.start))
        });
        all
    }

    /// In order of discovery.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }
}

/// The candidate most like `word`, if any is like it at all.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(&lower, &c.to_lowercase()), c))
        .filter(|(score, _)| *score > 0.82)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// The candidate that `word` is a slip of the fingers for: a letter or two too many, missing, swapped or another.
pub fn slip<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::osa_distance(word, c), c))
        .filter(|(slips, c)| *slips <= 2 && slips * 4 <= c.chars().count())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, c)| c)
}

/// The candidate that is one letter from `word`, however short, or that it is otherwise a [`slip`] for.
pub fn typo<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let one = |c: &&&str| c.chars().count() > 2 && strsim::osa_distance(word, c) == 1;
    candidates.iter().find(one).copied().or_else(|| slip(word, candidates.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred thousand variables that nobody knows took minutes, since each warning was compared with all before it. Three
    /// times as many would take longer here than a test may.
    #[test]
    fn many_are_recorded_and_none_twice() {
        const MANY: usize = 300_000;
        let mut diags = Diagnostics::default();
        for number in (0..MANY).chain(0..MANY) {
            diags.push(Diagnostic::warning("a::b", number.to_string()));
        }
        assert_eq!(diags.iter().count(), MANY);
    }

    /// One strictness for all files; but of two values, nobody knows which one is meant in a file that no other tool reads.
    #[test]
    fn unknown_keys_are_warnings_wherever_they_are() {
        let mut sources = crate::span::Sources::default();
        let (project, nodes) = (sources.add("maquette.yaml", "a"), sources.add("web.yml", "a"));
        let errors = |mut diags: Diagnostics, code, source| {
            diags.be_lenient_in(nodes);
            let mut diags = diags.fresh();
            diags.push(Diagnostic::error(code, "").at(sources.whole(source), ""));
            diags.errors()
        };
        for code in [UNKNOWN_KEY, WITHOUT_EFFECT, DUPLICATE_KEY] {
            let of_project = usize::from(code == DUPLICATE_KEY);
            assert_eq!(errors(Diagnostics::usual(), code, project), of_project, "{code}");
            assert_eq!(errors(Diagnostics::usual(), code, nodes), 0, "{code}");
            assert_eq!(errors(Diagnostics::strict(), code, nodes), 1, "{code}");
            assert_eq!(errors(Diagnostics::strict(), code, project), 1, "{code}");
            assert_eq!(errors(Diagnostics::lenient(), code, project), 0, "{code}");
        }
        assert_eq!(errors(Diagnostics::usual(), "topology::other", nodes), 1);
        assert_eq!(errors(Diagnostics::usual(), UNUSED_EXTRA, project), 1);
    }

    #[test]
    fn what_has_no_effect_is_an_error_where_it_is_strict() {
        for code in [UNKNOWN_KEY, WITHOUT_EFFECT, UNUSED_EXTRA] {
            let errors = |mut diags: Diagnostics| {
                diags.push(Diagnostic::warning(code, ""));
                diags.errors()
            };
            assert_eq!(errors(Diagnostics::strict()), 1, "{code}");
            assert_eq!(errors(Diagnostics::usual()), 0, "{code}");
        }
    }

    #[test]
    fn a_slip_is_one_or_two_letters() {
        let names = ["host-address", "topology-nodes", "topology-username", "kill"];
        for (word, name) in [
            ("host-adress", Some("host-address")),
            ("host_address", Some("host-address")),
            ("topology-ndoes", Some("topology-nodes")),
            ("kil", Some("kill")),
            ("topology-password", None),
            ("topology-mode-x", None),
            ("bill-me", None),
        ] {
            assert_eq!(slip(word, names), name, "{word}");
        }
    }

    #[test]
    fn the_closest_word_is_close() {
        assert_eq!(closest("contoller", ["compute", "controller"]), Some("controller"));
        assert_eq!(closest("xyz", ["compute", "controller"]), None);
    }

    /// `--strict` was of no use with a network file that comes with Maquette.
    #[test]
    fn what_its_user_cannot_mend_is_no_error_however_strict_it_is() {
        let mut sources = crate::span::Sources::default();
        let (ours, theirs) = (sources.add("<built-in>", "a"), sources.add("web.yml", "a"));
        let mut diags = Diagnostics::strict();
        diags.be_never_strict_in(ours);
        let mut diags = diags.fresh();
        let warning = Diagnostic::warning(WITHOUT_EFFECT, "");
        diags.push(warning.clone().at(sources.whole(ours), ""));
        assert!(!diags.has_errors());
        diags.push(warning.at(sources.whole(theirs), ""));
        assert!(diags.has_errors());
    }
}
