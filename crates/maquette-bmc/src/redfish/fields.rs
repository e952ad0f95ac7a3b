//! Reading the properties of a request. All mistakes are collected; with any, nothing is changed.

use serde_json::{Map, Value};

use super::problem::{Message, Problem};

/// Longest value of others that is repeated in a message.
const SHOWN: usize = 64;

/// A value as it is shown in a message.
pub fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), String::from);
    text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// The name of a property of others as it is shown in a message.
fn named(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// Properties, of which each is taken once.
pub struct Fields<'v> {
    given: &'v Map<String, Value>,
    /// The resource as it is: what it has and nobody takes is read-only.
    current: Option<&'v Value>,
    /// The name of the action, if they are its parameters.
    action: Option<&'static str>,
    prefix: String,
    taken: Vec<&'static str>,
    problems: Vec<Message>,
}

impl<'v> Fields<'v> {
    /// Properties of a resource.
    pub fn of(given: &'v Map<String, Value>, current: &'v Value) -> Self {
        let (current, action, prefix) = (Some(current), None, String::new());
        Self { given, current, action, prefix, taken: Vec::new(), problems: Vec::new() }
    }

    /// Properties of a new resource.
    pub fn new(given: &'v Map<String, Value>) -> Self {
        let (current, action, prefix) = (None, None, String::new());
        Self { given, current, action, prefix, taken: Vec::new(), problems: Vec::new() }
    }

    /// Parameters of an action.
    pub fn action(given: &'v Map<String, Value>, name: &'static str) -> Self {
        Self { action: Some(name), ..Self::new(given) }
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Whether anything was given but annotations.
    pub fn require_any(&mut self) -> Result<(), Problem> {
        let any = self.given.keys().any(|name| !name.contains('@'));
        if any { Ok(()) } else { Err(Problem::no_operation()) }
    }

    fn take(&mut self, name: &'static str) -> Option<&'v Value> {
        self.taken.push(name);
        self.given.get(name)
    }

    /// Something is wrong with a property.
    pub fn wrong(&mut self, message: Message) {
        self.problems.push(message);
    }

    fn wrong_type(&mut self, name: &str, value: &Value) {
        let message = Message::wrong_type(&self.path(name), &shown(value));
        self.problems.push(message);
    }

    /// A property that is text; none if it was not given. Anything but text is a problem, which is noted.
    pub fn text(&mut self, name: &'static str) -> Option<&'v str> {
        let value = self.take(name)?;
        if value.as_str().is_none() {
            self.wrong_type(name, value);
        }
        value.as_str()
    }

    /// Text, or nothing by `null`.
    pub fn optional_text(&mut self, name: &'static str) -> Option<Option<&'v str>> {
        match self.given.get(name) {
            Some(Value::Null) => {
                self.take(name);
                Some(None)
            }
            _ => self.text(name).map(Some),
        }
    }

    /// Text that has to be there.
    pub fn required_text(&mut self, name: &'static str) -> Option<&'v str> {
        if !self.given.contains_key(name) {
            let message = match self.action {
                Some(action) => Message::missing_parameter(action, name),
                None => Message::missing(&self.path(name)),
            };
            self.problems.push(message);
        }
        self.text(name)
    }

    /// A secret; it is in no message.
    pub fn secret(&mut self, name: &'static str) -> Option<&'v str> {
        let value = self.take(name)?;
        if value.as_str().is_none() {
            let message = Message::bad_secret(&self.path(name));
            self.problems.push(message);
        }
        value.as_str()
    }

    /// Yes or no.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        let value = self.take(name)?;
        if value.as_bool().is_none() {
            self.wrong_type(name, value);
        }
        value.as_bool()
    }

    /// One of some values.
    pub fn choice<T: Copy>(&mut self, name: &'static str, all: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = all.iter().find(|(known, _)| *known == text).map(|(_, value)| *value);
        if found.is_none() {
            let value = shown(&Value::from(text));
            let message = match self.action {
                Some(action) => Message::bad_parameter(action, name, &value),
                None => Message::not_in_list(&self.path(name), &value),
            };
            self.problems.push(message);
        }
        found
    }

    /// A list, or nothing by `null`: each value in it is read by `read`, which has words for one that it does not take.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&'v Value) -> Result<T, Message>,
    ) -> Vec<T> {
        let Some(value) = self.take(name).filter(|value| !value.is_null()) else {
            return Vec::new();
        };
        let Some(all) = value.as_array() else {
            self.wrong_type(name, value);
            return Vec::new();
        };
        let mut taken = Vec::new();
        for value in all {
            match read(value) {
                Ok(value) => taken.push(value),
                Err(message) => self.problems.push(message),
            }
        }
        taken
    }

    /// Some of some values.
    pub fn choices(&mut self, name: &'static str, all: &[&'static str]) -> Vec<&'static str> {
        let path = self.path(name);
        self.list(name, |value| {
            let found = all.iter().copied().find(|known| value.as_str() == Some(*known));
            found.ok_or_else(|| Message::not_in_list(&path, &shown(value)))
        })
    }

    /// A value of any type.
    pub fn any(&mut self, name: &'static str) -> Option<&'v Value> {
        self.take(name)
    }

    /// An object, whose properties are read by `read`.
    pub fn object(&mut self, name: &'static str, read: impl FnOnce(&mut Fields<'v>)) {
        let Some(value) = self.take(name) else { return };
        let Some(given) = value.as_object() else { return self.wrong_type(name, value) };
        let current = self.current.and_then(|current| current.get(name));
        let prefix = format!("{}{name}/", self.prefix);
        let (taken, problems) = (Vec::new(), Vec::new());
        let mut inner = Fields { given, current, action: self.action, prefix, taken, problems };
        read(&mut inner);
        self.problems.extend(inner.left());
    }

    /// All problems, also those with what nobody has taken.
    fn left(mut self) -> Vec<Message> {
        for name in self.given.keys() {
            if self.taken.contains(&name.as_str()) || name.contains('@') {
                continue;
            }
            let path = self.path(&named(name));
            let known = self.current.is_some_and(|current| current.get(name).is_some());
            self.problems.push(match self.action {
                Some(action) => Message::unknown_parameter(action, &path),
                None if known => Message::read_only(&path),
                None => Message::unknown_property(&path),
            });
        }
        self.problems
    }

    /// An error if anything is wrong.
    pub fn finish(self) -> Result<(), Problem> {
        let problems = self.left();
        if problems.is_empty() { Ok(()) } else { Err(Problem::all(problems)) }
    }
}
