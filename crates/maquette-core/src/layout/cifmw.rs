//! ci-framework's variables as a whole: the layout with its patches, and what stands beside it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::addresses::{Addresses, group, node_name, place};
use super::build::{Map, bare, list, moving};
use super::definition::{self, Definition};
use super::idle::Idle;
use super::networks::{self, Names, Net};
use super::vms::{self, Vm};
use super::{Layout, ReadXml, concluded};
use crate::decode;
use crate::diagnostic::{Diagnostic, Diagnostics, slip};
use crate::expr::Ansible;
use crate::layers::merge;
use crate::syntax::{Entry, Span, Spanned, Tree, Value};

/// The layout itself.
pub const CONFIGURATION: &str = "cifmw_libvirt_manager_configuration";
/// Files that are read before, as paths below ci-framework's own directory.
pub const PARENT: &str = "cifmw_parent_scenario";
/// Where it is set, ci-framework reads `va-common.yml`, too.
pub const SCENARIO: &str = "cifmw_architecture_scenario";

const DEFINITION: &str = "cifmw_networking_definition";
const TRANSLATIONS: &str = "cifmw_networking_mapper_interfaces_info_translations";

/// What holds for variables that nobody has set: ci-framework's defaults. An image that its discovery would find is
/// the environment's image.
const DEFAULTS: &[(&str, &str)] = &[
    ("ansible_user_dir", "~"),
    ("cifmw_basedir", "~/ci-framework-data"),
    ("cifmw_discovered_hash", ""),
    ("cifmw_discovered_image_url", ""),
    ("cifmw_libvirt_manager_compute_amount", "1"),
    ("cifmw_libvirt_manager_compute_cpus", "1"),
    ("cifmw_libvirt_manager_compute_disksize", "20"),
    ("cifmw_libvirt_manager_compute_memory", "4"),
    ("cifmw_root_partition_id", "1"),
    ("cifmw_use_uefi", "no"),
];

/// Variables of the roles that build a layout, with why those without effect have none.
const COMPANIONS: &[(&str, Option<&str>)] = &[
    ("cifmw_libvirt_manager_compute_amount", None),
    ("cifmw_libvirt_manager_compute_cpus", None),
    ("cifmw_libvirt_manager_compute_disksize", None),
    ("cifmw_libvirt_manager_compute_memory", None),
    ("cifmw_libvirt_manager_configuration", None),
    ("cifmw_libvirt_manager_configuration_gen", None),
    ("cifmw_libvirt_manager_default_gw_nets", None),
    ("cifmw_libvirt_manager_fixed_networks", None),
    ("cifmw_libvirt_manager_net_prefix_add", None),
    ("cifmw_libvirt_manager_no_dnsmasq_nets", None),
    ("cifmw_libvirt_manager_pub_net", None),
    ("cifmw_libvirt_manager_spineleaf_setup", None),
    (TRANSLATIONS, None),
    // What it changes, a bridge or libvirt's network, is the same for Maquette.
    ("cifmw_libvirt_manager_network_interface_types", None),
    ("cifmw_libvirt_manager_attach_dummy_interface_on_bridges", Some(HOST)),
    ("cifmw_libvirt_manager_dns_servers", Some(HOST)),
    ("cifmw_libvirt_manager_extra_network_configuration", Some(HOST)),
    ("cifmw_libvirt_manager_radvd_networks", Some(HOST)),
    (
        "cifmw_libvirt_manager_vm_net_ip_set",
        Some("`ip` of `networks` of a node type gives addresses"),
    ),
    ("cifmw_libvirt_manager_vm_users", Some("nodes have one user, `--topology-username`")),
    ("cifmw_libvirt_manager_pool", Some(POOL)),
    ("cifmw_libvirt_manager_pool_dir", Some(POOL)),
    ("cifmw_libvirt_manager_vm_template", Some("Maquette writes domains itself")),
    ("cifmw_libvirt_manager_predictable_nic_names", Some("NICs of nodes are called eth0, eth1, …")),
];

const HOST: &str = "Maquette sets the hypervisor's own network up, and libvirt serves DHCP and DNS";
const POOL: &str = "the storage pool is `--pool-name` in `--disk-pool`";

/// Beginnings of the names of these variables, and of variables that nobody lists.
const OWN: &str = "cifmw_libvirt_manager_";
const PATCH: &str = "cifmw_libvirt_manager_configuration_patch";
const DEFINITION_PATCH: &str = "cifmw_networking_mapper_definition_patch";

/// Understands ci-framework's variables.
pub(super) fn read(variables: &Tree, xml: ReadXml<'_>, diags: &mut Diagnostics) -> Option<Layout> {
    let mut found = Diagnostics::lenient();
    let mut reader = Reader {
        ansible: Ansible::new(variables, DEFAULTS),
        variables,
        idle: Idle::default(),
        diags: &mut found,
    };
    let layout = reader.layout(xml);
    let Reader { ansible, idle, .. } = reader;
    concluded(layout, (ansible.asked().clone(), idle), found, diags)
}

/// Whether a variable that nobody asks for is told of: it is one of the role that builds layouts, or nearly called as one.
pub fn tells_of(name: &str) -> bool {
    let is_patch = [PATCH, DEFINITION_PATCH].iter().any(|patch| name.starts_with(patch));
    let is_known = [DEFINITION, SCENARIO, PARENT].contains(&name)
        || DEFAULTS.iter().any(|(known, _)| *known == name);
    if !name.starts_with("cifmw_") || is_patch || is_known {
        return false;
    }
    let known = COMPANIONS.iter().map(|(known, _)| *known).chain([DEFINITION]);
    name.starts_with(OWN) || misnamed_patch(name).is_some() || slip(name, known).is_some()
}

/// How patches are called, for a variable that is called as if it were one.
fn misnamed_patch(name: &str) -> Option<&'static str> {
    let rest =
        name.strip_prefix(DEFINITION).filter(|rest| rest.starts_with('_') && *rest != "_gen");
    if rest.is_some() {
        return Some(DEFINITION_PATCH);
    }
    let (before, _) = name.split_once("_patch")?;
    slip(&format!("{before}_patch"), [PATCH, DEFINITION_PATCH])
}

struct Reader<'a> {
    ansible: Ansible<'a>,
    variables: &'a Tree,
    idle: Idle,
    diags: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn layout(&mut self, xml: ReadXml<'_>) -> Option<Layout> {
        self.companions();
        let Some(layout) = self.patched(CONFIGURATION, PATCH) else {
            let message = format!("no file of the layout sets `{CONFIGURATION}`");
            let error = Diagnostic::error("layout::missing", message).at(self.variables.span, "");
            self.diags.push(error.help(format!("`{PARENT}` names the files that it builds upon")));
            return None;
        };
        let span = layout.span;
        let definition = self.patched(DEFINITION, DEFINITION_PATCH);
        let definition = definition.map(|n| definition::read(&n, &mut self.idle, self.diags));
        let mut fields = decode::Fields::open(&layout, format!("`{CONFIGURATION}`"), self.diags)?;
        let (vms, nets) = (fields.take("vms"), fields.take("networks"));
        fields.finish(self.diags);
        let spineleaf = self.yes("spineleaf_setup", false);
        let empty = Tree::empty_map(span);
        let vms = vms::read(vms.unwrap_or(&empty), spineleaf, &mut self.idle, self.diags);
        let names = self.names();
        let nets = nets.unwrap_or(&empty);
        let nets = networks::read(nets, &names, xml, &mut self.idle, self.diags);
        let network = networks::file(&nets, &names, span);
        let settings = self.settings(&vms);
        let nodes = self.nodes(&vms, &nets, definition.as_ref(), span);
        Some(Layout { nodes, network, settings, asked: Default::default() })
    }

    /// A variable, with all patches of it in the order of their names.
    fn patched(&mut self, name: &str, patch: &str) -> Option<Tree> {
        let span = self.variables.span;
        let generated = format!("{name}_gen");
        let mut whole = self
            .ansible
            .value(&generated, span, self.diags)
            .or_else(|| self.ansible.value(name, span, self.diags));
        let entries = self.variables.entries().iter();
        let patches: BTreeMap<&str, Span> = entries
            .filter(|e| e.key.starts_with(patch))
            .map(|e| (e.key.as_str(), e.key_span))
            .collect();
        for (key, span) in patches {
            let Some(over) = self.ansible.value(key, span, self.diags) else { continue };
            if !matches!(over.value, Value::Map(_)) {
                self.diags.push(decode::wrong_type(&over, &format!("`{key}`"), "a mapping"));
                continue;
            }
            match &mut whole {
                Some(whole) => merge(whole, &over),
                None => whole = Some(over),
            }
        }
        whole
    }

    /// A variable of the role that builds layouts.
    fn own(&mut self, name: &str) -> Option<Tree> {
        let span = self.variables.span;
        let node = self.ansible.value(&format!("{OWN}{name}"), span, self.diags)?;
        Some(node).filter(|node| node.value != Value::Null)
    }

    fn yes(&mut self, name: &str, otherwise: bool) -> bool {
        let Some(node) = self.own(name) else { return otherwise };
        decode::boolean(&node, &format!("{OWN}{name}"), self.diags).unwrap_or(otherwise)
    }

    fn list(&mut self, name: &str) -> Option<Vec<String>> {
        let node = self.own(name)?;
        if let Value::Scalar(text, _) = &node.value {
            return Some(vec![text.clone()]);
        }
        let names = vms::names(&node, &format!("{OWN}{name}"), self.diags);
        Some(names.into_iter().map(|name| name.value).collect())
    }

    fn names(&mut self) -> Names {
        let with = |default: &[&str], more: Option<Vec<String>>| {
            let default = default.iter().map(|name| (*name).to_string());
            default.chain(more.unwrap_or_default()).collect()
        };
        Names {
            prefixed: self.yes("net_prefix_add", true),
            fixed: with(&["ocpbm", "ocppr"], self.list("fixed_networks")),
            without_dhcp: with(&["ocppr"], self.list("no_dnsmasq_nets")),
        }
    }

    /// Variables that nobody reads, or that are nearly called as one that is.
    fn companions(&mut self) {
        for entry in self.variables.entries() {
            let name = entry.key.as_str();
            if let Some((_, why)) = COMPANIONS.iter().find(|(known, _)| *known == name) {
                if let Some(why) = why.filter(|_| !entry.value.is_empty()) {
                    self.idle.note(name, why, entry.key_span);
                }
            } else if tells_of(name) && !self.named(name) {
                let message = format!("Maquette does not know the variable `{name}`");
                let warning = Diagnostic::warning("layout::unknown-variable", message);
                let warning = warning.at(entry.key_span, "it has no effect");
                self.diags.push(match misnamed_patch(name) {
                    Some(patch) => warning
                        .help(format!("patches of it are called `{patch}` with anything behind")),
                    None => warning.suggest(name, COMPANIONS.iter().map(|(known, _)| *known)),
                });
            }
        }
    }

    /// Whether another variable is made of one.
    fn named(&self, name: &str) -> bool {
        fn within(node: &Tree, name: &str) -> bool {
            match &node.value {
                Value::Null => false,
                Value::Scalar(text, _) => text.contains("{{") && text.contains(name),
                Value::List(items) => items.iter().any(|item| within(item, name)),
                Value::Map(entries) => entries.iter().any(|e| within(&e.value, name)),
            }
        }
        within(self.variables, name)
    }

    /// The user that nodes have: that of the first kind which has a system.
    fn username(&mut self, vms: &[Vm]) -> Option<Spanned<String>> {
        let mut with_system = vms.iter().filter(|vm| !vm.blank && vm.amount > 0);
        let first = with_system.next()?;
        for vm in with_system.filter(|vm| vm.user.value != first.user.value) {
            let why = "all nodes have the user of the first kind of them";
            self.idle.note("user", why, vm.user.span);
        }
        Some(first.user.clone())
    }

    /// What holds for the environment, as far as node types agree.
    fn settings(&mut self, vms: &[Vm]) -> Vec<(&'static str, Spanned<String>)> {
        let user = self.username(vms).map(|user| ("topology-username", user));
        let there = || vms.iter().filter(|vm| vm.amount > 0);
        let mut blank = there().filter(|vm| vm.blank).peekable();
        let uefi = blank.peek().and_then(|vm| vm.uefi);
        let all = uefi.is_some() && blank.all(|vm| vm.uefi.is_some());
        for (vm, span) in there().filter_map(|vm| Some((vm, vm.uefi?))) {
            match (vm.blank, all) {
                (true, true) => {}
                (true, false) => {
                    self.idle.note(
                        "uefi",
                        "nodes with empty disks have one firmware, `--bootmode`",
                        span,
                    );
                }
                (false, _) => {
                    self.idle.note("uefi", "nodes with an operating system boot with BIOS", span);
                }
            }
        }
        let mode = uefi.filter(|_| all).map(|span| ("bootmode", Spanned::new("uefi".into(), span)));
        user.into_iter().chain(mode).collect()
    }

    fn nodes(
        &mut self,
        vms: &[Vm],
        nets: &[Net],
        definition: Option<&Definition>,
        whole: Span,
    ) -> Tree {
        let span = self.variables.span;
        let translations = match self.ansible.value(TRANSLATIONS, span, self.diags) {
            Some(node) => definition::translations(&node, self.diags),
            None => vec![("osp_trunk".into(), vec!["controlplane".into(), "ctlplane".into()])],
        };
        let public =
            self.own("pub_net").and_then(|node| decode::text(&node, "pub_net", self.diags));
        let public = public.map_or("public".to_string(), |name| name.value);
        let gateways = self.list("default_gw_nets").unwrap_or_else(|| vec![public.clone()]);
        let subnet = |name: &str| nets.iter().find(|n| n.name == name).and_then(|n| n.xml.ipv4);
        let addresses = Addresses {
            definition,
            translations: &translations,
            public: subnet(&public).map(|net| (public.as_str(), net)),
            vms,
        };
        let mut nodes = Map::at(whole);
        for vm in vms {
            let node = self.node(vm, nets, &gateways, &addresses);
            nodes.put_at(&vm.kind.value, vm.kind.span, node);
        }
        nodes.done()
    }

    /// A node type as a node type.
    fn node(
        &mut self,
        vm: &Vm,
        nets: &[Net],
        gateways: &[String],
        addresses: &Addresses<'_>,
    ) -> Tree {
        let at = vm.kind.span;
        let mut node = Map::at(vm.span);
        node.put("name", bare(node_name(&vm.kind.value), at));
        node.put("count", bare(vm.amount.to_string(), at));
        node.put("cpu", bare(vm.cpus.value.to_string(), vm.cpus.span));
        let mib = (vm.memory_gb.value * 1_000_000_000).div_ceil(1 << 20);
        node.put("memory", bare(mib.to_string(), vm.memory_gb.span));
        node.put("disks", disks(vm));
        if vm.blank {
            node.text("deploy_os", "no");
        }
        if let Some(image) = &vm.image {
            node.put("import_url", bare(&image.value, image.span));
        }
        if !vm.boot.is_empty() {
            node.put("boot", list(vm.boot.iter().map(|b| bare(&b.value, b.span)).collect(), at));
        }
        let shared = self.interfaces(vm, nets, addresses);
        match &vm.rows {
            None => node.put("interfaces", list(shared, vm.span)),
            Some(rows) => node.put("interfaces", by_number(vm, &shared, rows, nets)),
        }
        let routed = vm.nets.iter().find(|net| gateways.contains(&net.value));
        if let Some(routed) = routed.filter(|_| !vm.blank) {
            let bridge =
                nets.iter().find(|n| n.name == routed.value).and_then(|n| n.bridge.as_ref());
            node.put("external_network", bare(bridge.unwrap_or(&routed.value), routed.span));
        }
        let own = Spanned::new(group(&vm.kind.value), at);
        let groups = std::iter::once(&own).chain(&vm.parent_group);
        node.put("groups", list(groups.map(|g| bare(&g.value, g.span)).collect(), at));
        match (&vm.admin, vm.blank) {
            (Some(admin), true) => {
                let mut image = Map::at(admin.span);
                image.text("ssh_user", &admin.value);
                node.put("image", image.done());
            }
            (Some(admin), false) if admin.value != vm.user.value => {
                self.idle.note(
                    "admin_user",
                    "Ansible logs in as the user that nodes have",
                    admin.span,
                );
            }
            _ => {}
        }
        node.done()
    }

    /// Interfaces that all nodes of a type have. One address is all that a node has on a network.
    fn interfaces(&mut self, vm: &Vm, nets: &[Net], addresses: &Addresses<'_>) -> Vec<Tree> {
        let mut seen: Vec<&str> = Vec::new();
        let mut all = Vec::new();
        for net in &vm.nets {
            let known = nets.iter().find(|n| n.name == net.value);
            let first = !seen.contains(&net.value.as_str());
            seen.push(&net.value);
            let addressed = known.filter(|n| first && n.bridge.is_none());
            let addressed = addressed.and_then(|n| Some((n, n.xml.ipv4?)));
            let ips =
                addressed.and_then(|(n, net)| Some((addresses.of(vm, &n.name, self.diags)?, net)));
            let mut interface = interface(net, known);
            if let (Some((ips, subnet)), Value::Map(entries)) = (ips, &mut interface.value) {
                let key_span = place(&ips, net.span);
                let value = chosen(&ips, subnet, key_span);
                entries.push(Entry { key: "ip".into(), key_span, value });
            }
            all.push(interface);
        }
        all
    }
}

/// Addresses as `ip` has them: where they count up, the first is enough, for further nodes, too.
fn chosen(ips: &[Spanned<Ipv4Addr>], subnet: Ipv4Net, place: Span) -> Tree {
    let number = |ip: &Spanned<Ipv4Addr>| u32::from(ip.value);
    let text = |ip: &Spanned<Ipv4Addr>| bare(moving(ip.value, subnet), ip.span);
    let counts_up =
        ips.windows(2).all(|two| number(&two[0]).checked_add(1) == Some(number(&two[1])));
    match ips.first().filter(|_| counts_up) {
        Some(first) => text(first),
        None => list(ips.iter().map(text).collect(), place),
    }
}

fn interface(net: &Spanned<String>, known: Option<&Net>) -> Tree {
    let mut map = Map::at(net.span);
    match known.and_then(|n| n.bridge.as_ref()) {
        Some(bridge) => {
            map.text("network", bridge);
            map.text("bridged", "yes");
        }
        None => map.text("network", &net.value),
    }
    map.done()
}

/// Interfaces of the node with each number, where these differ.
fn by_number(vm: &Vm, shared: &[Tree], rows: &[Vec<Spanned<String>>], nets: &[Net]) -> Tree {
    let row = |own: &Vec<Spanned<String>>| {
        let more = own.iter().map(|net| interface(net, nets.iter().find(|n| n.name == net.value)));
        list(shared.iter().cloned().chain(more).collect(), vm.span)
    };
    let mut map = Map::at(vm.span);
    map.put("basic", list(rows.iter().map(row).collect(), vm.span));
    map.done()
}

fn disks(vm: &Vm) -> Tree {
    let (size, bus) = &vm.disk;
    let disk = |size: String, span: Span, bus: &str| {
        let mut disk = Map::at(span);
        disk.text("size", size);
        disk.text("bus", bus);
        disk.done()
    };
    let first = disk(format!("{}G", size.value), size.span, bus);
    let more = vm.extra.iter().flat_map(|(number, size, bus)| {
        (0..*number).map(|_| disk(size.value.clone(), size.span, bus))
    });
    list(std::iter::once(first).chain(more).collect(), size.span)
}
