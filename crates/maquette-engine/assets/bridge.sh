# Puts a NIC of the hypervisor into a bridge that takes over all it has, and takes it out again, without
# cutting whoever is connected through it. Commit or revert: a process of its own on the hypervisor makes
# the change and puts everything back unless it is confirmed in time, whatever happens to the connection
# or to whoever asked for it. Only what is confirmed is written to the configuration of whatever manages
# the host's network.
#
#   join STATE BRIDGE NIC STP ADDRESS MTU LIMIT   arms the timer and makes the change
#   confirm STATE                                 keeps it
#   outcome STATE                                 waits for what becomes of it
#   leave STATE                                   puts back what was before
#   watch, apply, keep, restore STATE             the process of its own, and its parts
#
# STATE is a directory of this bridge; what it holds is as much as is known of what was before.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 077
verb=$1
state=$2
note="# Written by Maquette; it is taken away with the network."

get() { cat "$state/$1" 2>/dev/null || :; }
put() { printf '%s\n' "$2" > "$state/$1.new" && mv -f "$state/$1.new" "$state/$1"; }
# What is said to the other side of a pipe, should there be one.
say() { timeout "${2:-60}" sh -c 'printf "%s\n" "$2" > "$1"' sh "$state/result" "$1" || :; }

# Who keeps the NIC's configuration.
manager() {
    if command -v nmcli >/dev/null && nmcli -t -f RUNNING general 2>/dev/null | grep -qx running &&
        [ "$(nmcli -g GENERAL.NM-MANAGED device show "$1" 2>/dev/null)" = yes ]; then
        echo networkmanager
    elif networkd_file "$1" >/dev/null; then
        echo networkd
    elif [ -n "$(ifupdown_file "$1")" ]; then
        echo ifupdown
    else
        echo none
    fi
}
networkd_file() {
    command -v networkctl >/dev/null || return 1
    file=$(networkctl status "$1" 2>/dev/null | sed -n 's/^ *Network File: *\(\/.*\)/\1/p')
    [ -n "$file" ] && [ -r "$file" ] && echo "$file"
}
ifupdown_file() {
    [ -d /etc/network ] || return 0
    for file in /etc/network/interfaces /etc/network/interfaces.d/*; do
        [ -r "$file" ] || continue
        if grep -Eq "^[[:space:]]*iface[[:space:]]+$1[[:space:]]" "$file"; then
            echo "$file"
            return 0
        fi
    done
}

# Addresses and routes of an interface, as commands for `ip -batch` that give them to another.
addresses4() {
    ip -o -4 address show dev "$1" scope global | while read -r _ _ _ address rest; do
        broadcast=$(printf '%s\n' "$rest" | sed -n 's/.*brd \([0-9.]*\).*/ brd \1/p')
        echo "address replace $address$broadcast dev $2"
    done
}
addresses6() {
    ip -o -6 address show dev "$1" scope global | grep -v -e ' temporary ' -e ' deprecated ' |
        while read -r _ _ _ address rest; do
            lifetime=$(printf '%s\n' "$rest" |
                sed -n 's/.*valid_lft \([0-9]*\)sec preferred_lft \([0-9]*\)sec.*/ valid_lft \1 preferred_lft \2/p')
            echo "address replace $address dev $2 nodad$lifetime"
        done || :
}
routes() {
    ip -o "$1" route show table all dev "$2" |
        grep -v -E 'proto kernel|table local|^(local|broadcast|multicast|anycast|unreachable|fe80::/|ff00::/)' |
        sed -e 's/ linkdown//' -e 's/ dead//' -e 's/ pref [a-z]*//' -e 's/ expires [0-9]*sec//' \
            -e 's/\\//g' -e 's/ error [0-9-]*//' -e 's/ hoplimit [0-9]*//' |
        while read -r route; do echo "route replace $route dev $3"; done || :
}
batch() { ip -batch "$1" 2> "$state/error" || { sed 's/^/ip: /' "$state/error" >&2; return 1; }; }

# A DHCP client goes along: on the NIC it would get its address back at the next renewal.
move_dhclient() {
    old=$(pgrep -f "(^|/)dhclient .*[[:space:]]$1\$" 2>/dev/null | head -n 1) || :
    [ -n "$old" ] || return 0
    leases=$(tr '\0' '\n' < "/proc/$old/cmdline" | grep -A 1 -x -e -lf | tail -n 1) || :
    kill "$old" 2>/dev/null || :
    mine=/var/lib/dhcp/dhclient.$2.leases
    mkdir -p /var/lib/dhcp
    [ ! -r "${leases:-/nonexistent}" ] || sed "s/interface \"$1\"/interface \"$2\"/" "$leases" > "$mine"
    dhclient -4 -nw -pf "/run/dhclient.$2.pid" -lf "$mine" "$2" >/dev/null 2>&1 || :
}
move_dns() {
    command -v resolvectl >/dev/null && resolvectl status >/dev/null 2>&1 || return 0
    servers=$(resolvectl dns "$1" 2>/dev/null | sed 's/^[^:]*: *//')
    domains=$(resolvectl domain "$1" 2>/dev/null | sed 's/^[^:]*: *//')
    # shellcheck disable=SC2086
    [ -z "$servers" ] || resolvectl dns "$2" $servers || :
    # shellcheck disable=SC2086
    [ -z "$domains" ] || resolvectl domain "$2" $domains || :
}

# With the kernel alone: one batch, in which the new device has every address before the old one loses
# it. Deleting addresses takes their routes along, so that these come last.
kernel_join() {
    bridge=$(get bridge) nic=$(get nic)
    {
        echo "link add $bridge address $(get mac) mtu $(get wanted-mtu) type bridge stp_state $(get stp) forward_delay 0"
        echo "link set $bridge up"
        [ "$(get mtu)" = "$(get wanted-mtu)" ] || echo "link set $nic mtu $(get wanted-mtu)"
        sed "s/ dev @/ dev $bridge/" "$state/before.addresses4"
        sed "s/ dev @/ dev $bridge/" "$state/before.addresses6"
        [ -z "$(get address)" ] || echo "address replace $(get address) dev $bridge"
        echo "link set $nic up master $bridge"
        echo "address flush dev $nic scope global"
        sed "s/ dev @/ dev $bridge/" "$state/before.routes4"
    } > "$state/batch"
    ra=/proc/sys/net/ipv6/conf/$nic/accept_ra
    batch "$state/batch"
    [ ! -r "$ra" ] || cat "$ra" > "/proc/sys/net/ipv6/conf/$bridge/accept_ra" || :
    sed "s/ dev @/ dev $bridge/" "$state/before.routes6" > "$state/batch6"
    ip -6 -batch "$state/batch6" 2>/dev/null || :
    move_dns "$nic" "$bridge"
    move_dhclient "$nic" "$bridge"
}
# What came by itself since then goes back, too: an address of another lease.
kernel_leave() {
    bridge=$(get bridge) nic=$(get nic)
    [ -e "/sys/class/net/$nic" ] || { ip link delete dev "$bridge" 2>/dev/null || :; return 0; }
    {
        sed "s/ dev @/ dev $nic/" "$state/before.addresses4"
        sed "s/ dev @/ dev $nic/" "$state/before.addresses6"
    } > "$state/batch"
    if ! grep -q . "$state/before.addresses4" && [ -e "/sys/class/net/$bridge" ]; then
        addresses4 "$bridge" "$nic" | grep -v -F "address replace $(get address) " >> "$state/batch" || :
    fi
    {
        [ ! -e "/sys/class/net/$bridge/brif/$nic" ] || echo "link set $nic nomaster"
        echo "link set $nic up mtu $(get mtu)"
        [ ! -e "/sys/class/net/$bridge" ] || echo "address flush dev $bridge scope global"
        sed "s/ dev @/ dev $nic/" "$state/before.routes4"
    } >> "$state/batch"
    batch "$state/batch"
    sed "s/ dev @/ dev $nic/" "$state/before.routes6" > "$state/batch6"
    ip -6 -batch "$state/batch6" 2>/dev/null || :
    move_dns "$bridge" "$nic"
    move_dhclient "$bridge" "$nic"
    ip link delete dev "$bridge" 2>/dev/null || :
}

# ifupdown has no process: its file is written once the change is confirmed.
ifupdown_keep() {
    bridge=$(get bridge) nic=$(get nic)
    file=$(ifupdown_file "$nic")
    [ -n "$file" ] || return 0
    put file "$file"
    cp -p "$file" "$state/file.before"
    awk -v nic="$nic" -v bridge="$bridge" -v mac="$(get mac)" -v stp="$(get stp)" \
        -v address="$(get address)" -v note="$note" '
        function rename(line) { for (i = 2; i <= NF; i++) if ($i == nic) $i = bridge; return $0 }
        BEGIN { print note }
        $1 == "auto" || $1 == "allow-hotplug" || $1 == "allow-auto" {
            if (index(" " $0 " ", " " nic " ")) { $1 = "auto"; rename($0) }
            print; next
        }
        $1 == "iface" && $2 == nic {
            if (!done) {
                print "iface " nic " inet manual"
            }
            $2 = bridge; print
            if (!done) {
                print "    pre-up ip link add " bridge " address " mac " type bridge stp_state " stp " forward_delay 0 || true"
                print "    pre-up ip link set " nic " up master " bridge
                if (address != "") print "    up ip address replace " address " dev " bridge
                print "    post-down ip link delete " bridge " || true"
            }
            done = 1; next
        }
        { print }' "$file" > "$state/file.new"
    cat "$state/file.new" > "$file"
    # It knows the NIC as up, and the bridge shall be in its place.
    if [ -w /run/network/ifstate ]; then
        sed -i "s/^$nic=$nic\$/$bridge=$bridge/" /run/network/ifstate
    fi
}
ifupdown_forget() {
    file=$(get file)
    [ -n "$file" ] && [ -e "$state/file.before" ] || return 0
    cp -p "$state/file.before" "$file"
    if [ -w /run/network/ifstate ]; then
        sed -i "s/^$(get bridge)=$(get bridge)\$/$(get nic)=$(get nic)/" /run/network/ifstate
    fi
}

# systemd-networkd makes the change itself. Until it is confirmed, the files are where a restart of the
# hypervisor forgets them. They come before the NIC's own (also netplan's), which stay as they are.
networkd_files() {
    bridge=$(get bridge) nic=$(get nic) directory=$1
    mkdir -p "$directory"
    umask 022
    {
        printf '%s\n[NetDev]\nName=%s\nKind=bridge\nMACAddress=%s\n' "$note" "$bridge" "$(get mac)"
        printf '[Bridge]\nSTP=%s\nForwardDelaySec=0\n' "$(get stp)"
    } > "$directory/05-maquette-$bridge.netdev"
    {
        printf '%s\n[Match]\nName=%s\n[Network]\nBridge=%s\nLinkLocalAddressing=no\n' "$note" "$nic" "$bridge"
        [ "$(get mtu)" = "$(get wanted-mtu)" ] || printf '[Link]\nMTUBytes=%s\n' "$(get wanted-mtu)"
    } > "$directory/05-maquette-$nic.network"
    {
        printf '%s\n[Match]\nName=%s\n' "$note" "$bridge"
        [ -z "$(get address)" ] || printf '[Address]\nAddress=%s\n' "$(get address)"
        awk '/^\[/ { match_section = ($0 == "[Match]") } !match_section' "$state/networkd.file"
    } > "$directory/05-maquette-$bridge.network"
    umask 077
}
networkd_apply() { networkctl reload && networkctl reconfigure "$@"; }
networkd_join() {
    cp "$(networkd_file "$(get nic)")" "$state/networkd.file"
    kernel_join
    networkd_files /run/systemd/network
    networkd_apply "$(get nic)" "$(get bridge)"
}
networkd_forget() {
    for directory in /run/systemd/network /etc/systemd/network; do
        rm -f "$directory/05-maquette-$(get bridge).netdev" \
            "$directory/05-maquette-$(get bridge).network" "$directory/05-maquette-$(get nic).network"
    done
    networkctl reload || :
}

# NetworkManager makes the change itself, with profiles that it does not save before it is confirmed.
nm() { nmcli --wait 20 "$@"; }
nm_join() {
    bridge=$(get bridge) nic=$(get nic)
    profile=$(nmcli -g GENERAL.CON-UUID device show "$nic" 2>/dev/null)
    put profile "$profile"
    stp=no
    [ "$(get stp)" = 0 ] || stp=yes
    # All at once: an address without its method is refused, and so is the method without an address.
    set --
    if [ -n "$profile" ]; then
        for key in ipv4.method ipv4.addresses ipv4.gateway ipv4.dns ipv4.dns-search ipv4.routes \
            ipv4.route-metric ipv4.never-default ipv4.ignore-auto-dns ipv4.dhcp-client-id \
            ipv6.method ipv6.addresses ipv6.gateway ipv6.dns ipv6.dns-search ipv6.routes \
            ipv6.route-metric ipv6.never-default ipv6.addr-gen-mode connection.zone; do
            value=$(nmcli -e no -g "$key" connection show "$profile" 2>/dev/null) || continue
            [ -z "$value" ] || set -- "$@" "$key" "$value"
        done
    else
        set -- ipv4.method disabled ipv6.method ignore
    fi
    if [ -n "$(get address)" ]; then
        case " $* " in
        *" ipv4.method disabled "*) set -- "$@" ipv4.method manual ipv4.never-default yes ;;
        esac
        set -- "$@" +ipv4.addresses "$(get address)"
    fi
    nm connection add save no type bridge con-name "maquette-$bridge" ifname "$bridge" \
        bridge.stp $stp bridge.forward-delay 2 bridge.mac-address "$(get mac)" "$@" >/dev/null
    # The NIC's own profile is left as it is, and comes second: netplan would find it changed.
    nm connection add save no type ethernet con-name "maquette-$nic" ifname "$nic" \
        connection.autoconnect-priority 999 master "$bridge" slave-type bridge >/dev/null
    [ "$(get mtu)" = "$(get wanted-mtu)" ] ||
        nm connection modify --temporary "maquette-$nic" 802-3-ethernet.mtu "$(get wanted-mtu)"
    nm connection up "maquette-$nic" >/dev/null
    nm connection up "maquette-$bridge" >/dev/null
}
nm_keep() {
    # A change that is not temporary saves the profile.
    for name in "maquette-$(get bridge)" "maquette-$(get nic)"; do
        nm connection modify "$name" connection.autoconnect yes
    done
}
nm_forget() {
    profile=$(get profile)
    for name in "maquette-$(get nic)" "maquette-$(get bridge)"; do
        nm connection delete "$name" >/dev/null 2>&1 || :
    done
    ip link delete dev "$(get bridge)" 2>/dev/null || :
    [ -z "$profile" ] || nm connection up "$profile" >/dev/null
}

apply() {
    case $(get manager) in
    networkmanager) nm_join ;;
    networkd) networkd_join ;;
    *) kernel_join ;;
    esac
}
keep() {
    case $(get manager) in
    networkmanager) nm_keep ;;
    networkd)
        networkd_files /etc/systemd/network
        rm -f /run/systemd/network/05-maquette-"$(get bridge)".* /run/systemd/network/05-maquette-"$(get nic)".network
        networkctl reload
        ;;
    ifupdown) ifupdown_keep ;;
    esac
}
restore() {
    case $(get manager) in
    networkmanager) nm_forget ;;
    networkd)
        networkd_forget
        kernel_leave
        networkctl reconfigure "$(get nic)" || :
        ;;
    ifupdown)
        ifupdown_forget
        kernel_leave
        ;;
    *) kernel_leave ;;
    esac
}

# Runs this script on, as a process that nobody's leaving ends.
alone() {
    if [ -d /run/systemd/system ]; then
        systemd-run --quiet --collect --unit="maquette-bridge-$(get bridge)" -- sh "$0" "$@"
    else
        setsid sh "$0" "$@" </dev/null >"$state/log" 2>&1 &
    fi
}

case $verb in
join)
    bridge=$3 nic=$4 stp=$5 address=$6 mtu=$7 limit=$8
    if [ -e "$state/confirmed" ] && [ -e "/sys/class/net/$bridge/brif/$nic" ]; then exit 0; fi
    mkdir -p "$state"
    exec 9> "$state/lock"
    flock -w 60 9 || { echo "another run is changing $nic" >&2; exit 1; }
    # What a run that was interrupted has begun, or a restart of the hypervisor has left of it.
    if [ -e "$state/nic" ]; then
        [ ! -e "$state/watcher" ] || kill "$(get watcher)" 2>/dev/null || :
        if [ -e "/sys/class/net/$bridge" ] || [ "$(get manager)" != none ]; then
            sh "$0" restore "$state"
        fi
    fi
    find "$state" -mindepth 1 ! -name lock -delete
    [ -e "/sys/class/net/$nic" ] || { echo "there is no NIC $nic" >&2; exit 1; }
    [ ! -e "/sys/class/net/$bridge" ] || { echo "$bridge exists already" >&2; exit 1; }
    put bridge "$bridge"
    put stp "$stp"
    put address "$address"
    put limit "$limit"
    put mac "$(cat "/sys/class/net/$nic/address")"
    put mtu "$(cat "/sys/class/net/$nic/mtu")"
    put wanted-mtu "${mtu:-$(get mtu)}"
    put manager "$(manager "$nic")"
    addresses4 "$nic" @ > "$state/before.addresses4"
    addresses6 "$nic" @ > "$state/before.addresses6"
    routes -4 "$nic" @ > "$state/before.routes4"
    routes -6 "$nic" @ > "$state/before.routes6"
    mkfifo "$state/decision" "$state/result"
    # From here on, there is something to put back.
    put nic "$nic"
    exec 9>&-
    alone watch "$state"
    said=$(timeout 60 cat "$state/result") || said="it did not answer"
    [ "$said" = applied ] || { echo "$said" >&2; exit 1; }
    ;;
watch)
    put watcher $$
    if ! said=$(sh "$0" apply "$state" 2>&1); then
        sh "$0" restore "$state" || :
        say "$said"
        rm -rf "$state"
        exit 1
    fi
    say applied
    if timeout "$(get limit)" cat "$state/decision" | grep -q keep; then
        : > "$state/confirmed"
        if said=$(sh "$0" keep "$state" 2>&1); then said=kept; else said="it works, but is not saved: $said"; fi
        rm -f "$state/watcher"
        say "$said"
        rm -f "$state/decision" "$state/result"
    else
        sh "$0" restore "$state"
        say reverted
        rm -rf "$state"
    fi
    ;;
apply) apply ;;
keep) keep ;;
restore) restore ;;
confirm)
    [ -p "$state/decision" ] || { echo "it was not confirmed in time, and is put back" >&2; exit 1; }
    timeout 5 sh -c 'echo keep > "$1"' sh "$state/decision" ||
        { echo "it was not confirmed in time, and is put back" >&2; exit 1; }
    said=$(timeout 60 cat "$state/result")
    [ "$said" = kept ] || { echo "$said" >&2; exit 1; }
    ;;
outcome)
    [ ! -p "$state/result" ] || timeout 60 cat "$state/result" || :
    ;;
leave)
    [ -e "$state/nic" ] || exit 0
    rm -f "$state/result"
    mkfifo "$state/result"
    alone undo "$state"
    said=$(timeout 90 cat "$state/result") || said="it did not answer"
    [ "$said" = restored ] || { echo "$said" >&2; exit 1; }
    # The last one takes the script along.
    rm -rf "$state"
    ! rmdir "$(dirname "$state")" 2>/dev/null || rm -f "$0"
    ;;
undo)
    if said=$(sh "$0" restore "$state" 2>&1); then said=restored; fi
    say "$said"
    ;;
esac
