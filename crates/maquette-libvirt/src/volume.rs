//! Pools and volumes.

use maquette_core::blueprint::{Disk, DiskPool, LOST_AND_FOUND, Pool};
use maquette_core::seed::SeedFile;
use maquette_core::topology::Preallocation;
use maquette_core::values::FileName;
use maquette_engine::{StepError, seed_volume};

use crate::client::{self, Client, LibvirtError, StoragePool};
use crate::xml;

/// Starts a pool, and defines it before if there is none of its name.
pub fn ensure_pool(client: &Client, pool: &Pool) -> Result<(), LibvirtError> {
    let existing = match client.pool(&pool.name)? {
        Some(existing) => existing,
        None => client.define_pool(&xml::pool(pool))?,
    };
    client::start_pool(&existing)
}

/// Has the pool of a directory that disks name run. One that is somebody's is used as it is. An error if it is elsewhere now.
pub fn ensure_disk_pool(client: &Client, own: &DiskPool) -> Result<(), StepError> {
    let (name, path) = (&own.pool.name, &own.pool.path);
    let failed =
        |e: LibvirtError| StepError::new(format!("cannot start storage pool `{name}`")).because(e);
    let Some(existing) = client.pool(name).map_err(failed)? else {
        // libvirt has one pool of a directory: what somebody has called otherwise since is this one.
        return match at_path(client, path).map_err(failed)? {
            Some(other) => run(&other).map_err(failed),
            None => ensure_pool(client, &own.pool).map_err(failed),
        };
    };
    let is_at = is_at(&existing, path).map_err(failed)?;
    if !is_at {
        let error = StepError::new(format!("storage pool `{name}` is not at {path} any more"));
        return Err(error.hint(format!("see `virsh pool-dumpxml {name}`")));
    }
    match own.made {
        true => client::start_pool(&existing).map_err(failed),
        false => run(&existing).map_err(failed),
    }
}

/// Has a pool run that is somebody's, and leaves it as it is otherwise.
fn run(pool: &StoragePool) -> Result<(), LibvirtError> {
    match client::pool_info(pool)?.0 {
        true => Ok(()),
        false => client::run_pool(pool),
    }
}

/// The pool of a directory, whatever it is called.
fn at_path(client: &Client, path: &str) -> Result<Option<StoragePool>, LibvirtError> {
    for pool in client::all_pools(client)? {
        if is_at(&pool, path)? {
            return Ok(Some(pool));
        }
    }
    Ok(None)
}

/// Whether a pool is the directory that it is said to be.
fn is_at(pool: &StoragePool, path: &str) -> Result<bool, LibvirtError> {
    let found = xml::read::pool_path(&client::pool_xml(pool)?);
    Ok(found.is_ok_and(|found| found.trim_end_matches('/') == path))
}

/// Removes the pool of a directory that disks name, unless there is something in it; its directory stays. What is in it, if it
/// stays.
pub fn remove_disk_pool(client: &Client, pool: &Pool) -> Result<Vec<String>, StepError> {
    let (name, path) = (&pool.name, &pool.path);
    let failed =
        |e: LibvirtError| StepError::new(format!("cannot remove storage pool `{name}`")).because(e);
    let Some(existing) = client.pool(name).map_err(failed)? else { return Ok(Vec::new()) };
    if !is_at(&existing, path).map_err(failed)? {
        return Ok(Vec::new());
    }
    if client::pool_info(&existing).map_err(failed)?.0 {
        // Somebody else at work in it refuses this, and then there is something in it.
        let _ = client::refresh_pool(&existing);
        let mut names = client::volume_names(&existing).map_err(failed)?;
        names.retain(|name| name != LOST_AND_FOUND);
        if !names.is_empty() {
            return Ok(names);
        }
    }
    client::remove_pool(&existing).map(|()| Vec::new()).map_err(failed)
}

/// Undefines a pool; it is fine if there is none.
pub fn remove_pool(client: &Client, name: &str) -> Result<(), LibvirtError> {
    match client.pool(name)? {
        Some(pool) => client::remove_pool(&pool),
        None => Ok(()),
    }
}

/// Whether a domain or network, whoever it belongs to, names the volume of an image in its definition.
pub fn is_used(client: &Client, volume: &str) -> Result<bool, StepError> {
    crate::prune::is_used(client, volume).map_err(|e| {
        StepError::new(format!("cannot find out whether image `{volume}` is in use")).because(e)
    })
}

/// A pool that has to be there.
pub(crate) fn find_pool(client: &Client, pool: &Pool) -> Result<StoragePool, StepError> {
    let found = client.pool(&pool.name).and_then(|found| match found {
        Some(found) => Ok(Some(found)),
        None => at_path(client, &pool.path),
    });
    match found {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(StepError::new(format!("there is no storage pool `{}`", pool.name))),
        Err(e) => {
            Err(StepError::new(format!("cannot find storage pool `{}`", pool.name)).because(e))
        }
    }
}

/// Creates a disk's volume unless it is there. `size_of` tells the virtual size of an image file that
/// the pool does not know of, in bytes.
pub fn create(
    client: &Client,
    disk: &Disk,
    pool: &Pool,
    size_of: &dyn Fn(&str) -> Result<u64, StepError>,
) -> Result<(), StepError> {
    let failed = |e: LibvirtError| {
        StepError::new(format!("cannot create volume `{}`", disk.volume)).because(e)
    };
    let storage = find_pool(client, disk.pool_or(pool))?;
    if client::volume(&storage, &disk.volume).map_err(failed)?.is_some() {
        return Ok(());
    }
    // Images are in the environment's.
    let images = match &disk.pool {
        Some(_) => &find_pool(client, pool)?,
        None => &storage,
    };
    let bytes = match (disk.size, &disk.backing) {
        (Some(size), _) => size.0,
        (None, Some(image)) => {
            match client::volume(images, &image.volume).map_err(failed)? {
                Some(image) => client::capacity(&image).map_err(failed)?,
                // A pool does not notice what came without libvirt, and cannot be refreshed while
                // other volumes are being made.
                None => size_of(&format!("{}/{}", pool.path, image.volume))?,
            }
        }
        (None, None) => 0,
    };
    // Without the flag libvirt allocates nothing; with it, as much as the definition says.
    let allocate = disk.preallocation != Preallocation::Off && disk.backing.is_none();
    client::create_volume(&storage, &xml::volume(disk, pool, bytes), allocate)
        .map(|_| ())
        .map_err(failed)
}

/// Creates and fills a seed volume. One that is there may be half filled, so it is made again.
pub fn create_seed(
    client: &Client,
    name: &FileName,
    pool: &Pool,
    files: &[SeedFile],
) -> Result<(), StepError> {
    let message = format!("cannot create volume `{name}`");
    let failed = |e: LibvirtError| StepError::new(message.clone()).because(e);
    let image =
        seed_volume::image(files).map_err(|e| StepError::new(message.clone()).because(e))?;
    let storage = find_pool(client, pool)?;
    client::delete_volume(&storage, name).map_err(failed)?;
    let xml = xml::seed_volume(name, image.len() as u64);
    let volume = client::create_volume(&storage, &xml, false).map_err(failed)?;
    client::upload(client, &volume, &image).map_err(failed)
}

/// Enlarges a volume to so many bytes; one that is large enough, or that is not there, is left alone.
pub fn resize(client: &Client, name: &str, pool: &Pool, bytes: u64) -> Result<(), StepError> {
    let failed =
        |e: LibvirtError| StepError::new(format!("cannot resize volume `{name}`")).because(e);
    let storage = find_pool(client, pool)?;
    match client::volume(&storage, name).map_err(failed)? {
        Some(volume) if client::capacity(&volume).map_err(failed)? < bytes => {
            client::resize(&volume, bytes).map_err(failed)
        }
        _ => Ok(()),
    }
}

/// Size of a volume in bytes, if there is such a one.
pub fn capacity(client: &Client, name: &str, pool: &Pool) -> Result<Option<u64>, StepError> {
    let failed =
        |e: LibvirtError| StepError::new(format!("cannot look at volume `{name}`")).because(e);
    let found = client::volume(&find_pool(client, pool)?, name).map_err(failed)?;
    found.map(|volume| client::capacity(&volume)).transpose().map_err(failed)
}

/// Whether another volume of a pool overlays one. What a killed run left is called after it, and is not an overlay.
pub fn is_overlaid(client: &Client, name: &str, pool: &Pool) -> Result<bool, StepError> {
    let volumes = client::volumes(&find_pool(client, pool)?)
        .map_err(|e| StepError::new(format!("cannot look into pool `{}`", pool.name)).because(e))?;
    let path = format!(">{}/{name}</path>", pool.path);
    Ok(volumes.iter().any(|v| v.name != name && v.xml.contains(&path)))
}

/// Whether a volume overlays another one of the same pool; one that is not there overlays none.
pub fn overlays(client: &Client, name: &str, other: &str, pool: &Pool) -> Result<bool, StepError> {
    let failed =
        |e: LibvirtError| StepError::new(format!("cannot look at volume `{name}`")).because(e);
    let found = client::volume(&find_pool(client, pool)?, name).map_err(failed)?;
    let xml = found.map(|volume| client::volume_xml(&volume)).transpose().map_err(failed)?;
    let backing = xml.and_then(|xml| xml::read::backing(&xml).ok().flatten());
    Ok(backing == Some(format!("{}/{other}", pool.path)))
}

/// Deletes a volume; nothing if it is not there. An error if its pool is not there.
pub fn delete(client: &Client, name: &str, pool: &Pool) -> Result<(), StepError> {
    let storage = find_pool(client, pool)?;
    client::delete_volume(&storage, name)
        .map_err(|e| StepError::new(format!("cannot delete volume `{name}`")).because(e))
}
