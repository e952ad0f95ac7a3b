use super::*;

/// As libvirt 9 says it of what dnsmasq, iptables and tc said, and older ones of flags.
#[test]
fn what_other_programs_fail_of_has_a_kind_and_a_hint() {
    for (said, kind) in [
        ("Failed to run firewall command: No chain/target/match by that name.", Kind::Firewall),
        ("dnsmasq: failed to create inotify: Too many open files", Kind::Inotify),
        ("tc qdisc add … Error: Specified qdisc kind is unknown.", Kind::Queue),
        ("network is not active", Kind::Other),
        ("unsupported flags (0x1) in function networkDefineXML", Kind::Flags),
    ] {
        assert_eq!(Kind::of_others(said), kind);
        let error = LibvirtError { message: said.into(), kind };
        let failed = error.failed("cannot start network `a`");
        assert_eq!(failed.hints.is_empty(), matches!(kind, Kind::Other | Kind::Flags));
        assert_eq!(failed.causes, [said]);
    }
}
