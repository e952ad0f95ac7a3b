# shellcheck shell=sh
# --- What the kernel has: noted, given to another interface, compared.

# Lines of `ip -o` in one form. `plain` is for comparing: without what changes by itself. `command` is what
# `ip` understands again. `only` keeps what is in the first file's lines and not in the second's.
lines='
    function shared(line) {
        gsub(/\\/, " ", line)
        gsub(/ (linkdown|offload|rt_offload|trap|rt_trap|offload_failed|rt_offload_failed|unresolved)/, "", line)
        gsub(/ error -?[0-9]+/, "", line); gsub(/[ \t]+/, " ", line); sub(/^ /, "", line); sub(/ $/, "", line)
        return line
    }
    function plain(line) {
        line = shared(line)
        gsub(/ expires [0-9]+(sec)?/, "", line); gsub(/ pref medium/, "", line)
        gsub(/ valid_lft [0-9]+/, "", line); gsub(/ preferred_lft [0-9]+/, "", line)
        return line
    }
    function command(line) {
        line = shared(line)
        gsub(/ dead/, "", line)
        if (match(line, / expires [0-9]+sec/)) sub(/sec/, "", line)
        if (match(line, / nhid [0-9]+/)) {
            gsub(/ nexthop/, "", line); gsub(/ via (inet6 )?[^ ]+/, "", line)
            gsub(/ dev [^ ]+/, "", line); gsub(/ weight [0-9]+/, "", line)
        }
        return line
    }'
only() { awk "$lines"' FILENAME == ARGV[1] { there[plain($0)]; next } !(plain($0) in there)' "$2" "$1"; }
commands() { awk "$lines"' { print command($0) }' "$1"; }
same() { [ "$(awk "$lines"' { print plain($0) }' "$1")" = "$(awk "$lines"' { print plain($0) }' "$2")" ]; }

# Addresses as arguments of `ip address add`. Those of IPv6 that are the link's own stay where they are, and
# temporary ones are made by the kernel. IPv6's come newest first, so that they are turned round.
addresses() {
    [ -e "/sys/class/net/$2" ] || return 0
    ip -o "$1" address show dev "$2" | awk -v dev="$2" -v six="$1" '
        / temporary / || six == "-6" && / scope link / { next }
        {
            sub(/^[0-9]+: +[^ ]+ +inet6? /, "")
            split($0, half, "\\"); count = split(half[1], word, " "); out = ""
            if (six == "-4") {
                if (word[count] != dev) label = " label " word[count]; else label = ""
                count--
            } else label = ""
            for (i = 1; i <= count; i++)
                if (word[i] !~ /^(secondary|dynamic|deprecated|tentative|dadfailed|optimistic|stable-privacy)$/)
                    out = out (out == "" ? "" : " ") word[i]
            out = out label
            count = split(half[2], word, " ")
            for (i = 1; i < count; i++)
                if (word[i] ~ /_lft$/ && word[i + 1] ~ /^[0-9]+sec$/) out = out " " word[i] " " word[i + 1] + 0
            line[++n] = out
        }
        END { if (six == "-6") for (i = n; i; i--) print line[i]; else for (i = 1; i <= n; i++) print line[i] }'
}
# Routes of all tables that lead through the NIC or its bridge, but for what comes with a link.
routes() {
    ip -o "$1" route show table all | awk -v nic="$(get nic)" -v bridge="$(get bridge)" '
        / table local .*proto kernel/ || /^fe80::\/64 .*proto kernel/ || /^(multicast )?ff00::\/8 / { next }
        { line = " " $0 " " }
        index(line, " dev " nic " ") || index(line, " dev " bridge " ")'
}
neighbours() {
    [ -e "/sys/class/net/$1" ] || return 0
    ip neigh show dev "$1" nud permanent | awk '/ lladdr / { print $1, $2, $3, "nud permanent" (/ router/ ? " router" : "") }'
    ip neigh show proxy dev "$1" | awk '{ print "proxy", $1 }'
}
nexthops() { ip nexthop show 2>/dev/null | sed 's/ *$//' || :; }
link() {
    flags=$(ip -o link show dev "$1" | sed 's/^[^<]*<\([^>]*\)>.*/,\1,/')
    line="mtu $(cat "/sys/class/net/$1/mtu")"
    for flag in PROMISC:promisc ALLMULTI:allmulticast; do
        case $flags in *,"${flag%:*}",*) line="$line ${flag#*:} on" ;; *) line="$line ${flag#*:} off" ;; esac
    done
    case $flags in *,UP,*) echo "$line up" ;; *) echo "$line down" ;; esac
}
# Interfaces on top of it: their MTU goes down with its own, and not up again.
uppers() {
    for upper in "/sys/class/net/$1"/upper_*; do
        [ -e "$upper/mtu" ] && [ ! -d "$upper/bridge" ] || continue
        echo "${upper##*/upper_} mtu $(cat "$upper/mtu")"
    done
}

# Notes all there is in a directory: addresses are those of $2, which has them.
take() {
    mkdir -p "$state/$1.new"
    addresses -4 "$2" > "$state/$1.new/addresses4"
    addresses -6 "$2" > "$state/$1.new/addresses6"
    routes -4 > "$state/$1.new/routes4"
    routes -6 > "$state/$1.new/routes6"
    ip -4 rule show > "$state/$1.new/rules4"
    ip -6 rule show > "$state/$1.new/rules6" 2>/dev/null || :
    neighbours "$2" > "$state/$1.new/neighbours"
    nexthops > "$state/$1.new/nexthops"
    link "$(get nic)" > "$state/$1.new/link"
    uppers "$(get nic)" > "$state/$1.new/uppers"
    rm -rf "${state:?}/$1"
    settle "$state/$1.new"/*
    mv "$state/$1.new" "$state/$1"
}
# The same with the bridge in the NIC's place, or the NIC in the bridge's.
exchanged() {
    mkdir -p "$state/$2"
    for file in addresses4 addresses6 routes4 routes6 rules4 rules6 neighbours nexthops link uppers; do
        awk -v old="$3" -v new="$4" -v file="$file" '
            file ~ /^(routes|rules)/ {
                if (file ~ /^routes/) sub(/ nhid [0-9]+/, "")
                gsub(/[ \t]+/, " "); gsub(/ dead/, "")
                for (i = 2; i <= NF; i++) if ($i == old && $(i - 1) ~ /^(dev|iif|oif)$/) $i = new
            }
            file ~ /^addresses/ { for (i = 2; i <= NF; i++) if ($(i - 1) == "label") sub("^" old, new, $i) }
            file == "addresses6" && $0 !~ / nodad/ && nodad { $0 = $0 " nodad" }
            { print }' nodad="$5" "$state/$1/$file" > "$state/$2/$file"
    done
}

batch() { ip "$1" -batch "$2" 2> "$state/error" || { sed 's/^/ip: /' "$state/error" >&2; return 1; }; }
# Whatever can be done of it: what remains is seen when it is compared.
try_batch() { ip "$1" -force -batch "$2" 2> "$state/error" || :; }

give_addresses() {
    addresses "$1" "$2" > "$state/now"
    ! same "$state/now" "$3" || return 0
    {
        case $1 in -4) echo "address flush dev $2" ;; *) echo "address flush dev $2 scope global" ;; esac
        sed "s/\$/ dev $2/; s/^/address replace /" "$3"
    } > "$state/batch"
    try_batch "$1" "$state/batch"
}
# Those first that need no other. What does not go in this time may go in the next, once what it depends on
# is there. What it depended on may also be gone by itself long ago: then a route to the gateway leads there
# for a moment, and in the end it is given without asking.
missing_routes() { routes "$1" > "$state/now"; only "$2" "$state/now" > "$state/missing"; [ -s "$state/missing" ]; }
by_need() { commands "$1" | awk '/ (via|nexthop|nhid) / { later[++n] = $0; next } { print } END { for (i = 1; i <= n; i++) print later[i] }'; }
give_routes() {
    routes "$1" > "$state/now"
    only "$state/now" "$2" > "$state/extra"
    case $3 in
    all) ;;
    none) : > "$state/extra" ;;
    *) grep -v ' proto kernel' "$state/extra" > "$state/extra.new" || :; mv "$state/extra.new" "$state/extra" ;;
    esac
    # What routers told since then is as good as what they told before, but not through the other interface.
    other=$(get nic)
    [ "$dev" != "$other" ] || other=$(get bridge)
    commands "$state/extra" | awk -v other="$other" '
        / proto ra( |$)/ && !index($0 " ", " dev " other " ") { next }
        { print "route del " $0 }' > "$state/batch"
    only "$2" "$state/now" > "$state/missing"
    by_need "$state/missing" | sed 's/^/route append /' >> "$state/batch"
    [ ! -s "$state/batch" ] || try_batch "$1" "$state/batch"
    left=
    while missing_routes "$1" "$2"; do
        count=$(grep -c . "$state/missing")
        [ "$count" != "$left" ] || break
        left=$count
        by_need "$state/missing" | sed 's/^/route append /' > "$state/batch"
        try_batch "$1" "$state/batch"
    done
    missing_routes "$1" "$2" || return 0
    commands "$state/missing" | awk '
        {
            gate = dev = ""; n = 0
            for (i = 1; i < NF; i++) {
                if ($i == "via") gate = $(i + 1) == "inet6" ? "" : $(i + 1)
                if ($i == "dev" && gate != "") { n++; print "route append " gate " dev " $(i + 1) " scope link metric 4294000000"; undo[++m] = "route del " gate " dev " $(i + 1) " metric 4294000000" }
            }
            later[++k] = "route append " $0
        }
        END { for (i = 1; i <= k; i++) print later[i]; for (i = 1; i <= m; i++) print undo[i] }' > "$state/batch"
    try_batch "$1" "$state/batch"
    missing_routes "$1" "$2" || return 0
    commands "$state/missing" | grep ' via ' | grep -v ' onlink' |
        sed -e '/ nexthop /s/ weight [0-9]*/& onlink/g' -e '/ nexthop /!s/$/ onlink/' -e 's/^/route append /' > "$state/batch" || :
    try_batch "$1" "$state/batch"
}
give_rules() {
    ip "$1" rule show > "$state/now" 2>/dev/null || return 0
    {
        only "$2" "$state/now" | sed 's/\[detached\]//g; s/^\([0-9]*\):[[:space:]]*/rule add pref \1 /'
        only "$state/now" "$2" | grep -w -F "$(get bridge)" | sed 's/\[detached\]//g; s/^\([0-9]*\):[[:space:]]*/rule del pref \1 /' || :
    } > "$state/batch"
    [ ! -s "$state/batch" ] || try_batch "$1" "$state/batch"
}
give_others() {
    nexthops > "$state/now"
    only "$noted/nexthops" "$state/now" | sed 's/^/nexthop add /' > "$state/batch"
    [ ! -s "$state/batch" ] || try_batch -4 "$state/batch"
    neighbours "$dev" > "$state/now"
    only "$noted/neighbours" "$state/now" | sed "s/\$/ dev $dev/; s/^/neigh replace /" > "$state/batch"
    [ ! -s "$state/batch" ] || try_batch -4 "$state/batch"
}
# Gives interface $2 what it lacks of what is noted in directory $1, and takes nothing away.
give_missing() {
    noted=$state/$1 dev=$2
    for family in 4 6; do
        addresses -$family "$dev" > "$state/now"
        only "$noted/addresses$family" "$state/now" | sed "s/\$/ dev $dev/; s/^/address replace /" > "$state/batch"
        [ ! -s "$state/batch" ] || try_batch -$family "$state/batch"
    done
    give_others
    for family in 4 6; do
        give_routes -$family "$noted/routes$family" none
        give_rules -$family "$noted/rules$family"
    done
}
# Gives interface $2 all that is noted in directory $1.
give() {
    noted=$state/$1 dev=$2 kernels=$3
    dad=/proc/sys/net/ipv6/conf/$dev/accept_dad
    # Nobody else has got these addresses in the meantime, and routes cannot wait.
    old_dad=$(cat "$dad" 2>/dev/null || :)
    [ -z "$old_dad" ] || echo 0 2>/dev/null > "$dad" || :
    give_addresses -4 "$dev" "$noted/addresses4"
    give_addresses -6 "$dev" "$noted/addresses6"
    give_others
    give_routes -4 "$noted/routes4" "$kernels"
    give_routes -6 "$noted/routes6" "$kernels"
    give_rules -4 "$noted/rules4"
    give_rules -6 "$noted/rules6"
    [ -z "$old_dad" ] || echo "$old_dad" 2>/dev/null > "$dad" || :
}
# Says what is not as noted. What DHCP and routers tell comes and goes by itself.
differences() {
    noted=$state/$1 dev=$2
    {
        link "$(get nic)" > "$state/now"
        only "$noted/link" "$state/now"
        for family in 4 6; do
            addresses -$family "$dev" > "$state/now"
            only "$noted/addresses$family" "$state/now"
            only "$state/now" "$noted/addresses$family" | grep -v ' valid_lft ' | sed 's/^/not before: /' || :
            routes -$family > "$state/now"
            only "$noted/routes$family" "$state/now"
            other=$(get nic)
            [ "$dev" != "$other" ] || other=$(get bridge)
            only "$state/now" "$noted/routes$family" | awk -v other="$other" '
                !/ proto (ra|dhcp)( |$)/ || index($0 " ", " dev " other " ")' | sed 's/^/not before: /' || :
            ip -$family rule show > "$state/now" 2>/dev/null || :
            only "$noted/rules$family" "$state/now"
        done
        neighbours "$dev" > "$state/now"
        only "$noted/neighbours" "$state/now"
        nexthops > "$state/now"
        only "$noted/nexthops" "$state/now"
    } > "$state/differences"
    [ -s "$state/differences" ]
}

# Whether interface $2 has what it takes to be reached as before, whoever gave it and with whatever metric: each
# address that was not leased, one at least where there were leased ones, each default route and each route and
# rule that nobody tells. Says what is lacking.
lacks() {
    noted=$state/$1 dev=$2
    for family in 4 6; do
        addresses -$family "$dev" > "$state/now"
        awk -v family=$family '
            FILENAME == ARGV[1] { there[$1]; if (/ scope global/) global = 1; next }
            / scope global/ { had = 1 }
            !/ valid_lft / && !($1 in there) { print }
            END { if (had && !global) print "any address of IPv" family }' "$state/now" "$noted/addresses$family"
        routes -$family > "$state/now"
        awk -v dev="$dev" "$lines"'
            function keys(line,   word, n, i, gate, table, made) {
                n = split(shared(line), word, " ")
                for (i = 2; i < n; i++) if (word[i] == "table") table = word[i + 1]
                for (i = 2; i < n; i++) {
                    if (word[i] == "via") gate = word[i + 1] == "inet6" ? word[i + 2] : word[i + 1]
                    if (word[i] == "dev") { if (word[i + 1] == dev) key[++made] = word[1] " via " gate " table " table; gate = "" }
                }
                return made + 0
            }
            FILENAME == ARGV[1] { for (n = keys($0); n; n--) there[key[n]]; next }
            $1 != "default" && / proto (ra|dhcp|kernel)( |$)/ { next }
            { for (n = keys($0); n; n--) if (!(key[n] in there)) { print; next } }' "$state/now" "$noted/routes$family"
        ip -$family rule show 2>/dev/null | sed 's/^[0-9]*://; s/ *\[detached\]//g' > "$state/now" || :
        sed 's/^[0-9]*://; s/ *\[detached\]//g' "$noted/rules$family" > "$state/rules"
        only "$state/rules" "$state/now"
    done > "$state/lacking"
    [ -s "$state/lacking" ]
}

# A DHCP client goes along: on the NIC it would get its address back at the next renewal.
move_dhclient() {
    old=$(pgrep -f "(^|/)dhclient .*[[:space:]]$1\$" 2>/dev/null | head -n 1) || :
    [ -n "$old" ] || return 0
    leases=$(tr '\0' '\n' < "/proc/$old/cmdline" | grep -A 1 -x -e -lf | tail -n 1) || :
    kill "$old" 2>/dev/null || :
    mine=/var/lib/dhcp/dhclient.$2.leases
    mkdir -p /var/lib/dhcp
    [ ! -r "${leases:-/nonexistent}" ] || sed "s/interface \"$1\"/interface \"$2\"/" "$leases" > "$mine"
    dhclient -4 -nw -pf "/run/dhclient.$2.pid" -lf "$mine" "$2" >/dev/null 2>&1 8>&- || :
}
move_dns() {
    command -v resolvectl >/dev/null && resolvectl status >/dev/null 2>&1 || return 0
    servers=$(resolvectl dns "$1" 2>/dev/null | sed 's/^[^:]*: *//')
    domains=$(resolvectl domain "$1" 2>/dev/null | sed 's/^[^:]*: *//')
    # shellcheck disable=SC2086
    [ -z "$servers" ] || resolvectl dns "$2" $servers || :
    # shellcheck disable=SC2086
    [ -z "$domains" ] || resolvectl domain "$2" $domains || :
}

# One batch, in which the new device has every address before the old one loses it. Deleting addresses takes
# their routes along, so that these come last.
kernel_join() {
    bridge=$(get bridge) nic=$(get nic)
    exchanged before wanted "$nic" "$bridge" 1
    [ -z "$(get address)" ] || get address >> "$state/wanted/addresses4"
    {
        if [ ! -e "/sys/class/net/$bridge" ]; then
            echo "link add $bridge address $(get mac) mtu $(get wanted-mtu) type bridge stp_state $(get stp) forward_delay 0"
        fi
        echo "link set $bridge up"
        [ "$(get mtu)" = "$(get wanted-mtu)" ] || echo "link set $nic mtu $(get wanted-mtu)"
        sed "s/\$/ dev $bridge/; s/^/address replace /" "$state/wanted/addresses4" "$state/wanted/addresses6"
        echo "link set $nic up master $bridge"
        echo "address flush dev $nic scope global"
    } > "$state/batch.join"
    grep -v ' proto kernel' "$state/wanted/routes4" > "$state/wanted/moved4" || :
    by_need "$state/wanted/moved4" | sed 's/^/route append /' > "$state/batch"
    ra=/proc/sys/net/ipv6/conf/$nic/accept_ra
    batch -d "$state/batch.join"
    # Nothing is between these two, so that sessions live on.
    try_batch -4 "$state/batch"
    ip -4 address flush dev "$nic" 2>/dev/null || :
    [ ! -r "$ra" ] || cat "$ra" > "/proc/sys/net/ipv6/conf/$bridge/accept_ra" || :
    give wanted "$bridge" no-kernel
    for family in 4 6; do
        ! missing_routes -$family "$state/wanted/routes$family" || grep -v ' proto kernel' "$state/missing" > "$state/batch" || continue
        [ ! -s "$state/missing" ] || { echo "these routes could not be moved:" >&2; cat "$state/batch" >&2; return 1; }
    done
    move_dns "$nic" "$bridge"
    move_dhclient "$nic" "$bridge"
}
# The NIC has what it had. The bridge stays until that is confirmed, since it may have to be used again.
kernel_leave() {
    bridge=$(get bridge) nic=$(get nic)
    [ -e "/sys/class/net/$nic" ] || return 0
    {
        [ ! -e "/sys/class/net/$bridge/brif/$nic" ] || echo "link set $nic nomaster"
        echo "link set $nic $(cat "$state/$1/link")"
        ! [ -s "$state/$1/uppers" ] || sed 's/^/link set /' "$state/$1/uppers"
        if [ -e "/sys/class/net/$bridge" ]; then echo "address flush dev $bridge scope global"; fi
    } > "$state/batch.leave"
    if [ "${2:-}" = strict ]; then batch -d "$state/batch.leave"; else try_batch -d "$state/batch.leave"; fi
    if [ -e "/sys/class/net/$bridge" ]; then
        # The link's own stay: the bridge may be needed again.
        ip -4 address flush dev "$bridge" 2>/dev/null || :
        move_dns "$bridge" "$nic"
        move_dhclient "$bridge" "$nic"
        [ "${2:-}" = strict ] || ip link delete dev "$bridge" 2>/dev/null || :
    fi
    give "$1" "$nic" all
}
