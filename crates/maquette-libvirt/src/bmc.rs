//! A domain as its BMC sees it.

mod connection;
mod control;
mod serve;
mod sockets;

use std::io::{Error, Read, Write};
use std::sync::Arc;

use maquette_bmc::bmc::Bmc;
use maquette_bmc::machine::{Console, Fault, Hardware, Image, Machine, Power, SAID, Said, Start};
use maquette_core::doctor::Power as State;
use uuid::Uuid;

use crate::client::{self, Client, Domain, DomainEvent, LibvirtError, Others, Pipe};
use crate::xml::{boot, serial_logs};

pub use connection::Connection;
pub use control::ask;
pub use serve::{Journal, ServeError, check, serve};

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

    /// The same for a connection that is opened anew when it is lost.
    pub fn on(connection: Arc<Connection>, name: &str, uuid: Uuid) -> Self {
        Self { connection, name: name.to_string(), uuid }
    }

    fn domain(&self) -> Result<Domain, Fault> {
        let domain =
            self.connection.client()?.domain(&self.name).map_err(fault)?.ok_or(Fault::Gone)?;
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

    /// The definition that stays, with its secrets.
    fn definition(domain: &Domain) -> Result<String, Fault> {
        client::secret_xml(domain).map_err(fault)?.ok_or(Fault::Gone)
    }

    /// Boots from one device once: QEMU looks at the order again when the guest reboots, and has the domain's own by then.
    /// Where libvirt cannot change that (before 8.10), the order lasts until the domain ends.
    fn once(domain: &Domain, own: &str) {
        let Ok(Some(live)) = client::live_xml(domain) else { return };
        for device in boot::reordered(&live, own) {
            if client::update(domain, &device).is_err() {
                return;
            }
        }
    }
}

impl Machine for DomainMachine {
    fn hardware(&self) -> Result<Hardware, Fault> {
        let domain = self.domain()?;
        let xml = client::domain_xml(&domain).map_err(fault)?.ok_or(Fault::Gone)?;
        let unreadable = || Fault::Failed("its definition cannot be read".into());
        let mut hardware = boot::hardware(&xml).ok_or_else(unreadable)?;
        let (client, files) = (self.connection.client()?, boot::disk_files(&xml));
        for disk in &mut hardware.disks {
            let file = files.get(&disk.name).map(String::as_str);
            disk.bytes = client::disk_capacity(&client, &domain, &disk.name, file);
        }
        Ok(hardware)
    }

    fn power(&self) -> Result<Power, Fault> {
        Ok(match client::power(&self.domain()?).map_err(fault)? {
            State::Running | State::Watchdog => Power::On,
            State::Paused | State::IoError => Power::Paused,
            State::GuestCrashed => Power::Crashed,
            State::EmulatorDied | State::StartFailed | State::Off(_) => Power::Off,
        })
    }

    fn start(&self, how: Start) -> Result<(), Fault> {
        let domain = self.domain()?;
        if client::is_active(&domain).map_err(fault)? {
            return Err(Fault::State("it runs already".into()));
        }
        if client::is_suspended(&domain) {
            if how == Start::PLAIN {
                return client::wake(&domain).map_err(fault);
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
            self.connection.client()?.define_domain(&xml).map_err(fault)?;
        }
        // Its definition stays as it is: what it is started with lasts as long as it runs.
        let started = how.first.and_then(|first| boot::ordered(&xml, Some(first)));
        let client = self.connection.client()?;
        if let Err(error) = client.start_as(started.as_deref().unwrap_or(&xml), anew) {
            if anew {
                // There may be no such firmware here: the next start is to be one as before.
                let _ = client.define_domain(&own);
            }
            return Err(fault(error));
        }
        if how.once && started.is_some() {
            Self::once(&domain, &xml);
        }
        Ok(())
    }

    fn destroy(&self) -> Result<(), Fault> {
        client::pull_plug(&self.running()?).map_err(fault)
    }

    fn shutdown(&self) -> Result<(), Fault> {
        client::shut_down(&self.running()?).map_err(fault)
    }

    fn reset(&self) -> Result<(), Fault> {
        client::reset(&self.running()?).map_err(fault)
    }

    fn runs_with_hypervisor(&self, on: bool) -> Result<(), Fault> {
        client::autostart(&self.domain()?, on).map_err(fault)
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
        let domain = self.domain()?;
        let xml = Self::definition(&domain)?;
        let drive = boot::with_image(&xml, image);
        let none = || Fault::Unsupported("it has no CD-ROM drive for this".into());
        let drive = drive.ok_or_else(none)?;
        // What runs first: if that fails, nothing has changed.
        if client::is_active(&domain).map_err(fault)? {
            let live = client::live_xml(&domain).map_err(fault)?.ok_or(Fault::Gone)?;
            let drive = boot::with_image(&live, image).ok_or_else(none)?;
            client::change_media(&domain, &drive).map_err(fault)?;
        }
        client::update_definition(&domain, &drive).map_err(fault)
    }

    fn console(&self) -> Result<Box<dyn Console>, Fault> {
        self.running()?;
        let (_, pipe) =
            self.connection.client()?.console(&self.name, Others::Stay).map_err(fault)?;
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

/// Has BMCs look at their domains whenever libvirt says that something has happened to one, until the connection is gone.
pub fn follow(client: &Client, bmcs: &[Arc<Bmc>]) -> Result<(), LibvirtError> {
    for event in client.events()? {
        let name = match event {
            DomainEvent::Changed(name) => name,
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

    #[test]
    fn a_firmware_that_there_is_not_leaves_a_domain_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("node.xml");
        std::fs::write(&file, "<node/>").unwrap();
        let client = Client::open_for_tests(&format!("test://{}", file.display())).unwrap();
        let xml = "<domain type='test'><name>n</name><memory unit='MiB'>64</memory>\
            <os><type arch='i686'>hvm</type><boot dev='hd'/></os></domain>";
        client.define_domain(xml).unwrap();
        let client = Arc::new(client);
        let domain = client.domain("n").unwrap().unwrap();
        let machine = DomainMachine::new(client, "n", client::domain_uuid(&domain).unwrap());
        let own = DomainMachine::definition(&domain).unwrap();
        let gate: Arc<dyn Gate> = Arc::new(Lacks);
        let uefi = Start { firmware: Some(Firmware::Uefi), ..Start::PLAIN };
        let failed = gated(Some(&gate), || machine.start(uefi));
        assert!(failed.is_err_and(|fault| fault.to_string().contains("no such firmware")));
        assert_eq!(DomainMachine::definition(&domain).unwrap(), own);
        machine.start(Start::PLAIN).unwrap();
    }
}
