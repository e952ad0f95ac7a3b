//! Stable hardware addresses.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::names::EnvName;
use crate::units::MacAddr;

/// QEMU's and KVM's own prefix.
const PREFIX: [u8; 3] = [0x52, 0x54, 0x00];

/// Gives out addresses derived from environment, node and interface; an address that is taken is
/// derived once more with a counter.
pub struct Macs {
    used: BTreeSet<MacAddr>,
}

impl Macs {
    /// Starts with the addresses that are in use.
    pub fn new(used: BTreeSet<MacAddr>) -> Self {
        Self { used }
    }

    /// The address of an interface that has none yet.
    pub fn derive(&mut self, environment: &EnvName, node: &str, index: usize) -> MacAddr {
        let mut round = 0u32;
        loop {
            let digest = Sha256::digest(format!("{environment}\0{node}\0{index}\0{round}"));
            let [a, b, c] = PREFIX;
            let mac = MacAddr([a, b, c, digest[0], digest[1], digest[2]]);
            if self.used.insert(mac) {
                return mac;
            }
            round += 1;
        }
    }

    /// Notes an address that a node keeps.
    pub fn keep(&mut self, mac: MacAddr) {
        self.used.insert(mac);
    }
}
