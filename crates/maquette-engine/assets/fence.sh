# Runs a command, but only as long as a lock is ours: what a run still sends once it is taken over changes
# nothing any more, and whoever takes over waits for what runs already.
# $1: the lock's file  $2: since when it is ours, and by which process
# $3: `stay` for a command that is waited for, or nothing for one that ends by its mark (see lock.sh)
# The rest: the command.
file=$1 token=$2 how=$3
shift 3
ours() {
    read -r since pid _ 2>/dev/null <"$file" || :
    [ "${since-} ${pid-}" = "$token" ] || { echo "another run has taken over" >&2; exit 76; }
}
# Nothing is left behind where there is no lock.
ours
exec 8>>"$file.busy"
flock -s 8
ours
if [ "$how" = stay ]; then
    # What it leaves running (daemons, a bridge's way back) holds nobody up.
    "$@" 8>&- || exit $?
    exit 0
fi
exec "$@" 8>&-
