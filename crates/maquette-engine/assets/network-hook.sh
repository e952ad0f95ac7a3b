#!/bin/sh
# Written by Maquette; removed by `maquette host restore`.
#
# libvirt calls this with a network's name, what happens to it, and its definition on standard input
# (https://libvirt.org/hooks.html). Networks of Maquette's say in their metadata what their bridge does
# that libvirt knows nothing of; all others are left alone.
[ "$2" = started ] || [ "$2" = stopped ] || exit 0
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
elements=$(tr '\n' ' ' | sed 's/>/>\n/g' | grep '<maquette:\(tuning\|port\|route\) ') || exit 0
tuning=$(printf '%s\n' "$elements" | grep '<maquette:tuning ') || exit 0
value() { printf '%s\n' "$1" | sed -n "s/.* $2=[\"']\([^\"']*\)[\"'].*/\1/p"; }
each() { printf '%s\n' "$elements" | grep "<maquette:$1 " || :; }
bridge=$(value "$tuning" bridge)
# A copy of a network has the record of that, and may share its bridge; earlier releases have not recorded a name.
network=$(value "$tuning" network)
[ -z "$network" ] || [ "$network" = "$1" ] || exit 0
case $bridge in '' | .* | *[!A-Za-z0-9_.-]*) exit 0 ;; esac
guard=$(value "$tuning" guard)
table="maquette-$bridge"

if [ "$2" = stopped ]; then
    nft delete table bridge "$table" 2>/dev/null
    each route | while read -r route; do
        net=$(value "$route" net)
        for way in "-i $bridge -s $net" "-o $bridge -d $net"; do
            # shellcheck disable=SC2086
            while iptables -w -D FORWARD $way -m comment --comment "Infrared: $table" -j ACCEPT; do :; done
        done
        while iptables -w -t nat -D POSTROUTING -s "$net" ! -d "$net" \
            -m comment --comment "Infrared: $table" -j MASQUERADE; do :; done
    done 2>/dev/null
    exit 0
fi

set -e
fail() { echo "maquette: $1" >&2; exit 1; }

# The hypervisor's own interfaces on Open vSwitch.
each port | while read -r port; do
    name=$(value "$port" name)
    ip link set dev "$name" up
    for address in $(value "$port" addresses); do
        case $address in
        *:*) ip -6 address replace "$address" dev "$name" nodad ;;
        *) ip address replace "$address" dev "$name" ;;
        esac
    done
done

# Nodes serve neither DHCP nor routes on the LAN, nor to the hypervisor itself: what a DHCP server says
# (RFC 2131, RFC 8415), and router advertisements (RFC 4861), also with a VLAN's tag.
if [ -n "$guard" ]; then
    rules() {
        for inside in "ether type ip" "ether type 8021q vlan type ip"; do
            echo "$1 $inside udp sport 67 udp dport { 67, 68 } drop"
        done
        for inside in "ether type ip6" "ether type 8021q vlan type ip6"; do
            echo "$1 $inside udp sport 547 udp dport { 546, 547 } drop"
            echo "$1 $inside icmpv6 type { nd-router-advert, nd-redirect } drop"
        done
    }
    chains() {
        echo "table bridge $table"
        echo "delete table bridge $table"
        echo "table bridge $table {"
        echo "chain to-lan { type filter hook forward priority -200;"
        rules "oifname \"$guard\""
        echo "}"
        if [ "$1" = all ]; then
            echo "chain to-host { type filter hook input priority -200;"
            rules "meta ibrname \"$bridge\" iifname != \"$guard\""
            echo "}"
        fi
        echo "}"
    }
    # Few kernels cannot tell a frame's bridge; there the hypervisor itself has to take care of whom it asks.
    chains all | nft -f - 2>/dev/null || chains lan | nft -f - ||
        fail "cannot keep DHCP of nodes away from $guard; is nftables there?"
fi

settings=/sys/class/net/$bridge/bridge
if [ -d "$settings" ]; then
    # All but what the kernel keeps for itself: spanning tree, pause frames, link aggregation.
    [ "$(value "$tuning" link-local)" != true ] || echo 0xfff8 > "$settings/group_fwd_mask"
    [ "$(value "$tuning" hub)" != true ] || echo 0 > "$settings/ageing_time"
    if [ "$(value "$tuning" querier)" = true ]; then
        echo 1 > "$settings/multicast_snooping"
        echo 1 > "$settings/multicast_querier"
    fi
fi

# Whatever is behind the nodes.
each route | while read -r route; do
    net=$(value "$route" net)
    via=$(value "$route" via)
    [ -z "$via" ] || ip route replace "$net" via "$via" dev "$bridge"
    for way in "-i $bridge -s $net" "-o $bridge -d $net"; do
        # shellcheck disable=SC2086
        iptables -w -C FORWARD $way -m comment --comment "Infrared: $table" -j ACCEPT 2>/dev/null ||
            iptables -w -I FORWARD $way -m comment --comment "Infrared: $table" -j ACCEPT
    done
    set -- -s "$net" ! -d "$net" -m comment --comment "Infrared: $table" -j MASQUERADE
    iptables -w -t nat -C POSTROUTING "$@" 2>/dev/null || iptables -w -t nat -A POSTROUTING "$@"
    echo 1 > /proc/sys/net/ipv4/ip_forward
    echo 0 > "/proc/sys/net/ipv4/conf/$bridge/rp_filter"
done
