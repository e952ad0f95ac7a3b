//! Errors as Redfish has them: a status, and messages with the identifiers of DMTF's base registry (DSP8011).

use serde_json::{Value, json};

use crate::machine::Fault;

/// The registry that messages are of, with its version.
const REGISTRY: &str = "Base.1.18";

/// A message of the registry, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    id: &'static str,
    text: String,
    args: Vec<String>,
    hint: &'static str,
    /// The property that it is about, as a JSON pointer.
    about: Option<String>,
}

impl Message {
    fn new(id: &'static str, text: String, args: &[&str], hint: &'static str) -> Self {
        let args = args.iter().map(ToString::to_string).collect();
        Self { id, text, args, hint, about: None }
    }

    fn about(mut self, property: &str) -> Self {
        self.about = Some(format!("/{property}"));
        self
    }

    /// There is no such property.
    pub fn unknown_property(name: &str) -> Self {
        let text = format!("The resource has no property {name}.");
        Self::new("PropertyUnknown", text, &[name], "Leave the property out.").about(name)
    }

    /// The property cannot be changed.
    pub fn read_only(name: &str) -> Self {
        let text = format!("The property {name} is read-only.");
        Self::new("PropertyNotWritable", text, &[name], "Leave the property out.").about(name)
    }

    /// The property is of another type.
    pub fn wrong_type(name: &str, value: &str) -> Self {
        let text = format!("The value {value} of the property {name} has the wrong type.");
        Self::new("PropertyValueTypeError", text, &[value, name], "Give a value of the right type.")
            .about(name)
    }

    /// The property has not one of the values that it may have.
    pub fn not_in_list(name: &str, value: &str) -> Self {
        let text = format!("The value {value} of the property {name} is not one of those allowed.");
        Self::new("PropertyValueNotInList", text, &[value, name], "Choose an allowed value.")
            .about(name)
    }

    /// The property's value does not go with that of another one.
    pub fn conflict(name: &str, other: &str) -> Self {
        let text = format!("The value of the property {name} conflicts with that of {other}.");
        Self::new("PropertyValueConflict", text, &[name, other], "Change both.").about(name)
    }

    /// The property's value is not well-formed.
    pub fn bad_format(name: &str, value: &str) -> Self {
        let text = format!("The value {value} of the property {name} is not well-formed.");
        Self::new("PropertyValueFormatError", text, &[value, name], "Give a well-formed value.")
            .about(name)
    }

    /// The property's value is not shown, and not well-formed.
    pub fn bad_secret(name: &str) -> Self {
        let text = format!(
            "The value of the property {name} is too short, too long, or has \
            characters that IPMI cannot send: 8 to 20 printable ASCII characters."
        );
        Self::new("PropertyValueError", text, &[name], "Choose another value.").about(name)
    }

    /// Nobody knows the server that a property names, or who was asked did not answer in time.
    pub fn unknown_host(name: &str, host: &str) -> Self {
        let text = format!(
            "The hypervisor did not find an address of the server {host} of the property {name}."
        );
        let hint = "Name a server that the hypervisor knows, or its address.";
        Self::new("PropertyValueError", text, &[name], hint).about(name)
    }

    /// The server that a property names is the hypervisor itself, or on a network that only it can reach.
    pub fn own_host(name: &str, host: &str) -> Self {
        let text = format!(
            "The server {host} of the property {name} is the hypervisor itself, or on a network \
            that is neither the node's environment's nor the hypervisor's way to the outside."
        );
        let hint =
            "Name another server, or let the BMC's operator allow all that the hypervisor reaches.";
        Self::new("PropertyValueError", text, &[name], hint).about(name)
    }

    /// The property has to be there.
    pub fn missing(name: &str) -> Self {
        let text = format!("The property {name} is required, and was not given.");
        Self::new("PropertyMissing", text, &[name], "Give the property.").about(name)
    }

    /// An action's parameter has to be there.
    pub fn missing_parameter(action: &str, name: &str) -> Self {
        let text = format!("The action {action} requires the parameter {name}.");
        Self::new("ActionParameterMissing", text, &[action, name], "Give the parameter.")
            .about(name)
    }

    /// An action does not know a parameter.
    pub fn unknown_parameter(action: &str, name: &str) -> Self {
        let text = format!("The action {action} has no parameter {name}.");
        Self::new("ActionParameterUnknown", text, &[action, name], "Leave the parameter out.")
            .about(name)
    }

    /// An action's parameter has a value that it may not have.
    pub fn bad_parameter(action: &str, name: &str, value: &str) -> Self {
        let text = format!("The action {action} does not take {value} as parameter {name}.");
        let args = [value, name, action];
        Self::new("ActionParameterValueNotInList", text, &args, "Choose an allowed value.")
            .about(name)
    }
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The status, as HTTP numbers it.
    pub status: u16,
    /// At least one message.
    pub messages: Vec<Message>,
}

impl From<Message> for Problem {
    fn from(message: Message) -> Self {
        Self { status: 400, messages: vec![message] }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let words = fault.to_string();
        let (status, id, args, hint): (_, _, &[&str], _) = match fault {
            Fault::Gone => {
                let args = &["ComputerSystem", "of the node"];
                (404, "ResourceNotFound", args, "Look for another resource.")
            }
            Fault::Taken(_) => (409, "ResourceInUse", &[], "Ask again when it is free."),
            Fault::State(_) => (409, "ResourceInStandby", &[], "Look at its power state."),
            Fault::Unsupported(_) => {
                (400, "ActionNotSupported", &[words.as_str()], "Ask for something else.")
            }
            Fault::Refused(_) => (400, "GeneralError", &[], "Mend what is said, and ask again."),
            Fault::Failed(_) => {
                (503, "ServiceTemporarilyUnavailable", &["60"], "Try again in a minute.")
            }
        };
        let messages = vec![Message::new(id, format!("{words}."), args, hint)];
        Self { status, messages }
    }
}

impl Problem {
    fn new(status: u16, id: &'static str, text: impl Into<String>, hint: &'static str) -> Self {
        Self { status, messages: vec![Message::new(id, text.into(), &[], hint)] }
    }

    fn with(
        status: u16,
        id: &'static str,
        text: impl Into<String>,
        arg: &str,
        hint: &'static str,
    ) -> Self {
        Self { status, messages: vec![Message::new(id, text.into(), &[arg], hint)] }
    }

    /// A request that was not read, or that nobody answers.
    pub fn refused(status: u16) -> Self {
        match status {
            408 => Self::new(408, "GeneralError", "The request came too slowly.", "Send it again."),
            413 => Self::new(413, "GeneralError", "The request is too long.", "Send less."),
            503 => {
                let text = "The node's hypervisor has not answered in time.";
                Self::with(503, "ServiceTemporarilyUnavailable", text, "5", "Try again later.")
            }
            _ => Self::internal("The service has made a mistake."),
        }
    }

    /// Credentials were wrong too often.
    pub fn too_often() -> Self {
        let text = "Credentials were wrong too often; they are not looked at now.";
        Self::with(503, "ServiceTemporarilyUnavailable", text, "10", "Try again later.")
    }

    /// A page of somebody else's has a browser ask.
    pub fn foreign() -> Self {
        let text = "Requests of other servers' pages are refused.";
        Self::with(403, "AccessDenied", text, "/redfish/v1", "Ask without Origin.")
    }

    /// Several things are wrong at once.
    pub fn all(messages: Vec<Message>) -> Self {
        Self { status: 400, messages }
    }

    /// There is nothing at that path.
    pub fn not_found(path: &str) -> Self {
        let text = format!("There is no resource {path}.");
        let hint = "Follow links from the service root.";
        let message = Message::new("ResourceMissingAtURI", text, &[path], hint);
        Self { status: 404, messages: vec![message] }
    }

    /// The resource does not know that method.
    pub fn method(status: u16) -> Self {
        let text = "The resource does not know this method.";
        Self::new(status, "OperationNotAllowed", text, "Look at the Allow header.")
    }

    /// Nobody is known by these credentials, or none were given.
    pub fn unauthorized() -> Self {
        let text = "Valid credentials are required.";
        Self::new(401, "NoValidSession", text, "Log in with a name and a password.")
    }

    /// Credentials would travel in the clear.
    pub fn insecure() -> Self {
        let text = "Credentials are taken over HTTPS only.";
        Self::with(403, "AccessDenied", text, "/redfish/v1", "Use https://.")
    }

    /// The account may not do that.
    pub fn forbidden() -> Self {
        let text = "The account does not have the privilege for this.";
        Self::new(403, "InsufficientPrivilege", text, "Use an account with another role.")
    }

    /// The password has to be changed first.
    pub fn change_password(account: &str) -> Self {
        let text = format!("The password has to be changed first, at {account}.");
        let hint = "Change the password.";
        let message = Message::new("PasswordChangeRequired", text, &[account], hint);
        Self { status: 403, messages: vec![message] }
    }

    /// The resource has changed.
    pub fn precondition() -> Self {
        let text = "The resource has changed since it was read.";
        Self::new(412, "PreconditionFailed", text, "Read it again.")
    }

    /// Another version of OData.
    pub fn version() -> Self {
        let text = "Only version 4.0 of OData is supported.";
        Self::new(412, "PreconditionFailed", text, "Send OData-Version: 4.0, or leave it out.")
    }

    /// The body is not JSON, or not an object.
    pub fn malformed() -> Self {
        let text = "The body is not a JSON object.";
        Self::new(400, "MalformedJSON", text, "Send a JSON object.")
    }

    /// The body is said to be something else.
    pub fn media_type() -> Self {
        let text = "The body has to be JSON.";
        let hint = "Send Content-Type: application/json.";
        Self::with(415, "HeaderInvalid", text, "Content-Type", hint)
    }

    /// Nothing would change.
    pub fn no_operation() -> Self {
        let text = "The request has no property to change.";
        Self::new(400, "NoOperation", text, "Give a property.")
    }

    /// A query parameter that is not known.
    pub fn query_unsupported(name: &str) -> Self {
        let text = format!("The query parameter {name} is not supported.");
        let message =
            Message::new("QueryParameterUnsupported", text, &[name], "Leave the parameter out.");
        Self { status: 501, messages: vec![message] }
    }

    /// A query parameter with a value that it cannot have.
    pub fn query_value(name: &str, value: &str) -> Self {
        let text = format!("The query parameter {name} cannot be {value}.");
        let args = [value, name];
        let message =
            Message::new("QueryParameterValueError", text, &args, "Correct the parameter.");
        Self { status: 400, messages: vec![message] }
    }

    /// A query parameter that is for collections.
    pub fn query_of_collections() -> Self {
        let text = "Only collections can be asked for some of their members.";
        Self::new(400, "QueryNotSupportedOnResource", text, "Leave the parameter out.")
    }

    /// There are as many as there may be.
    pub fn full() -> Self {
        let text = "There are as many of these resources as there may be.";
        Self::new(400, "CreateLimitReachedForResource", text, "Delete one first.")
    }

    /// Another has that name.
    pub fn exists(name: &str) -> Self {
        let text = format!("There is one with the name {name} already.");
        let args = ["ManagerAccount", "UserName", name];
        let message = Message::new("ResourceAlreadyExists", text, &args, "Choose another name.");
        Self { status: 400, messages: vec![message] }
    }

    /// It cannot be deleted.
    pub fn needed() -> Self {
        let text = "The last enabled administrator has to stay.";
        Self::new(400, "ResourceCannotBeDeleted", text, "Make another administrator first.")
    }

    /// It is used.
    pub fn in_use() -> Self {
        let text = "Something is inserted already.";
        Self::new(409, "ResourceInUse", text, "Eject it first.")
    }

    /// The system itself does not do it.
    pub fn internal(text: &str) -> Self {
        Self::new(500, "InternalError", text, "Look at the service's log.")
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        let messages: Vec<Value> = self.messages.iter().map(extended).collect();
        let (code, text) = match self.messages.as_slice() {
            [one] => (format!("{REGISTRY}.{}", one.id), one.text.clone()),
            _ => (format!("{REGISTRY}.GeneralError"), "Several things are wrong.".to_string()),
        };
        json!({"error": {"code": code, "message": text, "@Message.ExtendedInfo": messages}})
    }

    /// Its messages, for an answer that is not an error.
    pub fn extended(&self) -> Value {
        self.messages.iter().map(extended).collect()
    }
}

/// How bad a message is, as the registry says.
fn severity(id: &str) -> &'static str {
    let warnings = ["Property", "QueryParameter", "ActionParameter"];
    let is_warning = warnings.iter().any(|start| id.starts_with(start))
        || matches!(
            id,
            "NoOperation" | "HeaderInvalid" | "ResourceInUse" | "QueryNotSupportedOnResource"
        );
    if is_warning && id != "ActionParameterMissing" { "Warning" } else { "Critical" }
}

fn extended(message: &Message) -> Value {
    let mut value = json!({
        "@odata.type": "#Message.v1_2_0.Message",
        "MessageId": format!("{REGISTRY}.{}", message.id),
        "Message": message.text,
        "MessageArgs": message.args,
        "MessageSeverity": severity(message.id),
        "Resolution": message.hint,
    });
    if let (Some(about), Some(fields)) = (&message.about, value.as_object_mut()) {
        fields.insert("RelatedProperties".into(), json!([about]));
    }
    value
}
