# shellcheck shell=sh
# --- One environment, and all that are due.

# Takes the lock of an environment as `maquette` does, and removes what there is of it; the note goes last.
# $1: environment.NAME
remove() {
    note=$notes/$1 lock=$locks/$1 environment=${1#environment.}
    mkdir -p -m 755 -- "$locks" || return 1
    exec 9>>"$lock" || return 1
    # Somebody is at work in it: there is a next time.
    flock -n 9 || return 0
    [ "$(stat -c %i -- "$lock" 2>/dev/null)" = "$(stat -L -c %i /proc/self/fd/9)" ] || return 0
    printf '%s %s %s\n-\n' "$(date +%s)" $$ "the timer that removes expired environments" >"$lock"
    exec 8>>"$lock.busy"
    if ! flock -n 8; then
        rm -f -- "$lock"
        return 0
    fi
    # Somebody may have given it more time a moment ago.
    if is_over "$note"; then
        failed=0 stays=0 dead=
        bmcs=$bmc/$1
        # What they serve goes.
        if [ -f "$bmcs/bmc.sh" ]; then
            sh -eu "$bmcs/bmc.sh" stop "$bmcs" "maquette-bmc-$environment.service" || failed=1
        fi
        # What was killed in between has left no script: nothing was served yet, or nothing is any more.
        if [ $failed = 0 ]; then rm -rf -- "$bmcs" "${programs:?}/$1" || failed=1; fi
        # A list that cannot be had is not an empty one.
        { domains=$(virsh list --all --uuid) && networks=$(virsh net-list --all --uuid) && disks=$(files); } ||
            failed=1 domains=''
        for domain in $domains; do
            domain "$environment" "$domain"
            case $? in 0) ;; 2) stays=1 ;; *) failed=1 ;; esac
        done
        if [ $failed = 0 ]; then plugged=$(plugs) || failed=1; fi
        if [ $failed = 0 ]; then
            for network in $networks; do
                network "$environment" "$network"
                case $? in 0) ;; 2) stays=1 ;; *) failed=1 ;; esac
            done
        fi
        # Also where something stays: nobody is to go there any more.
        if ! close_forwarding "$environment"; then failed=1; fi
        if [ $failed = 0 ]; then
            case $stays in
            0) rm -f -- "$note.new" "$note" ;;
            *)
                sed 's/^expires /expired /' "$note" >"$note.new" && sync "$note.new" && mv -f -- "$note.new" "$note"
                ;;
            esac
        fi
    fi
    rm -f -- "$lock.busy" "$lock"
}

# Removes what is due, side by side: one whose pool does not answer takes as long as that may, and holds up no other.
once() {
    begun=0
    for note in "$notes"/environment.*; do
        mark=$locks/expired.${note##*/environment.}
        if [ ! -f "$note" ] || ! is_over "$note"; then
            rm -f -- "$mark"
        # For more there is a next look.
        elif was_over "$note" && [ $begun -lt 16 ]; then
            [ $begun != 0 ] || : >"$locks/silent"
            begun=$((begun + 1))
            {
                MAQUETTE_SILENT=$locks/silent sh "$0" remove "${note##*/}"
                is_over "$note" || rm -f -- "$mark"
            } &
        fi
    done
    wait
    if [ -e "$locks/silent" ]; then rm -f -- "$locks/silent"; fi
    # A look that was killed may have left a mark of what has gone.
    for mark in "$locks"/expired.*; do
        [ -f "$notes/environment.${mark##*/expired.}" ] || rm -f -- "$mark"
    done
    tell
}

# The same where nobody takes what it says.
logged() {
    if command -v logger >/dev/null 2>&1; then once 2>&1 | logger -t maquette-expire; else once; fi
}

case ${1-} in
remove) remove "$2" ;;
digest) digest "$2" ;;
once) once ;;
logged) logged ;;
loop)
    # One at a time, and none after this file has gone.
    mkdir -p -m 755 -- "$locks" || exit 1
    exec 7>"$locks/expire"
    # Whoever looks whether one runs takes this for a moment.
    flock -w 5 7 || exit 0
    while [ -f "$0" ]; do
        (exec 7>&- && logged)
        (exec 7>&- && sleep 30)
    done
    ;;
*)
    echo "usage: $0 once | logged | loop" >&2
    exit 2
    ;;
esac
