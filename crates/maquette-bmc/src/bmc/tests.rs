use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::model::Model;

fn bmc() -> (Bmc, Arc<Model>, Arc<AtomicU64>) {
    let (model, time) = (Arc::new(Model::new()), Arc::new(AtomicU64::new(1_000)));
    let clock = Clock::from({
        let time = time.clone();
        move || time.load(Ordering::Relaxed)
    });
    (Bmc::new("web-0", Uuid::nil(), model.clone(), clock), model, time)
}

fn boot(bmc: &Bmc, target: Device, enabled: Override) {
    let mut state = bmc.state();
    state.boot.target = Some(target);
    state.boot.enabled = enabled;
}

#[test]
fn once_is_once_and_continuous_stays() {
    let (bmc, model, _) = bmc();
    boot(&bmc, Device::Pxe, Override::Once);
    bmc.press(Press::On).unwrap();
    bmc.press(Press::PowerCycle).unwrap();
    boot(&bmc, Device::Cd, Override::Continuous);
    bmc.press(Press::PowerCycle).unwrap();
    bmc.press(Press::PowerCycle).unwrap();
    let first: Vec<_> = model.starts().iter().map(|start| (start.first, start.once)).collect();
    let cd = (Some(Device::Cd), false);
    assert_eq!(first, [(Some(Device::Pxe), true), (None, false), cd, cd]);
}

/// QEMU keeps its boot order over a reset, so that a node with another one has to be started anew.
#[test]
fn a_restart_heeds_what_was_asked_for() {
    let (bmc, model, _) = bmc();
    bmc.press(Press::On).unwrap();
    bmc.press(Press::ForceRestart).unwrap();
    assert_eq!(model.starts().len(), 1);
    boot(&bmc, Device::Pxe, Override::Once);
    bmc.press(Press::ForceRestart).unwrap();
    assert_eq!(model.starts().len(), 2);
    bmc.state().boot.mode = Some(Firmware::Uefi);
    bmc.press(Press::ForceRestart).unwrap();
    assert_eq!(bmc.hardware().unwrap().firmware, Firmware::Uefi);
    assert_eq!(bmc.state().boot.mode, None);
}

#[test]
fn what_fails_to_start_keeps_its_boot_device() {
    let (bmc, model, _) = bmc();
    boot(&bmc, Device::Pxe, Override::Once);
    model.fail(Some(Fault::Failed("no memory".into())));
    assert!(bmc.press(Press::On).is_err());
    model.fail(None);
    bmc.press(Press::On).unwrap();
    assert_eq!(model.starts().last().unwrap().first, Some(Device::Pxe));
}

#[test]
fn a_graceful_restart_waits_for_the_guest_and_not_for_ever() {
    let (bmc, model, time) = bmc();
    bmc.press(Press::On).unwrap();
    bmc.press(Press::GracefulRestart).unwrap();
    assert!(bmc.waits());
    bmc.tick().unwrap();
    assert_eq!(model.starts().len(), 1);
    model.guest_shuts_down();
    bmc.tick().unwrap();
    assert_eq!((model.starts().len(), bmc.waits()), (2, false));
    bmc.press(Press::GracefulRestart).unwrap();
    time.fetch_add(PATIENCE_S, Ordering::Relaxed);
    bmc.tick().unwrap();
    assert_eq!((model.starts().len(), bmc.waits()), (3, false));
}

#[test]
fn what_happens_is_logged_also_if_somebody_else_does_it() {
    let (bmc, model, _) = bmc();
    bmc.press(Press::On).unwrap();
    model.guest_shuts_down();
    bmc.power().unwrap();
    model.start(Start::PLAIN).unwrap();
    bmc.power().unwrap();
    let what: Vec<What> = bmc.state().log.entries().iter().map(|entry| entry.what).collect();
    assert_eq!(what, [What::PowerOn, What::PowerOff, What::PowerOn]);
}

#[test]
fn a_watchdog_that_runs_out_acts_once() {
    let (bmc, model, time) = bmc();
    bmc.press(Press::On).unwrap();
    {
        let mut state = bmc.state();
        (state.watchdog.timeout, state.watchdog.countdown) = (Timeout::Off, 50);
        state.watchdog.restart(bmc.now());
    }
    bmc.tick().unwrap();
    assert_eq!(model.power().unwrap(), Power::On);
    time.fetch_add(5, Ordering::Relaxed);
    bmc.tick().unwrap();
    assert_eq!((model.power().unwrap(), bmc.waits()), (Power::Off, false));
}
