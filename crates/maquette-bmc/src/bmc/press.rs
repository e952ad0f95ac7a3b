//! What buttons do, one at a time, and what is done later because of one: starting a node again that was asked to shut down.

use std::sync::{MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BY_WATCHDOG, Bmc, Boot, Override, Press, Settings, State, Timeout, What};
use crate::machine::{Device, Fault, Firmware, Power, Start, Started};

/// How long a guest may take to shut down before it is restarted by force, and how long a start that fails is tried again.
pub(super) const PATIENCE_S: u64 = 120;
/// How old a press may be that a service before this one has left undone: the node may be in use by then.
const TOO_OLD_S: u64 = 15 * 60;
/// How long after a reset of the BMC's own a reboot that is told of is that one.
const OWN_RESET: Duration = Duration::from_secs(3);
/// Most ends of restarts that are remembered.
const ENDED: usize = 64;

/// A node that is to be started once it is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    number: u64,
    /// When it is ended by force, in seconds of the steady clock.
    pub(super) by: u64,
    /// When it was asked for, in seconds since 1970.
    #[serde(default)]
    asked: Option<u64>,
    /// Since when starting it has failed, in seconds of the steady clock.
    #[serde(skip)]
    failing: Option<u64>,
    /// Whether the hypervisor has booted since: a node that runs has been started by that.
    #[serde(default)]
    over_boot: bool,
}

impl Restart {
    /// The same in a service that has just begun. By force it is ended at once, else the guest has its time again.
    pub(super) fn anew(&mut self, now: u64, forced: bool, over_boot: bool) {
        self.by = if forced { now } else { now + PATIENCE_S };
        self.over_boot |= over_boot;
    }
}

/// What became of a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It waits for the guest.
    Waits,
    /// The node was started again.
    Done,
    /// Another press came after it.
    Cancelled,
    /// The node could not be started.
    Failed(String),
}

/// What the next start uses up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    once: Option<Boot>,
    mode: Option<Firmware>,
    secure_boot: Option<bool>,
    pending: Settings,
}

impl State {
    fn ends(&mut self, restart: Restart, outcome: Outcome) {
        if self.ended.len() >= ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back((restart.number, outcome));
    }

    /// Forgets what was pressed too long ago; whether there was something. What has no time is of an earlier version.
    pub(super) fn forget_old(&mut self, now: u64) -> bool {
        let is_old = |at: Option<u64>| at.is_some_and(|at| now.saturating_sub(at) > TOO_OLD_S);
        let owed = self.owed.is_some() && is_old(self.owed_at);
        if owed {
            self.owed = None;
        }
        let old = self.restart.take_if(|restart| is_old(restart.asked));
        if let Some(restart) = old {
            self.ends(restart, Outcome::Failed("it was not done in time".into()));
        }
        owed || old.is_some()
    }

    /// Puts back what a start has not used, but for what was changed since.
    pub(super) fn put_back(&mut self) {
        let Some(plan) = self.starting.take() else { return };
        if let Some(once) = plan.once.filter(|_| self.boot.target.is_none()) {
            (self.boot.enabled, self.boot.target) = (once.enabled, once.target);
        }
        self.boot.mode = self.boot.mode.or(plan.mode);
        self.secure_boot = self.secure_boot.or(plan.secure_boot);
        for (name, value) in plan.pending {
            self.pending.entry(name).or_insert(value);
        }
    }
}

impl Bmc {
    pub(super) fn one_press(&self) -> MutexGuard<'_, ()> {
        self.pressing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Presses a button. One that changes nothing (on, when it is on) is no error.
    pub fn press(&self, press: Press) -> Result<(), Fault> {
        let _one = self.one_press();
        let done = self.press_to_stay(press);
        if !matches!(press, Press::PowerCycle | Press::ForceRestart) {
            return done;
        }
        match done {
            // Whoever has pressed is told no: it is not done later, either.
            Err(fault @ (Fault::Refused(_) | Fault::Unsupported(_))) => {
                self.end_restart(Outcome::Failed(fault.to_string()));
                Err(fault)
            }
            // It is done as soon as libvirt is back: nobody is to press again for it.
            Err(Fault::Failed(_)) if self.is_restarting() => {
                self.stays(true);
                Ok(())
            }
            done => done,
        }
    }

    /// Presses a button; what becomes of the node holds when its hypervisor has started again.
    fn press_to_stay(&self, press: Press) -> Result<(), Fault> {
        let wanted = match press {
            Press::On | Press::PowerCycle | Press::ForceRestart | Press::GracefulRestart => {
                Some(true)
            }
            Press::ForceOff | Press::GracefulShutdown | Press::Suspend => Some(false),
            Press::PushPowerButton => Some(!self.power()?.is_on()),
            Press::Nmi | Press::Pause | Press::Resume => None,
        };
        if wanted.is_some() {
            // Whoever presses last is heard.
            let mut state = self.state();
            (state.owed, state.owed_since) = (None, None);
        }
        // Whatever the guest had been asked for before: a power cycle stops it only to run again.
        let left = wanted.is_some() && std::mem::take(&mut self.state().leaving);
        self.press_now(press).inspect_err(|_| self.state().leaving |= left)?;
        let asks = matches!(press, Press::GracefulShutdown | Press::PushPowerButton);
        match wanted {
            // A guest may take no notice, and its node runs on; or it has ended in this moment.
            Some(false) if asks => {
                self.state().leaving = true;
                self.keep();
                let _ = self.power();
            }
            // The button has done what it is for; this is for another day.
            Some(on) => self.stays(on),
            None => {}
        }
        Ok(())
    }

    /// Has a node be on or off, as it is now, when its hypervisor starts again.
    pub(super) fn stays(&self, on: bool) {
        let _ = self.machine.runs_with_hypervisor(on);
        self.keep();
    }

    /// Whether its hypervisor has just booted, and nobody has looked yet whether the node runs as it is to.
    pub fn is_after_boot(&self) -> bool {
        self.state().after_boot
    }

    /// Switches a node on that libvirt was to start with its hypervisor, and that is off all the same: the image in its drive
    /// cannot be read, for one. Called when libvirt has had time to start it.
    pub fn start_with_hypervisor(&self) -> Result<(), Fault> {
        let _one = self.one_press();
        if !self.is_after_boot() {
            return Ok(());
        }
        // By this look a node that was asked to shut down has, and stays off.
        let is_on = self.power()?.is_on();
        let is_to_run = !is_on && self.machine.starts_with_hypervisor()?;
        let waits = {
            let mut state = self.state();
            state.after_boot = false;
            state.owed.is_some() || state.restart.is_some()
        };
        if waits || !is_to_run {
            self.keep();
            return Ok(());
        }
        // What fails is tried again.
        self.owe(Press::On);
        self.tick_owed()
    }

    /// Asks the guest to shut down, to be started again: the number of this restart.
    pub fn restart(&self) -> Result<u64, Fault> {
        let _one = self.one_press();
        self.press_to_stay(Press::GracefulRestart)?;
        Ok(self.state().restarts)
    }

    /// What became of a restart.
    pub fn outcome(&self, number: u64) -> Outcome {
        let state = self.state();
        if state.restart.is_some_and(|restart| restart.number == number) {
            return Outcome::Waits;
        }
        let ended = state.ended.iter().find(|(known, _)| *known == number);
        ended.map_or(Outcome::Cancelled, |(_, outcome)| outcome.clone())
    }

    /// Whether a node waits to be started again.
    pub fn is_restarting(&self) -> bool {
        self.state().restart.is_some()
    }

    /// The guest has rebooted by itself. What was asked for of its next boot is for this one: the machine, which is in its
    /// firmware, is started again with it. A call while another one has not returned does nothing: that one sees to it.
    pub fn rebooted(&self) -> Result<(), Fault> {
        let _alone = match self.rebooting.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(alone)) => alone.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        let _one = self.one_press();
        let since = self.state().reset.map(|at| self.moment().saturating_sub(at));
        let is_own = since.is_some_and(|since| since < OWN_RESET);
        if is_own || self.is_restarting() || !self.boots_otherwise() || !self.power()?.is_on() {
            return Ok(());
        }
        self.cycle(What::Reset)
    }

    /// Whether the next boot is to be another one than the machine that runs now would do.
    fn boots_otherwise(&self) -> bool {
        let start = self.next_start();
        let state = self.state();
        let anew = start.firmware.is_some() || start.secure_boot.is_some();
        anew || start.once || !state.pending.is_empty() || start.first != state.first
    }

    fn press_now(&self, press: Press) -> Result<(), Fault> {
        let power = self.power()?;
        let on = power.is_on();
        let off = || Err(Fault::State("it is off".into()));
        match press {
            Press::On | Press::PushPowerButton | Press::PowerCycle | Press::ForceRestart if !on => {
                self.start()
            }
            Press::On if power == Power::Paused => {
                self.machine.pause(false)?;
                self.power().map(|_| ())
            }
            // A node that shuts down to be started again will be on.
            Press::On => Ok(()),
            Press::ForceOff | Press::GracefulShutdown if !on => {
                self.end_restart(Outcome::Cancelled);
                Ok(())
            }
            // It has shut down for the restart before this one, which starts it in a moment.
            Press::GracefulRestart if !on && self.is_restarting() => Ok(()),
            Press::GracefulRestart | Press::Suspend | Press::Nmi | Press::Pause | Press::Resume
                if !on =>
            {
                off()
            }
            Press::GracefulRestart => {
                // Known before the guest is: a service that ends in between starts the node all the same.
                let waited = self.is_restarting();
                self.restart_by(self.steady() + PATIENCE_S);
                self.owing(press, || self.machine.shutdown()).inspect_err(|fault| {
                    if !waited {
                        self.end_restart(Outcome::Failed(fault.to_string()));
                    }
                })
            }
            Press::Nmi => {
                self.machine.nmi()?;
                self.note(What::Nmi, "");
                Ok(())
            }
            Press::Pause | Press::Resume => {
                self.machine.pause(press == Press::Pause)?;
                self.power().map(|_| ())
            }
            Press::ForceOff
            | Press::Suspend
            | Press::GracefulShutdown
            | Press::PushPowerButton
            | Press::PowerCycle
            | Press::ForceRestart => self.press_over(press, power),
        }
    }

    /// Presses that end what a node does, also waiting to be started again.
    fn press_over(&self, press: Press, power: Power) -> Result<(), Fault> {
        self.end_restart(Outcome::Cancelled);
        match press {
            Press::ForceOff => self.owing(press, || self.stop()),
            Press::Suspend => {
                self.owing(press, || self.machine.suspend())?;
                self.power().map(|_| ())
            }
            Press::GracefulShutdown | Press::PushPowerButton => {
                self.note(What::SoftOff, "");
                self.owing(Press::GracefulShutdown, || self.machine.shutdown())
            }
            Press::PowerCycle => self.cycle(What::PowerCycle),
            // A machine that stands still, since its guest has crashed or its pool is full, is not started by a reset.
            _ if self.has_plan() || power != Power::On || self.has_menu() => {
                self.cycle(What::Reset)
            }
            _ => {
                let is_reset = self.owing(press, || {
                    let is_reset = self.machine.reset()?;
                    self.state().reset = Some(self.moment());
                    // Only when it is started again does it boot as it is to. Known before the press is forgotten.
                    if !is_reset {
                        self.restart_by(self.steady());
                    }
                    Ok(is_reset)
                })?;
                if !is_reset {
                    return self.cycle(What::Reset);
                }
                self.note(What::Reset, "");
                Ok(())
            }
        }
    }

    /// Does what somebody has pressed for. A service that ends meanwhile knows of it when it is there again.
    fn owing<T>(&self, press: Press, act: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        self.owe(press);
        let done = act();
        self.state().owed = None;
        self.keep();
        done
    }

    fn owe(&self, press: Press) {
        let now = self.now();
        {
            let mut state = self.state();
            (state.owed, state.owed_at) = (Some(press), Some(now));
        }
        self.keep();
    }

    /// Does what a service before this one has left undone. What fails is tried again for some time.
    fn tick_owed(&self) -> Result<(), Fault> {
        let now = self.steady();
        let (press, since) = {
            let mut state = self.state();
            let Some(press) = state.owed else { return Ok(()) };
            (press, *state.owed_since.get_or_insert(now))
        };
        let done = self.press_to_stay(press);
        // What its state does not allow, it does not allow later.
        let may_pass = |fault: &Fault| {
            matches!(fault, Fault::Failed(_) | Fault::Refused(_) | Fault::Unsupported(_))
        };
        if done.as_ref().is_err_and(may_pass) && now.saturating_sub(since) < PATIENCE_S {
            let mut state = self.state();
            (state.owed, state.owed_since) = (Some(press), Some(since));
        }
        self.keep();
        done
    }

    fn cycle(&self, what: What) -> Result<(), Fault> {
        self.note(what, "");
        // Known until it is done: a service that ends in between starts the node when it is there again, and what fails, since
        // libvirt's daemon is restarted for one, is tried again.
        self.restart_by(self.steady());
        self.go_on_restarting().map(drop)
    }

    fn restart_by(&self, by: u64) {
        {
            let mut state = self.state();
            if state.restart.is_none() {
                state.restarts += 1;
            }
            let number = state.restarts;
            let asked = Some(self.now());
            state.restart = Some(Restart { number, by, asked, failing: None, over_boot: false });
        }
        self.keep();
    }

    pub(super) fn end_restart(&self, outcome: Outcome) {
        {
            let mut state = self.state();
            let Some(restart) = state.restart.take() else { return };
            state.ends(restart, outcome);
        }
        self.keep();
    }

    /// How the machine is started next.
    fn next_start(&self) -> Start {
        let state = self.state();
        let mode = state.next_firmware();
        let first = state.boot.target.filter(|_| state.boot.enabled != Override::Disabled);
        let once = state.boot.enabled == Override::Once;
        Start { first, once, firmware: mode, secure_boot: state.secure_boot }
    }

    /// Whether the next boot differs from the one before: then the machine has to be started again.
    fn has_plan(&self) -> bool {
        self.next_start() != Start::PLAIN || !self.state().pending.is_empty()
    }

    /// Whether the machine that runs stops in its firmware's menu at each boot.
    fn has_menu(&self) -> bool {
        self.state().first == Some(Device::Setup)
    }

    /// Takes out what a start uses up: what is asked for while it is under way is for the next one.
    fn take_plan(&self) -> Start {
        let start = self.next_start();
        let mut state = self.state();
        let mut plan = Plan {
            once: None,
            mode: state.boot.mode.take(),
            secure_boot: state.secure_boot.take(),
            pending: std::mem::take(&mut state.pending),
        };
        if start.once {
            plan.once = Some(state.boot.clone());
            (state.boot.enabled, state.boot.target) = (Override::Disabled, None);
        }
        state.starting = Some(plan);
        start
    }

    /// What a start has used up is the node's from now on.
    pub(super) fn used_up(&self) {
        let mut state = self.state();
        if let Some(plan) = state.starting.take() {
            state.settings.extend(plan.pending);
        }
    }

    fn start(&self) -> Result<(), Fault> {
        let start = self.take_plan();
        self.owe(Press::On);
        let done = match self.machine.start(start) {
            Err(fault) if self.has_started_all_the_same(&fault) => {
                // Whether its order was put back nobody knows.
                Ok(Started { in_own_order: false, ..Started::WHOLE })
            }
            done => done,
        };
        self.state().owed = None;
        let started = done.inspect_err(|_| {
            self.state().put_back();
            self.keep();
        })?;
        self.used_up();
        // An order that cannot be put back lasts until the node ends, and so does the firmware's menu: a reboot or a reset has to
        // start it again.
        let is_menu = start.first == Some(Device::Setup);
        let lasts = !start.once || !started.in_own_order || is_menu;
        self.state().first = start.first.filter(|_| lasts);
        self.end_restart(Outcome::Done);
        self.keep();
        // It runs; whether that can be seen now is another matter.
        let _ = self.power();
        if started.without_image {
            self.note(What::MediaUnread, "");
        }
        Ok(())
    }

    /// libvirt's daemon may have gone while it was asked, by an upgrade for one: a node that runs when it is back was started.
    fn has_started_all_the_same(&self, fault: &Fault) -> bool {
        let says_why_not = matches!(fault, Fault::State(_) | Fault::Gone);
        !says_why_not && self.machine.power().is_ok_and(Power::is_on)
    }

    fn stop(&self) -> Result<(), Fault> {
        let ended = self.machine.destroy();
        let power = self.power()?;
        // The guest may have ended by itself in this moment.
        if power == Power::Off { Ok(()) } else { ended }
    }

    /// Looks after what waits for the machine, or for time. Called once a second while something [`waits`](Self::waits);
    /// a call while another one has not returned does nothing.
    pub fn tick(&self) -> Result<(), Fault> {
        let _alone = match self.ticking.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(alone)) => alone.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        let _one = self.one_press();
        // What is read here is what holds: whatever was pressed while this waited is done.
        let done = self.tick_owed().and(self.tick_restart()).and(self.tick_watchdog());
        self.keep_again();
        done
    }

    fn tick_restart(&self) -> Result<(), Fault> {
        if self.go_on_restarting()? {
            // It runs by now, whatever its guest had been asked for before.
            self.state().leaving = false;
            self.stays(true);
        }
        Ok(())
    }

    /// Does what is due of a restart; whether it has started the node.
    fn go_on_restarting(&self) -> Result<bool, Fault> {
        if !self.is_restarting() {
            return Ok(false);
        }
        let (looked, now) = (self.power(), self.steady());
        // By this look the restart may have turned out to be done.
        let Some(restart) = self.state().restart else { return Ok(false) };
        let done = match looked {
            Ok(power) if power.is_on() && restart.over_boot => {
                self.end_restart(Outcome::Done);
                return Ok(false);
            }
            Ok(power) if power.is_on() && now < restart.by => return Ok(false),
            Ok(power) if power.is_on() => self.stop().and_then(|()| self.start()),
            Ok(_) => self.start(),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = &done {
            let since = restart.failing.unwrap_or(now);
            if now.saturating_sub(since) >= PATIENCE_S {
                self.end_restart(Outcome::Failed(fault.to_string()));
            } else if let Some(restart) = &mut self.state().restart {
                restart.failing = Some(since);
            }
        }
        done.map(|()| true)
    }

    fn tick_watchdog(&self) -> Result<(), Fault> {
        let now = self.steady();
        if self.state().watchdog.warns(now) {
            // It comes once, and what happens at the end does not wait for it.
            if self.machine.nmi().is_ok() {
                self.note(What::Nmi, BY_WATCHDOG);
            }
        }
        if !self.state().watchdog.is_due(now) {
            return Ok(());
        }
        // The look stops the watchdog of a node that is off: nobody is there to come back to it.
        self.power()?;
        let (expired, log) = {
            let mut state = self.state();
            let first = state.watchdog.is_first();
            let log = first && !state.watchdog.dont_log;
            (state.watchdog.expires(self.steady()), log)
        };
        let Some(timeout) = expired else { return Ok(()) };
        if log {
            self.note(What::WatchdogExpired, timeout.as_str());
        }
        match timeout {
            Timeout::Nothing => Ok(()),
            Timeout::Reset => self.press_now(Press::ForceRestart),
            Timeout::Off => self.press_now(Press::ForceOff),
            Timeout::Cycle => self.press_now(Press::PowerCycle),
        }?;
        self.state().watchdog.acted();
        Ok(())
    }
}
