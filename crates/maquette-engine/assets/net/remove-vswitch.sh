# Removes a bridge of Open vSwitch, if it is this environment's.
# $1: the bridge  $2: the key that says whose it is  $3: the environment
command -v ovs-vsctl >/dev/null || exit 0
owner=$(ovs-vsctl --timeout=30 --if-exists get bridge "$1" "external_ids:$2" 2>/dev/null) || exit 0
[ "$(printf '%s' "$owner" | tr -d '"')" = "$3" ] || exit 0
exec ovs-vsctl --timeout=30 --if-exists del-br "$1"
