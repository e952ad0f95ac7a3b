# All that is asked of a hypervisor's own side, in one round trip. Every part may be missing. `access.sh` stands before this.
# $1: `remote` if the SSH server is of interest.  $2: the directory of the storage pool, or nothing. Then limits of the kernel's by their names for sysctl, `--`, and
# paths that are looked for.
say() { printf '\n@@ %s\n' "$1"; }
show() { say "$1"; cat -- "$2" 2>/dev/null || :; }
where=$1 pool=$2
shift 2
say limits
while [ "$1" != -- ]; do
    if value=$(cat "/proc/sys/$(echo "$1" | tr . /)" 2>/dev/null); then echo "$1 $value"; fi
    shift
done
shift
say name; uname -n
show os /etc/os-release
say cpus; grep -c ^processor /proc/cpuinfo || :
say flags; grep -m 1 ^flags /proc/cpuinfo || :
# A group without a name has its number.
say kvm; stat -c '%a %G %g' /dev/kvm 2>/dev/null | sed 's/ UNKNOWN / /; s/ \([^ ]*\) [0-9]*$/ \1/' || :
show routes /proc/net/route
say ipv6; cat /proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null || echo none
say routes6; ip -6 route show 2>/dev/null || :
say addresses; ip -o address show 2>/dev/null || :
show devices /proc/net/dev
show memory /proc/meminfo
say links
ip -o link show 2>/dev/null | sed -n 's/^[0-9]*: \([^:@]*\)[:@].* master \([^ ]*\) .*/port \1 \2/p'
for device in /sys/class/net/*; do
    [ ! -d "$device/bridge" ] || echo "bridge ${device##*/}"
    if [ -d "$device/wireless" ] || [ -e "$device/phy80211" ]; then echo "wireless ${device##*/}"; fi
    # ARPHRD_ETHER of linux/if_arp.h is 1.
    { read -r kind <"$device/type"; } 2>/dev/null || kind=1
    # A macvtap is a node's, on a NIC that is here as well.
    if [ "$kind" != 1 ] || [ -d "$device/macvtap" ]; then echo "foreign ${device##*/}"; fi
done
say guards; nft list tables bridge 2>/dev/null | sed -n 's/^table bridge maquette-//p' || :
say storage
for server in $(sed -n 's/^[^ ]* \/ \(nfs4\{0,1\}\|cifs\|ceph\|9p\) .*addr=\([^,]*\).*/\2/p' /proc/mounts) \
    $(cat /sys/class/iscsi_connection/*/persistent_address 2>/dev/null || :); do
    ip -o route get "$server" 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' || :
done
say vswitch
if [ -e /sys/module/openvswitch ] || modprobe -n -q openvswitch 2>/dev/null; then echo kernel; fi
if [ -S /var/run/openvswitch/db.sock ] && ovs-vsctl --timeout=2 --no-wait show >/dev/null 2>&1 &&
    ovs-appctl --timeout=2 -t ovs-vswitchd version >/dev/null 2>&1; then
    echo runs
fi
say firewalld
bus=org.fedoraproject.FirewallD1 object=/org/fedoraproject/FirewallD1
# Whether it runs, without starting it. The first two answer in an instant, firewalld's own program in a third of a second.
has_firewalld() {
    if command -v busctl; then
        timeout 5 busctl --system call org.freedesktop.DBus / org.freedesktop.DBus NameHasOwner s $bus | grep -q true
    elif command -v dbus-send; then
        timeout 5 dbus-send --system --print-reply=literal --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner string:$bus | grep -q true
    else
        timeout 5 firewall-cmd --state
    fi
}
if command -v firewall-cmd >/dev/null && has_firewalld >/dev/null 2>&1; then
    echo runs
    for zone in /etc/firewalld/zones/libvirt.xml /usr/lib/firewalld/zones/libvirt.xml; do
        [ ! -e "$zone" ] || echo file
    done
    # What cannot be asked has nothing to be told.
    zones=$({
        timeout 5 busctl --system call $bus $object $bus.zone getZones ||
            timeout 5 dbus-send --system --print-reply=literal --dest=$bus $object $bus.zone.getZones ||
            timeout 5 firewall-cmd --get-zones
    } 2>/dev/null) || zones=libvirt
    case " $(echo "$zones" | tr '"\n' '  ') " in *" libvirt "*) echo zone ;; esac
fi
# Where SELinux enforces, and the module of InfraRed's that lets virtlogd write beside libvirt's sockets is not installed.
say selinux
if [ "$(cat /sys/fs/selinux/enforce 2>/dev/null)" = 1 ]; then
    echo enforces
    for module in /var/lib/selinux/*/active/modules/*/var_lib_libvirt_qemu; do [ ! -d "$module" ] || echo module; done
fi
say hook; sha256sum /etc/libvirt/hooks/network.d/maquette 2>/dev/null || :
say expiry
if systemctl is-active --quiet maquette-expire.timer 2>/dev/null || [ -e /etc/cron.d/maquette-expire ] ||
    { [ -e /run/maquette/expire ] && ! flock -n /run/maquette/expire true 2>/dev/null; }; then
    sha256sum /var/lib/maquette/expire.sh 2>/dev/null || :
fi
# What others than root can have of the room; libvirt counts root's reserve, too. A server that is gone never answers.
say room
if [ -n "$pool" ]; then
    left=$(timeout -s KILL 5 df -P -k -- "$pool" 2>/dev/null | awk 'NR == 2 { print $4 }') || :
    [ -z "$left" ] || echo "$left $pool"
fi
say access; [ -z "$pool" ] || access_of "$pool"
say time; date +%s
# Lines of all small files of a directory whose names begin so: no process is started for each.
noted() { find "$1" -maxdepth 1 -type f -name "$2*" ! -name '*.new' -size -9 -exec grep -ah '' {} + 2>/dev/null || :; }
say leases; noted /var/lib/maquette/environments environment.
say images; noted /var/lib/maquette/images ''
say bmcs
for directory in /var/lib/maquette/bmc/environment.*; do
    [ -d "$directory" ] || continue
    run=no
    if [ -e "$directory/lock" ] && ! flock -n "$directory/lock" true 2>/dev/null; then
        if [ -e "$directory/served" ] && [ ! -s "$directory/unreached" ]; then run=yes; else run=part; fi
    fi
    echo "environment ${directory##*/environment.} $run"
    sed -n 's/^\([^ ]*\) .*/unreached \1/p' "$directory/unreached" 2>/dev/null || :
    sed -n 's/^{"node":"\([^"]*\)","digest":"\([^"]*\)",.*/bmc \1 \2/p' "$directory/bmcs" 2>/dev/null || :
done
say login; echo "${SUDO_USER:-$(id -un)}"
say forwarding
for file in /var/lib/maquette/forwarding/environment.*; do
    case $file in */environment.*.new) continue ;; esac
    [ -f "$file" ] || continue
    key=$(sed -n 's/^line .* \([^ ]* [^ ]*\) [^ ]*$/\1/p' "$file") there=yes
    # What cannot be read, or not within some seconds, may be as it was left.
    keys=$(sed -n 's/^file //p' "$file") status=0
    timeout -s KILL 5 test -e "$keys" || status=$?
    if [ $status = 0 ]; then
        timeout -s KILL 5 grep -qaF -- "${key#* }" "$keys" 2>/dev/null || status=$?
    fi
    if [ $status = 1 ]; then there=no; fi
    echo "${file##*/environment.} $(sed -n 's/^user //p' "$file") $there $key"
done
say dhcp
for file in /var/lib/libvirt/dnsmasq/*.status; do
    [ ! -r "$file" ] || { head -c 1000000 "$file" | tr '\n' ' ' && echo; }
done
say listening
ss -Hlntu 2>/dev/null | while read -r protocol _ _ _ local _; do echo "$protocol $local"; done || :
say paths; for path; do [ ! -e "$path" ] || echo "$path"; done
say systemd; [ ! -d /run/systemd/system ] || echo yes
say monolithic; systemctl is-enabled --quiet libvirtd.socket 2>/dev/null && echo yes || :
say workers
for daemon in libvirtd virtqemud; do
    number='[[:space:]]*=[[:space:]]*\([0-9]\{1,6\}\)[[:space:]]*\(#.*\)\{0,1\}$'
    for key in max_workers max_client_requests; do
        sed -n "s/^[[:space:]]*$key$number/$daemon $key \\1/p" "/etc/libvirt/$daemon.conf" 2>/dev/null || :
    done
done
say nested
for module in kvm_intel kvm_amd; do
    file=/sys/module/$module/parameters/nested
    [ ! -r $file ] || echo "$module $(cat $file)"
done
say guests
now=$(date +%s)
stat -c '%Y %n' /run/libvirt/qemu/*.pid 2>/dev/null | while read -r since file; do
    # It may end while it is looked at. No process is started for each: hypervisors that are busy take long for that.
    read -r pid 2>/dev/null <"$file" || [ -n "${pid-}" ] || continue
    rss=0
    while read -r key value _; do
        [ "$key" != VmRSS: ] || { rss=$value && break; }
    done 2>/dev/null <"/proc/$pid/status" || :
    name=${file##*/}
    echo "$rss ${name%.pid} $((now - since))"
    pid=
done || :
say router
for device in $(ip -6 route show default 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p'); do
    echo "$device $(cat "/proc/sys/net/ipv6/conf/$device/accept_ra" 2>/dev/null || :)"
done
say zone; readlink -f /etc/localtime 2>/dev/null | sed -n 's|.*/zoneinfo/||p' || :
say forward; iptables -S FORWARD 2>/dev/null | head -n 1 || :
show record /var/lib/maquette/preparation.json
say starts; head -c 65536 /var/lib/maquette/starts 2>/dev/null || :
if [ "$where" = remote ]; then
    say sshd; sshd -T 2>/dev/null | grep -iE '^(maxsessions|maxstartups) ' || :
    say include
    grep -iE '^[[:space:]]*Include[[:space:]]+"?/etc/ssh/sshd_config\.d/' /etc/ssh/sshd_config \
        2>/dev/null || :
fi
