# What a hypervisor shows of why nodes are not ready: its own resources, its firewall, DHCP servers and who has which
# address. Nothing is changed; any part may be missing.
# $1: the pool's directory; then words of five: `network NAME BRIDGE - -`, or `node NAME ADDRESS DISK MACS`, with `-` for
# what is not known, the disk only where it shall be looked at, and MACs with commas between them; or
# `pool DIRECTORY - - -` for each directory that disks have of their own.
# Prints sections that begin with `@@ NAME`. Lines of logs begin with `|`: anybody may have written them.
say() { printf '\n@@ %s\n' "$1"; }
quoted() { tr -d '\000' | sed 's/^/|/'; }
pool=$1
shift
say pool; timeout -s KILL 5 df -P -k -- "$pool" 2>/dev/null | tail -n 1 || :
say logs; df -P -k -- /var/log/libvirt 2>/dev/null | tail -n 1 || :
say memory; grep -E '^Mem(Total|Available):' /proc/meminfo || :
say load
if load=$(cut -d ' ' -f 1 /proc/loadavg 2>/dev/null); then echo "$(getconf _NPROCESSORS_ONLN 2>/dev/null) $load"; fi
say kills; sed -n 's/^oom_kill //p' /proc/vmstat || :
say kernel
{
    dmesg 2>/dev/null || timeout 5 journalctl -k -q -o short-monotonic -n 5000 --no-pager 2>/dev/null || :
    tail -n 5000 /var/log/audit/audit.log 2>/dev/null || :
} | grep -E 'oom-kill:|Killed process|apparmor="DENIED"|avc: +denied' | tail -n 100 | quoted
say forwards; cat /proc/sys/net/ipv4/ip_forward 2>/dev/null || :
say bridges; cat /proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null || :
say uplink; ip -4 -o route show default 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1 || :
say iptables
timeout 10 iptables-save -t filter 2>/dev/null | head -c 4000000 || :
if grep -qx filter /proc/net/ip_tables_names 2>/dev/null; then
    timeout 10 iptables-legacy-save -t filter 2>/dev/null | head -c 4000000 || :
fi
say nft; timeout 10 nft -j list ruleset 2>/dev/null | head -c 8000000 || :
# Runs a program on what a guest writes: as root, since nobody else may read disks, but able to do no more than that, and
# with limits.
confined() {
    if [ "$(id -u)" = 0 ]; then
        set -- setpriv --inh-caps=-all --bounding-set=-all,+dac_read_search --no-new-privs -- "$@"
    fi
    env -i "PATH=$PATH" LC_ALL=C timeout 20 prlimit --core=0 --nofile=64 --as=4294967296 --cpu=20 --fsize=65536 -- "$@"
}
# When the kernel's own clock began, which stands still in suspend; else when it was booted.
kernel=$(sed -n 's/^now at \([0-9]*\)[0-9]\{9\} nsecs.*/\1/p' /proc/timer_list 2>/dev/null | head -n 1)
if [ -n "$kernel" ]; then booted=$(($(date +%s) - kernel)); else booted=$(sed -n 's/^btime //p' /proc/stat 2>/dev/null || :); fi
# When QEMU was started last, in seconds since 1970, by its log's own line for that: the file is written to when it ends, too.
started() {
    at=$(tail -c 1000000 "$1" 2>/dev/null | tr -d '\000' |
        sed -n 's/^\([0-9]\{4\}-[0-9-]* [0-9:.]*+[0-9]*\): starting up.*/\1/p' | tail -n 1)
    [ -n "$at" ] && date -d "$at" +%s 2>/dev/null
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
while [ $# -ge 5 ]; do
    kind=$1 name=$2
    say "$kind $name"
    case $kind in
    network)
        # Where libvirt has no DHCP server there is no file.
        file=/run/libvirt/network/$name.pid
        [ -e "$file" ] || file=/var/run/libvirt/network/$name.pid
        if pid=$(cat "$file" 2>/dev/null); then
            if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dnsmasq ]; then echo "dnsmasq runs"; else echo "dnsmasq ended"; fi
        elif [ -e "/var/lib/libvirt/dnsmasq/$name.conf" ]; then
            echo "dnsmasq ended"
        fi
        # One line, however libvirt breaks it.
        if leases=$(head -c 1000000 "/var/lib/libvirt/dnsmasq/$3.status" 2>/dev/null | tr '\n' ' '); then echo "leases $leases"; fi
        ;;
    pool) timeout -s KILL 5 df -P -k -- "$name" 2>/dev/null | tail -n 1 || : ;;
    node)
        # It may end while it is looked at.
        if since=$(stat -c %Y "/run/libvirt/qemu/$name.pid" 2>/dev/null); then echo "uptime $(($(date +%s) - since))"; fi
        if since=$(started "/var/log/libvirt/qemu/$name.log"); then echo "started $since $booted"; fi
        [ "$3" = - ] || ip neigh show to "$3" 2>/dev/null | sed 's/^/neighbour /' || :
        if [ "$4" != - ] && confined qemu-img dd -U -f qcow2 -O raw bs=512 count=1 "if=$4" "of=$work/sector" >/dev/null 2>&1; then
            echo "sector $(od -A n -t x1 -j 510 -N 2 "$work/sector" | tr -d ' ')"
            rm -f "$work/sector"
        fi
        # Read once for all nodes.
        [ -e "$work/dhcp" ] || timeout 5 journalctl -q -t dnsmasq-dhcp -n 2000 -o cat --no-pager >"$work/dhcp" 2>/dev/null || :
        for mac in $(echo "$5" | tr , ' '); do
            grep -iF "$mac" "$work/dhcp" | tail -n 3 | sed 's/^/dhcp |/' || :
        done
        tail -n 12 "/var/log/libvirt/qemu/$name.log" 2>/dev/null | tr -d '\000' | cut -c 1-400 | sed 's/^/log |/' || :
        ;;
    esac
    shift 5
done
say end
