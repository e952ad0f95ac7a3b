# Prints the paths of images that are recorded.
# $1: the directory of records
for record in "$1"/*; do
    case $record in *.new) continue ;; esac
    [ ! -f "$record" ] || head -n 1 -- "$record"
done
