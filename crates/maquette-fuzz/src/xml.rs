//! Somebody else's domains and networks on a shared hypervisor: libvirt's XML with our metadata.

use maquette_core::blueprint::Node;
use maquette_core::image::redact;
use maquette_engine::ssh_keys::RecordKey;
use maquette_libvirt::xml::metadata::NodeRecord;
use maquette_libvirt::xml::metadata::seal::{self, Seal};
use maquette_libvirt::xml::read::{self, Record};
use maquette_libvirt::xml::{self as own, metadata, nic};

use crate::check;

/// Reads the input as everything that libvirt may hand us. What carries a record that is believed must be
/// fit for every output, and the same when it is written and read again.
pub fn xml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    seen(text);
    // The digest has no secret in it: whoever changes a record there can make it fit.
    if let Some(forged) = metadata::forge::sealed_anew(text) {
        seen(&forged);
    }
}

fn seen(text: &str) {
    let _ = read::pool_path(text);
    let _ = seal::check(text, Some(&RecordKey::made_of([1; 32])));
    let _ = nic::running_nics(text);
    if let Ok(domain) = read::domain(text)
        && let Record::Good(record) = domain.record
    {
        // A domain of another name has a copy of a record, which nobody believes.
        let own = Node { name: record.node_name(), ..record.node.clone() };
        check::operators_files(&[&own]);
        check::seed(&record.node, None);
        let again = own::domain(&record.node, &record.environment, &record.pool, &domain.mark);
        sealed(&again);
        let again = read::domain(&again).expect("what is written can be read");
        let node = without_secrets(record.node);
        assert_eq!(again.record, Record::Good(NodeRecord { node, ..record }));
    }
    if let Ok(network) = read::network(text)
        && let Record::Good(record) = network.record
    {
        let again = own::network(&record.network, &record.environment, record.allocation);
        crate::dnsmasq::configuration(&again);
        sealed(&again);
        let again = read::network(&again).expect("what is written can be read");
        assert_eq!(again.record, Record::Good(record));
    }
}

/// Who has the environment's secret knows what was written with it, whatever it says.
fn sealed(xml: &str) {
    let keys = [1, 2].map(|byte| RecordKey::made_of([byte; 32]));
    assert_eq!(seal::check(xml, Some(&keys[0])), Seal::None);
    let xml = seal::sealed(xml, &keys[0]).expect("a record of ours has a seal");
    assert_eq!(seal::check(&xml, Some(&keys[0])), Seal::Fits);
    assert_eq!(seal::check(&xml, Some(&keys[1])), Seal::Other);
}

/// A node as a record has it: addresses of images without what may be secret in them.
pub fn without_secrets(mut node: Node) -> Node {
    for image in node.disks.iter_mut().filter_map(|d| d.backing.as_mut()) {
        image.source = redact(&image.source);
    }
    node
}
