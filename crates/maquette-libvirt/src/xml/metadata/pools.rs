//! Pools, as attributes of what is in them.

use maquette_core::blueprint::{DiskPool, Pool};

use super::MetadataError;
use super::fields::{Field, Named, Names, Required, Set, Source, Tree, record};

record!(
    /// Pool of an object's volumes.
    PoolFields: Pool { name: Required("pool"), path: Required("pool-path") }
);

/// The pool of a directory that a disk names.
pub(super) struct DiskPoolFields;

const MADE: Set = Set("pool-made");

impl Named for DiskPoolFields {
    fn names(&self, element: &'static str, names: &mut Names) {
        PoolFields.names(element, names);
        MADE.names(element, names);
    }
}

impl Field<Option<DiskPool>> for DiskPoolFields {
    fn write(&self, value: &Option<DiskPool>, tree: &mut Tree) {
        if let Some(DiskPool { pool, made }) = value {
            PoolFields.write(pool, tree);
            MADE.write(made, tree);
        }
    }

    fn read(&self, from: Source<'_, '_>) -> Result<Option<DiskPool>, MetadataError> {
        if from.element.attribute("pool").is_none() {
            return Ok(None);
        }
        Ok(Some(DiskPool { pool: PoolFields.read(from)?, made: MADE.read(from)? }))
    }
}
