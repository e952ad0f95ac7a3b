//! A kind of node and how many of it.

use std::num::NonZeroU32;

use super::access::{self, ACCESS};
use super::checked_name;
use super::disk::{self, Disk};
use super::first_boot::{self, FirstBoot};
use super::interface::{self, Interface, Interfaces};
use super::user_data;
use crate::decode::{self, Fields};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file_keys::Class::{Later, Live, Record, Replace, Restart};
use crate::file_keys::{CONNECTION, Form, IMAGE, Key, LOGIN, key, unread};
use crate::hardware::{
    BMC_CHOICES, BOOT_DEVICES, BmcChoice, BootDevice, OsVariant, SEED_DRIVES, SeedDrive,
};
use crate::syntax::{Span, Spanned, Tree, Value};
use crate::units::MacAddr;
use crate::values::{ConnectionPlugin, Group, Line, Login, MachineName, Name, NodeType};

/// Most vCPUs of any machine type (QEMU's q35 since 9.1).
const MOST_VCPUS: u64 = 4096;
/// Most memory, in MiB: what 52 bits of physical address reach on x86.
const MOST_MIB: u64 = 1 << 32;

/// Lists for each index of a BGP topology.
const fn rows_of(form: &'static Form) -> [Key; 1] {
    [key("basic", Form::List(form), "One for each index [default: none]")]
}

const OCTETS: &[Key] = &rows_of(&Form::Number(0, 255, ""));
const MACS: &[Key] = &rows_of(&Form::Parsed("a MAC address", "52:54:00:00:00:01"));
const NETS: &[Key] = &rows_of(&Form::Text);

/// Keys of `os`.
const OS: &[Key] = &[
    key(
        "variant",
        Form::Text,
        "libosinfo's name of the operating system: NICs of FreeBSD and Windows are e1000 unless they have a `model` [default: none]",
    ).example("debian12")
    .takes(Replace),
    unread("type").example("linux"),
];

/// Keys of `external_network`.
const EXTERNAL: &[Key] = &[
    key("network", Form::Text, "Its name").example("front").needed(),
    key(
        "bridged",
        Form::YesNo,
        "Whether it is bridged, on which the network decides [default: as the network is]",
    ),
];

/// Keys of a node type.
pub(crate) const NODE_TYPE: &[Key] = &[
    key("name", Form::Text, "What nodes are called, before their number").example("app").takes(Replace).needed(),
    key("cpu", Form::Number(1, MOST_VCPUS, "vCPUs"), "vCPUs").example("2").takes(Restart).needed(),
    key("memory", Form::Number(1, MOST_MIB, "MiB"), "Memory in MiB").example("2048").takes(Live).needed(),
    key(
        "memory_max",
        Form::Number(1, MOST_MIB, "MiB"),
        "Most memory in MiB that it can have while it runs; `memory` is what it starts with [default: as `memory`]",
    ).example("4096").takes(Restart),
    key("swap", Form::Number(0, MOST_MIB, "MiB"), "Swap file in MiB [default: 0, none]").example("512").takes(Replace),
    key(
        "cpumodel",
        Form::Parsed("a CPU model", "host-model"),
        "`host-passthrough`, `host-model`, or a model that libvirt knows [default: host-passthrough]",
    ).takes(Restart),
    key(
        "deploy_os",
        Form::YesNo,
        "Whether the first disk gets the base image; else disks are blank [default: yes]",
    ).takes(Replace),
    key(
        "supports_libguestfs",
        Form::YesNo,
        "Whether the image may be adapted; `no` uses it as it is [default: yes]",
    ).takes(Replace),
    key(
        "customize",
        Form::YesNo,
        "Whether virt-customize makes the image ready for being set up, as one without cloud-init has to be [default: if it has none]",
    ).takes(Replace),
    key("os", Form::Map(OS), "What the operating system is, for the model of NICs [default: none]").takes(Replace),
    key("disks", disk::DISKS, "Disks, the system disk first").example("[20G, 100G]").takes(Live).needed(),
    key(
        "import_url",
        IMAGE,
        "Base image of this type [default: that of the setting `image`]",
    ).takes(Replace),
    key("interfaces", interface::INTERFACES, "Interfaces in NIC order [default: those of `networks`]").example("[front, back]").takes(Live),
    key(
        "networks",
        interface::NETWORKS,
        "Networks, an interface on each: the same as `interfaces` in a list [default: the network file's]",
    ).example("[front, back]").takes(Live),
    key("ips", Form::Map(OCTETS), "Last octet of each node's addresses (BGP) [default: none]").example("{basic: [11, 12]}"),
    key("introspection_macs", Form::Map(MACS), "MAC addresses of single interfaces (BGP) [default: none, and Maquette chooses all]").example("{basic: [52:54:00:00:00:01]}"),
    key("introspection_nets", Form::Map(NETS), "The networks of these interfaces (BGP) [default: none]").example("{basic: [ctlplane]}"),
    key(
        "external_network",
        Form::Either(&[Form::Text, Form::Map(EXTERNAL)]),
        "Network that it is reached on, which has its default route [default: the first that gives it an address]",
    ).example("front").takes(Replace),
    key("provision_network", Form::Text, "Network that its address is taken from instead [default: `external_network`]").example("front").takes(Replace),
    key("groups", Form::List(&Form::Parsed("an Ansible group", "web")), "Ansible groups [default: none]").example("[web, servers]").takes(Record),
    key(
        "machine_type",
        Form::Parsed("a machine type", "q35"),
        "Machine type, such as `q35` [default: pc]",
    ).takes(Restart),
    key(
        "image",
        Form::Either(&[Form::Map(ACCESS), IMAGE]),
        "How Ansible reaches the node; in maquette.yaml also the image of this type, as `import_url` names it [default: as the login user, over SSH]",
    ),
    key("packages", first_boot::PACKAGES, "Packages that its first boot installs [default: none]").example("[tcpdump, vim]").takes(Replace),
    key("files", first_boot::FILES, "Files that its first boot writes, by absolute paths: text, or `@FILE`, which is that of a file beside this one [default: none]").example("{/etc/motd: welcome}").takes(Replace),
    key(
        "commands",
        first_boot::COMMANDS,
        "Shell commands that its first boot runs last, as root, until one fails [default: none]",
    ).example("[systemctl enable --now serial-getty@ttyS1]").takes(Replace),
    key(
        "user_data",
        first_boot::USER_DATA,
        "cloud-config of one's own, or a file of it, besides what Maquette sets up [default: none]",
    ).example("{package_upgrade: true}").takes(Replace),
    key(
        "console",
        first_boot::CONSOLE,
        "`autologin` logs the login user in at the serial console without a password [default: login]",
    ).takes(Replace),
    key(
        "seed",
        Form::Words(&SEED_DRIVES),
        "What the seed is in: `disk` is for images without drivers for virtio-scsi and CD-ROMs [default: cdrom]",
    ).takes(Later),
    key(
        "boot",
        Form::List(&Form::Words(&BOOT_DEVICES)),
        "What it boots from, in order [default: hd; with `deploy_os: no` network, then hd]",
    ).takes(Restart),
    key(
        "bmc",
        Form::Words(&BMC_CHOICES),
        "Protocol of its BMC, over which it is switched on and off and told what to boot from: `up` does not start a node that has a BMC and is off [default: off; with `deploy_os: no` as the setting `bmc` says]",
    ).example("both").takes(Record),
    key(
        "pxe_network",
        Form::Text,
        "Network that a node with a BMC is provisioned on: files for enrolling nodes have its NIC there as the one to boot from [default: any]",
    ).example("front").takes(Record),
    key("ansible_user", LOGIN, "The same as `image.ssh_user` [default: what that says]").takes(Replace),
    key(
        "ansible_connection",
        CONNECTION,
        "The same as `image.ansible_connection` [default: ssh]",
    ).takes(Record),
    unread("prefix").example("lab"),
    unread("flavor").example("baremetal"),
    unread("flavor_id").example("auto"),
];

/// Networks that a type names for who provisions its nodes.
const PROVISIONED: [&str; 2] = ["provision_network", "pxe_network"];

/// Most nodes of one type; more is surely a slip.
pub const MOST_NODES: u32 = 100_000;

/// The key that node files do not have.
const COUNT: Key =
    key("count", Form::Number(0, MOST_NODES as u64, ""), "How many nodes [default: 1]")
        .example("3");

const fn with_count() -> [Key; NODE_TYPE.len() + 1] {
    let mut all = [COUNT; NODE_TYPE.len() + 1];
    let mut at = 0;
    while at < NODE_TYPE.len() {
        all[at + 1] = NODE_TYPE[at];
        at += 1;
    }
    all
}

/// Keys of a node type that is described in the project file.
pub(crate) const DESCRIBED: &[Key] = &with_count();

/// The network a node is reached on, which carries its default route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalNetwork {
    /// Its name, without prefix.
    pub network: Spanned<Name>,
    /// Whether it is bridged, if somebody said so.
    pub bridged: Option<Spanned<bool>>,
}

/// A kind of node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Base name of the file: what `override.<type>` and `--topology-nodes` call it.
    pub file: String,
    /// `name` in the file: what nodes are called and network files look up.
    pub name: Spanned<NodeType>,
    /// How many nodes.
    pub count: u32,
    /// Number of virtual CPUs of each node.
    pub vcpus: NonZeroU32,
    /// `host-passthrough`, `host-model`, or a named model.
    pub cpu_model: MachineName,
    /// Memory in MiB.
    pub memory_mib: Spanned<u64>,
    /// Most memory that it can have while it runs, in MiB; none is as much as it has.
    pub memory_max_mib: Option<u64>,
    /// Swap file in MiB; 0 for none.
    pub swap_mib: u64,
    /// Whether the first disk gets the base image.
    pub deploy_os: bool,
    /// Whether the image may be adapted (false: an appliance, used as it is).
    pub adapt_image: bool,
    /// Whether virt-customize makes the image ready, unless it has cloud-init; none for where it is found to have none.
    pub customize: Option<bool>,
    /// Disks, the system disk first.
    pub disks: Vec<Disk>,
    /// Base image of this type instead of the environment's.
    pub import_url: Option<String>,
    /// Interfaces in NIC order.
    pub interfaces: Interfaces,
    /// Last octet of each node's addresses, by index (BGP).
    pub octets: Vec<u8>,
    /// MAC addresses of single interfaces, by index: address and network (BGP).
    pub macs: Vec<(MacAddr, String)>,
    /// The network it is reached on, where the file names one.
    pub external_network: Option<ExternalNetwork>,
    /// The network its address is taken from instead, if named.
    pub provision_network: Option<Spanned<Name>>,
    /// Ansible groups of its nodes, as the file lists them.
    pub groups: Vec<Group>,
    /// Machine type other than libvirt's default `pc`, if one is chosen.
    pub machine_type: Option<MachineName>,
    /// Login user instead of the environment's.
    pub ssh_user: Option<Login>,
    /// What its nodes boot from, in order, if that was chosen.
    pub boot: Vec<BootDevice>,
    /// Whether its nodes have a BMC, if that was chosen.
    pub bmc: Option<BmcChoice>,
    /// The network that its nodes are provisioned on, if that was chosen.
    pub pxe_network: Option<Spanned<Name>>,
    /// What operating system it has, as far as that is known.
    pub variant: Option<Spanned<OsVariant>>,
    /// Ansible connection plug-in.
    pub ansible_connection: ConnectionPlugin,
    /// What its first boot does besides setting it up.
    pub first_boot: FirstBoot,
    /// What its guests find their seed in, if that was chosen.
    pub seed: Option<SeedDrive>,
    /// Whether it is described in the project file.
    pub described: bool,
    /// Whether something was wrong with what its nodes are plugged into and reached on: that they are not may follow from it.
    pub flawed_interfaces: bool,
    /// Whether something was wrong with its disks, or with whether it needs one.
    pub flawed_disks: bool,
    /// Whether something was wrong with its image, or with whether it needs one.
    pub flawed_image: bool,
    /// The mapping it was read from.
    pub span: Span,
}

impl Role {
    /// Interfaces of every node, or of any.
    pub fn every_interface(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.all.iter().chain(self.interfaces.rows.iter().flatten().flatten())
    }
}

/// The keys of a node type.
fn keys(described: bool) -> &'static [Key] {
    if described { DESCRIBED } else { NODE_TYPE }
}

/// Reads a node type whose layers are already merged, from a file or from where it was `described`.
pub fn decode(
    (file, count, described): (&str, u32, bool),
    node: &Tree,
    bgp: bool,
    diags: &mut Diagnostics,
) -> Option<Role> {
    let mut fields = Fields::new(node, format!("node type `{file}`"), keys(described), diags)?;
    late_count(&mut fields, described, file, diags);
    let (name, vcpus) = (checked_name(&mut fields, diags), fields.number("cpu", diags));
    let (memory, memory_max_mib, swap_mib) = memory(&mut fields, file, diags);
    let cpu_model = fields.parsed("cpumodel", diags).map(|model| model.value);
    let before = diags.mistakes();
    let (deploy_os, adapt_image, customize, flawed_use) = image_use(&mut fields, diags);
    let disks = disks(&mut fields, (file, described), diags);
    let flawed_disks = diags.mistakes() > before;
    let os = os(&mut fields, file, diags);
    let import_url = fields.parsed::<Line>("import_url", diags).map(|u| u.value.to_string());
    let wired = wiring(&mut fields, (file, count), (bgp, described), diags);
    let groups = fields.take("groups").map_or(Vec::new(), |n| groups(n, diags));
    let machine_type = fields.parsed("machine_type", diags).map(|m| m.value);
    let (ssh_user, connection) = access::read(&mut fields, file, diags);
    let (boot, bmc, seed) = starting(&mut fields, file, diags);
    let first_boot = user_data::first_boot(&mut fields, file, diags);
    let flawed_image = fields.finish_and_tell("import_url", diags) || access::is_named(node);
    Some(Role {
        file: file.into(),
        name: name?,
        count,
        vcpus: NonZeroU32::new(u32::try_from(vcpus?).ok()?)?,
        cpu_model: cpu_model.unwrap_or_else(|| MachineName::known("host-passthrough")),
        memory_mib: memory?,
        memory_max_mib,
        swap_mib,
        deploy_os,
        adapt_image,
        customize,
        disks,
        import_url,
        interfaces: wired.interfaces,
        octets: wired.octets,
        macs: wired.macs,
        external_network: wired.external_network,
        provision_network: wired.provision_network,
        groups,
        machine_type,
        ssh_user,
        boot,
        bmc,
        pxe_network: wired.pxe_network,
        variant: os,
        ansible_connection: connection.unwrap_or_else(|| ConnectionPlugin::known("ssh")),
        first_boot,
        seed,
        described,
        flawed_interfaces: wired.is_flawed || flawed_use,
        flawed_disks,
        flawed_image: flawed_image || flawed_use,
        span: node.span,
    })
}

/// What nodes are plugged into and reached on.
struct Wiring {
    interfaces: Interfaces,
    octets: Vec<u8>,
    macs: Vec<(MacAddr, String)>,
    external_network: Option<ExternalNetwork>,
    provision_network: Option<Spanned<Name>>,
    pxe_network: Option<Spanned<Name>>,
    /// Whether something was wrong with it.
    is_flawed: bool,
}

fn wiring(
    fields: &mut Fields<'_>,
    (file, count): (&str, u32),
    how: (bool, bool),
    diags: &mut Diagnostics,
) -> Wiring {
    let before = diags.mistakes();
    let interfaces = interfaces(fields, file, diags);
    let (octets, macs) = (octets(fields, diags), introspection(fields, diags));
    let external_network = fields.take("external_network").and_then(|n| external(n, file, diags));
    let [provision_network, pxe_network] = PROVISIONED.map(|key| fields.checked(key, diags));
    let is_flawed = diags.mistakes() > before;
    if let Some(listed) = &interfaces.rows {
        let number = (!is_flawed).then_some((listed.len(), octets.len()));
        per_index((file, count), number, how, fields.span(), diags);
    }
    Wiring { interfaces, octets, macs, external_network, provision_network, pxe_network, is_flawed }
}

/// Memory, the most that there may be, and swap, in MiB. A node does not start with more than it can have.
fn memory(
    fields: &mut Fields<'_>,
    file: &str,
    diags: &mut Diagnostics,
) -> (Option<Spanned<u64>>, Option<u64>, u64) {
    let (memory, most) = (fields.number("memory", diags), fields.number("memory_max", diags));
    if let (Some(memory), Some(most)) = (memory, most)
        && most < memory
    {
        let message = format!(
            "`memory_max` of node type `{file}` is {most} MiB, less than its `memory` of {memory} MiB"
        );
        let diagnostic = Diagnostic::error("topology::memory", message).at(fields.span(), "");
        diags.push(diagnostic.help("raise `memory_max`, or leave it out"));
    }
    let place = fields.take("memory").map_or(fields.span(), |node| node.span);
    let memory = memory.map(|mib| Spanned::new(mib, place));
    (memory, most, fields.number("swap", diags).unwrap_or(0))
}

/// Whether the first disk gets the image, whether that may be adapted, and whether virt-customize does so; and whether something
/// was wrong with that.
fn image_use(fields: &mut Fields<'_>, diags: &mut Diagnostics) -> (bool, bool, Option<bool>, bool) {
    let before = diags.mistakes();
    let mut is = |key| fields.bool(key, diags);
    let (deploy_os, adapt) =
        (is("deploy_os").unwrap_or(true), is("supports_libguestfs").unwrap_or(true));
    let customize = is("customize");
    (deploy_os, adapt, customize, diags.mistakes() > before)
}

/// `interfaces`, or `networks`.
fn interfaces(fields: &mut Fields<'_>, file: &str, diags: &mut Diagnostics) -> Interfaces {
    let (interfaces, networks) = (fields.take("interfaces"), fields.take("networks"));
    if let (Some(first), Some(second)) = (interfaces, networks) {
        let message = format!("node type `{file}` has both `interfaces` and `networks`");
        diags.push(
            Diagnostic::error("topology::interfaces", message)
                .at(second.span, "")
                .at(first.span, "the interfaces are here")
                .help("write all of them below one of these keys"),
        );
    }
    match (interfaces, networks) {
        (Some(node), _) => interface::decode(node, file, diags),
        (None, Some(node)) if matches!(node.value, Value::List(_)) => {
            interface::decode(node, file, diags)
        }
        (None, Some(node)) => {
            let error = decode::wrong_type(node, "`networks`", "a list");
            diags.push(error.help(interface::as_list(node, "networks")));
            Interfaces::default()
        }
        (None, None) => Interfaces::default(),
    }
}

/// MAC addresses, and the networks that their interfaces are on.
fn introspection(fields: &mut Fields<'_>, diags: &mut Diagnostics) -> Vec<(MacAddr, String)> {
    const ADDRESSES: &str = "introspection_macs";
    const NETWORKS: &str = "introspection_nets";
    let macs = fields.take(ADDRESSES).map_or(Vec::new(), |node| {
        let items = rows(node, ADDRESSES, MACS, diags).iter();
        let parsed = items.filter_map(|n| decode::parsed(n, ADDRESSES, "a MAC address", diags));
        parsed.map(|mac| mac.value).collect()
    });
    let nets: Vec<String> = fields.take(NETWORKS).map_or(Vec::new(), |node| {
        let items = rows(node, NETWORKS, NETS, diags).iter();
        items.filter_map(|n| decode::text(n, NETWORKS, diags)).map(|t| t.value).collect()
    });
    macs.into_iter().zip(nets).collect()
}

/// `os` chose virt-install's defaults; Maquette writes the domain itself, and has models of NICs from it.
fn os(fields: &mut Fields<'_>, file: &str, diags: &mut Diagnostics) -> Option<Spanned<OsVariant>> {
    let node = fields.take("os")?;
    let mut os = Fields::new(node, format!("`os` of node type `{file}`"), OS, diags)?;
    let variant = os.text("variant", diags);
    os.finish(diags);
    let variant = variant.filter(|v| !v.value.trim().is_empty())?;
    match variant.value.parse() {
        Ok(known) => Some(Spanned::new(known, variant.span)),
        Err(why) => {
            let diagnostic = Diagnostic::error("topology::os-variant", why);
            diags.push(diagnostic.at(variant.span, "").help(
                "`osinfo-query os` lists the names; it decides only on the model of NICs without `model`",
            ));
            None
        }
    }
}

/// What nodes boot from, whether they have a BMC, which may say otherwise, and what they find their seed in.
fn starting(
    fields: &mut Fields<'_>,
    file: &str,
    diags: &mut Diagnostics,
) -> (Vec<BootDevice>, Option<BmcChoice>, Option<SeedDrive>) {
    let (boot, bmc) = (boot(fields, file, diags), fields.parsed("bmc", diags));
    (boot, bmc.map(|bmc| bmc.value), fields.parsed("seed", diags).map(|seed| seed.value))
}

/// What a node boots from, in order.
fn boot(fields: &mut Fields<'_>, file: &str, diags: &mut Diagnostics) -> Vec<BootDevice> {
    let Some(node) = fields.take("boot") else { return Vec::new() };
    let expected = "`hd`, `network` or `cdrom`";
    let of = "some of `hd`, `network` and `cdrom`";
    let items = decode::list_of::<BootDevice>(node, ("boot", of), diags);
    let items = decode::singles(items, ("boot", expected), "it lists their names", diags);
    let parsed =
        items.into_iter().filter_map(|n| decode::parsed::<BootDevice>(n, "boot", expected, diags));
    let parsed: Vec<_> = parsed.collect();
    let mut order = Vec::new();
    for device in parsed {
        if order.contains(&device.value) {
            let message = format!("`boot` of node type `{file}` has `{}` twice", device.value);
            diags.push(Diagnostic::error("topology::boot", message).at(device.span, ""));
        } else {
            order.push(device.value);
        }
    }
    order
}

/// A mapping with `network`, or a plain name as in InfraRed's manual.
fn external(node: &Tree, file: &str, diags: &mut Diagnostics) -> Option<ExternalNetwork> {
    if let Value::Scalar(..) = node.value {
        return decode::checked(node, "external_network", diags)
            .map(|network| ExternalNetwork { network, bridged: None });
    }
    let what = format!("`external_network` of node type `{file}`");
    let mut fields = Fields::new(node, what, EXTERNAL, diags)?;
    let network = fields.checked("network", diags);
    // That follows from the network itself; what contradicts it is told.
    let span = node.get("bridged").map(|bridged| bridged.span);
    let bridged = fields.bool("bridged", diags);
    fields.finish(diags);
    let bridged = bridged.zip(span).map(|(bridged, span)| Spanned::new(bridged, span));
    Some(ExternalNetwork { network: network?, bridged })
}

fn disks(fields: &mut Fields<'_>, of: (&str, bool), diags: &mut Diagnostics) -> Vec<Disk> {
    fields.need("disks", diags).map_or(Vec::new(), |n| disk::decode(n, of, diags))
}

/// How many nodes there are is known before overrides are merged.
fn late_count(fields: &mut Fields<'_>, described: bool, file: &str, diags: &mut Diagnostics) {
    let Some(node) = described.then(|| fields.take("count")).flatten() else { return };
    let message = format!("an override does not change the number of nodes of type `{file}`");
    let help = format!("`--topology-nodes {file}:2` does, with all other node types beside it");
    diags.push(Diagnostic::error("topology::count", message).at(node.span, "").help(help));
}

/// The rows of a BGP key: `{basic: [...]}`.
fn rows<'a>(
    node: &'a Tree,
    what: &'static str,
    keys: &'static [Key],
    diags: &mut Diagnostics,
) -> &'a [Tree] {
    let Some(mut fields) = Fields::new(node, format!("`{what}`"), keys, diags) else { return &[] };
    let basic = fields.take("basic");
    fields.finish(diags);
    basic.map_or(&[], |n| decode::list(n, what, diags))
}

fn octets(fields: &mut Fields<'_>, diags: &mut Diagnostics) -> Vec<u8> {
    fields.take("ips").map_or(Vec::new(), |node| {
        rows(node, "ips", OCTETS, diags).iter().filter_map(|n| octet(n, diags)).collect()
    })
}

fn octet(node: &Tree, diags: &mut Diagnostics) -> Option<u8> {
    decode::parsed::<u8>(node, "ips", "a number from 0 to 255", diags).map(|o| o.value)
}

/// A node type with lists for each index has no more nodes than lists and numbers, if all of these could be read.
fn per_index(
    (file, count): (&str, u32),
    listed: Option<(usize, usize)>,
    (bgp, described): (bool, bool),
    span: Span,
    diags: &mut Diagnostics,
) {
    // Node types that are described have no addresses that follow from their numbers.
    let numbered = bgp || !described;
    let most = listed.map(|(lists, octets)| if numbered { lists.min(octets) } else { lists });
    if !bgp && !described && count > 0 {
        let message = format!("node type `{file}` lists its interfaces for a BGP topology");
        diags.push(
            Diagnostic::error("topology::bgp-mode", message)
                .at(span, "")
                .help("add `--bgp-topology-mode basic` and `--topology-network bgp_networks`"),
        );
    } else if let Some(most) = most.filter(|most| count as usize > *most) {
        let message =
            format!("node type `{file}` describes {most} nodes, and {count} are asked for");
        diags.push(Diagnostic::error("topology::too-many-nodes", message).at(span, ""));
    }
}

fn groups(node: &Tree, diags: &mut Diagnostics) -> Vec<Group> {
    let items = decode::list_of::<Group>(node, ("groups", "Ansible groups"), diags);
    let write = "a group is one text, such as `web`";
    decode::singles(items, ("groups", "an Ansible group"), write, diags)
        .into_iter()
        .filter_map(|item| decode::parsed(item, "groups", "a list of Ansible groups", diags))
        .map(|group| group.value)
        .collect()
}
