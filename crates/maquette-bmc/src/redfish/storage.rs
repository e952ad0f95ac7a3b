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
    let first = || vec![format!("{path}/1")];
    let value = match *rest {
        ["SimpleStorage"] => {
            Ok(collection(&path, "SimpleStorageCollection", "Simple Storage", first()))
        }
        ["SimpleStorage", "1"] => call.sizes(bmc).map(|sizes| simple(&path, disks, &sizes)),
        ["Storage"] => Ok(collection(&path, "StorageCollection", "Storage", first())),
        ["Storage", "1"] => Ok(storage(&path, &paths::chassis(bmc), &hardware)),
        ["Storage", "1", "Controllers"] => {
            Ok(collection(&path, "StorageControllerCollection", "Controllers", first()))
        }
        ["Storage", "1", "Controllers", "1"] => Ok(controller(&path, disks)),
        ["Storage", "1", "Volumes"] => {
            let value = volumes(&path, disks.len());
            return Some(Found::read(move || Ok(value.clone())).post(|_| {
                let why = "the controller cannot join drives to volumes; each drive is one already";
                Err(Fault::Unsupported(why.into()).into())
            }));
        }
        ["Storage", "1", "Volumes", number] => {
            let (number, disk) = numbered(number, disks)?;
            let drive = format!("{}/Drives/{number}", paths::chassis(bmc));
            call.sizes(bmc).map(|sizes| volume(&path, &drive, disk, size(&sizes, number)))
        }
        _ => return None,
    };
    Some(Found::read(move || value.clone().map_err(Problem::from)))
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

/// The size of a disk by its place; none where that is not known.
fn size(sizes: &[Option<u64>], number: usize) -> Option<u64> {
    sizes.get(number).copied().flatten()
}

fn simple(path: &str, disks: &[Disk], sizes: &[Option<u64>]) -> Value {
    let devices: Vec<Value> = disks
        .iter()
        .enumerate()
        .map(|(number, disk)| {
            json!({
                "Name": disk.name,
                "CapacityBytes": size(sizes, number),
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
            Ok(collection(&path, "DriveCollection", "Drives", all))
        }
        [number] => {
            let (number, disk) = numbered(number, &disks)?;
            let path = format!("{path}/{number}");
            call.sizes(bmc).map(|sizes| drive(&path, disk, size(&sizes, number)))
        }
        _ => return None,
    };
    Some(Found::read(move || value.clone().map_err(Problem::from)))
}

fn drive(path: &str, disk: &Disk, bytes: Option<u64>) -> Value {
    resource(
        path,
        "Drive",
        &disk.name,
        json!({
            "CapacityBytes": bytes,
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

fn volume(path: &str, drive: &str, disk: &Disk, bytes: Option<u64>) -> Value {
    resource(
        path,
        "Volume",
        &disk.name,
        json!({
            "CapacityBytes": bytes,
            "RAIDType": "None",
            "Status": enabled(),
            "Links": {"Drives": links([drive])},
        }),
    )
}
