# Sets the time zone of the guest that this runs in. Standard input has its name.
set -eu
read -r zone
set='
[ -e "$2/usr/share/zoneinfo/$1" ] || { echo "the guest knows no time zone $1" >&2; exit 1; }
rm -f "$2/etc/localtime.new"
ln -s "../usr/share/zoneinfo/$1" "$2/etc/localtime.new"
sync "$2/etc/localtime.new" 2>/dev/null || sync
mv -f "$2/etc/localtime.new" "$2/etc/localtime"
[ -e "$2/etc/timezone" ] || exit 0
rm -f "$2/etc/timezone.new"
printf "%s\\n" "$1" >"$2/etc/timezone.new"
chmod 644 "$2/etc/timezone.new"
sync "$2/etc/timezone.new" 2>/dev/null || sync
mv -f "$2/etc/timezone.new" "$2/etc/timezone"
'
if [ "$(id -u)" = 0 ]; then
    sh -euc "$set" sh "$zone" ""
else
    sudo -n sh -euc "$set" sh "$zone" ""
fi
