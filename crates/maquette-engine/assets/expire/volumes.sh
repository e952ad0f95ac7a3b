# shellcheck shell=sh
# --- Volumes, and who has them or something over them.

# Who have a volume, or an overlay of it that a snapshot made: `x.SNAPSHOT` is that of `x.qcow2`. UUIDs of domains; behind one
# there is a `/` if that has only something over the volume, as a linked clone is, and so there is behind `volume:NAME`.
# $1: volume  $2: the UUID of the domain whose record names it, which does not count, or nothing
user() {
    printf '%s\n' "$disks" | stem=${1%.*}. ending=.${1##*.} own=$2 awk '
        index(substr($0, length($1) + 2), ENVIRON["stem"]) != 1 { next }
        { who = $1; over = sub(/\/$/, "", who) }
        who == ENVIRON["own"] { next }
        # An overlay that a snapshot has made goes with the volume.
        sub(/^volume:/, "", who) && index(who, ENVIRON["stem"]) == 1 && \
            substr(who, length(who) - length(ENVIRON["ending"]) + 1) != ENVIRON["ending"] { next }
        !over { print $1 }
        over { clones = clones $1 "\n" }
        END { printf "%s", clones }'
}

# Records that a volume stays for what others have over it; `maquette image prune` removes it once there is nothing.
# $1: pool  $2: volume
keep() {
    path=$(virsh vol-path --pool "$1" "$2") || return 1
    record=$images/$(printf %s "$path" | sha256sum | cut -c 1-32)
    mkdir -p -m 755 -- "$images" && printf '%s\ndisk\n' "$path" >"$record.new" && sync "$record.new" &&
        mv -f -- "$record.new" "$record"
}

# Deletes overlays of a volume: files called like it, with a snapshot's name in the place of its ending. What ends like a
# volume may be that of another node.
# $1: pool  $2: volume
overlays() {
    named=$(virsh vol-list --pool "$1") || return 1
    # A name may have blanks in it; what follows it ends with it.
    printf '%s\n' "$named" | sed -n 's|^ *\([^ ].*\)  */.*/\1 *$|\1|p' | while IFS= read -r overlay; do
        case $overlay in
        # Another volume, or a copy that somebody has put aside.
        *."${2##*.}" | "$2".*) ;;
        "${2%.*}".?*) virsh vol-delete --pool "$1" "$overlay" >/dev/null || exit 1 ;;
        esac
    done
}

# Deletes a volume, if its name says whose it is: whatever a record names, nothing else goes. Between the name of the node
# and the ending there is the key of a disk. One that a domain has besides stays.
# $1: pool  $2: volume  $3: the node  $4: the UUID of its domain, or nothing  $5: the pool that its disk names, or nothing
delete() {
    case $2 in
    "$3"-seed.img) ;;
    "$3"-?*.qcow2)
        key=${2#"$3"-}
        case ${key%.qcow2} in [!A-Za-z0-9]* | *[!A-Za-z0-9_-]*) return 0 ;; esac
        ;;
    *) return 0 ;;
    esac
    holder=$(user "$2" "$4" | while IFS= read -r each; do
        # What was looked at before this removal began has domains that it has removed since.
        case $each in volume:*) ;; *) ! is_gone list "${each%/}" || continue ;; esac
        printf '%s\n' "$each"
        break
    done)
    if [ -z "$holder" ] && [ -n "$4" ]; then overlays "$1" "$2" || return 1; fi
    if ! said=$(virsh vol-info --pool "$1" "$2" 2>&1); then
        # Anything else is no answer, and the record has to stay.
        case $said in *'volume not found'*) return 0 ;; esac
        printf '%s\n' "$said" >&2
        return 1
    fi
    case $holder in
    '') ;;
    volume:*) who="volume ${holder#volume:}" who="${who%/} is over it" ;;
    *)
        who="domain $(virsh domname "${holder%/}" 2>/dev/null || echo "${holder%/}")"
        case $holder in */) who="$who has a clone of it" ;; *) who="$who has it" ;; esac
        ;;
    esac
    if [ -n "$holder" ]; then
        echo "volume $2 stays: $who"
        # Images are pruned in the environment's pool.
        case $holder$5 in */) keep "$1" "$2" ;; esac
        return
    fi
    virsh vol-delete --pool "$1" "$2" >/dev/null
}
