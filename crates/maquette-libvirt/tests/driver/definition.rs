//! What there is in libvirt's own definition of a domain, and what goes with it.

use maquette_core::blueprint::DirectNics;
use maquette_core::topology::DirectMode;
use maquette_libvirt::Server;

use super::*;

/// What InfraRed's overcloud plug-in makes instackenv.json of: it reads libvirt's own definition.
#[test]
fn what_other_plugins_read_of_a_domain_is_in_its_definition() {
    let lab = Lab::new();
    let backend = lab.backend();
    perform(&backend, &define_network(network(Vec::new())));
    let node = Box::new(node());
    let define = Action::DefineDomain { node, environment: environment(), pool: pool() };
    perform(&backend, &define);
    let xml = backend.client().unwrap().definition(ObjectKind::Domain, "lab-web-0").unwrap();
    let xml = xml.unwrap();
    for part in
        ["<currentMemory unit='KiB'>", "<vcpu", "<mac address='52:54:00", "<target dev='vda'"]
    {
        assert!(xml.contains(part), "{part}: {xml}");
    }
    assert!(xml.contains("<source network='lab-data'"), "{xml}");
    perform(&backend, &Action::UndefineDomain { name: "lab-web-0".into() });
}

/// libvirt refuses to undefine a domain of which it keeps something else, unless that goes, too.
#[test]
fn a_domain_goes_with_its_saved_memory_and_its_snapshots() {
    let lab = Lab::new();
    let backend = lab.backend();
    perform(&backend, &define_network(network(Vec::new())));
    let define =
        Action::DefineDomain { node: Box::new(node()), environment: environment(), pool: pool() };
    perform(&backend, &define);
    let client = backend.client().unwrap();
    let domain = client.domain("lab-web-0").unwrap().unwrap();
    domain.create().unwrap();
    let snapshot = "<domainsnapshot><name>before</name></domainsnapshot>";
    domain.create_snapshot_xml(snapshot, 0).unwrap();
    domain.managed_save(0).unwrap();
    assert!(domain.has_managed_save(0).unwrap());
    perform(&backend, &Action::UndefineDomain { name: "lab-web-0".into() });
    assert!(client.domain("lab-web-0").unwrap().is_none());
}

/// What libvirt makes of the definition of a network on NICs is what was meant, and it starts without anything to make.
#[test]
fn a_network_on_nics_and_a_node_on_it_are_defined_as_they_were_meant() {
    let lab = Lab::new();
    let backend = lab.backend();
    let nics = vec!["eno1".parse().unwrap(), "eno2".parse().unwrap()];
    let own = DirectNics { nics, chosen: false };
    let wanted = Network {
        carrier: Carrier::Direct(DirectMode::Vepa, own),
        ipv4: None,
        dhcp4: None,
        ipv6: None,
        domain: None,
        ..network(Vec::new())
    };
    perform(&backend, &define_network(wanted.clone()));
    let start = Action::StartNetwork { name: wanted.name.clone(), autostart: true };
    perform(&backend, &start);
    let seen = look(&backend);
    let found = &seen.networks["lab-data"];
    assert_eq!(found.recorded, wanted);
    assert_eq!(found.defined, Wiring::of(&wanted));
    assert_eq!(found.defined.nics, ["eno1", "eno2"]);
    let mut node = node();
    node.interfaces[0].attachment = Attachment::Direct;
    let define =
        Action::DefineDomain { node: Box::new(node), environment: environment(), pool: pool() };
    perform(&backend, &define);
    let xml = backend.client().unwrap().definition(ObjectKind::Domain, "lab-web-0").unwrap();
    let xml = xml.unwrap();
    assert!(xml.contains("<source network='lab-data'"), "{xml}");
    // The interface has the NIC's MTU, and libvirt refuses another one where it starts.
    assert!(!xml.contains("<mtu "), "{xml}");
    perform(&backend, &Action::UndefineDomain { name: "lab-web-0".into() });
}
