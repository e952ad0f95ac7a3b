use std::str::FromStr;

use proptest::prelude::*;

use super::*;

/// Text with what every syntax that we write would obey, among ordinary letters.
fn nasty() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-zA-Z0-9._-]{0,8}",
        Just("\n".into()),
        Just("\r".into()),
        Just("\0".into()),
        Just("\u{1b}]52;c;x\u{7}".into()),
        Just("{{ lookup('pipe', 'id') }}".into()),
        Just("{%".into()),
        Just("{#".into()),
        Just("'".into()),
        Just("\"".into()),
        Just("`id`".into()),
        Just("$(id)".into()),
        Just("%h".into()),
        Just("\u{202e}".into()),
        Just("/../".into()),
        Just(" ".into()),
        Just("@".into()),
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

fn accepted<T: FromStr + AsRef<str>>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    assert_eq!(value.as_ref(), text, "a value is what was given");
    Some(value)
}

/// Nothing in `text` is more than a word to ssh, a shell, INI, YAML, XML or a template engine.
fn harmless(text: &str, also: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c) || also.contains(c);
    assert!(text.chars().all(plain), "{text:?}");
    assert!(!text.is_empty() && !text.starts_with(['-', '.']), "{text:?}");
}

proptest! {
    #[test]
    fn what_is_accepted_means_nothing_to_whoever_reads_it(text in nasty()) {
        if let Some(v) = accepted::<Login>(&text) { harmless(&v, "@$"); }
        if let Some(v) = accepted::<Group>(&text) { harmless(&v, ""); }
        if let Some(v) = accepted::<ConnectionPlugin>(&text) { harmless(&v, ""); }
        if let Some(v) = accepted::<TimeZone>(&text) { harmless(&v, "/+"); }
        if let Some(v) = accepted::<PublicKey>(&text) { harmless(&v, "@ :/+="); }
        if let Some(v) = accepted::<DnsName>(&text) { harmless(&v, ""); }
        if let Some(v) = accepted::<ServiceLabel>(&text) { harmless(&v, ""); }
        if let Some(v) = accepted::<HostAddress>(&text) && !v.starts_with(':') { harmless(&v, ":%"); }
        if let Some(v) = accepted::<DiskKey>(&text) { harmless(&v, ""); }
        if let Some(v) = accepted::<DeviceModel>(&text) { harmless(&v, ""); }
        if let Some(v) = accepted::<MachineName>(&text) { harmless(&v, "+"); }
        if let Some(v) = accepted::<FileName>(&text) { harmless(&v, "+@:~"); }
        if let Some(v) = accepted::<Line>(&text) {
            prop_assert!(!v.chars().any(char::is_control));
            prop_assert!(!has_template_marks(&v));
        }
    }

    #[test]
    fn what_is_printed_has_no_controls(text in nasty()) {
        for shown in [printable(&text).into_owned(), console_text(text.as_bytes())] {
            prop_assert!(shown.chars().all(|c| matches!(c, '\n' | '\t') || !is_unprintable(c)));
        }
    }

    #[test]
    fn why_a_value_is_refused_can_be_printed(text in nasty()) {
        if let Err(error) = text.parse::<Group>() {
            prop_assert!(!error.to_string().chars().any(is_unprintable));
        }
    }
}

#[test]
fn ordinary_values_are_taken() {
    for text in ["root", "cloud-user", "stack", "Admin", "ann@example.com", "_apt"] {
        assert!(text.parse::<Login>().is_ok(), "{text}");
    }
    for text in ["openstack_nodes", "l3-appliance", "k8s.workers"] {
        assert!(text.parse::<Group>().is_ok(), "{text}");
    }
    for text in
        ["ssh", "ansible.builtin.ssh", "ansible.netcommon.network_cli", "network_cli", "psrp"]
    {
        assert!(text.parse::<ConnectionPlugin>().is_ok(), "{text}");
    }
    for text in ["example.com", "lab", "_ldap._tcp.example.com", "example.com.", "a-b.c"] {
        assert!(text.parse::<DnsName>().is_ok(), "{text}");
    }
    for text in ["hv1.example.com", "10.0.0.1", "::1", "fe80::1%eth0", "my_alias"] {
        assert!(text.parse::<HostAddress>().is_ok(), "{text}");
    }
    for text in ["Europe/Prague", "UTC", "Etc/GMT+3", "America/Argentina/Buenos_Aires"] {
        assert!(text.parse::<TimeZone>().is_ok(), "{text}");
    }
    for text in ["pc", "q35", "pc-q35-7.2", "host-passthrough", "EPYC-Rome", "qemu64"] {
        assert!(text.parse::<MachineName>().is_ok(), "{text}");
    }
    assert!("ssh-ed25519 AAAAC3Nza+/= ann@desk".parse::<PublicKey>().is_ok());
    assert_eq!("1500".parse::<Mtu>().map(Mtu::bytes), Ok(1500));
}

#[test]
fn a_value_that_would_be_cut_to_something_else_is_refused() {
    // 2^32 + 4 must not become 4.
    assert!("4294967300".parse::<Mtu>().is_err());
    assert!("67".parse::<Mtu>().is_err());
    assert!("65536".parse::<Mtu>().is_err());
    for (text, is_one) in
        [("0", false), ("1", true), ("4094", true), ("4095", false), ("65537", false)]
    {
        assert_eq!(text.parse::<VlanId>().is_ok(), is_one, "{text}");
    }
    assert!("x/../../q".parse::<DiskKey>().is_err());
    assert!("fe80::1%$(id)".parse::<HostAddress>().is_err());
    assert!("-oProxyCommand=id".parse::<HostAddress>().is_err());
    assert!("a".repeat(300).parse::<Login>().is_err());
}

#[test]
fn only_connections_to_a_node_with_its_own_key_are_taken() {
    for text in [
        "local",
        "ansible.builtin.local",
        "community.docker.nsenter",
        "community.docker.docker",
        "chroot",
        "community.general.jail",
        "buildah",
        "smart",
        "x.y.ssh",
        "SSH",
        "ssh ",
        "",
    ] {
        let error = text.parse::<ConnectionPlugin>().unwrap_err().to_string();
        assert!(error.contains("`network_cli`") && error.contains("over the network"), "{error}");
    }
    for text in ["paramiko", "ansible.builtin.paramiko_ssh", "ansible.netcommon.libssh"] {
        let error = text.parse::<ConnectionPlugin>().unwrap_err().to_string();
        assert!(error.contains("host keys") && error.contains("`ssh`"), "{error}");
    }
}

#[test]
fn groups_of_the_inventory_itself_are_not_for_nodes() {
    for name in ["_meta", "all", "ungrouped", "local", "localhost", "hypervisor", "bmcs"] {
        let error = name.parse::<Group>().unwrap_err().to_string();
        assert!(error.contains("has a meaning of its own"), "{error}");
    }
    assert!("hypervisors".parse::<Group>().is_ok());
    assert!("root$X".parse::<Login>().is_err() && "machine$".parse::<Login>().is_ok());
}

/// What a guest reads of a disk on virtio ends after 20 characters.
#[test]
fn serial_numbers_are_as_long_as_guests_read_them_and_tell_keys_apart() {
    let of = |key: &str| Serial::of(&key.parse().unwrap()).to_string();
    assert_eq!(of("disk1"), "disk1");
    assert_eq!(of("disk_of_twenty_signs"), "disk_of_twenty_signs");
    let (one, other) = (of("disk_for_the_database_a"), of("disk_for_the_database_b"));
    assert_ne!(one, other);
    for serial in [one, other] {
        assert!(serial.starts_with("disk_for_th-") && serial.len() == 20, "{serial}");
        assert!(serial.parse::<Serial>().is_ok());
    }
    for bad in ["", "-x", "a b", "a/b", "a\nb", "<x>", "more-than-twenty-signs"] {
        assert!(bad.parse::<Serial>().is_err(), "{bad}");
    }
}
