//! Where a piece of text came from.

/// Names one text among [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(u32);

/// A range of bytes in one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The text that it is in.
    pub source: SourceId,
    /// Offset of its first byte.
    pub start: u32,
    /// First byte after it.
    pub end: u32,
    /// Whether there may be a password there, so that neither text nor line is shown.
    pub secret: bool,
}

/// A value with the place it was written at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Drops the place.
    pub fn into_value(self) -> T {
        self.value
    }

    /// Pairs a value with its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// One text: a file, or a command-line flag.
#[derive(Debug, Clone)]
pub struct Source {
    /// What to call it in a diagnostic: a path, or the flag.
    pub name: String,
    /// Its whole text.
    pub text: String,
    /// Whether there may be passwords in it, so that none of it is shown.
    pub secret: bool,
}

/// Every text of a run. Flags are sources too, so a mistake on the command line is shown the same
/// way as one in a file.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    list: Vec<Source>,
}

impl Sources {
    /// Adds a text and names it.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        self.push(Source { name: name.into(), text: text.into(), secret: false })
    }

    /// Adds a text that may have passwords in it: of mistakes in it the place is shown, and not the line.
    pub fn add_secret(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        self.push(Source { name: name.into(), text: text.into(), secret: true })
    }

    fn push(&mut self, source: Source) -> SourceId {
        let id = SourceId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.list.push(source);
        id
    }

    /// The text behind an identifier that [`Sources::add`] gave out.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.list[id.0 as usize]
    }

    /// All of them in the order they were added: what each is called, and its text.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|source| (source.name.as_str(), source.text.as_str()))
    }

    /// A span over the whole of a source.
    pub fn whole(&self, id: SourceId) -> Span {
        let Source { text, secret, .. } = self.get(id);
        let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Span { source: id, start: 0, end, secret: *secret }
    }

    /// The text under a span.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.source).text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Line and column, both counted from 1 and in characters.
    pub fn position(&self, span: Span) -> (usize, usize) {
        let text = &self.get(span.source).text;
        let before = text.get(..span.start as usize).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        (line, column)
    }
}
