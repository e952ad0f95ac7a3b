//! A stranger's topology: whatever stands in any of its places, it is refused with its place, or nothing
//! of it that means more than a word reaches what is built.

use maquette_core::diagnostic::Diagnostics;
use maquette_core::expand;
use maquette_core::syntax::Plain;
use maquette_core::topology as topo;
use maquette_testkit::input;

/// A node type with every key that takes text.
const NODES: &str = "
name: web
os: {type: linux, variant: rhel8}
prefix: web
cpu: 2
cpumodel: host-model
memory: 1024
swap: 512
deploy_os: yes
supports_libguestfs: yes
machine_type: q35
import_url: debian-12
provision_network: front
groups: [web, all_web]
image: {ssh_user: root, ansible_connection: ssh}
disks:
  disk1: {dev: /dev/vda, size: 20G, cache: unsafe, preallocation: metadata, bus: virtio}
  disk2: {import_url: debian-12, cache: none}
interfaces:
  - {network: front, model: virtio}
  - {network: switched, portgroup: one, model: e1000}
  - {network: lan, model: virtio}
external_network: {network: front}
";

/// Networks with every key that takes text.
const NETWORKS: &str = "
networks:
  net1:
    name: front
    forward: nat
    ip_address: 10.9.0.1
    netmask: 255.255.255.0
    domain: lab.example
    mtu: 1500
    dhcp: {range: {start: 10.9.0.2, end: 10.9.0.100}, subnet_cidr: 10.9.0.0/24, subnet_gateway: 10.9.0.1}
    floating_ip: {start: 10.9.0.101, end: 10.9.0.150}
    ipv6: {ip_address: '2620:52:0:13b8::1', prefix: 64, dhcp: {range: {start: '2620:52:0:13b8::2', end: '2620:52:0:13b8::ff'}}}
    dns: {forwarders: [192.0.2.53], srvs: [{name: ldap, protocol: tcp, domain: lab.example, port: 389, target: one.lab.example}]}
  net2:
    name: switched
    forward: bridge
    virtualport_type: openvswitch
    ipv4_address: 10.8.0.1/24
    portgroups: [{name: one, vlan_id: 10}, {name: all, trunk: yes, vlans: [{id: 10}, {id: 11, native: yes}]}]
    static: {subnet: 10.8.0.0/24, range: {start: 10.8.0.2, end: 10.8.0.9}, gateway: 10.8.0.1, nameserver: 10.8.0.1}
  net3:
    name: lan
    forward: bridge
    nic: eno2
    stp: no
nodes:
  default:
    interfaces: [{network: front}]
    external_network: {network: front}
l3appliance_config: {x: y}
";

/// What some reader of ours obeys: line-based files, terminals, templates, ssh's tokens, shells.
const HOSTILE: &[&str] = &[
    "EVIL\nMatch exec \"touch /tmp/x\"",
    "EVIL\r\n[all:vars]",
    "EVIL\u{0}x",
    "EVIL\u{1b}]52;c;eA==\u{7}",
    "EVIL{{ lookup('pipe', 'id') }}",
    "{% raw %}EVIL{{ lookup('pipe', 'id') }}{% endraw %}",
    "EVIL{% set x = 1 %}",
    "EVIL{# #}",
    "EVIL' ansible_connection=local x='",
    "EVIL\" -o ProxyCommand=id \"",
    "EVIL%h%%",
    "EVIL$(id)",
    "EVIL`id`",
    "EVIL;id",
    "EVIL id",
    "../../EVIL",
    "/../EVIL",
    "-oEVIL",
    "EVIL\u{202e}cod",
    "EVIL\u{2028}x",
    "",
    "EVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVIL\
     EVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVIL\
     EVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVIL",
    "4294967300",
    "18446744073709551615",
    "16E",
    "-1",
];

/// Every place in a tree where text stands: values, and keys.
fn places(tree: &Plain) -> Vec<(Vec<usize>, bool)> {
    fn walk(tree: &Plain, at: &mut Vec<usize>, out: &mut Vec<(Vec<usize>, bool)>) {
        match tree {
            Plain::Map(entries) => {
                for (i, (_, value)) in entries.iter().enumerate() {
                    at.push(i);
                    out.push((at.clone(), true));
                    walk(value, at, out);
                    at.pop();
                }
            }
            Plain::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    at.push(i);
                    walk(item, at, out);
                    at.pop();
                }
            }
            _ => out.push((at.clone(), false)),
        }
    }
    let mut out = Vec::new();
    walk(tree, &mut Vec::new(), &mut out);
    out
}

/// The same tree with another text in one place.
fn with(tree: &Plain, at: &[usize], key: bool, text: &str) -> Plain {
    let mut tree = tree.clone();
    let mut here = &mut tree;
    for (depth, i) in at.iter().enumerate() {
        let last = depth + 1 == at.len();
        here = match here {
            Plain::Map(entries) => {
                let name = entries.keys().nth(*i).expect("a place").clone();
                if last && key {
                    let value = entries.remove(&name).expect("a place");
                    entries.insert(text.into(), value);
                    return tree;
                }
                entries.get_mut(&name).expect("a place")
            }
            Plain::List(items) => &mut items[*i],
            _ => unreachable!("places lead through collections"),
        };
    }
    *here = Plain::text(text);
    tree
}

fn messages(diags: &Diagnostics) -> Vec<String> {
    diags.iter().map(|d| d.message.clone()).collect()
}

/// What is built of it, as text in which every control character shows as its escape.
fn built(nodes: &str, networks: &str) -> Result<String, Vec<String>> {
    let mut input = input(&[(&format!("web={nodes}"), 2)], networks, &[]);
    let observed = maquette_testkit::machine(&["eno1", "eno2"]);
    if input.diags.has_errors() {
        return Err(messages(&input.diags));
    }
    let mut diags = Diagnostics::default();
    let Some(topology) =
        topo::compile(&input.request, topo::Allocation::UNPREFIXED, &mut input.diags)
    else {
        return Err(messages(&input.diags));
    };
    topo::lint(&topology, &mut input.diags);
    if input.diags.has_errors() {
        return Err(messages(&input.diags));
    }
    let (blueprint, more) = maquette_testkit::expand(&topology, &observed);
    expand::conflicts(&topology, &blueprint, &observed, true, &mut diags);
    if more.has_errors() || diags.has_errors() {
        return Err(messages(&more).into_iter().chain(messages(&diags)).collect());
    }
    Ok(format!("{blueprint:?}"))
}

/// Whether something of a hostile text is in what was built, where it could mean something.
fn harm(text: &str, hostile: &str) -> Option<String> {
    // What `Debug` makes of it. Quotes are escaped, too, and then are those of the text.
    let escaped = format!("{hostile:?}");
    let escaped = escaped.trim_matches('"');
    if !hostile.contains("EVIL") {
        // A number where a word belongs is odd, and no more.
        return None;
    }
    let at = text.find(escaped)?;
    // The name of an image is the user's own words: one line, and never evaluated.
    let before = &text[..at];
    let image = before.ends_with("source: \"");
    let line = !hostile.chars().any(maquette_core::values::is_unprintable)
        && !maquette_core::values::has_template_marks(hostile);
    if image && line {
        return None;
    }
    Some(text[at.saturating_sub(60)..(at + 40).min(text.len())].to_string())
}

#[test]
fn nothing_that_a_topology_says_means_more_than_a_word() {
    let nodes = Plain::read(NODES).unwrap();
    let networks = Plain::read(NETWORKS).unwrap();
    let plain = built(&nodes.yaml(), &networks.yaml());
    assert!(plain.is_ok(), "the sample itself is refused: {plain:?}");
    let mut tried = 0;
    let mut through = Vec::new();
    for (file, tree) in [("nodes", &nodes), ("networks", &networks)] {
        for (at, key) in places(tree) {
            for hostile in HOSTILE {
                tried += 1;
                let changed = with(tree, &at, key, hostile).yaml();
                let result = match file {
                    "nodes" => built(&changed, &networks.yaml()),
                    _ => built(&nodes.yaml(), &changed),
                };
                if let Ok(text) = result
                    && let Some(where_) = harm(&text, hostile)
                {
                    through.push(format!("{file} {at:?} key={key} {hostile:?}: …{where_}…"));
                }
            }
        }
    }
    println!("{tried} hostile values");
    assert!(tried > 2000, "{tried}");
    assert!(through.is_empty(), "{} came through:\n{}", through.len(), through.join("\n"));
}
