//! Records that somebody else could have written, and what of them counts.

use super::*;

/// A copy of a node, and a record in a domain that Ansible would take for this machine, were nodes of the environment.
#[test]
fn a_record_counts_only_on_the_domain_that_it_was_written_for() {
    let lab = Lab::new();
    let key = RecordKey::made_of([1; 32]);
    let backend = lab.backend().with_record_key(Some(key.clone()));
    let client = backend.client().unwrap();
    let others = ["gold", "localhost", "hypervisor", "lab-web-00", "web-0"];
    for (index, name) in others.iter().enumerate() {
        let uuid = Uuid::from_u128(50 + index as u128);
        let copy = Node { name: name.parse().unwrap(), uuid, ..node() };
        let xml = maquette_libvirt::xml::domain(&copy, &environment(), &pool(), true, None);
        client.define_domain(&maquette_libvirt::xml::sealed(xml, Some(&key))).unwrap();
    }
    for key in [None, Some(&key)] {
        let seen = observe(client, &environment(), "images", key).unwrap();
        assert!(seen.observed.domains.is_empty() && seen.observed.edited.is_empty());
        assert!(others.iter().all(|name| seen.observed.claims.domains.contains(*name)));
        let said = |name: &&str| format!("domain `{name}` has the record of `lab-web-0`");
        let mut all = others.iter().map(said).collect::<Vec<_>>();
        all.sort();
        let mut copies = seen.copies;
        copies.sort();
        assert_eq!(copies, all);
    }
    let survey = maquette_libvirt::survey(client).unwrap();
    assert_eq!(survey.nodes, []);
    for name in others {
        perform(&backend, &Action::UndefineDomain { name: name.into() });
    }
}

/// Whoever may define domains there would have `up` bring a key to all nodes.
#[test]
fn keys_of_colleagues_count_only_in_records_whose_seal_fits() {
    let lab = Lab::new();
    let keys = [1, 2].map(|byte| RecordKey::made_of([byte; 32]));
    let shared = vec![PublicKey::known("ssh-ed25519 EEEE eve")];
    let node = Node { guest: Some(Guest { shared: shared.clone(), ..guest() }), ..node() };
    let backend = lab.backend();
    let client = backend.client().unwrap();
    let plain = maquette_libvirt::xml::domain(&node, &environment(), &pool(), false, None);
    client.define_domain(&maquette_libvirt::xml::sealed(plain, Some(&keys[0]))).unwrap();
    let seen = |key| observe(client, &environment(), "images", key).unwrap().observed.shared_keys();
    assert_eq!(seen(Some(&keys[0])), shared);
    assert!(seen(Some(&keys[1])).is_empty());
    // Who has no secret changes nothing.
    assert_eq!(seen(None), shared);
    perform(&backend, &Action::UndefineDomain { name: "lab-web-0".into() });
}
