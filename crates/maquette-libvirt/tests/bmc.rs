//! A domain as its BMC sees it, on libvirt's own test driver.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::sync::Arc;

use maquette_bmc::bmc::{Bmc, Override, Press, What};
use maquette_bmc::clock::Clock;
use maquette_bmc::machine::{Device, Fault, Firmware, Image, Machine, Power, Start};
use maquette_libvirt::{Client, DomainMachine};
use uuid::Uuid;

const NODE: &str = "7d0e5e0c-3f7e-4a45-9d3a-000000000001";

/// A hypervisor with a node that is off, and somebody else's domain.
struct Lab {
    _directory: tempfile::TempDir,
    client: Arc<Client>,
}

impl Lab {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let domain = |name: &str, uuid: &str| {
            format!(
                "<domain type='test'><name>{name}</name><uuid>{uuid}</uuid>
                <memory unit='MiB'>2048</memory><vcpu>2</vcpu>
                <os><type arch='i686'>hvm</type><boot dev='network'/><boot dev='hd'/></os>
                <devices>
                <disk type='file' device='disk'><source file='/default-pool/a'/><target dev='vda' bus='virtio'/></disk>
                <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
                <interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/></interface>
                </devices></domain>"
            )
        };
        let network = "<network><name>default</name><bridge name='v0'/></network>";
        let pool = "<pool type='dir'><name>images</name><target><path>/default-pool</path></target>
            <volume type='file'><name>a</name><key>/default-pool/a</key><capacity>5368709120</capacity>
            <allocation>0</allocation><target><path>/default-pool/a</path></target></volume></pool>";
        let file = directory.path().join("node.xml");
        std::fs::write(&file, format!("<node>{network}{pool}</node>")).unwrap();
        let client = Client::open_for_tests(&format!("test://{}", file.display())).unwrap();
        client.define_domain(&domain("node-0", NODE)).unwrap();
        let other = "7d0e5e0c-3f7e-4a45-9d3a-000000000002";
        client.define_domain(&domain("other", other)).unwrap();
        Self { _directory: directory, client: Arc::new(client) }
    }

    fn machine(&self, name: &str) -> DomainMachine {
        DomainMachine::new(self.client.clone(), name, Uuid::parse_str(NODE).unwrap())
    }

    fn xml(&self, live: bool) -> String {
        let domain = self.client.domain("node-0").unwrap().unwrap();
        domain.xml_desc(if live { 0 } else { 2 }).unwrap()
    }
}

#[test]
fn a_domain_is_started_with_another_order_that_does_not_outlast_it() {
    let lab = Lab::new();
    let machine = lab.machine("node-0");
    let before = lab.xml(false);
    assert_eq!(machine.power(), Ok(Power::Off));
    assert!(matches!(machine.reset(), Err(Fault::State(_))));
    let first = Start { first: Some(Device::Cd), ..Start::PLAIN };
    machine.start(first).unwrap();
    assert_eq!(machine.power(), Ok(Power::On));
    assert!(matches!(machine.start(first), Err(Fault::State(_))));
    let live = lab.xml(true);
    let cdrom = live.split("device='cdrom'").nth(1).unwrap();
    assert!(cdrom.split("</disk>").next().unwrap().contains("<boot order='1'/>"), "{live}");
    machine.pause(true).unwrap();
    assert_eq!(machine.power(), Ok(Power::Paused));
    machine.pause(false).unwrap();
    machine.destroy().unwrap();
    assert_eq!((machine.power(), lab.xml(false)), (Ok(Power::Off), before));
    machine.start(Start::PLAIN).unwrap();
    assert!(!lab.xml(true).contains("boot order"));
}

/// Somebody else may have suspended it, too: libvirt does so with all that runs when its machine shuts down.
#[test]
fn a_domain_that_was_suspended_goes_on_and_its_memory_never_meets_later_disks() {
    let lab = Lab::new();
    let machine = lab.machine("node-0");
    let asleep = || lab.client.domain("node-0").unwrap().unwrap().has_managed_save(0).unwrap();
    assert!(matches!(machine.suspend(), Err(Fault::State(_))));
    machine.start(Start::PLAIN).unwrap();
    machine.suspend().unwrap();
    assert_eq!((machine.power(), asleep()), (Ok(Power::Off), true));
    machine.start(Start::PLAIN).unwrap();
    assert_eq!((machine.power(), asleep()), (Ok(Power::On), false));
    machine.suspend().unwrap();
    machine.start(Start { first: Some(Device::Cd), ..Start::PLAIN }).unwrap();
    assert_eq!((machine.power(), asleep()), (Ok(Power::On), false));
}

/// As `maquette start` has it; one that was switched off is off then, too.
#[test]
fn what_a_bmc_switches_on_starts_with_the_hypervisor() {
    let lab = Lab::new();
    let machine = Arc::new(lab.machine("node-0"));
    let bmc = Bmc::new("node-0", Uuid::parse_str(NODE).unwrap(), machine, Clock::from(|| 1));
    let starts = || lab.client.domain("node-0").unwrap().unwrap().autostart().unwrap();
    assert!(!starts());
    bmc.press(Press::On).unwrap();
    assert!(starts() && bmc.machine().starts_with_hypervisor().unwrap());
    bmc.press(Press::ForceOff).unwrap();
    assert!(!starts() && !bmc.machine().starts_with_hypervisor().unwrap());
}

#[test]
fn another_domain_of_its_name_is_not_its_node() {
    let lab = Lab::new();
    for name in ["other", "nobody"] {
        let machine = lab.machine(name);
        assert_eq!(machine.start(Start::PLAIN), Err(Fault::Gone));
        assert_eq!((machine.power(), machine.destroy()), (Err(Fault::Gone), Err(Fault::Gone)));
        assert_eq!(machine.hardware(), Err(Fault::Gone));
    }
}

#[test]
fn firmware_stays_as_it_was_asked_for() {
    let lab = Lab::new();
    let machine = lab.machine("node-0");
    let hardware = machine.hardware().unwrap();
    assert_eq!(
        (hardware.firmware, hardware.secure_boot, hardware.cdrom),
        (Firmware::Bios, None, true)
    );
    assert_eq!((hardware.vcpus, hardware.memory_mib, hardware.nics.len()), (2, 2048, 1));
    // The volume says so: there is no QEMU that could.
    assert_eq!(machine.sizes().unwrap()[0], Some(5 << 30));
    machine.start(Start { firmware: Some(Firmware::Uefi), ..Start::PLAIN }).unwrap();
    machine.destroy().unwrap();
    assert_eq!(machine.hardware().unwrap().firmware, Firmware::Uefi);
}

/// A continuous order that was taken back: the reset would have booted from it all the same.
#[test]
fn a_reset_boots_in_the_domains_own_order() {
    let lab = Lab::new();
    let machine = lab.machine("node-0");
    machine.start(Start { first: Some(Device::Hdd), ..Start::PLAIN }).unwrap();
    assert!(lab.xml(true).contains("boot order"));
    // The driver changes no devices: it is left alone, and its BMC starts it again.
    assert_eq!(machine.reset(), Ok(false));
    machine.destroy().unwrap();
    let once = Start { first: Some(Device::Hdd), once: true, ..Start::PLAIN };
    assert!(!machine.start(once).unwrap().in_own_order);
    machine.destroy().unwrap();
    assert!(machine.start(Start { once: false, ..once }).unwrap().in_own_order);
    assert!(lab.xml(true).contains("boot order"));
    let machine = Arc::new(machine);
    let uuid = Uuid::parse_str(NODE).unwrap();
    Bmc::new("node-0", uuid, machine.clone(), Clock::from(|| 1))
        .press(Press::ForceRestart)
        .unwrap();
    assert!(!lab.xml(true).contains("boot order"));
    assert_eq!(machine.power(), Ok(Power::On));
}

/// All of it through a BMC: a boot device that holds once, and what is done behind its back.
#[test]
fn a_bmc_on_a_domain() {
    let lab = Lab::new();
    let machine = Arc::new(lab.machine("node-0"));
    let uuid = Uuid::parse_str(NODE).unwrap();
    let bmc = Bmc::new("node-0", uuid, machine.clone(), Clock::from(|| 1));
    {
        let mut state = bmc.state();
        state.boot.target = Some(Device::Hdd);
        state.boot.enabled = Override::Once;
    }
    bmc.press(Press::On).unwrap();
    assert!(lab.xml(true).contains("boot order"));
    machine.destroy().unwrap();
    bmc.press(Press::PowerCycle).unwrap();
    assert!(!lab.xml(true).contains("boot order"));
    let what: Vec<What> = bmc.state().log.entries().iter().map(|entry| entry.what).collect();
    assert_eq!(what, [What::PowerOn, What::PowerOff, What::PowerOn]);
    // The driver changes no devices, and says so.
    let image = Image { url: "http://192.0.2.1/a.iso".into(), verify: true };
    assert!(matches!(bmc.insert(Some(image)), Err(Fault::Refused(_))));
    assert!(bmc.state().media.is_none());
}
