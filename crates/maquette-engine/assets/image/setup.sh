# Sets a guest up from its seed where the image has no cloud-init: virt-customize puts this into it, as
# /usr/lib/maquette/setup. What it reads is what the agent of built images reads, and it tells the same on the port.
# $1: `has` and a word, whether the image can be set up so; `install`, in the image; `boot`, before the network on each
# boot; `ready`, when the network is up

# Tests have all of it below a directory, and programs of their own.
root=${MAQUETTE_ROOT-}
own=$root/usr/lib/maquette
state=$root/run/maquette
kept=$root/var/lib/maquette
log=$root/var/log/maquette-setup.log
PATH=${MAQUETTE_ROOT:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL

there() {
    for file; do
        if [ -e "$root$file" ] || [ -L "$root$file" ]; then return 0; fi
    done
    return 1
}
program() { there "/usr/sbin/$1" "/usr/bin/$1" "/sbin/$1" "/bin/$1" "/usr/local/sbin/$1" "/usr/local/bin/$1"; }
unit() { there "/etc/systemd/system/$1" "/usr/lib/systemd/system/$1" "/lib/systemd/system/$1"; }
wanted() { there "/etc/systemd/system/multi-user.target.wants/$1.service"; }
has_own_setup() {
    program cloud-init || there /etc/systemd/system/sysinit.target.wants/maquette-agent.service
}
# Who keeps the network: what the image starts, else what it could.
manager() {
    if wanted NetworkManager; then echo networkmanager
    elif wanted systemd-networkd; then echo networkd
    elif program ifup && [ -d "$root/etc/network" ]; then echo ifupdown
    elif unit systemd-networkd.service; then echo networkd
    else return 1; fi
}

has() {
    if has_own_setup; then return 0; fi
    case $1 in
        systemd) there /usr/lib/systemd/systemd /lib/systemd/systemd && program systemctl ;;
        sshd) program sshd ;;
        network) manager >/dev/null ;;
        accounts) program useradd ;;
        # The seed is such a file system.
        vfat)
            find "$root/lib/modules" "$root/usr/lib/modules" -name 'vfat.ko*' 2>/dev/null | grep -q . ||
                cat "$root"/lib/modules/*/modules.builtin "$root"/usr/lib/modules/*/modules.builtin 2>/dev/null | grep -q /vfat.ko
            ;;
        *) return 1 ;;
    esac
}

install() {
    if has_own_setup; then
        rm -rf "$own"
        return
    fi
    units=$root/etc/systemd/system
    mkdir -p "$units" "$own/aside"
    cat >"$units/maquette-setup.service" <<'UNIT'
[Unit]
Description=Set this node up from its seed volume
DefaultDependencies=no
After=local-fs.target systemd-udevd.service systemd-udev-trigger.service systemd-tmpfiles-setup.service
Before=network-pre.target sysinit.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /usr/lib/maquette/setup boot
TimeoutStartSec=300
KillMode=process
[Install]
WantedBy=sysinit.target
UNIT
    cat >"$units/maquette-ready.service" <<'UNIT'
[Unit]
Description=Do what is left of the first boot, and report that this node is ready
ConditionPathExists=/run/maquette/pending
Wants=network-online.target
After=maquette-setup.service network-online.target ssh.service sshd.service
[Service]
ExecStart=/bin/sh /usr/lib/maquette/setup ready
KillMode=process
[Install]
WantedBy=multi-user.target
UNIT
    systemctl enable maquette-setup.service maquette-ready.service || return
    systemctl enable sshd.service 2>/dev/null || systemctl enable ssh.service || return
    if [ "$(manager)" = networkd ]; then
        systemctl enable systemd-networkd.service || return
    fi
    # The network of whoever made the image; the interfaces are others here.
    for file in "$root"/etc/netplan/*.yaml "$root"/etc/systemd/network/*.network "$root"/etc/network/interfaces.d/* \
        "$root"/etc/NetworkManager/system-connections/* "$root"/etc/sysconfig/network-scripts/ifcfg-*; do
        case $file in */ifcfg-lo) continue ;; esac
        [ ! -f "$file" ] || mv -f "$file" "$own/aside/" || return
    done
    # What no two nodes may share.
    rm -f "$root"/etc/ssh/ssh_host_*key* "$root"/var/lib/systemd/random-seed "$root/var/lib/dbus/machine-id"
    [ ! -e "$root/etc/machine-id" ] || : >"$root/etc/machine-id"
}

# The values of a keyword of `identity`.
value() { sed -n "s/^$1 //p" "$state/identity"; }

# Takes the seed's files, which nobody but root may read.
seed() {
    if [ -n "$root" ]; then
        cp "$root/seed/"* "$state/"
        return
    fi
    modprobe -a -q vfat nls_cp437 nls_ascii sr_mod virtio_scsi 2>/dev/null || :
    udevadm settle --timeout=60 2>/dev/null || :
    device=/dev/disk/by-label/cidata
    [ -e "$device" ] || device=$(blkid -L cidata) || return
    mkdir -p "$state/seed" && mount -t vfat -o ro "$device" "$state/seed" || return
    cp "$state/seed/"* "$state/"
    copied=$?
    umount "$state/seed"
    return "$copied"
}

host_name() {
    name=$(value hostname) && printf '%s\n' "$name" >"$root/etc/hostname" || return
    [ -n "$root" ] || printf '%s' "$name" >/proc/sys/kernel/hostname
}
host_keys() {
    mkdir -p "$root/etc/ssh" && rm -f "$root"/etc/ssh/ssh_host_*key* || return
    key=$root/etc/ssh/ssh_host_ed25519_key
    (umask 077 && cp "$state/host-key" "$key") && chmod 600 "$key" && value host-key >"$key.pub" && chmod 644 "$key.pub"
}
accounts() {
    shell=/bin/sh
    [ ! -e "$root/bin/bash" ] || shell=/bin/bash
    rules=$root/etc/sudoers.d/90-maquette-users
    value user >"$state/users"
    while read -r name rights; do
        id -u "$name" >/dev/null 2>&1 || useradd -m -s "$shell" -- "$name" || return
        case " $rights " in
            *' sudo '*)
                program sudo || { echo "the image has no sudo for $name"; return 1; }
                mkdir -p "${rules%/*}" && printf '%s ALL=(ALL) NOPASSWD:ALL\n' "$name" >"$rules" && chmod 440 "$rules" || return
                ;;
        esac
    done <"$state/users"
    usermod -L root 2>/dev/null || :
    value key >"$state/keys"
    while read -r name key; do
        home=$(getent passwd "$name" | cut -d: -f6)
        [ -n "$home" ] || { echo "there is no account $name"; return 1; }
        place=$root$home/.ssh file=$root$home/.ssh/authorized_keys
        mkdir -p "$place" && chmod 700 "$place" || return
        grep -qxF -- "$key" "$file" 2>/dev/null || printf '%s\n' "$key" >>"$file" || return
        chmod 600 "$file" && chown "$name:" "$place" "$file" || return
    done <"$state/keys"
}
time_zone() {
    zone=$(value timezone)
    [ -n "$zone" ] || return 0
    [ -e "$root/usr/share/zoneinfo/$zone" ] || { echo "there is no time zone $zone in this image"; return 1; }
    ln -sfn "/usr/share/zoneinfo/$zone" "$root/etc/localtime" || return
    [ ! -e "$root/etc/timezone" ] || printf '%s\n' "$zone" >"$root/etc/timezone"
}
# The root's partition and file system, to the end of the disk; what is on LVM stays as it is.
grow() {
    [ -z "$root" ] || return 0
    from=$(findmnt -n -o SOURCE /) && kind=$(findmnt -n -o FSTYPE /) || return
    part=$(readlink -f "${from%%\[*}")
    number=$(cat "/sys/class/block/${part##*/}/partition" 2>/dev/null) || return 0
    disk=$(readlink -f "/sys/class/block/${part##*/}/..")
    disk=/dev/${disk##*/}
    printf ', +\n' | sfdisk --quiet --no-reread --no-tell-kernel --force -N "$number" "$disk" &&
        partx --update --nr "$number" "$disk" || return
    case $kind in
        ext*) resize2fs "$part" ;;
        xfs) xfs_growfs / ;;
        btrfs) btrfs filesystem resize max / ;;
    esac
}
swap() {
    mib=$(value swap)
    [ -n "$mib" ] && [ "$mib" != 0 ] || return 0
    file=$root/swapfile
    [ -z "$root" ] && grep -q '^/swapfile ' /proc/swaps && return
    rm -f "$file" && (umask 077 && : >"$file") || return
    fallocate -l "${mib}M" "$file" 2>/dev/null || dd if=/dev/zero of="$file" bs=1M count="$mib" || return
    mkswap "$file" || return
    grep -q '^/swapfile[[:blank:]]' "$root/etc/fstab" 2>/dev/null ||
        printf '/swapfile none swap sw 0 0\n' >>"$root/etc/fstab" || return
    [ -n "$root" ] || swapon "$file"
}
# NICs have the names of the seed, now and on later boots.
nics() {
    value nic >"$state/nics"
    mkdir -p "$root/etc/systemd/network" || return
    count=0
    while read -r name mac; do
        printf '[Match]\nMACAddress=%s\nType=ether\n[Link]\nName=%s\n' "$mac" "$name" \
            >"$root/etc/systemd/network/10-maquette-$name.link" || return
        now=$(grep -lix -- "$mac" "$root"/sys/class/net/*/address 2>/dev/null | head -n 1)
        now=${now%/address} now=${now##*/}
        [ -n "$now" ] || { echo "there is no NIC $name with address $mac"; return 1; }
        [ "$now" != "$name" ] || continue
        # Two may have each other's name.
        count=$((count + 1))
        ip link set dev "$now" down && ip link set dev "$now" name "maquette$count" || return
        printf '%s %s\n' "maquette$count" "$name" >>"$state/renamed"
    done <"$state/nics"
    [ -e "$state/renamed" ] || return 0
    while read -r now name; do ip link set dev "$now" name "$name" || return; done <"$state/renamed"
}

# The network's description is ours and has one form; each NIC of it becomes a file of whoever keeps the network.
network() {
    keeper=$(manager) || { echo "nothing in the image keeps a network"; return 1; }
    if [ "$keeper" = ifupdown ]; then
        printf 'auto lo\niface lo inet loopback\n' >"$root/etc/network/interfaces" || return
    fi
    nic=
    while IFS= read -r line; do
        case $line in
            '    dhcp4: '*) dhcp=${line#*: } ;;
            '    addresses: '*) addresses=$(words "${line#*: }") ;;
            '    routes: '*) gateway=${line##*via: } gateway=${gateway%%\}*} ;;
            '    nameservers: '*) servers=$(words "${line##*: }") ;;
            '    accept-ra: false') adverts=no ;;
            '    optional: true') optional=yes ;;
            '    mtu: '*) mtu=${line#*: } ;;
            '    '*) ;;
            '  '*:)
                one_nic || return
                nic=${line#  } nic=${nic%:} dhcp=false addresses='' gateway='' servers='' adverts=yes optional=no mtu=''
                ;;
        esac
    done <"$state/network-config"
    one_nic
}
words() { printf '%s\n' "$1" | tr -d '[]{}"' | tr ',' ' '; }
one_nic() { [ -z "$nic" ] || "by_$keeper"; }
by_networkd() {
    {
        printf '[Match]\nName=%s\n[Link]\n' "$nic"
        [ -z "$mtu" ] || printf 'MTUBytes=%s\n' "$mtu"
        [ "$optional" = no ] || printf 'RequiredForOnline=no\n'
        printf '[Network]\nDHCP=%s\nIPv6AcceptRA=%s\n' "$(if [ "$dhcp" = true ]; then echo ipv4; else echo no; fi)" "$adverts"
        for address in $addresses; do printf 'Address=%s\n' "$address"; done
        [ -z "$gateway" ] || printf 'Gateway=%s\n' "$gateway"
        for server in $servers; do printf 'DNS=%s\n' "$server"; done
        printf '[DHCP]\nClientIdentifier=mac\n'
    } >"$root/etc/systemd/network/20-maquette-$nic.network"
}
by_networkmanager() {
    file=$root/etc/NetworkManager/system-connections/maquette-$nic.nmconnection
    v4='' v6=''
    for address in $addresses; do
        case $address in *:*) v6=$address ;; *) v4=$address ;; esac
    done
    mkdir -p "${file%/*}" || return
    (umask 077 && {
        printf '[connection]\nid=%s\ntype=ethernet\ninterface-name=%s\n[ethernet]\n' "$nic" "$nic"
        [ -z "$mtu" ] || printf 'mtu=%s\n' "$mtu"
        printf '[ipv4]\n'
        if [ "$dhcp" = true ]; then
            printf 'method=auto\ndhcp-client-id=mac\n'
        elif [ -n "$v4" ]; then
            printf 'method=manual\naddress1=%s%s\n' "$v4" "${gateway:+,$gateway}"
        else
            printf 'method=disabled\n'
        fi
        for server in $servers; do printf 'dns=%s;\n' "$server"; done
        if [ "$adverts" = no ]; then printf 'never-default=true\n'; fi
        printf '[ipv6]\n'
        [ -z "$v6" ] || printf 'address1=%s\n' "$v6"
        case $adverts$v6 in
            yes*) printf 'method=auto\n' ;;
            no) printf 'method=ignore\n' ;;
            *) printf 'method=manual\nnever-default=true\n' ;;
        esac
    } >"$file")
}
by_ifupdown() {
    {
        printf 'auto %s\n' "$nic"
        set -- manual
        for address in $addresses; do
            case $address in
                *:*) printf 'iface %s inet6 static\n    address %s\n    accept_ra %s\n' "$nic" "$address" \
                    "$(if [ "$adverts" = no ]; then echo 0; else echo 2; fi)" ;;
                *) set -- static "$address" ;;
            esac
        done
        [ "$dhcp" != true ] || set -- dhcp
        printf 'iface %s inet %s\n' "$nic" "$1"
        [ -z "${2-}" ] || printf '    address %s\n' "$2"
        [ -z "$gateway" ] || printf '    gateway %s\n' "$gateway"
        [ -z "$mtu" ] || printf '    pre-up ip link set dev %s mtu %s\n' "$nic" "$mtu"
    } >>"$root/etc/network/interfaces"
}

# What the seed's `first-boot.sh` calls: files early, the others once the network is up.
# $1: mode  $2: owner, or nothing  $3: path  $4: text
file() {
    [ "$stage" = early ] || return 0
    mkdir -p "$root${3%/*}" && rm -f "$root$3" && (umask 077 && printf '%s' "$4" >"$root$3") || return
    [ -z "$2" ] || chown "$2" "$root$3" || return
    chmod "$1" "$root$3"
}
packages() {
    [ "$stage" = late ] || return 0
    if program apt-get; then
        DEBIAN_FRONTEND=noninteractive
        export DEBIAN_FRONTEND
        apt-get -q update && apt-get -q -y -o Dpkg::Options::=--force-confold install -- "$@"
    elif program dnf; then dnf -q -y install -- "$@"
    elif program yum; then yum -q -y install -- "$@"
    elif program zypper; then zypper -n install -- "$@"
    elif program pacman; then pacman -Sy --noconfirm --needed -- "$@"
    else
        echo "there is no package manager that is known here"
        return 1
    fi
}
# $1: a script
commands() {
    [ "$stage" = late ] || return 0
    printf '%s\n' "$1" >"$state/commands" || return
    HOME=/root sh "$state/commands" </dev/null
    ended=$?
    # There may be passwords in it.
    rm -f "$state/commands"
    return "$ended"
}
first_boot() {
    if [ ! -e "$state/first-boot.sh" ]; then
        [ "$(head -n 1 "$state/identity")" = 'maquette 1' ] || { echo "the seed has no packages, files and commands for it"; return 1; }
        return 0
    fi
    stage=$1
    # shellcheck source=/dev/null
    . "$state/first-boot.sh"
}
# Without systemd-resolved nobody writes down the name servers of a lease.
resolver() {
    [ "$(manager)" = networkd ] && [ ! -s "$root/etc/resolv.conf" ] || return 0
    rm -f "$root/etc/resolv.conf"
    sed -n 's/^DNS=//p' "$root/run/systemd/netif/state" | tr ' ' '\n' | sed -n 's/^./nameserver &/p' >"$root/etc/resolv.conf"
}

# Each task is done whatever became of those before; its last words are the error's.
task() {
    printf '%s\n' "-- $*" >>"$log"
    begun=$(wc -c <"$log")
    ended=0
    ("$@") </dev/null >>"$log" 2>&1 || ended=$?
    [ "$ended" != 0 ] || return 0
    said=$(tail -c "+$((begun + 1))" "$log" | tail -n 1)
    printf '%s: %s\n' "$1" "${said:-ended with status $ended}" >>"$state/errors"
}
# What a guest tells is a line; others may be saying something.
say() {
    if [ -n "$root" ]; then
        printf '%s\n' "$*" >>"$root/port"
        return
    fi
    [ -e "/dev/virtio-ports/$port" ] || return 0
    until printf '%s\n' "$*" >"/dev/virtio-ports/$port"; do sleep 1; done
}
result() {
    list=
    while IFS= read -r line; do
        line=$(printf '%s' "$line" | tr -cd '[:print:]' | tr '"' "'" | tr -d '\\')
        list=$list${list:+, }\"$line\"
    done <"$state/errors"
    printf '{"v1": {"datasource": "Maquette", "errors": [%s]}}\n' "$list"
}
write_result() { mkdir -p "$root/run/cloud-init" && result >"$root/run/cloud-init/result.json"; }

boot() {
    mkdir -p "$state" "$kept" "${log%/*}" && chmod 700 "$state" || return
    (umask 077 && : >>"$log")
    seed || return
    case $(head -n 1 "$state/identity") in 'maquette 1' | 'maquette 2') ;; *) return 1 ;; esac
    port=$(value port)
    if grep -qx template "$state/identity"; then
        # It cannot wait to become a node, and says what an image without an agent says.
        say cloud-init &
        return
    fi
    : >"$state/errors"
    if [ "$(cat "$kept/instance" 2>/dev/null)" = "$(value instance)" ]; then
        private_files
        # Whoever waits for a later boot reads it there, as cloud-init writes it at each.
        write_result
        return
    fi
    : >"$state/pending"
    if [ -n "$root" ]; then say cloud-init; else say cloud-init & fi
    for each in host_name host_keys accounts time_zone grow swap nics network; do task "$each"; done
    task first_boot early
    if program restorecon; then
        # There is a swap file only where one was asked for.
        task restorecon -i -R /etc /root /home /swapfile
    fi
}
ready() {
    port=$(value port)
    task resolver
    task first_boot late
    name=$(value asks)
    if [ -n "$name" ]; then
        count=0
        until address=$(ip -4 -o address show dev "$name" scope global | awk '{print $4; exit}') && [ -n "$address" ]; do
            count=$((count + 1))
            [ "$count" -lt 120 ] || break
            sleep 1
        done
        [ -z "$address" ] || say address "$address"
    fi
    write_result
    value instance >"$kept/instance"
    say result "$(result)"
    say "done"
    private_files
    rm -f "$state/pending"
}
# There are a private key and perhaps passwords in what came with the seed.
private_files() { rm -f "$state"/host-key "$state"/first-boot "$state"/first-boot.sh "$state"/user-data; }

case ${1-} in
    has) has "${2-}" ;;
    install) install ;;
    boot | ready) "$1" ;;
    *) exit 2 ;;
esac
