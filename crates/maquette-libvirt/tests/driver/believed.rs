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
        let xml = xml::domain(&copy, &environment(), &pool(), &xml::Mark::ready());
        client.define_domain(&xml::sealed(xml, Some(&key))).unwrap();
    }
    for key in [None, Some(&key)] {
        let seen = observe(client, &environment(), "images", key).unwrap();
        assert!(seen.observed.domains.is_empty() && seen.observed.edited.is_empty());
        assert!(others.iter().all(|name| seen.observed.claims.domains.contains(*name)));
        // Nor are the disks the environment's any more.
        let volume = &node().disks[0].volume;
        assert_eq!(seen.observed.claims.holders(&pool(), volume), others.into());
        let said = |name: &&str| format!("domain `{name}` has the record of `lab-web-0`");
        let mut all = others.iter().map(said).collect::<Vec<_>>();
        all.sort();
        let mut copies = seen.copies;
        copies.sort();
        assert_eq!(copies, all);
    }
    let survey = maquette_libvirt::survey(client).unwrap();
    assert_eq!(survey.nodes, []);
    assert!(survey.copied.contains(&environment()) && survey.may_have(&environment()));
    for name in others {
        perform(&backend, &Action::UndefineDomain { name: name.into() });
    }
}

/// Who copies a definition with `sed` renames the volumes in its record as well, whose digest does not fit then: `down` took
/// the copy away.
#[test]
fn an_edited_record_counts_only_on_the_object_that_it_was_written_for() {
    let lab = Lab::new();
    let backend = lab.backend();
    let client = backend.client().unwrap();
    let others = ["gold", "localhost", "hypervisor", "lab-web-00", "web-0"];
    let volume = "volume='lab-web-0-disk1.qcow2'";
    for (index, name) in others.iter().enumerate() {
        let uuid = Uuid::from_u128(50 + index as u128);
        let copy = Node { name: name.parse().unwrap(), uuid, ..node() };
        let xml = xml::domain(&copy, &environment(), &pool(), &xml::Mark::ready());
        assert!(xml.contains(volume), "{xml}");
        client.define_domain(&xml.replace(volume, "volume='x'")).unwrap();
    }
    let copy = |name: &str, of: &EnvName, uuid: u128| {
        let network = Network {
            name: name.parse().unwrap(),
            bridge: name.parse().unwrap(),
            uuid: Uuid::from_u128(uuid),
            ..network(Vec::new())
        };
        let xml = xml::network(&network, of, Allocation { net: 10, data_net: 24 });
        client.define_network(&xml.replace("autostart='true'", "autostart='maybe'")).unwrap();
    };
    // Without a prefix no name tells.
    copy("office", &environment(), 60);
    copy("floor", &EnvName::default(), 61);
    let seen = observe(client, &environment(), "images", None).unwrap();
    assert!(seen.observed.domains.is_empty() && seen.observed.edited.is_empty());
    assert!(others.iter().all(|name| seen.observed.claims.domains.contains(*name)));
    assert!(seen.observed.claims.networks.contains("office"));
    assert_eq!(seen.copies.len(), others.len() + 1, "{:?}", seen.copies);
    let seen = observe(client, &EnvName::default(), "images", None).unwrap();
    assert!(seen.observed.edited.is_empty() && seen.observed.claims.networks.contains("floor"));
    assert_eq!(seen.copies, ["network `floor` has a record of environment `default`"]);
    let survey = maquette_libvirt::survey(client).unwrap();
    assert!(survey.nodes.is_empty() && survey.environments.is_empty());
    for name in others {
        perform(&backend, &Action::UndefineDomain { name: name.into() });
    }
    for name in ["office", "floor"] {
        perform(&backend, &Action::UndefineNetwork { name: name.into() });
    }
}

/// `down` of the environment without a prefix took it along.
#[test]
fn a_network_that_somebody_copied_is_theirs_without_a_prefix_too() {
    let lab = Lab::new();
    let backend = lab.backend();
    let client = backend.client().unwrap();
    let environment = EnvName::default();
    let allocation = Allocation { net: 10, data_net: 24 };
    let define = |name: &str, bridge: &str, uuid: u128| {
        let network = Network {
            name: name.parse().unwrap(),
            bridge: bridge.parse().unwrap(),
            uuid: Uuid::from_u128(uuid),
            ..network(Vec::new())
        };
        let xml = xml::network(&network, &environment, allocation);
        let bridge = format!("<bridge name='{bridge}'");
        client.define_network(&xml.replace(&bridge, &format!("<bridge name='{name}'"))).unwrap();
    };
    define("office", "lan", 90);
    // One that was only defined again has another identifier, which is said.
    define("front", "front", 91);
    let seen = observe(client, &environment, "images", None).unwrap();
    assert_eq!(seen.copies, ["network `office` has a record of environment `default`"]);
    let own: Vec<String> = seen.observed.networks.keys().map(ToString::to_string).collect();
    assert_eq!(own, ["front"]);
    assert!(seen.observed.claims.networks.contains("office"));
    for name in ["office", "front"] {
        perform(&backend, &Action::UndefineNetwork { name: name.into() });
    }
}

/// libvirt does not say what disks of a domain that is off are over: `down` deleted what was below a linked clone.
#[test]
fn what_disks_of_others_domains_that_are_off_are_over_is_theirs_as_well() {
    let lab = Lab::new();
    let backend = lab.backend();
    let client = backend.client().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let clone = directory.path().join("clone.qcow2").display().to_string();
    let volume = &node().disks[0].volume;
    let below = format!("{}/{volume}", pool().path);
    overlay(&clone, &below);
    let copy = format!(
        "<domain type='test'><name>copy</name><memory>65536</memory><vcpu>1</vcpu><os><type>hvm</type></os>\
         <devices><disk type='file' device='disk'><source file='{clone}'/><target dev='vda'/></disk></devices></domain>"
    );
    client.define_domain(&copy).unwrap();
    let holders = || {
        let seen = observe(client, &environment(), "images", None).unwrap();
        let seen = seen.with_clones(client, &maquette_engine::host::Local).unwrap();
        let holders = seen.observed.claims.holders(&pool(), volume);
        (seen.off, holders.into_iter().map(String::from).collect::<Vec<_>>())
    };
    // Without an environment nobody looks.
    assert_eq!(holders().1, Vec::<String>::new());
    let xml = xml::domain(&node(), &environment(), &pool(), &xml::Mark::ready());
    client.define_domain(&xml).unwrap();
    assert_eq!(holders().1, ["copy"]);
    // Disks of another environment's nodes are over images, and of nodes under other names over anything.
    let other = EnvName::from_prefix("qa").unwrap();
    let index = |name: &str, index| Node {
        name: name.parse().unwrap(),
        uuid: Uuid::from_u128(70 + u128::from(index)),
        index,
        ..node()
    };
    for node in [index("qa-web-0", 0), index("keep", 1)] {
        let xml = xml::domain(&node, &other, &pool(), &xml::Mark::ready());
        client.define_domain(&xml).unwrap();
    }
    let (off, _) = holders();
    let domains: Vec<&String> = off.values().flatten().collect();
    assert!(domains.iter().all(|name| *name != "qa-web-0"), "{off:?}");
    assert!(domains.iter().any(|name| *name == "keep"), "{off:?}");
    for name in ["lab-web-0", "qa-web-0", "keep", "copy"] {
        perform(&backend, &Action::UndefineDomain { name: name.into() });
    }
}

/// A qcow2 image that is over another file.
fn overlay(file: &str, over: &str) {
    let mut image = vec![0; 512];
    image[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    image[8..16].copy_from_slice(&512_u64.to_be_bytes());
    image[16..20].copy_from_slice(&u32::try_from(over.len()).unwrap().to_be_bytes());
    image.extend(over.bytes());
    std::fs::write(file, image).unwrap();
}

/// Only disks of domains were looked at, and their names compared as they are written.
#[test]
fn a_clone_that_no_domain_has_and_one_by_another_name_keep_what_they_are_over() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    std::fs::create_dir(at("real")).unwrap();
    std::os::unix::fs::symlink("real", at("link")).unwrap();
    let pool = Pool { name: "images".parse().unwrap(), path: at("link").parse().unwrap() };
    let names = ["clone.qcow2", "lab-web-0-disk1.before", "apart.qcow2", "strange.qcow2"];
    let volume = |name: &str| {
        format!(
            "<volume><name>{name}</name><capacity>1</capacity><target><path>{}/{name}</path></target></volume>",
            pool.path
        )
    };
    let target = format!("<target><path>{}</path></target>", pool.path);
    let volumes = names.map(volume).concat();
    let hypervisor = HYPERVISOR
        .replace("<target><path>/default-pool</path></target>", &format!("{target}{volumes}"));
    let lab = Lab::of(&hypervisor);
    let backend = lab.backend();
    let client = backend.client().unwrap();
    let xml = xml::domain(&node(), &environment(), &pool, &xml::Mark::ready());
    client.define_domain(&xml).unwrap();
    let volume = &node().disks[0].volume;
    let seen = || {
        let seen = observe(client, &environment(), "images", None).unwrap();
        seen.with_clones(client, &maquette_engine::host::Local).unwrap()
    };
    let holders = |seen: &maquette_libvirt::Seen| {
        let holders = seen.observed.claims.holders(&pool, volume);
        holders.into_iter().map(String::from).collect::<Vec<_>>()
    };
    // What a snapshot made is the node's own.
    overlay(&at("real/lab-web-0-disk1.before"), &at(&format!("real/{volume}")));
    overlay(&at("real/apart.qcow2"), &at("real/other.qcow2"));
    assert_eq!(holders(&seen()), Vec::<String>::new());
    overlay(&at("real/clone.qcow2"), &at(&format!("real/{volume}")));
    let found = seen();
    assert_eq!(holders(&found), ["volume clone.qcow2"]);
    assert!(found.observed.claims.is_only_cloned(&pool, volume) && found.unsure.is_empty());
    // A domain that has the disk itself, by its other name.
    let copy = format!(
        "<domain type='test'><name>copy</name><memory>65536</memory><vcpu>1</vcpu><os><type>hvm</type></os>\
         <devices><disk type='file' device='disk'><source file='{}'/><target dev='vda'/></disk></devices></domain>",
        at(&format!("real/{volume}"))
    );
    client.define_domain(&copy).unwrap();
    let found = seen();
    assert_eq!(holders(&found), ["copy", "volume clone.qcow2"]);
    assert!(!found.observed.claims.is_only_cloned(&pool, volume));
    // Who cannot be told of is named, with what to do.
    overlay(&at("real/strange.qcow2"), "json:{\"file.filename\":\"a\\\"b\"}");
    let unsure = seen().unsure;
    assert_eq!(unsure.len(), 1, "{unsure:?}");
    assert!(unsure[0].contains("strange.qcow2 has, so it does not prevent"), "{unsure:?}");
    assert!(unsure[0].contains("qemu-img info"), "{unsure:?}");
    for name in ["lab-web-0", "copy"] {
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
    let plain = xml::domain(&node, &environment(), &pool(), &xml::Mark::default());
    client.define_domain(&xml::sealed(plain, Some(&keys[0]))).unwrap();
    let seen = |key| observe(client, &environment(), "images", key).unwrap().observed.shared_keys();
    assert_eq!(seen(Some(&keys[0])), shared);
    assert!(seen(Some(&keys[1])).is_empty());
    // Who has no secret changes nothing.
    assert_eq!(seen(None), shared);
    perform(&backend, &Action::UndefineDomain { name: "lab-web-0".into() });
}

/// A guest that said it had an address of the hypervisor's, or another node's, was listed with it, whether it answered there
/// or not.
#[test]
fn an_address_that_only_the_guest_tells_counts_after_a_login_and_if_it_is_nobody_elses() {
    use maquette_libvirt::xml::{Mark, domain_made};
    let lab = Lab::new();
    let backend = lab.backend();
    let client = backend.client().unwrap();
    let second = Node {
        name: "lab-web-1".parse().unwrap(),
        index: 1,
        uuid: Uuid::from_u128(60),
        interfaces: Vec::new(),
        access: Access { address: None, ..node().access },
        ..node()
    };
    let first = xml::domain(&node(), &environment(), &pool(), &Mark::ready());
    client.define_domain(&first).unwrap();
    let (ip, taken) = ([192, 0, 2, 7].into(), node().access.address.unwrap());
    let hosts: std::net::IpAddr = [192, 0, 2, 1].into();
    let none = Mark::default();
    let cases = [
        (Mark { ready: true, address: Some(ip), ..none.clone() }, Some(ip)),
        (Mark { failed: Some("x".into()), address: Some(ip), ..none.clone() }, Some(ip)),
        (Mark { said: Some(ip), ..none.clone() }, None),
        // As version 0.1 noted it.
        (Mark { address: Some(ip), ..none.clone() }, None),
        (Mark { ready: true, address: Some(taken), ..none.clone() }, None),
        (Mark { ready: true, address: Some(hosts), ..none.clone() }, None),
    ];
    for (mark, expected) in cases {
        let xml = domain_made(&second, &environment(), &pool(), &mark, None);
        client.define_domain(&xml).unwrap();
        let seen = observe(client, &environment(), "images", None).unwrap();
        let host = HostNetwork { addresses: [hosts].into(), ..HostNetwork::default() };
        let seen = seen.on_host(&[], host);
        assert_eq!(seen.domains["lab-web-1"].recorded.access.address, expected, "{mark:?}");
        assert_eq!(seen.domains["lab-web-0"].recorded.access.address, Some(taken));
    }
    for name in ["lab-web-0", "lab-web-1"] {
        perform(&backend, &Action::UndefineDomain { name: name.into() });
    }
}

/// Before it was refused, a password could be in a node's `virtopts`, and a token in the address of a boot file: such records
/// are there.
#[test]
fn a_record_with_what_is_refused_by_now_counts_as_edited_by_hand() {
    use maquette_core::topology::Bootp;
    use maquette_core::values::NetbootFile;
    use maquette_libvirt::xml::metadata::forge::sealed_anew;
    let lab = Lab::new();
    let backend = lab.backend();
    let client = backend.client().unwrap();
    let key = RecordKey::made_of([1; 32]);
    let older = |xml: String, from: &str, to: &str| {
        assert!(xml.contains(from), "{xml}");
        xml::sealed(sealed_anew(&xml.replace(from, to)).unwrap(), Some(&key))
    };
    let node = Node { virtopts: "--tpm emulator".parse().unwrap(), ..node() };
    let domain = xml::domain(&node, &environment(), &pool(), &xml::Mark::ready());
    let bootp = Bootp { file: Some(NetbootFile::known("http://h/boot.ipxe")), ..Bootp::default() };
    let network = Network { bootp: Some(bootp), ..network(Vec::new()) };
    let network = xml::network(&network, &environment(), Allocation { net: 10, data_net: 24 });
    let [password, token] = ["hunter2-of-vnc", "hunter2-of-http"];
    let given = format!("virtopts='--graphics spice,password={password}'");
    client.define_domain(&older(domain, "virtopts='--tpm emulator'", &given)).unwrap();
    let given = format!("<maquette:bootp file='http://h/boot.ipxe?token={token}'");
    client
        .define_network(&older(network, "<maquette:bootp file='http://h/boot.ipxe'", &given))
        .unwrap();
    for key in [None, Some(&key)] {
        let seen = observe(client, &environment(), "images", key).unwrap().observed;
        assert!(seen.domains.is_empty() && seen.networks.is_empty());
        let said: Vec<String> = plan::drifts(&seen)
            .iter()
            .map(|drift| format!("{} {}: {}", drift.kind, drift.name, drift.what))
            .collect();
        let broken = |what: &str| {
            format!("attribute `{what}` of its metadata is missing, or its value is refused")
        };
        let expected = [
            format!("domain lab-web-0: {}", broken("virtopts")),
            format!("network lab-data: {}", broken("file")),
        ];
        assert_eq!(said, expected);
        assert!(!format!("{:?}", seen.edited).contains("hunter2"), "{:?}", seen.edited);
        // They are the environment's own, and go with it.
        let plan = plan::destroy(&seen, &environment());
        assert_eq!(plan.changes.len(), 2, "{:?}", plan.changes);
    }
    perform(&backend, &Action::UndefineDomain { name: "lab-web-0".into() });
    perform(&backend, &Action::UndefineNetwork { name: "lab-data".into() });
}

/// The program on the hypervisor that removes expired environments goes by virsh, which writes XML in its own way.
#[test]
fn virsh_shows_records_so_that_a_shell_can_tell_whether_they_were_changed() {
    const EXPIRE: &str = concat!(
        include_str!("../../../maquette-engine/assets/expire/base.sh"),
        include_str!("../../../maquette-engine/assets/expire/records.sh"),
        "digest \"$1\"\n"
    );
    let shared = vec![PublicKey::known("ssh-ed25519 EEEE \u{e4}\u{2192}<&'\">")];
    let node = Node { guest: Some(Guest { shared, ..guest() }), ..node() };
    let domain = xml::domain(&node, &environment(), &pool(), &xml::Mark::ready());
    let network = network(vec![reservation("lab-web-0", 2)]);
    let allocation = Allocation { net: 10, data_net: 24 };
    let network = xml::network(&network, &environment(), allocation);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node.xml");
    std::fs::write(&file, HYPERVISOR.replace("</node>", &format!("{domain}{network}</node>")))
        .unwrap();
    let told = |element: &str, words: &[&str]| {
        let script =
            format!("virsh -q -c \"test://$1\" {} | sh -c \"$2\" sh {element}", words.join(" "));
        let mut sh = std::process::Command::new("sh");
        let output = sh.args(["-c", &script, "sh"]).arg(&file).arg(EXPIRE).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    };
    let uri = xml::metadata::NAMESPACE;
    let said = told("node", &["metadata", "lab-web-0", uri]);
    assert!(domain.contains(&format!("digest='{said}'")), "{said} {domain}");
    let said = told("maquette:network", &["net-dumpxml", "lab-data"]);
    assert!(network.contains(&format!("digest='{said}'")), "{said} {network}");
}

/// Whoever may define domains can compute a digest, too: what has no type of its own is one line of
/// text all the same.
#[test]
fn a_record_with_what_a_terminal_or_a_template_engine_would_obey_is_refused() {
    let (portgroup, checksums) = ("trunk".parse().ok(), Checksums::Hypervisor);
    let mut node = node();
    node.interfaces[0].attachment = Attachment::OtherBridge { portgroup, checksums };
    node.disks[0].backing =
        Some(Image { source: "debian-12".into(), volume: "maquette-x.qcow2".parse().unwrap() });
    let xml = xml::domain(&node, &environment(), &pool(), &xml::Mark::default());
    for own in ["'trunk'", "'debian-12'"] {
        assert!(xml.contains(own), "{xml}");
        let read = |text: &str| {
            let xml = xml.replace(own, &format!("\"{text}\""));
            xml::read::domain(&forge::sealed_anew(&xml).unwrap()).unwrap().record
        };
        assert!(matches!(read("other"), Record::Good(_)), "{own}");
        for hostile in ["a\u{202e}b", "{{ lookup('pipe', 'id') }}", "{% x %}", "a&#10;b"] {
            let read = read(hostile);
            assert!(matches!(read, Record::Bad(..)), "{hostile}: {read:?}");
        }
    }
}
