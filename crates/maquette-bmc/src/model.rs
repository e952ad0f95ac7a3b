//! A machine in memory, for tests and trials.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::machine::{
    Console, Disk, Fault, Firmware, Hardware, Image, Machine, Nic, Power, Said, Start, Started,
};
use crate::store::Store;

#[derive(Debug)]
struct Inside {
    hardware: Hardware,
    power: Power,
    starts: Vec<Start>,
    resets: usize,
    interrupts: usize,
    asleep: bool,
    autostart: bool,
    woken: usize,
    said: Said,
    image: Option<Image>,
    fault: Option<Fault>,
}

/// Hears of each call, by its name, before it is done; the call waits for it.
type Hook = Arc<dyn Fn(&str) + Send + Sync>;

/// A machine that does at once what it is told, and remembers it.
pub struct Model {
    inside: Mutex<Inside>,
    hook: Mutex<Option<Hook>>,
    line: Arc<Line>,
    /// Whether the next console says nothing.
    mutes: AtomicBool,
    rigid: AtomicBool,
    /// Whether the image in its drive cannot be read.
    unread: AtomicBool,
    /// Whether nobody hears that the next start has worked.
    unheard: AtomicBool,
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// A machine that is off: two processors, 2 GiB, a disk and a NIC.
    pub fn new() -> Self {
        Self::numbered(0)
    }

    /// The same, with addresses of its own.
    pub fn numbered(number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        let disk = |name: &str| Disk {
            name: name.into(),
            bus: "virtio".into(),
            serial: Some(format!("{number:04x}-{name}")),
        };
        let nic = |last: u8| Nic {
            mac: format!("52:54:00:{high:02x}:{low:02x}:{last:02x}"),
            model: "virtio".into(),
            up: true,
        };
        let hardware = Hardware {
            architecture: "x86_64".into(),
            machine: "pc-q35-7.2".into(),
            vcpus: 2,
            memory_mib: 2048,
            firmware: Firmware::Uefi,
            secure_boot: Some(false),
            disks: vec![disk("vda"), disk("vdb")],
            nics: vec![nic(1), nic(2)],
            cdrom: true,
            console: true,
        };
        let inside = Inside {
            hardware,
            power: Power::Off,
            starts: Vec::new(),
            resets: 0,
            interrupts: 0,
            asleep: false,
            autostart: false,
            woken: 0,
            said: Said::default(),
            image: None,
            fault: None,
        };
        Self {
            inside: Mutex::new(inside),
            hook: Mutex::default(),
            line: Arc::default(),
            mutes: AtomicBool::default(),
            rigid: AtomicBool::default(),
            unread: AtomicBool::default(),
            unheard: AtomicBool::default(),
        }
    }

    /// From now on the order that it was started with lasts until it ends, as with libvirt before 8.10.
    pub fn keep_order(&self) {
        self.rigid.store(true, Ordering::Relaxed);
    }

    /// From now on the image in its drive cannot be read.
    pub fn lose_image(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// The next start works, and whoever asks for it does not hear so: libvirt's daemon goes meanwhile.
    pub fn lose_answer(&self) {
        self.unheard.store(true, Ordering::Relaxed);
    }

    /// Has somebody hear of each call, by its name, before it is done; the call waits for it.
    pub fn hook(&self, hook: impl Fn(&str) + Send + Sync + 'static) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(hook));
    }

    fn hear(&self, name: &str) {
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            hook(name);
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn works(&self) -> Result<MutexGuard<'_, Inside>, Fault> {
        let inside = self.inside();
        match &inside.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(inside),
        }
    }

    fn runs(&self) -> Result<MutexGuard<'_, Inside>, Fault> {
        let inside = self.works()?;
        if inside.power.is_on() { Ok(inside) } else { Err(Fault::State("it is off".into())) }
    }

    /// How it was started, each time.
    pub fn starts(&self) -> Vec<Start> {
        self.inside().starts.clone()
    }

    /// How often it was reset, and got a non-maskable interrupt.
    pub fn presses(&self) -> (usize, usize) {
        let inside = self.inside();
        (inside.resets, inside.interrupts)
    }

    /// How often it has gone on from where it was suspended.
    pub fn woken(&self) -> usize {
        self.inside().woken
    }

    /// What its console has said.
    pub fn said(&self, from: u64, bytes: &[u8]) {
        self.inside().said = Said { from, bytes: bytes.into() };
    }

    /// What is in its CD-ROM drive.
    pub fn image(&self) -> Option<Image> {
        self.inside().image.clone()
    }

    /// Has everything fail from now on, or nothing any more.
    pub fn fail(&self, fault: Option<Fault>) {
        self.inside().fault = fault;
    }

    /// Has the console that is opened next say nothing, and not end with its guest.
    pub fn mutes_console(&self) {
        self.mutes.store(true, Ordering::Relaxed);
    }

    /// Whether that console is still to be opened.
    pub fn will_mute_console(&self) -> bool {
        self.mutes.load(Ordering::Relaxed)
    }

    /// It does something else from now on, as its hypervisor has it.
    pub fn stand(&self, power: Power) {
        self.inside().power = power;
    }

    /// Its guest ends, and its console with it.
    pub fn guest_shuts_down(&self) {
        self.inside().power = Power::Off;
        self.line.close();
    }
}

impl Machine for Model {
    fn hardware(&self) -> Result<Hardware, Fault> {
        self.hear("hardware");
        Ok(self.works()?.hardware.clone())
    }

    fn sizes(&self) -> Result<Vec<Option<u64>>, Fault> {
        self.hear("sizes");
        drop(self.works()?);
        Ok(vec![Some(20 << 30), Some(10 << 30)])
    }

    fn power(&self) -> Result<Power, Fault> {
        self.hear("power");
        Ok(self.works()?.power)
    }

    fn start(&self, how: Start) -> Result<Started, Fault> {
        self.hear("start");
        let mut inside = self.works()?;
        if inside.power.is_on() {
            return Err(Fault::State("it runs already".into()));
        }
        inside.power = Power::On;
        if std::mem::take(&mut inside.asleep) && how == Start::PLAIN {
            inside.woken += 1;
        }
        inside.hardware.firmware = how.firmware.unwrap_or(inside.hardware.firmware);
        if let (Some(_), Some(wanted)) = (inside.hardware.secure_boot, how.secure_boot) {
            inside.hardware.secure_boot = Some(wanted);
        }
        inside.starts.push(how);
        let unread = inside.image.is_some() && self.unread.load(Ordering::Relaxed);
        if self.unheard.swap(false, Ordering::Relaxed) {
            return Err(Fault::Failed("the connection was lost".into()));
        }
        let in_own_order = !how.once || !self.rigid.load(Ordering::Relaxed);
        Ok(Started { without_image: unread, in_own_order })
    }

    fn destroy(&self) -> Result<(), Fault> {
        self.hear("destroy");
        self.runs()?.power = Power::Off;
        self.line.close();
        Ok(())
    }

    /// The guest does not hear it; a test says when it ends.
    fn shutdown(&self) -> Result<(), Fault> {
        self.hear("shutdown");
        self.runs().map(|_| ())
    }

    fn reset(&self) -> Result<bool, Fault> {
        self.hear("reset");
        let mut inside = self.runs()?;
        let in_order = !self.rigid.load(Ordering::Relaxed);
        inside.resets += usize::from(in_order);
        Ok(in_order)
    }

    fn runs_with_hypervisor(&self, on: bool) -> Result<(), Fault> {
        self.hear(if on { "runs" } else { "stays off" });
        self.works()?.autostart = on;
        Ok(())
    }

    fn starts_with_hypervisor(&self) -> Result<bool, Fault> {
        self.hear("starts");
        Ok(self.works()?.autostart)
    }

    fn suspend(&self) -> Result<(), Fault> {
        self.hear("suspend");
        let mut inside = self.runs()?;
        (inside.power, inside.asleep) = (Power::Off, true);
        self.line.close();
        Ok(())
    }

    fn nmi(&self) -> Result<(), Fault> {
        self.hear("nmi");
        self.runs()?.interrupts += 1;
        Ok(())
    }

    fn pause(&self, paused: bool) -> Result<(), Fault> {
        self.hear("pause");
        self.runs()?.power = if paused { Power::Paused } else { Power::On };
        Ok(())
    }

    fn insert(&self, image: Option<&Image>) -> Result<(), Fault> {
        self.hear("insert");
        self.works()?.image = image.cloned();
        Ok(())
    }

    fn console(&self) -> Result<Box<dyn Console>, Fault> {
        self.hear("console");
        drop(self.runs()?);
        let typed = self.line.clone();
        let said = match self.mutes.swap(false, Ordering::Relaxed) {
            true => Arc::default(),
            false => typed.clone(),
        };
        Ok(Box::new(Echo { said, typed }))
    }

    fn console_log(&self) -> Result<Said, Fault> {
        self.hear("console log");
        Ok(self.works()?.said.clone())
    }
}

/// Documents in memory.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<BTreeMap<String, Vec<u8>>>);

impl Store for Shelf {
    fn load(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
    }

    fn save(&self, name: &str, document: &[u8]) -> std::io::Result<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.into(), document.into());
        Ok(())
    }
}

/// What is to be read from a console.
#[derive(Default)]
struct Line {
    bytes: Mutex<VecDeque<u8>>,
    more: Condvar,
    closed: AtomicBool,
}

impl Line {
    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.put(&[]);
    }

    fn put(&self, bytes: &[u8]) {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        self.more.notify_all();
    }
}

/// A console that says what is typed into it, if that is one line.
struct Echo {
    said: Arc<Line>,
    typed: Arc<Line>,
}

/// One of its directions: it ends with the other.
struct Direction(Arc<Line>);

impl Drop for Direction {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Console for Echo {
    fn closer(&self) -> Box<dyn Fn() + Send + Sync> {
        let line = self.said.clone();
        Box::new(move || line.close())
    }

    fn split(self: Box<Self>) -> (Box<dyn Read + Send>, Box<dyn Write + Send>) {
        self.said.closed.store(false, Ordering::Relaxed);
        (Box::new(Direction(self.said)), Box::new(Direction(self.typed)))
    }
}

impl Read for Direction {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = self
            .0
            .more
            .wait_while(bytes, |bytes| bytes.is_empty() && !self.0.closed.load(Ordering::Relaxed))
            .unwrap_or_else(PoisonError::into_inner);
        bytes.read(buffer)
    }
}

impl Write for Direction {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
