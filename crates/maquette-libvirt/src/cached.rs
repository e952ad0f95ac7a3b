//! Images and templates that a pool holds.

use maquette_core::blueprint::{Template, TemplatePart};
use maquette_engine::StepError;
use maquette_engine::host::Host;
use maquette_engine::{Cause, image};

use crate::client::{self, Client, Volume};
use crate::xml::read;

/// An image or a template in a pool, by its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// Name of its volume in the pool.
    pub volume: String,
    /// The image that a template's disk overlays; none for an image.
    pub image: Option<String>,
    /// Whether it is a disk of a node that has gone, and stayed since others have clones of it.
    pub kept: bool,
    /// Whether nodes can start from it: a template has its memory besides its disk.
    pub whole: bool,
    /// Whether it is of use with what there is now: a template is for one version of libvirt, QEMU and Maquette, and one CPU.
    pub current: bool,
    /// How much room it takes, in bytes.
    pub bytes: u64,
    /// How many disks overlay it.
    pub overlays: usize,
}

/// What a pool holds of what was brought or made, sorted by name. `records` is where that is recorded on the
/// hypervisor.
pub fn cached(
    client: &Client,
    host: &dyn Host,
    records: &str,
    pool: &str,
) -> Result<Vec<Cached>, StepError> {
    let failed = |e: Cause| StepError::new("cannot list images").because(e);
    let recorded = image::recorded(host, records).map_err(|e| failed(e.into()))?;
    let kept = image::kept(host, records).map_err(|e| failed(e.into()))?;
    let Some(pool) = client.pool(pool).map_err(|e| failed(e.into()))? else {
        return Ok(Vec::new());
    };
    let volumes = client::volumes(&pool).map_err(|e| failed(e.into()))?;
    let ours = volumes.iter().filter(|v| recorded.contains(&v.path));
    // What libvirt does not tell is no reason to take a template for another's.
    let emulator = client.emulator().ok();
    let mut found: Vec<Cached> = ours
        .filter(|v| !is_memory(&v.name))
        .map(|v| Cached { kept: kept.contains(&v.path), ..entry(v, &volumes, emulator.as_deref()) })
        .collect();
    found.sort_by(|a, b| a.volume.cmp(&b.volume));
    Ok(found)
}

fn is_memory(volume: &str) -> bool {
    TemplatePart::Memory.domain(volume).is_some()
}

fn entry(volume: &Volume, volumes: &[Volume], emulator: Option<&str>) -> Cached {
    let stem = TemplatePart::Disk.domain(&volume.name);
    let memory = stem.map(|stem| TemplatePart::Memory.of(stem));
    let memory = memory.and_then(|name| volumes.iter().find(|v| v.name == name));
    let size = |volume: &Volume| read::allocation(&volume.xml).unwrap_or_default();
    let backing = |volume: &Volume| read::backing(&volume.xml).ok().flatten();
    let below = backing(volume);
    let name = |path: String| path.rsplit('/').next().unwrap_or_default().to_string();
    let over = |v: &&Volume| backing(v).as_deref() == Some(volume.path.as_str());
    Cached {
        volume: volume.name.clone(),
        image: stem.and(below).map(name),
        kept: false,
        whole: stem.is_none() || memory.is_some(),
        current: stem.zip(emulator).is_none_or(|(stem, emulator)| Template::is_of(stem, emulator)),
        bytes: size(volume).saturating_add(memory.map_or(0, size)),
        overlays: volumes.iter().filter(over).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_its_disk_and_its_memory() {
        let volume = |name: &str, bytes: u64, backing: &str| Volume {
            name: name.into(),
            path: format!("/p/{name}"),
            xml: format!(
                "<volume><allocation unit='bytes'>{bytes}</allocation><backingStore>{backing}</backingStore></volume>"
            ),
        };
        let stem = format!("maquette-warm-{}", "0".repeat(32));
        let (disk, memory) = (format!("{stem}.qcow2"), format!("{stem}.save"));
        let volumes = [
            volume("maquette-x-0123456789ab.qcow2", 5, ""),
            volume(&disk, 7, "<path>/p/maquette-x-0123456789ab.qcow2</path>"),
            volume(&memory, 11, ""),
            volume("web-0-disk1.qcow2", 1, &format!("<path>/p/{disk}</path>")),
            volume("web-1-disk1.qcow2", 1, &format!("<path>/p/{disk}</path>")),
        ];
        let image = entry(&volumes[0], &volumes, Some("QEMU 1"));
        assert_eq!(
            (image.image.clone(), image.whole, image.bytes, image.overlays),
            (None, true, 5, 1)
        );
        // Nobody has a template of that key.
        assert!(image.current && entry(&volumes[1], &volumes, None).current);
        assert!(!entry(&volumes[1], &volumes, Some("QEMU 1")).current);
        let of = Some("maquette-x-0123456789ab.qcow2".to_string());
        let whole = entry(&volumes[1], &volumes, None);
        assert_eq!((whole.image, whole.whole, whole.bytes, whole.overlays), (of, true, 18, 2));
        assert!(!entry(&volumes[1], &volumes[..2], None).whole);
        let huge = [volume(&disk, u64::MAX, ""), volume(&memory, 1, "")];
        assert_eq!(entry(&huge[0], &huge, None).bytes, u64::MAX);
        assert!(is_memory(&memory) && !is_memory("x.save"));
    }
}
