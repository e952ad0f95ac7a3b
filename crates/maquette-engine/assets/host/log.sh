# Prints what virtlogd has rotated, oldest first, and then the log itself; or follows it, whatever is rotated
# meanwhile, until its own input ends: a log that nothing is written to would not tell that nobody reads any more.
# $1: the log  $2: how many lines  $3: `yes` to follow. Exits with 44 if there is no log.
log=$1 lines=$2 follow=$3
[ -e "$log" ] || exit 44
if [ "$follow" = yes ]; then
    exec 3<&0
    tail -n "$lines" -F -- "$log" 2>/dev/null &
    tail=$!
    ( cat; kill $tail ) <&3 >/dev/null 2>&1 &
    exec 3<&-
    wait $tail
    exit
fi
for file in "$log.2" "$log.1" "$log.0" "$log"; do
    [ ! -e "$file" ] || cat -- "$file"
done | tail -n "$lines"
