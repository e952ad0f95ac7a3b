# shellcheck shell=sh
# --- systemd-networkd makes the change itself. Until it is confirmed, the files are where a restart of the
# hypervisor forgets them. They come before the NIC's own (also netplan's), which stay as they are.

networkd_file() {
    command -v networkctl >/dev/null || return 1
    file=$(networkctl status "$1" 2>/dev/null | sed -n 's/^ *Network File: *\(\/.*\)/\1/p')
    [ -n "$file" ] && [ -r "$file" ] && echo "$file"
}
networkd_names() { echo "05-maquette-$(get bridge).netdev 05-maquette-$(get bridge).network 05-maquette-$(get nic).network"; }
networkd_files() {
    bridge=$(get bridge) nic=$(get nic) directory=$1
    mkdir -p "$directory" "$state/ours"
    {
        printf '%s\n[NetDev]\nName=%s\nKind=bridge\nMACAddress=%s\n' "$note" "$bridge" "$(get mac)"
        printf '[Bridge]\nSTP=%s\nForwardDelaySec=0\n' "$(get stp)"
    } > "$state/ours/05-maquette-$bridge.netdev"
    {
        printf '%s\n[Match]\nName=%s\n[Network]\nBridge=%s\nLinkLocalAddressing=no\n' "$note" "$nic" "$bridge"
        [ "$(get mtu)" = "$(get wanted-mtu)" ] || printf '[Link]\nMTUBytes=%s\n' "$(get wanted-mtu)"
    } > "$state/ours/05-maquette-$nic.network"
    {
        printf '%s\n[Match]\nName=%s\n' "$note" "$bridge"
        [ -z "$(get address)" ] || printf '[Address]\nAddress=%s\n' "$(get address)"
        awk '/^\[/ { match_section = ($0 == "[Match]") } !match_section' "$state/networkd.file"
    } > "$state/ours/05-maquette-$bridge.network"
    settle "$state/ours"/*
    for name in $(networkd_names); do
        if [ "${2:-}" = missing ] && [ -e "$directory/$name" ]; then continue; fi
        write_file "$directory/$name" < "$state/ours/$name"
    done
}
networkd_apply() { networkctl reload && networkctl reconfigure "$@"; }
networkd_join() {
    [ -s "$state/networkd.file" ] || { cp "$(networkd_file "$(get nic)")" "$state/networkd.file.new" && keep networkd.file; }
    kernel_join
    networkd_files /run/systemd/network
    networkd_apply "$(get nic)" "$(get bridge)"
}
networkd_keep() {
    networkd_files /etc/systemd/network
    for name in $(networkd_names); do rm -f "/run/systemd/network/$name"; done
    networkctl reload
}
# A file that somebody edited since is put aside, under a name that is not read and was nobody's.
networkd_forget() {
    for name in $(networkd_names); do
        for directory in /run/systemd/network /etc/systemd/network; do
            [ -e "$directory/$name" ] || continue
            if [ ! -e "$state/ours/$name" ] || cmp -s "$state/ours/$name" "$directory/$name"; then
                rm -f "$directory/$name"
            else
                aside=$directory/$name.edited number=1
                while [ -e "$aside" ]; do number=$((number + 1)) aside=$directory/$name.edited.$number; done
                echo "$directory/$name $aside" >> "$state/aside"
                mv "$directory/$name" "$aside"
                log "$directory/$name was edited since; it is kept as $aside"
            fi
        done
    done
    networkctl reload || :
}
# As it was before somebody wanted to leave, with what was edited.
networkd_unforget() {
    if [ -e "$state/aside" ]; then
        while read -r name aside; do [ ! -e "$aside" ] || mv -f "$aside" "$name"; done < "$state/aside"
    fi
    networkd_files /etc/systemd/network missing
}
