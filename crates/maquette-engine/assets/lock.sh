# Holds a lock on the hypervisor as long as its standard input beats.
# $1: directory  $2: name  $3: who wants it  $4: seconds to wait for it  $5: `take` to end its holder
# $6: what marks processes of this run that live long: MAQUETTE_RUN in their environment
# Says `held SECONDS WHO` if somebody has it, `busy` while a command of his still runs, `removing WHO` while somebody
# removes images, and `got SINCE PROCESS`
# once it is ours: what the file begins with for as long (see fence.sh). Ends with 75 if it cannot be had, with
# 76 if that command does not end.
file=$1/$2
mkdir -p -m 755 -- "$1" || exit 77
open() { exec 9>>"$file"; }
# Its last holder removes the file; a lock on a file that nobody else can open any more locks nothing.
# shellcheck disable=SC3013 # dash, bash and busybox have `-ef`, and POSIX of 2024 has it, too
same() { [ "$file" -ef /proc/self/fd/9 ]; }
# Ends what a run has left here that would go on: its way to libvirt, and the shell that fetches an image.
end() {
    case $1 in '' | *[!0-9a-f]*) return 0 ;; esac
    for environment in $(grep -lzxF -- "MAQUETTE_RUN=$1" /proc/[0-9]*/environ 2>/dev/null); do
        pid=${environment#/proc/}
        kill "${pid%/environ}" 2>/dev/null || :
    done
}
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
# Who could not give it back has left its mark.
before=
{ read -r _ && read -r before; } <"$file" || :
since=$(date +%s)
# What was there has the same inode, and with it the lock. From now on the other's commands are refused.
printf '%s %s %s\n%s\n' "$since" $$ "$3" "$6" >"$file"
[ "$before" = "$6" ] || end "$before"
# What was let in before runs to its end.
exec 8>>"$file.busy"
if ! flock -w 0.5 8; then
    echo busy
    longest=$4
    [ "$longest" -ge 300 ] || longest=300
    flock -w "$longest" 8 || { rm -f -- "$file"; exit 76; }
fi
exec 8>&-
# Who removes images has this lock before he looks whether anybody has an environment's: whoever takes one later
# waits here, and looks only afterwards which images there are.
removes() { (exec 7<"$1/images" && { flock -s -w "$2" 7 || exit 9; }) 2>/dev/null; }
case $2 in
    environment.*)
        removed=0
        removes "$1" 0 || removed=$?
        if [ "$removed" = 9 ]; then
            read -r _ _ who <"$1/images" || who=somebody
            echo "removing ${who:-somebody}"
            removed=0
            removes "$1" 300 || removed=$?
            [ "$removed" != 9 ] || { rm -f -- "$file"; exit 76; }
        fi
        ;;
esac
echo "got $since $$"
# A holder that is cut off has no time to say so.
ended=0
while beat=$(exec 9>&-; exec timeout 15 head -c 1) || ended=$?; [ -n "$beat" ]; do touch -- "$file"; done
[ "$ended" != 124 ] || end "$6"
exec 8>>"$file.busy"
if flock -n 8; then rm -f -- "$file.busy" "$file"; else rm -f -- "$file"; fi
