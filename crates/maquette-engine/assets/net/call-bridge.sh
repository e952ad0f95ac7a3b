# Runs the bridge's script, unless there is nothing to be asked: with the last bridge it went as well.
# $1: the script  $2: the verb  $3: the bridge's state  The rest: arguments of the verb.
[ -e "$1" ] || [ -e "$3" ] || exit 0
exec sh "$@"
