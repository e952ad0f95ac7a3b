//! Nodes with a BMC in the files of those who enrol bare metal: TripleO, Ironic, bifrost and Metal³.
//!
//! None of them has certificates verified: that takes the file of their authority, which only whoever runs Ironic can bring
//! to where its conductor reads it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::blueprint::{Bmc, Node};
use crate::topology::BootMode;
use crate::units::MIB;
use crate::values::{NodeName, Secret};

/// A node with its BMC, and the account of that.
pub struct Machine<'a> {
    /// The node.
    pub node: &'a Node,
    /// Its BMC.
    pub bmc: &'a Bmc,
    /// Name of the account.
    pub user: &'a str,
    /// Password of the account.
    pub password: Secret,
}

impl Machine<'_> {
    fn password(&self) -> &str {
        self.password.reveal()
    }

    fn is_uefi(&self) -> bool {
        self.node.firmware == BootMode::Uefi
    }

    /// The path of its system in Redfish.
    fn system(&self) -> String {
        format!("/redfish/v1/Systems/{}", self.node.uuid)
    }

    fn macs(&self) -> impl Iterator<Item = String> {
        self.node.interfaces.iter().map(|interface| interface.mac.to_string())
    }

    /// The NICs that it boots from: the one that it is provisioned on, or all of them.
    fn boot_macs(&self) -> Vec<String> {
        match self.bmc.provisioning {
            Some(mac) => vec![mac.to_string()],
            None => self.macs().collect(),
        }
    }

    /// Ironic's ports. Where it is known which one boots from the network, others do not.
    fn ports(&self) -> Vec<Value> {
        let chosen = self.bmc.provisioning.map(|mac| mac.to_string());
        let port = |mac: String| match &chosen {
            Some(chosen) => json!({"address": mac, "pxe_enabled": mac == *chosen}),
            None => json!({"address": mac}),
        };
        self.macs().map(port).collect()
    }

    /// The size of its first disk, in GiB, rounded as InfraRed's files have it: of its virtual size, whatever it takes.
    fn disk_gib(&self) -> u64 {
        const GIB: u64 = 1024 * MIB;
        let size = self.node.disks.first().and_then(|disk| disk.size);
        size.map_or(0, |size| size.0.saturating_add(GIB / 2) / GIB)
    }

    fn capabilities(&self) -> &'static str {
        if self.is_uefi() { "boot_mode:uefi" } else { "boot_mode:bios" }
    }

    /// Ironic's driver for it: Redfish, where it speaks that.
    fn driver(&self) -> &'static str {
        if self.bmc.protocol.has_redfish() { "redfish" } else { "ipmi" }
    }

    /// What Ironic's driver wants to know.
    fn driver_info(&self) -> Value {
        match self.bmc.redfish_url() {
            Some(url) => json!({
                "redfish_address": url,
                "redfish_system_id": self.system(),
                "redfish_username": self.user,
                "redfish_password": self.password(),
                "redfish_verify_ca": false,
            }),
            None => json!({
                "ipmi_address": self.bmc.address.to_string(),
                "ipmi_port": self.bmc.ipmi_port.to_string(),
                "ipmi_username": self.user,
                "ipmi_password": self.password(),
            }),
        }
    }

    /// Metal³'s address of its BMC.
    fn metal3_address(&self, scheme: &str) -> String {
        match self.bmc.redfish_url() {
            Some(url) => {
                let at = url.trim_start_matches("https://");
                format!("{scheme}+https://{at}{}", self.system())
            }
            None => match self.bmc.ipmi() {
                Some(at) => format!("ipmi://{at}"),
                None => String::new(),
            },
        }
    }
}

fn text(value: &Value) -> String {
    format!("{value:#}\n")
}

/// `instackenv.json` of TripleO. Where a BMC speaks IPMI it is enrolled with that, which needs no certificate.
pub fn instackenv(machines: &[Machine<'_>]) -> String {
    let node = |m: &Machine<'_>| {
        // It knows no port that does not boot.
        let ports: Vec<Value> =
            m.boot_macs().into_iter().map(|mac| json!({"address": mac})).collect();
        let mut node = json!({
            "name": m.node.name.as_str(),
            "pm_user": m.user,
            "pm_password": m.password(),
            "ports": ports,
            "arch": ARCH,
            "cpu": m.node.vcpus.to_string(),
            "memory": m.node.memory_mib.to_string(),
            "disk": m.disk_gib().to_string(),
            "capabilities": m.capabilities(),
        });
        match m.bmc.ipmi() {
            Some(at) => {
                node["pm_type"] = "ipmi".into();
                node["pm_addr"] = at.ip().to_string().into();
                node["pm_port"] = at.port().to_string().into();
            }
            None => {
                node["pm_type"] = "redfish".into();
                node["pm_addr"] = m.bmc.redfish_url().into();
                node["pm_system_id"] = m.system().into();
                // Keys that begin with the driver's name are handed on to it.
                node["redfish_verify_ca"] = false.into();
            }
        }
        node
    };
    text(&json!({"nodes": machines.iter().map(node).collect::<Vec<_>>()}))
}

/// The architecture of all nodes, as Ironic calls it.
const ARCH: &str = "x86_64";

/// The class that flavors of bare metal ask for.
const RESOURCE_CLASS: &str = "baremetal";

/// What `openstack baremetal create` reads.
pub fn baremetal_yaml(machines: &[Machine<'_>]) -> String {
    let node = |m: &Machine<'_>| {
        json!({
            "name": m.node.name.as_str(),
            "driver": m.driver(),
            "resource_class": RESOURCE_CLASS,
            "driver_info": m.driver_info(),
            "properties": {
                "cpu_arch": ARCH,
                "cpus": m.node.vcpus.get(),
                "memory_mb": m.node.memory_mib,
                "local_gb": m.disk_gib(),
                "capabilities": m.capabilities(),
            },
            "ports": m.ports(),
        })
    };
    yaml(&json!({"nodes": machines.iter().map(node).collect::<Vec<_>>()}))
}

/// `baremetal.json` of bifrost.
pub fn bifrost(machines: &[Machine<'_>]) -> String {
    let node = |m: &Machine<'_>| {
        let nics: Vec<Value> = m.boot_macs().into_iter().map(|mac| json!({"mac": mac})).collect();
        let node = json!({
            "name": m.node.name.as_str(),
            "uuid": m.node.uuid.to_string(),
            "driver": m.driver(),
            "driver_info": m.driver_info(),
            "nics": nics,
            "properties": {
                "cpu_arch": ARCH,
                "cpus": m.node.vcpus.to_string(),
                "ram": m.node.memory_mib.to_string(),
                "disk_size": m.disk_gib().to_string(),
                "capabilities": m.capabilities(),
            },
        });
        (m.node.name.to_string(), node)
    };
    text(&Value::Object(machines.iter().map(node).collect::<Map<_, _>>()))
}

/// What Kubernetes takes for the names of nodes. Where two would have the same, the one that is not called so has a part of its
/// identifier in it.
fn kubernetes_names<'a>(
    nodes: impl Iterator<Item = &'a Node> + Clone,
) -> BTreeMap<&'a NodeName, String> {
    // A letter or a digit is at either end.
    let plain = |node: &Node| {
        let name = node.name.to_lowercase().replace('_', "-");
        name.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_string()
    };
    let own: BTreeSet<&str> = nodes.clone().map(|node| node.name.as_str()).collect();
    let mut names = BTreeMap::new();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for node in nodes {
        let (mut name, id) = (plain(node), node.uuid.simple().to_string());
        let mut digits = 6;
        while name != node.name.as_str()
            && (own.contains(name.as_str()) || taken.contains(&name))
            && digits <= id.len()
        {
            name = format!("{}-{}", plain(node), &id[..digits]);
            digits += 1;
        }
        taken.insert(name.clone());
        names.insert(&node.name, name);
    }
    names
}

/// `ironic_nodes.json` of Metal³'s development environment.
pub fn ironic_nodes(machines: &[Machine<'_>]) -> String {
    let names = kubernetes_names(machines.iter().map(|m| m.node));
    let node = |m: &Machine<'_>| {
        let boots = m.boot_macs();
        let port = |mac: String| json!({"address": mac, "pxe_enabled": boots.contains(&mac)});
        json!({
            // Its scripts make objects of Kubernetes of it.
            "name": names[&m.node.name],
            "driver": m.driver(),
            "resource_class": RESOURCE_CLASS,
            "driver_info": {
                "username": m.user,
                "password": m.password(),
                "address": m.metal3_address("redfish"),
                // Where it is missing, the development environment has certificates verified.
                "redfish_verify_ca": "False",
            },
            "ports": m.macs().map(port).collect::<Vec<_>>(),
            "properties": {"local_gb": m.disk_gib().to_string(), "cpu_arch": ARCH},
        })
    };
    text(&json!({"nodes": machines.iter().map(node).collect::<Vec<_>>()}))
}

/// Manifests of Metal³'s hosts, each after the secret with its account.
pub fn bare_metal_hosts(machines: &[Machine<'_>]) -> String {
    let mut out = String::new();
    let names = kubernetes_names(machines.iter().map(|m| m.node));
    for m in machines {
        let name = &names[&m.node.name];
        let secret = format!("{name}-bmc");
        let account = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret},
            "type": "Opaque",
            "stringData": {"username": m.user, "password": m.password()},
        });
        let host = json!({
            "apiVersion": "metal3.io/v1alpha1",
            "kind": "BareMetalHost",
            "metadata": {"name": name},
            "spec": {
                "online": true,
                "bootMode": if m.is_uefi() { "UEFI" } else { "legacy" },
                "bootMACAddress": m.boot_macs().first(),
                "bmc": {
                    "address": m.metal3_address("redfish-virtualmedia"),
                    "credentialsName": secret,
                    // Its controllers know the authority only where somebody has told them.
                    "disableCertificateVerification": true,
                },
            },
        });
        for document in [account, host] {
            out.push_str("---\n");
            out.push_str(&yaml(&document));
        }
    }
    out
}

/// A value in YAML's block style. Text is in double quotes, as JSON has it, which YAML reads alike.
fn yaml(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, indent: usize, out: &mut String) {
    let entry = |value: &Value, out: &mut String| match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            block(value, indent + 2, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            block(value, indent + 2, out);
        }
        scalar => out.push_str(&format!(" {scalar}\n")),
    };
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                out.push_str(&format!("{:indent$}{key}:", ""));
                entry(value, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                // The first line of an entry stands behind its dash.
                let mut inner = String::new();
                block(item, indent + 2, &mut inner);
                out.push_str(&format!("{:indent$}- {}", "", inner.trim_start()));
            }
        }
        scalar => out.push_str(&format!("{:indent$}{scalar}\n", "")),
    }
}
