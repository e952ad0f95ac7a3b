//! Chassis: what a node would stand in, with its power supply and its thermometer.

use serde_json::{Value, json};
use uuid::Uuid;

use super::problem::Problem;
use super::resource::{Found, collection, enabled, link, links, resource};
use super::{Call, ROOT, paths, storage, systems};
use crate::bmc::Bmc;

/// What is below the chassis.
pub fn find<'a>(call: &'a Call<'a>, rest: &[&'a str]) -> Option<Found<'a>> {
    let [id, rest @ ..] = rest else {
        return Some(Found::read(move || {
            let all = call.service.bmcs().map(|bmc| paths::chassis(bmc)).collect();
            Ok(collection(&format!("{ROOT}/Chassis"), "ChassisCollection", "Chassis", all))
        }));
    };
    let bmc = call.service.bmc(id)?.as_ref();
    match *rest {
        [] => Some(Found::read(move || chassis(call, bmc))),
        ["Drives", ref rest @ ..] => storage::drives(call, bmc, &paths::chassis(bmc), rest),
        ["Power"] => Some(Found::read(move || power(call, bmc))),
        ["Thermal"] => Some(Found::read(move || Ok(thermal(bmc)))),
        _ => None,
    }
}

fn chassis(call: &Call<'_>, bmc: &Bmc) -> Result<Value, Problem> {
    let path = paths::chassis(bmc);
    let state = systems::power_state(call.power(bmc)?);
    Ok(resource(
        &path,
        "Chassis",
        &format!("Chassis of {}", bmc.name),
        json!({
            "ChassisType": "RackMount",
            "Manufacturer": "Maquette",
            "Model": "Maquette",
            "SerialNumber": bmc.uuid.to_string(),
            "UUID": Uuid::new_v5(&bmc.uuid, b"chassis").to_string(),
            "PowerState": if state == "Off" { "Off" } else { "On" },
            "Status": enabled(),
            "Drives": link(format!("{path}/Drives")),
            "Power": link(format!("{path}/Power")),
            "Thermal": link(format!("{path}/Thermal")),
            "Links": {
                "ComputerSystems": links([paths::system(bmc)]),
                "ManagedBy": links([paths::manager(bmc)]),
            },
        }),
    ))
}

/// What a node that runs is said to draw, and one that does not.
const WATTS: (u32, u32) = (120, 10);

fn power(call: &Call<'_>, bmc: &Bmc) -> Result<Value, Problem> {
    let watts = if call.power(bmc)?.is_on() { WATTS.0 } else { WATTS.1 };
    let path = format!("{}/Power", paths::chassis(bmc));
    Ok(resource(
        &path,
        "Power",
        "Power",
        json!({
            "PowerControl": [{
                "@odata.id": format!("{path}#/PowerControl/0"),
                "MemberId": "0",
                "Name": "System Power Control",
                "PowerConsumedWatts": watts,
                "PowerCapacityWatts": 500,
                "Status": enabled(),
            }],
            "PowerSupplies": [{
                "@odata.id": format!("{path}#/PowerSupplies/0"),
                "MemberId": "0",
                "Name": "Power Supply 0",
                "PowerSupplyType": "AC",
                "LineInputVoltage": 230,
                "PowerCapacityWatts": 500,
                "LastPowerOutputWatts": watts,
                "SerialNumber": format!("{}-0", bmc.uuid),
                "Status": enabled(),
            }],
        }),
    ))
}

/// The temperature that every node is said to have.
pub const INLET_C: u8 = 22;

fn thermal(bmc: &Bmc) -> Value {
    let path = format!("{}/Thermal", paths::chassis(bmc));
    resource(
        &path,
        "Thermal",
        "Thermal",
        json!({
            "Temperatures": [{
                "@odata.id": format!("{path}#/Temperatures/0"),
                "MemberId": "0",
                "Name": "Inlet Temp",
                "SensorNumber": 1,
                "ReadingCelsius": INLET_C,
                "UpperThresholdNonCritical": 42,
                "UpperThresholdCritical": 47,
                "PhysicalContext": "Intake",
                "Status": enabled(),
            }],
            "Fans": [],
        }),
    )
}
