//! A great many packets of somebody who has no password, but has seen those of somebody who has.

use super::*;
use crate::enemy::{Leak, Random, tries};

/// Packets as clients send them, of which the last ones are of a session, and would act.
fn overheard(bench: &mut Bench) -> Vec<Vec<u8>> {
    let ping = vec![6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 7, 0, 0];
    let mut all = vec![ping];
    for (function, command, data) in
        [(6, 0x38, &[0x8e, 4][..]), (6, 0x54, &[0x0e, 0, 0x80]), (0, 2, &[1])]
    {
        all.push(wrap_plain(&request(function, command, 1, data)));
    }
    all.push(wrap_plus(payload::OPEN_REQUEST, &open_request()));
    // A key exchange that somebody else is in the middle of.
    let opened = bench.exchange(payload::OPEN_REQUEST, &open_request()).unwrap();
    let id = &opened[8..12];
    let first = [&[2, 0, 0, 0], id, &[5; 16], &[4, 0, 0, 5], b"admin"].concat();
    all.push(wrap_plus(payload::RAKP_1, &first));
    all.push(wrap_plus(payload::RAKP_3, &[&[3, 0, 0, 0], id, &[7; 32]].concat()));
    let mut client = bench.admin();
    for control in [1, 2, 3, 4] {
        all.push(client.seal(payload::IPMI, &request(0, 2, control, &[control])));
    }
    all.push(client.seal(payload::IPMI, &request(0, 8, 9, &[5, 0xc0, 0x04, 0, 0, 0])));
    all.push(client.seal(payload::SOL, b"\x01\0\0\0root"));
    all
}

#[test]
fn a_great_many_packets_without_a_password_do_nothing() {
    let mut bench = bench();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let all = overheard(&mut bench);
    let boot = bench.bmc.state().boot.clone();
    let (packets, mut answered, mut leak) = (tries(60_000, 600_000), 0, None);
    for number in 0..packets {
        if number == packets / 10 {
            leak = Some(Leak::watch());
        }
        // What comes before the version is in no code, and says nothing: it stays, or nobody would read on.
        let (one, other) = (random.one(&all).clone(), random.one(&all).clone());
        let packet = match random.below(8) {
            0 => random.bytes(200),
            1 => [&one[..4], &random.bytes(100)].concat(),
            _ => [&one[..4], &random.mutated(&one[4..], &other)].concat(),
        };
        let peer = SocketAddr::from(([192, 0, 2, random.below(200) as u8], 623));
        let effects = bench.node.receive(peer, &packet);
        for effect in &effects {
            match effect {
                Effect::Send(bytes) | Effect::Late(bytes) => {
                    answered += 1;
                    assert!(bytes.len() <= 2 * packet.len() + 64, "{packet:?}");
                }
                Effect::Shown { right, .. } => assert!(!right, "{packet:?}"),
                _ => panic!("{packet:?}"),
            }
        }
        if number % 500 == 0 {
            bench.time.fetch_add(1, Ordering::Relaxed);
        }
    }
    assert!(answered > packets / 100, "{answered}");
    leak.unwrap().check();
    assert!(!bench.acted() && bench.model.power() == Ok(Power::Off));
    assert_eq!(bench.bmc.state().boot, boot);
    assert_eq!(bench.node.accounts().iter().count(), 3);
    assert!(bench.node.sessions.len() < 300);
}
