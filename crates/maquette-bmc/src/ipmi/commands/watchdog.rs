//! The watchdog timer.

use super::{Answer, Call, Row, code, level};
use crate::bmc::{NMI, Timeout};

/// The commands.
pub const ROWS: &[Row] = &[
    (0x06, 0x22, level::OPERATOR, restart),
    (0x06, 0x24, level::OPERATOR, set),
    (0x06, 0x25, level::USER, get),
];

fn restart(call: &mut Call<'_>) -> Answer {
    let now = call.node.bmc.steady();
    let timer = &mut call.node.bmc.state().watchdog;
    if !timer.is_set {
        return Err(code::PARAMETER);
    }
    timer.restart(now);
    Ok(Vec::new())
}

fn set(call: &mut Call<'_>) -> Answer {
    let [user, actions, before_s, clear] = call.array()?;
    let countdown = call.u16()?;
    let timeout = Timeout::from_number(actions & 7).ok_or(code::FIELD)?;
    let before = (actions >> 4) & 7;
    // Of what may happen before there is nothing and an NMI; it cannot be longer before the end than all lasts (27.6).
    let too_early = before != 0 && u16::from(before_s) * 10 > countdown;
    if !(1..=5).contains(&(user & 7)) || ![0, NMI].contains(&before) || too_early {
        return Err(code::FIELD);
    }
    let now = call.node.bmc.steady();
    let timer = &mut call.node.bmc.state().watchdog;
    let (runs, expired) = (timer.runs(), timer.expired & !clear);
    timer.stop();
    timer.is_set = true;
    timer.user = user & 7;
    timer.dont_log = user & 0x80 != 0;
    (timer.timeout, timer.before, timer.before_s) = (timeout, before, before_s);
    (timer.expired, timer.countdown) = (expired, countdown);
    // Setting it stops it, unless that is not wanted.
    if runs && user & 0x40 != 0 {
        timer.restart(now);
    }
    Ok(Vec::new())
}

fn get(call: &mut Call<'_>) -> Answer {
    let timer = call.node.bmc.state().watchdog;
    let runs = if timer.runs() { 0x40 } else { 0 };
    let log = if timer.dont_log { 0x80 } else { 0 };
    let actions = timer.before << 4 | timer.timeout.number();
    let mut data = vec![log | runs | timer.user, actions, timer.before_s, timer.expired];
    data.extend(timer.countdown.to_le_bytes());
    data.extend(timer.left(call.node.bmc.steady()).to_le_bytes());
    Ok(data)
}
