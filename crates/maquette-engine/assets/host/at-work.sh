# Prints name and holder of each environment's lock that somebody has, parted by a tab.
# $1: the directory of locks
for file in "$1"/environment.*; do
    [ -f "$file" ] || continue
    # What who removes expired environments has besides the lock.
    case ${file##*/environment.} in *.busy) continue ;; esac
    held=0
    (exec 9<"$file" && { flock -s -n 9 || exit 9; }) 2>/dev/null || held=$?
    [ "$held" = 9 ] || continue
    read -r since pid who <"$file" || :
    printf '%s\t%s\n' "${file##*/environment.}" "${who:-somebody}"
done
