//! What a hypervisor tells of BMCs that are served there.

use std::collections::BTreeMap;

use maquette_core::names::EnvName;
use maquette_core::observed::Bmcs;

use super::sections::Sections;

/// BMCs by their environments: a line for each of these, and below it one for each of its BMCs.
pub(super) fn by_environment(seen: &Sections) -> BTreeMap<EnvName, Bmcs> {
    let mut all: BTreeMap<EnvName, Bmcs> = BTreeMap::new();
    let mut of: Option<EnvName> = None;
    for line in seen.lines("bmcs") {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["environment", name, run] => {
                of = name.parse().ok();
                let holds = ["yes", "part"].contains(run);
                let bmcs = Bmcs { run: *run == "yes", holds, ..Bmcs::default() };
                all.extend(of.clone().map(|name| (name, bmcs)));
            }
            ["unreached", node] => {
                let bmcs = of.as_ref().and_then(|name| all.get_mut(name));
                if let (Some(bmcs), Ok(node)) = (bmcs, node.parse()) {
                    bmcs.unreached.insert(node);
                }
            }
            ["bmc", node, digest] => {
                let bmcs = of.as_ref().and_then(|name| all.get_mut(name));
                if let (Some(bmcs), Ok(node)) = (bmcs, node.parse()) {
                    bmcs.digests.insert(node, (*digest).to_string());
                }
            }
            _ => {}
        }
    }
    all
}
