# Prints how a memory image begins, and then what matches a pattern in it, each behind where it is and a colon; both in base64.
# $1: the file  $2: how many of its first bytes  $3: the pattern, as `grep -P` has it  $4: how many bytes of matches at most
LC_ALL=C
export LC_ALL
printf 'head %s\n' "$(head -c "$2" -- "$1" | base64 -w 0)"
# Lines of a memory image have no meaning. That nothing is found is not a failure; how it ended is the last line.
found=$({
    status=0
    grep -obUaP -e "$3" -- "$1" || status=$?
    echo "ended $status"
} | head -c "$4" | base64 -w 0)
printf 'found %s\n' "$found"
