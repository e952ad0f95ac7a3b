# Limits of the SSH server: a drop-in, tested before the server reads it. Connections that exist are not touched.
# What is written first goes last: as long as it is there, the server may not have read the drop-in. (After `daemon.sh`.)
# $1: apply or restore  $2: the drop-in  $3: what is written first  $4: sessions, and connections that have not logged
# in yet
reload() {
    if [ -d /run/systemd/system ]; then
        systemctl reload ssh 2>/dev/null || systemctl reload sshd
    elif server=$(daemon sshd /run/sshd.pid); then
        kill -HUP "$server"
    fi
}
umask 022
case $1 in
apply)
    printf '# Written by Maquette; removed by `maquette host restore`.\nMaxSessions %s\nMaxStartups %s:30:%s\n' \
        "$4" "$4" "$4" > "$3"
    cp -- "$3" "$3.whole"
    sync -- "$3" "$3.whole"
    mv -f -- "$3.whole" "$2"
    sync -- "$(dirname -- "$2")"
    if ! sshd -t; then rm -f -- "$2" "$3"; exit 1; fi
    reload
    rm -f -- "$3"
    ;;
restore)
    rm -f -- "$2" "$3" "$3.whole"
    sshd -t
    reload
    ;;
esac
