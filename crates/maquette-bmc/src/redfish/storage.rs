//! A system's disks: as one controller with its drives, which are in the chassis, and in the older form.

use serde_json::{Value, json};

use super::inventory::numbered;
use super::problem::Problem;
use super::resource::{Found, collection, enabled, link, links, resource};
use super::{Call, paths};
use crate::bmc::Bmc;
use crate::machine::{Disk, Fault, Hardware};

/// What is below a system.
pub fn find<'a>(call: &'a Call<'a>, bmc: &'a Bmc, rest: &[&'a str]) -> Option<Found<'a>> {
    let system = paths::system(bmc);
    let hardware = match call.hardware(bmc) {
        Ok(hardware) => hardware,
        Err(fault) => return Some(Found::read(move || Err(Problem::from(fault.clone())))),
    };
    let disks = &hardware.disks;
    let path = format!("{system}/{}", rest.join("/"));
    let value = match *rest {
        ["SimpleStorage"] => collection(
            &path,
            "SimpleStorageCollection",
            "Simple Storage",
            vec![format!("{path}/1")],
        ),
        ["SimpleStorage", "1"] => simple(&path, disks),
        ["Storage"] => collection(&path, "StorageCollection", "Storage", vec![format!("{path}/1")]),
        ["Storage", "1"] => storage(&path, &paths::chassis(bmc), &hardware),
        ["Storage", "1", "Controllers"] => {
            let all = vec![format!("{path}/1")];
            collection(&path, "StorageControllerCollection", "Controllers", all)
        }
        ["Storage", "1", "Controllers", "1"] => controller(&path, disks),
        ["Storage", "1", "Volumes"] => {
            let value = volumes(&path, disks.len());
            return Some(Found::read(move || Ok(value.clone())).post(|_| {
                let why = "the controller cannot join drives to volumes; each drive is one already";
                Err(Fault::Unsupported(why.into()).into())
            }));
        }
        ["Storage", "1", "Volumes", number] => {
            let (number, disk) = numbered(number, disks)?;
            volume(&path, &format!("{}/Drives/{number}", paths::chassis(bmc)), disk)
        }
        _ => return None,
    };
    Some(Found::read(move || Ok(value.clone())))
}

/// Redfish's word for a bus. QEMU's own has none, and looks like SATA to a guest's tools.
fn protocol(disk: &Disk) -> &'static str {
    match disk.bus.as_str() {
        "scsi" => "SAS",
        "nvme" => "NVMe",
        "usb" => "USB",
        _ => "SATA",
    }
}

fn simple(path: &str, disks: &[Disk]) -> Value {
    let devices: Vec<Value> = disks
        .iter()
        .map(|disk| {
            json!({
                "Name": disk.name,
                "CapacityBytes": disk.bytes,
                "Manufacturer": "QEMU",
                "Model": disk.bus,
                "Status": enabled(),
            })
        })
        .collect();
    resource(path, "SimpleStorage", "Disks", json!({"Devices": devices, "Status": enabled()}))
}

fn storage(path: &str, chassis: &str, hardware: &Hardware) -> Value {
    let drives: Vec<String> =
        (0..hardware.disks.len()).map(|n| format!("{chassis}/Drives/{n}")).collect();
    resource(
        path,
        "Storage",
        "Disks",
        json!({
            "Drives@odata.count": drives.len(),
            "Drives": links(drives),
            "Controllers": link(format!("{path}/Controllers")),
            "Volumes": link(format!("{path}/Volumes")),
            "Status": enabled(),
        }),
    )
}

fn controller(path: &str, disks: &[Disk]) -> Value {
    let mut protocols: Vec<&str> = disks.iter().map(protocol).collect();
    protocols.sort_unstable();
    protocols.dedup();
    resource(
        path,
        "StorageController",
        "Controller",
        json!({
            "Manufacturer": "QEMU",
            "Model": "virtio",
            "SupportedControllerProtocols": ["PCIe"],
            "SupportedDeviceProtocols": protocols,
            "Status": enabled(),
        }),
    )
}

/// What is below a chassis.
pub fn drives<'a>(
    call: &'a Call<'a>,
    bmc: &'a Bmc,
    chassis: &str,
    rest: &[&'a str],
) -> Option<Found<'a>> {
    let disks = match call.hardware(bmc) {
        Ok(hardware) => hardware.disks,
        Err(fault) => return Some(Found::read(move || Err(Problem::from(fault.clone())))),
    };
    let path = format!("{chassis}/Drives");
    let value = match *rest {
        [] => {
            let all = (0..disks.len()).map(|n| format!("{path}/{n}")).collect();
            collection(&path, "DriveCollection", "Drives", all)
        }
        [number] => {
            let (number, disk) = numbered(number, &disks)?;
            drive(&format!("{path}/{number}"), disk)
        }
        _ => return None,
    };
    Some(Found::read(move || Ok(value.clone())))
}

fn drive(path: &str, disk: &Disk) -> Value {
    resource(
        path,
        "Drive",
        &disk.name,
        json!({
            "CapacityBytes": disk.bytes,
            "MediaType": "SSD",
            "Protocol": protocol(disk),
            "Manufacturer": "QEMU",
            "Model": disk.bus,
            "SerialNumber": disk.serial,
            "Status": enabled(),
        }),
    )
}

fn volumes(path: &str, count: usize) -> Value {
    let all = (0..count).map(|number| format!("{path}/{number}")).collect();
    let mut value = collection(path, "VolumeCollection", "Volumes", all);
    if let Some(fields) = value.as_object_mut() {
        let times = json!({
            "@odata.type": "#Settings.v1_3_5.OperationApplyTimeSupport",
            "SupportedValues": ["Immediate", "OnReset"],
        });
        fields.insert("@Redfish.OperationApplyTimeSupport".into(), times);
    }
    value
}

fn volume(path: &str, drive: &str, disk: &Disk) -> Value {
    resource(
        path,
        "Volume",
        &disk.name,
        json!({
            "CapacityBytes": disk.bytes,
            "RAIDType": "None",
            "Status": enabled(),
            "Links": {"Drives": links([drive])},
        }),
    )
}
