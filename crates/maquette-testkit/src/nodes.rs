//! Nodes and interfaces with nothing special about them: a test names what it is about, with `..node(…)`.

use std::num::NonZeroU32;

use maquette_core::blueprint::{Access, Attachment, Guest, Interface, Ipv4Setup, Node, Vnc};
use maquette_core::topology::{BootMode, SeedDrive, VirtType};
use maquette_core::units::MacAddr;
use maquette_core::values::{
    ConnectionPlugin, DeviceModel, FileName, Login, MachineName, PublicKey,
};
use uuid::Uuid;

/// What the first boot of a node sets up.
pub fn guest() -> Guest {
    Guest {
        seed: FileName::known("n-0-seed.img"),
        drive: SeedDrive::CdRom,
        user: Login::known("cloud-user"),
        authorized_key: PublicKey::known("ssh-ed25519 AAAA maquette"),
        shared: Vec::new(),
        host_key: PublicKey::known("ssh-ed25519 BBBB n-0"),
        generation: None,
        timezone: None,
        swap_mib: 0,
        first_boot: None,
        first_boot_parts: Vec::new(),
    }
}

/// A node without disks, interfaces and an operating system; its role is its name without the number.
pub fn node(name: &str) -> Node {
    let role = name.trim_end_matches(|c: char| c == '-' || c.is_ascii_digit());
    Node {
        name: name.parse().expect("a node's name"),
        role: role.parse().expect("a node type"),
        index: 0,
        uuid: Uuid::from_u128(9),
        virt: VirtType::Qemu,
        vcpus: NonZeroU32::MIN,
        cpu_model: MachineName::known("maximum"),
        memory_mib: 64,
        memory_max_mib: None,
        machine: MachineName::known("q35"),
        firmware: BootMode::Bios,
        vnc: Vnc::default(),
        serial_file: false,
        virtopts: Default::default(),
        boot: Vec::new(),
        bmc: None,
        deploy_os: false,
        disks: Vec::new(),
        interfaces: Vec::new(),
        groups: Vec::new(),
        guest: None,
        access: Access {
            address: None,
            user: Login::known("root"),
            connection: ConnectionPlugin::known("ssh"),
            direct: false,
        },
    }
}

/// An interface on a network, without addresses. `number` tells its MAC address from others'.
pub fn interface(name: &str, number: u8, network: &str) -> Interface {
    Interface {
        name: name.parse().expect("an interface's name"),
        mac: MacAddr([0x52, 0x54, 0, 0, 0, number]),
        network: network.parse().expect("a network's name"),
        attachment: Attachment::Network { portgroup: None },
        model: DeviceModel::known("virtio"),
        ipv4: Ipv4Setup::Off,
        ipv6: None,
        default_route: false,
        mtu: None,
    }
}
