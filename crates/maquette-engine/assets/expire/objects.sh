# shellcheck shell=sh
# --- Domains and networks.

# Whether libvirt answers and has an object no more.
# $1: `list` or `net-list`  $2: its UUID
is_gone() {
    listed=$(virsh "$1" --all --uuid) || return 1
    ! printf '%s\n' "$listed" | grep -qxF -- "$2"
}

# Whether an object may be the environment's by its name.
# $1: `list` or `net-list`  $2: the environment  $3: the name
may_be_own() {
    case $1/$2/$3 in list/default/*-[0-9]* | net-list/default/* | "$1/$2/$2-"*) ;; *) return 1 ;; esac
}

# What becomes of the rest if libvirt does not describe an object: 0 if it has gone or is named and passed over, as
# somebody else's; 1 if it may be ours, or libvirt does not answer.
# $1: `list` or `net-list`  $2: its UUID  $3: the environment  $4: its name  $5: what libvirt said
undescribed() {
    if is_gone "$1" "$2"; then return 0; fi
    if ! may_be_own "$1" "$3" "$4" && virsh "$1" --all --uuid >/dev/null; then
        echo "$4 is passed over: $5"
        return 0
    fi
    printf '%s\n' "$5" >&2
    return 1
}

# Removes a domain of the environment, its volumes first: its record is what tells of these. It is called by its UUID:
# virsh takes a name of digits for an ID. One whose record was changed by hand stays: 2.
# $1: the environment  $2: the domain's UUID
domain() {
    if ! name=$(virsh domname "$2" 2>&1); then
        undescribed list "$2" "$1" "$1-0" "$name" || return 1
        return 0
    fi
    if ! record=$(virsh metadata "$2" "$namespace" 2>&1); then
        case $record in *'metadata not found'*) return 0 ;; esac
        undescribed list "$2" "$1" "$name" "$record" || return 1
        return 0
    fi
    elements=$(printf '%s\n' "$record" | tr '\n' ' ' | tr '<' '\n')
    whole=$(printf '%s\n' "$elements" | sed -n '/^\(maquette:\)\{0,1\}node /p' | head -n 1)
    [ "$(attribute "$whole" environment)" = "$1" ] || return 0
    # A copy of a node, and what somebody renamed, is somebody's.
    own=$(attribute "$whole" role)-$(attribute "$whole" index)
    [ "$1" = default ] || own=$1-$own
    if [ "$name" != "$own" ]; then
        echo "domain $name stays: it has the record of $own"
        return 0
    fi
    if ! is_unchanged "$whole" "$record"; then
        echo "domain $name stays, for \`maquette down\`: its record was changed by hand"
        return 2
    fi
    if printf '%s\n' "$elements" | stays_for_disk "domain $name"; then return 2; fi
    echo "removing domain $name"
    if [ "$(virsh domstate "$2" 2>/dev/null)" != 'shut off' ]; then
        virsh destroy "$2" >/dev/null || return 1
    fi
    pool=$(attribute "$whole" pool)
    refresh "$pool" || return 1
    owned=$(printf '%s\n' "$elements" | disk_pools)
    [ -z "$owned" ] || printf '%s\n' "$owned" | open_pools || return 1
    printf '%s\n' "$elements" | while IFS= read -r element; do
        case $element in
        'disk '* | maquette:disk\ *)
            own=$(attribute " $element" pool)
            if [ -n "$own" ] && is_gone_pool "$own"; then continue; fi
            delete "${own:-$pool}" "$(attribute " $element" volume)" "$name" "$2" "$own"
            ;;
        'guest '* | maquette:guest\ *) delete "$pool" "$(attribute " $element" seed)" "$name" "$2" '' ;;
        esac || exit 1
    done || return 1
    [ -z "$owned" ] || printf '%s\n' "$owned" | close_pools || return 1
    # libvirt knows checkpoints since 5.6.
    virsh undefine "$2" --managed-save --snapshots-metadata --nvram --checkpoints-metadata >/dev/null 2>&1 ||
        virsh undefine "$2" --managed-save --snapshots-metadata --nvram >/dev/null || return 1
    for log in "$logs/$name.log" "$logs/$name-serial.log" "/var/lib/libvirt/qemu/$name-serial.log"; do
        rm -f -- "$log" "$log.0" "$log.1" "$log.2"
    done
}

# What the bridge of a network is called: as the network, or where an interface cannot have so long a name as it begins,
# with a part of its digest.
interface() {
    case $1 in
    ????????????????*) printf '%.8s-%.6s\n' "$1" "$(printf %s "$1" | sha256sum)" ;;
    *) printf '%s\n' "$1" ;;
    esac
}

# Removes a network of the environment, and volumes of nodes whose domains somebody undefined. One that has a NIC of the
# hypervisor, or a bridge of Open vSwitch, stays: what these had before only Maquette gives back. So does one that a domain
# is plugged into which stays: 2.
# $1: the environment  $2: the network's UUID
network() {
    if ! name=$(virsh net-name "$2" 2>&1); then
        undescribed net-list "$2" "$1" "$1-0" "$name" || return 1
        return 0
    fi
    if ! xml=$(virsh net-dumpxml --inactive "$2" 2>&1); then
        undescribed net-list "$2" "$1" "$name" "$xml" || return 1
        return 0
    fi
    elements=$(printf '%s\n' "$xml" | tr '\n' ' ' | tr '<' '\n')
    whole=$(printf '%s\n' "$elements" | sed -n '/^maquette:network /p' | head -n 1)
    [ "$(attribute "$whole" environment)" = "$1" ] || return 0
    # Who copies a network gives it another name; its record has the bridge that it was made with.
    made=$(attribute "$whole" bridge)
    if [ "${made:-$(interface "$name")}" != "$(interface "$name")" ] || ! may_be_own net-list "$1" "$name"; then
        echo "network $name stays: it has a record of environment $1"
        return 0
    fi
    if ! is_unchanged "$whole" "$xml"; then
        echo "network $name stays, for \`maquette down\`: its record was changed by hand"
        return 2
    fi
    bridge=$(attribute " $(printf '%s\n' "$elements" | sed -n '/^bridge /p' | head -n 1)" name)
    if printf '%s\n' "$plugged" | grep -qxF -e "network $name" -e "bridge ${bridge:-/}"; then
        echo "network $name stays, for \`maquette down\`: a domain is plugged into it"
        return 2
    fi
    if printf '%s\n' "$elements" | stays_for_disk "network $name"; then return 2; fi
    node='' pool=''
    owned=$(printf '%s\n' "$elements" | disk_pools)
    [ -z "$owned" ] || printf '%s\n' "$owned" | open_pools || return 1
    named=$(virsh list --all --name) || return 1
    printf '%s\n' "$elements" | while IFS= read -r element; do
        case $element in
        maquette:tenant\ *)
            node=$(attribute "$element" node)
            pool=$(attribute "$element" pool)
            # A domain of that name that is still there is somebody's.
            if printf '%s\n' "$named" | grep -qxF -- "$node"; then node=; fi
            ;;
        maquette:volume\ *)
            own=$(attribute "$element" pool)
            if [ -z "$node" ] || { [ -n "$own" ] && is_gone_pool "$own"; }; then continue; fi
            delete "${own:-$pool}" "$(attribute "$element" name)" "$node" '' "$own"
            ;;
        esac || exit 1
    done || return 1
    [ -z "$owned" ] || printf '%s\n' "$owned" | close_pools || return 1
    if printf '%s\n' "$elements" | grep -qE '^maquette:(uplink|vswitch|port|portgroup)[ />]'; then
        echo "network $name stays, for \`maquette down\`"
        return 2
    fi
    echo "removing network $name"
    active=$(virsh net-list --uuid) || return 1
    if printf '%s\n' "$active" | grep -qxF -- "$2"; then virsh net-destroy "$2" >/dev/null || return 1; fi
    virsh net-undefine "$2" >/dev/null
}
