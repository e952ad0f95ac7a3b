//! Sensors, and the records that describe them (SDR; IPMI 2.0, 33, 35 and 43).

use super::log::part;
use super::{Answer, Call, Row, code, faulty, level};

/// The commands.
pub const ROWS: &[Row] = &[
    (0x04, 0x20, level::USER, |_| Ok(vec![4, 0x01])),
    (0x04, 0x21, level::USER, record),
    (0x04, 0x22, level::USER, reserve),
    (0x04, 0x27, level::USER, thresholds),
    (0x04, 0x2b, level::USER, status),
    (0x04, 0x2d, level::USER, reading),
    (0x04, 0x2f, level::USER, kind),
    (0x0a, 0x20, level::USER, info),
    (0x0a, 0x21, level::USER, |_| Ok(vec![8, 0, 64, 0, 0, 0, 0, 0, 1])),
    (0x0a, 0x22, level::USER, reserve),
    (0x0a, 0x23, level::USER, record),
    (0x0a, 0x28, level::USER, |call| Ok((call.now as u32).to_le_bytes().to_vec())),
];

const INLET: u8 = 1;
const DRAW: u8 = 2;
const POWER: u8 = 3;
const WATCHDOG: u8 = 4;

/// The temperature that every node is said to have, and what one that runs is said to draw, and one that does not. The same
/// as over Redfish.
const INLET_C: u8 = 22;
const WATTS: (u8, u8) = (120, 10);
/// When it is too hot, and much too hot.
const HOT_C: (u8, u8) = (42, 47);

fn records() -> Vec<Vec<u8>> {
    vec![
        numeric(1, INLET, 0x37, 0x01, 0x01, "Inlet Temp"),
        numeric(2, DRAW, 0x13, 0x0b, 0x06, "Power Draw"),
        discrete(3, POWER, 0x13, 0x09, 0x0003, "Power Unit"),
        discrete(4, WATCHDOG, 0x07, 0x23, 0x010f, "Watchdog"),
        controller(5, "Maquette BMC"),
    ]
}

/// A record with its head: its number, the version, its kind, and how long it is.
fn headed(id: u16, kind: u8, body: Vec<u8>) -> Vec<u8> {
    let mut record = id.to_le_bytes().to_vec();
    record.extend([0x51, kind, u8::try_from(body.len()).unwrap_or(u8::MAX)]);
    record.extend(body);
    record
}

/// A name: its length, in a byte that says that it is ASCII.
fn named(body: &mut Vec<u8>, name: &str) {
    body.push(0xc0 | (name.len() as u8 & 0x1f));
    body.extend(name.as_bytes());
}

/// A sensor that measures: whole units, from 0 to 255.
fn numeric(id: u16, number: u8, entity: u8, kind: u8, unit: u8, name: &str) -> Vec<u8> {
    let hot = number == INLET;
    // Which thresholds can be read: upper ones of the temperature.
    let readable = if hot { 0x18 } else { 0 };
    let mut body = vec![0x20, 0, number, entity, 1];
    body.extend([0x7f, if hot { 0x44 } else { 0x40 }, kind, 0x01]);
    body.extend([0, 0, 0, 0, readable, 0]);
    body.extend([0, unit, 0, 0]);
    // One for one, without an offset and without tolerance.
    body.extend([1, 0, 0, 0, 0, 0]);
    body.extend([0, 0, 0, 0, 0xff, 0]);
    body.extend(if hot { [0, HOT_C.1, HOT_C.0] } else { [0; 3] });
    body.extend([0, 0, 0, 0, 0, 0, 0, 0]);
    named(&mut body, name);
    headed(id, 0x01, body)
}

/// A sensor with states.
fn discrete(id: u16, number: u8, entity: u8, kind: u8, states: u16, name: &str) -> Vec<u8> {
    let states = states.to_le_bytes();
    let mut body = vec![0x20, 0, number, entity, 1, 0x63, 0x40, kind, 0x6f];
    for _ in 0..3 {
        body.extend(states);
    }
    body.extend([0xc0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    named(&mut body, name);
    headed(id, 0x02, body)
}

/// The BMC itself.
fn controller(id: u16, name: &str) -> Vec<u8> {
    let mut body = vec![0x20, 0, 0, 0x8f, 0, 0, 0, 0x07, 1, 0];
    named(&mut body, name);
    headed(id, 0x12, body)
}

fn info(call: &mut Call<'_>) -> Answer {
    let _ = call;
    let count = u16::try_from(records().len()).unwrap_or(0);
    let mut data = vec![0x51];
    data.extend(count.to_le_bytes());
    // Full, never changed, and nothing but reserving can be done.
    data.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02]);
    Ok(data)
}

fn reserve(call: &mut Call<'_>) -> Answer {
    let memory = &mut call.node.memory;
    memory.record_reservation = memory.record_reservation.checked_add(1).unwrap_or(1);
    Ok(memory.record_reservation.to_le_bytes().to_vec())
}

fn record(call: &mut Call<'_>) -> Answer {
    let (reservation, id, [offset, count]) = (call.u16()?, call.u16()?, call.array()?);
    if offset != 0 && reservation != call.node.memory.record_reservation {
        return Err(code::RESERVATION);
    }
    let records = records();
    let at = match id {
        0 => 0,
        0xffff => records.len() - 1,
        id => usize::from(id) - 1,
    };
    let record = records.get(at).ok_or(code::ABSENT)?;
    let next = if at + 1 < records.len() { at as u16 + 2 } else { 0xffff };
    let mut data = next.to_le_bytes().to_vec();
    data.extend(part(record, offset, count)?);
    Ok(data)
}

fn sensor(call: &mut Call<'_>) -> Result<u8, u8> {
    let number = call.byte()?;
    if (INLET..=WATCHDOG).contains(&number) { Ok(number) } else { Err(code::ABSENT) }
}

fn thresholds(call: &mut Call<'_>) -> Answer {
    Ok(match sensor(call)? {
        INLET => vec![0x18, 0, 0, 0, HOT_C.0, HOT_C.1, 0],
        _ => vec![0; 7],
    })
}

/// A sensor's value, and its states.
fn measured(call: &mut Call<'_>) -> Result<(u8, u16), u8> {
    let number = sensor(call)?;
    let on = call.node.bmc.power().map_err(faulty)?.is_on();
    let watchdog = call.node.bmc.state().watchdog;
    let expired = u16::from(watchdog.expired != 0) << watchdog.timeout.number();
    Ok(match number {
        INLET => (INLET_C, 0xc0),
        DRAW => (if on { WATTS.0 } else { WATTS.1 }, 0xc0),
        POWER => (0, u16::from(!on)),
        _ => (0, expired),
    })
}

/// Sensors are read, and their events are logged.
const WORKS: u8 = 0xc0;

fn reading(call: &mut Call<'_>) -> Answer {
    let (value, states) = measured(call)?;
    let [low, high] = states.to_le_bytes();
    Ok(vec![value, WORKS, low, high | 0x80])
}

fn status(call: &mut Call<'_>) -> Answer {
    let (_, states) = measured(call)?;
    let [low, high] = (states & 0x7fff).to_le_bytes();
    Ok(vec![WORKS, low & 0x3f, high, 0, 0])
}

/// A sensor's kind, and that of its events.
fn kind(call: &mut Call<'_>) -> Answer {
    Ok(match sensor(call)? {
        INLET => vec![0x01, 0x01],
        DRAW => vec![0x0b, 0x01],
        POWER => vec![0x09, 0x6f],
        _ => vec![0x23, 0x6f],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables 43-1, 43-2 and 43-9 count these bytes.
    #[test]
    fn records_are_as_long_as_their_kinds_are() {
        for record in records() {
            let name = match record[3] {
                0x01 => 47,
                0x02 => 31,
                _ => 15,
            };
            let length = usize::from(record[name] & 0x1f);
            assert_eq!(record[name] & 0xe0, 0xc0, "{record:?}");
            assert_eq!(record.len(), name + 1 + length, "{record:?}");
            assert_eq!(usize::from(record[4]) + 5, record.len());
        }
    }
}
