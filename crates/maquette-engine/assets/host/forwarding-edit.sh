# Changes a line of authorized_keys with the rights of its user. There are no single quotes here: another script has this in such.
# $1: `look`, which prints what would have to be made: `directory`, `file` or `nothing`, and which home directory it is; `open`,
#     which puts the line there unless its key is there already; or `close`, which takes it away
# $2: the file  $3: what the line ends with, as a pattern  $4: the line, or for `close` what was made
# $5: the key without its type, or for `close` which home directory it was; nothing where that was not noted
umask 077
cd /
export LC_ALL=C
directory=${2%/*}
# What is mounted there is another one than what it is mounted on.
home=$(stat -L -c %i -- "${directory%/*}" 2>/dev/null) || home=
if [ "$1" = look ]; then
    made=nothing
    if [ ! -d "$directory" ]; then
        made=directory
    elif [ ! -e "$2" ]; then
        made="file"
    fi
    echo "$made $home"
    exit 0
fi
# That the line is not to be found says something only of the home directory that it was put in: that may be away, on a server or
# a disk that is not mounted now.
# $1: which it was, where that was noted
is_same() {
    if [ -n "$home" ] && [ "${1:-$home}" = "$home" ]; then return 0; fi
    echo "the home directory ${directory%/*} is away, or another one than it was" >&2
    exit 1
}
if [ "$1" = open ] && [ ! -d "$directory" ]; then mkdir -- "$directory"; fi
if [ ! -d "$directory" ]; then
    is_same "$5"
    exit 0
fi
# It may be a symbolic link, which stays one.
file=$(readlink -f -- "$2") || {
    if [ "$1" = close ]; then
        is_same "$5"
        exit 0
    fi
    echo "$2 is a link that leads nowhere" >&2
    exit 1
}
if [ -e "$file" ] && [ ! -f "$file" ]; then
    # Nothing was written to it.
    if [ "$1" = close ]; then
        is_same "$5"
        exit 0
    fi
    echo "$file is not a file" >&2
    exit 1
fi
# Another machine may have the same home directory, and another file of this kind in it.
new=$file.maquette.$(uname -n | tr -cd "A-Za-z0-9._-")
rm -f -- "$new"
trap "rm -f -- \"\$new\"" EXIT

# What the file is like, which another program changes by writing to it or putting another one in its place.
state() { stat -c "%i:%s:%.Y:%.Z" -- "$file" 2>/dev/null || echo none; }

# A copy, for what a file has besides its content.
begin() {
    [ -e "$file" ] || return 0
    cp -p -- "$file" "$new"
    if [ "$(stat -c %u:%g -- "$new")" != "$(stat -c %u:%g -- "$file")" ]; then
        echo "$file belongs to somebody else" >&2
        exit 1
    fi
    chmod u+w -- "$new"
}

# Leaves the file as it is where somebody has changed it since it was read, and says so in `stale`.
finish() {
    [ ! -e "$file" ] || chmod -- "$(stat -c %a -- "$file")" "$new"
    sync -- "$new"
    if [ "$(state)" != "$before" ]; then
        stale=yes
        return 0
    fi
    mv -f -- "$new" "$file"
    sync -- "${file%/*}"
    if command -v restorecon >/dev/null 2>&1; then restorecon -- "$directory" "$file" || :; fi
}

# Whether a line is there: 0 or 1. A file that cannot be read is an error, and not one without it.
# $@: options of grep, and what to look for
has() {
    [ -e "$file" ] || return 1
    found=0
    grep -qa "$@" "$file" || found=$?
    if [ "$found" -gt 1 ]; then
        echo "$file cannot be read" >&2
        exit 1
    fi
    return "$found"
}

# Does something to the file, again if another program changes it meanwhile. It is called outside of conditions, in which a
# shell would go on after a command that failed: what was half-written for want of room would take the place of all keys.
settled() {
    for try in 1 2 3 4 5 6 7 8; do
        stale=no
        "$@"
        if [ $stale = no ]; then return 0; fi
        rm -f -- "$new"
    done
    echo "$file is changed all the time by another program" >&2
    exit 1
}

# First, so that whatever else is there stays as it is, its last end of line or the lack of one included.
put() {
    before=$(state)
    # Also where somebody has authorised it otherwise, or has put a sign before the line: that is for them to say.
    if has -F -- "$key"; then return 0; fi
    begin
    printf "%s\n" "$line" >"$new"
    if [ -e "$file" ]; then cat -- "$file" >>"$new"; fi
    finish
}

take() {
    before=$(state)
    if ! has -- "[[:space:]]${end}[[:space:]]*\$"; then return 0; fi
    found_there=yes
    begin
    sed "\\|[[:space:]]${end}[[:space:]]*\$|d" "$file" >"$new"
    finish
}

end=$3
if [ "$1" = open ]; then
    line=$4 key=$5
    settled put
    exit 0
fi
found_there=no
settled take
if [ $found_there = no ]; then is_same "$5"; fi
if [ "$4" != nothing ] && [ -f "$file" ] && [ ! -s "$file" ]; then rm -f -- "$file"; fi
if [ "$4" = directory ]; then rmdir -- "$directory" 2>/dev/null || :; fi
