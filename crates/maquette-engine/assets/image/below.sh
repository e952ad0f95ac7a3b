# Prints which files some files are over, and what these are over: as qcow2 has it in its header. What is no qcow2 is over
# nothing. Nothing is opened but to read from it, and no program that a stranger's bytes could lead astray reads them.
# $1…: files
number() {
    digits=$(od -An -v "-tx$3" --endian=big -j "$2" -N "$3" -- "$1" 2>/dev/null | tr -d ' \n')
    echo $((0x${digits:-0}))
}
for file; do
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
        if [ ! -f "$file" ] && [ ! -b "$file" ]; then break; fi
        [ "$(od -An -v -tx1 -N 4 -- "$file" | tr -d ' \n')" = 514649fb ] || break
        at=$(number "$file" 8 8) length=$(number "$file" 16 4)
        if [ "$at" -le 0 ] || [ "$length" -le 0 ] || [ "$length" -gt 1023 ]; then break; fi
        below=$(dd if="$file" bs=1 skip="$at" count="$length" 2>/dev/null | tr -d '\000\n')
        case $below in '' | [a-z]*:*) break ;; /*) ;; *) below=${file%/*}/$below ;; esac
        printf '%s\n' "$below"
        file=$below
    done
done
