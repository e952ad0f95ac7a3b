# Brings one image into a pool, under a lock that this shell and all that it starts hold until it is in place.
# $1: the image  $2: where it grows  $3: seconds that another run may go without getting on
# $4: the record that the image is ours, or empty  $5: a second line of that, or empty
# Orders come as lines on standard input; answers go to standard output as lines that begin with `:: `.
# When the input ends, whoever gives the orders is gone, and everything here ends with it.
target=$1 part=$2 patience=$3 record=$4 about=${5-}
umask 022
LC_ALL=C
export LC_ALL
answer() {
    # What was said belongs to this answer.
    printf '\n::\n' >&2
    printf ':: %s\n' "$*"
}

work=$(mktemp -d)
mkfifo -m 600 "$work/orders"
exec 7<>"$work/orders" 3<&0
rm -r "$work"
(while IFS= read -r order; do printf '%s\n' "$order"; done >&7; kill -TERM 0) <&3 >/dev/null 2>&1 3<&- &
watcher=$!
trap 'kill "$watcher" 2>/dev/null || :' EXIT
exec 3<&-

lock=$part.lock
open() { exec 9>>"$lock"; }
# Its last holder removes the file; a lock on a file that nobody else can open any more locks nothing.
same() { [ "$(stat -c %i -- "$lock" 2>/dev/null)" = "$(stat -L -c %i /proc/self/fd/9)" ]; }
seen() { stat -c '%n %s %Y' -- "$part"* 2>/dev/null || :; }
take() {
    flock -n 9 && return
    answer waiting
    while was=$(seen) && ! flock -w "$patience" 9; do
        [ "$(seen)" != "$was" ] || { answer busy; exit 75; }
    done
}
open
take
until same; do
    open
    take
done
# What runs left that are gone: none is at work, or it would have the lock.
rm -f -- "$part"-* "$part.new" "$part.ca" "$part.claim" "$part.told" "$part.setup" "$part.said" \
    "$part.hv" "$part.kernel"

# Runs a program that reads a stranger's bytes: as nobody, without a way back, and with limits. With it ends all that it has
# started, which would have its file open to write when that has been judged, where namespaces can be had.
# $1: how large a file it may write, in bytes
confined() {
    limit=$1
    shift
    if [ "$(id -u)" = 0 ]; then
        set -- setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --no-new-privs -- "$@"
    fi
    # Its run's mark, by which whoever takes over ends what still works for that.
    set -- env -i "PATH=$PATH" LC_ALL=C ${MAQUETTE_RUN:+"MAQUETTE_RUN=$MAQUETTE_RUN"} \
        prlimit --core=0 --nofile=64 --as=4294967296 --cpu=3600 "--fsize=$limit" -- "$@"
    # The first process of a namespace hears no signal that it does not ask for: the program is the second.
    # shellcheck disable=SC2016
    if [ "$(id -u)" = 0 ] && unshare --fork --pid --kill-child true 2>/dev/null; then
        set -- unshare --fork --pid --kill-child -- sh -c '"$@"; exit $?' sh "$@"
    fi
    "$@" 7>&- 9>&-
}
# An empty file that a confined program can write.
made() {
    rm -f -- "$1"
    : >"$1"
    [ "$(id -u)" != 0 ] || chown 65534:65534 -- "$1"
}
# What a program made that ended with $1 takes the part's place, or goes.
settle() {
    if [ "$1" != 0 ]; then
        rm -f -- "$part.new"
        return
    fi
    [ "$(id -u)" != 0 ] || chown 0:0 -- "$part.new"
    rm -f -- "$part.from"
    mv -f -- "$part.new" "$part"
}
size() { stat -c %s -- "$1" 2>/dev/null || echo 0; }
# A header of the last answer in a file of headers: before it come those of redirections.
header() {
    tr -d '\r' <"$2" 2>/dev/null | awk -v name="$1" '
        /^HTTP\// { value = "" }
        index(tolower($0), name ":") == 1 { value = substr($0, length(name) + 2); sub(/^[ \t]+/, "", value) }
        END { print value }'
}
# What tells that the server still has what a part is of: a strong tag, or the time of its last change.
# $1: a file of headers
validator() {
    tag=$(header etag "$1")
    case $tag in '"'*) echo "$tag" ;; *) header last-modified "$1" ;; esac
}
# Whether what came of going on is of the same as what was there before: a server that does not know If-Range may go on from
# the middle of something else. Where nothing has been answered, nothing has come.
goes_on() {
    [ ! -s "$part.again" ] || { [ "$(header etag "$part.again")" = "$(header etag "$part.from")" ] &&
        [ "$(header last-modified "$part.again")" = "$(header last-modified "$part.from")" ]; }
}
# How many seconds a download may take: one that goes on at a crawl would have no end. What it would take at the lowest rate,
# and some more; the longest time of all where the server does not tell how much it sends.
longest() {
    time=$longest
    if [ -n "$sent" ]; then time=$((slow + sent / slowest)); fi
    [ "$time" -le "$longest" ] || time=$longest
    echo "$time"
}
# $1: file for headers  $2: where to begin, or empty  $3: what has to hold for that
curl_it() {
    # Where a redirection leads may be secret, too.
    (umask 077 && rm -f -- "$1" && : >"$1")
    most=$(($(size "$part") + $(room "$part")))
    [ "$most" -le "$largest" ] || most=$largest
    ended=0
    # The address may hold a password: it comes on standard input, and is in nobody's list of processes. A server need
    # not say how much it sends, nor tell the truth, and may ask for another try in a year (`Retry-After`).
    printf '%s\n' "$config" | prlimit --core=0 "--fsize=$most" -- curl --config - --fail --location --globoff \
        --retry 2 --retry-max-time "$stall" --max-redirs 10 --proto '=http,https' --proto-redir "$redirects" \
        --connect-timeout 10 --speed-limit "$stalled" --speed-time "$stall" --max-time "$(longest)" ${2:+--continue-at "$2"} ${3:+--header "If-Range: $3"} \
        ${authorities:+--cacert "$part.ca"} --dump-header "$1" --output "$part" >/dev/null || ended=$?
    [ "$ended" = 0 ] || [ "$(size "$part")" -lt "$most" ] || large=$most
    return "$ended"
}
whole() {
    rm -f -- "$part" "$part.from"
    curl_it "$part.from" "" ""
}
# Whether a server was asked with encryption, and led from there to one that was not: 0 if so. curl keeps to encryption
# where it began with that, and an address without a scheme is of the one before.
# $1: a file of headers
stepped_down() {
    tr -d '\r' <"$1" 2>/dev/null | awk '
        { line = tolower($0) }
        line ~ /^location:[ \t]*https:/ { encrypted = 1 }
        line ~ /^location:[ \t]*http:/ && encrypted { down = 1 }
        END { exit !down }'
}
# How much the server says that it has, without sending it; nothing if it does not say so. What else it says of that is in
# `$part.told`.
length() {
    (umask 077 && rm -f -- "$part.told" && : >"$part.told")
    ended=0
    # A server that answers nothing to this may well send what is asked for.
    most=$stall
    [ "$most" -le 15 ] || most=15
    printf '%s\n' "$config" | prlimit --core=0 -- curl --config - --fail --silent --show-error --location --globoff --head \
        --retry 2 --max-time "$most" --retry-max-time "$stall" --max-redirs 10 --proto '=http,https' \
        --proto-redir "$redirects" --connect-timeout 10 ${authorities:+--cacert "$part.ca"} \
        --output "$part.told" >/dev/null || ended=$?
    if stepped_down "$part.told"; then ended=190; fi
    sent=$(header content-length "$part.told")
    [ "$ended" = 0 ] || return "$ended"
    case $sent in *[!0-9]* | ????????????????*) sent= ;; esac
    echo "$sent"
}
# Takes room for so many more bytes before they come, so that two runs that begin at the same time do not both count on the
# same. What there is room for is in `most` then.
# $1: how many  $2: `less` if fewer will do, which are then in `limit`
claim() {
    exec 8<"${part%/*}"
    flock 8 2>/dev/null || :
    most=$(room "$part") limit=$1
    if [ "$limit" -gt "$most" ] && [ "${2-}" = less ]; then limit=$most; fi
    [ "$limit" -gt "$most" ] || printf '%s\n' $(($(size "$part") + limit)) >"$part.claim"
    exec 8<&-
}
download() {
    how=whole
    ended=0
    # A run that was killed while it went on may have mixed two images.
    goes_on || rm -f -- "$part" "$part.from"
    rm -f -- "$part.again"
    sent=$(length) || ended=$?
    offered=$(validator "$part.told")
    rm -f -- "$part.told"
    case $ended in
        0) ;;
        # There is no way there, or none that is taken.
        5 | 6 | 7 | 190) return "$ended" ;;
        *) sent= ;;
    esac
    if [ -n "$sent" ]; then
        at=$(size "$part")
        claim $((sent - at))
        if [ "$limit" -gt "$most" ]; then
            large=$((at + most))
            return 1
        fi
    fi
    valid=$(validator "$part.from")
    if [ ! -s "$part" ] || [ -z "$valid" ]; then
        whole
        return
    fi
    at=$(size "$part")
    curl_it "$part.again" "$at" "$valid" || :
    [ -z "$large" ] || return "$ended"
    range=$(header content-range "$part.again")
    case $ended in
        0)
            goes_on && how=resumed && return
            whole
            ;;
        # Refused: it was complete already, if it has the length that the server tells, and is what the server has.
        22)
            [ "$offered" = "$valid" ] || offered=$(validator "$part.again")
            if [ "$range" = "bytes */$at" ] && [ "$offered" = "$valid" ]; then how=resumed; else whole; fi
            ;;
        # No way there, or it broke off again: another run goes on from here, if that is of one image.
        5 | 6 | 7 | 18 | 28 | 35 | 52 | 55 | 56 | 60)
            goes_on || rm -f -- "$part" "$part.from"
            return "$ended"
            ;;
        *) whole ;;
    esac
}

# The program that libguestfs starts in place of its QEMU, in which programs of the image run: QEMU as nobody, without a way
# back, with limits, and with nothing but what it needs open.
emulator() {
    cat <<'PROGRAM'
#!/bin/sh
[ "$*" != --here ] || exit 0
last= left=$#
while [ "$left" -gt 0 ]; do
    word=$1
    shift
    case $word in
        # Whoever is nobody may not get to where this is, and opens it again by its number.
        "file=$MAQUETTE_IMAGE,"*)
            exec 3<>"$MAQUETTE_IMAGE" || exit
            word="file=/proc/self/fd/3,${word#"file=$MAQUETTE_IMAGE,"}"
            ;;
        # libguestfs listens there to what it has started in the guest.
        socket,path=*)
            socket=${word#socket,path=}
            chown -h -- 65534 "${socket%%,*}" || exit
            ;;
    esac
    # There are distributions whose kernels only root may read.
    if [ "$last" = -kernel ] && [ -f "$word" ]; then
        { cp -- "$word" "$MAQUETTE_KERNEL" && chmod 644 -- "$MAQUETTE_KERNEL"; } || exit
        exec 4<"$MAQUETTE_KERNEL" || exit
        word=/proc/self/fd/4
    fi
    last=$word
    set -- "$@" "$word"
    left=$((left - 1))
done
groups=--clear-groups
kvm=$(stat -c %g /dev/kvm 2>/dev/null) && [ "$kvm" != 0 ] && groups=--groups=$kvm
exec setpriv --reuid=65534 --regid=65534 "$groups" --inh-caps=-all --no-new-privs -- \
    prlimit --core=0 --nofile=1024 --as=17179869184 "--fsize=$MAQUETTE_LIMIT" -- "$MAQUETTE_QEMU" "$@"
PROGRAM
}
# Puts it into a file, and finds out whether it can be run from there: a file system may be mounted so that nothing is.
# $1: the file
placed() {
    rm -f -- "$1"
    # It keeps what a QEMU can do by the program's size and time.
    if [ -d "${1%/*}" ] && emulator >"$1" && chmod 700 -- "$1" && "$1" --here 2>/dev/null; then
        touch -r "$MAQUETTE_QEMU" -- "$1" 2>/dev/null || :
        LIBGUESTFS_HV=$1
        return
    fi
    rm -f -- "$1"
    return 1
}
# Where it is if it cannot be in the pool: what is in these is root's. Whoever has the image's lock has the name.
elsewhere() { echo "/$1/.maquette-emulator-$(printf %s "$part" | cksum | tr ' ' -)"; }
# $1: how many bytes it may write
confine_emulator() {
    unset XDG_RUNTIME_DIR
    # One that libguestfs was told of, or that it takes by itself.
    MAQUETTE_QEMU=${LIBGUESTFS_HV:-/usr/libexec/qemu-kvm}
    [ -x "$MAQUETTE_QEMU" ] || MAQUETTE_QEMU=$(command -v qemu-system-x86_64) || MAQUETTE_QEMU=/usr/bin/qemu-kvm
    placed "$part.hv" || placed "$(elsewhere var/lib/maquette)" || placed "$(elsewhere root)" || return 190
    MAQUETTE_IMAGE=$part.new MAQUETTE_KERNEL=$part.kernel MAQUETTE_LIMIT=$1
    export LIBGUESTFS_HV MAQUETTE_IMAGE MAQUETTE_KERNEL MAQUETTE_LIMIT MAQUETTE_QEMU
}
# On a copy: what is broken off half-way is of no use. QEMU is started by libguestfs itself: libvirt's would be another
# user, who cannot read this, and there may be none.
customize() {
    cp --reflink=auto --sparse=always -- "$part" "$part.new" || return
    [ "$(id -u)" != 0 ] || confine_emulator $(($(size "$part") + most)) || return
    # In this group of processes, which ends with whoever gave the order.
    set -- timeout --foreground -k 10 "$1" virt-customize --quiet --format qcow2 --add "$part.new" --no-network \
        --mkdir /usr/lib/maquette --upload "$part.setup:/usr/lib/maquette/setup"
    for what in systemd sshd network accounts vfat; do
        set -- "$@" --run-command "/bin/sh /usr/lib/maquette/setup has $what"
    done
    set -- "$@" --run-command "/bin/sh /usr/lib/maquette/setup install" --selinux-relabel
    export LIBGUESTFS_BACKEND=direct
    # A CPU that shows no virtualisation may have a /dev/kvm all the same, in which a guest stands still for ever.
    if grep -q '^flags' /proc/cpuinfo && ! grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo; then
        export LIBGUESTFS_BACKEND_SETTINGS=force_tcg
    fi
    ended=0
    "$@" >/dev/null 2>"$part.said" 7>&- || ended=$?
    # There are machines with a /dev/kvm that QEMU does not get on with.
    if [ "$ended" != 0 ] && grep -q 'guestfs_launch failed' "$part.said"; then
        export LIBGUESTFS_BACKEND_SETTINGS=force_tcg
        ended=0
        "$@" >/dev/null 2>"$part.said" 7>&- || ended=$?
    fi
    cat -- "$part.said" >&2
    rm -f -- "$part.said"
    [ "$(id -u)" != 0 ] || rm -f -- "$LIBGUESTFS_HV"
    return "$ended"
}

# Looks in a disk, as it is in a file that is not compressed, for any of some names: 0 if it is there. A file without an end of a line
# is given up, and taken for nothing. $1: the file; then the names
names() {
    in=$1
    shift
    for name; do
        shift
        set -- "$@" -e "$name"
    done
    confined 0 prlimit --as=268435456 -- grep -qazF "$@" <"$in"
}
# Finds out whether there is a Linux system in the image and nothing that sets that up from a seed. The names of a system's files are in
# its disk as they are, but where that is compressed, which is undone for the look, if there is room for that.
look() {
    looked=- in=$part
    told=$(confined 0 qemu-img check --output=json -f qcow2 /proc/self/fd/0 <"$part" 2>/dev/null) || :
    case $told in *'"compressed-clusters"'*)
        in=$part.new
        # How many clusters there are, of how many bytes, and what a file has besides.
        clusters=$(printf '%s\n' "$told" | sed -n 's/.*"allocated-clusters": \([0-9]\{1,12\}\),*$/\1/p')
        bits=$(od -An -v -tu1 -j 23 -N 1 <"$part" | tr -d ' ')
        claim $(((${clusters:-0} << bits) + 67108864))
        if [ "$limit" -gt "$most" ]; then
            in= status=large
        else
            made "$in"
            confined "$limit" qemu-img convert -f qcow2 -O qcow2 -o "cluster_size=$((1 << bits))" /proc/self/fd/0 \
                /proc/self/fd/1 <"$part" 1<>"$in" || in= status=failed
        fi
        rm -f -- "$part.claim"
        ;;
    esac
    if [ -n "$in" ]; then
        ended=0
        # cloud-init; what systems have that are set up in other ways; our own agent.
        names "$in" DataSourceNoCloud ignition-fetch coreos-cloudinit maquette-agent || ended=$?
        if [ "$ended" = 1 ] && names "$in" os-release && names "$in" systemd-journald; then looked=without-cloud-init; fi
    fi
    rm -f -- "$part.new"
}

# Records what the image is. It is made whole even if everything else here ends: nobody would find what is left of it.
# $1: what it is, or `-`, unless its record has another second line  $2: what was found in it, or `-`
record() {
    [ -n "$record" ] || return 0
    [ "$1" = - ] || [ -n "$about" ] || about="of $1"
    found=$2
    [ "$found" != - ] || found=
    (
        trap '' TERM
        mkdir -p -m 755 -- "${record%/*}" && printf '%s\n' "$target" ${about:+"$about"} ${found:+"$found"} >"$record.new" &&
            sync -- "$record.new" && mv -f -- "$record.new" "$record" && sync -- "${record%/*}"
    )
}

# What the image there is recorded to be; earlier releases have not recorded that.
word= known= looked=-
if [ -f "$record" ]; then
    { IFS= read -r _ && read -r word known; } <"$record" || :
    ! grep -qx without-cloud-init "$record" || looked=without-cloud-init
fi
[ "$word" = of ] || known=
if [ -e "$target" ]; then answer "ready there ${known:--} $looked"; else answer ready; fi
config= redirects= stall=60 largest=0 stalled=0 slow=0 slowest=1 longest=0 authorities= how= large= sent=
while IFS= read -r order <&7; do
    # Orders are words and numbers of ours.
    # shellcheck disable=SC2086
    set -- $order
    verb=$1
    shift
    status=0
    case $verb in
        # $1: protocols of redirections  $2: seconds without progress  $3: how many bytes may come  $4: bytes a second that
        # are no progress  $5: seconds for a download of nothing  $6: the lowest rate, in bytes a second  $7: seconds for
        # any; then lines for curl, and an empty one
        from)
            redirects=$1 stall=$2 largest=$3 stalled=$4 slow=$5 slowest=$6 longest=$7 config=
            while IFS= read -r line <&7 && [ -n "$line" ]; do config="$config$line
"; done
            answer "done 0"
            ;;
        # Certificate authorities besides the system's, and an empty line.
        authorities)
            authorities=yes
            cat /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
                /etc/ssl/ca-bundle.pem 2>/dev/null >"$part.ca" || :
            while IFS= read -r line <&7 && [ -n "$line" ]; do printf '%s\n' "$line"; done >>"$part.ca"
            answer "done 0"
            ;;
        download)
            download || status=$?
            if stepped_down "$part.from" || stepped_down "$part.again"; then
                rm -f -- "$part" "$part.from"
                status=190
            fi
            rm -f -- "$part.again" "$part.ca" "$part.claim"
            [ -z "$large" ] || { rm -f -- "$part" && status=large how=$large large=; }
            [ -s "$part" ] || rm -f -- "$part.from"
            answer "done $status $how"
            ;;
        # What is there is wrong.
        forget)
            rm -f -- "$part" "$part.from" || status=$?
            answer "done $status"
            ;;
        # $1: what a file that came from elsewhere is called besides
        take)
            rm -f -- "$part.from" "$part.claim"
            # Whoever reads it as nobody has to be able to.
            { chmod 644 -- "$part-$1" && mv -f -- "$part-$1" "$part"; } || status=$?
            # Of copies that broke off on their way nothing is gone on with.
            rm -f -- "$part"-*
            answer "done $status"
            ;;
        # $1: how many bytes. In words of eight, which `od` prints four times as fast; zeros fill the last one.
        head)
            bytes=$(head -c "$1" -- "$part" | od -An -v -tx8 --endian=big | tr -d ' \n') || status=$?
            answer "done $status $(size "$part") $bytes"
            ;;
        # $1: program
        sum)
            sum=$("$1" <"$part") || status=$?
            answer "done $status ${sum%% *}"
            ;;
        # $1: program  $2: how many bytes may come of it
        unpack)
            made "$part.new"
            claim "$2" less
            # What may become as large as all that is free mostly does not.
            half=$(($(size "$part") + most / 2))
            [ "$limit" -lt "$most" ] || printf '%s\n' "$half" >"$part.claim"
            confined "$limit" "$1" -dc <"$part" 1<>"$part.new" || status=$?
            rm -f -- "$part.claim"
            came=$(size "$part.new")
            settle "$status"
            [ "$status" = 0 ] || [ "$came" -lt "$limit" ] || status=large
            answer "done $status $limit"
            ;;
        check)
            confined 0 qemu-img check -q -f qcow2 /proc/self/fd/0 <"$part" >/dev/null || status=$?
            answer "done $status"
            ;;
        # $1: how large it may become
        convert)
            made "$part.new"
            claim "$1" less
            confined "$limit" qemu-img convert -f raw -O qcow2 /proc/self/fd/0 /proc/self/fd/1 \
                <"$part" 1<>"$part.new" || status=$?
            rm -f -- "$part.claim"
            came=$(size "$part.new")
            settle "$status"
            # QEMU writes in blocks, the last of which does not fit.
            if [ "$status" != 0 ] && [ "$limit" -lt "$1" ] && [ "$came" -ge $((limit - 2097152)) ]; then status=large; fi
            answer "done $status $limit"
            ;;
        # $1: how many bytes are to come from elsewhere, until `take`
        fits)
            claim "$1"
            [ "$1" -le "$most" ] || status=large
            answer "done $status $most"
            ;;
        # $1: the same image beside this one, without what `customize` does
        copy)
            from=${target%/*}/$1
            claim "$(size "$from")"
            { [ -f "$from" ] && [ "$limit" -le "$most" ] && rm -f -- "$part" "$part.from" &&
                cp --reflink=auto --sparse=always -- "$from" "$part"; } || status=1
            rm -f -- "$part.claim"
            answer "done $status"
            ;;
        # Makes an image ready for being set up from a seed, unless it has cloud-init; $1: how many seconds that may take.
        # Then lines of the program that does it, and an empty one.
        customize)
            while IFS= read -r line <&7 && [ -n "$line" ]; do printf '%s\n' "$line"; done >"$part.setup"
            made "$part.new"
            claim "$(size "$part")"
            if [ "$limit" -gt "$most" ]; then
                status=large
            else
                (customize "$1") || status=$?
            fi
            rm -f -- "$part.claim" "$part.setup" "$part.hv" "$part.kernel"
            settle "$status"
            answer "done $status $most"
            ;;
        look)
            look
            answer "done $status $looked ${most:-0}"
            ;;
        same)
            cmp -s -- "$part" "$target" || status=$?
            answer "done $status"
            ;;
        # $1: what it is, or `-`, unless its record has another second line  $2: what was found in it, or `-`
        drop)
            record "$1" "$2" || status=$?
            [ "$status" != 0 ] || rm -f -- "$part" "$part".* || status=$?
            answer "done $status"
            exit 0
            ;;
        # The record comes first, so that no image is without one; a power cut finds the whole or nothing.
        # $1: its mode  $2: what it is, or `-`, unless its record has another second line  $3: what was found in it, or `-`
        place)
            record "${2:--}" "${3:--}" || status=$?
            [ "$status" != 0 ] || { chmod "${1:-644}" -- "$part" && sync -- "$part" && mv -f -T -- "$part" "$target" &&
                sync -- "${target%/*}"; } || status=$?
            [ "$status" != 0 ] || rm -f -- "$part".*
            answer "done $status"
            exit 0
            ;;
        # Nothing to be done; a part stays for the next run.
        leave)
            rm -f -- "$part.claim" "$part"-*
            [ -e "$part" ] || rm -f -- "$part".*
            rm -f -- "$lock"
            answer "done 0"
            exit 0
            ;;
    esac
done
