# Writes standard input to a file, whole or not at all, also when the power fails: a name may reach the
# disk before the content does.
# $1: the file  $2: its mode
umask 077
directory=$(dirname -- "$1")
mkdir -p -m 755 -- "$directory"
cat > "$1.new"
chmod "$2" -- "$1.new"
sync -- "$1.new"
mv -f -- "$1.new" "$1"
sync -- "$directory"
