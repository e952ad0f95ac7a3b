//! Settings of the firmware, and Secure Boot: what is asked for holds from the next start on.

use serde_json::{Value, json};

use super::fields::{Fields, shown};
use super::problem::{Message, Problem};
use super::resource::{Done, Found, RequestBody, action, link, resource};
use super::{Call, paths};
use crate::bmc::{ASSET_TAG, BOOT_MODE, Bmc, Settings, default_settings};
use crate::machine::Device;

/// What is below a system.
pub fn find<'a>(call: &'a Call<'a>, bmc: &'a Bmc, rest: &[&'a str]) -> Option<Found<'a>> {
    Some(match *rest {
        ["Bios"] => Found::read(move || current(call, bmc)),
        ["Bios", "Settings"] => {
            Found::read(move || pending(call, bmc)).patch(move |given| change(call, bmc, given))
        }
        ["Bios", "Actions", "Bios.ResetBios"] => {
            Found::action(move |given| reset(call, bmc, given))
        }
        ["SecureBoot"] => {
            // Without UEFI there is none.
            call.hardware(bmc).ok().filter(|hardware| hardware.secure_boot.is_some())?;
            Found::read(move || secure_boot(call, bmc))
                .patch(move |given| change_secure_boot(call, bmc, given))
        }
        _ => return None,
    })
}

/// Values of the firmware's kind.
pub const MODES: [&str; 2] = [LEGACY, "Uefi"];
const LEGACY: &str = "LegacyBios";
/// Longest asset tag.
pub const TAG: usize = 64;

/// Whether text can be an asset tag.
pub fn is_tag(text: &str) -> bool {
    text.chars().count() <= TAG && !text.chars().any(char::is_control)
}

fn attributes(settings: &Settings) -> Value {
    settings.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
}

fn current(call: &Call<'_>, bmc: &Bmc) -> Result<Value, Problem> {
    let hardware = call.hardware(bmc)?;
    let path = format!("{}/Bios", paths::system(bmc));
    Ok(resource(
        &path,
        "Bios",
        "BIOS Configuration",
        json!({
            "AttributeRegistry": paths::BIOS_REGISTRY,
            "Attributes": attributes(&bmc.settings(hardware.firmware)),
            "@Redfish.Settings": {
                "@odata.type": "#Settings.v1_3_5.Settings",
                "SettingsObject": link(format!("{path}/Settings")),
                "SupportedApplyTimes": ["OnReset"],
                "Messages": [],
            },
            "Actions": {"#Bios.ResetBios": action(&path, "Bios", "ResetBios", None)},
        }),
    ))
}

/// The settings as they will be.
fn pending(call: &Call<'_>, bmc: &Bmc) -> Result<Value, Problem> {
    let hardware = call.hardware(bmc)?;
    let path = format!("{}/Bios/Settings", paths::system(bmc));
    let mut settings = bmc.settings(hardware.firmware);
    {
        let state = bmc.state();
        if let Some(mode) = state.boot.mode {
            settings.extend(default_settings(mode).remove_entry(BOOT_MODE));
        }
        settings.extend(state.pending.clone());
    }
    Ok(resource(
        &path,
        "Bios",
        "BIOS Configuration Pending Settings",
        json!({
            "AttributeRegistry": paths::BIOS_REGISTRY,
            "Attributes": attributes(&settings),
        }),
    ))
}

fn change(call: &Call<'_>, bmc: &Bmc, given: &RequestBody) -> Result<Done, Problem> {
    let (current, hardware) = (pending(call, bmc)?, call.hardware(bmc)?);
    let mut fields = Fields::of(given, &current);
    fields.require_any()?;
    let (mut mode, mut tag) = (None, None);
    fields.object("Attributes", |fields| {
        mode = fields.choice(BOOT_MODE, &MODES.map(|mode| (mode, mode)));
        tag = fields.text(ASSET_TAG);
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            fields.wrong(Message::bad_format("Attributes/AssetTag", &shown(&json!(tag))));
        }
    });
    // A BIOS would go on with PXE.
    if mode == Some(LEGACY) && bmc.state().boot.target == Some(Device::Http) {
        let (mode, target) = ("Attributes/BootMode", "Boot/BootSourceOverrideTarget");
        fields.wrong(Message::conflict(mode, target));
    }
    // When settings are applied; there is one time for it.
    fields.finish()?;
    if let Some(apply) = given.get("@Redfish.SettingsApplyTime") {
        let time = apply.get("ApplyTime").and_then(Value::as_str);
        if time.is_some_and(|time| time != "OnReset") {
            let name = "@Redfish.SettingsApplyTime/ApplyTime";
            return Err(Message::not_in_list(name, &shown(apply)).into());
        }
    }
    let before = bmc.settings(hardware.firmware);
    let mut state = bmc.state();
    for (name, value) in [(BOOT_MODE, mode), (ASSET_TAG, tag)] {
        let Some(value) = value else { continue };
        if name == BOOT_MODE {
            // Of two ways to ask for a firmware the last one counts.
            state.boot.mode = None;
        }
        if before.get(name).is_some_and(|before| before == value) {
            state.pending.remove(name);
        } else {
            state.pending.insert(name.into(), value.into());
        }
    }
    Ok(Done::Changed)
}

fn reset(call: &Call<'_>, bmc: &Bmc, given: &RequestBody) -> Result<Done, Problem> {
    Fields::action(given, "Bios.ResetBios").finish()?;
    let firmware = call.hardware(bmc)?.firmware;
    let before = bmc.settings(firmware);
    let mut state = bmc.state();
    state.boot.mode = None;
    state.pending = default_settings(firmware);
    state.pending.retain(|name, value| before.get(name) != Some(value));
    Ok(Done::Nothing)
}

fn secure_boot(call: &Call<'_>, bmc: &Bmc) -> Result<Value, Problem> {
    let is_on = call.hardware(bmc)?.secure_boot.unwrap_or(false);
    let wanted = bmc.state().secure_boot.unwrap_or(is_on);
    let path = format!("{}/SecureBoot", paths::system(bmc));
    Ok(resource(
        &path,
        "SecureBoot",
        "UEFI Secure Boot",
        json!({
            "SecureBootEnable": wanted,
            "SecureBootCurrentBoot": if is_on { "Enabled" } else { "Disabled" },
            "SecureBootMode": "UserMode",
        }),
    ))
}

fn change_secure_boot(call: &Call<'_>, bmc: &Bmc, given: &RequestBody) -> Result<Done, Problem> {
    let (current, is_on) = (secure_boot(call, bmc)?, call.hardware(bmc)?.secure_boot);
    let mut fields = Fields::of(given, &current);
    fields.require_any()?;
    let wanted = fields.flag("SecureBootEnable");
    fields.finish()?;
    if wanted.is_some() {
        bmc.state().secure_boot = wanted.filter(|_| wanted != is_on);
    }
    Ok(Done::Changed)
}
