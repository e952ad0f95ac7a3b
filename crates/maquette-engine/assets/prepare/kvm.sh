# Sets who may open the device file of KVM. Restored, its mode or group stays if it is something else than what was applied.
# $1: the file  $2: its mode  $3: its group  $4 and $5: restoring, mode and group that were applied
# A mode is octal, and may begin with a zero.
is() { [ $((0$(stat -c %a -- "$1"))) = $((0$2)) ]; }
# A group without a name here is known by its number: the file may be of another system.
group=$(stat -c %G -- "$1")
[ "$group" != UNKNOWN ] || group=$(stat -c %g -- "$1")
if [ -z "${5-}" ] || [ "$group" = "$5" ]; then
    chgrp -- "$3" "$1"
elif [ "$group" != "$3" ]; then
    echo "$1 stays in group $group, as somebody has set it since"
fi
if [ -z "${4-}" ] || is "$1" "$4"; then
    chmod -- "$2" "$1"
elif ! is "$1" "$2"; then
    echo "$1 stays at mode $(stat -c %a -- "$1"), as somebody has set it since"
fi
