//! Power, and what is booted.

use super::{Answer, Call, Row, code, faulty, level};
use crate::bmc::{Light, Override, Press};
use crate::machine::{Device, Firmware};

/// The commands.
pub const ROWS: &[Row] = &[
    (0x00, 0x00, level::USER, |_| Ok(vec![0, 0x20, 0x20, 0x20, 0x20])),
    (0x00, 0x01, level::USER, status),
    (0x00, 0x02, level::OPERATOR, control),
    (0x00, 0x04, level::OPERATOR, identify),
    (0x00, 0x06, level::OPERATOR, policy),
    // Whoever has started it last, nobody remembers.
    (0x00, 0x07, level::USER, |_| Ok(vec![0, 0])),
    (0x00, 0x08, level::OPERATOR, set_boot),
    (0x00, 0x09, level::USER, get_boot),
];

fn status(call: &mut Call<'_>) -> Answer {
    let power = call.node.bmc.power().map_err(faulty)?;
    let light = match call.node.bmc.light() {
        Light::Off => 0x00,
        Light::Lit => 0x20,
        Light::Blinking => 0x10,
    };
    // After a loss of power it does what it did before (bits 5 and 6); the light can be asked for.
    Ok(vec![u8::from(power.is_on()) | (LAST_STATE << 5), 0, 0x40 | light, 0])
}

fn control(call: &mut Call<'_>) -> Answer {
    let press = match call.byte()? & 0x0f {
        0 => Press::ForceOff,
        1 => Press::On,
        2 => Press::PowerCycle,
        3 => Press::ForceRestart,
        4 => Press::Nmi,
        5 => Press::GracefulShutdown,
        _ => return Err(code::FIELD),
    };
    let bmc = &call.node.bmc;
    let needs_power = matches!(press, Press::PowerCycle | Press::ForceRestart | Press::Nmi);
    if needs_power && !bmc.power().map_err(faulty)?.is_on() {
        return Err(code::STATE);
    }
    bmc.press(press).map_err(faulty)?;
    Ok(Vec::new())
}

/// The light blinks for a time, or shines until it is put out.
fn identify(call: &mut Call<'_>) -> Answer {
    let (seconds, force) = match *call.rest() {
        [] => (15, 0),
        [seconds] => (seconds, 0),
        [seconds, force] => (seconds, force),
        _ => return Err(code::LENGTH),
    };
    let (light, seconds) = match (seconds, force & 1) {
        (_, 1) => (Light::Lit, None),
        (0, _) => (Light::Off, None),
        _ => (Light::Blinking, Some(u64::from(seconds))),
    };
    call.node.bmc.set_light(light, seconds);
    Ok(Vec::new())
}

/// After a loss of power nodes are as they were pressed last.
const LAST_STATE: u8 = 1;

/// Says so, and takes nothing else: bit 1 of the answer.
fn policy(call: &mut Call<'_>) -> Answer {
    match call.byte()? & 7 {
        LAST_STATE | 3 => Ok(vec![0x02]),
        _ => Err(code::FIELD),
    }
}

const PROGRESS: u8 = 0;
const VALID_BITS: u8 = 3;
const ACKNOWLEDGE: u8 = 4;
const FLAGS: u8 = 5;
const INITIATOR: u8 = 6;

/// Flags hold also if nothing is pressed within a minute. All that starts a node uses up what is for once.
const STAY_VALID: u8 = 0x08;

fn set_boot(call: &mut Call<'_>) -> Answer {
    let parameter = call.byte()? & 0x7f;
    match parameter {
        PROGRESS => call.node.memory.setting = call.byte()? & 3,
        // Flags are never cleared by themselves.
        VALID_BITS => {
            call.byte()?;
        }
        ACKNOWLEDGE => {
            call.array::<2>()?;
        }
        FLAGS => {
            let [first, second, _, _, _] = call.array()?;
            return set_flags(call, first, second);
        }
        INITIATOR => call.node.memory.initiator = call.array()?,
        _ => return Err(code::PARAMETER),
    }
    Ok(Vec::new())
}

const VALID: u8 = 0x80;
const PERSISTENT: u8 = 0x40;
const EFI: u8 = 0x20;

/// What a number of a device means.
fn device(number: u8) -> Result<Option<Device>, u8> {
    Ok(Some(match number {
        0 => return Ok(None),
        1 => Device::Pxe,
        // Also in safe mode, and with diagnostics: nodes have one way to boot from a disk.
        2 | 3 | 4 | 0x0b => Device::Hdd,
        5 | 8 | 9 => Device::Cd,
        6 => Device::Setup,
        _ => return Err(code::FIELD),
    }))
}

fn number(device: Option<Device>) -> u8 {
    match device {
        None => 0,
        Some(Device::Pxe | Device::Http) => 1,
        Some(Device::Hdd) => 2,
        Some(Device::Cd) => 5,
        Some(Device::Setup) => 6,
    }
}

/// UEFI can be asked for; a bit that is not set asks for nothing, since clients that know nothing of UEFI leave it so.
fn set_flags(call: &mut Call<'_>, first: u8, second: u8) -> Answer {
    let hardware = call.node.bmc.hardware().map_err(faulty)?;
    let target = if first & VALID == 0 { None } else { device((second >> 2) & 0x0f)? };
    if target.is_some_and(|device| !hardware.boots_from(device)) {
        return Err(code::FIELD);
    }
    let mut state = call.node.bmc.state();
    state.boot.target = target;
    state.boot.enabled = match target {
        None => Override::Disabled,
        Some(_) if first & PERSISTENT != 0 => Override::Continuous,
        Some(_) => Override::Once,
    };
    if first & EFI != 0 && first & VALID != 0 {
        state.choose_mode(Firmware::Uefi, hardware.firmware);
    }
    Ok(Vec::new())
}

fn get_boot(call: &mut Call<'_>) -> Answer {
    let parameter = call.byte()? & 0x7f;
    let mut data = vec![1, parameter];
    match parameter {
        PROGRESS => data.push(call.node.memory.setting),
        VALID_BITS => data.push(STAY_VALID),
        ACKNOWLEDGE => data.extend([0, 0]),
        FLAGS => {
            let firmware = call.node.bmc.hardware().map_err(faulty)?.firmware;
            let state = call.node.bmc.state();
            let boot = &state.boot;
            let mut first = 0;
            if boot.enabled != Override::Disabled {
                first |= VALID;
            }
            if boot.enabled == Override::Continuous {
                first |= PERSISTENT;
            }
            if state.next_firmware().unwrap_or(firmware) == Firmware::Uefi {
                first |= EFI;
            }
            data.extend([first, number(boot.target) << 2, 0, 0, 0]);
        }
        INITIATOR => data.extend(call.node.memory.initiator),
        _ => return Err(code::PARAMETER),
    }
    Ok(data)
}
