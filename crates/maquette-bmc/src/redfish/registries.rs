//! The registry of the firmware's settings.

use serde_json::{Value, json};

use super::paths::BIOS_REGISTRY as BIOS;
use super::resource::{Found, collection, resource};
use super::{Call, ROOT, bios, schema};
use crate::bmc::{ASSET_TAG, BOOT_MODE};

/// What is below the registries.
pub fn find<'a>(_call: &'a Call<'a>, rest: &[&'a str]) -> Option<Found<'a>> {
    let base = format!("{ROOT}/Registries");
    Some(match *rest {
        [] => Found::read(move || {
            let all = vec![format!("{base}/{BIOS}")];
            Ok(collection(&base, "MessageRegistryFileCollection", "Registries", all))
        }),
        [BIOS] => Found::read(move || {
            let path = format!("{base}/{BIOS}");
            Ok(resource(
                &path,
                "MessageRegistryFile",
                "BIOS Attribute Registry",
                json!({
                    "Registry": BIOS,
                    "Languages": ["en"],
                    "Location": [{"Language": "en", "Uri": format!("{path}/Registry")}],
                }),
            ))
        }),
        [BIOS, "Registry"] => Found::read(|| Ok(registry())),
        _ => return None,
    })
}

fn registry() -> Value {
    let modes: Vec<Value> = bios::MODES
        .iter()
        .map(|mode| json!({"ValueName": mode, "ValueDisplayName": mode}))
        .collect();
    json!({
        "@odata.type": schema::odata_type("AttributeRegistry"),
        "Id": BIOS,
        "Name": "BIOS Attribute Registry",
        "Language": "en",
        "RegistryVersion": "1.0.0",
        "OwningEntity": "Maquette",
        "RegistryEntries": {"Attributes": [
            {
                "AttributeName": BOOT_MODE,
                "DisplayName": "Firmware that the system boots with",
                "Type": "Enumeration",
                "Value": modes,
                "ReadOnly": false,
                "ResetRequired": true,
            },
            {
                "AttributeName": ASSET_TAG,
                "DisplayName": "Asset tag",
                "Type": "String",
                "MinLength": 0,
                "MaxLength": bios::TAG,
                "ReadOnly": false,
                "ResetRequired": true,
            },
        ]},
    })
}
