# shellcheck shell=sh
# --- Records in libvirt's metadata, and whether somebody has changed one by hand.

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
