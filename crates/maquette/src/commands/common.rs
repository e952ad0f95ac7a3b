//! What several verbs share; none of these is one.

pub(crate) mod answering;
pub(crate) mod entry;
pub(crate) mod lockout;
pub(crate) mod nodes;
pub(crate) mod power;
pub(crate) mod ssh_routes;
