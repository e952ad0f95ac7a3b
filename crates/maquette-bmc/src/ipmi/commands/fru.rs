//! What the node says that it is (FRU; Platform Management FRU Information Storage Definition 1.0).

use super::{Answer, Call, Row, code, level};
use crate::bmc::ASSET_TAG;

/// The commands.
pub const ROWS: &[Row] = &[(0x0a, 0x10, level::USER, info), (0x0a, 0x11, level::USER, read)];

/// An area: its kind's own bytes, and texts.
fn area(head: &[u8], texts: &[&str]) -> Vec<u8> {
    let mut bytes = vec![1, 0];
    bytes.extend(head);
    for text in texts {
        let mut text: Vec<u8> = text.bytes().filter(u8::is_ascii).take(63).collect();
        // 0xc1 would end the area: a text of one character gets a blank.
        if text.len() == 1 {
            text.push(b' ');
        }
        bytes.push(if text.is_empty() { 0 } else { 0xc0 | text.len() as u8 });
        bytes.extend(text);
    }
    bytes.push(0xc1);
    while bytes.len() % 8 != 7 {
        bytes.push(0);
    }
    bytes[1] = u8::try_from(bytes.len().div_ceil(8)).unwrap_or(u8::MAX);
    bytes.push(sum(&bytes));
    bytes
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte))
}

/// Chassis, board and product of a node.
fn inventory(serial: &str, name: &str, tag: &str) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    // A chassis for a rack; English; no date of manufacture.
    let chassis = area(&[0x17], &["Maquette", serial]);
    let board = area(&[25, 0, 0, 0], &["Maquette", "Virtual Board", serial, "Maquette", ""]);
    let texts = ["Maquette", name, "Virtual Machine", version, serial, tag, ""];
    let product = area(&[25], &texts);
    let at = |offset: usize| u8::try_from(offset / 8).unwrap_or(u8::MAX);
    let second = 8 + chassis.len();
    let mut bytes = vec![1, 0, 1, at(second), at(second + board.len()), 0, 0];
    bytes.push(sum(&bytes));
    bytes.extend([chassis, board, product].concat());
    bytes
}

fn bytes(call: &mut Call<'_>) -> Result<Vec<u8>, u8> {
    if call.byte()? != 0 {
        return Err(code::ABSENT);
    }
    let bmc = &call.node.bmc;
    let tag = bmc.state().settings.get(ASSET_TAG).cloned().unwrap_or_default();
    Ok(inventory(&bmc.uuid.to_string(), &bmc.name, &tag))
}

fn info(call: &mut Call<'_>) -> Answer {
    let length = u16::try_from(bytes(call)?.len()).unwrap_or(u16::MAX);
    let mut data = length.to_le_bytes().to_vec();
    data.push(0);
    Ok(data)
}

fn read(call: &mut Call<'_>) -> Answer {
    let all = bytes(call)?;
    let (offset, count) = (usize::from(call.u16()?), call.byte()?);
    let rest = all.get(offset..).filter(|rest| !rest.is_empty()).ok_or(code::RANGE)?;
    let count = usize::from(count).min(rest.len());
    let mut data = vec![count as u8];
    data.extend(&rest[..count]);
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_whole_and_their_sums_are_nothing() {
        for (name, tag) in
            [("web-0", ""), ("x", "y"), ("web-1", "äx"), (&"n".repeat(99)[..], "rack 7")]
        {
            let all = inventory("s-1", name, tag);
            let product = &all[usize::from(all[4]) * 8..];
            let mut at = 3;
            for _ in 0..7 {
                assert_ne!(product[at], 0xc1, "{name} {tag}");
                at += 1 + usize::from(product[at] & 0x3f);
            }
            assert_eq!(product[at], 0xc1, "{name} {tag}");
            assert_eq!(sum(&all[..8]), 0);
            for at in &all[2..5] {
                let area = &all[usize::from(*at) * 8..];
                let length = usize::from(area[1]) * 8;
                assert_eq!(sum(&area[..length]), 0);
            }
        }
    }
}
