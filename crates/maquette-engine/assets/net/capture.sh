# Prints what goes through a tap as pcap. It ends with our end of its pipes: the reader of its output goes
# away, or its input closes.
# $1: the tap  $2: how many frames, or nothing  The rest: which frames. Exits with 45 without tcpdump.
exec 3<&0
command -v tcpdump >/dev/null || exit 45
tap=$1 count=$2
shift 2
[ -z "$count" ] || set -- -c "$count" "$@"
tcpdump -i "$tap" -n -s 0 -U -w - "$@" &
dump=$!
( cat; kill $dump ) <&3 >/dev/null 2>&1 &
wait $dump
