//! What is found at a path, and what can be done with it.

use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::schema;
use crate::accounts::Privilege;

/// The body of a request that changes something.
pub type RequestBody = Map<String, Value>;

/// What came of a request that changes something.
pub enum Done {
    /// It is as asked; the answer shows the resource.
    Changed,
    /// It is as asked; there is nothing to show.
    Nothing,
    /// Something new.
    Created(Created),
    /// It goes on: the number of the task.
    Accepted(u32),
}

/// Something that was made.
pub struct Created {
    /// Where it is.
    pub path: String,
    /// What it is.
    pub body: Value,
    /// The token, if it is a session.
    pub token: Option<String>,
}

type Get<'a> = Box<dyn Fn() -> Result<Value, Problem> + 'a>;
type Act<'a> = Box<dyn Fn(&RequestBody) -> Result<Done, Problem> + 'a>;

/// A resource, or an action.
pub struct Found<'a> {
    /// Reads it; none if it cannot be read.
    pub get: Option<Get<'a>>,
    /// Changes it; none if it cannot be changed.
    pub patch: Option<Act<'a>>,
    /// Makes something in it, or does it; none if it cannot be posted to.
    pub post: Option<Act<'a>>,
    /// Removes it; none if it cannot be removed.
    pub delete: Option<Act<'a>>,
    /// What is needed to change it.
    pub privilege: Privilege,
    /// What is needed to read it.
    pub read: Privilege,
    /// Changes with it, and cannot be seen in it.
    pub generation: u64,
}

impl<'a> Found<'a> {
    /// A resource that can be read.
    pub fn read(get: impl Fn() -> Result<Value, Problem> + 'a) -> Self {
        Self { get: Some(Box::new(get)), ..Self::none() }
    }

    /// An action, which is posted to and cannot be read.
    pub fn action(post: impl Fn(&RequestBody) -> Result<Done, Problem> + 'a) -> Self {
        Self { post: Some(Box::new(post)), ..Self::none() }
    }

    fn none() -> Self {
        let (get, patch, post, delete) = (None, None, None, None);
        let (privilege, read) = (Privilege::ConfigureComponents, Privilege::Login);
        Self { get, patch, post, delete, privilege, read, generation: 0 }
    }

    /// It can be changed.
    #[must_use]
    pub fn patch(mut self, patch: impl Fn(&RequestBody) -> Result<Done, Problem> + 'a) -> Self {
        self.patch = Some(Box::new(patch));
        self
    }

    /// Something can be made in it.
    #[must_use]
    pub fn post(mut self, post: impl Fn(&RequestBody) -> Result<Done, Problem> + 'a) -> Self {
        self.post = Some(Box::new(post));
        self
    }

    /// It can be removed.
    #[must_use]
    pub fn delete(mut self, delete: impl Fn() -> Result<Done, Problem> + 'a) -> Self {
        self.delete = Some(Box::new(move |_| delete()));
        self
    }

    /// Changing it needs something else than power over the node.
    #[must_use]
    pub fn needs(mut self, privilege: Privilege) -> Self {
        self.privilege = privilege;
        self
    }

    /// What it allows, as a header says it.
    pub fn allow(&self) -> String {
        let names = [
            ("GET, HEAD", self.get.is_some()),
            ("PATCH", self.patch.is_some()),
            ("POST", self.post.is_some()),
            ("DELETE", self.delete.is_some()),
        ];
        let names: Vec<&str> =
            names.iter().filter(|(_, may)| *may).map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

/// A link to another resource.
pub fn link(path: impl AsRef<str>) -> Value {
    json!({"@odata.id": path.as_ref()})
}

/// Links to others.
pub fn links<T: AsRef<str>>(paths: impl IntoIterator<Item = T>) -> Value {
    paths.into_iter().map(link).collect()
}

/// The body of a collection whose members have these paths.
pub fn collection(path: &str, kind: &str, name: &str, members: Vec<String>) -> Value {
    json!({
        "@odata.id": path,
        "@odata.type": schema::odata_type(kind),
        "Name": name,
        "Members@odata.count": members.len(),
        "Members": links(members),
    })
}

/// A resource with what every resource has, and more.
pub fn resource(path: &str, kind: &str, name: &str, more: Value) -> Value {
    let id = path.rsplit('/').next().unwrap_or_default();
    let mut value = json!({
        "@odata.id": path,
        "@odata.type": schema::odata_type(kind),
        "Id": id,
        "Name": name,
    });
    if let (Some(fields), Value::Object(more)) = (value.as_object_mut(), more) {
        fields.extend(more);
    }
    value
}

/// That something is there, and well.
pub fn enabled() -> Value {
    json!({"State": "Enabled", "Health": "OK"})
}

/// An action, where it is done, and the values that a parameter may have.
pub fn action(path: &str, kind: &str, name: &str, allowed: Option<(&str, Vec<&str>)>) -> Value {
    let mut value = json!({"target": format!("{path}/Actions/{kind}.{name}")});
    if let (Some((parameter, values)), Some(fields)) = (allowed, value.as_object_mut()) {
        fields.insert(format!("{parameter}@Redfish.AllowableValues"), json!(values));
    }
    value
}
