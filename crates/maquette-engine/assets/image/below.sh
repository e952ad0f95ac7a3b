# What files are over: as qcow2 has it in its header. What is no qcow2 is over nothing. Nothing is opened but to read from
# it, and no program that a stranger's bytes could lead astray reads them. Who cannot tell says so: what nobody is known to
# need is deleted.

# A file system that is gone may never answer.
within() { timeout -s KILL 10 "$@" 2>/dev/null; }

# A number in a file's header; 1 if it cannot be read.
# $1: the file  $2: where it is  $3: of how many bytes
number() {
    digits=$(within od -An -v "-tx$3" --endian=big -j "$2" -N "$3" -- "$1") || return 1
    digits=$(printf %s "$digits" | tr -d ' \n')
    echo $((0x${digits:-0}))
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
        kind=$(within stat -L -c %F -- "$over") || { [ $? = 1 ] && return 0 || return 1; }
        case $kind in regular* | block*) ;; *) return 0 ;; esac
        magic=$(number "$over" 0 4) || return 1
        [ "$magic" = $((0x514649fb)) ] || return 0
        at=$(number "$over" 8 8) && length=$(number "$over" 16 4) || return 1
        if [ "$at" -le 0 ] || [ "$length" -le 0 ]; then return 0; fi
        [ "$length" -le 1023 ] || return 1
        named=$(within dd if="$over" bs=1 skip="$at" count="$length" | tr -d '\000\n')
        [ -n "$named" ] && named=$(named_file "$named") || return 1
        case $named in '') return 0 ;; /*) ;; *) named=${over%/*}/$named ;; esac
        printf '%s\n' "$named"
        over=$(within readlink -f -- "$named") || return 0
        [ "$over" = "$named" ] || printf '%s\n' "$over"
    done
    return 1
}
