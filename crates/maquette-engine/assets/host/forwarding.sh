# Has the key of an environment's workspace open this machine for connections to nodes, and for nothing else: a line of a
# user's authorized_keys. What was made is recorded before.
# Before this there is `edit`, what is done with that user's rights.
# For tests, the directory of records may be given in MAQUETTE_FORWARDING, and for how many seconds a home directory may be
# silent in MAQUETTE_HOME_ANSWERS.
forwarding=${MAQUETTE_FORWARDING:-/var/lib/maquette/forwarding}

# Runs a program that asks a home directory, which may be on a server that does not answer any more. Others wait for the lock
# of the records for longer.
at_home() { timeout -k 5 "${MAQUETTE_HOME_ANSWERS:-20}" "$@"; }

# One of the values of a record.
# $1: the record  $2: its name
forwarding_value() { sed -n "s/^$2 //p" "$1" 2>/dev/null | head -n 1; }

# Runs `edit`. The file is the user's, who may have made it a link to anything.
# $1: the user  $2…: its arguments
as_user() {
    own=$(id -u -- "$1") || return 1
    group=$(id -g -- "$1") || return 1
    shift
    ended=0
    # shellcheck disable=SC2154 # it is before this
    if [ "$own" = "$(id -u)" ]; then
        at_home sh -euc "$edit" sh "$@" || ended=$?
    else
        at_home setpriv --reuid="$own" --regid="$group" --init-groups -- sh -euc "$edit" sh "$@" || ended=$?
    fi
    case $ended in 124 | 137) echo "what holds $2 does not answer" >&2 ;; esac
    return "$ended"
}

# What a line ends with, as a pattern: the key, since another machine's lines may be called the same, and whose it is.
# $1: the line
forwarding_end() {
    rest=${1% *}
    printf '%s %s\n' "${rest##* }" "${1##* }" | sed 's/[.]/[.]/g'
}

# Takes away what is recorded; the record goes last. Whoever calls this has the lock.
# $1: the environment
forget_forwarding() {
    record=$forwarding/environment.$1
    whose=$(forwarding_value "$record" user)
    # Nobody logs in any more as a user who is gone.
    if [ -n "$whose" ] && id -u -- "$whose" >/dev/null 2>&1; then
        as_user "$whose" close "$(forwarding_value "$record" file)" \
            "$(forwarding_end "$(forwarding_value "$record" line)")" "$(forwarding_value "$record" made)" \
            "$(forwarding_value "$record" home)" || {
            echo "the line may be there still, and is remembered in $record; where it is known to be gone, remove that file" >&2
            return 1
        }
    fi
    rm -f -- "$record.new" "$record"
}

# $1: the environment
close_forwarding() {
    [ -d "$forwarding" ] || return 0
    (
        flock -w 60 6 || exit 1
        forget_forwarding "$1"
    ) 6<"$forwarding"
}

# Ends with 3 where the file cannot be changed, or the SSH server reads another one.
# $1: the environment  $2: the user  $3: type and key
open_forwarding() {
    home=$(getent passwd "$2" | cut -d : -f 6)
    if [ -z "$home" ] || ! at_home test -d "$home"; then
        echo "user $2 has no home directory there, or it does not answer" >&2
        return 3
    fi
    file=$home/.ssh/authorized_keys
    reads=$(sshd -T -C "user=$2,host=localhost,addr=127.0.0.1" 2>/dev/null | sed -n 's/^authorizedkeysfile //p') || :
    case " ${reads:-%h/.ssh/authorized_keys} " in
    *' .ssh/authorized_keys '* | *' %h/.ssh/authorized_keys '* | *" $file "*) ;;
    *)
        echo "the SSH server there reads the keys of $2 from $reads, and not from $file" >&2
        return 3
        ;;
    esac
    # Ports of SSH servers only. This also keeps it from sockets of programs, which lead to more than nodes; what it could
    # listen on is of no use.
    line="restrict,port-forwarding,permitopen=\"*:22\",permitlisten=\"localhost:1\""
    line="$line,command=\"echo This key of Maquette only leads to nodes.; exit 1\""
    # Other machines may have the same home directory.
    line="$line $3 maquette:$1@$(uname -n | tr -cd 'A-Za-z0-9._-')"
    mkdir -p -m 700 -- "$forwarding"
    (
        flock -w 60 6 || exit 1
        record=$forwarding/environment.$1
        if [ -f "$record" ] && [ "$(sed '/^made /d; /^home /d' "$record")" != "$(printf 'user %s\nfile %s\nline %s\n' "$2" "$file" "$line")" ]; then
            forget_forwarding "$1" || exit 3
        fi
        if [ ! -f "$record" ]; then
            seen=$(as_user "$2" look "$file") || exit 3
            printf 'user %s\nfile %s\nline %s\nmade %s\nhome %s\n' "$2" "$file" "$line" "${seen% *}" "${seen#* }" >"$record.new"
            sync -- "$record.new"
            mv -f -- "$record.new" "$record"
            sync -- "$forwarding"
        fi
        as_user "$2" open "$file" "$(forwarding_end "$line")" "$line" "${3#* }" || exit 3
    ) 6<"$forwarding"
}
