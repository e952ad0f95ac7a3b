# Has firewalld read its zones, unless it knows libvirt's: packages of some systems see to that themselves. What somebody has
# changed and not made permanent would go with that, by which they may be logged in: then nothing is done.
knows() { case " $(firewall-cmd --get-zones) " in *" libvirt "*) return 0 ;; esac; return 1; }
# $1: a zone  $2: --permanent, or nothing. NICs are put into zones by who manages the network.
rules() { firewall-cmd ${2:+"$2"} --zone="$1" --list-all | sed -e 1d -e '/^ *interfaces:/d'; }
! knows || exit 0
for zone in $(firewall-cmd --get-zones); do
    if [ "$(rules "$zone")" != "$(rules "$zone" --permanent)" ]; then
        echo "firewalld has not read libvirt's zone, and reloading it would take away what is not permanent in zone $zone: \`firewall-cmd --runtime-to-permanent\` keeps that, \`firewall-cmd --reload\` does not; then run the same command again" >&2
        exit 1
    fi
done
firewall-cmd --reload
knows || {
    echo "firewalld does not take libvirt's zone: \`firewall-cmd --check-config\` says why; that of libvirt needs firewalld 0.7 or later" >&2
    exit 1
}
