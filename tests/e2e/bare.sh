# A bare Debian as a machine out of namespaces, and what is on it before and after; read after tests/e2e/lib.sh, with SECOND_HOST set.
# shellcheck shell=bash

machine=$work/machine
on_host() {
    tests/e2e/second-host run "$machine" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LC_ALL=C.UTF-8 TERM=dumb \
        DEBIAN_FRONTEND=noninteractive "$@"
}
remove_machine() { tests/e2e/second-host down "$machine"; }
# bare_machine RELEASE [PACKAGE…]: starts it.
bare_machine() {
    local more=("${@:2}")
    mmdebstrap --quiet --variant=minbase --include=openssh-server,sudo,python3-minimal,iproute2,procps,ca-certificates \
        "${more[@]/#/--include=}" "$1" "$work/root"
    tests/e2e/second-host up "$machine" "$work/root"
    on_host apt-get -q update > "$work/apt" 2>&1 || fail "$(cat "$work/apt")"
}
# What there is, without what a package manager and the system write of their own work.
files() {
    on_host find / \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/log -o -path /var/cache \
        -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /etc/ld.so.cache -o -path /etc/mtab \) -prune -o -print | sort
}
packages() { on_host dpkg-query --show --showformat '${Package} ${Version} ${db:Status-Abbrev}\n'; }
note_state() {
    files > "$work/files"
    packages > "$work/packages"
}
# What is there is what was there when it was noted.
is_as_noted() {
    local debians forgotten
    packages | diff "$work/packages" - || fail "other packages than before: see above"
    # Debian's packages of libvirt, QEMU and systemd leave directories when they are purged, and the machine's ID stays.
    debians='^> /(etc/(apparmor.d|libvirt|machine-id|xml)|var/lib/(libvirt|machines|portables|private|systemd))(/|$)'
    files | diff "$work/files" - | grep '^[<>]' | grep -vE "$debians" > "$work/left" || true
    [ ! -s "$work/left" ] || fail "other files than before: $(cat "$work/left")"
    # In these directories there is no definition, disk or image.
    forgotten=$(on_host sh -c 'find /etc/libvirt /var/lib/libvirt -type f 2> /dev/null || true')
    [ -z "$forgotten" ] || fail "files are left: $forgotten"
}
