# Removes environments of Maquette's whose time is up, also when whoever made them is gone. Installed and called by
# Maquette's preparation of this hypervisor; `maquette host restore` takes it away.
# $1: `once`; `logged`, the same with what it says in the system's log; `loop`, for a machine without a timer; or `remove`
#     and a name: `environment.NAME`, by which a lock is known; or `digest` and an element, which tells that of a record
# Before this there is what `below` is, and `close_forwarding`.
# For tests, the directories of notes, locks, texts for logins, BMCs, records of images and of keys may be given in MAQUETTE_NOTES,
# MAQUETTE_LOCKS, MAQUETTE_MOTD, MAQUETTE_BMC, MAQUETTE_PROGRAMS (theirs), MAQUETTE_IMAGES and MAQUETTE_FORWARDING; how many
# seconds are between two looks at least in MAQUETTE_APART, and for how many libvirt is waited in MAQUETTE_PATIENCE.
set -u
export LC_ALL=C
: "${LIBVIRT_DEFAULT_URI:=qemu:///system}"
export LIBVIRT_DEFAULT_URI
notes=${MAQUETTE_NOTES:-/var/lib/maquette/environments}
locks=${MAQUETTE_LOCKS:-/run/maquette}
motd=${MAQUETTE_MOTD:-/run/motd.d}
bmc=${MAQUETTE_BMC:-/var/lib/maquette/bmc}
programs=${MAQUETTE_PROGRAMS:-/usr/local/libexec/maquette}
images=${MAQUETTE_IMAGES:-/var/lib/maquette/images}
apart=${MAQUETTE_APART:-45}
patience=${MAQUETTE_PATIENCE:-120}
# Directories that do not answer, for `asked`: all environments of a look go by it, so that one waits for a server and not each.
silent=${MAQUETTE_SILENT-}
logs=/var/log/libvirt/qemu
namespace=https://maquette.dev/xmlns/libvirt/1
tab=$(printf '\t')

# A daemon that is silent holds up nothing else.
virsh() { timeout "$patience" virsh -q "$@"; }

# One of the values of a note.
# $1: the note  $2: its name
value() { sed -n "s/^$2 //p" "$1" 2>/dev/null | head -n 1; }

# Whether a note says that the time of its environment is up: it names the environment, and a second that is past.
# $1: the note
is_over() {
    [ "$(value "$1" environment)" = "${1##*/environment.}" ] || return 1
    at=$(value "$1" expires)
    case $at in '' | *[!0-9]*) return 1 ;; esac
    [ "$(date +%s)" -ge "$at" ]
}

# Whether that was so at an earlier look, too. The clock of a machine that has just started or woken up may be ahead until
# it hears what time it is: how long ago the earlier look was is told by how long the machine has run.
# $1: the note
was_over() {
    mark=$locks/expired.${1##*/environment.}
    at=$(value "$1" expires)
    read -r up _ </proc/uptime
    up=${up%.*} since=
    if [ -f "$mark" ] && read -r before since <"$mark" && [ "$before" = "$at" ] && [ "$up" -ge "$since" ] 2>/dev/null; then
        [ $((up - since)) -ge "$apart" ]
        return
    fi
    mkdir -p -m 755 -- "$locks" && printf '%s %s\n' "$at" "$up" >"$mark"
    return 1
}

# Tells whoever logs in at this machine which environments go soon, where PAM shows what is in /run/motd.d. Soon is what it
# is to `maquette`: an hour, or a tenth of the time if that is more; half of it if it is not much longer than an hour.
tell() {
    now=$(date +%s) text=
    for note in "$notes"/environment.*; do
        at=$(value "$note" expires) ttl=$(value "$note" ttl) soon=3600
        case $at in '' | *[!0-9]*) continue ;; esac
        case $ttl in
        '' | *[!0-9]*) ;;
        *)
            if [ $((ttl / 2)) -lt $soon ]; then soon=$((ttl / 2)); fi
            if [ $((ttl / 10)) -gt $soon ]; then soon=$((ttl / 10)); fi
            ;;
        esac
        left=$((at - now))
        if [ $left -le 0 ] || [ $left -gt $soon ]; then continue; fi
        owner=$(value "$note" owner | tr -d '\000-\037\177')
        # Whoever reads this is in no directory of it.
        name=${note##*/environment.}
        extend="maquette extend --prefix $name"
        [ "$name" != default ] || extend="maquette extend"
        text="$text
Maquette removes environment $name${owner:+ of $owner} in $(((left + 59) / 60)) min, with all data on its
disks; \`$extend\` gives it more time."
    done
    if [ -z "$text" ]; then
        rm -f -- "$motd/maquette"
        return
    fi
    mkdir -p -m 755 -- "$locks" "$motd" || return
    printf '%s\n\n' "$text" >"$locks/motd" && sync "$locks/motd" && mv -f -- "$locks/motd" "$motd/maquette"
}

# A libvirt element's attribute. Values have no quotes in them: XML writes these otherwise.
# $1: the element's text, up to its end  $2: the attribute
attribute() {
    # shellcheck disable=SC1003 # it is a pattern of sed's
    printf '%s\n' "$1" | tr '\n' ' ' | sed -n 's/.*[ ]'"$2"'=["'\'']\([^"'\'']*\)["'\''].*/\1/p'
}

# The digest of a record, as Maquette makes it: of the names of all elements and attributes, whatever order the latter are
# in, and their values, with characters between them that XML has not. Whoever may define domains can make it fit; it tells
# what somebody has changed by hand.
# $1: what the record's element is called, with a prefix if it has one  stdin: the record, or XML with it
digest() {
    awk -v root="$1" '
function byte(number) { return sprintf("%c", number) }
function character(number) {
    if (number < 128) return byte(number)
    if (number < 2048) return byte(192 + int(number / 64)) byte(128 + number % 64)
    if (number < 65536) return byte(224 + int(number / 4096)) byte(128 + int(number / 64) % 64) byte(128 + number % 64)
    return byte(240 + int(number / 262144)) byte(128 + int(number / 4096) % 64) \
        byte(128 + int(number / 64) % 64) byte(128 + number % 64)
}
function referred(name, number, at, base) {
    if (name in named) return named[name]
    base = 10
    name = tolower(substr(name, 2))
    if (sub(/^x/, "", name)) base = 16
    number = 0
    for (at = 1; at <= length(name); at++)
        number = number * base + index("0123456789abcdef", substr(name, at, 1)) - 1
    return character(number)
}
function plain(value, out, at) {
    for (out = ""; at = index(value, "&"); value = substr(value, at + 1)) {
        out = out substr(value, 1, at - 1)
        value = substr(value, at + 1)
        at = index(value, ";")
        out = out referred(substr(value, 1, at - 1))
    }
    return out value
}
BEGIN { named["lt"] = "<"; named["gt"] = ">"; named["amp"] = "&"; named["quot"] = "\""; named["apos"] = "\047" }
{ rest = rest $0 "\n" }
END {
    while (match(rest, /<([^<>"\047]|"[^"]*"|\047[^\047]*\047)*>/)) {
        tag = substr(rest, RSTART + 1, RLENGTH - 2)
        rest = substr(rest, RSTART + RLENGTH)
        if (tag ~ /^[?!]/) continue
        if (tag ~ /^\//) {
            if (!depth) continue
            if (!--depth) exit
            printf "\002"
            continue
        }
        empty = sub(/\/$/, "", tag)
        match(tag, /^[^ \t\n]+/)
        name = substr(tag, 1, RLENGTH)
        tag = substr(tag, RLENGTH + 1)
        if (!depth && name != root) continue
        sub(/^maquette:/, "", name)
        if (depth) printf "\001"
        printf "%s", name
        count = 0
        while (match(tag, /[^ \t\n=]+=("[^"]*"|\047[^\047]*\047)/)) {
            pair = substr(tag, RSTART, RLENGTH)
            tag = substr(tag, RSTART + RLENGTH)
            at = index(pair, "=")
            key = substr(pair, 1, at - 1)
            if (key == "xmlns" || key ~ /^xmlns:/ || (!depth && key == "digest")) continue
            # In their order from the first on.
            for (to = ++count; to > 1 && keys[to - 1] "" > key ""; to--) {
                keys[to] = keys[to - 1]
                values[to] = values[to - 1]
            }
            keys[to] = key
            values[to] = plain(substr(pair, at + 2, length(pair) - at - 2))
        }
        for (at = 1; at <= count; at++) printf "\003%s\003%s", keys[at], values[at]
        if (!empty) depth++
        else if (!depth) exit
        else printf "\002"
    }
}' | tr '\003' '\000' | sha256sum | cut -c 1-16
}

# Whether a record is as it was written.
# $1: the element that it begins with  $2: XML with it
is_unchanged() {
    [ "$(printf '%s\n' "$2" | digest "${1%% *}")" = "$(attribute "$1" digest)" ]
}

# Who have a volume, or an overlay of it that a snapshot made: `x.SNAPSHOT` is that of `x.qcow2`. UUIDs of domains; behind one
# there is a `/` if that has only something over the volume, as a linked clone is, and so there is behind `volume:NAME`.
# $1: volume  $2: the UUID of the domain whose record names it, which does not count, or nothing
user() {
    printf '%s\n' "$disks" | stem=${1%.*}. ending=.${1##*.} own=$2 awk '
        index(substr($0, length($1) + 2), ENVIRON["stem"]) != 1 { next }
        { who = $1; over = sub(/\/$/, "", who) }
        who == ENVIRON["own"] { next }
        # An overlay that a snapshot has made goes with the volume.
        sub(/^volume:/, "", who) && index(who, ENVIRON["stem"]) == 1 && \
            substr(who, length(who) - length(ENVIRON["ending"]) + 1) != ENVIRON["ending"] { next }
        !over { print $1 }
        over { clones = clones $1 "\n" }
        END { printf "%s", clones }'
}

# Records that a volume stays for what others have over it; `maquette image prune` removes it once there is nothing.
# $1: pool  $2: volume
keep() {
    path=$(virsh vol-path --pool "$1" "$2") || return 1
    record=$images/$(printf %s "$path" | sha256sum | cut -c 1-32)
    mkdir -p -m 755 -- "$images" && printf '%s\ndisk\n' "$path" >"$record.new" && sync "$record.new" &&
        mv -f -- "$record.new" "$record"
}

# Deletes overlays of a volume: files called like it, with a snapshot's name in the place of its ending. What ends like a
# volume may be that of another node.
# $1: pool  $2: volume
overlays() {
    named=$(virsh vol-list --pool "$1") || return 1
    # A name may have blanks in it; what follows it ends with it.
    printf '%s\n' "$named" | sed -n 's|^ *\([^ ].*\)  */.*/\1 *$|\1|p' | while IFS= read -r overlay; do
        case $overlay in
        # Another volume, or a copy that somebody has put aside.
        *."${2##*.}" | "$2".*) ;;
        "${2%.*}".?*) virsh vol-delete --pool "$1" "$overlay" >/dev/null || exit 1 ;;
        esac
    done
}

# Deletes a volume, if its name says whose it is: whatever a record names, nothing else goes. Between the name of the node
# and the ending there is the key of a disk. One that a domain has besides stays.
# $1: pool  $2: volume  $3: the node  $4: the UUID of its domain, or nothing  $5: the pool that its disk names, or nothing
delete() {
    case $2 in
    "$3"-seed.img) ;;
    "$3"-?*.qcow2)
        key=${2#"$3"-}
        case ${key%.qcow2} in [!A-Za-z0-9]* | *[!A-Za-z0-9_-]*) return 0 ;; esac
        ;;
    *) return 0 ;;
    esac
    holder=$(user "$2" "$4" | while IFS= read -r each; do
        # What was looked at before this removal began has domains that it has removed since.
        case $each in volume:*) ;; *) ! is_gone list "${each%/}" || continue ;; esac
        printf '%s\n' "$each"
        break
    done)
    if [ -z "$holder" ] && [ -n "$4" ]; then overlays "$1" "$2" || return 1; fi
    if ! said=$(virsh vol-info --pool "$1" "$2" 2>&1); then
        # Anything else is no answer, and the record has to stay.
        case $said in *'volume not found'*) return 0 ;; esac
        printf '%s\n' "$said" >&2
        return 1
    fi
    case $holder in
    '') ;;
    volume:*) who="volume ${holder#volume:}" who="${who%/} is over it" ;;
    *)
        who="domain $(virsh domname "${holder%/}" 2>/dev/null || echo "${holder%/}")"
        case $holder in */) who="$who has a clone of it" ;; *) who="$who has it" ;; esac
        ;;
    esac
    if [ -n "$holder" ]; then
        echo "volume $2 stays: $who"
        # Images are pruned in the environment's pool.
        case $holder$5 in */) keep "$1" "$2" ;; esac
        return
    fi
    virsh vol-delete --pool "$1" "$2" >/dev/null
}

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

# Has libvirt look at the files of a pool anew: what a snapshot made is not listed before. Somebody at work in it refuses that.
# 1 if there is no answer, as where the server is gone that the pool is on: nothing more is asked of that pool then, since each
# question would take as long.
# $1: pool
refresh() {
    if printf '%s\n' "$dead" | grep -qxF -- "$1"; then return 1; fi
    virsh pool-refresh "$1" >/dev/null 2>&1
    [ $? = 124 ] || return 0
    dead="$dead
$1"
    echo "storage pool $1 does not answer: what of the environment is in it stays for now" >&2
    return 1
}

# The disks in pools of directories that elements of a record name: a line each, of the pool, `yes` if the environment has
# defined it, else `no`, the volume, and the directory; tabs between these, of which none has any. stdin: elements
pooled() {
    while IFS= read -r element; do
        case $element in
        'disk '* | maquette:disk\ *) volume=$(attribute " $element" volume) ;;
        maquette:volume\ *) volume=$(attribute " $element" name) ;;
        *) continue ;;
        esac
        own=$(attribute " $element" pool) made=no
        [ -n "$own" ] || continue
        [ -z "$(attribute " $element" pool-made)" ] || made=yes
        printf '%s\t%s\t%s\t%s\n' "$own" "$made" "$volume" "$(attribute " $element" pool-path)"
    done
}

# The pools of directories that disks name: a line each, of the pool, `yes` or `no` as before, and the directory. stdin: elements
disk_pools() { pooled | cut -f 1,2,4 | sort -u; }

# Whether libvirt answers and has a pool no more.
# $1: pool
is_gone_pool() {
    listed=$(virsh pool-list --all --name) || return 1
    ! printf '%s\n' "$listed" | sed 's/ *$//' | grep -qxF -- "$1"
}

# Whether something stays, which is said, for a disk whose pool somebody has undefined: it is no volume of anything then, and
# only this record tells of it.
# $1: what may stay  stdin: elements of its record
stays_for_disk() {
    where=$(pooled | while IFS="$tab" read -r own _ volume path; do
        is_gone_pool "$own" || continue
        if within test -e "$path/$volume" || [ $? != 1 ]; then
            printf '%s\n' "$path"
            break
        fi
    done)
    [ -n "$where" ] || return 1
    echo "$1 stays, for \`maquette down\`: a disk is in $where, of which there is no storage pool any more"
}

# Has such pools run, and looked at anew. One that has gone had nothing of ours any more, or its directory has gone with it.
# stdin: what `disk_pools` has printed
open_pools() {
    while IFS="$tab" read -r own _; do
        ! is_gone_pool "$own" || continue
        active=$(virsh pool-list --name) || return 1
        if ! printf '%s\n' "$active" | sed 's/ *$//' | grep -qxF -- "$own"; then
            virsh pool-start "$own" >/dev/null || return 1
        fi
        refresh "$own" || return 1
    done
}

# Undefines such pools that the environment has defined, unless there is something in them. Their directories stay.
# stdin: what `disk_pools` has printed
close_pools() {
    while IFS="$tab" read -r own made path; do
        if [ "$made" = no ] || is_gone_pool "$own"; then continue; fi
        xml=$(virsh pool-dumpxml "$own") && named=$(virsh vol-list --pool "$own") || return 1
        # What each file system of Linux's has from the beginning.
        named=$(printf '%s\n' "$named" | sed '/^ *lost+found /d')
        # Somebody else's of that name.
        case $xml in *"<path>$path</path>"*) ;; *) continue ;; esac
        case $named in
        */*) echo "storage pool $own stays: there is more in it" ;;
        *) virsh pool-destroy "$own" >/dev/null && virsh pool-undefine "$own" >/dev/null || return 1 ;;
        esac
    done
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

# The networks and bridges that domains are plugged into, now or when they start next: lines of `network` or `bridge` and a
# name. 1 if that cannot be told: a list that cannot be had is not an empty one.
plugs() {
    all=$(virsh list --all --uuid) || return 1
    for domain in $all; do
        if said=$(virsh domiflist "$domain" 2>&1 && virsh domiflist "$domain" --inactive 2>&1); then
            printf '%s\n' "$said" | awk '$2 == "network" || $2 == "bridge" { print $2, $3 }'
        elif ! is_gone list "$domain"; then
            echo "networks stay for now: what domain $domain is plugged into cannot be told: $said" >&2
            return 1
        fi
    done
}

# The files of domains' disks, now or when they start next: lines of a domain's UUID and a file. 1 as with plugs.
held() {
    all=$(virsh list --all --uuid) || return 1
    for domain in $all; do
        if said=$(virsh domblklist "$domain" 2>&1 && virsh domblklist "$domain" --inactive 2>&1); then
            # Earlier versions of virsh fill the last column up.
            printf '%s\n' "$said" | sed -n 's/^ *[^ ][^ ]*  *//; s/ *$//; /./p' | sed 's/^/'"$domain"' /'
        elif ! is_gone list "$domain"; then
            echo "nothing goes for now: which disks domain $domain has cannot be told: $said" >&2
            return 1
        fi
    done
}

# Those of these that are raw disks, now and when their domain starts next: what looks like the head of an image there a guest
# may have written. One whose definition cannot be had is none.
raw() {
    for domain in $(virsh list --all --uuid); do
        { virsh dumpxml "$domain" && virsh dumpxml "$domain" --inactive; } 2>/dev/null | tr '\n' ' ' | tr '<' '\n' |
            awk -v domain="$domain" '
                /^disk / { format = ""; seen = 0 }
                /^driver / && match($0, / type=["\047][^"\047]*/) { format = substr($0, RSTART + 7, RLENGTH - 7) }
                /^source file=/ && !seen++ {
                    file = substr($0, 14)
                    file = substr(file, 1, index(file, substr($0, 13, 1)) - 1)
                    if (format == "raw") raw[file] = 1; else other[file] = 1
                }
                /^\/disk>/ { seen = 1 }
                END { for (file in raw) if (!(file in other)) print domain, file }'
    done
}

# The files of all volumes of pools that run. One of a pool that goes meanwhile is not missed.
volumes() {
    pools=$(virsh pool-list --name) || return 1
    printf '%s\n' "$pools" | while IFS= read -r pool; do
        [ -z "$pool" ] || virsh vol-list --pool "$pool" 2>/dev/null | sed -n 's|^ *\([^ ].*\)  *\(/.*/\1\) *$|\2|p'
    done
}

# The same as held, by the names of files, and of volumes that no domain has; and behind `/` what these are over: libvirt does not
# say that of a domain that is off.
files() {
    held=$(held) && volumes=$(volumes) || return 1
    raw=$(raw)
    nobody=$(printf '%s\n' "$held" // "$volumes" | awk '
        $0 == "//" { rest = 1; next }
        !rest { known[substr($0, length($1) + 2)] = 1; next }
        NF && !($0 in known) { name = $0; sub(/.*\//, "", name); gsub(/ /, "_", name); print "volume:" name, $0 }')
    printf '%s\n' "$held" "$nobody" | while read -r whose file; do
        [ -n "$file" ] || continue
        over=
        if ! printf '%s\n' "$raw" | grep -qxF -- "$whose $file" && ! over=$(below "$file"); then
            # One that nobody has may have gone meanwhile.
            case $whose in volume:*) within test -e "$file" || [ $? != 1 ] || continue ;; esac
            echo "nothing goes for now: what $file is over cannot be told, and it may be a clone of what would go;" \
                "\`qemu-img info -U --backing-chain $file\` tells more, and once it can be read or has gone, the rest goes" >&2
            exit 1
        fi
        case $whose in volume:*) ;; *) printf '%s\n' "$file" | sed 's/.*\///; s/^/'"$whose"' /' ;; esac
        [ -z "$over" ] || printf '%s\n' "$over" | sed 's/.*\///' | while IFS= read -r named; do
            printf '%s/ %s\n' "$whose" "$named"
        done
    done
}

# Takes the lock of an environment as `maquette` does, and removes what there is of it; the note goes last.
# $1: environment.NAME
remove() {
    note=$notes/$1 lock=$locks/$1 environment=${1#environment.}
    mkdir -p -m 755 -- "$locks" || return 1
    exec 9>>"$lock" || return 1
    # Somebody is at work in it: there is a next time.
    flock -n 9 || return 0
    [ "$(stat -c %i -- "$lock" 2>/dev/null)" = "$(stat -L -c %i /proc/self/fd/9)" ] || return 0
    printf '%s %s %s\n-\n' "$(date +%s)" $$ "the timer that removes expired environments" >"$lock"
    exec 8>>"$lock.busy"
    if ! flock -n 8; then
        rm -f -- "$lock"
        return 0
    fi
    # Somebody may have given it more time a moment ago.
    if is_over "$note"; then
        failed=0 stays=0 dead=
        bmcs=$bmc/$1
        # What they serve goes.
        if [ -f "$bmcs/bmc.sh" ]; then
            sh -eu "$bmcs/bmc.sh" stop "$bmcs" "maquette-bmc-$environment.service" || failed=1
        fi
        # What was killed in between has left no script: nothing was served yet, or nothing is any more.
        if [ $failed = 0 ]; then rm -rf -- "$bmcs" "${programs:?}/$1" || failed=1; fi
        # A list that cannot be had is not an empty one.
        { domains=$(virsh list --all --uuid) && networks=$(virsh net-list --all --uuid) && disks=$(files); } ||
            failed=1 domains=''
        for domain in $domains; do
            domain "$environment" "$domain"
            case $? in 0) ;; 2) stays=1 ;; *) failed=1 ;; esac
        done
        if [ $failed = 0 ]; then plugged=$(plugs) || failed=1; fi
        if [ $failed = 0 ]; then
            for network in $networks; do
                network "$environment" "$network"
                case $? in 0) ;; 2) stays=1 ;; *) failed=1 ;; esac
            done
        fi
        # Also where something stays: nobody is to go there any more.
        if ! close_forwarding "$environment"; then failed=1; fi
        if [ $failed = 0 ]; then
            case $stays in
            0) rm -f -- "$note.new" "$note" ;;
            *)
                sed 's/^expires /expired /' "$note" >"$note.new" && sync "$note.new" && mv -f -- "$note.new" "$note"
                ;;
            esac
        fi
    fi
    rm -f -- "$lock.busy" "$lock"
}

# Removes what is due, side by side: one whose pool does not answer takes as long as that may, and holds up no other.
once() {
    begun=0
    for note in "$notes"/environment.*; do
        mark=$locks/expired.${note##*/environment.}
        if [ ! -f "$note" ] || ! is_over "$note"; then
            rm -f -- "$mark"
        # For more there is a next look.
        elif was_over "$note" && [ $begun -lt 16 ]; then
            [ $begun != 0 ] || : >"$locks/silent"
            begun=$((begun + 1))
            {
                MAQUETTE_SILENT=$locks/silent sh "$0" remove "${note##*/}"
                is_over "$note" || rm -f -- "$mark"
            } &
        fi
    done
    wait
    if [ -e "$locks/silent" ]; then rm -f -- "$locks/silent"; fi
    # A look that was killed may have left a mark of what has gone.
    for mark in "$locks"/expired.*; do
        [ -f "$notes/environment.${mark##*/expired.}" ] || rm -f -- "$mark"
    done
    tell
}

# The same where nobody takes what it says.
logged() {
    if command -v logger >/dev/null 2>&1; then once 2>&1 | logger -t maquette-expire; else once; fi
}

case ${1-} in
remove) remove "$2" ;;
digest) digest "$2" ;;
once) once ;;
logged) logged ;;
loop)
    # One at a time, and none after this file has gone.
    mkdir -p -m 755 -- "$locks" || exit 1
    exec 7>"$locks/expire"
    # Whoever looks whether one runs takes this for a moment.
    flock -w 5 7 || exit 0
    while [ -f "$0" ]; do
        (exec 7>&- && logged)
        (exec 7>&- && sleep 30)
    done
    ;;
*)
    echo "usage: $0 once | logged | loop" >&2
    exit 2
    ;;
esac
