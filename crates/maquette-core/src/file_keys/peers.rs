//! What other tools call that which keys here are for: cloud-init, Vagrant, containerlab, kcli, Terraform, libvirt.

/// Words, a key of the mapping that they are about, and what to write instead; if that is empty, the key.
pub(crate) type Row = (&'static [&'static str], &'static str, &'static str);

pub(crate) const ROWS: [Row; 44] = [
    (&["ram", "mem", "memory_mb", "memory_mib", "memorymb"], "memory", ""),
    (&["vcpu", "vcpus", "cpus", "numcpus", "num_cpus", "cores", "smp"], "cpu", ""),
    (&["replicas", "instances", "number", "num"], "count", ""),
    (
        &["hostname", "host_name", "vm_name", "domain_name"],
        "cpumodel",
        "`name` is what nodes are called, before their number",
    ),
    (
        &[
            "ip",
            "ip_address",
            "ipv4",
            "address",
            "addresses",
            "mgmt-ipv4",
            "mgmt_ipv4",
            "static_ip",
        ],
        "cpumodel",
        "an address belongs to an interface: `networks: [{network: NAME, ip: 10.9.0.20}]`",
    ),
    (
        &[
            "ports",
            "port",
            "forwarded_port",
            "forwarded_ports",
            "port_forward",
            "publish",
            "expose",
        ],
        "cpumodel",
        "`maquette forward NODE 8080:80` makes ports of a node reachable here",
    ),
    (
        &["nics", "nic", "nets", "network", "network_interfaces", "links"],
        "cpumodel",
        "`networks: [NAME, …]` lists the networks of a node type",
    ),
    (
        &[
            "runcmd",
            "run_cmd",
            "cmds",
            "cmd",
            "exec",
            "shell",
            "script",
            "scripts",
            "provision",
            "run",
            "bootcmd",
        ],
        "commands",
        "",
    ),
    (
        &["cloud_init", "cloud-init", "cloudinit", "cloud_config", "userdata", "user-data"],
        "user_data",
        "",
    ),
    (&["write_files", "copy", "binds"], "files", ""),
    (&["pkgs", "software"], "packages", ""),
    (
        &["box", "base_image", "backing_store", "os_image"],
        "import_url",
        "`import_url` is the image of a node type, `image` at the top of maquette.yaml that of all",
    ),
    (&["drives", "volumes", "storage", "disk_size", "disk_gb", "root_disk"], "disks", ""),
    (
        &["keys", "ssh_keys", "ssh_authorized_keys", "authorized_keys"],
        "cpumodel",
        "`maquette share FILE` lets further keys in",
    ),
    (
        &["uefi", "firmware", "efi", "bootmode"],
        "cpumodel",
        "`bootmode: uefi` at the top of maquette.yaml has nodes without an operating system start with UEFI",
    ),
    (
        &["private_network", "public_network", "mask", "netmask"],
        "cpumodel",
        "`networks` at the top of maquette.yaml describes networks, `networks: [NAME, …]` of a node type lists those that it is on",
    ),
    (
        &["user", "username", "login", "ssh_user", "ssh_username", "remote_user"],
        "cpumodel",
        "`username` at the top of maquette.yaml is the login user of all nodes, `ansible_user` that of a node type",
    ),
    (
        &["password", "passwd", "root_password", "rootpassword"],
        "cpumodel",
        "nodes are logged in to with keys; `--topology-password` gives the login user a password for consoles",
    ),
    (
        &["timezone", "time_zone", "tz"],
        "cpumodel",
        "`timezone` at the top of maquette.yaml is that of all nodes",
    ),
    (
        &["mac", "macs", "mac_address", "hwaddr"],
        "cpumodel",
        "a MAC address follows from its node's name, and stays; `maquette status --json` has it",
    ),
    (
        &["mac", "mac_address", "hwaddr"],
        "src_model",
        "a MAC address follows from its node's name, and stays; `maquette status --json` has it",
    ),
    (
        &["synced_folder", "synced_folders", "shared_folders", "sharedfolders", "mounts"],
        "cpumodel",
        "no directory is shared with nodes; `files` writes some at the first boot, `maquette cp` copies directories",
    ),
    (&["tags", "labels", "roles", "ansible_groups"], "groups", ""),
    (
        &["autostart", "auto_start", "onboot", "start_on_boot"],
        "cpumodel",
        "nodes start again with the hypervisor",
    ),
    (
        &["nested", "nested_virt", "nested_virtualization"],
        "cpumodel",
        "nodes can run virtual machines where the hypervisor's KVM lets them; `maquette host check` says whether it does",
    ),
    (
        &["arch", "architecture"],
        "cpumodel",
        "all nodes are x86_64; `cpumodel` names a model of CPU, `machine_type` one of machine",
    ),
    (
        &["type", "kind", "flavour", "instance_type"],
        "cpumodel",
        "a node type is described where it is named: `nodes: {web: {memory: 2048, cpu: 2}}`",
    ),
    (&["vms", "machines", "hosts", "servers", "domains", "roles"], "nodes", ""),
    (
        &["nets", "links", "bridges"],
        "nodes",
        "`networks` describes networks, `networks` of a node type lists those that it is on",
    ),
    (
        &["ram", "mem", "memory", "cpus", "vcpus", "cpu"],
        "net_subnet",
        "`memory` and `cpu` belong to a node type: `nodes: {NAME: {memory: 2048, cpu: 2}}`",
    ),
    (&["box", "base_image"], "image", ""),
    (
        &["defaults", "default", "common", "global", "globals"],
        "net_subnet",
        "each node type has its own keys: `nodes: {NAME: {memory: 2048}}`; for all nodes there are `image`, `username` and `timezone`",
    ),
    (
        &["domain", "dns_domain"],
        "net_subnet",
        "`domain` belongs to a network: `networks: {NAME: {domain: lab.example}}`",
    ),
    (ENVIRONMENT, "net_subnet", "did you mean `prefix`?"),
    (
        &["address", "host", "server", "uri", "connection"],
        "net_subnet",
        "the hypervisor is named so: `hypervisor: {address: hv.example.com}`",
    ),
    (
        &["cidr", "cidrs", "address", "addresses", "ip", "range", "network", "ipv4", "gateway"],
        "floating_ip",
        "`subnet: 10.9.0.0/24` says which addresses a network has; the hypervisor has the first",
    ),
    (&["address", "addresses", "ip_address", "ipaddr", "ipv4", "static_ip"], "ip", ""),
    (&["name", "net", "net_name", "network_name", "bridge", "source"], "network", ""),
    (
        &["bridge", "bridge_name", "parent"],
        "floating_ip",
        "`forward: bridge` with `nic: NIC` has the network on a NIC of the hypervisor's; a node is on a bridge that is there by `networks: [{network: br0, bridged: yes}]`",
    ),
    (
        &["vlan", "vlans", "vlan_id"],
        "floating_ip",
        "`portgroups` of a network on Open vSwitch have VLANs: `maquette init ovs-vlans` writes an example",
    ),
    (&["isolated"], "floating_ip", "`forward: none` isolates a network"),
    (&["mode", "type", "nat"], "forward", ""),
    (&["interface", "bus_type", "disk_bus"], "bus", ""),
    (&["capacity", "size_gb", "disk_size", "gb"], "size", ""),
];

/// What other tools call the name of an environment.
const ENVIRONMENT: &[&str] =
    &["name", "project", "env", "environment", "cluster_name", "namespace"];

/// Mappings with too many keys for a message, by a key that only they have, and the command that lists their keys.
const LISTED: [(&str, &str); 3] = [
    ("cpumodel", "`maquette explain nodes.NAME` lists its keys"),
    ("floating_ip", "`maquette explain networks.NAME` lists its keys"),
    ("net_subnet", "`maquette explain` lists its keys"),
];

/// The key that a word of another tool is for, in a mapping with these keys.
pub fn own_word(word: &str, known: &[&str]) -> Option<&'static str> {
    let word = word.to_lowercase();
    let fits = |(words, key, advice): &&Row| {
        words.contains(&word.as_str()) && known.contains(key) && advice.is_empty()
    };
    ROWS.iter().find(fits).map(|(_, key, _)| *key)
}

/// The same of whatever is said of that word.
pub(crate) fn meant(word: &str, known: &[&str]) -> Option<&'static str> {
    let word = word.to_lowercase();
    let fits = |(words, key, _): &&Row| words.contains(&word.as_str()) && known.contains(key);
    ROWS.iter().find(fits).map(|(_, key, _)| *key)
}

/// What to write instead of a word of another tool, in a mapping with these keys.
pub(crate) fn instead(word: &str, known: &[&str]) -> Option<String> {
    let word = word.to_lowercase();
    let fits = |(words, key, _): &&Row| words.contains(&word.as_str()) && known.contains(key);
    let (_, key, advice) = ROWS.iter().find(fits)?;
    Some(match *advice {
        "" => format!("did you mean `{key}`?"),
        advice => advice.into(),
    })
}

/// Where the keys of a mapping are listed that has too many for a message.
pub(crate) fn listed(known: &[&str]) -> Option<&'static str> {
    LISTED.iter().find(|(key, _)| known.contains(key)).map(|(_, how)| *how)
}
