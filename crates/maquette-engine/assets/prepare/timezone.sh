# Sets the time zone.
# $1: its name
file=/usr/share/zoneinfo/$1
if [ ! -f "$file" ]; then echo "there is no time zone $1" >&2; exit 1; fi
if [ -d /run/systemd/system ]; then exec timedatectl set-timezone "$1"; fi
ln -snf "$file" /etc/localtime
[ ! -e /etc/timezone ] || echo "$1" > /etc/timezone
