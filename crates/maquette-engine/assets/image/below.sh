# What files are over: as qcow2 has it in its header. What is no qcow2 is over nothing. Nothing is opened but to read from
# it, and no program that a stranger's bytes could lead astray reads them.

# A number in a file's header.
# $1: the file  $2: where it is  $3: of how many bytes
number() {
    digits=$(od -An -v "-tx$3" --endian=big -j "$2" -N "$3" -- "$1" 2>/dev/null | tr -d ' \n')
    echo $((0x${digits:-0}))
}

# Prints which files a file is over, and what these are over; by their names without links, too.
# $1: file
below() {
    over=$1
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
        if [ ! -f "$over" ] && [ ! -b "$over" ]; then break; fi
        [ "$(od -An -v -tx1 -N 4 -- "$over" 2>/dev/null | tr -d ' \n')" = 514649fb ] || break
        at=$(number "$over" 8 8) length=$(number "$over" 16 4)
        if [ "$at" -le 0 ] || [ "$length" -le 0 ] || [ "$length" -gt 1023 ]; then break; fi
        named=$(dd if="$over" bs=1 skip="$at" count="$length" 2>/dev/null | tr -d '\000\n')
        named=${named#file:}
        case $named in '' | [a-z]*:*) break ;; /*) ;; *) named=${over%/*}/$named ;; esac
        printf '%s\n' "$named"
        over=$(readlink -f -- "$named") || break
        [ "$over" = "$named" ] || printf '%s\n' "$over"
    done
}
