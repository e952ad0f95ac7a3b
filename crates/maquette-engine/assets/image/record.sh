# Records that a file of a pool is an image of ours; a power cut finds the whole record or none.
# $1: the record  $2: the file  $3: `disk` if it is a node's that stayed for its clones, or nothing
mkdir -p -m 755 -- "${1%/*}"
printf '%s\n' "$2" ${3:+"$3"} >"$1.new"
sync -- "$1.new"
mv -f -- "$1.new" "$1"
sync -- "${1%/*}"
