//! `vms` of a layout: node types.

use std::collections::BTreeSet;

use super::idle::Idle;
use crate::decode::{self, Fields};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file_keys::{Form, Key, key};
use crate::syntax::{Entry, Span, Spanned, Tree, Value};
use crate::topology::MOST_NODES;
use crate::values::Name;

/// A node type, with what holds for keys that are left out.
#[derive(Debug)]
pub(super) struct Vm {
    /// Its key below `vms`.
    pub kind: Spanned<String>,
    /// How many nodes there are of it.
    pub amount: u32,
    /// Image with its checksum, as Maquette writes them; the environment's if there is none.
    pub image: Option<Spanned<String>>,
    /// Whether its disks are empty.
    pub blank: bool,
    /// vCPUs of each node.
    pub cpus: Spanned<u64>,
    /// Memory in units of 10^9 bytes.
    pub memory_gb: Spanned<u64>,
    /// Size and bus of the first disk.
    pub disk: (Spanned<u64>, String),
    /// How many further disks, with their size and bus.
    pub extra: Option<(u64, Spanned<String>, String)>,
    /// Networks of each node.
    pub nets: Vec<Spanned<String>>,
    /// Further networks of the node with each number.
    pub rows: Option<Vec<Vec<Spanned<String>>>>,
    /// Where it is said that it boots with UEFI, if it does.
    pub uefi: Option<Span>,
    /// The account that it has.
    pub user: Spanned<String>,
    /// The account that Ansible uses, if it is another.
    pub admin: Option<Spanned<String>>,
    /// A further Ansible group, if there is one.
    pub parent_group: Option<Spanned<String>>,
    /// What its nodes boot from, in order, in libvirt's words; empty where that is as without it.
    pub boot: Vec<Spanned<String>>,
    /// Where it is described.
    pub span: Span,
}

/// Largest numbers: of disks, of GB.
const MOST_DISKS: u64 = 24;
const MOST_GB: u64 = 1 << 20;

/// A key that is known, and that [`IDLE`] or its reader has an answer for.
const fn idle(name: &'static str) -> Key {
    Key { read: false, ..key(name, Form::Anything, "") }
}

const VM: &[Key] = &[
    key("amount", Form::Number(0, MOST_NODES as u64, ""), ""),
    key("image_url", Form::Text, ""),
    key("sha256_image_name", Form::Text, ""),
    key("disk_file_name", Form::Text, ""),
    key("disksize", Form::Number(1, MOST_GB, "GB"), ""),
    key("disk_bus", Form::Text, ""),
    key("memory", Form::Number(1, MOST_GB, "GB"), ""),
    key("cpus", Form::Number(1, 4096, ""), ""),
    key("nets", Form::List(&Form::Text), ""),
    key("spineleafnets", Form::List(&Form::List(&Form::Text)), ""),
    key("extra_disks_num", Form::Number(0, MOST_DISKS, ""), ""),
    key("extra_disks_size", Form::Text, ""),
    key("extra_disks_bus", Form::Text, ""),
    key("uefi", Form::YesNo, ""),
    key("user", Form::Text, ""),
    key("admin_user", Form::Text, ""),
    key("parent_ansible_group", Form::Text, ""),
    key("boot_order", Form::List(&Form::Text), ""),
    idle("image_local_dir"),
    idle("root_part_id"),
    idle("numa"),
    idle("bootmenu_enable"),
    idle("networkconfig"),
    idle("devices"),
    idle("dhcp_options"),
    idle("fstrim_enabled"),
    idle("add_iommu_device"),
    idle("password"),
    idle("start"),
    idle("manage"),
    idle("target"),
];

/// Keys without effect, each with the value that says nothing, and why it has none.
const IDLE: &[(&str, &str, &str)] = &[
    ("image_local_dir", "", "base images are kept in the hypervisor's storage pool"),
    ("root_part_id", "", "a node's first boot finds the partition that it grows by itself"),
    ("numa", "1", "nodes have one NUMA cell"),
    ("bootmenu_enable", "no", "`maquette console` and `maquette open` show what a node boots from"),
    ("networkconfig", "", "a node's first boot sets its networks up as Maquette gives addresses"),
    ("dhcp_options", "", "libvirt serves DHCP, with the options of its networks"),
    ("fstrim_enabled", "no", "nodes' disks do not pass discards on"),
    ("add_iommu_device", "no", "nodes have no IOMMU"),
    ("password", "", "nodes are logged in to with the environment's key"),
    ("start", "yes", "all nodes are started; `maquette stop` switches them off"),
    ("manage", "yes", "all nodes with an operating system are in the inventory"),
    ("target", "", "all nodes are on the environment's hypervisor, `--host-address`"),
];

/// Reads all of `vms`.
pub(super) fn read(
    vms: &Tree,
    spineleaf: bool,
    idle: &mut Idle,
    diags: &mut Diagnostics,
) -> Vec<Vm> {
    if Fields::open(vms, "`vms`", diags).is_none() {
        return Vec::new();
    }
    vms.entries().iter().filter_map(|entry| vm(entry, spineleaf, idle, diags)).collect()
}

fn vm(entry: &Entry, spineleaf: bool, idle: &mut Idle, diags: &mut Diagnostics) -> Option<Vm> {
    let kind = Spanned::new(entry.key.clone(), entry.key_span);
    let what = format!("`vms.{}`", kind.value);
    let mut fields = Fields::new(&entry.value, what, VM, diags)?;
    let number = |found: Option<u64>, key: &str, default: u64| {
        let span = entry.value.get(key).map_or(entry.key_span, |node| node.span);
        Spanned::new(found.unwrap_or(default), span)
    };
    let amount = fields.number("amount", diags).unwrap_or(1);
    let url = filled(&mut fields, "image_url", diags);
    let sum = filled(&mut fields, "sha256_image_name", diags);
    let file = filled(&mut fields, "disk_file_name", diags);
    let size = fields.number("disksize", diags);
    let bus = filled(&mut fields, "disk_bus", diags).map_or("scsi".into(), |b| b.value);
    let memory = fields.number("memory", diags);
    let cpus = fields.number("cpus", diags);
    let nets = fields.take("nets").map_or(Vec::new(), |n| names(n, "nets", diags));
    let rows = rows(&mut fields, spineleaf, idle, diags);
    let extra = extra_disks(&mut fields, &kind, diags);
    let uefi = fields.bool("uefi", diags).filter(|uefi| *uefi);
    let uefi = uefi.and_then(|_| entry.value.get("uefi")).map(|node| node.span);
    let user = filled(&mut fields, "user", diags);
    let admin = filled(&mut fields, "admin_user", diags);
    let parent_group = filled(&mut fields, "parent_ansible_group", diags);
    let empty = file.as_ref().is_some_and(|f| f.value == "blank");
    let blank = empty || made_elsewhere(&kind, amount, url.is_none(), diags);
    let boot = boot(&mut fields, blank, diags);
    rest(&entry.value, idle, diags);
    let span = fields.span();
    fields.finish(diags);
    Some(Vm {
        amount: u32::try_from(amount).unwrap_or(MOST_NODES),
        image: url.filter(|_| !blank).map(|url| with_sum(url, sum)),
        blank,
        cpus: number(cpus, "cpus", 2),
        memory_gb: number(memory, "memory", 2),
        disk: (number(size, "disksize", 40), bus),
        extra,
        nets,
        rows,
        uefi,
        user: user.unwrap_or_else(|| Spanned::new("zuul".into(), kind.span)),
        admin,
        parent_group,
        boot,
        span,
        kind,
    })
}

/// What nodes boot from, in order, unless they do so anyway.
fn boot(fields: &mut Fields<'_>, blank: bool, diags: &mut Diagnostics) -> Vec<Spanned<String>> {
    let node = fields.take("boot_order").filter(|node| !node.is_empty());
    let mut order = node.map_or(Vec::new(), |node| names(node, "boot_order", diags));
    for device in order.iter_mut().filter(|device| device.value == "disk") {
        device.value = "hd".into();
    }
    // libvirt's own `fd`, and a word that a patch has added once more, were passed over.
    let mut seen = BTreeSet::new();
    order.retain(|device| {
        ["hd", "network", "cdrom"].contains(&device.value.as_str())
            && seen.insert(device.value.clone())
    });
    let usual = if blank { &["network", "hd"][..] } else { &["hd"] };
    match order.iter().map(|device| device.value.as_str()).eq(usual.iter().copied()) {
        true => Vec::new(),
        false => order,
    }
}

/// OpenShift's nodes have no image in a layout: its installer makes their disks.
fn made_elsewhere(
    kind: &Spanned<String>,
    amount: u64,
    no_image: bool,
    diags: &mut Diagnostics,
) -> bool {
    let elsewhere = no_image && ["ocp", "crc"].iter().any(|name| kind.value.starts_with(name));
    if elsewhere && amount > 0 {
        let message = format!("the disks of `{}` are empty", kind.value);
        diags.push(
            Diagnostic::warning("layout::no-image", message)
                .at(kind.span, "ci-framework has OpenShift's installer make them")
                .help("`image_url` gives them an image; `cifmw_libvirt_manager_configuration_patch_1` can add it"),
        );
    }
    elsewhere
}

/// Text that says something; an empty one says as little as none.
fn filled(
    fields: &mut Fields<'_>,
    key: &'static str,
    diags: &mut Diagnostics,
) -> Option<Spanned<String>> {
    fields.text(key, diags).filter(|text| !text.value.trim().is_empty())
}

fn with_sum(url: Spanned<String>, sum: Option<Spanned<String>>) -> Spanned<String> {
    let Some(sum) = sum.filter(|_| !url.value.contains('#')) else { return url };
    let digits = sum.value.trim().trim_start_matches("sha256:");
    Spanned::new(format!("{}#sha256:{digits}", url.value.trim()), url.span)
}

/// Names in a list.
pub(super) fn names(node: &Tree, key: &str, diags: &mut Diagnostics) -> Vec<Spanned<String>> {
    let items = decode::list_of::<Name>(node, (key, "names"), diags).iter();
    items.filter_map(|item| decode::text(item, key, diags)).collect()
}

fn rows(
    fields: &mut Fields<'_>,
    spineleaf: bool,
    idle: &mut Idle,
    diags: &mut Diagnostics,
) -> Option<Vec<Vec<Spanned<String>>>> {
    const KEY: &str = "spineleafnets";
    let node = fields.take(KEY)?;
    if !spineleaf {
        idle.note(KEY, "`cifmw_libvirt_manager_spineleaf_setup` is not set", node.span);
        return None;
    }
    let items = decode::list(node, KEY, diags).iter();
    Some(items.map(|item| names(item, KEY, diags)).collect())
}

fn extra_disks(
    fields: &mut Fields<'_>,
    kind: &Spanned<String>,
    diags: &mut Diagnostics,
) -> Option<(u64, Spanned<String>, String)> {
    let number = fields.number("extra_disks_num", diags).unwrap_or(0);
    let size = filled(fields, "extra_disks_size", diags);
    let bus = filled(fields, "extra_disks_bus", diags).map_or("virtio".into(), |b| b.value);
    match size {
        Some(size) if number > 0 => Some((number, size, bus)),
        None if number > 0 => {
            let message = format!("the further disks of `vms.{}` have no size", kind.value);
            let error = Diagnostic::error("layout::extra-disks", message).at(kind.span, "");
            diags.push(error.help("add `extra_disks_size`, such as `30G`"));
            None
        }
        _ => None,
    }
}

/// Keys that are read and have no effect, and those that are refused.
fn rest(vm: &Tree, idle: &mut Idle, diags: &mut Diagnostics) {
    for (name, nothing, why) in IDLE {
        let Some(node) = vm.get(name).filter(|node| !node.is_empty()) else { continue };
        let says_nothing = match &node.value {
            Value::Scalar(text, _) => {
                text.trim().is_empty()
                    || text == nothing
                    || (*nothing == "no" && node.is_no())
                    || (*nothing == "yes" && crate::syntax::parse_bool(text) == Some(true))
            }
            _ => false,
        };
        if !says_nothing {
            idle.note(name, why, node.span);
        }
    }
    if let Some(node) = vm.get("devices").filter(|node| !node.is_empty()) {
        diags.push(
            Diagnostic::error("layout::devices", "nodes cannot have devices of the hypervisor")
                .at(node.span, "")
                .help("leave `devices` out; a patch that sets it to `null` does so, too"),
        );
    }
}
