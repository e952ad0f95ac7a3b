# Runs the bridge's script, unless there is nothing to be asked: with the last bridge it went as well. A bridge that is to be
# there is not, then.
# $1: the script  $2: the verb  $3: the bridge's state  The rest: arguments of the verb.
[ -e "$1" ] || [ -e "$3" ] || { [ "$2,${4-}" != confirm,joined ] && exit 0; }
exec sh "$@"
