//! What a BMC keeps over a restart of its service: what is booted next, settings, the log, and what it owes to whoever has
//! pressed a button.

use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Bmc, Outcome, Press, State, What};
use crate::machine::Power;

/// Takes a BMC's document, to be kept; whether it is. What cannot be kept is told by whoever is behind it.
pub type Keeper = Arc<dyn Fn(&Bmc, &[u8]) -> bool + Send + Sync>;

/// A BMC's document.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Whether a node that is to be started again is ended by force if it is on.
    forced: bool,
    /// What is left of a watchdog that runs, in tenths of a second.
    watchdog: Option<u16>,
    /// In which boot of the hypervisor this was.
    #[serde(default)]
    boot: Option<String>,
    state: State,
}

impl State {
    /// The hypervisor has booted since: nodes have ended with it, and those that run were started by libvirt, each in its own
    /// order. What a start was to use up is for the next one, and whoever wanted a node to be restarted has got that.
    fn over_boot(&mut self) {
        self.first = None;
        self.put_back();
        let anew = [Press::ForceRestart, Press::GracefulRestart, Press::PowerCycle];
        if self.owed.is_some_and(|press| anew.contains(&press)) {
            self.owed = Some(Press::On);
        }
    }
}

impl Bmc {
    /// Has somebody keep what is remembered, from now on.
    pub fn keep_by(&self, keeper: Keeper) {
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        self.keep();
    }

    /// Has what is remembered kept, if it has changed since it was.
    pub fn keep(&self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(keeper) = keeper else { return };
        // One at a time, so that the last document is the newest.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.steady();
        let document = {
            let state = self.state();
            let forced = state.restart.is_some_and(|restart| restart.by <= now);
            let watchdog = state.watchdog.runs().then(|| state.watchdog.left(now));
            let boot = self.clock.boot().map(String::from);
            serde_json::to_vec(&Kept { forced, watchdog, boot, state: state.clone() })
        };
        let Ok(document) = document else { return };
        if *kept != document {
            // What is not kept is tried again.
            *kept = if keeper(self, &document) { document } else { Vec::new() };
        }
        drop(kept);
        self.stirs.stir();
    }

    /// Whether what is remembered was to be kept, and could not be.
    pub(super) fn lacks_keeping(&self) -> bool {
        let is_to_be = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        // Whoever holds it keeps it at this moment, which may take a disk some time.
        is_to_be && self.kept.try_lock().is_ok_and(|kept| kept.is_empty())
    }

    /// Tries again what could not be kept.
    pub(super) fn keep_again(&self) {
        if self.lacks_keeping() {
            self.keep();
        }
    }

    /// Remembers what was kept; whether something that was pressed is too long ago, and is not done any more. An error in words
    /// if the document is not one.
    pub fn remember(&self, document: &[u8]) -> Result<bool, String> {
        let kept: Kept = serde_json::from_slice(document).map_err(|error| error.to_string())?;
        let now = self.steady();
        let boots = kept.boot.as_deref().zip(self.clock.boot());
        let over_boot = boots.is_some_and(|(before, now)| before != now);
        let mut state = self.state();
        let port = state.ipmi_port;
        *state = kept.state;
        state.ipmi_port = port;
        state.log.bound();
        // Seconds went on from somewhere else before, and a watchdog ends with its node.
        state.watchdog.stop();
        if let Some(left) = kept.watchdog.filter(|_| !over_boot) {
            state.watchdog.resume(now, left);
        }
        if let Some(restart) = &mut state.restart {
            restart.anew(now, kept.forced, over_boot);
        }
        if over_boot {
            state.over_boot();
        }
        state.after_boot = (state.after_boot || over_boot) && self.clock.began_with_boot();
        state.unsure = state.starting.take().filter(|_| !over_boot);
        let has_forgotten = state.forget_old(self.now());
        drop(state);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = document.to_vec();
        if has_forgotten {
            self.note(What::PressForgotten, "");
        }
        Ok(has_forgotten)
    }

    /// The service ended during a start. If the node runs, that has worked; else what the start would have used up is for
    /// the next one.
    pub(super) fn make_sure(&self, power: Power) {
        {
            let mut state = self.state();
            if state.unsure.is_none() {
                return;
            }
            state.starting = state.unsure.take();
        }
        if power.is_on() {
            self.used_up();
            self.end_restart(Outcome::Done);
        } else {
            self.state().put_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use uuid::Uuid;

    use super::super::*;
    use crate::machine::Start;
    use crate::model::Model;

    /// What was kept last.
    type Paper = Arc<Mutex<Vec<u8>>>;

    /// A BMC that has just begun, and remembers what is on a paper.
    fn begun(model: &Arc<Model>, paper: &Paper) -> Arc<Bmc> {
        begun_in("first", model, paper)
    }

    /// The same in a boot of the hypervisor.
    fn begun_in(boot: &str, model: &Arc<Model>, paper: &Paper) -> Arc<Bmc> {
        // Each service counts its own seconds.
        static SERVICES: AtomicU64 = AtomicU64::new(0);
        let steady = 1_000_000 - 1_000 * SERVICES.fetch_add(1, Ordering::Relaxed);
        let age = if boot == "long ago" { 86_400 } else { 30 };
        let clock = Clock::of(|| 1_700_000_000, move || steady).in_boot(boot, age);
        let bmc = Arc::new(Bmc::new("web-0", Uuid::nil(), model.clone(), clock));
        let document = paper.lock().unwrap().clone();
        if !document.is_empty() {
            bmc.remember(&document).unwrap();
        }
        let paper = paper.clone();
        bmc.keep_by(Arc::new(move |_, document| {
            *paper.lock().unwrap() = document.to_vec();
            true
        }));
        bmc
    }

    /// What the paper says at a call of the machine: a service that ends there leaves that behind.
    fn copied_at(at: &'static str, model: &Model, paper: &Paper) -> Paper {
        let copy = Paper::default();
        let (seen, known) = (copy.clone(), paper.clone());
        model.hook(move |call| {
            if call == at {
                *seen.lock().unwrap() = known.lock().unwrap().clone();
            }
        });
        copy
    }

    fn once(bmc: &Bmc, device: Device) {
        {
            let mut state = bmc.state();
            (state.boot.target, state.boot.enabled) = (Some(device), Override::Once);
        }
        bmc.keep();
    }

    fn first(model: &Model) -> Vec<Option<Device>> {
        model.starts().iter().map(|start| start.first).collect()
    }

    #[test]
    fn boot_once_is_once_whatever_service_starts_the_node() {
        let (model, paper) = (Arc::new(Model::new()), Paper::default());
        once(&begun(&model, &paper), Device::Pxe);
        begun(&model, &paper).press(Press::On).unwrap();
        begun(&model, &paper).press(Press::PowerCycle).unwrap();
        assert_eq!(first(&model), [Some(Device::Pxe), None]);
    }

    /// The service ends at each call of a power cycle, before it is done: the next one ends the cycle.
    #[test]
    fn a_press_is_not_lost_by_a_service_that_ends_meanwhile() {
        for at in ["destroy", "start"] {
            let (model, paper) = (Arc::new(Model::new()), Paper::default());
            let bmc = begun(&model, &paper);
            bmc.press(Press::On).unwrap();
            once(&bmc, Device::Pxe);
            let copy = copied_at(at, &model, &paper);
            bmc.press(Press::PowerCycle).unwrap();
            model.hook(|_| ());
            // What the machine was at that moment.
            let other = Arc::new(Model::new());
            if at == "destroy" {
                other.start(Start::PLAIN).unwrap();
            }
            let count = other.starts().len();
            let bmc = begun(&other, &copy);
            assert!(bmc.waits(), "{at}");
            bmc.tick().unwrap();
            bmc.tick().unwrap();
            assert_eq!(first(&other)[count..], [Some(Device::Pxe)], "{at}");
            assert!(!bmc.waits(), "{at}");
            assert_eq!(bmc.state().boot.target, None, "{at}");
        }
    }

    /// The service ends at the call that a press is for, before it is done: the next one does it, once.
    #[test]
    fn a_press_of_any_button_is_done_by_the_next_service() {
        let presses = [
            (Press::On, "start", false, Power::On, 0),
            (Press::PushPowerButton, "start", false, Power::On, 0),
            (Press::ForceOff, "destroy", true, Power::Off, 0),
            (Press::ForceRestart, "reset", true, Power::On, 1),
            (Press::GracefulShutdown, "shutdown", true, Power::Off, 0),
            (Press::PushPowerButton, "shutdown", true, Power::Off, 0),
            (Press::GracefulRestart, "shutdown", true, Power::On, 0),
        ];
        for (press, at, on, wanted, resets) in presses {
            let (model, paper) = (Arc::new(Model::new()), Paper::default());
            let bmc = begun(&model, &paper);
            if on {
                bmc.press(Press::On).unwrap();
            }
            let copy = copied_at(at, &model, &paper);
            bmc.press(press).unwrap();
            let other = Arc::new(Model::new());
            if on {
                other.start(Start::PLAIN).unwrap();
            }
            let asked = Arc::new(AtomicU64::new(0));
            let count = asked.clone();
            other.hook(move |call| {
                count.fetch_add(u64::from(call == "shutdown"), Ordering::Relaxed);
            });
            let bmc = begun(&other, &copy);
            assert!(bmc.waits(), "{press:?}");
            bmc.tick().unwrap();
            assert_eq!(asked.load(Ordering::Relaxed), u64::from(at == "shutdown"), "{press:?}");
            if at == "shutdown" {
                other.guest_shuts_down();
            }
            bmc.tick().unwrap();
            bmc.tick().unwrap();
            assert_eq!((bmc.power(), bmc.waits()), (Ok(wanted), false), "{press:?}");
            assert_eq!(other.presses().0, resets, "{press:?}");
        }
    }

    #[test]
    fn a_press_that_is_owed_is_tried_again_and_gives_way_to_another() {
        let (model, paper) = (Arc::new(Model::new()), Paper::default());
        let copy = copied_at("start", &model, &paper);
        begun(&model, &paper).press(Press::On).unwrap();
        let other = Arc::new(Model::new());
        let bmc = begun(&other, &copy);
        // The pool is not mounted yet, for one.
        let refusal = Fault::Refused("there is no such file".into());
        for fault in [Fault::Failed("libvirt does not answer".into()), refusal] {
            other.fail(Some(fault));
            assert!(bmc.tick().is_err() && bmc.waits());
        }
        other.fail(None);
        bmc.tick().unwrap();
        assert_eq!((other.starts().len(), bmc.waits()), (1, false));
        // Somebody is faster than the next service, and wants something else.
        let third = Arc::new(Model::new());
        let bmc = begun(&third, &copy);
        bmc.press(Press::ForceOff).unwrap();
        bmc.tick().unwrap();
        assert_eq!((third.starts().len(), bmc.waits()), (0, false));
    }

    /// It ends after the start, and before that is known.
    #[test]
    fn a_start_that_has_worked_is_not_done_again() {
        let (model, paper) = (Arc::new(Model::new()), Paper::default());
        let bmc = begun(&model, &paper);
        bmc.press(Press::On).unwrap();
        once(&bmc, Device::Pxe);
        let copy = copied_at("start", &model, &paper);
        bmc.press(Press::PowerCycle).unwrap();
        model.hook(|_| ());
        let bmc = begun(&model, &copy);
        bmc.tick().unwrap();
        bmc.press(Press::PowerCycle).unwrap();
        assert_eq!(first(&model), [None, Some(Device::Pxe), None]);
    }

    #[test]
    fn a_guest_that_shuts_down_meanwhile_is_started_again() {
        let (model, paper) = (Arc::new(Model::new()), Paper::default());
        let bmc = begun(&model, &paper);
        bmc.press(Press::On).unwrap();
        bmc.press(Press::GracefulRestart).unwrap();
        let bmc = begun(&model, &paper);
        bmc.tick().unwrap();
        assert_eq!(model.starts().len(), 1);
        model.guest_shuts_down();
        let bmc = begun(&model, &paper);
        bmc.tick().unwrap();
        assert_eq!((model.starts().len(), bmc.waits()), (2, false));
    }

    /// libvirt has started them with the hypervisor, or will in a moment.
    #[test]
    fn a_restart_and_a_watchdog_from_before_the_hypervisors_cut_no_node() {
        for runs in [true, false] {
            let (model, paper) = (Arc::new(Model::new()), Paper::default());
            let bmc = begun(&model, &paper);
            bmc.press(Press::On).unwrap();
            {
                let mut state = bmc.state();
                (state.watchdog.timeout, state.watchdog.countdown) = (Timeout::Cycle, 500);
                state.watchdog.restart(bmc.steady());
            }
            bmc.press(Press::GracefulRestart).unwrap();
            let other = Arc::new(Model::new());
            if runs {
                other.start(Start::PLAIN).unwrap();
            }
            // A service that ends before it has looked changes nothing.
            drop(begun_in("second", &other, &paper));
            let bmc = begun_in("second", &other, &paper);
            bmc.tick().unwrap();
            assert_eq!((bmc.power(), bmc.waits()), (Ok(Power::On), false), "{runs}");
            assert_eq!((other.starts().len(), other.presses()), (1, (0, 0)), "{runs}");
        }
    }

    /// libvirt does not start a node whose disc cannot be read; its BMC does, as the button does.
    #[test]
    fn a_node_that_its_hypervisor_could_not_start_is_switched_on() {
        // How the node was left, in which boot the next service begins, and whether it is switched on.
        for (press, boot, starts) in [
            (Press::On, "second", true),
            (Press::On, "first", false),
            // Nobody knows what somebody has done with it since.
            (Press::On, "long ago", false),
            (Press::ForceOff, "second", false),
            (Press::GracefulShutdown, "second", false),
        ] {
            let (model, paper) = (Arc::new(Model::new()), Paper::default());
            let bmc = begun(&model, &paper);
            bmc.press(Press::On).unwrap();
            bmc.insert(Some(Image { url: "http://h/x.iso".into(), verify: true })).unwrap();
            bmc.press(press).unwrap();
            let count = model.starts().len();
            model.guest_shuts_down();
            model.lose_image();
            // A service that ends before it has looked changes nothing.
            drop(begun_in(boot, &model, &paper));
            let bmc = begun_in(boot, &model, &paper);
            assert_eq!(bmc.is_after_boot(), boot == "second");
            model.fail(Some(Fault::Failed("libvirt does not answer".into())));
            assert_eq!(bmc.start_with_hypervisor().is_err(), boot == "second");
            model.fail(None);
            bmc.start_with_hypervisor().unwrap();
            bmc.start_with_hypervisor().unwrap();
            assert_eq!(model.starts().len() - count, usize::from(starts), "{press:?} {boot}");
            assert!(!bmc.waits() && !bmc.is_after_boot());
            let state = bmc.state();
            let mut entries = state.log.entries().iter();
            assert_eq!(entries.any(|e| e.what == What::MediaUnread), starts);
        }
    }

    /// libvirt starts each in its own order.
    #[test]
    fn a_boot_device_is_not_used_up_by_the_hypervisors_start() {
        let (model, paper) = (Arc::new(Model::new()), Paper::default());
        let bmc = begun(&model, &paper);
        once(&bmc, Device::Pxe);
        let copy = copied_at("start", &model, &paper);
        bmc.press(Press::On).unwrap();
        let other = Arc::new(Model::new());
        other.start(Start::PLAIN).unwrap();
        let bmc = begun_in("second", &other, &copy);
        bmc.tick().unwrap();
        assert_eq!((other.starts().len(), bmc.waits()), (1, false));
        assert_eq!(bmc.state().boot.target, Some(Device::Pxe));
    }

    #[test]
    fn a_reset_that_is_owed_is_done_by_the_hypervisors_start() {
        let (model, paper) = (Arc::new(Model::new()), Paper::default());
        let bmc = begun(&model, &paper);
        bmc.press(Press::On).unwrap();
        let copy = copied_at("reset", &model, &paper);
        bmc.press(Press::ForceRestart).unwrap();
        let other = Arc::new(Model::new());
        other.start(Start::PLAIN).unwrap();
        let bmc = begun_in("second", &other, &copy);
        bmc.tick().unwrap();
        assert_eq!((other.presses().0, other.starts().len(), bmc.waits()), (0, 1, false));
    }

    /// As an earlier version has written it: of the same boot, for all that is known.
    #[test]
    fn a_document_without_a_boot_is_of_this_one() {
        let (model, paper) = (Arc::new(Model::new()), Paper::default());
        let bmc = begun(&model, &paper);
        bmc.press(Press::On).unwrap();
        bmc.press(Press::GracefulRestart).unwrap();
        let mut document: serde_json::Value =
            serde_json::from_slice(&paper.lock().unwrap()).unwrap();
        document.as_object_mut().unwrap().remove("boot");
        document["state"]["restart"].as_object_mut().unwrap().remove("over_boot");
        *paper.lock().unwrap() = serde_json::to_vec(&document).unwrap();
        let bmc = begun_in("second", &model, &paper);
        bmc.tick().unwrap();
        assert!(bmc.waits());
    }

    /// A service that was killed, and somebody who has used the node since without it.
    #[test]
    fn what_was_pressed_long_ago_is_forgotten_and_that_is_said() {
        for (press, at, when) in [
            (Press::ForceOff, "destroy", "/state/owed_at"),
            (Press::PowerCycle, "destroy", "/state/restart/asked"),
        ] {
            for (age, is_forgotten) in [(60, false), (3_600, true)] {
                let (model, paper) = (Arc::new(Model::new()), Paper::default());
                let bmc = begun(&model, &paper);
                bmc.press(Press::On).unwrap();
                let copy = copied_at(at, &model, &paper);
                bmc.press(press).unwrap();
                let mut document: serde_json::Value =
                    serde_json::from_slice(&copy.lock().unwrap()).unwrap();
                let asked = document.pointer_mut(when).unwrap();
                *asked = (asked.as_u64().unwrap() - age).into();
                *copy.lock().unwrap() = serde_json::to_vec(&document).unwrap();
                let other = Arc::new(Model::new());
                other.start(Start::PLAIN).unwrap();
                let bmc = begun(&other, &copy);
                bmc.tick().unwrap();
                let is_as_it_was = other.power() == Ok(Power::On) && other.starts().len() == 1;
                assert_eq!((is_as_it_was, bmc.waits()), (is_forgotten, false), "{press:?} {age}");
                let state = bmc.state();
                let mut entries = state.log.entries().iter();
                assert_eq!(entries.any(|e| e.what == What::PressForgotten), is_forgotten);
            }
        }
    }

    #[test]
    fn settings_media_the_log_and_a_watchdog_are_remembered() {
        let (model, paper) = (Arc::new(Model::new()), Paper::default());
        let bmc = begun(&model, &paper);
        bmc.press(Press::On).unwrap();
        let image = Image { url: "http://h/x.iso".into(), verify: true };
        bmc.insert(Some(image.clone())).unwrap();
        {
            let mut state = bmc.state();
            state.pending.insert(ASSET_TAG.into(), "rack 7".into());
            (state.watchdog.timeout, state.watchdog.countdown) = (Timeout::Cycle, 500);
            state.watchdog.restart(bmc.steady());
        }
        bmc.keep();
        let log = bmc.state().log.entries().to_vec();
        model.guest_shuts_down();
        let bmc = begun(&model, &paper);
        {
            let state = bmc.state();
            assert_eq!(
                (state.media.clone(), state.pending[ASSET_TAG].as_str()),
                (Some(image), "rack 7")
            );
            assert_eq!(state.log.entries(), log);
            assert_eq!(state.watchdog.left(bmc.steady()), 500);
        }
        // What happened while nobody looked is logged by whoever looks next.
        bmc.power().unwrap();
        assert_eq!(bmc.state().log.entries().last().unwrap().what, What::PowerOff);
    }

    #[test]
    fn a_document_that_is_none_changes_nothing() {
        let bmc = begun(&Arc::new(Model::new()), &Paper::default());
        for document in ["", "{}", "[]", "{\"state\": 1}"] {
            assert!(bmc.remember(document.as_bytes()).is_err(), "{document}");
        }
        assert_eq!(bmc.state().boot.target, None);
    }

    /// Whoever looks after it looks at nothing else as long as it tells nothing, and would look for ever if looking told.
    #[test]
    fn what_may_have_come_to_wait_is_told_and_looking_tells_nothing() {
        let bmc = begun(&Arc::new(Model::new()), &Paper::default());
        let stir = crate::stir::Stir::new();
        assert!(bmc.stirs.tell(&stir) && stir.take());
        assert!(!bmc.waits() && !stir.take());
        bmc.press(Press::On).unwrap();
        assert!(stir.take() && !bmc.waits() && !stir.take());
        // What cannot be kept waits until it can be.
        bmc.keep_by(Arc::new(|_, _| false));
        bmc.state().time_servers.push("ntp.example".into());
        stir.take();
        bmc.keep();
        assert!(stir.take() && bmc.waits() && !stir.take());
        assert!(!bmc.stirs.tell(&crate::stir::Stir::new()), "who is told first stays the one");
    }
}
