# Open vSwitch without systemd, where the kernel may have no datapath of its own: its script insists on
# the kernel's module, so that the daemons are started one by one. (After `daemon.sh`.)
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
    for daemon in ovs-vswitchd ovsdb-server; do end "$daemon" "$run/$daemon.pid"; done
    exit 0
fi
mkdir -p "$run" "$etc" /var/log/openvswitch
if [ ! -s "$etc/conf.db" ]; then
    # A database is made in several writes, and half of one cannot be used.
    rm -f "$etc/conf.db.new" "$etc/.conf.db.new.~lock~"
    ovsdb-tool create "$etc/conf.db.new" "$share/vswitch.ovsschema"
    sync -- "$etc/conf.db.new"
    mv -f "$etc/conf.db.new" "$etc/conf.db"
    rm -f "$etc/.conf.db.new.~lock~"
fi
if ! ovs-vsctl --timeout=2 --no-wait init >/dev/null 2>&1; then
    ovsdb-server --remote="punix:$run/db.sock" --pidfile --detach --no-chdir \
        --log-file=/var/log/openvswitch/ovsdb-server.log "$etc/conf.db"
    ovs-vsctl --timeout=30 --no-wait init
fi
if ! ovs-appctl --timeout=2 -t ovs-vswitchd version >/dev/null 2>&1; then
    ovs-vswitchd --pidfile --detach --no-chdir --log-file=/var/log/openvswitch/ovs-vswitchd.log
fi
