//! One node's BMC: what it remembers, and what its buttons do. Redfish and IPMI are two ways to press them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Clock;
use crate::machine::{Device, Fault, Firmware, Hardware, Image, Machine, Power};
use crate::stir::Stirs;

mod kept;
mod log;
mod press;
mod watchdog;

pub use kept::Keeper;
pub use log::{Entry, Log, What};
pub use press::Outcome;
use press::{Plan, Restart};
pub use watchdog::{BY_WATCHDOG, NMI, Timeout, Watchdog};

/// For how long a boot device holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Override {
    /// There is none.
    Disabled,
    /// For the next boot.
    Once,
    /// Until it is changed.
    Continuous,
}

/// What is booted next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The device; none for the domain's own order.
    pub target: Option<Device>,
    /// For how long.
    pub enabled: Override,
    /// The firmware that was asked for, from the next start on; none leaves it as it is.
    pub mode: Option<Firmware>,
}

/// The identification light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Light {
    /// It is dark.
    Off,
    /// It shines.
    Lit,
    /// It blinks.
    Blinking,
}

/// What a reset does, in Redfish's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// End it with its memory kept: when it is switched on, it goes on from there.
    Suspend,
    /// Stop its processors.
    Pause,
    /// Let its processors run again.
    Resume,
}

impl Press {
    /// All, with the names that Redfish has for them.
    pub const ALL: [(&'static str, Self); 13] = [
        ("On", Self::On),
        ("ForceOn", Self::On),
        ("ForceOff", Self::ForceOff),
        ("GracefulShutdown", Self::GracefulShutdown),
        ("GracefulRestart", Self::GracefulRestart),
        ("ForceRestart", Self::ForceRestart),
        ("Nmi", Self::Nmi),
        ("PushPowerButton", Self::PushPowerButton),
        ("PowerCycle", Self::PowerCycle),
        // A node has no power supply that outlasts its being off.
        ("FullPowerCycle", Self::PowerCycle),
        ("Suspend", Self::Suspend),
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

/// What a BMC remembers.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// What is in the CD-ROM drive; none if it is empty.
    pub media: Option<Image>,
    /// What happened, from the oldest to the newest.
    pub log: Log,
    /// The watchdog that guests and clients may set.
    pub watchdog: Watchdog,
    /// Addresses of time servers, which are remembered; the hypervisor's time is the BMC's.
    pub time_servers: Vec<String>,
    /// The port of its IPMI, if it has one of its own.
    #[serde(skip)]
    pub ipmi_port: Option<u16>,
    /// Until when the light blinks, in seconds of [`Clock::steady`](crate::clock::Clock::steady), if it was asked to for a
    /// time.
    #[serde(skip)]
    pub blinks_until: Option<u64>,
    /// What is to be started once it is off.
    restart: Option<Restart>,
    /// How many restarts were asked for, and how the last of them ended.
    restarts: u64,
    #[serde(default)]
    ended: VecDeque<(u64, Outcome)>,
    /// Whether its guest was asked to shut down and to stay off: until it has, the node starts with its hypervisor.
    #[serde(default)]
    leaving: bool,
    /// Whether the hypervisor has just booted, and nobody has looked yet whether the node runs as it is to.
    #[serde(default)]
    after_boot: bool,
    /// A press that is under way: a service that ends meanwhile owes it to whoever has pressed.
    #[serde(default)]
    owed: Option<Press>,
    /// When it was pressed, in seconds since 1970.
    #[serde(default)]
    owed_at: Option<u64>,
    /// Since when that is tried again.
    #[serde(skip)]
    owed_since: Option<u64>,
    /// What the machine that runs tries first at each boot, as it was started.
    #[serde(default)]
    first: Option<Device>,
    /// When it was reset last by a press.
    #[serde(skip)]
    reset: Option<Duration>,
    /// What a start that is under way has taken out of the above.
    starting: Option<Plan>,
    /// The same of a start of which nobody knows whether it has worked: the service ended meanwhile.
    #[serde(skip)]
    unsure: Option<Plan>,
    /// What the domain did when it was looked at last, and the number of that look.
    seen: Option<Power>,
    #[serde(skip)]
    look: u64,
}

impl State {
    /// Has the next start be with a firmware, where `now` is the one that there is. What was asked for before, as a setting of the
    /// firmware, no longer holds.
    pub fn choose_mode(&mut self, wanted: Firmware, now: Firmware) {
        self.pending.remove(BOOT_MODE);
        self.boot.mode = Some(wanted).filter(|wanted| *wanted != now);
    }

    /// The firmware of the next start, if it is asked for: by a setting, or as the mode of a boot, whichever came last.
    pub fn next_firmware(&self) -> Option<Firmware> {
        match self.pending.get(BOOT_MODE).map(String::as_str) {
            Some("Uefi") => Some(Firmware::Uefi),
            Some(_) => Some(Firmware::Bios),
            None => self.boot.mode,
        }
    }
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
            time_servers: Vec::new(),
            ipmi_port: None,
            blinks_until: None,
            restart: None,
            restarts: 0,
            ended: VecDeque::new(),
            leaving: false,
            after_boot: false,
            owed: None,
            owed_at: None,
            owed_since: None,
            first: None,
            reset: None,
            starting: None,
            unsure: None,
            seen: None,
            look: 0,
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
    /// One reboot that somebody sees to at a time.
    rebooting: Mutex<()>,
    /// One round of looking after it at a time.
    ticking: Mutex<()>,
    /// One change of what clients set at a time.
    changing: Mutex<()>,
    looks: AtomicU64,
    /// How often it was seen to end.
    ends: AtomicU64,
    listener: Mutex<Option<Listener>>,
    /// How often it has begun again: clients' sessions end with that.
    beginnings: AtomicU64,
    keeper: Mutex<Option<Keeper>>,
    /// The document that was kept last.
    kept: Mutex<Vec<u8>>,
    pub(crate) stirs: Stirs,
}

impl Bmc {
    /// A BMC that remembers nothing yet.
    pub fn new(name: &str, uuid: Uuid, machine: Arc<dyn Machine>, clock: Clock) -> Self {
        Self {
            name: name.to_string(),
            uuid,
            machine,
            clock,
            state: Mutex::default(),
            pressing: Mutex::default(),
            rebooting: Mutex::default(),
            ticking: Mutex::default(),
            changing: Mutex::default(),
            looks: AtomicU64::default(),
            ends: AtomicU64::default(),
            listener: Mutex::default(),
            beginnings: AtomicU64::default(),
            keeper: Mutex::default(),
            kept: Mutex::default(),
            stirs: Stirs::default(),
        }
    }

    /// Has somebody hear of what happens.
    pub fn listen(&self, listener: Listener) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    /// What it remembers. Held for moments only, never over a call of the machine.
    pub fn state(&self) -> MutexGuard<'_, State> {
        let state = self.unchanged();
        // Under the lock: whoever is told sees what is changed now.
        self.stirs.stir();
        state
    }

    /// The same for who changes nothing.
    fn unchanged(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine behind it.
    pub fn machine(&self) -> &dyn Machine {
        self.machine.as_ref()
    }

    /// The time, in seconds since 1970; it may jump when somebody sets it.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Seconds that pass whatever becomes of the time.
    pub fn steady(&self) -> u64 {
        self.clock.steady()
    }

    /// The same, as exactly as it is known.
    pub fn moment(&self) -> Duration {
        self.clock.moment()
    }

    /// Keeps others from changing what clients set, while somebody compares and changes it.
    pub fn lock(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the machine is made of.
    pub fn hardware(&self) -> Result<Hardware, Fault> {
        self.machine.hardware()
    }

    /// What the machine does; a change since the last look is logged.
    pub fn power(&self) -> Result<Power, Fault> {
        let look = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        let power = self.machine.power()?;
        let (what, left) = {
            let mut state = self.state();
            // A slow look that began before one whose answer is there already knows nothing new.
            if look < state.look {
                return Ok(power);
            }
            state.look = look;
            if power == Power::Off {
                state.watchdog.stop();
                state.first = None;
            }
            let left = power == Power::Off && std::mem::take(&mut state.leaving);
            let what = match (state.seen.replace(power), power) {
                (Some(Power::Off), now) if now.is_on() => Some(What::PowerOn),
                (Some(before), Power::Off) if before.is_on() => {
                    self.ends.fetch_add(1, Ordering::Relaxed);
                    Some(What::PowerOff)
                }
                (Some(before), Power::Crashed) if before != Power::Crashed => Some(What::Crashed),
                _ => None,
            };
            (what, left)
        };
        if left {
            // Asked to shut down, and it has.
            self.stays(false);
        }
        self.make_sure(power);
        if let Some(what) = what {
            self.note(what, "");
        }
        Ok(power)
    }

    /// How often the machine was seen to end: what was opened of it before has ended with it.
    pub fn ends(&self) -> u64 {
        self.ends.load(Ordering::Relaxed)
    }

    /// Logs what happened, and tells whoever listens.
    pub fn note(&self, what: What, detail: &str) -> Entry {
        let entry = self.state().log.add(self.clock.now(), what, detail);
        self.keep();
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(listener) = listener {
            listener(self, &entry);
        }
        entry
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

    /// Puts something into the CD-ROM drive, or empties it.
    pub fn insert(&self, image: Option<Image>) -> Result<(), Fault> {
        let _one = self.one_press();
        self.insert_now(image)
    }

    /// The same, if what is there is still what somebody has seen; whether it was.
    pub fn exchange(&self, before: Option<&Image>, image: Option<Image>) -> Result<bool, Fault> {
        let _one = self.one_press();
        if self.state().media.as_ref() != before {
            return Ok(false);
        }
        self.insert_now(image).map(|()| true)
    }

    fn insert_now(&self, image: Option<Image>) -> Result<(), Fault> {
        self.machine.insert(image.as_ref())?;
        let what = if image.is_some() { What::MediaInserted } else { What::MediaEjected };
        self.state().media = image;
        self.note(what, "");
        Ok(())
    }

    /// Begins again, as after a reset of the BMC itself: sessions of its clients end, and it looks at its node. What it was
    /// told stays, and the node goes on.
    pub fn begin_anew(&self) {
        self.beginnings.fetch_add(1, Ordering::Relaxed);
        // Whatever cannot be asked now is asked by whoever looks next.
        let _ = self.power();
    }

    /// How often it has begun again.
    pub fn beginnings(&self) -> u64 {
        self.beginnings.load(Ordering::Relaxed)
    }

    /// Whether something has to be looked after: a guest that is to be restarted, a press that is owed, a watchdog that runs,
    /// or what could not be kept.
    pub fn waits(&self) -> bool {
        let acts = {
            let state = self.unchanged();
            state.restart.is_some() || state.owed.is_some() || state.watchdog.runs()
        };
        acts || self.lacks_keeping()
    }

    /// The identification light now.
    pub fn light(&self) -> Light {
        let (now, mut state) = (self.steady(), self.state());
        if state.blinks_until.is_some_and(|until| now >= until) {
            (state.light, state.blinks_until) = (Light::Off, None);
        }
        state.light
    }

    /// Sets the identification light, for some seconds or until it is set again.
    pub fn set_light(&self, light: Light, seconds: Option<u64>) {
        let until = seconds.map(|seconds| self.steady() + seconds);
        let mut state = self.state();
        (state.light, state.blinks_until) = (light, until);
    }
}

#[cfg(test)]
mod tests;
