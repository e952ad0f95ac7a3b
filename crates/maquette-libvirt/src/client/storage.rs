//! What is done with pools and volumes.

use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt::sys;

use super::gate::Instead;
use super::{Client, Result, gate, optional, send, settled};

/// All pools that run.
pub fn running_pools(client: &Client) -> Result<Vec<StoragePool>> {
    Ok(client.control.list_all_storage_pools(sys::VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)?)
}

/// All pools, whether they run or not.
pub fn all_pools(client: &Client) -> Result<Vec<StoragePool>> {
    Ok(client.control.list_all_storage_pools(0)?)
}

/// Name of a pool.
pub fn pool_name(pool: &StoragePool) -> Result<String> {
    Ok(pool.name()?)
}

/// Names of all pools.
pub fn pool_names(client: &Client) -> Result<Vec<String>> {
    all_pools(client)?.iter().map(pool_name).collect()
}

/// Definition of a pool.
pub fn pool_xml(pool: &StoragePool) -> Result<String> {
    Ok(pool.xml_desc(0)?)
}

/// Whether a pool runs, and the space that is free in it, in bytes.
pub fn pool_info(pool: &StoragePool) -> Result<(bool, u64)> {
    let info = pool.info()?;
    Ok((info.state == sys::VIR_STORAGE_POOL_RUNNING, info.available))
}

/// Stops a pool and forgets its definition; its files stay.
pub fn remove_pool(pool: &StoragePool) -> Result<()> {
    settled(gate::call("stop a pool", || pool.destroy()), || !pool.is_active().unwrap_or(true))?;
    gate::call("undefine a pool", || pool.undefine())
}

/// Builds a pool's directory if need be, and starts it now and with the hypervisor.
pub fn start_pool(pool: &StoragePool) -> Result<()> {
    if gate::call("look whether a pool runs", || pool.is_active())? {
        return Ok(());
    }
    gate::call("build a pool", || pool.build(0))?;
    gate::call("start a pool", || pool.create(0))?;
    // The test driver and session pools know no autostart; it is a convenience.
    let _ = pool.set_autostart(true);
    Ok(())
}

/// Starts a pool as it is, until it is stopped again.
pub fn run_pool(pool: &StoragePool) -> Result<()> {
    gate::call("start a pool", || pool.create(0))
}

/// Stops a pool that was started for a moment.
pub fn stop_pool(pool: &StoragePool) -> Result<()> {
    gate::call("stop a pool", || pool.destroy())
}

/// Lets a pool notice files that came without libvirt. Another run that works in the pool refuses
/// it; then that run's own view is good enough. A file that libvirt cannot read stops the pool.
pub fn refresh_pool(pool: &StoragePool) -> Result<()> {
    Ok(pool.refresh(0)?)
}

/// Names of all volumes of a pool.
pub fn volume_names(pool: &StoragePool) -> Result<Vec<String>> {
    pool.list_all_volumes(0)?.iter().map(|v| Ok(v.name()?)).collect()
}

/// A volume with what libvirt says of it.
pub struct Volume {
    /// Its name in the pool.
    pub name: String,
    /// Its file on the hypervisor, as an absolute path.
    pub path: String,
    /// Its definition; empty if it has gone since.
    pub xml: String,
}

/// All volumes of a pool; one that goes meanwhile is not there.
pub fn volumes(pool: &StoragePool) -> Result<Vec<Volume>> {
    let all = pool.list_all_volumes(0)?;
    let read = |v: &StorageVol| -> Result<Volume> {
        Ok(Volume { name: v.name()?, path: v.path()?, xml: v.xml_desc(0)? })
    };
    Ok(all.iter().filter_map(|v| read(v).ok()).collect())
}

/// A volume by name; none if the pool has none of that name.
pub fn volume(pool: &StoragePool, name: &str) -> Result<Option<StorageVol>> {
    optional(gate::call("find a volume", || pool.lookup_storage_vol_by_name(name)))
}

/// What libvirt says of a volume.
pub fn volume_xml(volume: &StorageVol) -> Result<String> {
    Ok(volume.xml_desc(0)?)
}

/// Creates a volume; `allocate` preallocates qcow2's own tables, and the content where the definition
/// asks for as much.
pub fn create_volume(pool: &StoragePool, xml: &str, allocate: bool) -> Result<StorageVol> {
    let flags = if allocate { sys::VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA } else { 0 };
    gate::call("create a volume", || StorageVol::create_xml(pool, xml, flags))
}

/// Fills a volume.
pub fn upload(client: &Client, volume: &StorageVol, content: &[u8]) -> Result<()> {
    const CHUNK: usize = 64 * 1024;
    if let Some(taken) = gate::instead(&Instead::Upload { volume: &volume.name()?, content }) {
        return taken;
    }
    let stream = client.stream()?;
    gate::call("upload", || volume.upload(&stream, 0, content.len() as u64, 0))?;
    for chunk in content.chunks(CHUNK) {
        gate::call("send", || send(&stream, chunk))?;
    }
    Ok(stream.finish()?)
}

/// Virtual size of a volume in bytes.
pub fn capacity(volume: &StorageVol) -> Result<u64> {
    gate::call("look at a volume", || Ok::<_, virt::error::Error>(volume.info()?.capacity))
}

/// Enlarges a volume.
pub fn resize(volume: &StorageVol, bytes: u64) -> Result<()> {
    gate::call("resize a volume", || volume.resize(bytes, 0).map(|_| ()))
}

/// Deletes a volume; it is fine if there is none.
pub fn delete_volume(pool: &StoragePool, name: &str) -> Result<()> {
    match volume(pool, name)? {
        Some(volume) => settled(gate::call("delete a volume", || volume.delete(0)), || {
            pool.lookup_storage_vol_by_name(name).is_err()
        }),
        None => Ok(()),
    }
}
