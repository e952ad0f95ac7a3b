# Holds a lock on the hypervisor as long as its standard input beats.
# $1: directory  $2: name  $3: who wants it  $4: seconds to wait for it  $5: `take` to end its holder
# Says `held SECONDS WHO` if somebody has it, and `got` once it is ours. Ends with 75 if it cannot be had.
file=$1/$2
mkdir -p -m 755 -- "$1" || exit 77
open() { exec 9>>"$file"; }
# Its last holder removes the file; a lock on a file that nobody else can open any more is none.
same() { [ "$(stat -c %i -- "$file" 2>/dev/null)" = "$(stat -L -c %i /proc/self/fd/9)" ]; }
open || exit 77
# One that was killed a moment ago has not noticed yet.
if ! flock -w 0.5 9; then
    read -r since pid who <"$file" || :
    echo "held $(($(date +%s) - ${since:-0})) ${who:-somebody}"
    if [ "$5" = take ] && grep -qF -- "$2" "/proc/$pid/cmdline" 2>/dev/null; then
        kill "$pid"
        flock -w 10 9 || exit 75
    else
        wait=$4
        # A holder that was cut off gives it back soon; who is there beats every two seconds.
        quiet=$(($(date +%s) - $(stat -c %Y -- "$file" 2>/dev/null || echo 0)))
        [ "$quiet" -le 5 ] || [ "$wait" -ge 20 ] || wait=20
        [ "$wait" -gt 0 ] || exit 75
        flock -w "$wait" 9 || exit 75
    fi
fi
until same; do
    open
    flock -w 10 9 || exit 75
done
# What was there has the same inode, and with it the lock.
echo "$(date +%s) $$ $3" >"$file"
echo got
# A holder that is cut off has no time to say so.
while beat=$(exec 9>&-; exec timeout 15 head -c 1) && [ -n "$beat" ]; do touch -- "$file"; done
rm -f -- "$file"
