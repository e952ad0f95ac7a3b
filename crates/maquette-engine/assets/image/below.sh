# What files are over: as qcow2 has it in its header. What is no qcow2 is over nothing. Nothing is opened but to read from
# it, and no program that a stranger's bytes could lead astray reads them. Who cannot tell says so: what nobody is known to
# need is deleted.

# A file system that is gone may never answer.
within() { timeout -s KILL 10 "$@" 2>/dev/null; }

# The same about a file. Where one takes too long its directory is asked, too, and nothing more about a directory that does not
# answer: all that is in one is on the same server, and each file would take as long. `silent` is a file that has their
# names, if somebody keeps one.
# $1: the file; then what to run
asked() {
    of=${1%/*}
    shift
    if [ -n "${silent-}" ] && grep -qxF -e "$of" -- "$silent" 2>/dev/null; then return 137; fi
    ended=0
    within "$@" || ended=$?
    if [ "$ended" = 137 ] && [ -n "${silent-}" ]; then
        # A single file may be a link to elsewhere, or on a disk that is busy for a moment.
        answered=0
        within stat -f -- "$of" >/dev/null || answered=$?
        [ "$answered" != 137 ] || printf '%s\n' "$of" >>"$silent"
    fi
    return "$ended"
}

# The file that a backing name is of: plain, with its protocol, or in QEMU's JSON. Nothing if that is no file here; 1 if
# it cannot be told.
# $1: the name
named_file() {
    case $1 in
    json:*)
        file=$(printf '%s\n' "$1" | sed -n 's/.*"\(file\.\)*filename": *"\([^"\\]*\)".*/\2/p')
        case $file,$1 in ,*filename*) return 1 ;; esac
        ;;
    file:*) file=${1#file:} ;;
    [a-z]*:*) file= ;;
    *) file=$1 ;;
    esac
    printf '%s\n' "$file"
}

# Prints which files a file is over, and what these are over; by their names without links, too. Where that cannot be told
# there is a line `?` at the end, and it ends with 1.
# $1: file
below() { chain "$1" || { echo '?' && return 1; }; }

chain() {
    over=$1 left=64
    while [ "$left" -gt 0 ]; do
        left=$((left - 1))
        kind=$(asked "$over" stat -L -c %F -- "$over") || { [ $? = 1 ] && return 0 || return 1; }
        case $kind in regular* | block*) ;; *) return 0 ;; esac
        head=$(asked "$over" od -An -v -tx1 -N 20 -- "$over") || return 1
        head=$(printf %s "$head" | tr -d ' \n')
        case $head in 514649fb????????????????????????????????) ;; *) return 0 ;; esac
        # Where the name is, in 8 bytes, and how long it is, in 4.
        at=${head#????????????????}
        length=$((0x${at#????????????????})) at=$((0x${at%????????}))
        if [ "$at" -le 0 ] || [ "$length" -le 0 ]; then return 0; fi
        [ "$length" -le 1023 ] || return 1
        named=$(asked "$over" dd if="$over" bs=1 skip="$at" count="$length" | tr -d '\000\n')
        [ -n "$named" ] && named=$(named_file "$named") || return 1
        case $named in '') return 0 ;; /*) ;; *) named=${over%/*}/$named ;; esac
        printf '%s\n' "$named"
        over=$(asked "$named" readlink -f -- "$named") || { [ $? != 137 ] && return 0 || return 1; }
        [ "$over" = "$named" ] || printf '%s\n' "$over"
    done
    return 1
}

# Prints the names of files without links, each behind a `=`; as they are given where that cannot be told.
resolved() {
    if real=$(within readlink -f -- "$@"); then
        printf '%s\n' "$real" | sed 's/^/=/'
        return
    fi
    for named; do printf '=%s\n' "$(asked "$named" readlink -f -- "$named" || printf '%s\n' "$named")"; done
}
