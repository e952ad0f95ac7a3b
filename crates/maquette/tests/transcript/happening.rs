//! What happens between commands: the lines of a transcript that begin with `*`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use maquette_core::doctor::Power;
use maquette_core::object::ObjectKind;
use maquette_core::observed::{LinkKind, Listening};
use maquette_core::plan::PoolState;
use maquette_engine::StepError;
use maquette_engine::host::Host;
use maquette_engine::host::lock::{Lock, Patience};
use maquette_engine::image::build;
use maquette_testkit::{Machine, ModelHost, edit};

/// The hypervisor and who sits at the terminal.
pub struct Stage {
    /// The hypervisor.
    pub machine: Arc<Mutex<Machine>>,
    /// Its own side.
    pub host: ModelHost,
    /// What is typed at the next question; none if nobody is there.
    pub typed: Option<String>,
    /// A file that gets another name before that is read.
    pub meanwhile: Option<(String, String)>,
    /// Locks of others.
    pub locks: Vec<Lock>,
    /// Whether results go to a terminal.
    pub to_terminal: bool,
    /// A variable whose value is not text.
    pub garbled: Option<String>,
    /// Words in a line of the next command that somebody presses Ctrl-C after, which ends it.
    pub ctrl_c_at: Option<String>,
}

impl Stage {
    /// Has something happen; false if nobody knows what it is.
    pub fn happen(&mut self, what: &str) -> bool {
        let words: Vec<&str> = what.split_whitespace().collect();
        let mut machine = self.machine.lock().unwrap();
        let seen = &mut machine.seen;
        match words.as_slice() {
            ["somebody", "types", ..] => {
                let text = what.trim_start_matches("somebody types").trim_start();
                self.typed = Some(format!("{}\n", text.replace("Ctrl-]", "\u{1d}")));
            }
            ["meanwhile", from, "becomes", to] => {
                self.meanwhile = Some(((*from).into(), (*to).into()));
            }
            ["standard", "output", "is", "a", "terminal"] => self.to_terminal = true,
            ["variable", name, "is", "not", "text"] => self.garbled = Some((*name).into()),
            ["file", name, "is", "not", "text"] => std::fs::write(name, [0xff, b'\n']).unwrap(),
            ["everybody", "may", "write", "to", directory] => {
                std::fs::set_permissions(directory, Permissions::from_mode(0o777)).unwrap();
            }
            ["libvirt", "stops"] => machine.runs = false,
            ["libvirt", "is", "removed"] => (machine.installed, machine.runs) = (false, false),
            ["libvirt", "is", "there", "again"] => (machine.installed, machine.runs) = (true, true),
            ["libvirt", "is", "killed", "while", "it", "starts", "network", name] => {
                let network = seen.networks.get_mut(*name).unwrap();
                network.active = false;
                let bridge = network.recorded.bridge.to_string();
                seen.host.links.entry(bridge).or_default().kind = LinkKind::Bridge;
            }
            ["libvirt", "is", "killed", "while", "it", "starts", "domain", name] => {
                let domain = seen.domains.get_mut(*name).unwrap();
                (domain.active, domain.live) = (false, None);
                machine.forgotten.insert((*name).into());
            }
            ["facts", "cannot", "be", "noted"] => {
                self.host.write("/etc/ansible", b"", 0o644).unwrap();
            }
            ["facts", "can", "be", "noted", "again"] => {
                self.host.remove("/etc/ansible").unwrap();
            }
            ["nothing", "removes", "expired", "environments", ..] => machine.expiry = false,
            ["libvirt", "hangs"] => machine.hangs = true,
            ["an", "image", "is", "built", "as", file] => {
                // The head of one in qcow2, of 2 GiB, is as much as anybody reads here; behind it is room for its tables.
                let mut image = vec![0u8; 3 << 16];
                image[..8].copy_from_slice(b"QFI\xfb\0\0\0\x02");
                image[24..32].copy_from_slice(&(2u64 << 30).to_be_bytes());
                image[40..48].copy_from_slice(&(1u64 << 16).to_be_bytes());
                image[48..56].copy_from_slice(&(2u64 << 16).to_be_bytes());
                (image[23], image[39], image[59]) = (16, 4, 1);
                let file = std::path::Path::new(file);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, image).unwrap();
                build::record(file);
            }
            ["somebody", "has", "brought", "an", "image", "built", "as", name] => {
                let content = "0123456789abcdef".repeat(4);
                let volume = format!("maquette-{name}-{}.qcow2", &content[..12]);
                let line = build::recorded_as(&content).unwrap().line();
                machine.image_records = format!("/var/lib/libvirt/images/{volume}\n{line}\n");
                machine.seen.volumes.entry("images".into()).or_default().insert(volume);
            }
            ["another", "image", "is", "in", "the", "pool", "as", volume] => {
                let other = "0123456789abcdef".repeat(4);
                machine.image_records = format!("/var/lib/libvirt/images/{volume}\nof {other}\n");
                machine.seen.volumes.entry("images".into()).or_default().insert((*volume).into());
            }
            ["domain", name, "stops"] => {
                let domain = seen.domains.get_mut(*name).unwrap();
                (domain.active, domain.live) = (false, None);
            }
            ["domain", name, "pauses"] => seen.domains.get_mut(*name).unwrap().paused = true,
            ["guest", address, "answers", word] => {
                machine.ssh.insert((*address).into(), (*word).into());
            }
            ["domain", name, "has", "to", "be", "powered", "off:", ..] => {
                let (_, why) = what.split_once(": ").unwrap();
                machine.unwilling.insert((*name).into(), format!("powered off; {why}"));
            }
            ["guest", address, "answers"] => {
                machine.ssh.remove(*address);
            }
            ["libvirt", "says", "of", name, ..] => {
                let (_, said) = what.split_once(": ").unwrap();
                let name = name.trim_end_matches(':');
                let domain = seen.domains.get_mut(name).unwrap();
                let power = match said {
                    "paused (I/O error)" => Power::IoError,
                    "paused (crashed)" => Power::GuestCrashed,
                    "shut off (crashed)" => Power::EmulatorDied,
                    "shut off (shut down)" => Power::Off("shut down".into()),
                    _ => Power::StartFailed,
                };
                domain.paused = said.starts_with("paused");
                if said.starts_with("shut off") {
                    (domain.active, domain.live) = (false, None);
                }
                machine.powers.insert(name.into(), power);
            }
            ["all", "is", "well", "with", name] => {
                let domain = seen.domains.get_mut(*name).unwrap();
                (domain.active, domain.paused, domain.ready, domain.failed) =
                    (true, false, true, None);
                domain.live = Some(domain.defined.clone());
                machine.powers.clear();
                machine.ssh.clear();
                machine.looks.clear();
                machine.mute.clear();
                machine.unread.clear();
                machine.uptime_s.clear();
                let log = format!("/var/log/libvirt/qemu/{name}-serial.log");
                self.host.remove(&log).unwrap();
                self.host.remove(&format!("/var/logins/{name}")).unwrap();
            }
            ["guest", "of", name, "sends", "nothing"] => {
                let nics = &seen.domains[*name].recorded.interfaces;
                let all: Vec<_> = nics.iter().map(|nic| nic.mac).collect();
                machine.mute.extend(all);
            }
            ["disks", "of", name, "are", "hardly", "read"] => {
                machine.unread.insert((*name).into());
            }
            ["section", ..] => {
                // As the engine's script prints it: `section node lab-web-0 has: LINE`.
                let (name, line) =
                    what.trim_start_matches("section ").split_once(" has: ").unwrap();
                machine.looks.entry(name.into()).or_default().push(line.into());
            }
            ["servers", "have", "the", "image"] => {
                machine.looks.remove("servers");
            }
            ["login", "to", name, ..] => {
                let (_, script) = what.split_once(": ").unwrap();
                let file = format!("/var/logins/{}", name.trim_end_matches(':'));
                self.host.write(&file, format!("{script}\n").as_bytes(), 0o600).unwrap();
            }
            ["domain", name, "runs", "for", seconds, "s"] => {
                machine.uptime_s.insert((*name).into(), seconds.parse().unwrap());
            }
            ["cloud-init", "fails", "on", name, ..] => {
                let domain = seen.domains.get_mut(name.trim_end_matches(':')).unwrap();
                let (_, why) = what.split_once(": ").unwrap();
                (domain.ready, domain.failed) = (false, Some(format!("cloud-init failed: {why}")));
            }
            ["console", "of", name, ..] => {
                let (_, text) = what.split_once(": ").unwrap();
                let log =
                    format!("/var/log/libvirt/qemu/{}-serial.log", name.trim_end_matches(':'));
                self.host.write(&log, text.as_bytes(), 0o600).unwrap();
            }
            ["domain", name, "never", "booted"] => {
                seen.domains.get_mut(*name).unwrap().ready = false
            }
            ["domain", name, "has", memory, "MiB"] => {
                seen.domains.get_mut(*name).unwrap().defined.memory_mib = memory.parse().unwrap();
            }
            ["domain", name, "has", "VNC", "port", port] => {
                seen.domains.get_mut(*name).unwrap().vnc_port = Some(port.parse().unwrap());
            }
            // By itself, or by hand: what is noted of its BMCs is elsewhere.
            ["domains", "and", "networks", "of", "the", "environment", "go"] => {
                seen.domains.clear();
                seen.networks.clear();
                machine.owners.retain(|(kind, _), _| *kind == ObjectKind::Bmc);
            }
            ["domain", name, "is", "undefined"] => {
                seen.domains.remove(*name).unwrap();
                machine.owners.remove(&(ObjectKind::Domain, (*name).to_string()));
            }
            ["another", "program", "has", protocol, "port", port, ..] => {
                let address = what.split_once(" of ").map(|(_, address)| address.parse().unwrap());
                let (udp, port) = (*protocol == "UDP", port.parse().unwrap());
                seen.host.listening.insert(Listening { udp, address, port });
            }
            ["the", "BMC", "of", name, "is", "not", "reached"] => {
                let bmcs = seen.bmcs.as_mut().unwrap();
                bmcs.run = false;
                bmcs.unreached.insert(name.parse().unwrap());
            }
            ["network", name, "stops"] => {
                seen.networks.get_mut(*name).unwrap().active = false;
                // Its bridge goes, with addresses of BMCs.
                let bmcs = seen.domains.values().filter_map(|d| d.recorded.bmc.as_ref());
                for bmc in bmcs.filter(|bmc| bmc.own_address && *bmc.network == **name) {
                    seen.host.addresses.remove(&bmc.address);
                }
            }
            ["somebody", "renames", "domain", name, "to", new] => machine.rename(name, new),
            ["somebody", "edits", "domain", name] => edit(seen, ObjectKind::Domain, name),
            ["somebody", "edits", "network", name] => edit(seen, ObjectKind::Network, name),
            ["somebody", "adds", part, "to", "network", name] => {
                let network = seen.networks.get_mut(*name).unwrap();
                network.added.insert(part.parse().unwrap());
            }
            ["somebody", "defines", "pool", name] => machine.stranger_pools.push((*name).into()),
            ["somebody", "defines", "network", name] => {
                machine.stranger_networks.push(((*name).into(), true));
            }
            ["somebody's", "domain", name, "goes"] => machine.lose(name),
            ["somebody's", "domain", name, "runs"] => {
                machine.strangers.push(((*name).into(), true))
            }
            ["somebody", "makes", "a", "linked", "clone", name, "of", volume] => {
                machine.strangers.push(((*name).into(), false));
                let directory = "/var/lib/libvirt/images";
                let (file, below) =
                    (format!("{directory}/{name}.qcow2"), format!("{directory}/{volume}"));
                machine.off.entry(file.clone()).or_default().insert((*name).into());
                self.host.write(&file, &over(&below), 0o600).unwrap();
            }
            ["domain", name, "is", "plugged", "into", network] => {
                machine.plugged.push(((*network).into(), (*name).into()));
            }
            ["somebody", "takes", "a", "snapshot", of, "of", volume, "of", name] => {
                // As `virsh snapshot-create-as --disk-only` does.
                let domain = seen.domains.get_mut(*name).unwrap();
                let (stem, _) = volume.rsplit_once('.').unwrap();
                let overlay = format!("{stem}.{of}");
                let on = |file: &str| file.rsplit('/').next().is_some_and(|f| f == *volume);
                for hardware in std::iter::once(&mut domain.defined).chain(&mut domain.live) {
                    for disk in hardware.disks.iter_mut().filter(|d| on(&d.file)) {
                        disk.file = format!("{}/{overlay}", domain.pool.path);
                    }
                }
                seen.volumes.entry(domain.pool.name.to_string()).or_default().insert(overlay);
            }
            ["somebody", "copies", volume, "to", copy] => {
                let all = seen.volumes.values_mut().find(|all| all.contains(*volume)).unwrap();
                all.insert((*copy).into());
            }
            ["the", "pool", "is", "at", path] => machine.pool = PoolState::Active((*path).into()),
            ["the", "pool", "cannot", "be", "read:", ..] => {
                let why = what.trim_start_matches("the pool cannot be read: ");
                machine.pool = PoolState::Unreadable(why.into());
            }
            ["the", "pool", "has", free, "GiB"] => {
                machine.free = free.parse::<u64>().unwrap() << 30
            }
            ["it", "has", memory, "MiB"] => machine.memory_mib = memory.parse().unwrap(),
            ["it", "has", cpus, "CPUs"] => machine.cpus = cpus.parse().unwrap(),
            ["it", "has", "no", "KVM"] => machine.kvm = false,
            ["libvirt", "finds", "no", "UEFI", "and", "no", "swtpm"] => {
                machine.lacks_firmware = true
            }
            ["it", "has", "no", "IPv6"] => seen.host.lacks_ipv6 = true,
            ["its", "SELinux", "enforces"] => seen.refuses_serial_files = true,
            ["Ctrl-C", "once", "it", "says:", ..] => {
                self.ctrl_c_at = Some(what.trim_start_matches("Ctrl-C once it says: ").into());
            }
            ["Ctrl-C", "during", ..] => {
                let step = what.trim_start_matches("Ctrl-C during ").to_string();
                machine.interrupt = Some((step, || {
                    signal_hook::low_level::raise(signal_hook::consts::SIGINT).unwrap();
                }));
            }
            [signal @ ("Ctrl-C" | "SIGTERM"), "while", name, "boots"] => {
                let step = format!("boot domain {name}");
                machine.interrupt = Some((
                    step.clone(),
                    match *signal {
                        "SIGTERM" => || {
                            signal_hook::low_level::raise(signal_hook::consts::SIGTERM).unwrap();
                        },
                        _ => || signal_hook::low_level::raise(signal_hook::consts::SIGINT).unwrap(),
                    },
                ));
                let error = StepError::interrupted("it goes on booting");
                machine.faults.insert(step, error);
            }
            ["all", "goes", "well", "again"] => {
                machine.faults.clear();
                machine.interrupt = None;
            }
            ["image", source, "has", "no", "cloud-init"] => {
                machine.without_cloud_init.insert((*source).into());
            }
            ["no", "step", "can", ..] => {
                let (step, why) = what.trim_start_matches("no step can ").split_once(": ").unwrap();
                let mut error = StepError::new(format!("cannot {step}"));
                error.causes.push(why.into());
                machine.faults.insert(step.into(), error);
            }
            [who, "changes", "environment", name] => {
                let (host, lost) = (&self.host as &dyn Host, Arc::default());
                let name = format!("environment.{name}");
                let patience = Patience { wait: 0, take_over: false };
                let lock = Lock::acquire(host, &name, who, patience, &lost, &mut |_| {});
                self.locks.push(lock.unwrap());
            }
            ["they", "are", "done"] => self.locks.clear(),
            _ => return false,
        }
        true
    }
}

/// The head of a qcow2 image that is over another file.
fn over(below: &str) -> Vec<u8> {
    let mut image = vec![0u8; 512];
    image[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    image[8..16].copy_from_slice(&512u64.to_be_bytes());
    image[16..20].copy_from_slice(&u32::try_from(below.len()).unwrap().to_be_bytes());
    image.extend(below.bytes());
    image
}
