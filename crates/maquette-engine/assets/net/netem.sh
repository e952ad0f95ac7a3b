# Delays and loses frames on the way to a node: the kernel's netem.
# $1: the tap  The rest: what netem is told; nothing ends it.
tap=$1; shift
if [ $# = 0 ]; then tc qdisc del dev "$tap" root netem 2>/dev/null || :; exit 0; fi
tc qdisc replace dev "$tap" root netem "$@"
