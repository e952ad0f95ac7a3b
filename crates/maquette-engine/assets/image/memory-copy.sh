# Makes one node's copy of a template's memory image, which goes when this shell ends: whoever gives it its input has
# died, or needs it no more. Until then it has a lock, as what is being downloaded has.
# $1: the template's  $2: the copy
# Lines of input, up to an empty one: where bytes of the copy are others, and how many; then one with all of these behind
# each other, in base64.
umask 077
exec 9>>"$2.lock"
# A lock on a file that somebody who swept has removed locks nothing.
# shellcheck disable=SC3013 # dash, bash and busybox have `-ef`, and POSIX of 2024 has it, too
until flock -n 9 && [ "$2.lock" -ef /dev/fd/9 ]; do
    if [ "$2.lock" -ef /dev/fd/9 ]; then echo "another run is at work on $2" >&2; exit 1; fi
    exec 9>>"$2.lock"
done
trap 'rm -f -- "$2" "$2.lock"' EXIT
# Whoever would hear the answer may be gone, too: a shell that a signal ends removes nothing.
trap 'exit 1' HUP INT TERM PIPE
rm -f -- "$2"
others=
while IFS= read -r line && [ -n "$line" ]; do others="$others$line
"; done
IFS= read -r bytes || :
# Where it takes room, there has to be some, and nobody else takes it meanwhile: copies are made one after the other.
# What a network's file system is may have no locks for directories; room is looked for there all the same.
if ! cp --reflink=always -- "$1" "$2" 2>/dev/null; then
    exec 8<"${2%/*}"
    flock 8 2>/dev/null || :
    taken=$(stat -c '%b * %B' -- "$1")
    taken=$(($taken))
    free=$(room "$2")
    if [ "$taken" -gt "$free" ]; then
        echo "the pool has $((free >> 20)) MiB to spare, and it takes $((taken >> 20)) MiB" >&2
        exit 1
    fi
    cp --reflink=never -- "$1" "$2"
    exec 8<&-
fi
# There may be hundreds, and each program that is called takes time.
printf '%s' "$bytes" | base64 -d | while read -r at length <&3; do
    [ -z "$at" ] || dd of="$2" oflag=seek_bytes seek="$at" bs="$length" count=1 iflag=fullblock conv=notrunc status=none
done 3<<END
$others
END
echo ":: $2"
read -r _ || :
