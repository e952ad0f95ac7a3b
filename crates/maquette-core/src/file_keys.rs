//! Keys of node and network files, each declared once: how it is written and what it means. Reading
//! ([`crate::decode::Fields`]) and the JSON schema ([`crate::schema`]) follow from the rows, which stand
//! beside what they are read into: `topology/role.rs`, `interface.rs`, `disk.rs` and `network.rs`.

pub(crate) mod peers;

pub use peers::own_word;

/// How the value of a key is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// One line of text.
    Text,
    /// Text that its type checks: what it is, for messages, and an example.
    Parsed(&'static str, &'static str),
    /// A truth value.
    YesNo,
    /// A whole number, from the first to the second; the unit is for messages and may be empty.
    Number(u64, u64, &'static str),
    /// One of a few words.
    Words(&'static [&'static str]),
    /// A mapping of these keys.
    Map(&'static [Key]),
    /// A mapping of some of these keys: what is left out comes from elsewhere.
    Part(&'static [Key]),
    /// A mapping whose keys match a regular expression, to values of a form.
    Entries(&'static str, &'static Form),
    /// A list whose items all have this form.
    List(&'static Form),
    /// In any of these forms.
    Either(&'static [Form]),
    /// Nothing but the key.
    Nothing,
    /// Whatever the reader of the key makes of it.
    Anything,
}

/// Form of a connection plug-in.
pub(crate) const CONNECTION: Form = Form::Parsed("a connection plug-in", "ssh");

/// Form of a directory of the hypervisor.
pub(crate) const DIRECTORY: Form = Form::Parsed("a directory of the hypervisor", "/srv/disks");

/// Form of a domain name.
pub(crate) const DOMAIN_NAME: Form = Form::Parsed("a domain name", "lab.example");

/// Form of a login name.
pub(crate) const LOGIN: Form = Form::Parsed("a login name", "admin");

/// Form of an IPv4 address.
pub(crate) const IPV4_ADDRESS: Form = Form::Parsed("an IPv4 address", "10.9.0.20");

/// Form of an address.
pub(crate) const DHCP_ADDRESS: Form = Form::Parsed("an address", "10.9.0.100");

/// Form of an image.
pub(crate) const IMAGE: Form = Form::Parsed("an image", "https://example.org/disk.qcow2");

/// What a change of something takes: the worst of an object's changes decides what happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It is for what is made from then on; what is there stays as it is.
    Later,
    /// It is written down, and nothing else happens.
    Record,
    /// It changes while the object runs, where its hardware allows that.
    Live,
    /// It takes a new start.
    Restart,
    /// It takes a new object.
    Replace,
}

/// A key of node or network files, or of the project file's mappings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Its name, as files have it.
    pub name: &'static str,
    /// How its value is written.
    pub form: Form,
    /// What it is.
    pub doc: &'static str,
    /// A value for examples, where the form does not tell one that says something.
    pub example: Option<&'static str>,
    /// Whether there must be one.
    pub needed: bool,
    /// What a change of it takes of what is there; none where that depends on the keys below it, or is as with the
    /// key above it.
    pub class: Option<Class>,
    /// Whether Maquette reads it; other keys are InfraRed's or other tools'.
    pub read: bool,
}

impl Key {
    /// A key with a value for examples.
    pub const fn example(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    /// A key that there must be.
    pub const fn needed(self) -> Self {
        Self { needed: true, ..self }
    }

    /// What it is, without what holds where it is left out.
    pub fn meaning(&self) -> &'static str {
        self.told().0
    }

    /// What holds where it is left out.
    pub fn default(&self) -> Option<&'static str> {
        self.told().1
    }

    /// Its doc in two: what holds without the key stands at the end.
    fn told(&self) -> (&'static str, Option<&'static str>) {
        let (meaning, rest) = self.doc.rsplit_once(" [default: ").unwrap_or((self.doc, ""));
        (meaning, rest.strip_suffix(']'))
    }

    /// A key whose change takes this.
    pub const fn takes(self, class: Class) -> Self {
        Self { class: Some(class), ..self }
    }
}

/// A key of a form.
pub const fn key(name: &'static str, form: Form, doc: &'static str) -> Key {
    Key { name, form, doc, example: None, needed: false, class: None, read: true }
}

/// A key that is accepted and has no effect.
pub const fn unread(name: &'static str) -> Key {
    let doc = "Accepted for InfraRed's files, and has no effect";
    Key { name, form: Form::Anything, doc, example: None, needed: false, class: None, read: false }
}
