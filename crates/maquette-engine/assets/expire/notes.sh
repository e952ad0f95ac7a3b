# shellcheck shell=sh
# --- Notes of how long environments last, and whom they are told.

# One of the values of a note.
# $1: the note  $2: its name
value() { sed -n "s/^$2 //p" "$1" 2>/dev/null | head -n 1; }

# Whether a note says that the time of its environment is up: it names the environment, and a second that is past.
# $1: the note
is_over() {
    [ "$(value "$1" environment)" = "${1##*/environment.}" ] || return 1
    at=$(value "$1" expires)
    case $at in '' | *[!0-9]*) return 1 ;; esac
    [ "$(date +%s)" -ge "$at" ]
}

# Whether that was so at an earlier look, too. The clock of a machine that has just started or woken up may be ahead until
# it hears what time it is: how long ago the earlier look was is told by how long the machine has run.
# $1: the note
was_over() {
    mark=$locks/expired.${1##*/environment.}
    at=$(value "$1" expires)
    read -r up _ </proc/uptime
    up=${up%.*} since=
    if [ -f "$mark" ] && read -r before since <"$mark" && [ "$before" = "$at" ] && [ "$up" -ge "$since" ] 2>/dev/null; then
        [ $((up - since)) -ge "$apart" ]
        return
    fi
    mkdir -p -m 755 -- "$locks" && printf '%s %s\n' "$at" "$up" >"$mark"
    return 1
}

# Tells whoever logs in at this machine which environments go soon, where PAM shows what is in /run/motd.d. Soon is what it
# is to `maquette`: an hour, or a tenth of the time if that is more; half of it if it is not much longer than an hour.
tell() {
    now=$(date +%s) text=
    for note in "$notes"/environment.*; do
        at=$(value "$note" expires) ttl=$(value "$note" ttl) soon=3600
        case $at in '' | *[!0-9]*) continue ;; esac
        case $ttl in
        '' | *[!0-9]*) ;;
        *)
            if [ $((ttl / 2)) -lt $soon ]; then soon=$((ttl / 2)); fi
            if [ $((ttl / 10)) -gt $soon ]; then soon=$((ttl / 10)); fi
            ;;
        esac
        left=$((at - now))
        if [ $left -le 0 ] || [ $left -gt $soon ]; then continue; fi
        owner=$(value "$note" owner | tr -d '\000-\037\177')
        # Whoever reads this is in no directory of it.
        name=${note##*/environment.}
        extend="maquette extend --prefix $name"
        [ "$name" != default ] || extend="maquette extend"
        text="$text
Maquette removes environment $name${owner:+ of $owner} in $(((left + 59) / 60)) min, with all data on its
disks; \`$extend\` gives it more time."
    done
    if [ -z "$text" ]; then
        rm -f -- "$motd/maquette"
        return
    fi
    mkdir -p -m 755 -- "$locks" "$motd" || return
    printf '%s\n\n' "$text" >"$locks/motd" && sync "$locks/motd" && mv -f -- "$locks/motd" "$motd/maquette"
}
