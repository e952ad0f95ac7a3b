# What is in directories of the hypervisor, and how much room there is where they are, or will be. $@: the directories.
# `directory N`, with what belongs to it: `instead WHAT` if it is something else, `free KIB`, and a line for each file that
# could be a disk, `file NAME`; then what `access.sh`, which stands before this, says of it.

# One directory. A file server that is gone would have whoever looks wait for ever.
# shellcheck disable=SC2016
look='
at=$1
while [ ! -e "$at" ] && [ ! -L "$at" ]; do
    at=${at%/*}
    at=${at:-/}
done
if [ ! -e "$at" ]; then
    echo "instead a link to nothing"
    exit 0
fi
if [ ! -d "$at" ]; then
    case $at in
    "$1") echo "instead a file" ;;
    *) echo "instead below a file" ;;
    esac
    exit 0
fi
free=$(df -P -k -- "$at" 2>/dev/null | awk "NR == 2 { print \$4 }") || :
[ -z "$free" ] || echo "free $free"
[ "$at" = "$1" ] || exit 0
for file in "$at"/*-*.*; do
    name=${file##*/}
    case $name in *[!A-Za-z0-9_.+@:~-]*) continue ;; esac
    if [ -e "$file" ] || [ -L "$file" ]; then echo "file $name"; fi
done
'
number=0
for directory; do
    echo "directory $number"
    number=$((number + 1))
    timeout -s KILL 5 sh -c "$look" look "$directory" || echo "instead a directory that does not answer"
    access_of "$directory"
done
