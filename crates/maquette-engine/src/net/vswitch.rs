//! Open vSwitch on the hypervisor: its bridges and the hypervisor's own interfaces on them.

use maquette_core::blueprint::Vswitch;
use maquette_core::names::EnvName;
use maquette_core::values::Mtu;

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
    mtu: Option<Mtu>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dying_host::{Dying, Programs};

    /// Open vSwitch as far as this needs it: a file for each bridge, with whose it is.
    const VSCTL: &str = r#"PATH=/usr/bin:/bin
db=@DB@
while [ $# -gt 0 ]; do
    case $1 in
    add-br) bridge=$2; [ -e "$db/$2" ] || : >"$db/$2"; shift ;;
    external_ids:maquette=*) echo "${1#*=}" >"$db/$bridge" ;;
    get) [ -s "$db/$3" ] || exit 0; printf '"%s"\n' "$(cat "$db/$3")"; exit ;;
    del-br) rm -f "$db/$2"; exit ;;
    esac
    shift
done
"#;

    #[test]
    fn a_bridge_of_another_environment_is_not_removed() {
        let db = tempfile::tempdir().unwrap();
        let programs = Programs::new(&[]);
        programs.quiet("ovs-vsctl", &VSCTL.replace("@DB@", &db.path().display().to_string()));
        let host = Dying::new(&programs, None);
        let [lab, other] = ["lab", "other"].map(|name| EnvName::from_prefix(name).unwrap());
        let vswitch = Vswitch { userspace: false, ports: Vec::new(), portgroups: Vec::new() };
        make(&host, "br-lab", &vswitch, &lab, None).unwrap();
        make(&host, "br-other", &vswitch, &other, None).unwrap();
        std::fs::write(db.path().join("br-mine"), "").unwrap();
        let left = || {
            let all = std::fs::read_dir(db.path()).unwrap();
            let mut names: Vec<_> =
                all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        // What has no mark is somebody's who knows nothing of Maquette.
        for bridge in ["br-lab", "br-mine", "br-none"] {
            remove(&host, bridge, &other).unwrap();
        }
        remove(&host, "br-other", &EnvName::default()).unwrap();
        assert_eq!(left(), ["br-lab", "br-mine", "br-other"]);
        remove(&host, "br-other", &other).unwrap();
        assert_eq!(left(), ["br-lab", "br-mine"]);
    }
}
