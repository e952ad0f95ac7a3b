# Sourced by tests that compare nodes: all that somebody may look at, in a node called `twin-0` of each of two environments,
# and what no two may have in common. Sets nothing up.
on() { "$maquette" ssh --prefix "$1" "$1-twin-0" -- "$2"; }
# Where else files are listed, and their contents compared.
places="/var/lib/systemd /var/lib/dbus" stored=
# Everything that somebody may look at. What is a node's own becomes a word. Services that end by themselves half a minute
# after somebody asked them are there or not.
look='
    export LC_ALL=C
    say() { echo "== $*"; }
    say files; find /etc /root /home $places /usr/lib/systemd -xdev \( -name "*.journal" -o -name "*.pyc" -o -name random-seed \
        -o -name "systemd-private-*" \) -prune -o -printf "%p %y %m %u %g %l\n" | sed -E "s,/journal/[0-9a-f]{32},/journal/ID," | sort
    say contents; find /etc /root /home $stored -xdev -path /var/lib/cloud -prune -o -type f ! -name machine-id ! -name random-seed \
        -exec md5sum {} + | sort -k 2
    say journal; journalctl -q -b -k -o cat | grep -c "^Linux version"; journalctl -q --list-boots | wc -l
    journalctl -q -b -u ssh -u sshd | grep "Server listening" > /dev/null && echo sshd listens
    say own files; for f in /etc/hostname /etc/hosts /etc/fstab /etc/timezone /etc/netplan/* /etc/sudoers.d/* /etc/default/locale; do
        echo "$f:"; cat $f; done 2>&1
    say accounts; getent passwd; getent group; cut -d: -f1,2 /etc/shadow
    say keys; sort /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys; ls /etc/ssh; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key
    say sudo; sudo -l -U cloud-user
    say names; hostname; hostname -f; hostnamectl --static; uname -r
    say network; ip -o link | sed "s/^[0-9]*: //"; ip -o address | sed "s/valid_lft.*//"; ip route; ip -6 route | sort; resolvectl dns; resolvectl domain
    networkctl --no-legend list 2> /dev/null; nmcli -t -f DEVICE,STATE,CONNECTION device 2> /dev/null
    say swap; swapon --noheadings --show=NAME,SIZE; say disk; df --output=size,target -k / | tail -n 1; lsblk -brno NAME,SIZE,TYPE /dev/vda
    say failed; systemctl --failed --no-legend; systemctl is-system-running
    say active; systemctl list-units --no-legend --plain --state=active | awk "!/^run-r/ {print \$1}" | sort |
        grep -vE "^systemd-(fsck|hostname|timedate|locale)d\.service\$"
    say enabled; systemctl list-unit-files --no-legend | awk "!/^run-r/ {print \$1, \$2}" | sort
    say settings; sysctl -a 2> /dev/null | grep "^net\.ipv[46]\.\(conf\|neigh\)"
    say time; timedatectl show -p Timezone -p LocalRTC; date +%Z
    say machine-id; wc -c /etc/machine-id
    [ "$(tr -d - < /sys/class/dmi/id/product_uuid | tr A-F a-f)" = "$(cat /etc/machine-id)" ] && echo of the firmware
    say mounts; findmnt -rno TARGET,FSTYPE | grep -v binfmt_misc | sort
    su -s /bin/sh nobody -c "unshare -Urpf --mount-proc true"; echo "a procfs of its own: $?"
    say locale; locale
    say cloud-init; cloud-init status; cat /run/cloud-init/result.json | tr -d " \n"; echo; cloud-id; true'
# A node from a template notes a minute after its start what the kernel said before.
noted() { on "$1" 'sudo journalctl -q -b -k -o cat | grep "^Linux version" > /dev/null'; }
seen() {
    on "$1" "sudo sh -c $(printf %q "places='$places' stored='$stored'$look")" 2>&1 |
        sed -E "s/\b$1-twin-0\b/NODE/g; s/([0-9a-f]{2}:){5}[0-9a-f]{2}/MAC/g; s/SHA256:[^ ]*/KEY/g; s/AAAAC3[^ ]*/KEY/g
            s/(172\.16|10\.0)\.[1-9]0\./\1.N./g; s/2620:52:0:13[0-9a-f]{2}:/NET:/g; s/fe80:[^ ]*/LINK/g
            s/169\.254\.[0-9.]+/LINK4/g; s/session-[0-9]+/session-N/; s/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9a-f]{16}/INSTANCE/g" > "$work/$1.$2"
}
# Compares the nodes of two environments. $1 and $2: their prefixes; $3: when. `$known` has a line for each thing that may
# differ: an expression, two spaces, and why that is not a fault.
compare() {
    local node
    for node in "$1" "$2"; do
        patience=240 soon noted "$node" || fail "the journal of the node of $node has nothing of the kernel"
    done
    seen "$1" "$3" & seen "$2" "$3"; wait $!
    for node in "$1" "$2"; do
        [ "$(grep -c '^== ' "$work/$node.$3")" -ge 19 ] || fail "a node could not be looked at: $(tail -n 3 "$work/$node.$3")"
        # The same network in YAML of another layout.
        sed '/50-cloud-init.yaml:$/,/^\/etc\/sudoers/d' "$work/$node.$3" > "$work/$node"
    done
    diff "$work/$1" "$work/$2" | grep '^[<>]' | grep -vE "$(sed -E 's/(  +[a-z].*)$//' <<< "$known" | paste -sd '|')" > "$work/differs" || true
    [ ! -s "$work/differs" ] || fail "the node of $1 (<) and that of $2 (>) differ: $(cat "$work/differs")"
}
# What is a node's own, by what it is; numbers that no two draw come first, and where its first boot has kept the first ones, these.
own() {
    "$maquette" ssh --prefix "${1%%-*}" "$1" -- 'sudo sh -c "
        [ ! -e /run/early ] || echo early \$(md5sum < /run/early | cut -c1-32)
        echo random \$(head -c 4096 /dev/urandom | md5sum | cut -c1-32)
        echo machine \$(cat /etc/machine-id)
        echo boot \$(tr -d - < /proc/sys/kernel/random/boot_id)
        echo seed \$(md5sum /var/lib/systemd/random-seed | cut -c1-32)
        echo uuid \$(cat /sys/class/dmi/id/product_uuid)
        # Only zeros where nobody has asked for one.
        sed -n \"/[1-9a-f]/s/^/fast open /p\" /proc/sys/net/ipv4/tcp_fastopen_key
        echo key \$(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d\" \" -f2)
        [ ! -e /var/lib/NetworkManager/secret_key ] || echo networks \$(md5sum < /var/lib/NetworkManager/secret_key | cut -c1-32)
        cat /sys/class/net/eth*/address
        for lease in /run/systemd/netif/leases/*; do
            [ ! -e \$lease ] || grep -h CLIENTID \$lease
        done
        nmcli -t -f DHCP4 device show 2> /dev/null | grep client_identifier || true"'
}
# The kernel's secret of TCP: the first number of a connection is a digest of it and of the ends, which are the same here,
# and the time, in units of 64 ns. Two of the same secret agree on what is left without the time.
secret='
import socket, struct, time
def first():
    with socket.socket() as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.bind(("127.0.0.1", 40123))
        begun = time.time_ns()
        end.connect(("127.0.0.1", 22))
        ended = time.time_ns()
        # TCP_REPAIR, TCP_REPAIR_QUEUE and TCP_QUEUE_SEQ: what is sent next.
        end.setsockopt(socket.IPPROTO_TCP, 19, 1)
        end.setsockopt(socket.IPPROTO_TCP, 20, 2)
        number = (end.getsockopt(socket.IPPROTO_TCP, 21) & 0xFFFFFFFF) - 1
        end.setsockopt(socket.IPPROTO_TCP, 19, 0)
    return (number - (begun >> 6)) % (1 << 32), (ended - begun) >> 6
print(*first(), *first())'
secrets='
import sys
nodes = [list(map(int, line.split())) for line in sys.stdin.read().splitlines()]
def agree(one, other):
    # Each may be less by as much as its connection took.
    apart = (one[0] - other[0]) % (1 << 32)
    return apart <= one[1] or (1 << 32) - apart <= other[1]
assert len(nodes) >= 2 and all(agree(node[:2], node[2:]) for node in nodes), nodes
assert not any(agree(one[:2], other[:2]) for one in nodes for other in nodes if one is not other), nodes'
# What remembers the boot ID, or has it from the kernel another way, has the same: a container, systemd itself, the journal.
boots() {
    local ids
    ids=$("$maquette" ssh --prefix "${1%%-*}" "$1" -- 'sudo sh -c "
        cat /proc/sys/kernel/random/boot_id
        unshare -mpf --mount-proc cat /proc/sys/kernel/random/boot_id
        printf \"[Service]\nType=oneshot\nExecStart=/bin/sh -c \\\"echo %%b > /run/its-boot\\\"\n\" > /run/systemd/system/its-boot.service
        systemctl daemon-reload && systemctl start its-boot && cat /run/its-boot
        rm /run/systemd/system/its-boot.service /run/its-boot && systemctl daemon-reload
        journalctl -q -b -n 1 -o json --output-fields=_BOOT_ID | grep -o \"_BOOT_ID[^,}]*\" | grep -oE \"[0-9a-f]{32}\""' | tr -d '-')
    [ "$(wc -l <<< "$ids")" = 4 ] && [ "$(sort -u <<< "$ids" | wc -l)" = 1 ] || fail "$1 has more than one boot ID: $ids"
}
# No two of some nodes have in common what is one's own, which is in `$work/own` then, the first one's first.
unlike() {
    local node uuid bytes seen
    for node; do own "$node" || fail "$node cannot be looked at"; done > "$work/own"
    sort "$work/own" | uniq -d > "$work/same"
    [ ! -s "$work/same" ] || fail "two nodes have these in common: $(cat "$work/same")"
    for node; do
        "$maquette" ssh --prefix "${node%%-*}" "$node" -- 'sudo python3 -' <<< "$secret" || fail "$node has no secret for TCP"
    done > "$work/tcp"
    python3 -c "$secrets" < "$work/tcp" || fail "two nodes have one secret for TCP, or the same node has two: $(cat "$work/tcp")"
    # As guests see it, and as it is in the tables of the firmware.
    for node; do
        uuid=$(virsh domuuid "$node" | tr -d '\n')
        bytes=$(python3 -c 'import sys, uuid; print(uuid.UUID(sys.argv[1]).bytes_le.hex())' "$uuid")
        seen=$("$maquette" ssh --prefix "${node%%-*}" "$node" -- 'sudo sh -c "
            cat /sys/class/dmi/id/product_uuid; od -An -v -tx1 /sys/firmware/dmi/tables/DMI | tr -d \" \n\""')
        [[ $seen == "$uuid"*"$bytes"* ]] || fail "$node has another UUID than $uuid: $seen"
    done
}
