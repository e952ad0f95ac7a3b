//! What several verbs share; none of these is one.

pub(crate) mod foreground;
pub(crate) mod power;
pub(crate) mod ssh_routes;
pub(crate) mod usage_error;
