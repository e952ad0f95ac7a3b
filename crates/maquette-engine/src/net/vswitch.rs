//! Open vSwitch on the hypervisor: its bridges and the hypervisor's own interfaces on them.

use maquette_core::blueprint::Vswitch;
use maquette_core::names::EnvName;

use crate::host::{Command, Host, HostError, check};

const REMOVE: &str = include_str!("../../assets/net/remove-vswitch.sh");
/// Says whose a bridge is, in Open vSwitch's own database.
const MARK: &str = "maquette";

/// Makes a bridge with the hypervisor's interfaces, in one transaction. Whatever is there already is
/// made as it shall be. Addresses are given by libvirt's hook, since Open vSwitch keeps none.
pub fn make(
    host: &dyn Host,
    bridge: &str,
    vswitch: &Vswitch,
    environment: &EnvName,
    mtu: Option<u32>,
) -> Result<(), HostError> {
    let mut words: Vec<String> = Vec::new();
    let mut say = |text: &[&str]| words.extend(text.iter().map(|w| (*w).to_string()));
    say(&["--timeout=30", "--may-exist", "add-br", bridge]);
    let mark = format!("external_ids:{MARK}={environment}");
    let datapath = if vswitch.userspace { "netdev" } else { "system" };
    say(&["--", "set", "bridge", bridge, &mark, &format!("datapath_type={datapath}")]);
    for port in &vswitch.ports {
        if let Some(tag) = port.tag {
            say(&["--", "--may-exist", "add-port", bridge, &port.name, &format!("tag={tag}")]);
            say(&["--", "set", "interface", &port.name, "type=internal"]);
        }
        if let Some(mtu) = mtu {
            say(&["--", "set", "interface", &port.name, &format!("mtu_request={mtu}")]);
        }
    }
    check(host, &Command::new("ovs-vsctl").args(words)).map(|_| ())
}

/// Removes a bridge, if it is this environment's.
pub fn remove(host: &dyn Host, bridge: &str, environment: &EnvName) -> Result<(), HostError> {
    let environment = environment.to_string();
    check(host, &Command::script(REMOVE, [bridge, MARK, &environment])).map(|_| ())
}
