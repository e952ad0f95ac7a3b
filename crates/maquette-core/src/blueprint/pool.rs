//! Storage pools, and which of them a volume is in.

use super::{Disk, Node, NodeVolumes};
use crate::values::{Directory, FileName, Name};

/// The directory that file systems of Linux's have from the beginning, which a pool of nothing may have as well.
pub const LOST_AND_FOUND: &str = "lost+found";

/// A directory pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pool {
    /// Its name in libvirt.
    pub name: Name,
    /// Directory on the hypervisor that its volumes are files in.
    pub path: Directory,
}

impl Pool {
    /// The file of a volume.
    pub fn file(&self, volume: &str) -> String {
        format!("{}/{volume}", self.path)
    }
}

/// The pool of a directory that a disk names (`path`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DiskPool {
    /// The pool with its directory.
    pub pool: Pool,
    /// Whether this environment defines it, and removes it with the last of its disks there; else it is somebody's who had it
    /// before.
    pub made: bool,
}

impl Disk {
    /// The pool that its volume is in, where `pool` is the one of disks that name none.
    pub fn pool_or<'a>(&'a self, pool: &'a Pool) -> &'a Pool {
        self.pool.as_ref().map_or(pool, |own| &own.pool)
    }

    /// Its file, where `pool` is the one of disks that name none.
    pub fn file(&self, pool: &Pool) -> String {
        self.pool_or(pool).file(&self.volume)
    }
}

/// A volume as a network records it for a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Volume {
    /// Its name in the pool.
    pub name: FileName,
    /// The pool that its disk names; none is the node's.
    pub pool: Option<DiskPool>,
}

impl Node {
    /// Its volumes as networks record them.
    pub fn stored(&self) -> Vec<Volume> {
        let disks =
            self.disks.iter().map(|d| Volume { name: d.volume.clone(), pool: d.pool.clone() });
        let seed = self.guest.iter().map(|g| Volume { name: g.seed.clone(), pool: None });
        disks.chain(seed).collect()
    }
}

impl NodeVolumes {
    /// Names of its volumes, each with the pool that it is in.
    pub fn placed(&self) -> impl Iterator<Item = (&Pool, &str)> {
        self.volumes.iter().map(move |v| {
            let own = v.pool.as_ref().map(|own| &own.pool);
            (own.unwrap_or(&self.pool), v.name.as_str())
        })
    }
}
