//! The BMC itself: what it is, how it is talked to, sessions.

use super::super::crypto::Suite;
use super::super::session::SESSIONS;
use super::{Answer, CLOSE_SESSION, Call, Row, code, faulty, level};

/// The commands.
pub const ROWS: &[Row] = &[
    (0x06, 0x01, level::USER, device_id),
    (0x06, 0x02, level::ADMINISTRATOR, reset),
    (0x06, 0x03, level::ADMINISTRATOR, reset),
    (0x06, 0x04, level::USER, |_| Ok(vec![0x55, 0])),
    (0x06, 0x07, level::USER, acpi),
    (0x06, 0x08, level::USER, guid),
    (0x06, 0x2e, level::ADMINISTRATOR, set_enables),
    (0x06, 0x2f, level::USER, |_| Ok(vec![ENABLES])),
    (0x06, 0x37, level::NOBODY, guid),
    (0x06, 0x38, level::NOBODY, authentication),
    (0x06, 0x3b, level::USER, privilege),
    (0x06, CLOSE_SESSION, level::CALLBACK, close),
    (0x06, 0x3d, level::USER, session),
    (0x06, 0x41, level::USER, |call| channel(call).map(|_| vec![0x02, 0x04])),
    (0x06, 0x42, level::USER, channel_info),
    (0x06, 0x54, level::NOBODY, suites),
];

/// What else it is, besides a BMC: chassis, FRU, log, records of sensors, sensors.
const SUPPORT: u8 = 0x8f;

fn device_id(_: &mut Call<'_>) -> Answer {
    let part = |text: &str| text.parse::<u8>().unwrap_or(0);
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    let minor = part(minor) / 10 * 16 + part(minor) % 10;
    let mut data = vec![0x20, 0x81, part(major) & 0x7f, minor, 0x02, SUPPORT];
    // Neither maker nor product has a number at IANA.
    data.extend([0; 9]);
    Ok(data)
}

/// The BMC begins again: sessions end, after the answer. The node goes on.
fn reset(call: &mut Call<'_>) -> Answer {
    call.node.memory.resets = true;
    Ok(Vec::new())
}

/// What happens is logged; there are no interrupts, and no buffer of messages.
const ENABLES: u8 = 0x08;

/// As it is, or not at all: nobody is to believe that the log has stopped.
fn set_enables(call: &mut Call<'_>) -> Answer {
    if call.byte()? == ENABLES { Ok(Vec::new()) } else { Err(code::FIELD) }
}

/// Whether the system works (S0) or is off (S5), and the BMC works (D0).
fn acpi(call: &mut Call<'_>) -> Answer {
    let on = call.node.bmc.power().map_err(faulty)?.is_on();
    Ok(vec![if on { 0 } else { 5 }, 0])
}

/// The system's UUID, as SMBIOS shows it to the guest.
fn guid(call: &mut Call<'_>) -> Answer {
    Ok(call.node.bmc.uuid.to_bytes_le().to_vec())
}

/// The only channel.
pub const CHANNEL: u8 = 1;

/// Reads the number of a channel; 14 is the one that is asked.
pub fn channel(call: &mut Call<'_>) -> Result<u8, u8> {
    match call.byte()? & 0x0f {
        CHANNEL | 0x0e => Ok(CHANNEL),
        _ => Err(code::FIELD),
    }
}

fn authentication(call: &mut Call<'_>) -> Answer {
    channel(call)?;
    if !(1..=4).contains(&(call.byte()? & 0x0f)) {
        return Err(code::FIELD);
    }
    // Of IPMI 1.5 nothing; accounts have names; RMCP+ only.
    Ok(vec![CHANNEL, 0x80, 0x04, 0x02, 0, 0, 0, 0])
}

fn privilege(call: &mut Call<'_>) -> Answer {
    let level = call.byte()? & 0x0f;
    let (who, _) = call.who()?;
    match level {
        0 | 2..=4 => {
            let raised = call.node.sessions.raise(who.session, level);
            // 0x81: higher than the account, or the session, may have.
            raised.map(|level| vec![level]).ok_or(0x81)
        }
        _ => Err(code::FIELD),
    }
}

/// Ends a session of one's own: the one that is used, after the answer, or of an administrator any.
fn close(call: &mut Call<'_>) -> Answer {
    let id = u32::from_le_bytes(call.array()?);
    let (who, _) = call.who()?;
    if id == who.session {
        return Ok(Vec::new());
    }
    if who.level < level::ADMINISTRATOR {
        return Err(code::PRIVILEGE);
    }
    // 0x87: there is no such session.
    if call.node.sessions.close(id) { Ok(Vec::new()) } else { Err(0x87) }
}

/// Instead of a session's place in the order: its handle follows, which is that place here, or its number.
const BY_HANDLE: u8 = 0xfe;
const BY_NUMBER: u8 = 0xff;

/// Of one's own session (0), or of those that are active, by their order, or of one of them.
fn session(call: &mut Call<'_>) -> Answer {
    let index = call.byte()?;
    let (who, _) = call.who()?;
    let (place, number) = match index {
        0 => (None, who.session),
        BY_HANDLE => (Some(call.byte()?), 0),
        BY_NUMBER => (None, u32::from_le_bytes(call.array()?)),
        index => (Some(index), 0),
    };
    let all: Vec<_> = call.node.sessions.listed().collect();
    let at = match place {
        None => all.iter().position(|(id, ..)| *id == number),
        Some(place) => usize::from(place).checked_sub(1),
    };
    let count = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
    let active = count(all.len()) & 0x3f;
    let Some((at, (_, account, level, peer))) = at.and_then(|at| Some((at, all.get(at)?))) else {
        return Ok(vec![0, SESSIONS, active]);
    };
    let mut data = vec![count(at + 1), SESSIONS, active, account & 0x3f, *level, 0x10 | CHANNEL];
    let address = match peer.ip() {
        std::net::IpAddr::V4(address) => address.octets(),
        std::net::IpAddr::V6(_) => [0; 4],
    };
    data.extend(address);
    data.extend([0; 6]);
    data.extend(peer.port().to_le_bytes());
    Ok(data)
}

fn channel_info(call: &mut Call<'_>) -> Answer {
    let channel = channel(call)?;
    let active = u8::try_from(call.node.sessions.active()).unwrap_or(u8::MAX) & 0x3f;
    // Ethernet, IPMB's messages, several sessions, IPMI's own number at IANA.
    Ok(vec![channel, 0x04, 0x01, 0x80 | active, 0xf2, 0x1b, 0, 0, 0])
}

fn suites(call: &mut Call<'_>) -> Answer {
    channel(call)?;
    let (_payload, index) = (call.byte()?, call.byte()?);
    let mut all = Vec::new();
    for (number, [who, whole, encryption], _) in Suite::ALL {
        all.extend([0xc0, number, who, 0x40 | whole, 0x80 | encryption]);
    }
    let from = usize::from(index & 0x3f) * 16;
    let mut data = vec![CHANNEL];
    data.extend(all.iter().skip(from).take(16));
    Ok(data)
}
