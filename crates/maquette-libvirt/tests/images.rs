//! Images are pruned by record, never by name.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_engine::host::Local;
use maquette_libvirt::{Client, prune};

/// Disks of running nodes of an environment called `maquette`, and images: used by a domain of ours, by
/// one of somebody else's, as what another volume overlays, by nobody.
const HYPERVISOR: &str = "<node>
  <domain type='test'>
    <name>maquette-bare-0</name><memory>65536</memory><vcpu>1</vcpu><os><type>hvm</type></os>
    <metadata><x:y xmlns:x='urn:x' image-volume='maquette-named-aaaaaaaaaaaa.qcow2'/></metadata>
    <devices><disk type='file' device='disk'><source file='/default-pool/maquette-foreign-bbbbbbbbbbbb.qcow2'/><target dev='vda'/></disk></devices>
  </domain>
  <pool type='dir'><name>images</name><target><path>/default-pool</path></target>
    <volume type='file'><name>maquette-bare-0-disk1.qcow2</name><capacity>1</capacity></volume>
    <volume type='file'><name>maquette-bare-0-0123456789ab.qcow2</name><capacity>1</capacity></volume>
    <volume type='file'><name>maquette-named-aaaaaaaaaaaa.qcow2</name><capacity>1</capacity></volume>
    <volume type='file'><name>maquette-foreign-bbbbbbbbbbbb.qcow2</name><capacity>1</capacity></volume>
    <volume type='file'><name>maquette-base-cccccccccccc.qcow2</name><capacity>1</capacity></volume>
    <volume type='file'><name>overlay.qcow2</name><capacity>1</capacity>
      <backingStore><path>/default-pool/maquette-base-cccccccccccc.qcow2</path></backingStore></volume>
    <volume type='file'><name>maquette-free-dddddddddddd.qcow2</name><capacity>1</capacity></volume>
    <volume type='file'><name>maquette-old-eeeeeeeeeeee.qcow2</name><capacity>1</capacity></volume>
  </pool>
</node>";

#[test]
fn only_what_is_recorded_and_unused_is_pruned_whatever_it_is_called() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("node.xml"), HYPERVISOR).unwrap();
    let records = directory.path().join("images");
    std::fs::create_dir(&records).unwrap();
    for volume in [
        "maquette-named-aaaaaaaaaaaa",
        "maquette-foreign-bbbbbbbbbbbb",
        "maquette-base-cccccccccccc",
        "maquette-free-dddddddddddd",
    ] {
        std::fs::write(records.join(volume), format!("/default-pool/{volume}.qcow2\n")).unwrap();
    }
    // Of a file that is gone, and of another pool.
    std::fs::write(records.join("gone"), "/default-pool/maquette-gone-ffffffffffff.qcow2\n")
        .unwrap();
    std::fs::write(records.join("other"), "/other/maquette-gone-ffffffffffff.qcow2\n").unwrap();
    let client = Client::open(&format!("test://{}/node.xml", directory.path().display())).unwrap();
    let records = records.to_str().unwrap();
    let pruned = prune(&client, &Local, records, "images").unwrap();
    assert_eq!(pruned.removed, ["maquette-free-dddddddddddd.qcow2"]);
    assert_eq!(
        pruned.unrecorded,
        ["maquette-bare-0-0123456789ab.qcow2", "maquette-old-eeeeeeeeeeee.qcow2"]
    );
    let mut left: Vec<_> = std::fs::read_dir(records)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(
        left,
        [
            "maquette-base-cccccccccccc",
            "maquette-foreign-bbbbbbbbbbbb",
            "maquette-named-aaaaaaaaaaaa",
            "other"
        ]
    );
    // A second time there is nothing left to do.
    assert!(prune(&client, &Local, records, "images").unwrap().removed.is_empty());
}
