# Sets which interfaces listen to router advertisements, now and, applied, after a restart.
# $1: apply or restore  $2: the file of settings  The rest: interface and accept_ra by turns
verb=$1 file=$2
shift 2
umask 022
case $verb in
apply)
    echo '# Written by Maquette; removed by `maquette host restore`.' > "$file"
    ;;
restore) rm -f -- "$file" ;;
esac
while [ $# -ge 2 ]; do
    [ "$verb" != apply ] || echo "net/ipv6/conf/$1/accept_ra = $2" >> "$file"
    # One that is not there any more has nothing to go back to.
    if [ -e "/proc/sys/net/ipv6/conf/$1" ]; then
        echo "$2" > "/proc/sys/net/ipv6/conf/$1/accept_ra"
    fi
    shift 2
done
