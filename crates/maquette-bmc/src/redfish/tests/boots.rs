//! What is booted next, and with which firmware.

use super::*;
use crate::machine::Firmware;

#[test]
fn of_two_ways_to_ask_for_a_firmware_the_last_one_counts() {
    let bench = bench();
    let system = &bench.systems[0];
    let setting = |mode: &str| {
        let body = json!({"Attributes": {"BootMode": mode}});
        assert_eq!(bench.patch(&format!("{system}/Bios/Settings"), body), 200);
    };
    let boot = |mode: &str| {
        let body = json!({"Boot": {"BootSourceOverrideMode": mode}});
        assert_eq!(bench.patch(system, body), 200);
    };
    let shown = || {
        let mode = bench.get(system)["Boot"]["BootSourceOverrideMode"].clone();
        let setting =
            bench.get(&format!("{system}/Bios/Settings"))["Attributes"]["BootMode"].clone();
        let next = bench.service.bmcs().next().unwrap().state().next_firmware();
        (mode, setting, next)
    };
    let bios = (json!("Legacy"), json!("LegacyBios"), Some(Firmware::Bios));
    let uefi = (json!("UEFI"), json!("Uefi"), None);
    // It has UEFI.
    setting("LegacyBios");
    assert_eq!(shown(), bios);
    boot("UEFI");
    assert_eq!(shown(), uefi);
    boot("Legacy");
    assert_eq!(shown(), bios);
    setting("Uefi");
    assert_eq!(shown(), uefi);
    boot("Legacy");
    let reset = format!("{system}/Bios/Actions/Bios.ResetBios");
    assert_eq!(bench.post(&reset, json!({})), 204);
    assert_eq!(shown(), uefi);
}

#[test]
fn for_how_long_takes_what_is_booted() {
    let bench = bench();
    let system = &bench.systems[0];
    let boot = |boot: Value| bench.asks("admin", Method::Patch, system, json!({"Boot": boot}));
    let alone = boot(json!({"BootSourceOverrideEnabled": "Once"}));
    assert_eq!(alone.status, 400);
    assert!(alone.json().unwrap().to_string().contains("PropertyValueConflict"), "{alone:?}");
    for good in [
        json!({"BootSourceOverrideEnabled": "Disabled"}),
        json!({"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "None"}),
        json!({"BootSourceOverrideTarget": "Pxe"}),
        json!({"BootSourceOverrideEnabled": "Continuous"}),
    ] {
        assert_eq!(boot(good.clone()).status, 200, "{good}");
    }
    assert_eq!(bench.get(system)["Boot"]["BootSourceOverrideEnabled"], "Continuous");
}

#[test]
fn http_is_booted_by_uefi_alone() {
    let bench = bench();
    let system = &bench.systems[0];
    let offered = || {
        let boot = bench.get(system)["Boot"].clone();
        let all = &boot["BootSourceOverrideTarget@Redfish.AllowableValues"];
        all.as_array().unwrap().contains(&json!("UefiHttp"))
    };
    let boot = |boot: Value| bench.patch(system, json!({"Boot": boot}));
    assert!(offered());
    assert_eq!(boot(json!({"BootSourceOverrideMode": "Legacy"})), 200);
    assert!(!offered());
    let http = json!({"BootSourceOverrideTarget": "UefiHttp"});
    assert_eq!(boot(http.clone()), 400);
    let both = json!({"BootSourceOverrideTarget": "UefiHttp", "BootSourceOverrideMode": "UEFI"});
    assert_eq!(boot(both), 200);
    assert_eq!((offered(), boot(http)), (true, 200));
    // A BIOS would go on with PXE.
    assert_eq!(boot(json!({"BootSourceOverrideMode": "Legacy"})), 400);
    let (settings, legacy) = (format!("{system}/Bios/Settings"), json!({"BootMode": "LegacyBios"}));
    assert_eq!(bench.patch(&settings, json!({"Attributes": legacy})), 400);
    let none = json!({"BootSourceOverrideMode": "Legacy", "BootSourceOverrideEnabled": "Disabled"});
    let pxe = json!({"BootSourceOverrideMode": "Legacy", "BootSourceOverrideTarget": "Pxe"});
    assert_eq!((boot(none), boot(pxe)), (200, 200));
    // Its address is DHCP's.
    assert_eq!(boot(json!({"HttpBootUri": "http://192.0.2.1/x.efi"})), 400);
}
