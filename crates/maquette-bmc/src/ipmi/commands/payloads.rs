//! Payloads besides messages: serial over LAN.

use super::super::sol::{PACKET, Sol};
use super::super::{Effect, packet::payload};
use super::app::channel;
use super::{Answer, Call, Row, code, faulty, level};
use crate::machine::Fault;

/// The commands.
pub const ROWS: &[Row] = &[
    (0x06, 0x48, level::OPERATOR, activate),
    (0x06, 0x49, level::OPERATOR, deactivate),
    (0x06, 0x4a, level::USER, status),
    (0x06, 0x4b, level::USER, instance),
    (0x06, 0x4d, level::USER, |_| Ok(vec![0x02, 0, 0, 0])),
    (0x06, 0x4e, level::USER, |_| Ok(vec![0x03, 0, 0x3f, 0, 0, 0, 0, 0])),
    (0x06, 0x4f, level::USER, version),
    (0x0c, 0x22, level::USER, parameter),
];

/// The number of the only console.
fn sol(call: &mut Call<'_>) -> Result<(), u8> {
    let [kind, instance] = call.array()?;
    if kind & 0x3f == payload::SOL && instance & 0x0f == 1 { Ok(()) } else { Err(code::FIELD) }
}

fn activate(call: &mut Call<'_>) -> Answer {
    sol(call)?;
    let (who, peer) = call.who()?;
    let [options, _, _, _] = call.array()?;
    // Both are the rule here, and a client may ask for them or not.
    let _ = options & 0xc0;
    let hardware = call.node.bmc.hardware().map_err(faulty)?;
    if !hardware.console {
        // 0x81: the payload type is disabled.
        return Err(0x81);
    }
    if call.node.console.as_ref().is_some_and(|sol| sol.session != who.session) {
        // 0x80: somebody has it.
        return Err(0x80);
    }
    if call.node.console.is_none() {
        match call.node.bmc.machine().console() {
            Ok(console) => call.node.effects.push(Effect::Open(console)),
            // Whoever watches a boot is there before it: the line is opened when the node runs.
            Err(Fault::State(_)) => {}
            // 0x80, too: somebody has it who has come by another way.
            Err(Fault::Taken(_)) => return Err(0x80),
            Err(fault) => return Err(faulty(fault)),
        }
        call.node.console = Some(Sol::new(who.session, peer));
    }
    let size = (PACKET as u16).to_le_bytes();
    let mut data = vec![0, 0, 0, 0];
    data.extend(size);
    data.extend(size);
    data.extend(call.node.port.to_le_bytes());
    // There is no VLAN.
    data.extend([0xff, 0xff]);
    Ok(data)
}

fn deactivate(call: &mut Call<'_>) -> Answer {
    sol(call)?;
    let (who, _) = call.who()?;
    let Some(sol) = &call.node.console else {
        // 0x80: it is not active.
        return Err(0x80);
    };
    if sol.session != who.session && who.level < level::ADMINISTRATOR {
        return Err(code::PRIVILEGE);
    }
    if sol.session == who.session {
        // They know; another packet would only confuse them.
        call.node.console = None;
        call.node.effects.push(Effect::Close);
    } else {
        call.node.close_console();
    }
    Ok(Vec::new())
}

fn status(call: &mut Call<'_>) -> Answer {
    if call.byte()? & 0x3f != payload::SOL {
        return Err(code::FIELD);
    }
    Ok(vec![1, u8::from(call.node.console.is_some()), 0])
}

fn instance(call: &mut Call<'_>) -> Answer {
    sol(call)?;
    let session = call.node.console.as_ref().map_or(0, |sol| sol.session);
    let mut data = session.to_le_bytes().to_vec();
    data.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    Ok(data)
}

fn version(call: &mut Call<'_>) -> Answer {
    channel(call)?;
    match call.byte()? & 0x3f {
        // 1.0 of messages, of the console, and of how a session begins.
        payload::IPMI | payload::SOL | 0x10..=0x15 => Ok(vec![0x10]),
        _ => Err(code::PARAMETER),
    }
}

/// How the console is set up (IPMI 2.0, 26.3).
fn parameter(call: &mut Call<'_>) -> Answer {
    channel(call)?;
    let [parameter, _, _] = call.array()?;
    let mut data = vec![0x11];
    let port = call.node.port.to_le_bytes();
    data.extend(match parameter {
        0 => &[0][..],
        1 => &[1],
        // Encrypted and signed, for operators.
        2 => &[0xc3],
        3 => &[12, 96],
        4 => &[7, 50],
        // 115200 bits a second.
        5 | 6 => &[0x0a],
        7 => &[1],
        8 => &port,
        _ => return Err(code::PARAMETER),
    });
    Ok(data)
}
