# Sets which interfaces listen to router advertisements, now and, applied, after a restart. Restored, one stays as it is that
# is not as it was set.
# $1: apply or restore  $2: the file of settings  $3: what is applied  The rest: interface and accept_ra by turns
verb=$1 file=$2 applied=$3
shift 3
umask 022
if [ "$verb" = apply ]; then
    echo '# Written by Maquette; removed by `maquette host restore`.' > "$file"
fi
while [ $# -ge 2 ]; do
    [ "$verb" != apply ] || echo "net/ipv6/conf/$1/accept_ra = $2" >> "$file"
    # One that is not there any more has nothing to go back to.
    if [ -e "/proc/sys/net/ipv6/conf/$1" ]; then
        now=$(cat "/proc/sys/net/ipv6/conf/$1/accept_ra")
        if [ "$verb" = apply ] || [ "$now" = "$applied" ]; then
            echo "$2" > "/proc/sys/net/ipv6/conf/$1/accept_ra"
        elif [ "$now" != "$2" ]; then
            echo "accept_ra of $1 stays $now, which somebody has set since"
        fi
    fi
    shift 2
done
[ "$verb" = apply ] || rm -f -- "$file"
