//! One node's BMC: what it remembers, and what its buttons do. Redfish and IPMI are two ways to press them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::clock::Clock;
use crate::machine::{Device, Fault, Firmware, Hardware, Image, Machine, Power, Start};

mod log;
mod watchdog;

pub use log::{Entry, Log, What};
pub use watchdog::{Timeout, Watchdog};

/// For how long a boot device holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Override {
    /// There is none.
    Disabled,
    /// For the next boot.
    Once,
    /// Until it is changed.
    Continuous,
}

/// What is booted next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The device; none for the domain's own order.
    pub target: Option<Device>,
    /// For how long.
    pub enabled: Override,
    /// The firmware that was asked for, from the next start on.
    pub mode: Option<Firmware>,
}

/// The identification light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Light {
    /// It is dark.
    Off,
    /// It shines.
    Lit,
    /// It blinks.
    Blinking,
}

/// What a reset does, in Redfish's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    /// Start it; nothing if it runs.
    On,
    /// End it at once.
    ForceOff,
    /// Ask the guest to shut down.
    GracefulShutdown,
    /// Ask the guest to shut down, and start it when it has.
    GracefulRestart,
    /// Reset it at once.
    ForceRestart,
    /// Send a non-maskable interrupt.
    Nmi,
    /// Press the button: start it, or ask the guest to shut down.
    PushPowerButton,
    /// End it, and start it.
    PowerCycle,
    /// Stop its processors.
    Pause,
    /// Let its processors run again.
    Resume,
}

impl Press {
    /// All, with the names that Redfish has for them.
    pub const ALL: [(&'static str, Self); 11] = [
        ("On", Self::On),
        ("ForceOn", Self::On),
        ("ForceOff", Self::ForceOff),
        ("GracefulShutdown", Self::GracefulShutdown),
        ("GracefulRestart", Self::GracefulRestart),
        ("ForceRestart", Self::ForceRestart),
        ("Nmi", Self::Nmi),
        ("PushPowerButton", Self::PushPowerButton),
        ("PowerCycle", Self::PowerCycle),
        ("Pause", Self::Pause),
        ("Resume", Self::Resume),
    ];
}

/// Settings of the firmware, by name.
pub type Settings = BTreeMap<String, String>;

/// The setting that is the firmware itself.
pub const BOOT_MODE: &str = "BootMode";
/// The setting that is shown as the system's asset tag.
pub const ASSET_TAG: &str = "AssetTag";

/// Settings as they are when nobody has changed any.
pub fn default_settings(firmware: Firmware) -> Settings {
    let mode = if firmware == Firmware::Uefi { "Uefi" } else { "LegacyBios" };
    [(BOOT_MODE, mode), (ASSET_TAG, "")].map(|(k, v)| (k.to_string(), v.to_string())).into()
}

/// How long a guest may take to shut down before it is restarted by force.
const PATIENCE_S: u64 = 120;

/// What a BMC remembers.
#[derive(Debug, Clone)]
pub struct State {
    /// What is booted next.
    pub boot: Boot,
    /// Settings that were changed and applied.
    pub settings: Settings,
    /// Settings that are applied by the next start.
    pub pending: Settings,
    /// Secure Boot, if it was asked for and the domain has not been started since.
    pub secure_boot: Option<bool>,
    /// The identification light.
    pub light: Light,
    /// What is in the CD-ROM drive.
    pub media: Option<Image>,
    /// What happened.
    pub log: Log,
    /// The watchdog that guests and clients may set.
    pub watchdog: Watchdog,
    /// Until when a guest that was asked to shut down for a restart may take.
    restart_by: Option<u64>,
    /// What the domain did when it was looked at last.
    seen: Option<Power>,
}

impl Default for State {
    fn default() -> Self {
        let (target, enabled, mode) = (None, Override::Disabled, None);
        Self {
            boot: Boot { target, enabled, mode },
            settings: Settings::new(),
            pending: Settings::new(),
            secure_boot: None,
            light: Light::Off,
            media: None,
            log: Log::default(),
            watchdog: Watchdog::default(),
            restart_by: None,
            seen: None,
        }
    }
}

/// Who hears of what happens.
pub type Listener = Arc<dyn Fn(&Bmc, &Entry) + Send + Sync>;

/// The BMC of one node.
pub struct Bmc {
    /// The node's name.
    pub name: String,
    /// The domain's UUID, which is the system's.
    pub uuid: Uuid,
    machine: Arc<dyn Machine>,
    clock: Clock,
    state: Mutex<State>,
    /// One press at a time.
    pressing: Mutex<()>,
    listener: Mutex<Option<Listener>>,
}

impl Bmc {
    /// A BMC that remembers nothing yet.
    pub fn new(name: &str, uuid: Uuid, machine: Arc<dyn Machine>, clock: Clock) -> Self {
        let (state, pressing, listener) = Default::default();
        Self { name: name.to_string(), uuid, machine, clock, state, pressing, listener }
    }

    /// Has somebody hear of what happens.
    pub fn listen(&self, listener: Listener) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    /// What it remembers. Held for moments only, never over a call of the machine.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine behind it.
    pub fn machine(&self) -> &dyn Machine {
        self.machine.as_ref()
    }

    /// The time.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// What the machine is made of.
    pub fn hardware(&self) -> Result<Hardware, Fault> {
        self.machine.hardware()
    }

    /// What the machine does; a change since the last look is logged.
    pub fn power(&self) -> Result<Power, Fault> {
        let power = self.machine.power()?;
        let before = self.state().seen.replace(power);
        let what = match (before, power) {
            (Some(Power::Off), now) if now.is_on() => Some(What::PowerOn),
            (Some(before), Power::Off) if before.is_on() => Some(What::PowerOff),
            (Some(before), Power::Crashed) if before != Power::Crashed => Some(What::Crashed),
            _ => None,
        };
        if let Some(what) = what {
            self.note(what, "");
        }
        Ok(power)
    }

    /// Logs what happened, and tells whoever listens.
    pub fn note(&self, what: What, detail: &str) {
        let entry = self.state().log.add(self.clock.now(), what, detail);
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(listener) = listener {
            listener(self, &entry);
        }
    }

    /// The settings of the firmware that hold now.
    pub fn settings(&self, firmware: Firmware) -> Settings {
        let mut settings = default_settings(firmware);
        for (name, value) in &self.state().settings {
            if name != BOOT_MODE {
                settings.insert(name.clone(), value.clone());
            }
        }
        settings
    }

    /// How the machine is started next.
    fn plan(&self) -> Start {
        let state = self.state();
        let mode = match state.pending.get(BOOT_MODE).map(String::as_str) {
            Some("Uefi") => Some(Firmware::Uefi),
            Some(_) => Some(Firmware::Bios),
            None => state.boot.mode,
        };
        let first = state.boot.target.filter(|_| state.boot.enabled != Override::Disabled);
        let once = state.boot.enabled == Override::Once;
        Start { first, once, firmware: mode, secure_boot: state.secure_boot }
    }

    /// Whether the next boot differs from the one before: then the machine has to be started anew.
    fn has_plan(&self) -> bool {
        self.plan() != Start::PLAIN || !self.state().pending.is_empty()
    }

    fn start(&self) -> Result<(), Fault> {
        let plan = self.plan();
        self.machine.start(plan)?;
        let mut state = self.state();
        if plan.once {
            state.boot.enabled = Override::Disabled;
            state.boot.target = None;
        }
        state.boot.mode = None;
        state.secure_boot = None;
        let pending = std::mem::take(&mut state.pending);
        state.settings.extend(pending);
        state.restart_by = None;
        drop(state);
        self.power().map(|_| ())
    }

    fn stop(&self) -> Result<(), Fault> {
        self.machine.destroy()?;
        self.power().map(|_| ())
    }

    /// Presses a button. One that changes nothing (on, when it is on) is no error.
    pub fn press(&self, press: Press) -> Result<(), Fault> {
        let _one = self.pressing.lock().unwrap_or_else(PoisonError::into_inner);
        let power = self.power()?;
        let on = power.is_on();
        let running = || if on { Ok(()) } else { Err(Fault::State("it is off".into())) };
        match press {
            Press::On | Press::PushPowerButton | Press::PowerCycle | Press::ForceRestart if !on => {
                self.start()
            }
            Press::On | Press::ForceOff | Press::GracefulShutdown if on == (press == Press::On) => {
                Ok(())
            }
            Press::On => Ok(()),
            Press::ForceOff => self.stop(),
            Press::GracefulShutdown | Press::PushPowerButton => {
                self.note(What::SoftOff, "");
                self.machine.shutdown()
            }
            Press::GracefulRestart => {
                running()?;
                self.machine.shutdown()?;
                self.state().restart_by = Some(self.now() + PATIENCE_S);
                Ok(())
            }
            Press::PowerCycle => {
                self.note(What::PowerCycle, "");
                self.stop()?;
                self.start()
            }
            Press::ForceRestart if self.has_plan() => {
                self.note(What::Reset, "");
                self.stop()?;
                self.start()
            }
            Press::ForceRestart => {
                self.machine.reset()?;
                self.note(What::Reset, "");
                Ok(())
            }
            Press::Nmi => {
                running()?;
                self.machine.nmi()?;
                self.note(What::Nmi, "");
                Ok(())
            }
            Press::Pause | Press::Resume => {
                running()?;
                self.machine.pause(press == Press::Pause)?;
                self.power().map(|_| ())
            }
        }
    }

    /// Puts something into the CD-ROM drive, or empties it.
    pub fn insert(&self, image: Option<Image>) -> Result<(), Fault> {
        let _one = self.pressing.lock().unwrap_or_else(PoisonError::into_inner);
        self.machine.insert(image.as_ref())?;
        let what = if image.is_some() { What::MediaInserted } else { What::MediaEjected };
        self.state().media = image;
        self.note(what, "");
        Ok(())
    }

    /// Whether a guest was asked to shut down, to be started again.
    pub fn is_restarting(&self) -> bool {
        self.state().restart_by.is_some()
    }

    /// Whether something has to be looked after: a guest that is to be restarted, or a watchdog that runs.
    pub fn waits(&self) -> bool {
        let state = self.state();
        state.restart_by.is_some() || state.watchdog.runs()
    }

    /// Looks after what waits for the machine, or for time. Called once a second while something [`waits`](Self::waits).
    pub fn tick(&self) -> Result<(), Fault> {
        let now = self.now();
        let restart_by = self.state().restart_by;
        if let Some(by) = restart_by {
            let off = !self.power()?.is_on();
            if off || now >= by {
                let _one = self.pressing.lock().unwrap_or_else(PoisonError::into_inner);
                self.state().restart_by = None;
                if self.power()?.is_on() {
                    self.stop()?;
                }
                self.start()?;
            }
        }
        let expired = self.state().watchdog.expires(now);
        let Some(timeout) = expired else { return Ok(()) };
        self.note(What::WatchdogExpired, timeout.as_str());
        match timeout {
            Timeout::Nothing => Ok(()),
            Timeout::Reset => self.press(Press::ForceRestart),
            Timeout::Off => self.press(Press::ForceOff),
            Timeout::Cycle => self.press(Press::PowerCycle),
        }
    }
}

#[cfg(test)]
mod tests;
