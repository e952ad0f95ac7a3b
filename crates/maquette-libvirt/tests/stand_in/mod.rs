//! What libvirt's test driver lacks for templates: devices that come and go, memory images of QEMU's, guests that speak,
//! and a pool whose volumes are files.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

use maquette_core::blueprint::{Template, TemplatePart};
use maquette_core::units::MacAddr;
use maquette_engine::image::template::{Ids, Kind, MARK};
use maquette_libvirt::{Client, Instead, LibvirtError, Port};
use uuid::Uuid;
use virt::domain::{Domain, DomainState};
use virt::storage_vol::StorageVol;
use virt::sys;

use crate::killer::{Killer, beside};

/// Length of the fixed part of a memory image's head, and of what follows it, in bytes.
const FIXED: usize = 92;
const LENGTH: usize = 1 << 16;

/// What a domain has in what runs of it, and not in its definition, if it runs with a template's memory.
const RESTORED: &str = "<description>restored</description>";

/// The boot ID of each guest that boots.
const BOOT: Uuid = Uuid::from_u128(u128::MAX / 11);

/// A hypervisor.
pub struct Machine {
    pub client: Arc<Client>,
    /// Directory of its pool.
    pub directory: PathBuf,
    /// Restored domains whose guests have heard who they are, and templates that have heard to hold everything up.
    woken: Mutex<BTreeSet<String>>,
    news: Condvar,
    /// What goes wrong with nodes that start from templates.
    pub mood: Mutex<Mood>,
    /// What has happened to domains that were restored, in order.
    pub story: Mutex<Vec<String>>,
}

/// What goes wrong with nodes that start from templates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mood {
    /// Nothing.
    #[default]
    Well,
    /// Disks cannot be plugged in.
    Refuses,
    /// Guests do not see NICs that were.
    Misses,
    /// The same of the first guest alone.
    MissesOnce,
    /// QEMU does not take memory.
    RefusesMemory,
}

impl Machine {
    pub fn new(client: Arc<Client>, directory: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            client,
            directory,
            woken: Mutex::default(),
            news: Condvar::new(),
            mood: Mutex::default(),
            story: Mutex::default(),
        })
    }

    /// Tells whoever waits for a guest that something has happened.
    pub fn tell(&self) {
        drop(self.woken.lock().unwrap());
        self.news.notify_all();
    }

    /// Notes that something has happened.
    pub fn note(&self, what: &str) {
        self.story.lock().unwrap().push(what.into());
    }

    fn running(&self, name: &str) -> Option<Domain> {
        let found = beside(|| self.client.domain(name)).unwrap();
        found.filter(|domain| domain.is_active().unwrap_or(false))
    }

    /// Makes a call that the driver lacks.
    pub fn instead(&self, call: &Instead<'_>) -> Result<(), String> {
        let made = self.make(call);
        self.tell();
        made
    }

    fn make(&self, call: &Instead<'_>) -> Result<(), String> {
        match *call {
            Instead::Upload { .. } => Ok(()),
            Instead::Create { xml } => {
                let name = xml.split("<name>").nth(1).and_then(|rest| rest.split('<').next());
                self.woken.lock().unwrap().remove(name.unwrap_or_default());
                beside(|| self.client.create_domain(xml)).map(|_| ()).map_err(|e| e.to_string())
            }
            Instead::Attach { domain, device } => self.replug(domain, |xml| {
                if *self.mood.lock().unwrap() == Mood::Refuses && device.contains("<disk") {
                    return Err("this disk cannot be plugged in".into());
                }
                let what = named(device);
                match xml.contains(&what) {
                    true => Err(format!("{what} is there already")),
                    false => Ok(xml.replace("</devices>", &format!("{device}</devices>"))),
                }
            }),
            Instead::Detach { domain, device } => self.replug(domain, |xml| {
                let what = named(device);
                let parts = xml.split_inclusive("</disk>");
                let kept: String = parts.map(|part| without(part, &what)).collect();
                if kept == xml { Err(format!("{what} is not there")) } else { Ok(kept) }
            }),
            Instead::Resize { domain } => self.replug(domain, Ok),
            Instead::Save { domain, file } => self.save(domain, file),
            Instead::Restore { file } => self.restore(file),
        }
    }

    /// Changes what a running domain is made of: the driver starts it again, of which the guests of this module hear
    /// nothing.
    fn replug(
        &self,
        name: &str,
        change: impl FnOnce(String) -> Result<String, String>,
    ) -> Result<(), String> {
        let _nobody_looks = self.woken.lock().unwrap();
        let domain = self.running(name).ok_or("it does not run")?;
        let xml = change(domain.xml_desc(0).unwrap())?;
        let paused = is_paused(&domain);
        domain.destroy().unwrap();
        let domain = beside(|| self.client.create_domain(&xml)).unwrap();
        if paused {
            domain.suspend().unwrap();
        }
        Ok(())
    }

    /// Saves as libvirt does: head, definition, and memory in which the UUID is.
    fn save(&self, name: &str, file: &str) -> Result<(), String> {
        assert!(self.woken.lock().unwrap().contains(name), "other programs run in it");
        let domain = self.running(name).ok_or("it does not run")?;
        let xml = domain.xml_desc(0).unwrap();
        let mut image = b"LibvirtQemudSave".to_vec();
        for number in [2, LENGTH as u32, 1, 0, 0] {
            image.extend(number.to_le_bytes());
        }
        image.resize(FIXED, 0);
        image.extend(xml.as_bytes());
        image.resize(FIXED + LENGTH, 0);
        let ids = Ids { uuid: domain.uuid().unwrap(), boot: BOOT, macs: macs(&xml) };
        for kind in Kind::all(ids.macs.len()) {
            image.extend(b"memory ");
            image.extend(kind.bytes(&ids));
        }
        image.extend(format!("{MARK}{BOOT}").bytes());
        fs::write(file, image).unwrap();
        domain.destroy().unwrap();
        Ok(())
    }

    /// Restores what is whole, and of the domain that it says it is of.
    fn restore(&self, file: &str) -> Result<(), String> {
        if *self.mood.lock().unwrap() == Mood::RefusesMemory {
            return Err("load of migration failed".into());
        }
        let image = fs::read(file).map_err(|e| e.to_string())?;
        assert!(image.starts_with(b"LibvirtQemudSave"), "an unfinished memory image is used");
        let (head, memory) = image.split_at(FIXED + LENGTH);
        let text = head[FIXED..].split(|byte| *byte == 0).next().unwrap();
        let xml = String::from_utf8(text.to_vec()).unwrap();
        let between = |begin: &str, end: &str| {
            xml.split(begin).nth(1).unwrap().split(end).next().unwrap().to_string()
        };
        let name = between("<name>", "</name>");
        let uuid = between("<uuid>", "</uuid>").parse().unwrap();
        let ids = Ids { uuid, boot: BOOT, macs: macs(&xml) };
        assert!(!ids.macs.is_empty(), "{name}: its NICs are not in its memory");
        for kind in Kind::all(ids.macs.len()) {
            let bytes = kind.bytes(&ids);
            let is_there = memory.windows(bytes.len()).any(|part| part == bytes);
            // Nobody knows which boot ID it is, if it is not the template's.
            assert_eq!(is_there, kind != Kind::BootId, "{name}: its memory is another's");
        }
        self.woken.lock().unwrap().remove(&name);
        let xml = xml.replace("</name>", &format!("</name>{RESTORED}"));
        assert_eq!(head[24..28], [0; 4], "{name}: it would run before it hears who it is");
        let restored = beside(|| self.client.create_domain(&xml)).map_err(|e| e.to_string())?;
        restored.suspend().map(|_| ()).map_err(|e| e.to_string())
    }

    /// What a guest has to say by now.
    fn speech(&self, name: &str, woken: &BTreeSet<String>) -> Result<Option<&'static str>, ()> {
        let domain = self.running(name).ok_or(())?;
        if is_paused(&domain) {
            return Ok(None);
        }
        // It may be ended in the meantime.
        let live = domain.xml_desc(0).map_err(|_| ())?;
        if Template::is_called_so(name) {
            if woken.contains(name) {
                return Ok(Some("still\n"));
            }
            return Ok(live.contains(&TemplatePart::Seed.of(name)).then_some("template\n"));
        }
        if live.contains(RESTORED) {
            let wanted = domain.xml_desc(sys::VIR_DOMAIN_XML_INACTIVE).map_err(|_| ())?;
            let same = |device| live.matches(device).count() == wanted.matches(device).count();
            let misses = match *self.mood.lock().unwrap() {
                Mood::Misses => true,
                Mood::MissesOnce => name == "web-0",
                Mood::Well | Mood::Refuses | Mood::RefusesMemory => false,
            };
            if woken.contains(name) && misses {
                let said = "result {\"v1\": {\"errors\": [\"nics: none came\"]}}\n";
                return Ok(Some(said));
            }
            if !woken.contains(name) || !["<interface ", "<disk "].into_iter().all(same) {
                return Ok(None);
            }
        }
        Ok(Some("address 192.0.2.7/24\ndone\n"))
    }

    /// Has the pool's volumes be files, as in one that is a directory.
    pub fn as_files(&self) {
        let volumes = self.volumes();
        for volume in volumes.iter().filter(|volume| !is_memory(volume)) {
            let path = self.directory.join(volume);
            if !path.exists() {
                fs::write(path, "").unwrap();
            }
        }
        for file in self.files().iter().filter(|file| !file.starts_with('.') && !is_memory(file)) {
            if !volumes.contains(file) {
                // Somebody else may have done it.
                let _ = fs::remove_file(self.directory.join(file));
            }
        }
    }

    /// Lets the pool notice memory images that came and went.
    pub fn refresh(&self) {
        let (volumes, files) = (self.volumes(), self.files());
        let pool = beside(|| self.client.pool("images")).unwrap().unwrap();
        for file in files.difference(&volumes).filter(|file| is_memory(file)) {
            let path = self.directory.join(file);
            let xml = format!(
                "<volume type='file'><name>{file}</name><capacity>1</capacity><target><path>{}</path></target></volume>",
                path.display()
            );
            StorageVol::create_xml(&pool, &xml, 0).unwrap();
        }
        for volume in volumes.difference(&files).filter(|volume| is_memory(volume)) {
            pool.lookup_storage_vol_by_name(volume).unwrap().delete(0).unwrap();
        }
        self.as_files();
    }

    /// Removes the files of memory images that are volumes no more.
    pub fn forget_memory(&self) {
        for file in self.files().difference(&self.volumes()).filter(|file| is_memory(file)) {
            fs::remove_file(self.directory.join(file)).unwrap();
        }
        self.as_files();
    }

    fn volumes(&self) -> BTreeSet<String> {
        let pool = beside(|| self.client.pool("images")).unwrap().unwrap();
        pool.list_all_volumes(0).unwrap().iter().map(|volume| volume.name().unwrap()).collect()
    }

    /// All that is in the pool's directory.
    pub fn files(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.directory).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }
}

fn is_paused(domain: &Domain) -> bool {
    domain.state().is_ok_and(|(state, _)| state.is_known_and(|s| s == DomainState::Paused))
}

/// The addresses of the NICs in a definition, in order.
fn macs(xml: &str) -> Vec<MacAddr> {
    let texts = xml.split("<mac address='").skip(1).filter_map(|rest| rest.split('\'').next());
    texts.map(|text| text.parse().unwrap()).collect()
}

fn is_memory(file: &str) -> bool {
    file.ends_with(".save")
}

/// What tells a device from others: its file, or its address.
fn named(device: &str) -> String {
    let begin = if device.trim_start().starts_with("<disk") { "file='" } else { "address='" };
    let (_, rest) = device.split_once(begin).unwrap_or_else(|| panic!("{device}"));
    format!("{begin}{}'", rest.split('\'').next().unwrap())
}

/// A text that ends with a disk, without that disk if it is the one.
fn without(text: &str, what: &str) -> String {
    match text.rfind("<disk ") {
        Some(at) if text[at..].contains(what) => text[..at].into(),
        _ => text.into(),
    }
}

/// A guest's port.
pub struct Voice {
    pub machine: Arc<Machine>,
    pub killer: Arc<Killer>,
    pub domain: String,
    /// Whether it has said what it had to say, and whether nobody listens any more.
    pub over: Mutex<(bool, bool)>,
}

impl Port for Voice {
    fn receive(&self, buffer: &mut [u8]) -> Result<usize, LibvirtError> {
        let mut woken = self.machine.woken.lock().unwrap();
        loop {
            let mut over = self.over.lock().unwrap();
            let said = match (*over, self.machine.speech(&self.domain, &woken)) {
                ((false, false), Ok(said)) => said,
                ((true, false), Ok(_)) => None,
                _ => return Ok(0),
            };
            if let Some(said) = said {
                over.0 = true;
                buffer[..said.len()].copy_from_slice(said.as_bytes());
                return Ok(said.len());
            }
            if self.killer.is_dead().is_err() {
                return Ok(0);
            }
            drop(over);
            woken = self.machine.news.wait(woken).unwrap();
        }
    }

    fn send(&self, line: &[u8]) -> Result<(), LibvirtError> {
        if line == b"still\n" {
            assert!(Template::is_called_so(&self.domain));
            self.over.lock().unwrap().0 = false;
        } else {
            assert!(line.starts_with(b"wake ") && line.ends_with(b"\n"));
        }
        // What is plugged in is there once more for a moment, and runs.
        let mut woken = self.machine.woken.lock().unwrap();
        let paused = self.machine.running(&self.domain).is_some_and(|domain| is_paused(&domain));
        self.machine.note(if paused { "hear, paused" } else { "hear" });
        woken.insert(self.domain.clone());
        drop(woken);
        self.machine.tell();
        Ok(())
    }

    fn abort(&self) {
        self.over.lock().unwrap().1 = true;
        self.machine.tell();
    }
}
