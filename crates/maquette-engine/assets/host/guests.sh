# What guests show of themselves now: whether SSH answers, and of those where it does not the end of the console.
# $1: how long an answer may take, in seconds; then for each guest its address, or `-`, and its serial log, or `-`.
# `bash` is the only shell that connects: without it nothing is said of SSH.
# Prints `ssh INDEX WORD` for each guest with an address, then `up INDEX SECONDS`, where that is known, `log INDEX AGE` and the
# log's end, with `|` before each line. For tests, where libvirt notes processes may be in MAQUETTE_PIDS.
limit=$1 pids=${MAQUETTE_PIDS:-/run/libvirt/qemu}
shift

# $1: an address
ask() {
    code=0
    said=$(LC_ALL=C timeout "$limit" bash -c \
        'exec 3<>"/dev/tcp/$1/22" && IFS= read -r -n 255 -u 3 line && printf %s "$line"' bash "$1" 2>&1 </dev/null) || code=$?
    case $code:$said in
    0:SSH-*) echo greeted ;;
    124:*) echo silent ;;
    *refused*) echo refused ;;
    *"No route to host"* | *"unreachable"*) echo no-route ;;
    *) echo other ;;
    esac
}

# A line for each pair of arguments.
ask_all() {
    command -v bash >/dev/null && command -v timeout >/dev/null || return 0
    index=0
    while [ $# -ge 2 ]; do
        [ "$1" = - ] || {
            word=$(ask "$1")
            echo "ssh $index $word"
        } &
        # So many at a time: each takes three processes of a machine that may have a limit of these.
        [ $((index % 64)) != 63 ] || wait
        index=$((index + 1))
        shift 2
    done
    wait
}

answers=$(ask_all "$@")
[ -z "$answers" ] || printf '%s\n' "$answers"
now=$(date +%s)
index=0
while [ $# -ge 2 ]; do
    case "
$answers
" in
    *"
ssh $index greeted
"*) ;;
    *)
        if [ "$2" != - ] && [ -s "$2" ]; then
            # Since when it runs: what is older on its console is of an earlier boot.
            domain=${2##*/}
            if since=$(stat -c %Y -- "$pids/${domain%-serial.log}.pid" 2>/dev/null); then echo "up $index $((now - since))"; fi
            # It may be rotated away at this moment.
            written=$(stat -c %Y -- "$2" 2>/dev/null) || written=$now
            echo "log $index $((now - written))"
            tail -c 4096 -- "$2" 2>/dev/null | tr -d '\000' | sed 's/^/|/'
            echo
        fi
        ;;
    esac
    index=$((index + 1))
    shift 2
done
