use super::*;

/// `link limit` showed libvirt's command line of `tc`.
#[test]
fn what_a_program_of_libvirts_says_is_told_without_its_command_line() {
    for (said, told) in [
        (
            "internal error: Child process (tc qdisc add dev vnet0 root handle 1: htb default 2) unexpected exit status 2: \
             Error: Specified qdisc kind is unknown.\n",
            "`tc`, which libvirt runs, says: Error: Specified qdisc kind is unknown.",
        ),
        (
            "internal error: Child process (/usr/lib/libvirt/virt-aa-helper -r -u a) unexpected fatal signal 9",
            "`virt-aa-helper`, which libvirt runs, failed: fatal signal 9",
        ),
        ("internal error: Child process died", "internal error: Child process died"),
        ("network is not active", "network is not active"),
    ] {
        assert_eq!(in_words(said), told);
    }
}

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

/// A domain or a path that was called after a word of libvirt's got the hint for what libvirt means by it.
#[test]
fn our_own_words_are_not_searched_for_those_of_libvirt() {
    for word in ["inotify", "savevm", "BPF prog", "Active console session exists"] {
        let message = format!("it does not describe domain `{word}`, which may use any image");
        let error = LibvirtError::refused(&message);
        assert!(!error.is_of_memory() && !error.is_console_taken(), "{word}");
        assert!(error.failed("cannot remove images").hints.is_empty(), "{word}");
        assert_ne!(LibvirtError::answered(message).kind, Kind::Other, "{word}");
    }
}

/// A hub whose connection had gone told nobody of anything any more, for as long as the process lived.
#[test]
fn events_are_heard_again_after_their_connection_has_gone() {
    let client = Client::open_for_tests("test:///default").unwrap();
    let first = client.events().unwrap();
    let gone = client.hub.lock().unwrap().as_ref().unwrap().listeners.clone();
    let (sender, heard) = mpsc::channel();
    sender.send(DomainEvent::Closed).unwrap();
    drop(sender);
    tell_all(&heard, &gone);
    assert_eq!(first.recv(), Ok(DomainEvent::Closed));
    assert!(first.recv().is_err(), "it is told more");
    let second = client.events().unwrap();
    assert!(!Arc::ptr_eq(&gone, &client.hub.lock().unwrap().as_ref().unwrap().listeners));
    assert!(second.try_recv().is_err_and(|e| e == mpsc::TryRecvError::Empty), "it is gone, too");
}
