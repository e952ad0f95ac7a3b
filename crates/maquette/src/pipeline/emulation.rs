//! Whether new guests are emulated, and who is told.

use maquette_core::observed::{Domain, Observed};
use maquette_core::settings::VirtChoice;
use maquette_core::topology::{Topology, VirtType};
use maquette_engine::probe::Facts;

use crate::load::Loaded;
use crate::world::{World, told};

/// How new guests run. Where that is slower than one would expect, it is said of each hypervisor once, unless `quiet`.
pub(super) fn virt_type(world: &World, loaded: &Loaded, facts: &Facts, quiet: bool) -> VirtType {
    match (loaded.request.settings.virt, &facts.kvm) {
        (VirtChoice::Only(virt), _) => virt,
        (VirtChoice::Auto, Ok(())) => VirtType::Kvm,
        (VirtChoice::Auto, Err(_)) if quiet => VirtType::Qemu,
        (VirtChoice::Auto, Err(why)) => {
            let hypervisor = loaded.host.address.as_deref().unwrap_or("localhost");
            let line = format!("emulation on {hypervisor}: {why}");
            if !told::is_told(&world.environment, &line) {
                told::note(&world.environment, &line);
                world.terminal.talk(&format!(
                    "warning: guests run under QEMU's emulation, several times slower than KVM: {why}"
                ));
            }
            VirtType::Qemu
        }
    }
}

/// Whether it was said before, or matters to nobody, that guests are emulated: a node that is emulated was made by a run
/// that said so.
pub(super) fn is_known(topology: &Topology, observed: &Observed) -> bool {
    let emulated = |d: &Domain| d.recorded.virt == VirtType::Qemu;
    !topology.settings.validate
        || topology.roles.iter().all(|role| role.count == 0)
        || observed.domains.values().any(emulated)
}
