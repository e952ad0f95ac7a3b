use std::sync::atomic::{AtomicU64, Ordering};

use super::press::PATIENCE_S;
use super::*;
use crate::machine::{Start, Started};
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

/// Has a call fail, and everything after it, until the machine [`works`].
fn fails_at(model: &Arc<Model>, at: &'static str, fault: Fault) {
    let shared = Arc::downgrade(model);
    model.hook(move |call| {
        if let Some(model) = shared.upgrade().filter(|_| call == at) {
            model.fail(Some(fault.clone()));
        }
    });
}

fn works(model: &Model) {
    model.hook(|_| ());
    model.fail(None);
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

/// Whoever calls for it: `ipmitool chassis bootdev pxe`, and then `reboot` in the guest.
#[test]
fn a_reboot_of_the_guests_own_boots_as_it_was_asked_for() {
    let (bmc, model, time) = bmc();
    bmc.press(Press::On).unwrap();
    // Nobody has asked for anything.
    bmc.rebooted().unwrap();
    assert_eq!(model.starts().len(), 1);
    boot(&bmc, Device::Pxe, Override::Once);
    bmc.rebooted().unwrap();
    assert_eq!(bmc.state().boot.target, None);
    bmc.rebooted().unwrap();
    boot(&bmc, Device::Cd, Override::Continuous);
    bmc.rebooted().unwrap();
    // It runs with that already.
    bmc.rebooted().unwrap();
    boot(&bmc, Device::Hdd, Override::Disabled);
    bmc.rebooted().unwrap();
    bmc.state().pending.insert(ASSET_TAG.into(), "rack 7".into());
    bmc.rebooted().unwrap();
    let first: Vec<_> = model.starts().iter().map(|start| start.first).collect();
    assert_eq!(first, [None, Some(Device::Pxe), Some(Device::Cd), None, None]);
    assert_eq!((bmc.power(), bmc.waits()), (Ok(Power::On), false));
    assert_eq!(bmc.state().settings[ASSET_TAG], "rack 7");
    // That was the button, and what is asked for after it is for the next boot.
    bmc.press(Press::ForceRestart).unwrap();
    boot(&bmc, Device::Pxe, Override::Once);
    bmc.rebooted().unwrap();
    assert_eq!(model.starts().len(), first.len());
    time.fetch_add(10, Ordering::Relaxed);
    // What fails is tried again.
    fails_at(&model, "start", Fault::Failed("busy".into()));
    assert!(bmc.rebooted().is_err() && bmc.waits());
    works(&model);
    bmc.tick().unwrap();
    assert_eq!((bmc.power(), bmc.waits()), (Ok(Power::On), false));
    assert_eq!(model.starts().last().unwrap().first, Some(Device::Pxe));
}

#[test]
fn a_start_without_the_image_in_the_drive_is_logged() {
    let (bmc, model, _) = bmc();
    bmc.insert(Some(Image { url: "http://h/x.iso".into(), verify: true })).unwrap();
    model.lose_image();
    bmc.press(Press::On).unwrap();
    assert_eq!(bmc.power(), Ok(Power::On));
    assert_eq!(bmc.state().log.entries().last().unwrap().what, What::MediaUnread);
    assert!(bmc.state().media.is_some());
}

/// QEMU keeps its boot order over a reset, so that a node with another one has to be started again.
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
fn a_node_that_was_suspended_goes_on_unless_another_boot_was_asked_for() {
    let (bmc, model, _) = bmc();
    assert!(matches!(bmc.press(Press::Suspend), Err(Fault::State(_))));
    bmc.press(Press::On).unwrap();
    bmc.press(Press::Suspend).unwrap();
    assert_eq!((bmc.power(), model.woken()), (Ok(Power::Off), 0));
    bmc.press(Press::On).unwrap();
    assert_eq!(model.woken(), 1);
    bmc.press(Press::Suspend).unwrap();
    boot(&bmc, Device::Pxe, Override::Once);
    bmc.press(Press::On).unwrap();
    assert_eq!((model.woken(), model.starts().last().unwrap().first), (1, Some(Device::Pxe)));
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

/// Two seconds that pass, and what is looked after in them.
fn tick(bmc: &Bmc, time: &AtomicU64) {
    for _ in 0..2 {
        time.fetch_add(1, Ordering::Relaxed);
        let _ = bmc.tick();
    }
}

#[test]
fn a_later_press_holds_and_not_a_restart_that_waits() {
    for later in [Press::ForceOff, Press::GracefulShutdown, Press::PushPowerButton] {
        let (bmc, model, time) = bmc();
        bmc.press(Press::On).unwrap();
        let number = bmc.restart().unwrap();
        assert_eq!(bmc.outcome(number), Outcome::Waits);
        bmc.press(later).unwrap();
        model.guest_shuts_down();
        tick(&bmc, &time);
        assert_eq!((model.starts().len(), bmc.waits()), (1, false), "{later:?}");
        assert_eq!(bmc.outcome(number), Outcome::Cancelled, "{later:?}");
        assert_eq!(bmc.power(), Ok(Power::Off), "{later:?}");
    }
}

#[test]
fn a_press_that_leaves_a_restart_as_it_is_does_not_end_it() {
    for other in [Press::On, Press::Nmi, Press::Pause, Press::GracefulRestart] {
        let (bmc, model, time) = bmc();
        bmc.press(Press::On).unwrap();
        let number = bmc.restart().unwrap();
        bmc.press(other).unwrap();
        model.guest_shuts_down();
        // Once more, before anybody has seen that it is off.
        bmc.press(Press::GracefulRestart).unwrap();
        tick(&bmc, &time);
        assert_eq!((model.starts().len(), bmc.outcome(number)), (2, Outcome::Done), "{other:?}");
    }
}

/// The tick waits for a power cycle that is under way, and finds the restart done.
#[test]
fn a_power_cycle_during_a_restart_starts_the_node_once() {
    let (bmc, model, _) = bmc();
    let bmc = Arc::new(bmc);
    bmc.press(Press::On).unwrap();
    bmc.press(Press::GracefulRestart).unwrap();
    let (begun, ticking) = std::sync::mpsc::channel();
    let (begun, other) = (Mutex::new(Some(begun)), bmc.clone());
    model.hook(move |call| {
        // In the middle of the cycle, where the node is off.
        if call == "start"
            && let Some(begun) = begun.lock().unwrap().take()
        {
            let other = other.clone();
            begun.send(std::thread::spawn(move || other.tick())).unwrap();
        }
    });
    bmc.press(Press::PowerCycle).unwrap();
    ticking.recv().unwrap().join().unwrap().unwrap();
    assert_eq!(model.starts().len(), 2);
}

#[test]
fn a_restart_that_fails_is_tried_again_and_told_of_if_that_does_not_help() {
    let (bmc, model, time) = bmc();
    bmc.press(Press::On).unwrap();
    let number = bmc.restart().unwrap();
    model.guest_shuts_down();
    model.fail(Some(Fault::Failed("no memory".into())));
    tick(&bmc, &time);
    model.fail(None);
    tick(&bmc, &time);
    assert_eq!((model.starts().len(), bmc.outcome(number)), (2, Outcome::Done));
    let number = bmc.restart().unwrap();
    model.guest_shuts_down();
    model.fail(Some(Fault::Failed("no memory".into())));
    for _ in 0..PATIENCE_S {
        tick(&bmc, &time);
    }
    assert_eq!(bmc.outcome(number), Outcome::Failed("no memory".into()));
    assert!(!bmc.waits());
}

#[test]
fn what_is_asked_for_during_a_start_is_for_the_next_one() {
    let (bmc, model, _) = bmc();
    let bmc = Arc::new(bmc);
    boot(&bmc, Device::Pxe, Override::Once);
    bmc.state().pending.insert(ASSET_TAG.into(), "rack 1".into());
    let other = bmc.clone();
    model.hook(move |call| {
        if call == "start" {
            boot(&other, Device::Cd, Override::Once);
            other.state().boot.mode = Some(Firmware::Bios);
            other.state().pending.insert(ASSET_TAG.into(), "rack 2".into());
        }
    });
    bmc.press(Press::On).unwrap();
    assert_eq!(bmc.settings(Firmware::Uefi)[ASSET_TAG], "rack 1");
    assert_eq!(bmc.state().boot.target, Some(Device::Cd));
    assert_eq!(bmc.state().boot.mode, Some(Firmware::Bios));
    assert_eq!(bmc.state().pending[ASSET_TAG], "rack 2");
}

fn watched(timeout: Timeout) -> (Bmc, Arc<Model>, Arc<AtomicU64>) {
    let (bmc, model, time) = bmc();
    bmc.press(Press::On).unwrap();
    {
        let mut state = bmc.state();
        (state.watchdog.timeout, state.watchdog.countdown) = (timeout, 50);
        state.watchdog.restart(bmc.steady());
    }
    (bmc, model, time)
}

#[test]
fn a_watchdog_does_not_start_a_node_that_is_off() {
    for timeout in [Timeout::Reset, Timeout::Cycle] {
        let (bmc, model, time) = watched(timeout);
        bmc.press(Press::ForceOff).unwrap();
        assert!(!bmc.waits());
        // Also if nobody has seen that it went off.
        let (other, shut, passed) = watched(timeout);
        shut.guest_shuts_down();
        for (bmc, model, time) in [(&bmc, &model, &time), (&other, &shut, &passed)] {
            time.fetch_add(100, Ordering::Relaxed);
            bmc.tick().unwrap();
            assert_eq!((model.starts().len(), model.power()), (1, Ok(Power::Off)), "{timeout:?}");
            assert!(bmc.state().log.entries().iter().all(|e| e.what != What::WatchdogExpired));
        }
    }
}

#[test]
fn a_watchdog_whose_action_fails_tries_it_again_and_logs_as_it_is_told() {
    let (bmc, model, time) = watched(Timeout::Off);
    bmc.state().watchdog.dont_log = true;
    time.fetch_add(5, Ordering::Relaxed);
    fails_at(&model, "destroy", Fault::Failed("busy".into()));
    assert!(bmc.tick().is_err());
    works(&model);
    tick(&bmc, &time);
    assert_eq!((model.power(), bmc.waits()), (Ok(Power::Off), false));
    assert!(bmc.state().log.entries().iter().all(|e| e.what != What::WatchdogExpired));
}

#[test]
fn a_watchdog_sends_its_interrupt_before_its_end_and_once() {
    let (bmc, model, time) = watched(Timeout::Off);
    {
        let mut state = bmc.state();
        (state.watchdog.before, state.watchdog.before_s) = (NMI, 2);
        state.watchdog.countdown = 50;
        state.watchdog.restart(bmc.steady());
    }
    for (passed, interrupts, power) in
        [(0, 0, Power::On), (3, 1, Power::On), (1, 1, Power::On), (1, 1, Power::Off)]
    {
        time.fetch_add(passed, Ordering::Relaxed);
        bmc.tick().unwrap();
        assert_eq!((model.presses().1, model.power()), (interrupts, Ok(power)), "{passed}");
    }
}

#[test]
fn a_time_that_is_set_fires_nothing() {
    let model = Arc::new(Model::new());
    let time = Arc::new(AtomicU64::new(1_000));
    let shown = time.clone();
    let clock = Clock::of(move || shown.load(Ordering::Relaxed), || 7);
    let bmc = Bmc::new("web-0", Uuid::nil(), model.clone(), clock);
    bmc.press(Press::On).unwrap();
    bmc.press(Press::GracefulRestart).unwrap();
    time.store(1_000_000, Ordering::Relaxed);
    bmc.tick().unwrap();
    assert_eq!((model.starts().len(), bmc.waits()), (1, true));
}

#[test]
fn a_node_that_stands_still_is_reset_all_the_same() {
    let (bmc, model, _) = bmc();
    bmc.press(Press::On).unwrap();
    for stands in [Power::Paused, Power::Crashed] {
        model.stand(stands);
        bmc.press(Press::ForceRestart).unwrap();
        assert_eq!(bmc.power(), Ok(Power::On), "{stands:?}");
    }
    assert_eq!((model.starts().len(), model.presses().0), (3, 0));
    // Who switches it on has it run.
    model.stand(Power::Paused);
    bmc.press(Press::On).unwrap();
    assert_eq!((bmc.power(), model.starts().len()), (Ok(Power::On), 3));
}

#[test]
fn a_node_that_cannot_be_reset_into_its_own_order_is_started_anew() {
    let (bmc, model, _) = bmc();
    bmc.press(Press::On).unwrap();
    bmc.press(Press::ForceRestart).unwrap();
    assert_eq!((model.starts().len(), model.presses().0), (1, 1));
    model.keep_order();
    bmc.press(Press::ForceRestart).unwrap();
    assert_eq!((model.starts().len(), model.presses().0), (2, 1));
    assert!(!bmc.is_restarting());
}

/// As with libvirt before 8.10: PXE once, and an installer that ends with a reboot.
#[test]
fn once_is_once_also_where_the_order_lasts_until_the_node_ends() {
    let (bmc, model, _) = bmc();
    model.keep_order();
    boot(&bmc, Device::Pxe, Override::Once);
    bmc.press(Press::On).unwrap();
    bmc.rebooted().unwrap();
    bmc.rebooted().unwrap();
    let first: Vec<_> = model.starts().iter().map(|start| start.first).collect();
    assert_eq!(first, [Some(Device::Pxe), None]);
    assert_eq!((bmc.power(), bmc.waits()), (Ok(Power::On), false));
}

/// QEMU has the menu wait at each boot, as long as it runs.
#[test]
fn the_menu_of_one_boot_is_not_there_at_the_next() {
    for resets in [true, false] {
        let (bmc, model, _) = bmc();
        boot(&bmc, Device::Setup, Override::Once);
        bmc.press(Press::On).unwrap();
        for _ in 0..2 {
            if resets { bmc.press(Press::ForceRestart) } else { bmc.rebooted() }.unwrap();
        }
        let first: Vec<_> = model.starts().iter().map(|start| start.first).collect();
        assert_eq!(first, [Some(Device::Setup), None], "{resets}");
        assert_eq!(model.presses().0, usize::from(resets), "{resets}");
    }
}

/// libvirt's daemon is restarted while it starts a node.
#[test]
fn a_start_whose_answer_is_lost_has_used_up_what_is_for_once() {
    let (bmc, model, _) = bmc();
    boot(&bmc, Device::Pxe, Override::Once);
    model.lose_answer();
    bmc.press(Press::On).unwrap();
    assert_eq!(bmc.state().boot.target, None);
    bmc.rebooted().unwrap();
    bmc.press(Press::PowerCycle).unwrap();
    let first: Vec<_> = model.starts().iter().map(|start| start.first).collect();
    assert_eq!(first, [Some(Device::Pxe), None, None]);
    assert_eq!((bmc.power(), bmc.waits()), (Ok(Power::On), false));
}

#[test]
fn a_power_cycle_that_fails_half_way_is_tried_again() {
    for press in [Press::PowerCycle, Press::ForceRestart] {
        let (bmc, model, _) = bmc();
        bmc.press(Press::On).unwrap();
        boot(&bmc, Device::Pxe, Override::Once);
        fails_at(&model, "start", Fault::Failed("gone".into()));
        assert!(bmc.press(press).is_ok() && bmc.waits(), "{press:?}");
        works(&model);
        bmc.tick().unwrap();
        assert_eq!((bmc.power(), bmc.waits()), (Ok(Power::On), false), "{press:?}");
        assert_eq!(model.starts().last().unwrap().first, Some(Device::Pxe), "{press:?}");
    }
}

#[test]
fn a_power_cycle_that_is_refused_is_not_done_later() {
    for press in [Press::PowerCycle, Press::ForceRestart] {
        let (bmc, model, _) = bmc();
        bmc.press(Press::On).unwrap();
        boot(&bmc, Device::Pxe, Override::Once);
        fails_at(&model, "start", Fault::Refused("no memory".into()));
        assert!(bmc.press(press).is_err() && !bmc.waits(), "{press:?}");
        works(&model);
        bmc.tick().unwrap();
        assert_eq!(bmc.power(), Ok(Power::Off), "{press:?}");
    }
}

#[test]
fn a_slow_look_from_before_logs_nothing() {
    let (bmc, model, _) = bmc();
    let bmc = Arc::new(bmc);
    bmc.press(Press::On).unwrap();
    struct Slow(Arc<Model>, Mutex<Option<std::sync::mpsc::Receiver<()>>>);
    impl Machine for Slow {
        fn power(&self) -> Result<Power, Fault> {
            let power = self.0.power();
            let wait = self.1.lock().unwrap().take();
            if let Some(wait) = wait {
                wait.recv().unwrap();
            }
            power
        }
        fn hardware(&self) -> Result<Hardware, Fault> {
            self.0.hardware()
        }
        fn sizes(&self) -> Result<Vec<Option<u64>>, Fault> {
            self.0.sizes()
        }
        fn start(&self, how: Start) -> Result<Started, Fault> {
            self.0.start(how)
        }
        fn destroy(&self) -> Result<(), Fault> {
            self.0.destroy()
        }
        fn shutdown(&self) -> Result<(), Fault> {
            self.0.shutdown()
        }
        fn reset(&self) -> Result<bool, Fault> {
            self.0.reset()
        }
        fn runs_with_hypervisor(&self, on: bool) -> Result<(), Fault> {
            self.0.runs_with_hypervisor(on)
        }
        fn starts_with_hypervisor(&self) -> Result<bool, Fault> {
            self.0.starts_with_hypervisor()
        }
        fn suspend(&self) -> Result<(), Fault> {
            self.0.suspend()
        }
        fn nmi(&self) -> Result<(), Fault> {
            self.0.nmi()
        }
        fn pause(&self, paused: bool) -> Result<(), Fault> {
            self.0.pause(paused)
        }
        fn insert(&self, image: Option<&Image>) -> Result<(), Fault> {
            self.0.insert(image)
        }
        fn console(&self) -> Result<Box<dyn crate::machine::Console>, Fault> {
            self.0.console()
        }
        fn console_log(&self) -> Result<crate::machine::Said, Fault> {
            self.0.console_log()
        }
    }
    let (release, wait) = std::sync::mpsc::channel();
    let slow = Arc::new(Slow(model.clone(), Mutex::new(None)));
    let bmc = Arc::new(Bmc::new("web-0", Uuid::nil(), slow.clone(), Clock::from(|| 1)));
    bmc.power().unwrap();
    *slow.1.lock().unwrap() = Some(wait);
    let other = bmc.clone();
    let looking = std::thread::spawn(move || other.power());
    while slow.1.lock().unwrap().is_some() {
        std::thread::yield_now();
    }
    bmc.press(Press::ForceOff).unwrap();
    release.send(()).unwrap();
    looking.join().unwrap().unwrap();
    let what: Vec<What> = bmc.state().log.entries().iter().map(|entry| entry.what).collect();
    assert_eq!(what, [What::PowerOff]);
}

/// As `start` has a domain run again after its hypervisor was switched off, and as nobody starts one that is off.
#[test]
fn what_was_pressed_last_holds_when_the_hypervisor_has_started_again() {
    let (bmc, model, _) = bmc();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let said = heard.clone();
    model.hook(move |call| {
        if ["runs", "stays off"].contains(&call) {
            said.lock().unwrap().push(call.to_string());
        }
    });
    let after = |press| {
        heard.lock().unwrap().clear();
        bmc.press(press).unwrap();
        heard.lock().unwrap().join(" ")
    };
    assert_eq!(after(Press::On), "runs");
    assert_eq!(after(Press::Nmi), "");
    // A guest that takes no notice runs on.
    assert_eq!(after(Press::GracefulShutdown), "");
    assert_eq!(after(Press::PowerCycle), "runs");
    for press in [Press::PushPowerButton, Press::GracefulShutdown] {
        assert_eq!(after(press), "");
        bmc.power().unwrap();
        assert_eq!(heard.lock().unwrap().len(), 0);
        model.guest_shuts_down();
        bmc.power().unwrap();
        bmc.power().unwrap();
        assert_eq!(*heard.lock().unwrap(), ["stays off"]);
        assert_eq!(after(Press::On), "runs");
    }
    // Whoever changes their mind is heard, too.
    assert_eq!(after(Press::GracefulShutdown), "");
    assert_eq!(after(Press::On), "runs");
    model.guest_shuts_down();
    heard.lock().unwrap().clear();
    bmc.power().unwrap();
    assert!(heard.lock().unwrap().is_empty());
    assert_eq!(after(Press::GracefulShutdown), "stays off");
    assert_eq!(after(Press::On), "runs");
    assert_eq!(after(Press::GracefulRestart), "runs");
    assert_eq!(after(Press::ForceOff), "stays off");
    assert_eq!(after(Press::PushPowerButton), "runs");
    // What fails changes nothing.
    bmc.press(Press::ForceOff).unwrap();
    model.fail(Some(Fault::Failed("no memory".into())));
    heard.lock().unwrap().clear();
    assert!(bmc.press(Press::On).is_err() && heard.lock().unwrap().is_empty());
}
