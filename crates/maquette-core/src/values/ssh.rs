//! What ssh's own files are made of, as far as the user's configuration and other programs say it.

use super::{PublicKey, ValueError, checked, has_template_marks, is_unprintable, shortened};

/// Longest line, in characters.
const LONGEST: usize = 16 * 1024;

/// Checks that a text is one line of some length, and has nothing that is not for its place.
fn check(text: &str, what: &str, fits: fn(char) -> bool) -> Result<(), ValueError> {
    if text.is_empty() {
        return Err(ValueError::new(format!("{what} must not be empty")));
    }
    match text.chars().count() <= LONGEST && text.chars().all(fits) {
        true => Ok(()),
        false => Err(ValueError::new(format!("`{}` is not {what}", shortened(text)))),
    }
}

/// The same of a text that other programs read, too.
fn check_plain(text: &str, what: &str, fits: fn(char) -> bool) -> Result<(), ValueError> {
    check(text, what, fits)?;
    match has_template_marks(text) {
        true => Err(ValueError::new(format!("`{}` is not {what}", shortened(text)))),
        false => Ok(()),
    }
}

checked!(
    /// A word of an ssh config, such as an alias or hosts to jump through, which stands there without quotes.
    SshWord,
    |text| check_plain(text, "a word of an ssh configuration", |c| {
        !c.is_whitespace() && !is_unprintable(c) && !"\"'\\#".contains(c)
    })
);

checked!(
    /// A path between the quotes of an ssh config: with blanks, perhaps, and with `~` and `%`, which ssh replaces.
    SshPath,
    |text| check_plain(text, "a path that an ssh configuration can have", |c| {
        !is_unprintable(c) && !"\"\\".contains(c)
    })
);

checked!(
    /// A program that ssh connects through, as the user's configuration has it: one line, which their shell reads. ssh alone
    /// reads it, so that `{{` is what it is for the program (`docker inspect -f`).
    SshCommand,
    |text| check(text, "a command that an ssh configuration can have", |c| {
        c == '\t' || !is_unprintable(c)
    })
);

checked!(
    /// A line of known_hosts: names and addresses with commas between them, or a hash of one, and a key. It has no marker and no
    /// patterns, so that it is about these hosts alone.
    KnownHost,
    |text| {
        let wrong = || ValueError::new(format!("`{}` is not a host and its key", shortened(text)));
        let (names, key) = text.split_once(' ').ok_or_else(wrong)?;
        let is_plain = |c: char| !c.is_whitespace() && !is_unprintable(c) && !"*?!\"'\\".contains(c);
        let is_marked = names.is_empty() || names.starts_with(['@', '#', '-']);
        if is_marked || !names.chars().all(is_plain) || has_template_marks(names) {
            return Err(wrong());
        }
        key.parse::<PublicKey>().map(|_| ()).map_err(|_| wrong())
    }
);

impl KnownHost {
    /// The names and addresses, or a hash of one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.as_str().split(' ').take(1).flat_map(|names| names.split(','))
    }

    /// The key's type and the key.
    pub fn key(&self) -> String {
        self.as_str().split(' ').skip(1).take(2).collect::<Vec<_>>().join(" ")
    }
}
