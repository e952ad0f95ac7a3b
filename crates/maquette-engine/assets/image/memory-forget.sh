# Removes the memory image of a template under the template's lock; it ends with 75 where another run holds that.
# $1: the memory image  $2: where one grows
lock=$2.lock
exec 9>>"$lock"
# A lock on a file that its last holder has removed locks nothing.
if ! flock -n 9 || [ "$(stat -c %i -- "$lock")" != "$(stat -L -c %i /proc/self/fd/9)" ]; then
    echo "another run is at work on $1" >&2
    exit 75
fi
rm -f -- "$1"
sync -- "${1%/*}"
rm -f -- "$lock"
