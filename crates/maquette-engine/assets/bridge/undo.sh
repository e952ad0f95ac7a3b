# shellcheck shell=sh
# --- The way back: into the bridge again, or out of it, as it was noted before.

# Managers take a moment, and choose some numbers themselves: what they have done counts, once nothing is lacking
# by which the machine was reached. What they cannot get again, as a lease from a server that is silent, is given
# by hand until they get it; whether it stays is for the next try to see.
settles() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        if nm_has "$2" && ! differences "$1" "$2"; then return 0; fi
        sleep 1 8>&-
    done
    if ! lacks "$1" "$2" && nm_has "$2"; then return 0; fi
    { echo "$(get manager) has not given $2 all it had; by hand it is given:"; cat "$state/lacking"; } >&2
    give_missing "$1" "$2"
    : > "$state/by-hand"
    return 1
}
# Nobody asks the manager anew, which would take away what is there, where nothing is lacking.
stays() { [ -e "$state/by-hand" ] && nm_has "$2" && ! lacks "$1" "$2"; }
# Whether the kernel has nothing of the change any more, since the machine was started again: what the NIC has now is what
# somebody or something gave it since then.
is_over() {
    was=$(get boot)
    [ -n "$was" ] && [ "$was" != "$(cat /proc/sys/kernel/random/boot_id)" ]
}
undo_files_of_join() {
    case $(get manager) in
    networkmanager) nm_delete || : ;;
    networkd) networkd_forget ;;
    ifupdown) ifupdown_forget ;;
    esac
    [ -n "$(ls "/sys/class/net/$(get bridge)/brif" 2>/dev/null)" ] || ip link delete dev "$(get bridge)" 2>/dev/null || :
}
undo_files_of_leave() {
    [ ! -e "/sys/class/net/$(get bridge)/brif/$(get nic)" ] || return 0
    case $(get manager) in
    networkmanager) nm_up || echo "NetworkManager has not started the bridge's profiles" >&2 ;;
    networkd)
        networkd_unforget
        networkctl reload || :
        networkctl reconfigure "$(get nic)" "$(get bridge)" || :
        ;;
    esac
}
undo_join() {
    nic=$(get nic)
    [ -e "/sys/class/net/$nic" ] || { ip link delete dev "$(get bridge)" 2>/dev/null || :; return 0; }
    if is_over && [ ! -e "/sys/class/net/$(get bridge)/brif/$nic" ]; then undo_files_of_join; return 0; fi
    ! stays before "$nic" || return 0
    case $(get manager) in
    networkmanager) nm_forget || echo "NetworkManager has not started the profile $(get profile)" >&2 ;;
    networkd)
        networkd_forget
        kernel_leave before
        networkctl reconfigure "$nic" || :
        ;;
    ifupdown)
        ifupdown_forget
        kernel_leave before
        ;;
    *) kernel_leave before ;;
    esac
    if is_managed; then
        settles before "$nic" || return 1
    elif differences before "$nic"; then
        cat "$state/differences" >&2
        return 1
    fi
}
# Into the bridge again, as it was before somebody wanted to leave.
undo_leave() {
    bridge=$(get bridge) nic=$(get nic)
    [ -e "/sys/class/net/$nic" ] || return 0
    if is_over; then undo_files_of_leave; return 0; fi
    [ ! -e "/sys/class/net/$bridge/brif/$nic" ] || ! stays with "$bridge" || return 0
    case $(get manager) in
    networkmanager)
        nm_up || echo "NetworkManager has not started the bridge's profiles" >&2
        settles with "$bridge" || return 1
        return 0
        ;;
    networkd) networkd_unforget ;;
    esac
    {
        [ -e "/sys/class/net/$bridge" ] ||
            echo "link add $bridge address $(get mac) mtu $(get wanted-mtu) type bridge stp_state $(get stp) forward_delay 0"
        echo "link set $bridge up"
        echo "link set $nic $(cat "$state/with/link") master $bridge"
        ! [ -s "$state/with/uppers" ] || sed 's/^/link set /' "$state/with/uppers"
        echo "address flush dev $nic scope global"
    } > "$state/batch.undo"
    try_batch -d "$state/batch.undo"
    ip -4 address flush dev "$nic" 2>/dev/null || :
    give with "$bridge" all
    [ -e "/sys/class/net/$bridge/brif/$nic" ] || { echo "$nic is not in $bridge" >&2; return 1; }
    if is_managed; then
        networkctl reload || :
        networkctl reconfigure "$nic" "$bridge" || :
        settles with "$bridge" || return 1
    elif differences with "$bridge"; then
        cat "$state/differences" >&2
        return 1
    fi
    move_dns "$nic" "$bridge"
    move_dhclient "$nic" "$bridge"
}

# One attempt, by a process of its own, since it may fail or hang.
back_once() {
    code=0
    timeout -k 5 180 sh "$state/script" undo "$state" > "$state/trouble.new" 2>&1 || code=$?
    mv -f "$state/trouble.new" "$state/trouble"
    return $code
}
# A NIC may be away for a moment, as while its driver is loaded anew: nothing can be given back then, and nothing is forgotten.
# Whoever asks by hand, or for the next change, knows whether it comes again.
there() {
    [ ! -e "/sys/class/net/$(get nic)" ] || return 0
    echo "there is no NIC $(get nic)" > "$state/trouble"
    return 1
}
put_back() {
    pause=1
    until there && back_once; do
        # Somebody has taken away what was noted, and all that could be done with it.
        is_noted || exit 1
        log "$(get nic) and $(get bridge) are not as before yet; the next try is in $pause s. What was before is in $state; \`sh $state/script undo $state\` tries at once. $(get trouble)"
        # Nobody holds anything while he sleeps: should he be killed, another goes on at once.
        sleep "$pause" 8>&-
        pause=$((pause * 2))
        [ "$pause" -le 300 ] || pause=300
    done
    settled
}
# Everything is as before: of joining nothing is left, of leaving the bridge.
settled() {
    if [ "$(get phase)" = leaving ]; then
        put phase joined
        say reverted
        tidy
    else
        say reverted
        forget
    fi
}
tidy() { rm -rf "$state/run" "$state/decided" "$state/watcher" "$state/guard" "$state/decision" "$state/result" "$state/armed" "$state/trouble" "$state/with" "$state/target" "$state/target.now" "$state/target.kept" "$state/gone" "$state/came" "$state/by-hand" "$state/aside" "$state"/batch*; }
