//! What is asked for, or what there is, as files of our own: a project file, and a network file beside it.

mod interfaces;
mod networks;

use std::collections::BTreeMap;

use interfaces::Names;

use crate::blueprint;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::hardware::{BmcChoice, BmcProtocol, BootMode, CacheMode};
use crate::names::EnvName;
use crate::observed::Observed;
use crate::scrub::is_secret_name;
use crate::settings::{SETTINGS, Setting, SettingKind, Settings};
use crate::syntax::{Entry, Plain, Span, Style, Tree, Value};
use crate::topology::{Bootp, NETWORK_FILE, Request, named_extras, playbooks};

/// Files, as trees.
#[derive(Debug)]
pub struct Files {
    /// The project file.
    pub project: Tree,
    /// The network file with its name, if one is made.
    pub network: Option<(String, Tree)>,
}

/// A mapping that grows.
struct Map(Vec<Entry>, Span);

impl Map {
    fn put(&mut self, key: &str, value: Tree) {
        self.0.push(Entry { key: key.into(), key_span: self.1, value });
    }

    fn text(&mut self, key: &str, text: impl ToString) {
        let value = Value::Scalar(text.to_string(), Style::Bare);
        self.put(key, Tree { value, span: self.1 });
    }

    /// Puts a value at a key, which may be one of a mapping below: `hypervisor.address`.
    fn put_at(&mut self, path: &str, value: Tree) {
        let Some((first, rest)) = path.split_once('.') else { return self.put(path, value) };
        if !self.0.iter().any(|entry| entry.key == first) {
            self.put(first, Tree::empty_map(self.1));
        }
        let found = self.0.iter_mut().find(|entry| entry.key == first);
        if let Some(Value::Map(entries)) = found.map(|entry| &mut entry.value.value) {
            entries.push(Entry { key: rest.into(), key_span: self.1, value });
        }
    }

    fn node(self) -> Tree {
        Tree { value: Value::Map(self.0), span: self.1 }
    }
}

fn list(items: Vec<Tree>, span: Span) -> Tree {
    Tree { value: Value::List(items), span }
}

/// What was asked for, whatever it was read from. `given` are the settings that somebody gave, by their names, as they were
/// written. What cannot be told in these files is said.
pub fn of_request(
    request: &Request,
    given: &BTreeMap<&'static str, Plain>,
    diags: &mut Diagnostics,
) -> Files {
    let span = request.network.span;
    let mut project = Map(Vec::new(), span);
    of_settings(&request.settings, given, &mut project, diags);
    let mut nodes = Map(Vec::new(), span);
    for node in &request.nodes {
        let mut map = Map(Vec::new(), span);
        map.text("count", node.count);
        map.0.extend(node.tree.entries().iter().filter(|e| e.key != "count").cloned());
        nodes.put(&node.file, map.node());
    }
    let file = !request.network.is_empty();
    if file {
        project.text("network", &request.network_name);
    }
    project.put("nodes", nodes.node());
    if let Some(networks) = &request.networks {
        project.put("networks", networks.clone());
    }
    if let Some(overrides) = request.extra.get("override").filter(|o| !o.is_empty()) {
        project.put("overrides", overrides.clone());
    }
    let mut network = request.network.clone();
    keep_extras(request, &mut network, diags);
    let network = file.then(|| (request.network_name.clone(), network));
    Files { project: project.node(), network }
}

/// Extra variables that expressions name become keys of the network file, which expressions see, too.
fn keep_extras(request: &Request, network: &mut Tree, diags: &mut Diagnostics) {
    let is_file = !network.is_empty();
    for entry in named_extras(request) {
        let is_row = NETWORK_FILE.iter().any(|row| row.name == entry.key);
        match &mut network.value {
            Value::Map(entries) if is_file && !is_row && !is_secret_name(&entry.key) => {
                entries.retain(|known| known.key != entry.key);
                entries.insert(0, entry.clone());
            }
            _ => {
                let what = format!("expressions name the extra variable `{}`", entry.key);
                lost(format!("{what}, and it is left out: give it with `-e`"), diags);
            }
        }
    }
    for name in playbooks(request) {
        lost(format!("the playbook of `{name}` is left out: give it with `-e`"), diags);
    }
}

/// Settings that these files are, or that are about one run.
pub const NOT_KEPT: [&str; 8] = [
    "topology-nodes",
    "topology-network",
    "layout",
    "networks",
    "extra-vars",
    "checksum",
    "topology-extend",
    "force-image-download",
];

/// What stands for a secret among settings.
pub const HIDDEN: &str = "******";

/// Settings that are not the defaults.
fn of_settings(
    settings: &Settings,
    given: &BTreeMap<&'static str, Plain>,
    project: &mut Map,
    diags: &mut Diagnostics,
) {
    let usual = Settings::default();
    for row in SETTINGS.iter().filter(|row| !NOT_KEPT.contains(&row.name)) {
        // A layout says some of these, and what an image is has been worked out.
        let own = match row.name {
            "image-url" => settings.image.clone(),
            "topology-username" => {
                (settings.username != usual.username).then(|| settings.username.to_string())
            }
            "bootmode" => (settings.boot_mode == BootMode::Uefi).then(|| "uefi".to_string()),
            "bmc" => settings.bmc.map(|bmc| bmc.as_str().to_string()),
            "bmc-network" => settings.bmc_network.as_ref().map(ToString::to_string),
            _ => None,
        };
        let value = own.map(Plain::Text).or_else(|| given.get(row.name).cloned());
        let Some(value) = value.filter(|value| !is_usual(row, value)) else { continue };
        if row.kind == SettingKind::Secret && value == Plain::text(HIDDEN) {
            let what = format!("`--{}` is a secret", row.name);
            lost(format!("{what}, and is left out: give it as a flag, as `@FILE`"), diags);
            continue;
        }
        let span = project.1;
        let tree = match value {
            // As it was written, whatever the key takes.
            Plain::Text(text) => Tree { value: Value::Scalar(text, Style::Bare), span },
            other => other.located(span),
        };
        match row.key {
            Some(key) => project.put_at(key, tree),
            None => {
                let what = format!("`--{}` has no key in maquette.yaml", row.name);
                lost(format!("{what}, and is left out: give it as a flag"), diags);
            }
        }
    }
}

/// Whether a value is what holds without it.
fn is_usual(row: &Setting, value: &Plain) -> bool {
    let text = match value {
        Plain::Text(text) => text.as_str(),
        Plain::Bool(true) => "yes",
        Plain::Bool(false) => "no",
        _ => return false,
    };
    text.is_empty() || row.default == Some(text)
}

/// What there is, as it was asked for last: node types of the nodes, and networks. `span` stands for all of it.
pub fn of_environment(
    environment: &EnvName,
    observed: &Observed,
    span: Span,
    diags: &mut Diagnostics,
) -> Files {
    let names = Names { environment, observed };
    let mut types: Vec<(&str, Vec<&blueprint::Node>)> = Vec::new();
    for node in observed.domains.values().map(|d| &d.recorded) {
        match types.iter_mut().find(|(name, _)| *name == node.role) {
            Some((_, nodes)) => nodes.push(node),
            None => types.push((&node.role, vec![node])),
        }
    }
    let mut nodes = Map(Vec::new(), span);
    for (name, all) in &mut types {
        all.sort_by_key(|node| node.index);
        if let Some(map) = node_type(name, all, &names, span, diags) {
            nodes.put(name, map);
        }
    }
    let mut networks = Map(Vec::new(), span);
    let described =
        observed.networks.values().map(|n| &n.recorded).filter(|n| !n.tuning.link_local);
    for network in described {
        let name = names.bare(&network.name);
        networks.put(&name, of_network(network, (environment, &name), span, diags));
    }
    let mut project = Map(Vec::new(), span);
    let guest = types.iter().flat_map(|(_, all)| all).find_map(|node| node.guest.as_ref());
    if let Some(guest) = guest {
        project.text("username", &guest.user);
    }
    let all = || types.iter().flat_map(|(_, all)| all.iter().copied());
    if all().any(|node| node.firmware == BootMode::Uefi) {
        project.text("bootmode", "uefi");
    }
    if let Some(zone) = guest.and_then(|guest| guest.timezone.as_ref()) {
        project.text("timezone", zone);
    }
    let bmcs = all().filter_map(|node| node.bmc.as_ref());
    if let Some(own) = bmcs.into_iter().find(|bmc| bmc.own_address) {
        project.text("bmc_network", names.bare(&own.network));
    }
    put_mtus(observed, &mut project);
    interfaces::pulled(observed, diags);
    project.text("network", NETWORK);
    project.put("nodes", nodes.node());
    let mut file = Map(Vec::new(), span);
    file.put("networks", networks.node());
    Files { project: project.node(), network: Some((NETWORK.into(), file.node())) }
}

/// Puts the MTUs of links, which have no file and get that of the setting, and of the hypervisor's NICs in bridges.
fn put_mtus(observed: &Observed, project: &mut Map) {
    let mut links = observed.networks.values().filter(|n| n.recorded.tuning.link_local);
    if let Some(mtu) = links.find_map(|network| network.recorded.mtu) {
        project.text("mtu", mtu);
    }
    let mut uplinks = observed.networks.values().filter_map(|n| n.recorded.carrier.uplink());
    if let Some(mtu) = uplinks.find_map(|uplink| uplink.mtu) {
        let value = Value::Scalar(mtu.to_string(), Style::Bare);
        project.put_at("hypervisor.mtu", Tree { value, span: project.1 });
    }
}

/// What the network file of an environment is called.
const NETWORK: &str = "environment";

/// What cannot be told of what is there.
fn lost(what: String, diags: &mut Diagnostics) {
    diags.push(Diagnostic::warning("convert::lost", what));
}

fn node_type(
    name: &str,
    all: &[&blueprint::Node],
    names: &Names<'_>,
    span: Span,
    diags: &mut Diagnostics,
) -> Option<Tree> {
    let first = *all.first()?;
    differences(name, first, all, diags);
    let mut map = Map(Vec::new(), span);
    map.text("count", all.len());
    map.text("name", name);
    map.text("cpu", first.vcpus);
    map.text("memory", first.memory_mib);
    if let Some(most) = first.memory_max_mib {
        map.text("memory_max", most);
    }
    if first.cpu_model.as_str() != "host-passthrough" {
        map.text("cpumodel", &first.cpu_model);
    }
    if first.machine.as_str() != "pc" {
        map.text("machine_type", &first.machine);
    }
    if !first.deploy_os {
        map.text("deploy_os", "no");
    }
    let bmc = first.bmc.as_ref().map(|bmc| bmc.protocol);
    if bmc != usual_bmc(first) {
        map.text("bmc", bmc.map_or(BmcChoice::Off, BmcChoice::On).as_str());
    }
    if let Some(guest) = first.guest.as_ref().filter(|guest| guest.swap_mib > 0) {
        map.text("swap", guest.swap_mib);
    }
    if let Some(image) = first.disks.first().and_then(|disk| disk.backing.as_ref()) {
        map.text("import_url", &image.source);
    }
    if !first.boot.is_empty() {
        let boot = first.boot.iter().map(|device| Tree::scalar(device.to_string(), span));
        map.put("boot", list(boot.collect(), span));
    }
    let disks = first.disks.iter().enumerate().map(|(number, own)| disk(own, number, span));
    map.put("disks", list(disks.collect(), span));
    map.put("interfaces", interfaces::of_nodes(all, names, span, diags));
    if let Some(routed) = first.interfaces.iter().find(|i| i.default_route) {
        map.text("external_network", names.bare(&routed.network));
    }
    let groups = first.groups.iter().map(|group| Tree::scalar(group.to_string(), span));
    map.put("groups", list(groups.collect(), span));
    Some(map.node())
}

/// What the BMC of a node speaks where nobody says anything of that.
fn usual_bmc(node: &blueprint::Node) -> Option<BmcProtocol> {
    (!node.deploy_os).then_some(BmcProtocol::Both)
}

fn disk(disk: &blueprint::Disk, number: usize, span: Span) -> Tree {
    const GIB: u64 = 1 << 30;
    let mut map = Map(Vec::new(), span);
    match disk.size {
        Some(size) if size.0.is_multiple_of(GIB) => map.text("size", format!("{}G", size.0 / GIB)),
        Some(size) => map.text("size", size.0),
        None => {}
    }
    map.text("bus", disk.bus.as_str());
    if disk.cache != CacheMode::default() {
        map.text("cache", disk.cache.as_str());
    }
    // That of the first one is the node type's.
    if let Some(image) = disk.backing.as_ref().filter(|_| number > 0) {
        map.text("import_url", &image.source);
    }
    let serial = disk.serial.as_ref().map(ToString::to_string);
    if let Some(serial) = serial.filter(|serial| *serial != format!("disk{}", number + 1)) {
        map.text("serial", serial);
    }
    if let Some(own) = &disk.pool {
        map.text("path", &own.pool.path);
    }
    map.node()
}

/// What a node type does not tell of its nodes.
fn differences(
    name: &str,
    first: &blueprint::Node,
    all: &[&blueprint::Node],
    diags: &mut Diagnostics,
) {
    let alike = |node: &&&blueprint::Node| {
        let sizes = |n: &blueprint::Node| n.disks.iter().map(|d| d.size).collect::<Vec<_>>();
        (node.vcpus, node.memory_mib, sizes(node)) == (first.vcpus, first.memory_mib, sizes(first))
    };
    if let Some(other) = all.iter().find(|node| !alike(node)) {
        lost(
            format!(
                "`{}` is not like `{}`, which node type `{name}` is made of",
                other.name, first.name
            ),
            diags,
        );
    }
    let without_key = [
        ("options of `--virtopts`", !first.virtopts.is_empty()),
        ("the VNC server's address and password", first.vnc.external),
        ("`--serial-files`", first.serial_file),
        ("`ansible_connection`", first.access.connection.as_str() != "ssh"),
    ];
    for (what, _) in without_key.iter().filter(|(_, is)| *is) {
        lost(format!("{what} of node type `{name}` are left out"), diags);
    }
    if all.iter().zip(0u32..).any(|(node, number)| node.index != number) {
        lost(format!("the nodes of type `{name}` are numbered again, from 0 without gaps"), diags);
    }
    if first.guest.as_ref().is_some_and(|guest| guest.first_boot.is_some()) {
        lost(
            format!(
                "what first boots of `{name}` did besides (`packages`, `files`, `commands`, `user_data`) is not known"
            ),
            diags,
        );
    }
}

fn of_network(
    network: &blueprint::Network,
    (environment, name): (&EnvName, &str),
    span: Span,
    diags: &mut Diagnostics,
) -> Tree {
    let mut map = Map(Vec::new(), span);
    map.text("name", name);
    map.text("forward", network.carrier.forward().mode().unwrap_or("none"));
    if let Some(vswitch) = network.carrier.vswitch() {
        networks::put_vswitch(vswitch, environment, &mut map, span);
    }
    networks::put_groups(&network.groups, &mut map, span);
    if let Some(uplink) = network.carrier.uplink() {
        of_uplink(uplink, &mut map);
    }
    if let Some((_, own)) = network.carrier.direct() {
        of_direct(own, &mut map);
    }
    of_tuning(name, network, diags);
    let range = |start: String, end: String| {
        let mut dhcp = Map(Vec::new(), span);
        dhcp.put("range", ends(start, end, span));
        dhcp.node()
    };
    if let Some(ipv4) = network.ipv4.filter(|_| network.carrier.is_served()) {
        map.text("subnet", ipv4.trunc());
        map.text("ip_address", ipv4.addr());
        if let Some(dhcp) = &network.dhcp4 {
            map.put("dhcp", range(dhcp.start.to_string(), dhcp.end.to_string()));
        }
    }
    if let Some(ipv6) = network.ipv6.filter(|_| network.carrier.is_served()) {
        let mut address = Map(Vec::new(), span);
        address.text("ip_address", ipv6.addr());
        address.text("prefix", ipv6.prefix_len());
        if let Some(dhcp) = &network.dhcp6 {
            address.put("dhcp", range(dhcp.start.to_string(), dhcp.end.to_string()));
        }
        map.put("ipv6", address.node());
    }
    put_fixed(name, network, &mut map, diags);
    network.tftp_root.iter().for_each(|root| map.text("tftp_root", root));
    network.bootp.iter().for_each(|bootp| map.put("bootp", of_bootp(bootp, span)));
    if let Some(mtu) = network.mtu {
        map.text("mtu", mtu);
    }
    if let Some(domain) = &network.domain {
        map.text("domain", domain);
    }
    if !network.autostart {
        map.text("autostart", "no");
    }
    if let Some(dns) = networks::dns(network, span) {
        map.put("dns", dns);
    }
    map.node()
}

/// Puts the addresses that nodes are given of a network, where files of networks have them.
fn put_fixed(name: &str, network: &blueprint::Network, map: &mut Map, diags: &mut Diagnostics) {
    let span = map.1;
    match &network.fixed {
        Some(fixed) if fixed.range.is_some() => map.put("static", of_fixed(fixed, span)),
        Some(_) => lost(
            format!(
                "addresses of nodes on network `{name}` are left out: a BGP network file has them"
            ),
            diags,
        ),
        None => {}
    }
}

fn ends(start: String, end: String, span: Span) -> Tree {
    let mut range = Map(Vec::new(), span);
    range.text("start", start);
    range.text("end", end);
    range.node()
}

/// What bridges do that no key of a network says.
fn of_tuning(name: &str, network: &blueprint::Network, diags: &mut Diagnostics) {
    if network.stp {
        let what = format!("the spanning tree protocol of network `{name}` is left out");
        lost(format!("{what}: only a BGP network file has it"), diags);
    }
    if network.tuning.querier {
        let what = format!("`--host-network-multicast-querier` of network `{name}` has no key");
        lost(format!("{what} in maquette.yaml, and is left out: give it as a flag"), diags);
    }
    let routes = network.tuning.routes.iter().map(|route| route.net.to_string());
    let routes: Vec<String> = routes.collect();
    if !routes.is_empty() {
        let what = format!("that {} are forwarded through network `{name}`", routes.join(", "));
        lost(format!("{what} is left out: `cidrs` of a BGP network file says so"), diags);
    }
}

fn of_uplink(uplink: &blueprint::Uplink, map: &mut Map) {
    if !uplink.chosen {
        map.text("nic", &uplink.nic);
    }
    if let Some(address) = uplink.address {
        map.text("ip_address", address);
    }
    for (key, is, usual) in [("stp", uplink.stp, false), ("dhcp_guard", uplink.guard, true)] {
        if is != usual {
            map.text(key, if is { "yes" } else { "no" });
        }
    }
}

fn of_direct(own: &blueprint::DirectNics, map: &mut Map) {
    let span = map.1;
    match own.nics.as_slice() {
        _ if own.chosen => {}
        [nic] => map.text("nic", nic),
        nics => {
            let names = nics.iter().map(|nic| Tree::scalar(nic.as_str(), span));
            map.put("nic", list(names.collect(), span));
        }
    }
}

fn of_bootp(bootp: &Bootp, span: Span) -> Tree {
    let mut own = Map(Vec::new(), span);
    let files = [("file", &bootp.file), ("uefi", &bootp.uefi), ("ipxe", &bootp.ipxe)];
    for (key, file) in files {
        file.iter().for_each(|file| own.text(key, file));
    }
    bootp.server.iter().for_each(|server| own.text("server", server));
    bootp.http.iter().for_each(|url| own.text("http", url));
    own.node()
}

fn of_fixed(fixed: &blueprint::Fixed, span: Span) -> Tree {
    let mut own = Map(Vec::new(), span);
    own.text("subnet", fixed.net.trunc());
    if let Some(range) = &fixed.range {
        own.put("range", ends(range.start.to_string(), range.end.to_string(), span));
    }
    for (key, address) in [("gateway", fixed.gateway), ("nameserver", fixed.nameserver)] {
        if let Some(address) = address {
            own.text(key, address);
        }
    }
    own.node()
}
