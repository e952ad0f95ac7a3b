# Puts a NIC of the hypervisor into a bridge that takes over all it has, and takes it out again, without
# cutting whoever is connected through it. Commit or revert: two processes of their own on the hypervisor
# (on systemd, services) put everything back unless the change is confirmed in time, whatever happens to
# the connection, to whoever asked for it, or to one of the two. What is put back is compared with what
# was noted before, and what was noted is kept until both agree.
#
#   look STATE BRIDGE NIC                         tells what would keep it from joining, and changes nothing
#   join STATE BRIDGE NIC STP ADDRESS MTU LIMIT [here]   arms the way back and makes the change
#   leave STATE [LIMIT [here]]                    the same, for taking the NIC out again
#   confirm STATE joined|gone                     keeps either; `confirm-here` is for whoever asks on this very
#                                                 machine, as `here` says: it has to reach its gateway
#   outcome STATE [joined|gone]                   waits for what becomes of it
#   undo STATE                                    puts back, by hand, what could not be put back
#   watch, guard, apply STATE …                   the processes of their own, and what they run
#
# STATE is a directory of this bridge; what it holds is as much as is known of what was before. Its
# `phase` is joining, joined, leaving or left (out of the bridge, but a file needs somebody's hand).
# The parts are put together in the order base, kernel, networkd, ifupdown, networkmanager, undo, main.
# shellcheck shell=sh
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 077
verb=$1
state=$2
note="# Written by Maquette; it is taken away with the network."
# Seconds that the change may take; with a manager that has to hear of it, and without.
managed_limit=120
kernel_limit=30

get() { cat "$state/$1" 2>/dev/null || :; }
put() { printf '%s\n' "$2" > "$state/$1.new" && keep "$1"; }
# What was written as NAME.new is NAME, also through a power cut.
keep() {
    settle "$state/$1.new" && mv -f "$state/$1.new" "$state/$1"
}
settle() { sync "$@" 2>/dev/null || sync; }
# What is noted goes. Whoever is killed meanwhile leaves something without a NIC, which counts as nothing.
forget() { rm -f "$state/nic" && rm -rf "$state"; }
is_noted() { [ -s "$state/nic" ] && [ -e "$state/before" ]; }
# What is said to the other side of a pipe, should there be one.
say() {
    [ -p "$state/result" ] || return 0
    timeout "${2:-10}" sh -c 'printf "%s\n" "$2" > "$1"' sh "$state/result" "$1" 2>/dev/null 8>&- || :
}
log() {
    printf '%s %s\n' "$(date '+%F %T')" "$*" >> "$state/log" 2>/dev/null || :
    if command -v logger >/dev/null; then logger -t maquette-bridge -p daemon.err -- "$*" 2>/dev/null || :; fi
}
# A file as a whole or not at all, also through a power cut; what is read comes from standard input.
write_file() {
    target=$(readlink -f "$1" 2>/dev/null || echo "$1")
    temporary=$(dirname "$target")/.$(basename "$target").maquette
    rm -f "$temporary"
    if [ -e "$target" ]; then cp -p "$target" "$temporary"; else (umask 022 && : > "$temporary"); fi
    cat > "$temporary" && settle "$temporary" && mv -f "$temporary" "$target"
}

# Processes are known by number and start time: a number alone may be somebody else's by now.
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }
i_am() { put "$1" "$$ $(started $$)"; }
alive() {
    pid='' since=''
    read -r pid since 2>/dev/null < "$state/$1" || return 1
    [ -n "$since" ] && [ "$(started "$pid")" = "$since" ] &&
        tr '\0' '\n' < "/proc/$pid/cmdline" | grep -qxF -- "$state"
}
end() { if [ -e "$state/$1" ] && alive "$1"; then kill -KILL "$pid" 2>/dev/null || :; fi; }

# Runs this script as a process that nobody's leaving ends; systemd starts a guard again that is killed.
alone() {
    role=$1
    shift
    if [ -d /run/systemd/system ]; then
        restart=no
        [ "$role" != guard ] || restart=on-failure
        ! systemd-run --quiet --collect --unit="maquette-bridge-$(get bridge)-$role-$$" \
            --property=Restart=$restart --property=RestartSec=1 -- sh "$state/script" "$@" 8>&- 9>&- || return 0
    fi
    setsid sh "$state/script" "$@" </dev/null >>"$state/log" 2>&1 8>&- 9>&- &
}

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
is_managed() { case $(get manager) in networkmanager | networkd) return 0 ;; *) return 1 ;; esac; }

# A DHCP client that keeps a NIC's addresses, and would take them back from the bridge at its next renewal: managers are told
# of the change, and dhclient goes along. What it is called and its number; 1 if there is none.
foreign_client() {
    own=$(readlink /proc/self/ns/net)
    for process in /proc/[0-9]*; do
        { read -r name < "$process/comm"; } 2>/dev/null || continue
        case $name in dhcpcd | udhcpc | udhcpc6 | dhcp6c | pump) ;; *) continue ;; esac
        [ "$(readlink "$process/ns/net" 2>/dev/null)" = "$own" ] || continue
        named=''
        for word in $(tr '\0' ' ' < "$process/cmdline" 2>/dev/null); do
            word=${word#--interface=}
            word=${word#-i}
            case $word in '' | . | .. | */*) continue ;; esac
            [ ! -e "/sys/class/net/$word" ] || named="$named $word"
        done
        case "$named " in
        *" $1 "*) ;;
        ' ')
            # One that names no interface keeps the first, or all that have leases.
            case $name in
            udhcpc*) [ "$1" = eth0 ] || continue ;;
            *) ip -o address show dev "$1" | grep -q ' dynamic ' || continue ;;
            esac
            ;;
        *) continue ;;
        esac
        echo "$name (process ${process#/proc/})"
        return 0
    done
    return 1
}

# firewalld's zone of an interface; one that is in none is in the default zone.
zone_of() { firewall-cmd --get-zone-of-interface="$1" 2>/dev/null || firewall-cmd --get-default-zone 2>/dev/null; }
# firewalld's zone of a NIC, if that is not the one that its bridge would be in: what comes in would be judged by other rules.
# A zone of NetworkManager's profile goes along.
# $1: the NIC  $2: the bridge
lost_zone() {
    if ! command -v firewall-cmd >/dev/null || ! firewall-cmd --state >/dev/null 2>&1; then return 1; fi
    zone=$(zone_of "$1") || return 1
    [ "$zone" != "$(zone_of "$2")" ] || return 1
    if [ "$(manager "$1")" = networkmanager ]; then
        profile=$(nmcli -g GENERAL.CON-UUID device show "$1" 2>/dev/null) || profile=
        [ -z "$profile" ] || [ "$(nmcli -g connection.zone connection show "$profile" 2>/dev/null)" != "$zone" ] || return 1
    fi
    echo "$zone"
}

# What keeps a NIC from being put into a bridge, in words; 1 if there is nothing.
# $1: the NIC  $2: the bridge
objection() {
    case $(manager "$1") in
    none | ifupdown)
        if client=$(foreign_client "$1"); then
            echo "$client keeps the addresses of $1, and would take them back from the bridge; nothing was changed. Let NetworkManager, systemd-networkd or dhclient have $1, or give it a fixed address"
            return 0
        fi
        ;;
    esac
    if zone=$(lost_zone "$1" "$2"); then
        echo "$1 is in firewalld's zone $zone, and bridge $2 would be in another; nothing was changed. \`firewall-cmd --permanent --zone=$zone --add-interface=$2\` and \`firewall-cmd --reload\` put it there"
        return 0
    fi
    return 1
}

# The first rule of the hypervisor's own firewall that names a NIC: what comes in by the bridge is not judged by it. Rules of
# firewalld go by zones, and ours by the NIC, which stays a port.
named_in_rules() {
    rule=$(nft list ruleset 2>/dev/null | awk -v nic="\"$1\"" '
        $1 == "table" { own = ($3 == "firewalld" || index($3, "maquette-") == 1) }
        !own && index($0, nic) { sub(/^[ \t]+/, ""); print; exit }') || :
    [ -n "$rule" ] || rule=$(iptables-save 2>/dev/null | grep -E -m 1 -e " -[io] $1( |\$)") || :
    [ -n "$rule" ] && printf '%s\n' "$rule"
}
