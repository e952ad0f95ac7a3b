//! The table itself, in the order of `--help`.

use super::Group::{Environment, Guests, Hypervisor, Topology};
use super::values::NAME;
use super::{
    BgpMode, Infrared, Lines, Mebibytes, Seconds, Setting, SettingKind, StartChoice, Value,
    VirtChoice,
};
use crate::hardware::{BmcChoice, BootMode, Bus};
use crate::lifetime::Ttl;
use crate::names::EnvName;
use crate::values::{
    BmcCredentials, Directory, HostAddress, Line, Login, Mtu, Name, Secret, TimeZone,
};
use crate::virtopts::VirtOpts;

/// Makes [`Settings`] and [`SETTINGS`] of rows. A row begins with its field, the field's type, what its text
/// is read as, and the default; rows without a field are settings that others than [`Settings`] hold.
macro_rules! settings {
    ($(
        $($field:ident: $type:ty as $read:ty = $value:expr,)?
        { name: $name:literal, doc: $doc:literal, $($rest:tt)* }
    )*) => {
        /// Settings of the whole environment.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Settings {
            /// The environment, and with it the prefix of all names (`prefix`).
            pub environment: EnvName,
            $($(
                #[doc = $doc]
                pub $field: $type,
            )?)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { environment: EnvName::default(), $($($field: $value,)?)* }
            }
        }

        /// All settings, in the order of the help.
        pub const SETTINGS: &[Setting] = &[$(
            Setting {
                $(
                    kind: <$read as Value>::KIND,
                    set: Some(|settings: &mut Settings, text: &str| {
                        settings.$field = <$read as Value>::read(text)?.into();
                        Ok(())
                    }),
                )?
                name: $name,
                doc: $doc,
                $($rest)*
                ..Setting::BASE
            },
        )*];
    };
}

const fn at(heading: &'static str, place: u8, default: Option<&'static str>) -> Option<Infrared> {
    Some(Infrared { heading, place, default, required: false })
}

const fn required_at(heading: &'static str, place: u8) -> Option<Infrared> {
    Some(Infrared { heading, place, default: None, required: true })
}

const CONSOLE: &str = "Serial console, clean-up, boot, disks";
const VNC: &str = "VNC, facts, BGP";

settings! {
    {
        name: "prefix",
        doc: "Prefix of all names, so that several environments share a hypervisor",
        example: Some("lab"),
        kind: SettingKind::Text(NAME),
        unset: Some("none"),
        value: "NAME",
        group: Environment,
        locates: true,
        key: Some("prefix"),
        infrared: at("Topology", 0, None),
    }
    ttl: Option<Ttl> as Ttl = None, {
        name: "ttl",
        doc: "How long the environment lasts from this run on, such as `8h` or `2d`; it is removed then",
        example: Some("8h"),
        unset: Some("until it is removed"),
        value: "TIME",
        group: Environment,
        key: Some("ttl"),
    }
    owner: Option<String> as Line = None, {
        name: "owner",
        doc: "Whose the environment is, for `maquette list`",
        example: Some("ann"),
        unset: Some("whoever built it"),
        value: "NAME",
        group: Environment,
        key: Some("owner"),
    }
    host_address: Option<HostAddress> as HostAddress = None, {
        name: "host-address",
        doc: "Hypervisor, as `ssh` knows it",
        example: Some("hv1.example.com"),
        unset: Some("this machine"),
        value: "ADDRESS",
        group: Hypervisor,
        locates: true,
        key: Some("hypervisor.address"),
        infrared: required_at("Hypervisor", 0),
    }
    host_user: Option<Login> as Login = None, {
        name: "host-user",
        doc: "SSH user on the hypervisor, root or one who may use sudo without a password",
        example: Some("stack"),
        unset: Some("as your ssh configuration says, else root"),
        value: "USER",
        group: Hypervisor,
        locates: true,
        key: Some("hypervisor.user"),
        infrared: at("Hypervisor", 1, Some("root")),
    }
    host_key: Option<String> as Line = None, {
        name: "host-key",
        doc: "Private key for the hypervisor",
        example: Some("~/.ssh/lab"),
        unset: Some("as your ssh configuration or agent says"),
        value: "FILE",
        group: Hypervisor,
        locates: true,
        key: Some("hypervisor.key"),
        infrared: required_at("Hypervisor", 2),
    }
    host_key_fingerprint: Option<String> as Line = None, {
        name: "host-key-fingerprint",
        doc: "Accept its host key if it has this fingerprint; for when nobody is there to confirm it",
        example: Some("SHA256:…"),
        unset: Some("what `ssh` knows, or you confirm"),
        value: "SHA256:…",
        group: Hypervisor,
        locates: true,
        key: Some("hypervisor.key_fingerprint"),
    }
    host_known_hosts: Option<String> as Line = None, {
        name: "host-known-hosts",
        doc: "Accept its host key if this file of known_hosts has it; for when nobody is there to confirm it",
        example: Some("known_hosts"),
        unset: Some("what `ssh` knows, or you confirm"),
        value: "FILE",
        group: Hypervisor,
        locates: true,
        key: Some("hypervisor.known_hosts"),
    }
    pool_name: Name as Name = Name::known("images"), {
        name: "pool-name",
        doc: "libvirt storage pool of all volumes",
        default: Some("images"),
        value: "NAME",
        group: Hypervisor,
        locates: true,
        key: Some("hypervisor.pool_name"),
        infrared: at("Image", 3, Some("images")),
    }
    pool_path: Directory as Directory = Directory::known("/var/lib/libvirt/images"), {
        name: "disk-pool",
        doc: "Directory of the storage pool",
        default: Some("/var/lib/libvirt/images"),
        value: "DIR",
        group: Hypervisor,
        locates: true,
        key: Some("hypervisor.disk_pool"),
        infrared: at("Image", 2, Some("/var/lib/libvirt/images")),
    }
    overcommit: bool as bool = false, {
        name: "host-memory-overcommit",
        doc: "Build even if the hypervisor's memory does not suffice",
        default: Some("no"),
        value: "YES|NO",
        group: Hypervisor,
        key: Some("hypervisor.memory_overcommit"),
        infrared: at("Hypervisor", 4, Some("no")),
    }
    reserve_mib: u64 as Mebibytes = 0, {
        name: "host-memory-reserve",
        doc: "Memory of the hypervisor that nodes leave to others, in MiB",
        example: Some("4096"),
        default: Some("0"),
        value: "MIB",
        group: Hypervisor,
        key: Some("hypervisor.memory_reserve"),
    }
    validate: bool as bool = true, {
        name: "host-validate",
        doc: "Check whether the hypervisor can virtualise, and warn if it cannot",
        default: Some("yes"),
        value: "YES|NO",
        group: Hypervisor,
        key: Some("hypervisor.validate"),
        infrared: at("Hypervisor", 3, Some("yes")),
    }
    virt: VirtChoice as VirtChoice = VirtChoice::Auto, {
        name: "virt-type",
        doc: "Hardware virtualisation or QEMU's emulation",
        default: Some("auto"),
        value: "TYPE",
        group: Hypervisor,
        key: Some("hypervisor.virt_type"),
    }
    {
        name: "topology-nodes",
        doc: "Node types with counts; types are built-in names, names in your topology directory, or paths",
        example: Some("{web: {count: 2}, controller: 1}"),
        kind: SettingKind::Nodes,
        unset: Some("none"),
        value: "TYPE:COUNT,…",
        group: Topology,
        key: Some("nodes"),
        infrared: at("Topology", 5, None),
    }
    {
        name: "topology-network",
        doc: "Network file: a built-in name, a name in your topology directory, or a path; none by default if the project file describes node types or networks",
        kind: SettingKind::Network,
        default: Some("3_nets"),
        value: "NAME",
        group: Topology,
        key: Some("network"),
        infrared: at("Topology", 3, Some("3_nets")),
    }
    {
        name: "layout",
        doc: "Layout of ci-framework, or configuration of tenks: files with variables, where a later file wins; instead of node types and a network file",
        example: Some("lab.yml"),
        unset: Some("none"),
        value: "FILE,…",
        group: Topology,
        key: Some("layout"),
    }
    {
        name: "networks",
        doc: "Networks that are described here, by their names, beside those of `network`",
        example: Some("{front: {}, back: {forward: none}}"),
        kind: SettingKind::Networks,
        unset: Some("none; network `net` if node types are described and `network` is left out"),
        group: Topology,
        key: Some("networks"),
    }
    extend: bool as bool = false, {
        name: "topology-extend",
        doc: "Add these nodes to those that are there, which stay as they are",
        default: Some("no"),
        value: "YES|NO",
        group: Topology,
        infrared: at("Topology", 7, Some("no")),
    }
    {
        name: "extra-vars",
        doc: "Change a value (`override.controller.memory=1024`), or merge a file (`@FILE`); repeatable",
        example: Some("{controller: {memory: 4096}}"),
        kind: SettingKind::Changes,
        unset: Some("none"),
        value: "KEY=VALUE",
        group: Topology,
        key: Some("overrides"),
    }
    net_subnet: Option<u8> as u8 = None, {
        name: "net_subnet",
        doc: "Third octet for `{{ net }}` in the network file",
        example: Some("20"),
        unset: Some("0; with a prefix one that is free"),
        value: "N",
        group: Topology,
        key: Some("net_subnet"),
        infrared: at("Topology", 1, None),
    }
    data_subnet: Option<u8> as u8 = None, {
        name: "data_subnet",
        doc: "Third octet for `{{ data_net }}` in the network file",
        example: Some("34"),
        unset: Some("24; with a prefix one that is free"),
        value: "N",
        group: Topology,
        key: Some("data_subnet"),
        infrared: at("Topology", 2, None),
    }
    mtu: Option<Mtu> as Mtu = None, {
        name: "host-network-mtu-size",
        doc: "MTU of all networks and of the nodes' interfaces, in bytes",
        example: Some("9000"),
        unset: Some("the kernel's, 1500"),
        value: "BYTES",
        group: Topology,
        key: Some("mtu"),
        infrared: at("Hypervisor", 6, Some("no")),
    }
    nic_mtu: Option<Mtu> as Mtu = None, {
        name: "host-mtu-size",
        doc: "MTU of the hypervisor's NICs below bridged networks, in bytes",
        example: Some("9000"),
        unset: Some("as they are"),
        value: "BYTES",
        group: Topology,
        key: Some("hypervisor.mtu"),
        infrared: at("Hypervisor", 5, Some("no")),
    }
    querier: bool as bool = false, {
        name: "host-network-multicast-querier",
        doc: "Have the bridge of network `external` send multicast queries",
        default: Some("no"),
        value: "YES|NO",
        group: Topology,
        infrared: at("Hypervisor", 7, Some("no")),
    }
    bgp: bool as BgpMode = false, {
        name: "bgp-topology-mode",
        doc: "Which interfaces of BGP node files to use",
        example: Some("basic"),
        unset: Some("none"),
        value: "MODE",
        group: Topology,
        infrared: at(VNC, 3, None),
    }
    image: Option<String> as Line = None, {
        name: "image-url",
        doc: "Base image: URL[#sha256:…], file, or name from `maquette image list`",
        example: Some("debian-12"),
        unset: Some("none"),
        value: "URL|PATH|NAME",
        group: Guests,
        key: Some("image"),
        infrared: at("Image", 0, Some("https://url.corp.redhat.com/rhel-guest-image-7-6-210-x86-64-qcow2")),
    }
    {
        name: "checksum",
        doc: "Checksum of the image, such as `sha256:0123…` with all its digits",
        example: Some("sha256:…"),
        kind: SettingKind::Text("`sha256:`, `sha384:` or `sha512:` with all digits"),
        unset: Some("that after `#` of `image`, if there is one"),
        group: Guests,
        key: Some("checksum"),
    }
    force_image_download: bool as bool = false, {
        name: "force-image-download",
        doc: "Download the image again even if it is in the pool",
        default: Some("no"),
        value: "YES|NO",
        group: Guests,
        infrared: at("Image", 1, Some("no")),
    }
    tls_ca: Vec<String> as Lines = Vec::new(), {
        name: "tls-ca",
        doc: "Further certificate authorities for downloads: PEM files or URLs, separated by commas",
        example: Some("/etc/ssl/lab.pem"),
        unset: Some("none"),
        value: "FILE|URL,…",
        group: Guests,
        key: Some("tls_ca"),
        infrared: at(CONSOLE, 7, Some("")),
    }
    mirror_url: String as Line = String::new(), {
        name: "image-mirror-url",
        doc: "Where appliance images come from",
        example: Some("https://mirror.example.com/images"),
        unset: Some("none"),
        value: "URL",
        group: Guests,
        key: Some("image_mirror_url"),
        infrared: at("Image", 4, Some("https://url.corp.redhat.com/rhos-qe-mirror-tlv")),
    }
    username: Login as Login = Login::known("cloud-user"), {
        name: "topology-username",
        doc: "User with passwordless sudo on every node",
        default: Some("cloud-user"),
        value: "NAME",
        group: Guests,
        key: Some("username"),
        infrared: at("Topology", 6, Some("cloud-user")),
    }
    password: Option<Secret> as Secret = None, {
        name: "topology-password",
        doc: "Password of the nodes' login user, for consoles alone: SSH takes keys only; `@FILE` is a file's first line",
        example: Some("@password"),
        unset: Some("none, and no password opens a node"),
        value: "PASSWORD",
        group: Guests,
        infrared: at("Topology", 9, None),
    }
    timezone: Option<TimeZone> as TimeZone = None, {
        name: "topology-timezone",
        doc: "Time zone of the nodes and the hypervisor, such as Europe/Prague",
        example: Some("Europe/Prague"),
        unset: Some("the image's"),
        value: "ZONE",
        group: Guests,
        key: Some("timezone"),
        infrared: at("Topology", 8, None),
    }
    start: StartChoice as StartChoice = StartChoice::Auto, {
        name: "start",
        doc: "How new nodes start: from the memory of one like them that has booted before, or by booting",
        default: Some("auto"),
        value: "HOW",
        group: Guests,
        key: Some("start"),
    }
    disk_bus: Bus as Bus = Bus::Virtio, {
        name: "disk-bus",
        doc: "Bus of all disks that do not name one",
        default: Some("virtio"),
        value: "BUS",
        group: Guests,
        key: Some("disk_bus"),
        infrared: at(CONSOLE, 5, Some("virtio")),
    }
    boot_mode: BootMode as BootMode = BootMode::Bios, {
        name: "bootmode",
        doc: "Firmware of nodes without an operating system",
        default: Some("bios"),
        value: "MODE",
        group: Guests,
        key: Some("bootmode"),
        infrared: at(CONSOLE, 4, Some("bios")),
    }
    bmc: Option<BmcChoice> as BmcChoice = None, {
        name: "bmc",
        doc: "What the BMCs of nodes without an operating system speak",
        unset: Some("both where the hypervisor has an address on a network; off with `maquette virsh`"),
        value: "PROTOCOL",
        group: Guests,
        key: Some("bmc"),
    }
    bmc_network: Option<Name> as Name = None, {
        name: "bmc-network",
        doc: "Network on which each BMC has an address of its own, with the ports 443 and 623",
        example: Some("bmcs"),
        unset: Some("the hypervisor's address on network `management`, or on the first where it has one, and ports of their own"),
        value: "NAME",
        group: Guests,
        key: Some("bmc_network"),
    }
    bmc_hypervisor_urls: bool as bool = false, {
        name: "bmc-hypervisor-urls",
        doc: "Have BMCs take images from, and send events to, all that the hypervisor reaches, itself too",
        default: Some("no"),
        value: "YES|NO",
        group: Guests,
        key: Some("bmc_hypervisor_urls"),
    }
    bmc_credentials: BmcCredentials as BmcCredentials = BmcCredentials::Node, {
        name: "bmc-credentials",
        doc: "Account of BMCs: `node` for a random password of each, `environment` for one of all, or USER:PASSWORD; `@FILE` is a file's first line",
        example: Some("environment"),
        default: Some("node"),
        value: "ACCOUNT",
        group: Guests,
        key: Some("bmc_credentials"),
    }
    serial_files: bool as bool = false, {
        name: "serial-files",
        doc: "Log serial consoles to /var/lib/libvirt/qemu/NODE-serial.log",
        unset: Some("to /var/log/libvirt/qemu"),
        value: "YES|NO",
        group: Guests,
        infrared: at(CONSOLE, 0, Some("no")),
    }
    vnc_external: bool as bool = false, {
        name: "vnc-external",
        doc: "Have VNC listen on all addresses of the hypervisor, with a password",
        default: Some("no"),
        value: "YES|NO",
        group: Guests,
        infrared: at(VNC, 0, Some("no")),
    }
    vnc_password: Option<Secret> as Secret = None, {
        name: "vnc-password",
        doc: "VNC password, of which VNC uses 8 characters",
        example: Some("@password"),
        unset: Some("a random one, if VNC is external"),
        value: "PASSWORD",
        group: Guests,
        infrared: at(VNC, 1, None),
    }
    virtopts: VirtOpts as VirtOpts = VirtOpts::default(), {
        name: "virtopts",
        doc: "Options of virt-install for all nodes, such as `--cpu host --watchdog default`",
        example: Some("\"--watchdog default\""),
        unset: Some("none"),
        value: "OPTIONS",
        group: Guests,
        infrared: at(CONSOLE, 6, Some("")),
    }
    shutdown_s: u64 as Seconds = 60, {
        name: "shutdown-timeout",
        doc: "How long a node that restarts may take to shut down before it is switched off, in seconds",
        default: Some("60"),
        value: "SECONDS",
        group: Guests,
    }
}
