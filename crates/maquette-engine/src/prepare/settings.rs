//! Settings of a hypervisor that preparation changes and restoring puts back. Each is one script
//! that can be run twice.

use sha2::{Digest, Sha256};

use crate::host::{Command, Host, HostError, check};
use crate::probe::{Facts, KVM};

/// Drop-in with the SSH server's limits.
pub const SSH_LIMITS: &str = "/etc/ssh/sshd_config.d/10-maquette.conf";
/// Options of the KVM module.
pub const NESTED: &str = "/etc/modprobe.d/maquette-kvm.conf";
/// Router advertisements.
pub const ROUTER_ADVERTS: &str = "/etc/sysctl.d/90-maquette-ipv6.conf";

/// Inotify instances.
pub const INOTIFY: &str = "/etc/sysctl.d/90-maquette-inotify.conf";

/// libvirt's hook for networks.
pub const NETWORK_HOOK: &str = "/etc/libvirt/hooks/network.d/maquette";
/// Its text.
pub const NETWORK_HOOK_TEXT: &str = include_str!("../../assets/network-hook.sh");

/// Sessions in one connection, and connections that have not logged in yet, of a prepared
/// hypervisor. Ansible opens one connection for each node it works on at once.
pub const SESSIONS: u32 = 100;

/// Reloads the SSH server; connections that exist are not touched.
const RELOAD: &str = r#"reload() {
    if [ -d /run/systemd/system ]; then
        systemctl reload ssh 2>/dev/null || systemctl reload sshd
    elif [ -s /run/sshd.pid ]; then
        kill -HUP "$(cat /run/sshd.pid)"
    fi
}
"#;

/// Raises the SSH server's limits: a drop-in, tested before the server reads it.
pub fn raise_ssh_limits(host: &dyn Host) -> Result<(), HostError> {
    const SCRIPT: &str = r#"umask 022
printf '# Written by Maquette; removed by `maquette host restore`.\nMaxSessions %s\nMaxStartups %s:30:%s\n' \
    "$2" "$2" "$2" > "$1.new"
sync -- "$1.new"
mv -f -- "$1.new" "$1"
sync -- "$(dirname -- "$1")"
if ! sshd -t; then rm -f -- "$1"; exit 1; fi
eval "$3"; reload"#;
    let sessions = SESSIONS.to_string();
    check(host, &Command::script(SCRIPT, [SSH_LIMITS, &sessions, RELOAD])).map(|_| ())
}

/// Puts the SSH server's limits back.
pub fn restore_ssh_limits(host: &dyn Host) -> Result<(), HostError> {
    const SCRIPT: &str = "rm -f -- \"$1\" \"$1.new\"; sshd -t; eval \"$2\"; reload";
    check(host, &Command::script(SCRIPT, [SSH_LIMITS, RELOAD])).map(|_| ())
}

/// Switches nested virtualisation on; says whether it is on now, or will be after a restart.
/// A module in use is left alone.
pub fn enable_nested(host: &dyn Host, module: &str) -> Result<bool, HostError> {
    const SCRIPT: &str = r#"umask 022
printf '# Written by Maquette; removed by `maquette host restore`.\noptions %s nested=1\n' "$2" > "$1"
if [ "$(cat "/sys/module/$2/refcnt")" = 0 ]; then modprobe -r "$2" && modprobe "$2"; fi
cat "/sys/module/$2/parameters/nested""#;
    let said = check(host, &Command::script(SCRIPT, [NESTED, module]))?;
    Ok(said.trim().starts_with(['Y', 'y', '1']))
}

/// Forgets the option; the module keeps what it has until it is loaded again.
pub fn restore_nested(host: &dyn Host) -> Result<(), HostError> {
    host.remove(NESTED)
}

/// Keeps a hypervisor's own IPv6 default route once it forwards: with forwarding on, the kernel
/// listens to router advertisements only if `accept_ra` is 2
/// (<https://docs.kernel.org/networking/ip-sysctl.html>).
pub fn accept_router_adverts(host: &dyn Host, interfaces: &[String]) -> Result<(), HostError> {
    const SCRIPT: &str = r#"umask 022; file=$1; shift
echo '# Written by Maquette; removed by `maquette host restore`.' > "$file"
for device; do
    echo "net/ipv6/conf/$device/accept_ra = 2" >> "$file"
    echo 2 > "/proc/sys/net/ipv6/conf/$device/accept_ra"
done"#;
    let args = std::iter::once(ROUTER_ADVERTS.to_string()).chain(interfaces.iter().cloned());
    check(host, &Command::script(SCRIPT, args)).map(|_| ())
}

/// Puts `accept_ra` back, as (interface, value).
pub fn restore_router_adverts(
    host: &dyn Host,
    interfaces: &[(String, String)],
) -> Result<(), HostError> {
    const SCRIPT: &str = r#"rm -f -- "$1"; shift
while [ $# -ge 2 ]; do
    [ ! -e "/proc/sys/net/ipv6/conf/$1" ] || echo "$2" > "/proc/sys/net/ipv6/conf/$1/accept_ra"
    shift 2
done"#;
    let pairs = interfaces.iter().flat_map(|(name, value)| [name.clone(), value.clone()]);
    let args = std::iter::once(ROUTER_ADVERTS.to_string()).chain(pairs);
    check(host, &Command::script(SCRIPT, args)).map(|_| ())
}

/// Allows each user as many inotify instances, now and after a restart.
pub fn raise_inotify(host: &dyn Host, instances: u32) -> Result<(), HostError> {
    const SCRIPT: &str = r#"umask 022
printf '# Written by Maquette; removed by `maquette host restore`.\nfs.inotify.max_user_instances = %s\n' "$2" > "$1"
echo "$2" > /proc/sys/fs/inotify/max_user_instances"#;
    check(host, &Command::script(SCRIPT, [INOTIFY, &instances.to_string()])).map(|_| ())
}

/// Puts the limit of inotify instances back.
pub fn restore_inotify(host: &dyn Host, instances: u32) -> Result<(), HostError> {
    const SCRIPT: &str = r#"rm -f -- "$1"; echo "$2" > /proc/sys/fs/inotify/max_user_instances"#;
    check(host, &Command::script(SCRIPT, [INOTIFY, &instances.to_string()])).map(|_| ())
}

/// Sets the time zone.
pub fn set_timezone(host: &dyn Host, zone: &str) -> Result<(), HostError> {
    const SCRIPT: &str = r#"file=/usr/share/zoneinfo/$1
if [ ! -f "$file" ]; then echo "there is no time zone $1" >&2; exit 1; fi
if [ -d /run/systemd/system ]; then exec timedatectl set-timezone "$1"; fi
ln -snf "$file" /etc/localtime
[ ! -e /etc/timezone ] || echo "$1" > /etc/timezone"#;
    check(host, &Command::script(SCRIPT, [zone])).map(|_| ())
}

/// Whether libvirt's network hook is there as this version has it.
pub fn has_network_hook(facts: &Facts) -> bool {
    facts.hook.as_ref() == Some(&format!("{:x}", Sha256::digest(NETWORK_HOOK_TEXT)))
}

/// Installs the hook, and has libvirt look for it: it knows of hooks that were there when it started, and
/// of those that are there when it is told to read its configuration again. That takes a moment, after
/// which it calls another hook, which tells us.
pub fn install_network_hook(host: &dyn Host) -> Result<(), HostError> {
    const SCRIPT: &str = r#"hooks=/etc/libvirt/hooks heard=/run/maquette-hooks-read mine=$hooks/daemon.d/maquette
mkdir -p "$hooks/daemon.d"
printf '#!/bin/sh
[ "$2" != reload ] || : > %s
' "$heard" > "$mine"
chmod 755 "$mine"
rm -f "$heard"
told=
for daemon in libvirtd virtnetworkd; do
    pid=$(cat "/run/$daemon.pid" 2>/dev/null) || continue
    if kill -HUP "$pid" 2>/dev/null; then told=yes; fi
done
tries=0
while [ -n "$told" ] && [ ! -e "$heard" ] && [ $tries -lt 100 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
rm -f "$mine" "$heard"
rmdir "$hooks/daemon.d" 2>/dev/null || :
if [ $tries = 100 ]; then echo "libvirt does not look for its hooks" >&2; exit 1; fi"#;
    host.write(NETWORK_HOOK, NETWORK_HOOK_TEXT.as_bytes(), 0o755)?;
    check(host, &Command::script(SCRIPT, Vec::<String>::new())).map(|_| ())
}

/// Removes the hook, and what an installation that was killed has left: libvirt would run that, too.
pub fn remove_network_hook(host: &dyn Host) -> Result<(), HostError> {
    const SCRIPT: &str = r#"hooks=$(dirname -- "$(dirname -- "$1")")
rm -f -- "$1" "$1.new" "$hooks/daemon.d/maquette" /run/maquette-hooks-read
rmdir "$(dirname -- "$1")" "$hooks/daemon.d" 2>/dev/null || :"#;
    check(host, &Command::script(SCRIPT, [NETWORK_HOOK])).map(|_| ())
}

/// Gives group `kvm` access to `/dev/kvm`.
pub fn open_kvm(host: &dyn Host) -> Result<(), HostError> {
    set_kvm(host, "0660", "kvm")
}

/// Sets mode and group of `/dev/kvm`.
pub fn set_kvm(host: &dyn Host, mode: &str, group: &str) -> Result<(), HostError> {
    const SCRIPT: &str = "chgrp -- \"$3\" \"$1\"; chmod -- \"$2\" \"$1\"";
    check(host, &Command::script(SCRIPT, [KVM, mode, group])).map(|_| ())
}
