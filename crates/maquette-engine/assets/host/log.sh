# Prints what virtlogd has rotated, oldest first, and then the log itself; or follows it, whatever is rotated
# meanwhile.
# $1: the log  $2: how many lines  $3: `yes` to follow. Exits with 44 if there is no log.
log=$1 lines=$2 follow=$3
[ -e "$log" ] || exit 44
if [ "$follow" = yes ]; then
    exec tail -n "$lines" -F -- "$log" 2>/dev/null
fi
for file in "$log.2" "$log.1" "$log.0" "$log"; do
    [ ! -e "$file" ] || cat -- "$file"
done | tail -n "$lines"
