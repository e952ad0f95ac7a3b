//! Images are pruned by record, never by name.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::blueprint::Template;
use maquette_core::names::EnvName;
use maquette_engine::host::Local;
use maquette_libvirt::{Client, observe, prune};

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

/// Of a domain that is off libvirt says which file it has, and nothing of what that is over.
#[test]
fn an_image_that_is_overlaid_in_another_directory_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let images =
        ["pooled-aaaaaaaaaaaa", "below-bbbbbbbbbbbb", "same-cccccccccccc", "free-dddddddddddd"];
    let images = images.map(|name| format!("maquette-{name}.qcow2"));
    let overlay = |file: &str, over: &str| {
        let mut made = std::process::Command::new("qemu-img");
        made.args([
            "create",
            "-q",
            "-u",
            "-f",
            "qcow2",
            "-F",
            "qcow2",
            "-b",
            over,
            &at(file),
            "1M",
        ]);
        assert!(made.status().unwrap().success());
    };
    // Two deep, and by a path that begins where the overlay is.
    overlay("middle.qcow2", &format!("/default-pool/{}", images[1]));
    overlay("top.qcow2", "middle.qcow2");
    let volume = |name: &str, over: &str| {
        format!(
            "<volume type='file'><name>{name}</name><capacity>1</capacity>\
             <backingStore><path>{over}</path></backingStore></volume>"
        )
    };
    let own: String = images.iter().map(|name| volume(name, "")).collect();
    let own = own.replace("<backingStore><path></path></backingStore>", "");
    // The other pool has an image of that name itself, and an overlay of it.
    let other = volume("a.qcow2", &format!("/default-pool/{}", images[0]))
        + &volume(&images[2], "/nothing")
        + &volume("b.qcow2", &format!("/other/{}", images[2]));
    let node = format!(
        "<node><domain type='test'><name>mine</name><memory>65536</memory><vcpu>1</vcpu><os><type>hvm</type></os>\
         <devices><disk type='file' device='disk'><source file='{}'/><target dev='vda'/></disk></devices></domain>\
         <pool type='dir'><name>images</name><target><path>/default-pool</path></target>{own}</pool>\
         <pool type='dir'><name>others</name><target><path>/other</path></target>{other}</pool></node>",
        at("top.qcow2")
    );
    std::fs::write(at("node.xml"), node).unwrap();
    let records = directory.path().join("images");
    std::fs::create_dir(&records).unwrap();
    for image in &images {
        std::fs::write(records.join(image), format!("/default-pool/{image}\n")).unwrap();
    }
    let client = Client::open(&format!("test://{}", at("node.xml"))).unwrap();
    let pruned = prune(&client, &Local, records.to_str().unwrap(), "images").unwrap();
    assert_eq!(pruned.removed, [images[3].clone(), images[2].clone()]);
}

/// A run that is killed while it makes a template leaves a domain that nobody would ever end, and whose image would
/// always be in use, or a seed before there is one. One of somebody else's that is only called so is left alone.
#[test]
fn what_a_killed_run_leaves_of_a_template_goes() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, other, begun) = (
        "maquette-warm-0123456789abcdef0123456789abcdef",
        "maquette-warm-0123456789abcdef0123456789abcdee",
        "maquette-warm-0123456789abcdef0123456789abcded",
    );
    let domain = |name: &str, uuid: &str| {
        format!("<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><memory>65536</memory><os><type>hvm</type></os>
          <devices><disk type='file' device='disk'><source file='/default-pool/{name}.qcow2'/><target dev='vda'/></disk></devices></domain>")
    };
    let volume = |name: &str| {
        format!("<volume type='file'><name>{name}</name><capacity>1</capacity></volume>")
    };
    let xml = format!(
        "<node>{}{}<pool type='dir'><name>images</name><target><path>/default-pool</path></target>{}{}{}{}{}</pool></node>",
        domain(ours, &Template::uuid_of(ours).to_string()),
        domain(other, "11111111-2222-3333-4444-555555555555"),
        volume(&format!("{ours}.qcow2")),
        volume(&format!("{other}.qcow2")),
        volume(&format!("{ours}-seed.img")),
        volume(&format!("{other}-seed.img")),
        volume(&format!("{begun}-seed.img")),
    );
    std::fs::write(directory.path().join("node.xml"), xml).unwrap();
    let records = directory.path().join("images");
    std::fs::create_dir(&records).unwrap();
    for name in [ours, other, begun] {
        std::fs::write(records.join(name), format!("/default-pool/{name}.qcow2\n")).unwrap();
    }
    let uri = format!("test://{}/node.xml", directory.path().display());
    let client = Client::open(&uri).unwrap();
    let pruned = prune(&client, &Local, records.to_str().unwrap(), "images").unwrap();
    assert_eq!(pruned.removed, [format!("{ours}.qcow2")]);
    let seen = observe(&client, &EnvName::default(), "images", None).unwrap().observed;
    let left: Vec<&str> = seen.claims.domains.iter().map(String::as_str).collect();
    assert_eq!(left, [other]);
    let volumes: Vec<&String> = seen.volumes.values().flatten().collect();
    assert_eq!(volumes, [&format!("{other}-seed.img"), &format!("{other}.qcow2")]);
}
