# Prints the paths of images that are recorded.
# $1: the directory of records  $2: `disk` for disks only that stayed for their clones, or nothing
for record in "$1"/*; do
    case $record in *.new) continue ;; esac
    [ -f "$record" ] || continue
    [ -z "${2-}" ] || [ "$(sed -n 2p -- "$record")" = "$2" ] || continue
    head -n 1 -- "$record"
done
