# Limits of the SSH server: a drop-in, tested before the server reads it. Connections that exist are not touched.
# $1: apply or restore  $2: the drop-in  $3: sessions, and connections that have not logged in yet
reload() {
    if [ -d /run/systemd/system ]; then
        systemctl reload ssh 2>/dev/null || systemctl reload sshd
    elif [ -s /run/sshd.pid ]; then
        kill -HUP "$(cat /run/sshd.pid)"
    fi
}
umask 022
case $1 in
apply)
    printf '# Written by Maquette; removed by `maquette host restore`.\nMaxSessions %s\nMaxStartups %s:30:%s\n' \
        "$3" "$3" "$3" > "$2.new"
    sync -- "$2.new"
    mv -f -- "$2.new" "$2"
    sync -- "$(dirname -- "$2")"
    if ! sshd -t; then rm -f -- "$2"; exit 1; fi
    reload
    ;;
restore)
    rm -f -- "$2" "$2.new"
    sshd -t
    reload
    ;;
esac
