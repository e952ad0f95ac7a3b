//! tenks' configuration: node types, how many nodes of each, and the physical networks that they are on.

use super::build::{Map, bare, list};
use super::idle::Idle;
use super::{Layout, concluded};
use crate::decode::{self, Fields};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::expr::Ansible;
use crate::file_keys::{Form, Key, key};
use crate::syntax::{Span, Spanned, Tree, Value};
use crate::topology::MOST_NODES;

const TYPES: &str = "node_types";
const SPECS: &str = "specs";
const MAPPINGS: &str = "physnet_mappings";
const BOOT_MODE: &str = "default_boot_mode";

const IRONIC: &str = "enrolling nodes in Ironic is for whoever deploys it";
const BMC: &str =
    "`--bmc` says which nodes have a BMC; its address and its account are Maquette's to choose";
const POOL: &str = "the storage pool is `--pool-name` in `--disk-pool`";
const SWITCHING: &str = "Maquette names bridges and taps itself";
const STATE: &str = "Maquette asks the hypervisor what is there";
const DOMAIN: &str = "Maquette writes domains itself; `--virtopts` changes them";

/// Variables of tenks that have no effect, and why.
const IDLE: &[(&str, &str)] = &[
    ("nova_flavors", IRONIC),
    ("deploy_kernel", IRONIC),
    ("deploy_ramdisk", IRONIC),
    ("wait_for_placement", IRONIC),
    ("default_ironic_driver", BMC),
    ("bmc_emulators", BMC),
    ("ipmi_address", BMC),
    ("ipmi_port_range_start", BMC),
    ("ipmi_port_range_end", BMC),
    ("ipmi_username", BMC),
    ("ipmi_password", BMC),
    ("redfish_address", BMC),
    ("redfish_username", BMC),
    ("redfish_password", BMC),
    ("bridge_type", SWITCHING),
    ("bridge_prefix", SWITCHING),
    ("veth_prefix", SWITCHING),
    ("state_file_path", STATE),
    ("libvirt_pool_name", POOL),
    ("libvirt_pool_path", POOL),
    ("libvirt_pool_type", POOL),
    ("libvirt_pool_capacity", POOL),
    ("libvirt_pool_mode", POOL),
    ("libvirt_pool_owner", POOL),
    ("libvirt_pool_group", POOL),
    ("libvirt_custom_socket_path", DOMAIN),
    ("libvirt_vm_engine", DOMAIN),
    ("libvirt_vm_emulator", DOMAIN),
    ("libvirt_vm_trust_guest_rx_filters", DOMAIN),
];

const fn idle(name: &'static str) -> Key {
    Key { read: false, ..key(name, Form::Anything, "") }
}

const NODE_TYPE: &[Key] = &[
    key("memory_mb", Form::Number(1, 1 << 32, "MiB"), "").needed(),
    key("vcpus", Form::Number(1, 4096, ""), "").needed(),
    key("volumes", Form::Anything, ""),
    key("physical_networks", Form::List(&Form::Text), ""),
    key("cpu_mode", Form::Text, ""),
    key("machine", Form::Text, ""),
    idle("ironic_driver"),
    idle("console_log_enabled"),
    idle("console_log_path"),
    idle("boot_firmware"),
    idle("enable_vnc"),
    idle("xml_file"),
];
const VOLUME: &[Key] = &[
    key("capacity", Form::Text, "").needed(),
    key("image", Form::Text, ""),
    idle("name"),
    idle("type"),
    idle("format"),
    idle("device"),
    idle("checksum"),
    idle("backing_image"),
    idle("target"),
    idle("dev"),
    idle("pool"),
];
const SPEC: &[Key] = &[
    key("type", Form::Text, "").needed(),
    key("count", Form::Number(0, MOST_NODES as u64, ""), "").needed(),
    key("node_name_prefix", Form::Text, ""),
    idle("vol_name_prefix"),
    key("ironic_config", Form::Anything, ""),
];

/// Whether variables are tenks'.
pub(super) fn is_one(variables: &Tree) -> bool {
    [TYPES, SPECS].iter().any(|name| variables.get(name).is_some())
}

/// Understands it. Unknown keys are warnings: the file is made for another program.
pub(super) fn read(variables: &Tree, diags: &mut Diagnostics) -> Option<Layout> {
    let mut found = Diagnostics::lenient();
    let mut reader = Reader {
        ansible: Ansible::new(variables, &[]),
        variables,
        idle: Idle::default(),
        modes: Vec::new(),
        diags: &mut found,
    };
    let layout = reader.layout();
    let Reader { ansible, idle, .. } = reader;
    concluded(layout, (ansible.asked().clone(), idle), found, diags)
}

/// A physical network: a bridge or NIC of the hypervisor, or a network of the nodes' own.
struct Physical {
    name: Spanned<String>,
    mapped: Option<Spanned<String>>,
}

impl Physical {
    /// tenks asks the hypervisor whether there is a bridge of that name; here its name has to say so.
    fn bridge(&self) -> Option<&str> {
        let is = |name: &&str| name.starts_with("br") || name.starts_with("virbr");
        self.mapped.as_ref().map(|m| m.value.as_str()).filter(is)
    }
}

struct Reader<'a> {
    ansible: Ansible<'a>,
    variables: &'a Tree,
    idle: Idle,
    /// The firmware that each spec with nodes says, if it does.
    modes: Vec<Option<Spanned<String>>>,
    diags: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn layout(&mut self) -> Option<Layout> {
        self.others();
        let span = self.variables.span;
        let (types, specs) = (self.needed(TYPES)?, self.needed(SPECS)?);
        let mappings = self.ansible.value(MAPPINGS, span, self.diags);
        Fields::open(&types, format!("`{TYPES}`"), self.diags)?;
        let mut physical: Vec<Physical> = Vec::new();
        let mut nodes = Map::at(specs.span);
        let items = decode::list(&specs, SPECS, self.diags);
        let mut names: Vec<String> = Vec::new();
        for item in items {
            if let Some((name, node)) =
                self.spec(item, &types, &names, &mut physical, mappings.as_ref())
            {
                nodes.put_at(&name, item.span, node);
                names.push(name);
            }
        }
        let mut networks = Map::at(types.span);
        for network in physical.iter().filter(|p| p.bridge().is_none()) {
            let mut map = Map::at(network.name.span);
            map.text("name", &network.name.value);
            map.text("forward", if network.mapped.is_some() { "bridge" } else { "none" });
            if let Some(nic) = &network.mapped {
                map.put("nic", bare(&nic.value, nic.span));
            }
            networks.put_at(&network.name.value, network.name.span, map.done());
        }
        let mut file = Map::at(types.span);
        file.put("networks", networks.done());
        Some(Layout {
            nodes: nodes.done(),
            network: file.done(),
            settings: vec![("bootmode", self.boot_mode(specs.span))],
            asked: Default::default(),
        })
    }

    /// The firmware of all nodes: what all specs agree on.
    fn boot_mode(&mut self, specs: Span) -> Spanned<String> {
        let mode = self.ansible.value(BOOT_MODE, self.variables.span, self.diags);
        let mode = mode.and_then(|node| decode::text(&node, BOOT_MODE, self.diags));
        let usual = mode.unwrap_or_else(|| Spanned::new("uefi".into(), specs));
        let modes = std::mem::take(&mut self.modes);
        let mut all = modes.iter().map(|mode| mode.as_ref().unwrap_or(&usual));
        let first = all.next().cloned();
        if let Some(first) = first.filter(|first| all.all(|mode| mode.value == first.value)) {
            return first;
        }
        for mode in modes.iter().flatten().filter(|mode| mode.value != usual.value) {
            let why = "nodes have one firmware, `--bootmode`, and specs ask for several";
            self.idle.note("boot_mode", why, mode.span);
        }
        usual
    }

    fn needed(&mut self, name: &str) -> Option<Tree> {
        let node = self.ansible.value(name, self.variables.span, self.diags);
        if node.is_none() {
            let message = format!("tenks' configuration has no `{name}`");
            let error = Diagnostic::error("layout::missing", message);
            self.diags.push(
                error
                    .at(self.variables.span, "")
                    .help("name the file that has it, too: `--layout FILE,FILE`"),
            );
        }
        node
    }

    /// Variables without effect, and those that nobody knows.
    fn others(&mut self) {
        let effective = [TYPES, SPECS, MAPPINGS, BOOT_MODE, "cmd"];
        let text = format!("{:?}", self.variables);
        for entry in self.variables.entries() {
            let name = entry.key.as_str();
            if let Some((_, why)) = IDLE.iter().find(|(known, _)| *known == name) {
                self.idle.note(name, why, entry.key_span);
            } else if name == "cmd" {
                self.command(&entry.value);
            } else if !effective.contains(&name) && text.matches(name).count() == 1 {
                let message = format!("tenks has no variable `{name}`");
                let known = effective.into_iter().chain(IDLE.iter().map(|(known, _)| *known));
                let warning = Diagnostic::warning("layout::unknown-variable", message);
                self.diags
                    .push(warning.at(entry.key_span, "it has no effect").suggest(name, known));
            }
        }
    }

    fn command(&mut self, node: &Tree) {
        if let Value::Scalar(text, _) = &node.value
            && text != "deploy"
        {
            let message = format!("`cmd: {text}` is not what a layout says here");
            let error = Diagnostic::error("layout::command", message).at(node.span, "");
            self.diags.push(error.help("`maquette down` removes what there is"));
        }
    }

    /// Some nodes of a type.
    fn spec(
        &mut self,
        item: &Tree,
        types: &Tree,
        names: &[String],
        physical: &mut Vec<Physical>,
        mappings: Option<&Tree>,
    ) -> Option<(String, Tree)> {
        let mut fields = Fields::new(item, "an item of `specs`", SPEC, self.diags)?;
        let kind = fields.text("type", self.diags);
        let count = fields.number("count", self.diags);
        let prefix = fields.text("node_name_prefix", self.diags);
        let ironic = fields.take("ironic_config");
        fields.finish(self.diags);
        if let Some(node) = item.get("vol_name_prefix") {
            self.idle.note("vol_name_prefix", "volumes are called by their nodes", node.span);
        }
        let (kind, count) = (kind?, count?);
        let mode = ironic.and_then(|node| self.ironic(node));
        self.modes.extend((count > 0).then_some(mode));
        let prefix = prefix.map_or("tk".to_string(), |p| p.value);
        let prefix = prefix.trim_end_matches('-').to_string();
        // Two specs of one prefix are two node types.
        let name = match names.contains(&prefix) {
            true => format!("{prefix}-{}", kind.value),
            false => prefix,
        };
        let Some(described) = types.get(&kind.value) else {
            let message = format!("there is no node type `{}`", kind.value);
            let known = types.entries().iter().map(|e| e.key.as_str());
            let error = Diagnostic::error("layout::unknown-type", message).at(kind.span, "");
            self.diags.push(error.suggest(&kind.value, known));
            return None;
        };
        let mut node = self.node(&kind, described, physical, mappings)?;
        node.put("name", bare(&name, item.span));
        node.put("count", bare(count.to_string(), item.span));
        node.put("groups", list(vec![bare(&kind.value, kind.span)], kind.span));
        Some((name, node.done()))
    }

    /// The firmware that a spec's capabilities say. All else is for Ironic.
    fn ironic(&mut self, config: &Tree) -> Option<Spanned<String>> {
        let node = config.at(&["properties", "capabilities"]);
        let text = node.and_then(|node| match &node.value {
            Value::Scalar(text, _) => Some((text, node.span)),
            _ => None,
        });
        let words = text.iter().flat_map(|(text, span)| {
            text.split(',').map(move |word| Spanned::new(word.trim().to_string(), *span))
        });
        let (modes, others): (Vec<_>, Vec<_>) =
            words.partition(|word| word.value.starts_with("boot_mode:"));
        let properties = config.get("properties").map_or(&[][..], Tree::entries);
        let is_more = !others.is_empty()
            || text.is_none()
            || config.entries().iter().any(|e| e.key != "properties")
            || properties.iter().any(|e| e.key != "capabilities");
        if is_more {
            self.idle.note("ironic_config", IRONIC, config.span);
        }
        let mode = modes.into_iter().next()?;
        let (_, word) = mode.value.split_once(':')?;
        Some(Spanned::new(word.trim().to_string(), mode.span))
    }

    fn node(
        &mut self,
        kind: &Spanned<String>,
        described: &Tree,
        physical: &mut Vec<Physical>,
        mappings: Option<&Tree>,
    ) -> Option<Map> {
        let what = format!("node type `{}`", kind.value);
        let mut fields = Fields::new(described, &what, NODE_TYPE, self.diags)?;
        let memory = fields.number("memory_mb", self.diags);
        let vcpus = fields.number("vcpus", self.diags);
        let volumes = fields.take("volumes");
        let networks = fields.take("physical_networks");
        let cpu_mode = fields.text("cpu_mode", self.diags);
        let machine = fields.text("machine", self.diags);
        fields.finish(self.diags);
        let idle = [
            ("ironic_driver", BMC),
            ("boot_firmware", "firmware is `default_boot_mode`, or `--bootmode`"),
            ("xml_file", DOMAIN),
            ("enable_vnc", "nodes have VNC on the hypervisor's own address"),
            ("console_log_enabled", "consoles are logged always: `maquette logs`"),
            ("console_log_path", "`maquette logs` shows what is logged"),
        ];
        for (name, why) in idle {
            if let Some(node) = described.get(name) {
                self.idle.note(name, why, node.span);
            }
        }
        let mut map = Map::at(described.span);
        map.text("memory", memory?.to_string());
        map.text("cpu", vcpus?.to_string());
        map.text("deploy_os", "no");
        for (name, value) in [("cpumodel", cpu_mode), ("machine_type", machine)] {
            if let Some(value) = value {
                map.put(name, bare(&value.value, value.span));
            }
        }
        let volumes = volumes.map_or(&[][..], |node| decode::list(node, "volumes", self.diags));
        let disks = volumes.iter().filter_map(|volume| self.disk(volume)).collect();
        map.put("disks", list(disks, described.span));
        let names =
            networks.map_or(Vec::new(), |n| super::vms::names(n, "physical_networks", self.diags));
        let interfaces = names.into_iter().map(|name| interface(name, physical, mappings));
        map.put("interfaces", list(interfaces.collect(), described.span));
        Some(map)
    }

    fn disk(&mut self, volume: &Tree) -> Option<Tree> {
        let mut fields = Fields::new(volume, "a volume", VOLUME, self.diags)?;
        let capacity = fields.text("capacity", self.diags);
        let image = fields.text("image", self.diags);
        fields.finish(self.diags);
        let others =
            volume.entries().iter().filter(|e| VOLUME.iter().any(|k| !k.read && k.name == e.key));
        for entry in others {
            self.idle.note(
                &entry.key,
                "volumes are qcow2, in the order of their list",
                entry.value.span,
            );
        }
        let capacity = capacity?;
        let mut map = Map::at(volume.span);
        map.put("size", bare(size(&capacity.value), capacity.span));
        if let Some(image) = image {
            map.put("import_url", bare(&image.value, image.span));
        }
        Some(map.done())
    }
}

/// libvirt's `GB` are 10^9 bytes, and ours are not.
fn size(capacity: &str) -> String {
    const DECIMAL: [(&str, u64); 4] =
        [("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000)];
    let found =
        DECIMAL.iter().find_map(|(unit, bytes)| Some((capacity.trim().strip_suffix(unit)?, bytes)));
    let bytes = found.and_then(|(number, unit)| {
        // Up to nine digits behind the point, none of which is lost.
        let (whole, part) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
        let rest = match part {
            "" => 0,
            digits if digits.len() <= 9 && digits.bytes().all(|c| c.is_ascii_digit()) => {
                let scale = 10_u64.pow(u32::try_from(digits.len()).ok()?);
                u128::from(digits.parse::<u64>().ok()?) * u128::from(*unit) / u128::from(scale)
            }
            _ => return None,
        };
        whole.parse::<u64>().ok()?.checked_mul(*unit)?.checked_add(u64::try_from(rest).ok()?)
    });
    bytes.map_or(capacity.to_string(), |bytes| bytes.to_string())
}

/// An interface on a physical network, which is noted where it is a new one.
fn interface(name: Spanned<String>, physical: &mut Vec<Physical>, mappings: Option<&Tree>) -> Tree {
    let span: Span = name.span;
    if !physical.iter().any(|p| p.name.value == name.value) {
        let mapped = mappings.and_then(|m| m.get(&name.value));
        let mapped = mapped.and_then(|node| match &node.value {
            Value::Scalar(text, _) => Some(Spanned::new(text.clone(), node.span)),
            _ => None,
        });
        physical.push(Physical { name: name.clone(), mapped });
    }
    let known = physical.iter().find(|p| p.name.value == name.value);
    let mut map = Map::at(span);
    match known.and_then(Physical::bridge) {
        Some(bridge) => {
            map.text("network", bridge);
            map.text("bridged", "yes");
        }
        None => map.text("network", &name.value),
    }
    map.done()
}
