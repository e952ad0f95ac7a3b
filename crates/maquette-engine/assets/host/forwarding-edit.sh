# Changes a line of authorized_keys with the rights of its user. There are no single quotes here: another script has this in such.
# $1: `look`, which prints what would have to be made: `directory`, `file` or `nothing`; `open`, which puts the line there
#     unless its key is there already; or `close`, which takes it away
# $2: the file  $3: what the line ends with, as a pattern  $4: the line, or for `close` what was made  $5: the key without its type
umask 077
cd /
export LC_ALL=C
directory=${2%/*}
if [ "$1" = look ]; then
    if [ ! -d "$directory" ]; then
        echo directory
    elif [ ! -e "$2" ]; then
        echo file
    else
        echo nothing
    fi
    exit 0
fi
if [ "$1" = open ] && [ ! -d "$directory" ]; then mkdir -- "$directory"; fi
[ -d "$directory" ] || exit 0
# It may be a symbolic link, which stays one.
file=$(readlink -f -- "$2") || {
    echo "$2 is a link that leads nowhere" >&2
    exit 1
}
if [ -e "$file" ] && [ ! -f "$file" ]; then
    # Nothing was written to it.
    [ "$1" = open ] || exit 0
    echo "$file is not a file" >&2
    exit 1
fi
new=$file.maquette
rm -f -- "$new"
trap "rm -f -- \"\$new\"" EXIT

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

finish() {
    [ ! -e "$file" ] || chmod -- "$(stat -c %a -- "$file")" "$new"
    sync -- "$new"
    mv -f -- "$new" "$file"
    sync -- "${file%/*}"
    if command -v restorecon >/dev/null 2>&1; then restorecon -- "$directory" "$file" || :; fi
}

if [ "$1" = open ]; then
    # Also where somebody has authorised it otherwise, or has put a sign before the line: that is for them to say.
    if grep -qaF -- "$5" "$file" 2>/dev/null; then exit 0; fi
    begin
    # First, so that whatever else is there stays as it is, its last end of line or the lack of one included.
    printf "%s\n" "$4" >"$new"
    if [ -e "$file" ]; then cat -- "$file" >>"$new"; fi
    finish
    exit 0
fi
if grep -qa -- "[[:space:]]$3[[:space:]]*\$" "$file" 2>/dev/null; then
    begin
    sed "\\|[[:space:]]$3[[:space:]]*\$|d" "$file" >"$new"
    finish
fi
if [ "$4" != nothing ] && [ -f "$file" ] && [ ! -s "$file" ]; then rm -f -- "$file"; fi
if [ "$4" = directory ]; then rmdir -- "$directory" 2>/dev/null || :; fi
