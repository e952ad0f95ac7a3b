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
nm_up() {
    nm connection up "maquette-$(get nic)" >/dev/null
    nm connection up "maquette-$(get bridge)" >/dev/null
}
nm_keep() {
    # A change that is not temporary saves the profile.
    for name in "maquette-$(get bridge)" "maquette-$(get nic)"; do
        nm connection modify "$name" connection.autoconnect yes
    done
}
# The NIC's own profile again. Ours stay until that is confirmed.
nm_leave() {
    if [ -n "$(get profile)" ]; then
        nm connection up "$(get profile)" >/dev/null
    else
        nm connection down "maquette-$(get nic)" >/dev/null
    fi
    nm connection down "maquette-$(get bridge)" >/dev/null 2>&1 || :
}
nm_delete() {
    for name in "maquette-$(get nic)" "maquette-$(get bridge)"; do
        nm connection delete "$name" >/dev/null 2>&1 || :
    done
    ip link delete dev "$(get bridge)" 2>/dev/null || :
}
nm_forget() {
    nm_delete
    [ -z "$(get profile)" ] || nm connection up "$(get profile)" >/dev/null
}
