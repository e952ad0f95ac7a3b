# Open vSwitch without systemd, where the kernel may have no datapath of its own: its script insists on
# the kernel's module, so that the daemons are started one by one.
# $1: start or stop.
run=/var/run/openvswitch
etc=/etc/openvswitch
share=/usr/share/openvswitch
if [ -d /run/systemd/system ]; then
    unit=openvswitch
    ! systemctl cat openvswitch-switch.service >/dev/null 2>&1 || unit=openvswitch-switch
    case $1 in
    start) exec systemctl enable --now "$unit.service" ;;
    stop) exec systemctl disable --now "$unit.service" ;;
    esac
fi
if [ "$1" = stop ]; then
    for daemon in ovs-vswitchd ovsdb-server; do
        [ ! -s "$run/$daemon.pid" ] || kill "$(cat "$run/$daemon.pid")" 2>/dev/null || :
    done
    exit 0
fi
mkdir -p "$run" "$etc" /var/log/openvswitch
[ -e "$etc/conf.db" ] || ovsdb-tool create "$etc/conf.db" "$share/vswitch.ovsschema"
if ! ovs-vsctl --timeout=2 --no-wait show >/dev/null 2>&1; then
    ovsdb-server --remote="punix:$run/db.sock" --pidfile --detach --no-chdir \
        --log-file=/var/log/openvswitch/ovsdb-server.log "$etc/conf.db"
    ovs-vsctl --no-wait init
fi
if ! ovs-appctl -t ovs-vswitchd version >/dev/null 2>&1; then
    ovs-vswitchd --pidfile --detach --no-chdir --log-file=/var/log/openvswitch/ovs-vswitchd.log
fi
