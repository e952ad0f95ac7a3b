# Has the BMCs of an environment served on its hypervisor, by a process of its own: under systemd, or without.
# $1: what to do  $2: the environment's directory, below that of all  $3: its systemd unit
# `program`: looks for the program; $4 is its digest. Prints `there` if it is there.
# `install`: takes the program that was brought; $4 is its digest.
# `serve`: takes on what `bmcs.new` and `addresses.new` say.
# `forget`: leaves out the nodes that are named from $4 on.
# `stop`: ends and forgets it all.
# It ends with 3 where another program has an address, which the last words name; where the program does not run with 4, and
# with 5 where one that was there before goes on serving.
# For tests, MAQUETTE_SYSTEMD is what is there where systemd runs, and units and programs may be in MAQUETTE_UNITS and
# MAQUETTE_PROGRAMS.
what=$1 dir=$2 unit=$3
shift 3
units=${MAQUETTE_UNITS:-/etc/systemd/system}
# Where programs are that are no package's. SELinux lets systemd start none that is below /var/lib, which may also be mounted
# without leave to execute.
programs=${MAQUETTE_PROGRAMS:-/usr/local/libexec/maquette}
bin=$programs/$(basename -- "$dir")

is_systemd() { [ -d "${MAQUETTE_SYSTEMD:-/run/systemd/system}" ]; }

# Whether it is served: that holds the lock, and takes it once all is ready.
is_served() { ! flock -n "$dir/lock" true 2>/dev/null; }

# The process, if it is one of this directory.
process() {
    pid=$(cat "$dir/pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -- "$dir"
}

end() {
    rm -f -- "$dir/served"
    if is_systemd && [ -e "$units/$unit" ]; then systemctl stop "$unit"; fi
    if process; then
        kill "$pid" 2>/dev/null || :
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            process || break
            sleep 0.2
        done
        if process; then kill -9 "$pid" 2>/dev/null || :; fi
    fi
    rm -f -- "$dir/pid"
}

# Takes addresses from bridges that are in one list and not in another.
# $1: the list  $2: the other
drop_addresses() {
    [ -f "$1" ] || return 0
    while read -r address bridge _; do
        if ! grep -qF -- "$address $bridge " "$2" 2>/dev/null; then
            ip address del "$address" dev "$bridge" 2>/dev/null || :
        fi
    done <"$1"
}

# What the process may do: serve below port 1024, and nothing else that only root may. It gives the rest away itself, too,
# for where there is no systemd. Sockets by which others start programs for root, and root's secrets, it does not see here.
#
# While the hypervisor boots, libvirtd is ready before its networks are: bridges are waited for, half a minute together. Later
# one that is away stays away.
write_unit() {
    cat >"$units/$unit.new" <<UNIT
[Unit]
Description=BMCs of Maquette's $(basename -- "$dir")
After=network.target libvirtd.service virtqemud.service virtnetworkd.service
StartLimitIntervalSec=0

[Service]
ExecStartPre=+/bin/sh -ec 'n=0; [ \$\$(cut -d . -f 1 /proc/uptime) -lt 300 ] || n=30; while read -r address bridge _; do case \$\$address in *:*) set -- nodad ;; *) set -- ;; esac; until ip address replace "\$\$address" dev "\$\$bridge" "\$\$@" 2>/dev/null || [ \$\$n -ge 30 ]; do n=\$\$((n + 1)); sleep 1; done; done <"$dir/addresses"'
ExecStart=$bin/maquette bmc serve $dir
Restart=always
RestartSec=2
TimeoutStartSec=120
UMask=0077
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=$dir
InaccessiblePaths=-/run/systemd/private -/run/dbus -/run/docker.sock -/run/containerd -/run/podman
InaccessiblePaths=-/etc/shadow -/etc/shadow- -/etc/gshadow -/etc/gshadow- -/etc/security/opasswd -/etc/krb5.keytab
InaccessiblePaths=-/etc/ssh -/etc/ssl/private -/etc/pki/tls/private -/etc/pki/libvirt/private -/etc/libvirt/secrets
InaccessiblePaths=-/etc/libvirt/qemu -/etc/NetworkManager/system-connections -/etc/wireguard
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
UNIT
    sync -- "$units/$unit.new"
    mv -f -- "$units/$unit.new" "$units/$unit"
}

begin() {
    : >>"$dir/lock"
    rm -f -- "$dir/control" "$dir/unreached"
    if is_systemd; then
        write_unit
        systemctl daemon-reload
        systemctl --quiet enable "$unit"
        systemctl start "$unit"
        return 0
    fi
    # A bridge may be away; BMCs on others are served all the same, and what is not reached is told.
    while read -r address bridge _; do
        # Nobody else has it. IPv6 would look for a second or two, in which nothing can be bound to it.
        case $address in *:*) set -- nodad ;; *) set -- ;; esac
        ip address replace "$address" dev "$bridge" "$@" || :
    done <"$dir/addresses"
    # What is said of this beginning is its own; what was before is kept once.
    [ ! -f "$dir/log" ] || mv -f -- "$dir/log" "$dir/log.old"
    # It notes itself who it is, before it is that: should this end meanwhile, nobody would find it. Its rights it gives away itself.
    # shellcheck disable=SC2016 # the shell that is begun
    (umask 077 && cd / && exec setsid sh -c 'echo $$ >"$1/pid" && shift && exec "$@"' sh "$dir" \
        "$bin/maquette" bmc serve "$dir" </dev/null >>"$dir/log" 2>&1) &
    echo $! >"$dir/pid"
}

# The last words of what did not begin.
say_why() {
    if is_systemd; then
        words=$(journalctl -q -u "$unit" -n 6 -o cat 2>&1) || :
        echo "the process that serves them did not begin; the end of \`journalctl -u $unit\`:" >&2
    else
        words=$(tail -n 6 "$dir/log" 2>&1) || :
        echo "the process that serves them did not begin; the end of $dir/log:" >&2
    fi
    echo "${words:-nothing was logged}" >&2
}

await() {
    left=150
    missed=0
    while ! is_served; do
        left=$((left - 1))
        # A process has no command line for a moment while it becomes another program.
        if is_systemd || process; then missed=0; else missed=$((missed + 1)); fi
        if [ $left = 0 ] || [ $missed = 3 ]; then
            say_why
            exit 1
        fi
        sleep 0.2
    done
}

# Ends unless the program runs here: another architecture, an older C library, or no libvirt are in its way. One that serves
# goes on.
# $1: the program
fits() {
    if words=$("$1" --version 2>&1 </dev/null); then return 0; fi
    echo "the program that serves them does not run on the hypervisor: ${words:-it says nothing}" >&2
    rm -f -- "$bin/maquette.new"
    # Passwords are kept for nobody.
    if [ -e "$dir/bmcs" ]; then
        rm -f -- "$dir/bmcs.new" "$dir/addresses.new"
        exit 5
    fi
    stop
    exit 4
}

serve() {
    # Where some are forgotten nothing new is asked for: one of the others that has lost its address holds up nobody.
    [ "$what" = forget ] || "$bin/maquette" bmc serve --check "$dir/bmcs.new"
    end
    drop_addresses "$dir/addresses" "$dir/addresses.new"
    sync -- "$dir/addresses.new" "$dir/bmcs.new"
    mv -f -- "$dir/addresses.new" "$dir/addresses"
    mv -f -- "$dir/bmcs.new" "$dir/bmcs"
    sync -- "$dir"
    begin
    await
    : >"$dir/served"
    # The others are served, and these once their addresses are free.
    if [ -s "$dir/unreached" ] && [ "$what" != forget ]; then
        cut -d ' ' -f 4- "$dir/unreached" >&2
        exit 3
    fi
}

stop() {
    end
    if [ -e "$units/$unit" ]; then
        if is_systemd; then systemctl --quiet disable "$unit" || :; fi
        rm -f -- "$units/$unit"
        if is_systemd; then systemctl daemon-reload; fi
    fi
    drop_addresses "$dir/addresses" /dev/null
    drop_addresses "$dir/addresses.new" /dev/null
    # As long as anything is left, so is the directory, which is looked for, and this script, which goes on.
    rm -rf -- "$bin"
    for file in "$dir"/* "$dir"/.[!.]*; do
        [ "$file" = "$dir/bmc.sh" ] || rm -rf -- "$file"
    done
    rm -rf -- "$dir"
    rmdir -- "$(dirname -- "$dir")" "$programs" 2>/dev/null || :
}

# Takes a program that is whole, and runs here, in the place of the one before.
# $1: the program  $2: its digest
take() {
    fits "$1"
    rm -f -- "$bin/maquette.sha256"
    sync -- "$1"
    mv -f -- "$1" "$bin/maquette"
    echo "$2" >"$bin/maquette.sha256"
}

case $what in
program)
    umask 077
    mkdir -p -m 755 -- "$(dirname -- "$(dirname -- "$dir")")"
    mkdir -p -m 700 -- "$(dirname -- "$dir")" "$dir"
    (umask 022 && mkdir -p -- "$bin")
    for other in "$bin" "$programs"/environment.*; do
        if [ -x "$other/maquette" ] && [ "$(cat "$other/maquette.sha256" 2>/dev/null)" = "$1" ]; then
            if [ "$other" != "$bin" ]; then
                rm -f -- "$bin/maquette.new"
                ln -- "$other/maquette" "$bin/maquette.new"
                take "$bin/maquette.new" "$1"
            fi
            echo there
            exit 0
        fi
    done
    ;;
install)
    [ "$(sha256sum <"$dir/maquette.new" | cut -c 1-64)" = "$1" ] || { echo "the program did not arrive whole" >&2; exit 1; }
    rm -f -- "$bin/maquette.new"
    # A copy, and not the file itself, which would keep the security context of where it was.
    cp -- "$dir/maquette.new" "$bin/maquette.new"
    rm -f -- "$dir/maquette.new"
    chmod 755 -- "$bin/maquette.new"
    if command -v restorecon >/dev/null 2>&1; then restorecon -R -- "$programs" || :; fi
    take "$bin/maquette.new" "$1"
    ;;
serve)
    fits "$bin/maquette"
    serve
    ;;
forget)
    # What was stopped half-way is stopped.
    if [ ! -f "$dir/bmcs" ] || [ ! -f "$dir/addresses" ]; then
        [ ! -d "$dir" ] || stop
        exit 0
    fi
    umask 077
    cp -- "$dir/bmcs" "$dir/bmcs.new"
    cp -- "$dir/addresses" "$dir/addresses.new"
    for node; do
        for list in bmcs addresses; do
            if [ $list = bmcs ]; then begins="{\"node\":\"$node\"," ends=; else begins='' ends=" $node"; fi
            while IFS= read -r line; do
                case $line in "$begins"*"$ends") ;; *) printf '%s\n' "$line" ;; esac
            done <"$dir/$list.new" >"$dir/$list.left"
            sync -- "$dir/$list.left"
            mv -f -- "$dir/$list.left" "$dir/$list.new"
        done
    done
    if [ -s "$dir/bmcs.new" ]; then serve; else stop; fi
    ;;
stop) stop ;;
esac
