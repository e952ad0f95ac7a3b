# shellcheck shell=sh
# --- What domains of anybody use: nothing of that goes.

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
