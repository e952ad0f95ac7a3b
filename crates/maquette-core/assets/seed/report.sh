# $1: `begun` or `done`; $2: the port; $3: an interface whose address nobody else knows, if there is one.
# One process at a time may have the port, so that a report may have to wait for the one before.
port=/dev/virtio-ports/$2
set -f
say() { until echo "$*" > "$port"; do sleep 1; done; }
if [ "$1" = begun ]; then say cloud-init; exit; fi
if [ -n "${3:-}" ]; then
    # shellcheck disable=SC2046
    set -- $(ip -4 -o address show dev "$3" scope global)
    say address $4
fi
# Several lines, which become one.
# shellcheck disable=SC2046
say result $(cat /run/cloud-init/result.json)
say done
