# shellcheck shell=sh
# --- Storage pools, also of directories that disks name.

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
