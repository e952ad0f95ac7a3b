//! A domain as its BMC sees it.

mod connection;
mod control;
mod serve;
mod sockets;
mod start;

use std::io::{Error, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use maquette_bmc::bmc::Bmc;
use maquette_bmc::machine::{
    Console, Disk, Fault, Hardware, Image, Machine, Power, SAID, Said, Start, Started,
};
use maquette_core::doctor::Power as State;
use uuid::Uuid;

use crate::client::{self, Client, Domain, DomainEvent, LibvirtError, Others, Pipe};
use crate::xml::{boot, serial_logs};

pub use connection::Connection;
pub use control::ask;
pub use maquette_bmc::reach::{Resolver, system_resolver};
pub use serve::{Journal, ServeError, check, serve};
pub use start::start_without_image;

/// A domain, by its name and its UUID: one of the same name that is another one is never touched.
pub struct DomainMachine {
    connection: Arc<Connection>,
    name: String,
    uuid: Uuid,
}

fn fault(error: LibvirtError) -> Fault {
    let words = error.to_string();
    if error.is_missing() {
        Fault::Gone
    } else if error.is_out_of_state() {
        Fault::State(words)
    } else {
        Fault::Failed(words)
    }
}

impl DomainMachine {
    /// A domain that a connection leads to.
    pub fn new(client: Arc<Client>, name: &str, uuid: Uuid) -> Self {
        Self::on(Arc::new(Connection::of(client)), name, uuid)
    }

    /// The same for a connection that is opened again when it is lost.
    pub fn on(connection: Arc<Connection>, name: &str, uuid: Uuid) -> Self {
        Self { connection, name: name.to_string(), uuid }
    }

    fn domain(&self) -> Result<Domain, Fault> {
        let client = self.connection.client()?;
        self.domain_of(&client)
    }

    /// The domain as one connection has it.
    fn domain_of(&self, client: &Client) -> Result<Domain, Fault> {
        let domain = client.domain(&self.name).map_err(fault)?.ok_or(Fault::Gone)?;
        let uuid = client::domain_uuid(&domain).map_err(fault)?;
        if uuid == self.uuid { Ok(domain) } else { Err(Fault::Gone) }
    }

    /// The domain, if it runs.
    fn running(&self) -> Result<Domain, Fault> {
        let domain = self.domain()?;
        match client::is_active(&domain).map_err(fault)? {
            true => Ok(domain),
            false => Err(Fault::State("it is off".into())),
        }
    }

    /// What libvirt says no to while it answers: there may be no such firmware, no such image, or no such disk. That is no failure
    /// of the BMC's, unless the connection has gone that was asked.
    fn refused(client: &Client, error: LibvirtError) -> Fault {
        match fault(error) {
            Fault::Failed(words) if client.is_alive() => Fault::Refused(words),
            fault => fault,
        }
    }

    /// What libvirt says that it is now, without secrets.
    fn described(domain: &Domain) -> Result<String, Fault> {
        client::domain_xml(domain).map_err(fault)?.ok_or(Fault::Gone)
    }

    fn hardware_of(xml: &str) -> Result<Hardware, Fault> {
        let unreadable = || Fault::Failed("its definition cannot be read".into());
        boot::hardware(xml).ok_or_else(unreadable)
    }

    /// The definition that stays, with its secrets.
    fn definition(domain: &Domain) -> Result<String, Fault> {
        client::secret_xml(domain).map_err(fault)?.ok_or(Fault::Gone)
    }

    /// Boots from one device once: QEMU looks at the order again when the guest reboots, and has the domain's own by then.
    /// Where libvirt cannot change that (before 8.10), the order lasts until the domain ends.
    /// False says so.
    fn once(domain: &Domain, own: &str) -> Result<bool, Fault> {
        let live = client::live_xml(domain).map_err(fault)?.ok_or(Fault::Gone)?;
        let devices = boot::reordered(&live, own);
        Ok(devices.iter().all(|device| client::update(domain, device).is_ok()))
    }
}

impl Machine for DomainMachine {
    fn hardware(&self) -> Result<Hardware, Fault> {
        Self::hardware_of(&Self::described(&self.domain()?)?)
    }

    fn sizes(&self) -> Result<Vec<Option<u64>>, Fault> {
        let client = self.connection.client()?;
        let domain = self.domain_of(&client)?;
        let xml = Self::described(&domain)?;
        let files = boot::disk_files(&xml);
        let size = |disk: &Disk| {
            let file = files.get(&disk.name).map(String::as_str);
            client::disk_capacity(&client, &domain, &disk.name, file)
        };
        Ok(Self::hardware_of(&xml)?.disks.iter().map(size).collect())
    }

    fn power(&self) -> Result<Power, Fault> {
        Ok(match client::power(&self.domain()?).map_err(fault)? {
            State::Running | State::Watchdog => Power::On,
            State::Paused | State::IoError => Power::Paused,
            State::GuestCrashed => Power::Crashed,
            State::EmulatorDied | State::StartFailed | State::Off(_) => Power::Off,
        })
    }

    fn start(&self, how: Start) -> Result<Started, Fault> {
        let client = self.connection.client()?;
        let domain = self.domain_of(&client)?;
        let refused = |error| Self::refused(&client, error);
        if client::is_active(&domain).map_err(fault)? {
            return Err(Fault::State("it runs already".into()));
        }
        if client::is_suspended(&domain) {
            if how == Start::PLAIN {
                return client::wake(&domain).map(|()| Started::WHOLE).map_err(refused);
            }
            // Another boot is asked for. Left where it is, that memory would meet disks that have changed without it.
            client::forget_memory(&domain).map_err(fault)?;
        }
        let own = Self::definition(&domain)?;
        let mut xml = own.clone();
        let anew = how.firmware.is_some() || how.secure_boot.is_some();
        if anew {
            let changed = boot::with_firmware(&xml, how.firmware, how.secure_boot);
            xml = changed.ok_or_else(|| Fault::Failed("its definition cannot be read".into()))?;
            client.define_domain(&xml).map_err(fault)?;
        }
        let defined = anew.then(|| Self::definition(&domain).ok()).flatten();
        // Its definition stays as it is: what it is started with lasts as long as it runs.
        let ordered = how.first.and_then(|first| boot::ordered(&xml, Some(first)));
        let started = start::start_at_all(&client, ordered.as_deref().unwrap_or(&xml), anew);
        let started = started.map_err(|error| {
            // There may be no such firmware here: the next start is to be one as before, unless somebody has defined the domain
            // again meanwhile, or has removed it.
            if defined.is_some() && Self::definition(&domain).ok() == defined {
                let _ = client.define_domain(&own);
            }
            refused(error)
        })?;
        // It runs. Where the order cannot be put back, it lasts until the domain ends.
        let in_own_order =
            !how.once || ordered.is_none() || Self::once(&domain, &xml).unwrap_or(false);
        Ok(Started { in_own_order, ..started })
    }

    fn destroy(&self) -> Result<(), Fault> {
        client::pull_plug(&self.running()?).map_err(fault)
    }

    fn shutdown(&self) -> Result<(), Fault> {
        client::shut_down(&self.running()?).map_err(fault)
    }

    /// What it was started with last may be another order of devices, which nobody asks for any more.
    fn reset(&self) -> Result<bool, Fault> {
        let domain = self.running()?;
        let in_order = Self::once(&domain, &Self::definition(&domain)?)?;
        if in_order {
            client::reset(&domain).map_err(fault)?;
        }
        Ok(in_order)
    }

    fn runs_with_hypervisor(&self, on: bool) -> Result<(), Fault> {
        client::autostart(&self.domain()?, on).map_err(fault)
    }

    fn starts_with_hypervisor(&self) -> Result<bool, Fault> {
        client::starts_with_hypervisor(&self.domain()?).map_err(fault)
    }

    fn suspend(&self) -> Result<(), Fault> {
        client::suspend(&self.running()?).map_err(fault)
    }

    fn nmi(&self) -> Result<(), Fault> {
        client::inject_nmi(&self.running()?).map_err(fault)
    }

    fn pause(&self, paused: bool) -> Result<(), Fault> {
        let domain = self.running()?;
        if paused { client::pause(&domain) } else { client::resume(&domain) }.map_err(fault)
    }

    fn insert(&self, image: Option<&Image>) -> Result<(), Fault> {
        let client = self.connection.client()?;
        let domain = self.domain_of(&client)?;
        let xml = Self::definition(&domain)?;
        let drive = boot::with_image(&xml, image);
        let none = || Fault::Unsupported("it has no CD-ROM drive for this".into());
        let drive = drive.ok_or_else(none)?;
        // What runs first: if that fails, nothing has changed.
        if client::is_active(&domain).map_err(fault)? {
            let live = client::live_xml(&domain).map_err(fault)?.ok_or(Fault::Gone)?;
            let drive = boot::with_image(&live, image).ok_or_else(none)?;
            client::change_media(&domain, &drive).map_err(|error| Self::refused(&client, error))?;
        }
        client::update_definition(&domain, &drive).map_err(fault)
    }

    fn console(&self) -> Result<Box<dyn Console>, Fault> {
        self.running()?;
        let taken = |error: LibvirtError| match error.is_console_taken() {
            true => Fault::Taken(error.to_string()),
            false => fault(error),
        };
        let (_, pipe) =
            self.connection.client()?.console(&self.name, Others::Stay).map_err(taken)?;
        Ok(Box::new(SerialConsole(Arc::new(pipe))))
    }

    fn console_log(&self) -> Result<Said, Fault> {
        let domain = self.domain()?;
        let xml = client::domain_xml(&domain).map_err(fault)?.ok_or(Fault::Gone)?;
        let known = serial_logs(&self.name);
        // Wherever else a definition has it logged: that is not for clients to read.
        let Some(file) = known.iter().find(|file| boot::logs_console_to(&xml, file)) else {
            return Ok(Said::default());
        };
        Ok(end_of(file, SAID))
    }
}

/// The end of a log. There is none before the first boot, nor where this process may not look.
fn end_of(file: &str, most: u64) -> Said {
    use rustix::fs::{Mode, OFlags, open};
    use std::io::{Seek, SeekFrom};

    // QEMU writes there, and could put something else into its place.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let read = || -> std::io::Result<Said> {
        let mut file = std::fs::File::from(open(file, flags, Mode::empty())?);
        let about = file.metadata()?;
        if !about.is_file() {
            return Ok(Said::default());
        }
        let from = about.len().saturating_sub(most);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(Said { from, bytes })
    };
    read().unwrap_or_default()
}

struct SerialConsole(Arc<Pipe>);

struct Output(Arc<Pipe>);

/// Ends the console when it is dropped.
struct Input(Arc<Pipe>);

impl Console for SerialConsole {
    fn closer(&self) -> Box<dyn Fn() + Send + Sync> {
        let pipe = self.0.clone();
        Box::new(move || pipe.abort())
    }

    fn split(self: Box<Self>) -> (Box<dyn Read + Send>, Box<dyn Write + Send>) {
        (Box::new(Output(self.0.clone())), Box::new(Input(self.0)))
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.receive(buffer).map_err(|error| Error::other(error.to_string()))
    }
}

impl Write for Input {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes).map_err(|error| Error::other(error.to_string()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long libvirt may take to start what is to run, once it answers.
const AUTOSTARTS: Duration = Duration::from_secs(10);

/// Has nodes run that libvirt was to start with its hypervisor, and could not.
fn start_the_others(bmcs: &[Arc<Bmc>]) {
    let all: Vec<_> = bmcs.iter().filter(|bmc| bmc.is_after_boot()).cloned().collect();
    if all.is_empty() {
        return;
    }
    let start = move || {
        std::thread::sleep(AUTOSTARTS);
        for bmc in &all {
            // What fails is tried again by whoever looks after it, or when libvirt is back.
            let _ = bmc.start_with_hypervisor();
        }
    };
    let _ = std::thread::Builder::new().spawn(start);
}

/// Has BMCs look at their domains whenever libvirt says that something has happened to one, until the connection is gone.
pub fn follow(client: &Client, bmcs: &[Arc<Bmc>]) -> Result<(), LibvirtError> {
    let events = client.events()?;
    // What has happened before is looked at once somebody listens: nothing falls between.
    for bmc in bmcs {
        // Whatever cannot be asked now is asked by whoever looks next.
        let _ = bmc.power();
    }
    start_the_others(bmcs);
    for event in events {
        let name = match event {
            DomainEvent::Changed(name) => name,
            DomainEvent::Rebooted(name) => {
                for bmc in bmcs.iter().filter(|bmc| bmc.name == name) {
                    let bmc = bmc.clone();
                    // It may be started once more, for which no other one waits. What fails is tried again by whoever looks
                    // after it.
                    let _ = std::thread::Builder::new().spawn(move || bmc.rebooted());
                }
                continue;
            }
            DomainEvent::DeviceRemoved(_) => continue,
            DomainEvent::Closed => return Ok(()),
        };
        for bmc in bmcs.iter().filter(|bmc| bmc.name == name) {
            // Whatever cannot be asked now is asked by whoever looks next.
            let _ = bmc.power();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use maquette_bmc::machine::Firmware;

    use super::*;
    use crate::client::{Gate, gated};

    /// A hypervisor without the firmware that is asked for.
    struct Lacks;

    impl Gate for Lacks {
        fn before(&self, call: &str) -> Result<(), String> {
            if call == "start" { Err("there is no such firmware".into()) } else { Ok(()) }
        }
    }

    /// A machine of libvirt's test driver, with devices.
    fn machine(devices: &str) -> (DomainMachine, Domain) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("node.xml");
        std::fs::write(&file, "<node/>").unwrap();
        let client = Client::open_for_tests(&format!("test://{}", file.display())).unwrap();
        let xml = format!(
            "<domain type='test'><name>n</name><memory unit='MiB'>64</memory>\
            <os><type arch='i686'>hvm</type><boot dev='hd'/></os>\
            <devices>{devices}</devices></domain>"
        );
        client.define_domain(&xml).unwrap();
        let client = Arc::new(client);
        let domain = client.domain("n").unwrap().unwrap();
        (DomainMachine::new(client, "n", client::domain_uuid(&domain).unwrap()), domain)
    }

    /// A hypervisor that starts nothing with a disc, whose server has gone.
    struct Unread(AtomicUsize);

    impl Gate for Unread {
        fn before(&self, call: &str) -> Result<(), String> {
            let first = call == "start" && self.0.fetch_add(1, Ordering::Relaxed) == 0;
            if first { Err("CURL: Error opening file".into()) } else { Ok(()) }
        }
    }

    #[test]
    fn a_disc_that_cannot_be_read_keeps_no_node_from_running() {
        let disc = "<disk type='network' device='cdrom'><driver name='qemu' type='raw'/>\
            <source protocol='http' name='x.iso'><host name='192.0.2.1' port='80'/></source>\
            <target dev='sda' bus='sata'/><readonly/></disk>";
        let (machine, domain) = machine(disc);
        let gate: Arc<dyn Gate> = Arc::new(Unread(AtomicUsize::new(0)));
        let started = gated(Some(&gate), || machine.start(Start::PLAIN));
        let without = Started { without_image: true, ..Started::WHOLE };
        assert_eq!((started, machine.power()), (Ok(without), Ok(Power::On)));
        assert!(!client::live_xml(&domain).unwrap().unwrap().contains("x.iso"));
        // It is there when its server is.
        assert!(DomainMachine::definition(&domain).unwrap().contains("x.iso"));
        machine.destroy().unwrap();
        assert_eq!(machine.start(Start::PLAIN), Ok(Started::WHOLE));
        assert!(client::live_xml(&domain).unwrap().unwrap().contains("x.iso"));
        // Whoever starts it without its BMC.
        machine.destroy().unwrap();
        let gate: Arc<dyn Gate> = Arc::new(Unread(AtomicUsize::new(0)));
        let client = machine.connection.client().unwrap();
        gated(Some(&gate), || {
            let failed = client::start_domain(&domain).unwrap_err();
            start_without_image(&client, &domain, failed)
        })
        .unwrap();
        assert!(!client::live_xml(&domain).unwrap().unwrap().contains("x.iso"));
    }

    /// Its pool is not mounted, for one: whoever has pressed hears why, and not that the BMC is away.
    #[test]
    fn a_node_that_libvirt_does_not_start_is_a_refusal() {
        let (machine, _) = machine("");
        let gate: Arc<dyn Gate> = Arc::new(Lacks);
        let failed = gated(Some(&gate), || machine.start(Start::PLAIN));
        assert!(matches!(failed, Err(Fault::Refused(why)) if why.contains("no such firmware")));
    }

    #[test]
    fn a_firmware_that_there_is_not_leaves_a_domain_as_it_was() {
        let (machine, domain) = machine("");
        let own = DomainMachine::definition(&domain).unwrap();
        let gate: Arc<dyn Gate> = Arc::new(Lacks);
        let uefi = Start { firmware: Some(Firmware::Uefi), ..Start::PLAIN };
        let failed = gated(Some(&gate), || machine.start(uefi));
        assert!(failed.is_err_and(|fault| fault.to_string().contains("no such firmware")));
        assert_eq!(DomainMachine::definition(&domain).unwrap(), own);
        machine.start(Start::PLAIN).unwrap();
    }
}
