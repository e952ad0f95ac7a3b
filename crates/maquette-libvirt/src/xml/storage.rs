//! Pools and volumes: <https://libvirt.org/formatstorage.html>.

use maquette_core::blueprint::{Disk, Pool};
use maquette_core::topology::Preallocation;
use maquette_core::values::FileName;

use super::Writer;

/// Writes a directory pool.
pub fn pool(pool: &Pool) -> String {
    let mut w = Writer::default();
    w.element("pool", &[("type", "dir")], |w| {
        w.text("name", &[], &pool.name);
        w.element("target", &[], |w| w.text("path", &[], &pool.path));
    });
    w.finish()
}

/// Writes a disk's volume; an overlay names its base image, which is in `pool`. `bytes` is its virtual size.
pub fn volume(disk: &Disk, pool: &Pool, bytes: u64) -> String {
    let mut w = Writer::default();
    w.element("volume", &[], |w| {
        w.text("name", &[], &disk.volume);
        w.text("capacity", &[("unit", "bytes")], &bytes.to_string());
        let allocated = if disk.preallocation == Preallocation::Full { bytes } else { 0 };
        w.text("allocation", &[("unit", "bytes")], &allocated.to_string());
        target(w, "qcow2");
        if let Some(image) = &disk.backing {
            w.element("backingStore", &[], |w| {
                w.text("path", &[], &format!("{}/{}", pool.path, image.volume));
                w.empty("format", &[("type", "qcow2")]);
            });
        }
    });
    w.finish()
}

/// Writes a seed volume of `bytes`.
pub fn seed_volume(name: &FileName, bytes: u64) -> String {
    let mut w = Writer::default();
    w.element("volume", &[], |w| {
        w.text("name", &[], name);
        w.text("capacity", &[("unit", "bytes")], &bytes.to_string());
        target(w, "raw");
    });
    w.finish()
}

/// Volumes may hold secrets: nobody but root and QEMU reads them.
fn target(w: &mut Writer, format: &str) {
    w.element("target", &[], |w| {
        w.empty("format", &[("type", format)]);
        w.element("permissions", &[], |w| w.text("mode", &[], "0600"));
    });
}
