//! Storage pools besides the environment's, and the directories that disks name.

use std::collections::{BTreeMap, BTreeSet};

use super::Observed;
use crate::blueprint::{DiskPool, Pool};
use crate::values::Directory;

/// A storage pool, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPool {
    /// Its directory on the hypervisor, as libvirt has it.
    pub path: String,
    /// Whether it runs.
    pub active: bool,
}

impl HostPool {
    /// Whether it is the pool of a directory.
    pub fn is_at(&self, path: &Directory) -> bool {
        self.path.trim_end_matches('/') == path.as_str()
    }
}

/// What is in a directory of the hypervisor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectoryFacts {
    /// What the path leads to that is not a directory: `a file`; none if it is one, or nothing is there.
    pub instead: Option<String>,
    /// Names of what is in it that could be a node's disk.
    pub files: BTreeSet<String>,
    /// Space that is free there, or where it will be, in bytes.
    pub free: Option<u64>,
    /// Who may do what in it, and in those above it, from itself upwards; from the first that is there, if it is not.
    pub access: Vec<Access>,
}

/// A directory of the hypervisor, and who may do what in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The directory, without links on the way to it.
    pub path: Directory,
    /// Its mode, with the sticky bit.
    pub mode: u32,
    /// Whose it is; none where that is root, or whoever is logged in to the hypervisor.
    pub stranger: Option<String>,
}

/// Who else than root and whoever is logged in can put files in the place of those that are in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenTo<'a> {
    /// Every user there.
    Everybody,
    /// Its owner.
    Owner(&'a str),
}

/// Whom distributions have QEMU run as: disks are theirs while nodes run.
const EMULATORS: [&str; 2] = ["libvirt-qemu", "qemu"];

impl Access {
    fn open_to(&self) -> Option<OpenTo<'_>> {
        // With the sticky bit a file is taken away by its owner, or the directory's, alone.
        let is_open = self.mode & 0o002 != 0 && self.mode & 0o1000 == 0;
        let owner = self.stranger.as_deref().filter(|owner| !EMULATORS.contains(owner));
        match is_open {
            true => Some(OpenTo::Everybody),
            false => owner.map(OpenTo::Owner),
        }
    }
}

/// The first of some directories, one in the other, where others can put files in the place of ours, and who can.
pub fn open(access: &[Access]) -> Option<(&Directory, OpenTo<'_>)> {
    access.iter().find_map(|access| Some((&access.path, access.open_to()?)))
}

impl Observed {
    /// The pools that disks of this environment name, by what is recorded.
    pub fn disk_pools(&self) -> impl Iterator<Item = &DiskPool> {
        let domains = self.domains.values().flat_map(|d| d.recorded.disk_pools());
        let tenants = self.networks.values().flat_map(|n| &n.recorded.tenants);
        domains.chain(tenants.flat_map(|t| &t.volumes).filter_map(|v| v.pool.as_ref()))
    }

    /// The pool that is known for a directory: as recorded, else as libvirt has it.
    pub fn pool_at(&self, path: &Directory) -> Option<DiskPool> {
        let recorded = self.disk_pools().find(|own| own.pool.path == *path).cloned();
        recorded.or_else(|| {
            let (name, _) = self.pools.iter().find(|(_, found)| found.is_at(path))?;
            let pool = Pool { name: name.parse().ok()?, path: path.clone() };
            Some(DiskPool { pool, made: false })
        })
    }

    /// Whether a pool has to be started, or defined, before anything is made or deleted in it. libvirt has one pool of a
    /// directory: somebody may have given it another name since.
    pub fn lacks_pool(&self, pool: &Pool) -> bool {
        let is_it = |(name, found): (&String, &HostPool)| {
            found.active && (name == pool.name.as_str() || found.is_at(&pool.path))
        };
        !self.pools.iter().any(is_it)
    }

    /// Notes pools and directories. Of a pool that does not run libvirt does not say what is in it; its directory does.
    #[must_use]
    pub fn with_pools(
        mut self,
        pools: BTreeMap<String, HostPool>,
        directories: BTreeMap<Directory, DirectoryFacts>,
    ) -> Self {
        let recorded: BTreeSet<Pool> = self.disk_pools().map(|own| own.pool.clone()).collect();
        for pool in recorded {
            if let Some(found) = directories.get(&pool.path) {
                self.volumes.entry(pool.name.to_string()).or_insert_with(|| found.files.clone());
            }
        }
        (self.pools, self.directories) = (pools, directories);
        self
    }
}
