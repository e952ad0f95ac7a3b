//! What a system is made of: processors, memory, NICs.

use serde_json::{Value, json};

use super::problem::Problem;
use super::resource::{Found, collection, enabled, resource};
use super::{Call, paths};
use crate::bmc::Bmc;
use crate::machine::{Hardware, Nic};

/// What is below a system.
pub fn find<'a>(call: &'a Call<'a>, bmc: &'a Bmc, rest: &[&'a str]) -> Option<Found<'a>> {
    let path = paths::system(bmc);
    let hardware = match call.hardware(bmc) {
        Ok(hardware) => hardware,
        Err(fault) => return Some(Found::read(move || Err(Problem::from(fault.clone())))),
    };
    let all = |kind: &'static str, below: &'static str, count: usize| {
        let path = format!("{path}/{below}");
        Found::read(move || {
            let members = (0..count).map(|n| format!("{path}/{n}")).collect();
            Ok(collection(&path, kind, below, members))
        })
    };
    let one = |value: Value| Some(Found::read(move || Ok(value.clone())));
    match *rest {
        ["Processors"] => Some(all("ProcessorCollection", "Processors", 1)),
        ["Processors", "0"] => one(processor(&path, &hardware)),
        ["Memory"] => Some(all("MemoryCollection", "Memory", 1)),
        ["Memory", "0"] => one(memory(&path, &hardware)),
        ["EthernetInterfaces"] => {
            Some(all("EthernetInterfaceCollection", "EthernetInterfaces", hardware.nics.len()))
        }
        ["EthernetInterfaces", number] => {
            let (number, nic) = numbered(number, &hardware.nics)?;
            one(interface(&path, number, nic))
        }
        _ => None,
    }
}

/// One of several, by its number.
pub fn numbered<'t, T>(text: &str, all: &'t [T]) -> Option<(usize, &'t T)> {
    let number: usize = text.parse().ok().filter(|n: &usize| n.to_string() == text)?;
    all.get(number).map(|one| (number, one))
}

/// Redfish's words for an architecture, and for its instruction set.
fn architecture(name: &str) -> (&'static str, Option<&'static str>) {
    match name {
        "x86_64" => ("x86", Some("x86-64")),
        "i686" => ("x86", Some("x86")),
        "aarch64" => ("ARM", Some("ARM-A64")),
        "armv7l" => ("ARM", Some("ARM-A32")),
        "ppc64" | "ppc64le" => ("Power", Some("PowerISA")),
        _ => ("OEM", None),
    }
}

fn processor(system: &str, hardware: &Hardware) -> Value {
    let (architecture, instructions) = architecture(&hardware.architecture);
    resource(
        &format!("{system}/Processors/0"),
        "Processor",
        "Processor",
        json!({
            "ProcessorType": "CPU",
            "Socket": "0",
            "ProcessorArchitecture": architecture,
            "InstructionSet": instructions,
            "Manufacturer": "QEMU",
            "Model": hardware.architecture,
            "TotalCores": hardware.vcpus,
            "TotalEnabledCores": hardware.vcpus,
            "TotalThreads": hardware.vcpus,
            "Status": enabled(),
        }),
    )
}

fn memory(system: &str, hardware: &Hardware) -> Value {
    resource(
        &format!("{system}/Memory/0"),
        "Memory",
        "Memory",
        json!({
            "MemoryType": "DRAM",
            "MemoryDeviceType": "DDR4",
            "CapacityMiB": hardware.memory_mib,
            "OperatingSpeedMhz": 3200,
            "Manufacturer": "QEMU",
            "Status": enabled(),
        }),
    )
}

fn interface(system: &str, number: usize, nic: &Nic) -> Value {
    let path = format!("{system}/EthernetInterfaces/{number}");
    resource(
        &path,
        "EthernetInterface",
        &format!("NIC {number}"),
        json!({
            "MACAddress": nic.mac,
            "PermanentMACAddress": nic.mac,
            "InterfaceEnabled": true,
            "LinkStatus": if nic.up { "LinkUp" } else { "LinkDown" },
            "SpeedMbps": 1000,
            "FullDuplex": true,
            "Description": nic.model,
            "Status": enabled(),
        }),
    )
}
