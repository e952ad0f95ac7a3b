//! The LAN, as far as there is anything to know of it: who has the address looks after it.

use super::super::crypto::Suite;
use super::app::channel;
use super::{Answer, Call, Row, code, level};

/// The commands.
pub const ROWS: &[Row] = &[(0x0c, 0x02, level::USER, parameter)];

/// A parameter (IPMI 2.0, 23.2).
fn parameter(call: &mut Call<'_>) -> Answer {
    let revision_only = call.data.0.first().is_some_and(|byte| byte & 0x80 != 0);
    channel(call)?;
    let [parameter, _, _] = call.array()?;
    let mut data = vec![0x11];
    if revision_only {
        return Ok(data);
    }
    match parameter {
        // Nobody is setting anything; there is nothing of IPMI 1.5.
        0 | 1 => data.push(0),
        2 => data.extend([0; 5]),
        3 => data.extend(call.node.address.octets()),
        // The mask and the gateways, which the BMC does not know.
        6 | 12 | 14 => data.extend([0; 4]),
        // Where the address comes from: from whoever looks after the hypervisor.
        4 => data.push(0x04),
        5 | 13 | 15 => data.extend(mac(call)),
        7 => data.extend([0x40, 0x40, 0x10]),
        10 => data.push(0),
        16 => data.extend([0; 18]),
        20 => data.extend([0, 0]),
        21 => data.push(0),
        22 => data.push(Suite::ALL.len() as u8),
        23 => {
            data.push(0);
            data.extend(Suite::ALL.map(|(number, _, _)| number));
        }
        // Administrators may use each of them.
        24 => data.extend([0, 0x44, 0, 0, 0, 0, 0, 0, 0]),
        _ => return Err(code::PARAMETER),
    }
    Ok(data)
}

/// An address of the BMC's own, locally administered, which follows from the node's UUID.
fn mac(call: &Call<'_>) -> [u8; 6] {
    let uuid = call.node.bmc.uuid.into_bytes();
    [0x02, uuid[11], uuid[12], uuid[13], uuid[14], uuid[15]]
}
