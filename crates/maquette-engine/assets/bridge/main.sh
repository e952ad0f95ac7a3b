# shellcheck shell=sh
# --- The change, and what becomes of it.

limit_of_change() { if is_managed; then echo $managed_limit; else echo $kernel_limit; fi; }

apply_join() {
    case $(get manager) in
    networkmanager) nm_join ;;
    networkd) networkd_join ;;
    *) kernel_join ;;
    esac
}
# Lines of the first file that are not in the second, whoever asked whether an address is somebody else's.
minus() {
    awk "$lines"'
        function key(line) { line = plain(line); gsub(/ nodad/, "", line); return line }
        FILENAME == ARGV[1] { there[key($0)]; next } !(key($0) in there)' "$2" "$1"
}
# What there was before, but for what has changed on the bridge since that was kept: an address that somebody has given it, or
# a lease, is the NIC's; one that he took away is nobody's. What routers tell comes by itself.
target_of_leaving() {
    bridge=$(get bridge) nic=$(get nic)
    rm -rf "${state:?}/target"
    # Somebody has taken the NIC out of the bridge already, in which something else is.
    if [ ! -e "/sys/class/net/$bridge/brif/$nic" ]; then take target "$nic"; return 0; fi
    cp -a "$state/before" "$state/target"
    exchanged with target.now "$bridge" "$nic" ''
    if [ -e "$state/kept" ]; then
        exchanged kept target.kept "$bridge" "$nic" ''
        for file in addresses4 addresses6 routes4 routes6 rules4 rules6 neighbours; do
            minus "$state/target.kept/$file" "$state/target.now/$file" > "$state/gone"
            minus "$state/target.now/$file" "$state/target.kept/$file" | grep -v -E ' (mngtmpaddr|proto (ra|kernel_ra))( |$)' > "$state/came" || :
            {
                minus "$state/before/$file" "$state/gone" | awk -v file="$file" '
                    FILENAME == ARGV[1] { came[$1]; next } file !~ /^addresses/ || !($1 in came)' "$state/came" -
                minus "$state/came" "$state/before/$file"
            } > "$state/target/$file"
        done
        return 0
    fi
    # It was kept by an older version, which did not note that.
    if ! grep -q ' valid_lft ' "$state/before/addresses4"; then return 0; fi
    for file in addresses4 routes4; do
        own=$(get address)
        grep -v -F -e "${own:-no address of our own} " "$state/target.now/$file" > "$state/target/$file" || :
    done
}
apply_leave() {
    case $(get manager) in
    networkmanager) nm_leave ;;
    networkd)
        networkd_forget
        target_of_leaving
        kernel_leave target strict
        networkctl reconfigure "$(get nic)"
        ;;
    *)
        target_of_leaving
        kernel_leave target strict
        ! differences target "$(get nic)" || { echo "not as before:" >&2; cat "$state/differences" >&2; return 1; }
        ;;
    esac
}
# What is kept only once it is confirmed.
finish_join() {
    take kept "$(get bridge)"
    case $(get manager) in
    networkmanager) nm_keep ;;
    networkd) networkd_keep ;;
    ifupdown) ifupdown_keep ;;
    esac
}
finish_leave() {
    case $(get manager) in
    networkmanager) nm_delete ;;
    esac
    ip link delete dev "$(get bridge)" 2>/dev/null || :
    # Last, since it may have to be left to somebody's hand.
    if [ "$(get manager)" = ifupdown ]; then ifupdown_forget; fi
}

# Confirmed: it stays.
conclude() {
    said=kept code=0
    was=$(get phase)
    out=$(timeout -k 5 60 sh "$state/script" finish "$state" 2>&1) || code=$?
    case $was in
    joining)
        put phase joined
        : > "$state/confirmed"
        [ $code = 0 ] || said="it works, but is not saved: $out"
        say "$said"
        tidy
        ;;
    leaving)
        if [ $code = 0 ]; then
            say "$said"
            forget
            # The last one takes the script along.
            ! rmdir "$(dirname "$state")" 2>/dev/null || rm -f "$(dirname "$(dirname "$state")")/bridge.sh"
        else
            put phase left
            say "$out"
            tidy
        fi
        ;;
    esac
}

# Makes the change, and keeps it or puts it back.
watch() {
    exec 8>> "$state/maker"
    # The guard of what was before looks for a moment whether all is well.
    flock -w 10 8 || exit 1
    i_am watcher
    put run "$$ $(started $$)"
    alone guard guard "$state" "$(get run)"
    timeout 15 cat "$state/armed" 8>&- | grep -q armed || {
        say "the way back could not be armed, so that nothing was changed"
        [ "$1" = leaving ] || forget
        exit 1
    }
    put phase "$1"
    # What it runs holds the lock, too: nobody puts back while something still changes.
    code=0
    said=$(timeout -k 5 "$(limit_of_change)" sh "$state/script" apply "$state" 2>&1) || code=$?
    if [ $code != 0 ]; then
        [ $code -lt 124 ] || said="it took longer than $(limit_of_change) s. $said"
        if there && back_once; then
            say "$said
everything is as it was before"
            rm -f "$state/result"
            settled
        else
            say "$said
It could not be put back yet, and is tried again and again ($(get trouble)). What was before is in $state on the hypervisor; \`sh $state/script undo $state\` there tries at once"
            put_back
        fi
        exit 1
    fi
    say applied
    if timeout "$(get limit)" cat "$state/decision" 8>&- | grep -q keep; then
        : > "$state/decided"
        conclude
    else
        rm -f "$state/decision"
        put_back
    fi
}
# Waits for whoever makes the change to end, or for far too long, and puts back what he has left.
guard() {
    i_am guard
    [ ! -p "$state/armed" ] || timeout 15 sh -c 'echo armed > "$1"' sh "$state/armed" || exit 0
    rm -f "$state/armed"
    exec 8>> "$state/maker"
    if ! flock -w $(($(limit_of_change) + $(get limit) + 60)) 8; then
        [ "$(get run)" = "$1" ] || exit 0
        end watcher
        flock -w 200 8 || :
    fi
    # Another run may have begun in the meantime, or all may be well.
    [ "$(get run)" = "$1" ] || exit 0
    case $(get phase) in joining | leaving) ;; *) exit 0 ;; esac
    # Killed while what was noted went, since all was as before.
    is_noted || { forget; exit 0; }
    if [ -e "$state/decided" ]; then conclude; else put_back; fi
}
# What a run that was interrupted has begun is ended by us.
take_over() {
    case $(get phase):$(! is_noted || echo noted) in
    joining:noted | leaving:noted) ;;
    *)
        # Who has kept it may still be telling that to somebody who died, or takes away what was noted.
        [ -e "$state/maker" ] || return 0
        exec 8>> "$state/maker"
        flock -w 60 8 || { echo "another run is changing $(get nic)" >&2; return 1; }
        exec 8>&-
        return 0
        ;;
    esac
    end watcher
    end guard
    exec 8>> "$state/maker"
    flock -w 200 8 || { echo "another run is changing $(get nic)" >&2; return 1; }
    if [ -e "$state/decided" ]; then conclude; return 0; fi
    # A NIC that is away may come again: what it had is kept, unless somebody wants it out for good.
    if ! { [ "$verb" = leave ] || there; } || ! back_once; then
        alone guard guard "$state" "$(get run)"
        echo "$(get nic) could not be put back from an earlier run: $(get trouble). What was before is in $state; \`sh $state/script undo $state\` tries again" >&2
        return 1
    fi
    settled
    exec 8>&-
}
# What the first release noted, in today's form.
adopt() {
    [ -e "$state/before.addresses4" ] && [ ! -e "$state/before" ] || return 0
    nic=$(get nic)
    mkdir -p "$state/before.new"
    for family in 4 6; do
        sed -e 's/^address replace //' -e 's/ dev @//' -e 's/ nodad//' "$state/before.addresses$family" > "$state/before.new/addresses$family"
        sed -e 's/^route replace //' -e "s/ dev @/ dev $nic/" "$state/before.routes$family" > "$state/before.new/routes$family"
        : > "$state/before.new/rules$family"
    done
    : > "$state/before.new/neighbours"
    : > "$state/before.new/nexthops"
    : > "$state/before.new/uppers"
    echo "mtu $(get mtu) up" > "$state/before.new/link"
    settle "$state/before.new"/*
    mv "$state/before.new" "$state/before"
    [ ! -e "$state/confirmed" ] || put phase joined
}
pipes() {
    rm -f "$state/decision" "$state/result" "$state/armed" "$state/decided"
    mkfifo "$state/decision" "$state/result" "$state/armed"
}
# The script, as this began: whoever has just taken the last bridge away may be at removing it.
[ ! -f "$0" ] || exec 7< "$0"
script_here() {
    cat "/proc/$$/fd/7" > "$state/script.new" && keep script || return
    [ -e "$0" ] || { cp "$state/script" "$0.new" && chmod 700 "$0.new" && settle "$0.new" && mv -f "$0.new" "$0"; }
}
ask() {
    exec 9>&-
    alone watcher watch "$state" "$1"
    said=$(timeout $(($(limit_of_change) + 200)) cat "$state/result") || said="it did not answer"
    [ "$said" = applied ] || { echo "$said" >&2; exit 1; }
}

# Whether a connection comes from one of this machine's own addresses, which proves nothing of how others reach it.
itself() {
    # shellcheck disable=SC2086
    set -- ${SSH_CONNECTION:-}
    [ $# = 4 ] || return 1
    [ "$1" != "$3" ] || return 0
    ip -o address show | awk -v client="${1#::ffff:}" '{ sub("/.*", "", $4) } $4 == client { own = 1 } END { exit !own }'
}
# Whether somebody has said by hand which station a gateway is: whatever happens, the kernel knows it then.
is_set() { ip neigh show "$1" dev "$2" | grep -q PERMANENT; }
# Whether a gateway answers on an interface: as a neighbour, since many answer nothing else.
answers() {
    for again in 1 2 3 4 5; do
        if is_set "$1" "$2"; then
            if ping -c 1 -W 1 -I "$2" "$1" >/dev/null 2>&1; then return 0; fi
            continue
        fi
        ip neigh del "$1" dev "$2" 2>/dev/null || :
        ip neigh replace "$1" dev "$2" nud none use 2>/dev/null || :
        if command -v ping >/dev/null; then ping -c 1 -W 1 -I "$2" "$1" >/dev/null 2>&1 || :; else sleep 1; fi
        if ip neigh show "$1" dev "$2" | grep -q -E 'lladdr .*(REACHABLE|DELAY|PROBE)'; then return 0; fi
    done
    [ "$again" = 0 ]
}
# $1: where they are noted  $2: the interface
gateways() {
    for family in 4 6; do
        sed -n '/^default /{s/\\/ /g;p;}' "$state/$1/routes$family" | awk -v nic="$2" '
            { for (i = 2; i < NF; i++) { if ($i == "via") gate = $(i + 1); if ($i == "dev" && $(i + 1) == nic && gate ~ /[.:]/) { print gate; gate = "" } } }'
    done | sort -u
}
# This machine cannot ask itself whether it is reached. Its gateway can tell, if it told before. Without one that
# answers nobody else is known to: a neighbour may be off by then for reasons of its own, and its silence would undo
# a change that works. Then the link has to be there if it was before. What is worse is seen by whoever is cut off,
# and the way back stays noted (`undo`).
reaches() {
    dev=$(get bridge)
    [ "$(get phase)" = joining ] || dev=$(get nic)
    [ -s "$state/gateways" ] || {
        [ "$(cat "/sys/class/net/$dev/carrier" 2>/dev/null || echo 0)" = 1 ] || [ "$(get carrier)" != 1 ] ||
            { echo "$dev has no link" >&2; return 1; }
        return 0
    }
    while read -r gateway; do
        if answers "$gateway" "$dev" </dev/null; then return 0; fi
    done < "$state/gateways"
    echo "no gateway answers on $dev ($(tr '\n' ' ' < "$state/gateways" | sed 's/ $//'))" >&2
    return 1
}
note_gateways() {
    gateways "$1" "$2" > "$state/gateways.all"
    : > "$state/gateways"
    [ "$3" = here ] || itself || return 0
    while read -r gateway; do
        if answers_now "$gateway" "$2" </dev/null; then echo "$gateway" >> "$state/gateways"; fi
    done < "$state/gateways.all"
}
# Nothing is taken away from what works for a question that comes before the change.
answers_now() {
    if command -v ping >/dev/null && timeout 3 ping -c 1 -W 1 -I "$2" "$1" >/dev/null 2>&1; then return 0; fi
    if is_set "$1" "$2"; then return 1; fi
    ip neigh show "$1" dev "$2" | grep -q lladdr || ip neigh replace "$1" dev "$2" nud none use 2>/dev/null || :
    for again in 1 2; do
        ! ip neigh show "$1" dev "$2" | grep -q -E 'lladdr .*(REACHABLE|DELAY|PROBE|STALE)' || return 0
        sleep 0.5
    done
    [ "$again" = 0 ]
}

# Whether a bridge is as it was to be.
is_done() {
    case $1 in
    joined) [ -e "$state/confirmed" ] && [ -e "/sys/class/net/$(get bridge)/brif/$(get nic)" ] ;;
    gone) [ ! -e "$state/nic" ] ;;
    *) return 1 ;;
    esac
}

case $verb in
# Before anything is planned: what would refuse a join, and what it would leave behind.
look)
    if why=$(objection "$4" "$3"); then echo "refused $why"; fi
    if rule=$(named_in_rules "$4"); then echo "rule $rule"; fi
    ;;
join)
    bridge=$3 nic=$4 stp=$5 address=$6 mtu=$7 limit=$8
    if [ -e "$state/confirmed" ] && [ -e "/sys/class/net/$bridge/brif/$nic" ]; then exit 0; fi
    mkdir -p "$state"
    exec 9> "$state/lock"
    flock -w 60 9 || { echo "another run is changing $nic" >&2; exit 1; }
    script_here
    adopt
    # What a run that was interrupted has begun, or a restart of the hypervisor has left of it.
    take_over
    if is_noted; then
        if [ -e "/sys/class/net/$(get bridge)" ] || [ "$(get manager)" != none ]; then
            # It was kept, and is not in the bridge: somebody has taken it out, and given it what it has.
            if [ -e "$state/confirmed" ] && [ ! -e "/sys/class/net/$(get bridge)/brif/$nic" ]; then put boot over; fi
            { there && put phase joining && back_once; } || { echo "$nic could not be put back: $(get trouble)" >&2; exit 1; }
        fi
    fi
    mkdir -p "$state"
    rm -f "$state/nic"
    find "$state" -mindepth 1 ! -name lock -delete
    exec 9> "$state/lock"
    flock -w 60 9 || exit 1
    script_here
    [ -e "/sys/class/net/$nic" ] || { echo "there is no NIC $nic" >&2; exit 1; }
    [ ! -e "/sys/class/net/$bridge" ] || { echo "$bridge exists already" >&2; exit 1; }
    [ ! -e "/sys/class/net/$nic/master" ] ||
        { echo "$nic is part of $(basename "$(readlink "/sys/class/net/$nic/master")") already" >&2; exit 1; }
    if why=$(objection "$nic" "$bridge"); then
        echo "$why" >&2
        exit 1
    fi
    put bridge "$bridge"
    put nic "$nic"
    put stp "$stp"
    put address "$address"
    put limit "$limit"
    put mac "$(cat "/sys/class/net/$nic/address")"
    put mtu "$(cat "/sys/class/net/$nic/mtu")"
    put wanted-mtu "${mtu:-$(get mtu)}"
    put carrier "$(cat "/sys/class/net/$nic/carrier" 2>/dev/null || echo 0)"
    put manager "$(manager "$nic")"
    put boot "$(cat /proc/sys/kernel/random/boot_id)"
    take before "$nic"
    note_gateways before "$nic" "${9:-}"
    pipes
    ask joining
    ;;
leave)
    if [ ! -e "$state/nic" ]; then
        # One that was killed before it had noted anything, or while that went; who has the lock is about to.
        [ -d "$state" ] || exit 0
        exec 9> "$state/lock"
        if flock -n 9 && [ ! -e "$state/nic" ]; then rm -rf "$state"; fi
        exit 0
    fi
    exec 9> "$state/lock"
    flock -w 60 9 || { echo "another run is changing $(get nic)" >&2; exit 1; }
    script_here
    adopt
    take_over
    [ -e "$state/nic" ] || exit 0
    bridge=$(get bridge) nic=$(get nic)
    put limit "${3:-$(get limit)}"
    # The NIC is gone, or nothing is in the bridge by now: a file may be all that is left.
    if [ "$(get phase)" = left ] || [ ! -e "/sys/class/net/$nic" ] || [ -z "$(ls "/sys/class/net/$bridge/brif" 2>/dev/null)" ]; then
        put phase leaving
        if [ ! -e "/sys/class/net/$bridge/brif/$nic" ] && [ "$(get manager)" = networkd ]; then networkd_forget; fi
        rm -f "$state/result"
        if ! out=$(sh "$state/script" finish "$state" 2>&1); then
            put phase left
            echo "$out" >&2
            exit 1
        fi
        conclude
        exit 0
    fi
    take with "$bridge"
    put boot "$(cat /proc/sys/kernel/random/boot_id)"
    note_gateways with "$bridge" "${4:-}"
    pipes
    ask leaving
    ;;
confirm | confirm-here)
    late="it was not confirmed in time, and is put back"
    case $(get phase) in
    '' | joined)
        # Nothing was to be done, or all was put back in the meantime.
        if is_done "${3:-}"; then exit 0; fi
        echo "$late" >&2
        exit 1
        ;;
    esac
    if itself; then verb=confirm-here; fi
    [ "$verb" = confirm ] || reaches
    [ -p "$state/decision" ] || { echo "$late" >&2; exit 1; }
    exec 8>> "$state/maker"
    timeout 5 sh -c 'echo keep > "$1"' sh "$state/decision" 8>&- || { echo "$late" >&2; exit 1; }
    said=$(timeout 60 cat "$state/result" 8>&-)
    # Whoever hears it may begin anew: the watcher has to be through with what was noted by then.
    flock -w 30 8 || :
    [ "$said" = kept ] || { echo "$said" >&2; exit 1; }
    ;;
outcome)
    # Out of the bridge, but for a file: nothing is put back.
    if [ "$(get phase)" = left ]; then echo left; exit 0; fi
    said=
    if [ -p "$state/result" ]; then
        exec 8>> "$state/maker"
        said=$(timeout 60 cat "$state/result" 8>&-) || :
        [ -z "$said" ] || printf '%s\n' "$said"
        flock -w 5 8 || :
    fi
    [ ! -s "$state/trouble" ] || get trouble
    # Whoever has put it back has just said so.
    [ -z "$said" ] || exit 0
    case $(get phase):${3:-} in
    :joined | joined:gone) is_done "$3" || [ -s "$state/trouble" ] || [ -e "$state/watcher" ] || echo reverted ;;
    esac
    ;;
watch) watch "$3" ;;
guard) guard "$3" ;;
apply)
    case $(get phase) in
    joining) apply_join ;;
    leaving) apply_leave ;;
    esac
    ;;
finish)
    case $(get phase) in
    joining) finish_join ;;
    leaving) finish_leave ;;
    esac
    ;;
undo)
    case $(get phase) in
    leaving) undo_leave ;;
    *) undo_join ;;
    esac
    ;;
esac
