//! Systems: the nodes themselves, their power and what they boot.

use serde_json::{Value, json};

use super::fields::{Fields, shown};
use super::problem::{Message, Problem};
use super::resource::{Done, Found, RequestBody, action, collection, link, links, resource};
use super::{Call, ROOT, bios, inventory, logs, media, paths, storage};
use crate::bmc::{ASSET_TAG, Bmc, Light, Override, Press, State};
use crate::machine::{Device, Firmware, Hardware, Power};

/// What is below the systems.
pub fn find<'a>(call: &'a Call<'a>, rest: &[&'a str]) -> Option<Found<'a>> {
    let [id, rest @ ..] = rest else {
        return Some(Found::read(move || {
            let all = call.service.bmcs().map(|bmc| paths::system(bmc)).collect();
            Ok(collection(&format!("{ROOT}/Systems"), "ComputerSystemCollection", "Systems", all))
        }));
    };
    let bmc = call.service.bmc(id)?.as_ref();
    match *rest {
        [] => Some(
            Found::read(move || system(call, bmc)).patch(move |given| change(call, bmc, given)),
        ),
        ["Actions", "ComputerSystem.Reset"] => {
            Some(Found::action(move |given| reset(call, bmc, given)))
        }
        ["Bios" | "SecureBoot", ..] => bios::find(call, bmc, rest),
        ["Processors" | "Memory" | "EthernetInterfaces", ..] => inventory::find(call, bmc, rest),
        ["Storage" | "SimpleStorage", ..] => storage::find(call, bmc, rest),
        ["LogServices", ..] => logs::find(call, bmc, rest),
        ["VirtualMedia", ref rest @ ..] => media::find(call, bmc, &paths::system(bmc), rest),
        _ => None,
    }
}

const ENABLED: [(&str, Override); 3] = [
    ("Disabled", Override::Disabled),
    ("Once", Override::Once),
    ("Continuous", Override::Continuous),
];

const MODES: [(&str, Firmware); 2] = [("Legacy", Firmware::Bios), ("UEFI", Firmware::Uefi)];

/// What may be booted, with the names that Redfish has for it.
const TARGETS: [(&str, Option<Device>); 6] = [
    ("None", None),
    ("Pxe", Some(Device::Pxe)),
    ("Hdd", Some(Device::Hdd)),
    ("Cd", Some(Device::Cd)),
    ("BiosSetup", Some(Device::Setup)),
    ("UefiHttp", Some(Device::Http)),
];

/// What of that a node has which boots with a firmware: a BIOS knows no HTTP.
fn targets(hardware: &Hardware, firmware: Firmware) -> Vec<(&'static str, Option<Device>)> {
    let has = |device: Device| {
        hardware.boots_from(device) && (device != Device::Http || firmware == Firmware::Uefi)
    };
    TARGETS.into_iter().filter(|(_, device)| device.is_none_or(has)).collect()
}

const LIGHTS: [(&str, Light); 3] =
    [("Off", Light::Off), ("Lit", Light::Lit), ("Blinking", Light::Blinking)];

/// The name of a value in a table of names.
fn name_of<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> &'static str {
    table.iter().find(|(_, known)| known == value).map_or("", |(name, _)| name)
}

/// Redfish's word for what a domain does.
pub fn power_state(power: Power) -> &'static str {
    match power {
        Power::On | Power::Crashed => "On",
        Power::Off => "Off",
        Power::Paused => "Paused",
    }
}

fn boot(state: &State, hardware: &Hardware) -> Value {
    let boot = &state.boot;
    let names = |all: &[&'static str]| json!(all);
    let mode = state.next_firmware().unwrap_or(hardware.firmware);
    let targets = targets(hardware, mode);
    json!({
        "BootSourceOverrideEnabled": name_of(&ENABLED, &boot.enabled),
        "BootSourceOverrideEnabled@Redfish.AllowableValues": names(&ENABLED.map(|(n, _)| n)),
        "BootSourceOverrideTarget": name_of(&TARGETS, &boot.target),
        "BootSourceOverrideTarget@Redfish.AllowableValues":
            names(&targets.iter().map(|(n, _)| *n).collect::<Vec<_>>()),
        "BootSourceOverrideMode": name_of(&MODES, &mode),
        "BootSourceOverrideMode@Redfish.AllowableValues": names(&MODES.map(|(n, _)| n)),
        "HttpBootUri": null,
    })
}

fn system(call: &Call<'_>, bmc: &Bmc) -> Result<Value, Problem> {
    let (hardware, power) = (call.hardware(bmc)?, call.power(bmc)?);
    let light = bmc.light();
    let settings = bmc.settings(hardware.firmware);
    let tag = settings.get(ASSET_TAG).filter(|tag| !tag.is_empty());
    let (path, state) = (paths::system(bmc), bmc.state());
    let ipmi = state.ipmi_port.or(call.service.options.ipmi_port);
    let below = |name: &str| link(format!("{path}/{name}"));
    let presses: Vec<&str> = Press::ALL.iter().map(|(name, _)| *name).collect();
    let health = if power == Power::Crashed { "Critical" } else { "OK" };
    let mut value = resource(
        &path,
        "ComputerSystem",
        &bmc.name,
        json!({
            "SystemType": "Physical",
            "Manufacturer": "Maquette",
            "Model": hardware.machine,
            "SerialNumber": bmc.uuid.to_string(),
            "UUID": bmc.uuid.to_string(),
            "AssetTag": tag,
            "BiosVersion": concat!("maquette-", env!("CARGO_PKG_VERSION")),
            "IndicatorLED": name_of(&LIGHTS, &light),
            "LocationIndicatorActive": light != Light::Off,
            "PowerState": power_state(power),
            "PowerRestorePolicy": "LastState",
            "Status": {"State": if power.is_on() { "Enabled" } else { "StandbyOffline" }, "Health": health},
            "Boot": boot(&state, &hardware),
            "ProcessorSummary": {
                "Count": hardware.vcpus,
                "CoreCount": hardware.vcpus,
                "LogicalProcessorCount": hardware.vcpus,
            },
            "MemorySummary": {"TotalSystemMemoryGiB": gib(hardware.memory_mib)},
            "SerialConsole": {
                "MaxConcurrentSessions": 1,
                "IPMI": {"ServiceEnabled": ipmi.is_some() && hardware.console, "Port": ipmi},
            },
            "Links": {
                "Chassis": links([paths::chassis(bmc)]),
                "ManagedBy": links([paths::manager(bmc)]),
            },
            "Actions": {"#ComputerSystem.Reset":
                action(&path, "ComputerSystem", "Reset", Some(("ResetType", presses)))},
            "Bios": below("Bios"),
            "SecureBoot": below("SecureBoot"),
            "Processors": below("Processors"),
            "Memory": below("Memory"),
            "EthernetInterfaces": below("EthernetInterfaces"),
            "Storage": below("Storage"),
            "SimpleStorage": below("SimpleStorage"),
            "LogServices": below("LogServices"),
            "VirtualMedia": below("VirtualMedia"),
        }),
    );
    if let (None, Some(fields)) = (hardware.secure_boot, value.as_object_mut()) {
        fields.remove("SecureBoot");
    }
    Ok(value)
}

/// Memory in GiB, as a number that may have a fraction.
pub fn gib(mib: u64) -> Value {
    if mib.is_multiple_of(1024) { json!(mib / 1024) } else { json!(mib as f64 / 1024.0) }
}

fn reset(call: &Call<'_>, bmc: &Bmc, given: &RequestBody) -> Result<Done, Problem> {
    let mut fields = Fields::action(given, "ComputerSystem.Reset");
    // The default where nothing is said is the service's choice; none is too easily a mistake.
    fields.required_text("ResetType");
    let press = fields.choice("ResetType", &Press::ALL);
    fields.finish()?;
    let press = press.ok_or_else(Problem::malformed)?;
    if press == Press::GracefulRestart {
        let (name, restart) = (format!("Graceful restart of {}", bmc.name), bmc.restart()?);
        return Ok(Done::Accepted(call.service.task(&name, bmc.uuid, restart)));
    }
    bmc.press(press)?;
    Ok(Done::Nothing)
}

/// A change of what is booted; what is none stays.
#[derive(Default)]
struct BootChange {
    target: Option<Option<Device>>,
    enabled: Option<Override>,
    mode: Option<Firmware>,
}

fn read_boot(fields: &mut Fields<'_>, hardware: &Hardware, firmware: Firmware) -> BootChange {
    let mode = fields.choice("BootSourceOverrideMode", &MODES);
    let possible = targets(hardware, mode.unwrap_or(firmware));
    let target = fields.choice("BootSourceOverrideTarget", &possible);
    let enabled = fields.choice("BootSourceOverrideEnabled", &ENABLED);
    // The firmware has it from DHCP; it cannot be told.
    if let Some(http) =
        fields.optional_text("HttpBootUri").flatten().filter(|http| !http.is_empty())
    {
        fields.wrong(Message::not_in_list("Boot/HttpBootUri", &shown(&json!(http))));
    }
    BootChange { target, enabled, mode }
}

impl BootChange {
    /// Whether somebody says for how long, and nobody has said what.
    fn lacks_target(&self, state: &State) -> bool {
        let is_for_something = self.enabled.is_some_and(|enabled| enabled != Override::Disabled);
        is_for_something && self.target.is_none() && state.boot.target.is_none()
    }

    /// Whether somebody asks for a BIOS, and what is to be booted takes UEFI.
    fn leaves_http(&self, state: &State) -> bool {
        let target = self.target.unwrap_or(state.boot.target);
        let is_kept = self.enabled != Some(Override::Disabled);
        is_kept && (self.mode, target) == (Some(Firmware::Bios), Some(Device::Http))
    }

    fn apply(self, state: &mut State, hardware: &Hardware) {
        if let Some(mode) = self.mode {
            state.choose_mode(mode, hardware.firmware);
        }
        let boot = &mut state.boot;
        if self.target.is_none() && self.enabled.is_none() {
            return;
        }
        if let Some(target) = self.target {
            boot.target = target;
            // Whoever names a device and not for how long means the next boot.
            if target.is_some() && boot.enabled == Override::Disabled {
                boot.enabled = Override::Once;
            }
        }
        boot.enabled = self.enabled.unwrap_or(boot.enabled);
        if boot.target.is_none() || boot.enabled == Override::Disabled {
            boot.target = None;
            boot.enabled = Override::Disabled;
        }
    }
}

fn change(call: &Call<'_>, bmc: &Bmc, given: &RequestBody) -> Result<Done, Problem> {
    let (hardware, current) = (call.hardware(bmc)?, system(call, bmc)?);
    let mut fields = Fields::of(given, &current);
    fields.require_any()?;
    let mut boot = BootChange::default();
    let firmware = bmc.state().next_firmware().unwrap_or(hardware.firmware);
    fields.object("Boot", |fields| boot = read_boot(fields, &hardware, firmware));
    let [enabled, target, mode] =
        ["Enabled", "Target", "Mode"].map(|n| format!("Boot/BootSourceOverride{n}"));
    if boot.lacks_target(&bmc.state()) {
        fields.wrong(Message::conflict(&enabled, &target));
    }
    if boot.leaves_http(&bmc.state()) {
        fields.wrong(Message::conflict(&mode, &target));
    }
    let light = fields.choice("IndicatorLED", &LIGHTS);
    let active = fields.flag("LocationIndicatorActive");
    let tag = fields.optional_text("AssetTag").map(|tag| tag.unwrap_or_default().to_string());
    if let Some(tag) = tag.as_ref().filter(|tag| !bios::is_tag(tag)) {
        fields.wrong(Message::bad_format("AssetTag", &shown(&json!(tag))));
    }
    fields.finish()?;
    let active = active.map(|active| if active { Light::Lit } else { Light::Off });
    if let Some(light) = light.or(active) {
        bmc.set_light(light, None);
    }
    // Only what was asked for: a start meanwhile has used up what it has.
    let mut state = bmc.state();
    boot.apply(&mut state, &hardware);
    if let Some(tag) = tag {
        state.pending.remove(ASSET_TAG);
        state.settings.insert(ASSET_TAG.into(), tag);
    }
    Ok(Done::Changed)
}
