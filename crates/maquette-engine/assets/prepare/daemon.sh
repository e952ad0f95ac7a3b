# Daemons, and the files in which they note their process.

# Whether a process is a daemon, and alive: the number of one that died may be somebody else's by now, and one that
# nobody has waited for is still listed.
# $1: its number  $2: the daemon
is_daemon() {
    name= state=
    while read -r key value _; do
        case $key in
        Name:) name=$value ;;
        State:) state=$value ;;
        Pid:) break ;;
        esac
    done 2>/dev/null <"/proc/$1/status" || return 1
    case $name$state in "$2"[ZX]) return 1 ;; "$2"?) return 0 ;; esac
    return 1
}

# Prints the number of a daemon's process, if there is one.
# $1: the daemon  $2: its file
daemon() {
    number=
    # The last line may have no end.
    read -r number 2>/dev/null <"$2" || [ -n "$number" ] || return 1
    case $number in '' | *[!0-9]*) return 1 ;; esac
    is_daemon "$number" "$1" || return 1
    echo "$number"
}

# Ends a daemon, and waits until it is gone, a minute at most: as long as it answers, whoever starts it again finds it
# running.
# $1: the daemon  $2: its file
end() {
    ends=$(daemon "$1" "$2") || return 0
    kill "$ends" 2>/dev/null || :
    tries=0
    while is_daemon "$ends" "$1"; do
        if [ $tries = 600 ]; then echo "$1 does not end" >&2; return 1; fi
        tries=$((tries + 1))
        sleep 0.1
    done
}

