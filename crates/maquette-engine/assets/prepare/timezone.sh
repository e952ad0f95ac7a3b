# Sets the time zone. The link tells which one is set: it comes last when a zone is applied, and first when it is
# restored, so that what was ended in between is seen not to be prepared.
# $1: apply or restore  $2: its name
file=/usr/share/zoneinfo/$2
if [ ! -f "$file" ]; then echo "there is no time zone $2" >&2; exit 1; fi
if [ -d /run/systemd/system ]; then exec timedatectl set-timezone "$2"; fi
[ "$1" = apply ] || ln -snf "$file" /etc/localtime
[ ! -e /etc/timezone ] || echo "$2" > /etc/timezone
[ "$1" = restore ] || ln -snf "$file" /etc/localtime
