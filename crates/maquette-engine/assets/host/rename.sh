# Renames a file whole or not at all, also when the power fails.
# $1: the file  $2: its new name
sync -- "$1"
mv -f -- "$1" "$2"
sync -- "$(dirname -- "$2")"
