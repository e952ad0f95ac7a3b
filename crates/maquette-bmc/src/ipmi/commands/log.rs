//! The log (SEL; IPMI 2.0, 31): what happened, as events of sensors.

use super::{Answer, Call, Row, code, level};
use crate::bmc::{BY_WATCHDOG, Entry, Timeout, What};

/// The commands.
pub const ROWS: &[Row] = &[
    (0x0a, 0x40, level::USER, info),
    (0x0a, 0x41, level::USER, allocation),
    (0x0a, 0x42, level::USER, reserve),
    (0x0a, 0x43, level::USER, entry),
    (0x0a, 0x44, level::OPERATOR, add),
    (0x0a, 0x46, level::OPERATOR, delete),
    (0x0a, 0x47, level::OPERATOR, clear),
    (0x0a, 0x48, level::USER, time),
    // The hypervisor's clock is the BMC's: setting it has no effect, and is said to fail.
    (0x0a, 0x49, level::OPERATOR, |_| Err(code::STATE)),
    (0x0a, 0x5c, level::USER, |_| Ok(vec![0, 0])),
];

fn seconds(time: u64) -> [u8; 4] {
    u32::try_from(time).unwrap_or(u32::MAX).to_le_bytes()
}

fn info(call: &mut Call<'_>) -> Answer {
    let state = call.node.bmc.state();
    let log = &state.log;
    let count = u16::try_from(log.entries().len()).unwrap_or(u16::MAX);
    let free = u16::try_from(log.free() * 16).unwrap_or(u16::MAX);
    let mut data = vec![0x51];
    data.extend(count.to_le_bytes());
    data.extend(free.to_le_bytes());
    data.extend(seconds(log.added));
    data.extend(seconds(log.erased));
    // Entries can be deleted and reserved, and there is allocation information.
    data.push(0x0b);
    Ok(data)
}

/// Units of a record each: all, how long, how many are free, how many of these together, and the longest record.
fn allocation(call: &mut Call<'_>) -> Answer {
    let state = call.node.bmc.state();
    let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes();
    let free = state.log.free();
    let all = [count(state.log.entries().len() + free), count(16), count(free), count(free)];
    let mut data = all.concat();
    data.push(1);
    Ok(data)
}

fn reserve(call: &mut Call<'_>) -> Answer {
    let last = last(call);
    let memory = &mut call.node.memory;
    memory.log_reserved = last;
    memory.log_reservation = memory.log_reservation.checked_add(1).unwrap_or(1);
    Ok(memory.log_reservation.to_le_bytes().to_vec())
}

/// The number of the last entry.
fn last(call: &Call<'_>) -> Option<u16> {
    call.node.bmc.state().log.entries().last().map(|entry| entry.id)
}

/// An error unless the log was reserved, and nothing has happened since: nobody deletes what they have not read.
fn reserved(call: &mut Call<'_>) -> Result<(), u8> {
    let given = call.u16()?;
    let memory = &call.node.memory;
    if given == 0 || given != memory.log_reservation || memory.log_reserved != last(call) {
        return Err(code::RESERVATION);
    }
    Ok(())
}

/// Part of a record: so many bytes from a place in it.
pub fn part(record: &[u8], offset: u8, count: u8) -> Result<&[u8], u8> {
    let rest = record.get(usize::from(offset)..).ok_or(code::RANGE)?;
    let count = if count == 0xff { rest.len() } else { usize::from(count).min(rest.len()) };
    Ok(&rest[..count])
}

fn entry(call: &mut Call<'_>) -> Answer {
    let reservation = call.u16()?;
    let (id, [offset, count]) = (call.u16()?, call.array()?);
    if offset != 0 && reservation != call.node.memory.log_reservation {
        return Err(code::RESERVATION);
    }
    let state = call.node.bmc.state();
    let entries = state.log.entries();
    let at = match id {
        0 => 0,
        0xffff => entries.len().saturating_sub(1),
        _ => entries.iter().position(|entry| entry.id == id).ok_or(code::ABSENT)?,
    };
    let entry = entries.get(at).ok_or(code::ABSENT)?;
    let next = entries.get(at + 1).map_or(0xffff, |entry| entry.id);
    let mut data = next.to_le_bytes().to_vec();
    data.extend(part(&record(entry), offset, count)?);
    Ok(data)
}

/// The sensor and the event of what happened: types of sensors are in table 42-3.
fn event(entry: &Entry) -> [u8; 4] {
    // Type of sensor, number of sensor, kind of event (0xef: it is over), which one.
    match entry.what {
        What::PowerOff => [0x09, 3, 0x6f, 0x00],
        What::PowerOn => [0x09, 3, 0xef, 0x00],
        What::PowerCycle => [0x09, 3, 0x6f, 0x01],
        What::Reset => [0x1d, 0, 0x6f, 0x01],
        What::SoftOff => [0x14, 0, 0x6f, 0x00],
        // The timer's own, which comes before its end.
        What::Nmi if entry.detail == BY_WATCHDOG => [0x23, 4, 0x6f, 0x08],
        What::Nmi => [0x13, 0, 0x6f, 0x00],
        What::Crashed => [0x20, 0, 0x6f, 0x01],
        What::MediaInserted => [0x21, 0, 0x6f, 0x02],
        What::MediaEjected => [0x21, 0, 0xef, 0x02],
        // A fault of the slot.
        What::MediaUnread => [0x21, 0, 0x6f, 0x00],
        What::WatchdogExpired => [0x23, 4, 0x6f, action(&entry.detail)],
        // The unit has not done what it was asked for.
        What::PressForgotten => [0x09, 3, 0x6f, 0x05],
        What::LogCleared | What::Written(_) => [0x10, 0, 0x6f, 0x02],
    }
}

/// What a watchdog did at its end, by the log's words for it: nothing, a reset, power off or a power cycle.
fn action(detail: &str) -> u8 {
    let mut all = (0..4).filter_map(Timeout::from_number);
    all.find(|timeout| timeout.as_str() == detail).map_or(0, Timeout::number)
}

fn record(entry: &Entry) -> [u8; 16] {
    let [id_low, id_high] = entry.id.to_le_bytes();
    if let What::Written(mut written) = entry.what {
        (written[0], written[1]) = (id_low, id_high);
        return written;
    }
    let [a, b, c, d] = seconds(entry.at);
    let [kind, sensor, event, which] = event(entry);
    [id_low, id_high, 0x02, a, b, c, d, 0x20, 0, 0x04, kind, sensor, event, which, 0xff, 0xff]
}

fn add(call: &mut Call<'_>) -> Answer {
    let mut record: [u8; 16] = call.array()?;
    // Records with a time get ours.
    if record[2] < 0xe0 {
        record[3..7].copy_from_slice(&seconds(call.now));
    }
    let entry = call.node.bmc.note(What::Written(record), "");
    Ok(entry.id.to_le_bytes().to_vec())
}

fn delete(call: &mut Call<'_>) -> Answer {
    reserved(call)?;
    let id = call.u16()?;
    let mut state = call.node.bmc.state();
    let id = match id {
        0 => state.log.entries().first().map_or(0, |entry| entry.id),
        0xffff => state.log.entries().last().map_or(0, |entry| entry.id),
        id => id,
    };
    let is_removed = state.log.remove(id);
    drop(state);
    if !is_removed {
        return Err(code::ABSENT);
    }
    // Whoever has reserved the log goes on with the next entry, also where this was the last one.
    call.node.memory.log_reserved = last(call);
    Ok(id.to_le_bytes().to_vec())
}

fn clear(call: &mut Call<'_>) -> Answer {
    reserved(call)?;
    let [c, l, r, operation] = call.array()?;
    if [c, l, r] != *b"CLR" {
        return Err(code::FIELD);
    }
    match operation {
        0xaa => {
            call.node.bmc.state().log.clear(call.now);
            // Asking whether it is done needs the same reservation.
            call.node.memory.log_reserved = last(call);
        }
        0 => {}
        _ => return Err(code::FIELD),
    }
    // It is done.
    Ok(vec![1])
}

fn time(call: &mut Call<'_>) -> Answer {
    Ok(seconds(call.now).to_vec())
}
