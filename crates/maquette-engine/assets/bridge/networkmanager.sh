# shellcheck shell=sh
# --- NetworkManager makes the change itself, with profiles that it does not save before it is confirmed.

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
    nm_up
}
nm_up() { nm connection up "$(nm_id "maquette-$(get nic)")" >/dev/null && nm connection up "$(nm_id "maquette-$(get bridge)")" >/dev/null; }
# Whether NetworkManager is through with an interface: until then it may still take away what that has.
nm_has() {
    [ "$(get manager)" = networkmanager ] && { [ "$1" != "$(get nic)" ] || [ -n "$(get profile)" ]; } || return 0
    case $(nmcli -g GENERAL.STATE device show "$1" 2>/dev/null) in 100*) return 0 ;; *) return 1 ;; esac
}
# A profile as it is, without what changes by itself. Whoever edits it may have given it another name, too.
nm_look() { nmcli -t -f profile connection show "$1" 2>/dev/null | grep -v '^connection\.timestamp:'; }
nm_id() {
    id=$(sed -n 's/^connection\.uuid://p' "$state/nm.$1" 2>/dev/null || :)
    echo "${id:-$1}"
}
# A later NetworkManager may know more of each setting; an edit changes what there was, or brings a new setting.
nm_edited() {
    [ -s "$state/nm.$1" ] || return 1
    id=$(nm_id "$1")
    # What was written into its file counts as well.
    file=$(nmcli -e no -t -f UUID,FILENAME connection show 2>/dev/null | sed -n "s/^$id://p")
    case $file in /etc/*) nm connection load "$file" >/dev/null 2>&1 || : ;; esac
    nm_look "$id" | awk '
        { at = index($0, ":"); name = substr($0, 1, at - 1); part = name; sub(/\..*/, "", part) }
        FILENAME == ARGV[1] { was[name] = $0; parts[part]; next }
        name in was ? $0 != was[name] : !(part in parts) { edited = 1 }
        END { exit !edited }' "$state/nm.$1" -
}
nm_keep() {
    # A change that is not temporary saves the profile.
    for name in "maquette-$(get bridge)" "maquette-$(get nic)"; do
        nm connection modify "$name" connection.autoconnect yes
        nm_look "$name" > "$state/nm.$name.new"
        keep "nm.$name"
    done
}
# The NIC's own profile again. Ours stay until that is confirmed.
nm_leave() {
    if [ -n "$(get profile)" ]; then
        nm connection up "$(get profile)" >/dev/null
    else
        nm connection down "$(nm_id "maquette-$(get nic)")" >/dev/null
    fi
    nm connection down "$(nm_id "maquette-$(get bridge)")" >/dev/null 2>&1 || :
}
# A profile that somebody edited since stays, but no longer starts by itself: without the other one it would take
# the NIC away. Said once; it is his from then on.
nm_delete() {
    code=0
    for name in "maquette-$(get nic)" "maquette-$(get bridge)"; do
        [ ! -e "$state/nm.$name.edited" ] || continue
        id=$(nm_id "$name")
        if nm_edited "$name"; then
            nm connection modify "$id" connection.autoconnect no connection.id "$name.edited" >/dev/null
            : > "$state/nm.$name.edited"
            said="NetworkManager's profile $name ($id) was edited since $(get bridge) was made, so that it is kept as $name.edited; it no longer starts by itself. Take over what you need of it (\`nmcli connection show $id\`) into the profile of $(get nic), then \`nmcli connection delete $id\`; what is being done here can be run again at once"
            log "$said"
            echo "$said"
            code=1
        else
            nm connection delete "$id" >/dev/null 2>&1 || :
        fi
    done
    ip link delete dev "$(get bridge)" 2>/dev/null || :
    return $code
}
nm_forget() {
    nm_delete || :
    [ -z "$(get profile)" ] || nm connection up "$(get profile)" >/dev/null
}
