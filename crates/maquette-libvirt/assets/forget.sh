# Removes what a domain that is off leaves besides its definition. $1: its name  The rest: its logs
name=$1
shift
for log in "$@"; do
    # Where nobody but libvirt may look there is none that was seen.
    [ ! -e "$log" ] || rm -f -- "$log"
done
# libvirt's directories for a running domain, `domain-ID-NAME`: a power cut leaves them behind.
for directory in /var/lib/libvirt/qemu/domain-* /var/lib/libvirt/qemu/channel/target/domain-*; do
    rest=${directory##*/domain-}
    id=${rest%%-*}
    [ "$rest" = "$id-$name" ] || continue
    case $id in '' | *[!0-9]*) continue ;; esac
    rm -rf -- "$directory"
done
