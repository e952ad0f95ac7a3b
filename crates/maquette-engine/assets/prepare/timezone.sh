# Sets the time zone. The link tells which one is set: it comes last when a zone is applied, and first when it is
# restored, so that what was ended in between is seen not to be prepared. Restored, a zone stays that somebody has set since.
# $1: apply or restore  $2: its name  $3: restoring, what was applied, or empty where that is not known
file=/usr/share/zoneinfo/$2
if [ ! -f "$file" ]; then echo "there is no time zone $2" >&2; exit 1; fi
link() { readlink -f /etc/localtime; }
link_is_ours=yes text_is_ours=yes
if [ "$1" = restore ] && [ -n "$3" ]; then
    [ "$(link)" = "$(readlink -f "/usr/share/zoneinfo/$3")" ] || link_is_ours=
    [ "$(cat /etc/timezone 2>/dev/null)" = "$3" ] || text_is_ours=
    if [ -z "$link_is_ours" ] && [ "$(link)" != "$(readlink -f "$file")" ]; then
        echo "the time zone stays as somebody has set it since"
        exit 0
    fi
fi
if [ -d /run/systemd/system ]; then exec timedatectl set-timezone "$2"; fi
[ "$1" = apply ] || [ -z "$link_is_ours" ] || ln -snf "$file" /etc/localtime
[ ! -e /etc/timezone ] || [ -z "$text_is_ours" ] || echo "$2" > /etc/timezone
[ "$1" = restore ] || ln -snf "$file" /etc/localtime
