//! What to build.

use clap::{Args, ValueEnum};

use super::Place;

/// What to build.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Where it is built, and under what name.
    #[command(flatten)]
    pub place: Place,
    /// Node types with counts; types are built-in names, names in your topology directory, or paths
    #[arg(
        long,
        value_name = "TYPE:COUNT,…",
        env = "MAQUETTE_TOPOLOGY_NODES",
        help_heading = "Topology"
    )]
    pub topology_nodes: Option<String>,
    /// Network file: a built-in name, a name in your topology directory, or a path [default: 3_nets]
    #[arg(long, value_name = "NAME", env = "MAQUETTE_TOPOLOGY_NETWORK", help_heading = "Topology")]
    pub topology_network: Option<String>,
    /// Add these nodes to those that are there, which stay as they are
    #[arg(
        long,
        value_name = "YES|NO",
        env = "MAQUETTE_TOPOLOGY_EXTEND",
        help_heading = "Topology",
        value_parser = boolean,
        num_args = 0..=1,
        default_missing_value = "yes"
    )]
    pub topology_extend: Option<bool>,
    /// Change a value (`override.controller.memory=1024`), or merge a file (`@FILE`); repeatable
    #[arg(short = 'e', long = "extra-vars", value_name = "KEY=VALUE", help_heading = "Topology")]
    pub extra_vars: Vec<String>,
    /// Third octet for `{{ net }}` in the network file
    #[arg(
        long = "net_subnet",
        alias = "net-subnet",
        value_name = "N",
        env = "MAQUETTE_NET_SUBNET",
        help_heading = "Topology"
    )]
    pub net_subnet: Option<u8>,
    /// Third octet for `{{ data_net }}` in the network file
    #[arg(
        long = "data_subnet",
        alias = "data-subnet",
        value_name = "N",
        env = "MAQUETTE_DATA_SUBNET",
        help_heading = "Topology"
    )]
    pub data_subnet: Option<u8>,
    /// MTU of all networks and of the nodes' interfaces, in bytes
    #[arg(
        long,
        value_name = "BYTES",
        env = "MAQUETTE_HOST_NETWORK_MTU_SIZE",
        help_heading = "Topology"
    )]
    pub host_network_mtu_size: Option<u32>,
    /// MTU of the hypervisor's NICs below bridged networks, in bytes
    #[arg(long, value_name = "BYTES", env = "MAQUETTE_HOST_MTU_SIZE", help_heading = "Topology")]
    pub host_mtu_size: Option<u32>,
    /// Have the bridge of network `external` send multicast queries
    #[arg(
        long,
        value_name = "YES|NO",
        env = "MAQUETTE_HOST_NETWORK_MULTICAST_QUERIER",
        help_heading = "Topology",
        value_parser = boolean,
        num_args = 0..=1,
        default_missing_value = "yes"
    )]
    pub host_network_multicast_querier: Option<bool>,
    /// Which interfaces of BGP node files to use
    #[arg(
        long,
        value_name = "MODE",
        env = "MAQUETTE_BGP_TOPOLOGY_MODE",
        help_heading = "Topology",
        value_parser = ["basic"]
    )]
    pub bgp_topology_mode: Option<String>,
    /// Base image: URL[#sha256:…], file, or name from `maquette image list`
    #[arg(long, value_name = "URL|PATH|NAME", env = "MAQUETTE_IMAGE_URL", help_heading = "Guests")]
    pub image_url: Option<String>,
    /// Download the image again even if it is in the pool
    #[arg(
        long,
        value_name = "YES|NO",
        env = "MAQUETTE_FORCE_IMAGE_DOWNLOAD",
        help_heading = "Guests",
        value_parser = boolean,
        num_args = 0..=1,
        default_missing_value = "yes"
    )]
    pub force_image_download: Option<bool>,
    /// Further certificate authorities for downloads: PEM files or URLs, separated by commas
    #[arg(long, value_name = "FILE|URL,…", env = "MAQUETTE_TLS_CA", help_heading = "Guests")]
    pub tls_ca: Option<String>,
    /// Where appliance images come from
    #[arg(long, value_name = "URL", env = "MAQUETTE_IMAGE_MIRROR_URL", help_heading = "Guests")]
    pub image_mirror_url: Option<String>,
    /// User with passwordless sudo on every node [default: cloud-user]
    #[arg(long, value_name = "NAME", env = "MAQUETTE_TOPOLOGY_USERNAME", help_heading = "Guests")]
    pub topology_username: Option<String>,
    /// Time zone of the nodes, such as Europe/Prague [default: the image's]
    #[arg(long, value_name = "ZONE", env = "MAQUETTE_TOPOLOGY_TIMEZONE", help_heading = "Guests")]
    pub topology_timezone: Option<String>,
    /// Bus of all disks that do not name one [default: virtio]
    #[arg(long, value_name = "BUS", env = "MAQUETTE_DISK_BUS", help_heading = "Guests")]
    pub disk_bus: Option<DiskBus>,
    /// Firmware of nodes without an operating system [default: bios]
    #[arg(long, value_name = "MODE", env = "MAQUETTE_BOOTMODE", help_heading = "Guests")]
    pub bootmode: Option<BootMode>,
    /// Log serial consoles to /var/lib/libvirt/qemu/NODE-serial.log [default: to /var/log/libvirt/qemu]
    #[arg(
        long,
        value_name = "YES|NO",
        env = "MAQUETTE_SERIAL_FILES",
        help_heading = "Guests",
        value_parser = boolean,
        num_args = 0..=1,
        default_missing_value = "yes"
    )]
    pub serial_files: Option<bool>,
    /// Have VNC listen on all addresses of the hypervisor, with a password
    #[arg(
        long,
        value_name = "YES|NO",
        env = "MAQUETTE_VNC_EXTERNAL",
        help_heading = "Guests",
        value_parser = boolean,
        num_args = 0..=1,
        default_missing_value = "yes"
    )]
    pub vnc_external: Option<bool>,
    /// VNC password, of which VNC uses 8 characters [default: a random one, if VNC is external]
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "MAQUETTE_VNC_PASSWORD",
        hide_env_values = true,
        help_heading = "Guests"
    )]
    pub vnc_password: Option<String>,
    /// Options of virt-install for all nodes, such as `--cpu host --watchdog default`
    #[arg(
        long,
        value_name = "OPTIONS",
        env = "MAQUETTE_VIRTOPTS",
        help_heading = "Guests",
        allow_hyphen_values = true
    )]
    pub virtopts: Option<String>,
    /// Build even if the hypervisor's memory does not suffice
    #[arg(
        long,
        value_name = "YES|NO",
        env = "MAQUETTE_HOST_MEMORY_OVERCOMMIT",
        help_heading = "Hypervisor",
        value_parser = boolean,
        num_args = 0..=1,
        default_missing_value = "yes"
    )]
    pub host_memory_overcommit: Option<bool>,
    /// Look whether the hypervisor can virtualise, and warn if it cannot [default: yes]
    #[arg(
        long,
        value_name = "YES|NO",
        env = "MAQUETTE_HOST_VALIDATE",
        help_heading = "Hypervisor",
        value_parser = boolean
    )]
    pub host_validate: Option<bool>,
    /// How long a node that restarts may take to shut down before the plug is pulled, in seconds
    /// [default: 60]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "MAQUETTE_SHUTDOWN_TIMEOUT",
        help_heading = "Guests"
    )]
    pub shutdown_timeout: Option<u64>,
    /// Hardware virtualisation or QEMU's emulation [default: auto]
    #[arg(long, value_name = "TYPE", env = "MAQUETTE_VIRT_TYPE", help_heading = "Hypervisor")]
    pub virt_type: Option<VirtType>,
}

/// A truth value, in any of YAML's words.
pub fn boolean(text: &str) -> Result<bool, String> {
    maquette_core::syntax::parse_bool(text).ok_or_else(|| "expected yes or no".into())
}

/// Buses that `--disk-bus` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiskBus {
    /// `vda`, `vdb`, …
    Virtio,
    /// `sda`, `sdb`, …
    Scsi,
}

/// Firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BootMode {
    /// SeaBIOS
    Bios,
    /// UEFI
    Uefi,
}

/// How guests are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VirtType {
    /// KVM where it works, else emulation
    Auto,
    /// Hardware virtualisation
    Kvm,
    /// QEMU's emulation
    Qemu,
    /// libvirt's test driver
    #[value(hide = true)]
    Test,
}
