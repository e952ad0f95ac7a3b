//! How Ansible reaches the nodes of a type.

use crate::decode::{Fields, named_inside, wrong_type};
use crate::diagnostic::Diagnostics;
use crate::file_keys::Class::{Record, Replace};
use crate::file_keys::{CONNECTION, Key, LOGIN, key};
use crate::syntax::Tree;
use crate::values::{ConnectionPlugin, Login};

/// Keys of `image`.
pub(super) const ACCESS: &[Key] = &[
    key(
        "ssh_user",
        LOGIN,
        "Login user [default: that of the setting `username`; root with `supports_libguestfs: no`]",
    )
    .takes(Replace),
    key("ansible_connection", CONNECTION, "Ansible's connection plug-in [default: ssh]")
        .takes(Record),
];

/// The image that somebody names in `image`, as other tools have it.
fn named(image: &Tree) -> Option<&str> {
    let is_access = ACCESS.iter().any(|key| image.get(key.name).is_some());
    named_inside(image).filter(|_| !is_access)
}

/// Whether that is what `image` of a node type is.
pub(super) fn is_named(node: &Tree) -> bool {
    node.get("image").and_then(named).is_some()
}

/// Login user and connection plug-in: below `image`, or as the BGP playbooks have them.
pub(super) fn read(
    fields: &mut Fields<'_>,
    file: &str,
    diags: &mut Diagnostics,
) -> (Option<Login>, Option<ConnectionPlugin>) {
    let user = fields.parsed("ansible_user", diags).map(|u| u.value);
    let connection = fields.parsed("ansible_connection", diags).map(|c| c.value);
    let what = format!("`image` of node type `{file}`");
    let image = fields.take("image");
    if let Some((node, name)) = image.and_then(|node| Some((node, named(node)?))) {
        let error = wrong_type(node, &what, "a mapping of how Ansible reaches the node");
        diags.push(error.help(format!("`import_url: {name}` names the image of a node type")));
        return (user, connection);
    }
    let image = image.and_then(|node| Fields::new(node, what, ACCESS, diags));
    let Some(mut fields) = image else { return (user, connection) };
    let own = fields.parsed("ssh_user", diags).map(|u| u.value);
    let plugin = fields.parsed("ansible_connection", diags).map(|c| c.value);
    fields.finish(diags);
    (own.or(user), plugin.or(connection))
}
