//! Where the resources of a node are, which link to each other.

use super::ROOT;
use crate::bmc::Bmc;

/// The name of the registry of the firmware's settings, with its version.
pub const BIOS_REGISTRY: &str = "BiosAttributeRegistry.v1_0_0";

/// A node's system.
pub fn system(bmc: &Bmc) -> String {
    format!("{ROOT}/Systems/{}", bmc.uuid)
}

/// A node's BMC.
pub fn manager(bmc: &Bmc) -> String {
    format!("{ROOT}/Managers/{}", bmc.uuid)
}

/// A node's chassis.
pub fn chassis(bmc: &Bmc) -> String {
    format!("{ROOT}/Chassis/{}", bmc.uuid)
}
