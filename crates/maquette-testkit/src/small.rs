//! An environment of controllers whose image and disk are small, on built-in networks.

use maquette_core::observed::Observed;

use crate::{Input, input, up};

const SMALL: [&str; 2] =
    ["override.controller.deploy_os=yes", "override.controller.disks.disk1.size=12G"];

/// As an extra variable: a second disk for each controller.
pub const TWO_DISKS: &str = "override.controller.disks.disk2.size=5G";

/// What is asked for: nodes by type, and more extra variables.
pub fn asked(nodes: &[(&str, u32)], more: &[&str]) -> Input {
    let extra: Vec<&str> = SMALL.iter().chain(more).copied().collect();
    input(nodes, "3_nets", &extra)
}

/// A hypervisor on which it has been built.
pub fn built(nodes: &[(&str, u32)], more: &[&str]) -> Observed {
    let mut seen = Observed::default();
    up(&mut seen, &asked(nodes, more));
    seen
}

/// The same nodes asked for as an extension.
pub fn extended(nodes: &[(&str, u32)], more: &[&str]) -> Input {
    let mut wanted = asked(nodes, more);
    wanted.request.settings.extend = true;
    wanted
}
