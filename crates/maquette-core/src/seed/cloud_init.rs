//! NoCloud: `meta-data`, `user-data` and `network-config` version 2.
//!
//! <https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html>

use std::fmt::Write;

use super::first_boot;
use super::report::{BEGUN, SCRIPT as REPORT};
use super::user_data::UserData;
use crate::blueprint::{Guest, Interface, Ipv4Setup, Node};
use crate::syntax::quoted;
use crate::topology::FirstBoot;
use crate::units::MIB;
use crate::values::Secret;

/// Name of the virtio-serial port on which a guest reports its first boot.
pub const READY_PORT: &str = "org.maquette.ready";

/// Has units of its own report, in the guest.
const REPORT_BOOT: &str = include_str!("../../assets/seed/report-boot.sh");

/// Modules of the first stage that a node needs. Everything else that distributions list there or
/// in the two later stages starts Python for nothing; under emulation that is most of a first boot.
const MODULES: [&str; 6] =
    ["bootcmd", "growpart", "resizefs", "set-hostname", "users-groups", "ssh"];

/// The name of this instance of a node: made again on disks that were kept, it is another one, whose host key is
/// set up again.
pub(super) fn instance(node: &Node) -> String {
    let generation = node.guest.as_ref().and_then(|g| g.generation);
    let generation = generation.map(|g| format!("-{g:016x}")).unwrap_or_default();
    format!("{}{generation}", node.uuid)
}

pub(super) fn meta_data(node: &Node) -> String {
    format!("instance-id: {}\nlocal-hostname: {}\n", instance(node), host_name(&node.name))
}

/// The interface whose address only the guest knows: somebody on the LAN gives it.
pub(super) fn asks(node: &Node) -> Option<&Interface> {
    node.interfaces.iter().find(|i| i.ipv4.asks_dhcp() && node.access.address.is_none())
}

pub(super) fn user_data(
    node: &Node,
    guest: &Guest,
    host_key: &Secret,
    first_boot: Option<&FirstBoot>,
) -> String {
    let user_data = UserData::of(first_boot);
    let mut modules: Vec<&str> = MODULES.to_vec();
    let mut out = String::from("#cloud-config\n");
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("hostname: {}", host_name(&node.name)));
    line("disable_root: false".into());
    if !user_data.has("ssh_pwauth") {
        line("ssh_pwauth: false".into());
    }
    users(guest, &user_data).into_iter().for_each(&mut line);
    line("ssh_keys:".into());
    line("  ed25519_private: |".into());
    for key_line in host_key.reveal().lines() {
        line(format!("    {key_line}"));
    }
    line(format!("  ed25519_public: {}", quoted(&guest.host_key)));
    if let Some(zone) = &guest.timezone {
        modules.push("timezone");
        line(format!("timezone: {}", quoted(zone)));
    }
    if guest.swap_mib > 0 {
        modules.push("mounts");
        line("swap:".into());
        line("  filename: /swapfile".into());
        let bytes = guest.swap_mib.saturating_mul(MIB);
        line(format!("  size: {bytes}"));
        line(format!("  maxsize: {bytes}"));
    }
    line("bootcmd:".into());
    line(format!("  - {}", report(node)));
    user_data.items("bootcmd").for_each(|command| line(format!("  - {command}")));
    if first_boot.is_some_and(|first_boot| !first_boot.files.is_empty()) {
        // After users-groups, who may own them.
        modules.push("write-files");
    }
    let read = first_boot.map(|first_boot| first_boot::cloud_config(first_boot, &user_data));
    let (last, text) = read.unwrap_or_default();
    if user_data.is_empty() {
        line(format!("cloud_init_modules: [{}]", modules.join(", ")));
        line("cloud_config_modules: []".into());
        line(format!("cloud_final_modules: [{}]", last.join(", ")));
    }
    if !user_data.is_empty() && !user_data.has("locale") {
        // Not every image has the one that cloud-init would set.
        line("locale: false".into());
    }
    // What the user has for other modules is done by all those that the image lists.
    user_data.rest().for_each(line);
    out.push_str(&text);
    out
}

/// The accounts of a node: those that Maquette logs in to, and the user's own.
fn users(guest: &Guest, own: &UserData) -> Vec<String> {
    let keys: Vec<String> = guest.keys().map(|key| quoted(key)).collect();
    let keys = format!("    ssh_authorized_keys: [{}]", keys.join(", "));
    let locked = "    lock_passwd: true".to_string();
    let mut lines = vec!["users:".into(), "  - name: root".into(), locked.clone(), keys.clone()];
    if guest.user != "root" {
        lines.push(format!("  - name: {}", quoted(&guest.user)));
        lines.push(locked);
        lines.push("    shell: /bin/bash".into());
        lines.push("    sudo: \"ALL=(ALL) NOPASSWD:ALL\"".into());
        lines.push(keys);
    }
    lines.extend(own.items("users").map(|user| format!("  - {user}")));
    lines
}

/// What tells cloud-init that the volume is meant for it.
pub(super) fn template_meta_data() -> String {
    "instance-id: maquette-template\nlocal-hostname: template\n".into()
}

/// An image without the agent says so at once, in its way.
pub(super) fn template_user_data() -> String {
    format!(
        "#cloud-config\nbootcmd:\n  - [sh, -c, {}]\ncloud_init_modules: [bootcmd]\n\
         cloud_config_modules: []\ncloud_final_modules: []\n",
        quoted(&format!("echo {BEGUN} > /dev/virtio-ports/{READY_PORT}"))
    )
}

/// Has the guest report, on its first boot only, that cloud-init has begun, and when it is done with which result:
/// a node whose network could not be set up has no other way to say so.
///
/// A node that somebody on the LAN gives its address reports that, too: nobody else knows it.
fn report(node: &Node) -> String {
    let arguments = [REPORT_BOOT, "sh", REPORT, READY_PORT].into_iter();
    let arguments = arguments.chain(asks(node).map(|interface| interface.name.as_str()));
    let arguments: Vec<String> = arguments.map(|a| quoted(a.trim_end())).collect();
    format!("[sh, -c, {}]", arguments.join(", "))
}

/// Interfaces by MAC. The external one asks DHCP, as its lease carries route and name servers; the
/// others get their reserved address as it is, so that no second default route can appear.
pub(super) fn network_config(interfaces: &[Interface]) -> String {
    let mut out = String::from("version: 2\nethernets:\n");
    for interface in interfaces {
        let mut line = |indent: usize, text: &str| {
            let _ = writeln!(out, "{:indent$}{text}", "", indent = indent);
        };
        line(2, &format!("{}:", interface.name));
        line(4, &format!("match: {{macaddress: \"{}\"}}", interface.mac));
        line(4, &format!("set-name: {}", interface.name));
        line(4, &format!("dhcp4: {}", interface.ipv4.asks_dhcp()));
        line(4, "dhcp6: false");
        let (v4, gateway, nameserver) = match interface.ipv4 {
            Ipv4Setup::Static { address, gateway, nameserver } => {
                (Some(address.to_string()), gateway, nameserver)
            }
            Ipv4Setup::Dhcp { .. } | Ipv4Setup::Off => (None, None, None),
        };
        let v6 = interface.ipv6.map(|a| a.to_string());
        let addresses: Vec<String> = v4.into_iter().chain(v6).map(|a| quoted(&a)).collect();
        if !addresses.is_empty() {
            line(4, &format!("addresses: [{}]", addresses.join(", ")));
        }
        if let Some(gateway) = gateway {
            line(4, &format!("routes: [{{to: 0.0.0.0/0, via: {gateway}}}]"));
        }
        if let Some(server) = nameserver {
            line(4, &format!("nameservers: {{addresses: [{server}]}}"));
        }
        if !interface.default_route {
            line(4, "accept-ra: false");
            line(4, "optional: true");
        }
        if let Some(mtu) = interface.mtu {
            line(4, &format!("mtu: {mtu}"));
        }
    }
    out
}

/// A host name. One that begins with a digit might be a date or a number to YAML; others stay plain, since not
/// every guest that reads a NoCloud seed has a YAML parser.
fn host_name(name: &str) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { quoted(name) } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_that_looks_like_a_date_is_a_text() {
        assert_eq!(host_name("2024-01-10"), "\"2024-01-10\"");
        assert_eq!(host_name("lab-web-0"), "lab-web-0");
    }
}
