# Prints how a memory image begins, in base64, and where a UUID is in it, each place on a line.
# $1: the file  $2: how many bytes  $3: a pattern of the UUID in the firmware's tables  $4: its text
LC_ALL=C
export LC_ALL
printf 'head %s\n' "$(head -c "$2" -- "$1" | base64 -w 0)"
# Lines of a memory image have no meaning, and what matches has none of their ends.
places() {
    status=0
    found=$(grep -obUa "$2" -e "$3" -- "$1") || status=$?
    # Not found is not a failure.
    [ "$status" -le 1 ] || exit "$status"
    printf '%s\n' "$found" | sed -n "s/^\([0-9]*\):.*/$4 \1/p"
}
places "$1" -P "$3" firmware
places "$1" -F "$4" text
