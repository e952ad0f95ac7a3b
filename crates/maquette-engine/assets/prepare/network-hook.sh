# Has libvirt look for its hooks: it knows of those that were there when it started, and of those that are there when
# it is told to read its configuration again. That takes a moment, after which it calls another hook, which tells us.
# Restoring removes the hook, and what an installation that was killed has left: libvirt would run that, too. (After
# `daemon.sh`.)
# $1: apply or restore  $2: the hook
hooks=$(dirname -- "$(dirname -- "$2")") heard=/run/maquette-hooks-read
mine=$hooks/daemon.d/maquette
case $1 in
apply)
    mkdir -p "$hooks/daemon.d"
    printf '#!/bin/sh\n[ "$2" != reload ] || : > %s\n' "$heard" > "$mine"
    chmod 755 "$mine"
    rm -f "$heard"
    told=
    for daemon in libvirtd virtnetworkd; do
        process=$(daemon "$daemon" "/run/$daemon.pid") || continue
        if kill -HUP "$process" 2>/dev/null; then told=yes; fi
    done
    tries=0
    while [ -n "$told" ] && [ ! -e "$heard" ] && [ $tries -lt 100 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    rm -f "$mine" "$heard"
    rmdir "$hooks/daemon.d" 2>/dev/null || :
    if [ $tries = 100 ]; then echo "libvirt does not look for its hooks" >&2; exit 1; fi
    ;;
restore)
    rm -f -- "$2" "$2.new" "$mine" "$heard"
    rmdir "$(dirname -- "$2")" "$hooks/daemon.d" 2>/dev/null || :
    ;;
esac
