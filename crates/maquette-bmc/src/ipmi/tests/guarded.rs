//! What clients cannot do to a BMC and to each other, and what is done when packets are lost.

use std::time::Duration;

use super::*;

/// Whether somebody's password was shown to be known.
fn shown(effects: &[Effect]) -> Vec<(SocketAddr, &str, bool)> {
    let shown = effects.iter().filter_map(|effect| match effect {
        Effect::Shown { peer, account, right } => Some((*peer, account.as_str(), *right)),
        _ => None,
    });
    shown.collect()
}

/// A thousand packets a second from one address, and a thousand from forged ones, for which somebody asks for sessions.
#[test]
fn a_flood_keeps_nobody_out() {
    let mut bench = bench();
    let open = wrap_plus(payload::OPEN_REQUEST, &open_request());
    let authentication = wrap_plain(&request(6, 0x38, 1, &[0x8e, 4]));
    let mut forged = 0u32;
    let mut flood = |node: &mut Node, count: usize| {
        for _ in 0..count {
            forged = forged.wrapping_add(0x9e37_79b9);
            let address = Ipv4Addr::from(forged);
            node.receive((address, 623).into(), &open);
            node.receive(([198, 51, 100, 9], 623).into(), &authentication);
            node.receive(([198, 51, 100, 9], 624).into(), &open);
        }
    };
    for _ in 0..5 {
        bench.time.fetch_add(1, Ordering::Relaxed);
        flood(&mut bench.node, 500);
        let opened = bench.exchange(payload::OPEN_REQUEST, &open_request()).unwrap();
        // Some tenths of a second later, which a login on a busy machine takes.
        flood(&mut bench.node, 200);
        let id = &opened[8..12];
        let first = [&[2, 0, 0, 0], id, &[5; 16], &[4, 0, 0, 5], b"admin"].concat();
        let second = bench.exchange(payload::RAKP_1, &first).unwrap();
        assert_eq!(second[1], 0);
        flood(&mut bench.node, 800);
        let suite = Suite::Seventeen;
        let covered = [&second[8..24], &[9, 0, 0, 0], &[4, 5], b"admin"].concat();
        let mut third = [&[3, 0, 0, 0], id].concat();
        third.extend(suite.code(PASSWORD.as_bytes(), &covered));
        let fourth = bench.exchange(payload::RAKP_3, &third).unwrap();
        assert_eq!(fourth[1], 0);
        bench.node.sessions.close_all();
    }
}

/// ipmitool finds out from our code that its password is another one, and says so; pyghmi says nothing more.
#[test]
fn a_wrong_password_is_known_of_also_if_the_client_finds_it_out() {
    for says in [true, false] {
        let mut bench = bench();
        let opened = bench.exchange(payload::OPEN_REQUEST, &open_request()).unwrap();
        let id = &opened[8..12];
        let first = [&[2, 0, 0, 0], id, &[5; 16], &[4, 0, 0, 5], b"admin"].concat();
        bench.exchange(payload::RAKP_1, &first).unwrap();
        let effects = if says {
            let third = [&[3, 0x0f, 0, 0], id].concat();
            bench.node.receive(PEER.into(), &wrap_plus(payload::RAKP_3, &third))
        } else {
            assert!(bench.node.waits());
            bench.time.fetch_add(60, Ordering::Relaxed);
            bench.node.tick()
        };
        assert_eq!(shown(&effects), [(PEER.into(), "admin", false)]);
        assert!(!bench.node.waits());
    }
    // A guess at the code itself, a name that nobody has, and what is right.
    let mut bench = bench();
    let claims = |name: &[u8]| {
        let first = [&[2, 0, 0, 0][..], &[7; 4], &[5; 16], &[4, 0, 0, name.len() as u8], name];
        Node::claimed(&wrap_plus(payload::RAKP_1, &first.concat()))
    };
    assert_eq!(claims(b"admin"), Some("admin".to_string()));
    assert_eq!(Node::claimed(&wrap_plus(payload::RAKP_1, &[0; 27])), None);
    assert!(bench.login([1, 1, 1], "admin", "Only-4-trial5", 4).is_err());
    assert!(bench.login([1, 1, 1], "12345678901234567", PASSWORD, 4).is_err_and(|c| c == 0x0c));
}

/// Whoever tries many of them has some of them under way and no more, and each counts when its time is over.
#[test]
fn guesses_that_nobody_ends_are_few_and_are_known_of() {
    let mut bench = bench();
    let mut begun = 0;
    for _ in 0..100 {
        let opened = bench.exchange(payload::OPEN_REQUEST, &open_request()).unwrap();
        if opened[1] != 0 {
            continue;
        }
        let first = [&[2, 0, 0, 0], &opened[8..12], &[5; 16], &[4, 0, 0, 5], b"admin"].concat();
        bench.exchange(payload::RAKP_1, &first).unwrap();
        begun += 1;
    }
    assert!((50..80).contains(&begun), "{begun}");
    bench.time.fetch_add(20, Ordering::Relaxed);
    assert_eq!(shown(&bench.node.tick()).len(), begun);
}

/// ipmitool, fifty times at once on one machine: each sends a packet when the others have sent theirs.
#[test]
fn fifty_clients_of_one_address_are_let_in_together() {
    let mut bench = bench();
    let peers: Vec<SocketAddr> = (0..50u16).map(|n| ([192, 0, 2, 1], 40_000 + n).into()).collect();
    let mut ask = |peer: SocketAddr, bytes: &[u8]| {
        let effects = bench.node.receive(peer, bytes);
        assert!(shown(&effects).iter().all(|(_, _, right)| *right), "{peer}");
        payload_of(sent(&effects).expect("an answer"))
    };
    for plain in [request(6, 0x38, 1, &[0x8e, 4]), request(6, 0x54, 1, &[0x0e, 0, 0x80])] {
        peers.iter().for_each(|peer| assert_eq!(ask(*peer, &wrap_plain(&plain))[6], 0));
    }
    let open = wrap_plus(payload::OPEN_REQUEST, &open_request());
    let opened: Vec<_> = peers.iter().map(|peer| ask(*peer, &open)).collect();
    // It was slow, and all of them ask again.
    let again: Vec<_> = peers.iter().map(|peer| ask(*peer, &open)).collect();
    assert_eq!(opened, again);
    let first = |id: &[u8]| [&[2, 0, 0, 0], id, &[5; 16], &[4, 0, 0, 5], b"admin"].concat();
    let mut second = Vec::new();
    for (peer, opened) in peers.iter().zip(&opened) {
        second.push(ask(*peer, &wrap_plus(payload::RAKP_1, &first(&opened[8..12]))));
    }
    for ((peer, opened), second) in peers.iter().zip(&opened).zip(&second) {
        let covered = [&second[8..24], &[9, 0, 0, 0], &[4, 5], b"admin"].concat();
        let mut third = [&[3, 0, 0, 0], &opened[8..12]].concat();
        third.extend(Suite::Seventeen.code(PASSWORD.as_bytes(), &covered));
        assert_eq!(ask(*peer, &wrap_plus(payload::RAKP_3, &third))[1], 0);
    }
    assert_eq!(bench.node.sessions.active(), 50);
}

#[test]
fn messages_of_the_key_exchange_that_are_sent_again_are_answered_as_before() {
    let mut bench = bench();
    let opened = bench.exchange(payload::OPEN_REQUEST, &open_request()).unwrap();
    let id = &opened[8..12];
    let first = [&[2, 0, 0, 0], id, &[5; 16], &[4, 0, 0, 5], b"admin"].concat();
    let second = bench.exchange(payload::RAKP_1, &first).unwrap();
    assert_eq!(bench.exchange(payload::RAKP_1, &first).unwrap(), second);
    let covered = [&second[8..24], &[9, 0, 0, 0], &[4, 5], b"admin"].concat();
    let mut third = [&[3, 0, 0, 0], id].concat();
    third.extend(Suite::Seventeen.code(PASSWORD.as_bytes(), &covered));
    let fourth = bench.exchange(payload::RAKP_3, &third).unwrap();
    assert_eq!(bench.exchange(payload::RAKP_3, &third), Some(fourth));
    assert_eq!(bench.node.sessions.active(), 1);
}

#[test]
fn a_session_may_not_become_more_than_was_asked_for() {
    let mut bench = bench();
    let mut open = open_request();
    open[1] = 2;
    let opened = bench.exchange(payload::OPEN_REQUEST, &open).unwrap();
    let first = [&[2, 0, 0, 0], &opened[8..12], &[5; 16], &[4, 0, 0, 5], b"admin"].concat();
    assert_eq!(bench.exchange(payload::RAKP_1, &first).unwrap()[1], 0x0a);
}

#[test]
fn sessions_end_with_their_accounts_and_passwords() {
    let mut bench = bench();
    let password = |text: &str| Change { password: Some(Secret::new(text)), ..Change::default() };
    let answers = |bench: &mut Bench, client: &mut Client| {
        let bytes = client.seal(payload::IPMI, &request(0, 1, 1, &[]));
        sent(&bench.node.receive(PEER.into(), &bytes)).is_some()
    };
    // Redfish has changed it.
    let mut look = bench.login([1, 1, 1], "look", PASSWORD, 2).unwrap();
    assert!(answers(&mut bench, &mut look));
    bench.node.accounts().change(4, password("Another-1")).unwrap();
    assert!(!answers(&mut bench, &mut look));
    // Another account has its number.
    let mut look = bench.login_with("look", "Another-1", 2);
    bench.node.accounts().remove(4).unwrap();
    bench.node.accounts().add("new", Secret::new(PASSWORD), Role::Administrator).unwrap();
    assert!(!answers(&mut bench, &mut look));
    // IPMI itself has changed it: whoever has done so stays.
    let (mut own, mut other) = (bench.admin(), bench.admin());
    let mut data = vec![0x82, 2];
    data.extend(b"Another-password");
    data.resize(22, 0);
    assert_eq!(bench.ask(&mut own, 6, 0x47, &data).0, 0);
    assert!(answers(&mut bench, &mut own) && !answers(&mut bench, &mut other));
}

#[test]
fn whoever_may_only_look_types_nothing_any_more() {
    let mut bench = bench();
    bench.bmc.press(crate::bmc::Press::On).unwrap();
    let mut oper = bench.login([1, 1, 1], "oper", PASSWORD, 3).unwrap();
    bench.ask(&mut oper, 6, 0x3b, &[3]);
    assert_eq!(bench.ask(&mut oper, 6, 0x48, &[1, 1, 0xc0, 0, 0, 0]).0, 0);
    let less = Change { role: Some(Role::ReadOnly), ..Change::default() };
    bench.node.accounts().change(3, less).unwrap();
    let typed = oper.seal(payload::SOL, b"\x01\0\0\0root");
    let effects = bench.node.receive(PEER.into(), &typed);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Type(_))));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Close)));
    assert!(!bench.node.has_console());
}

#[test]
fn a_console_is_there_before_its_node_and_after_it() {
    let mut bench = bench();
    let mut client = bench.admin();
    let plain = request(6, 0x48, 50, &[1, 1, 0xc0, 0, 0, 0]);
    let bytes = client.seal(payload::IPMI, &plain);
    let effects = bench.node.receive(PEER.into(), &bytes);
    assert_eq!(client.open(sent(&effects).unwrap())[6], 0);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Open(_))));
    assert!(bench.node.has_console() && bench.node.waits());
    // The time of a session goes by; the next one finds it free at once.
    bench.time.fetch_add(60, Ordering::Relaxed);
    let mut other = bench.admin();
    assert_eq!(bench.ask(&mut other, 6, 0x48, &[1, 1, 0xc0, 0, 0, 0]).0, 0);
}

/// `maquette console`, or `virsh console`.
#[test]
fn a_console_that_another_program_has_is_said_to_be_taken() {
    let mut bench = bench();
    bench.bmc.press(crate::bmc::Press::On).unwrap();
    let mut client = bench.admin();
    let shared = Arc::downgrade(&bench.model);
    bench.model.hook(move |call| {
        let model = shared.upgrade().filter(|_| call == "console");
        let taken = Fault::Taken("the console is open elsewhere".into());
        model.iter().for_each(|model| model.fail(Some(taken.clone())));
    });
    assert_eq!(bench.ask(&mut client, 6, 0x48, &[1, 1, 0xc0, 0, 0, 0]).0, 0x80);
    assert!(!bench.node.has_console());
    bench.model.hook(|_| ());
    bench.model.fail(None);
    assert_eq!(bench.ask(&mut client, 6, 0x48, &[1, 1, 0xc0, 0, 0, 0]).0, 0);
}

#[test]
fn a_watchdogs_end_is_logged_with_what_it_did() {
    use crate::bmc::{NMI, Timeout, What};
    let actions = [Timeout::Nothing, Timeout::Reset, Timeout::Off, Timeout::Cycle];
    for (timeout, number) in actions.into_iter().zip(0u8..) {
        let mut bench = bench();
        let mut client = bench.admin();
        bench.bmc.press(crate::bmc::Press::On).unwrap();
        {
            let mut state = bench.bmc.state();
            (state.watchdog.timeout, state.watchdog.countdown) = (timeout, 50);
            (state.watchdog.before, state.watchdog.before_s) = (NMI, 2);
            state.watchdog.restart(bench.bmc.steady());
        }
        for _ in 0..5 {
            bench.time.fetch_add(1, Ordering::Relaxed);
            bench.bmc.tick().unwrap();
        }
        for (what, event) in [(What::Nmi, 8), (What::WatchdogExpired, number)] {
            let entries = bench.bmc.state().log.entries().to_vec();
            let id = entries.iter().find(|entry| entry.what == what).unwrap().id.to_le_bytes();
            let (_, entry) = bench.ask(&mut client, 0x0a, 0x43, &[0, 0, id[0], id[1], 0, 0xff]);
            assert_eq!(entry[12..16], [0x23, 4, 0x6f, event], "{timeout:?}");
        }
        let (_, reading) = bench.ask(&mut client, 4, 0x2d, &[4]);
        assert_eq!(reading[2], 1 << number, "{timeout:?}");
    }
}

/// `session info all`, `active`, `handle` and `id`.
#[test]
fn sessions_are_listed_one_after_the_other() {
    let mut bench = bench();
    let (mut look, mut client) =
        (bench.login([1, 1, 1], "look", PASSWORD, 2).unwrap(), bench.admin());
    let own = client.id.to_le_bytes();
    let mut ask = |data: &[u8]| bench.ask(&mut client, 6, 0x3d, data);
    assert_eq!([2, 3, 0].map(|handle| ask(&[0xfe, handle]).1[0]), [2, 0, 0]);
    for (id, found) in [(own, 2), ([7; 4], 0)] {
        assert_eq!(ask(&[&[0xff][..], &id[..]].concat()).1[0], found);
    }
    assert_eq!((ask(&[0xfe]).0, ask(&[0xff, 1]).0), (0xc7, 0xc7));
    let mut info = |index: u8| ask(&[index]).1;
    let (first, second) = (info(1), info(2));
    assert_eq!((first.len(), &first[..5]), (18, &[1, 63, 2, 4, 2][..]));
    assert_eq!(second[..5], [2, 63, 2, 2, 4]);
    assert_eq!((info(0), info(3)), (second, vec![0, 63, 2]));
    assert_eq!(bench.ask(&mut look, 6, 0x3d, &[0]).1, first);
}

#[test]
fn a_break_is_refused_and_what_nobody_counts_is_not_told() {
    let mut bench = bench();
    bench.bmc.press(crate::bmc::Press::On).unwrap();
    let mut client = bench.admin();
    assert_eq!(bench.ask(&mut client, 6, 0x48, &[1, 1, 0xc0, 0, 0, 0]).0, 0);
    let pressed = client.seal(payload::SOL, &[5, 0, 0, 0x10]);
    let effects = bench.node.receive(PEER.into(), &pressed);
    let shown = effects.iter().find_map(|effect| match effect {
        Effect::Show(_, bytes) => Some(client.open(bytes)),
        _ => None,
    });
    assert_eq!(shown, Some(vec![0, 5, 0, 0x40]));
    // Who has restarted it, and for how long it has run.
    assert_eq!(bench.ask(&mut client, 0, 7, &[]), (0, vec![0, 0]));
    assert_eq!(bench.ask(&mut client, 0, 0x0f, &[]).0, 0xc1);
    // `mc setenables system_event_log=off`, and what there is already.
    assert_eq!(bench.ask(&mut client, 6, 0x2f, &[]), (0, vec![8]));
    assert_eq!([0, 8].map(|bits| bench.ask(&mut client, 6, 0x2e, &[bits]).0), [0xcc, 0]);
}

#[test]
fn only_the_session_that_is_closed_ends() {
    let mut bench = bench();
    let (mut client, mut other) = (bench.admin(), bench.admin());
    assert_eq!(bench.ask(&mut client, 6, 0x3c, &[1, 2, 3, 4]).0, 0x87);
    assert_eq!(bench.ask(&mut client, 6, 0x3c, &[1]).0, 0xc7);
    let id = other.id.to_le_bytes();
    assert_eq!(bench.ask(&mut client, 6, 0x3c, &id).0, 0);
    assert_eq!(bench.ask(&mut client, 6, 1, &[]).0, 0);
    let bytes = other.seal(payload::IPMI, &request(6, 1, 1, &[]));
    assert!(sent(&bench.node.receive(PEER.into(), &bytes)).is_none());
    // `-L CALLBACK`: who may do nothing else may go.
    let mut least = bench.login([1, 1, 1], "look", PASSWORD, 1).unwrap();
    assert_eq!(bench.ask(&mut least, 6, 1, &[]).0, 0xd4);
    let id = least.id.to_le_bytes();
    assert_eq!((bench.ask(&mut least, 6, 0x3c, &id).0, bench.node.sessions.active()), (0, 1));
}

#[test]
fn a_reset_of_the_bmc_is_answered_before_sessions_end() {
    for command in [2, 3] {
        let mut bench = bench();
        let mut client = bench.admin();
        assert_eq!(bench.ask(&mut client, 6, command, &[]).0, 0);
        assert_eq!(bench.node.sessions.active(), 0);
    }
}

/// A client whose requests all have the same number is answered again after a while.
#[test]
fn an_answer_is_repeated_for_a_moment_only() {
    let mut bench = bench();
    let mut client = bench.admin();
    let mut power = |bench: &mut Bench| {
        let bytes = client.seal(payload::IPMI, &request(0, 1, 5, &[]));
        client.open(sent(&bench.node.receive(PEER.into(), &bytes)).unwrap())[7] & 1
    };
    assert_eq!(power(&mut bench), 0);
    bench.bmc.press(crate::bmc::Press::On).unwrap();
    assert_eq!(power(&mut bench), 0);
    bench.time.fetch_add(5, Ordering::Relaxed);
    assert_eq!(power(&mut bench), 1);
}

/// libvirt took a second, in which ipmitool asked for the console again: two answers came, and it ended the console for the
/// second.
#[test]
fn what_is_asked_again_before_it_is_answered_is_answered_once() {
    let mut bench = bench();
    let mut client = bench.admin();
    let (ours, message) = (client.id, request(0, 1, 5, &[]));
    let mut power = |bench: &mut Bench| {
        let bytes = client.seal(payload::IPMI, &message);
        sent(&bench.node.receive(PEER.into(), &bytes)).is_some()
    };
    assert!(power(&mut bench) && power(&mut bench), "the answer may have been lost");
    let (request, answer, at) = (message.clone(), vec![0; 12], bench.bmc.moment());
    let took = Duration::from_secs(1);
    bench.node.sessions.answered(ours, Answered { request, answer, at, took });
    assert!(!power(&mut bench) && !power(&mut bench));
    bench.time.fetch_add(1, Ordering::Relaxed);
    assert!(power(&mut bench), "this answer was lost");
}

#[test]
fn nobody_deletes_entries_that_they_have_not_reserved() {
    let mut bench = bench();
    let mut client = bench.admin();
    assert_eq!(bench.ask(&mut client, 0x0a, 0x47, b"\0\0CLR\xaa").0, 0xc5);
    let reserved = bench.ask(&mut client, 0x0a, 0x42, &[]).1;
    // Something happens meanwhile.
    assert_eq!(bench.ask(&mut client, 0, 2, &[1]).0, 0);
    let clear = [&reserved[..], b"CLR\xaa"].concat();
    assert_eq!(bench.ask(&mut client, 0x0a, 0x47, &clear).0, 0xc5);
    let delete = [&reserved[..], &[0, 0]].concat();
    assert_eq!(bench.ask(&mut client, 0x0a, 0x46, &delete).0, 0xc5);
    assert_eq!(bench.bmc.state().log.entries().len(), 1);
}

/// `sel delete 1 2 3` reserves the log once, and begins with the last.
#[test]
fn entries_are_deleted_one_after_the_other() {
    let mut bench = bench();
    let mut client = bench.admin();
    for control in [1, 3, 0] {
        assert_eq!(bench.ask(&mut client, 0, 2, &[control]).0, 0);
    }
    let ids: Vec<u16> = bench.bmc.state().log.entries().iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [1, 2, 3]);
    let reserved = bench.ask(&mut client, 0x0a, 0x42, &[]).1;
    for id in ids.iter().rev() {
        let delete = [&reserved[..], &id.to_le_bytes()].concat();
        let answer = bench.ask(&mut client, 0x0a, 0x46, &delete);
        assert_eq!(answer, (0, id.to_le_bytes().to_vec()));
    }
    assert!(bench.bmc.state().log.entries().is_empty());
}

#[test]
fn the_light_blinks_for_as_long_as_it_is_asked_to() {
    let mut bench = bench();
    let mut client = bench.admin();
    assert_eq!(bench.ask(&mut client, 0, 4, &[10]).0, 0);
    assert_eq!(bench.ask(&mut client, 0, 1, &[]).1[2] & 0x30, 0x10);
    bench.time.fetch_add(10, Ordering::Relaxed);
    assert_eq!(bench.ask(&mut client, 0, 1, &[]).1[2] & 0x30, 0);
}
