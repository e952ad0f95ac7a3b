//! Programs that change a hypervisor, as far as preparation can tell; each change is a point of its own.

use super::Programs;

/// A package manager: each package comes and goes by itself.
const APT: &str = r#"verb=
dry=
case " $* " in *" -s "*) dry=yes ;; esac
for word; do
    case $word in
    -* | DPkg::*) ;;
    *)
        if [ -z "$verb" ]; then verb=$word; continue; fi
        count
        case $verb$dry in
        installyes) echo "Inst $word (1)"; echo "Inst lib$word (1)" ;;
        install) : >"/run/packages/$word"; : >"/run/packages/lib$word" ;;
        purge) /bin/rm -f "/run/packages/$word" ;;
        purgeyes) echo "Purg $word [1]" ;;
        esac
        ;;
    esac
done
count
"#;

const DPKG_QUERY: &str = r#"case "$*" in
*Essential*) for file in /run/packages/*; do printf 'P\tii \t%s\tno\nO\t\nN\t\nN\t\n' "${file##*/}"; done ;;
*) for file in /run/packages/*; do echo "ii ${file##*/}"; done ;;
esac
"#;

/// Whether a daemon is alive, by the file in which it has noted its process.
const ALIVE: &str = r#"file() {
    case $1 in ovs*) echo "/run/openvswitch/$1.pid" ;; *) echo "/run/$1.pid" ;; esac
}
alive() {
    [ -s "$(file "$1")" ] && grep -q '^State:.[RSD]' "/proc/$(/bin/cat "$(file "$1")")/status" 2>/dev/null
}
"#;

/// A daemon that goes into the background when it is ready, answers until it is gone, and takes a moment to go.
/// libvirt's looks for hooks when it is told to, as it does when it starts.
const DAEMON: &str = r#"name=${0##*/}
file=$(file "$name")
look() {
    ls /etc/libvirt/hooks/network.d >/run/told/libvirtd 2>/dev/null || :
    for hook in /etc/libvirt/hooks/daemon.d/*; do [ ! -x "$hook" ] || "$hook" - reload || :; done
}
if [ "$1" = --body ]; then
    trap '/bin/sleep 0.1; /bin/rm -f "$file"; kill $waits; exit 0' TERM
    trap look HUP
    /bin/sleep 600 &
    waits=$!
    echo $$ >"$file"
    while kill -0 $waits 2>/dev/null; do wait $waits || :; done
    exit 0
fi
count
if alive "$name"; then echo "$name: it runs already" >&2; exit 1; fi
case $name in ovsdb-server) [ "$(/bin/cat /etc/openvswitch/conf.db)" = whole ] || exit 1 ;; esac
/bin/rm -f "$file"
/usr/bin/setsid -f /usr/bin/env --default-signal=HUP "$0" --body </dev/null >/dev/null 2>&1
tries=0
until [ -s "$file" ]; do /bin/sleep 0.01; tries=$((tries + 1)); [ $tries -lt 3000 ] || exit 1; done
"#;

/// Writes half of a database, and then the other.
const OVSDB_TOOL: &str = r#"if [ -e "$2" ]; then echo "$2: it is there already" >&2; exit 1; fi
printf who >"$2"
count
printf le >>"$2"
"#;

/// A module that nobody uses, and that takes an option when it is loaded. KVM's device comes and goes with it.
const MODPROBE: &str = r#"place=/sys/module/kvm_intel
case "$*" in
"-r kvm_intel")
    count
    /bin/rm -r "$place" /dev/kvm
    ;;
kvm_intel*)
    case "$* $(/bin/cat /etc/modprobe.d/* 2>/dev/null)" in *nested=1*) nested=Y ;; *) nested=N ;; esac
    /bin/mkdir -p "$place/parameters"
    echo 0 >"$place/refcnt"
    echo $nested >"$place/parameters/nested"
    : >/dev/kvm
    /bin/chmod 600 /dev/kvm
    ;;
*) exit 1 ;;
esac
"#;

/// Units are files while they are enabled and run. The SSH server takes what is in its files when it is told to.
const SYSTEMCTL: &str = r#"verb=$1
shift
case $verb in
enable | disable)
    for unit; do
        case $unit in -*) continue ;; esac
        count
        case $verb in enable) : >"/run/told/$unit" ;; *) /bin/rm -f "/run/told/$unit" ;; esac
    done
    ;;
reload)
    count
    /bin/cat /etc/ssh/sshd_config.d/*.conf >/run/told/ssh 2>/dev/null || /bin/rm /run/told/ssh
    ;;
esac
exit 0
"#;

/// With files it looks, without it writes.
const CAT: &str = r#"[ $# != 0 ] || count
exec /bin/cat "$@"
"#;

/// Notes what was synced.
const SYNC: &str = r#"for file; do
    case $file in -*) ;; *) echo "$file" >>/run/synced ;; esac
done
exec /bin/sync "$@"
"#;

/// Refuses what was not synced: after a power cut the name would be there, and nothing of what it names.
const MV: &str = r#"to=
for file; do from=$to to=$file; done
if ! grep -qxF -- "$from" /run/synced; then echo "$from is not on the disk" >&2; exit 1; fi
grep -vxF -- "$from" /run/synced >/run/synced.new || :
/bin/mv /run/synced.new /run/synced
exec /bin/mv "$@"
"#;

const SSHD: &str = r#"case $1 in
-T)
    sessions=10
    [ ! -e /etc/ssh/sshd_config.d/10-maquette.conf ] || sessions=100
    printf 'maxsessions %s\nmaxstartups %s:30:100\n' $sessions $sessions
    ;;
*) count ;;
esac
"#;

/// Those that change something, and some that stand between. What only looks has no points.
const CALLED: [&str; 11] = [
    "dirname",
    "mkdir",
    "cp",
    "chmod",
    "chgrp",
    "rm",
    "rmdir",
    "ln",
    "setsid",
    "sleep",
    "timedatectl",
];

/// Daemons of libvirt and of Open vSwitch.
pub(super) const DAEMONS: [&str; 4] = ["virtlogd", "libvirtd", "ovsdb-server", "ovs-vswitchd"];

/// Where scripts note which daemons they end.
pub(super) const ENDED: &str = "/run/ended";

/// All of them.
pub(super) fn programs() -> Programs {
    let programs = Programs::as_functions(&CALLED).noting_ends(ENDED);
    programs.quiet("cat", CAT);
    programs.add("sync", SYNC);
    programs.add("mv", MV);
    programs.add("apt-get", APT);
    programs.add("dpkg-query", DPKG_QUERY);
    programs.quiet("sshd", SSHD);
    programs.quiet("modprobe", MODPROBE);
    programs.quiet("systemctl", SYSTEMCTL);
    programs.add("ovsdb-tool", OVSDB_TOOL);
    programs.add("ovs-vsctl", &format!("{ALIVE}alive ovsdb-server\n"));
    programs.add("ovs-appctl", &format!("{ALIVE}alive ovs-vswitchd\n"));
    for daemon in DAEMONS {
        programs.quiet(daemon, &format!("{ALIVE}{DAEMON}"));
    }
    programs
}
