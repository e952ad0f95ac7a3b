# Keeps what InfraRed's other plug-ins read of environments with a prefix as facts of Ansible's: a section for each, with an
# ID that no other one has and that stays.
# $1: the file  $2: the prefix  $3, $4: third octets of its networks and of its data network; without them it is forgotten
set -u
export LC_ALL=C
file=$1
directory=${file%/*}
[ $# -eq 4 ] || [ -e "$file" ] || exit 0
umask 022
mkdir -p -- "${directory%/*}" || exit 1
# Each environment has a lock of its own, and all have this file.
exec 9<"${directory%/*}" && flock -w 60 9 || exit 1
mkdir -p -- "$directory" || exit 1
from=$file
[ -e "$file" ] || from=/dev/null
text=$(awk -v prefix="$2" -v net="${3-}" -v data_net="${4-}" '
    # A comment belongs to the section that follows.
    /^#/ { comments = comments $0 "\n"; next }
    /^\[/ {
        count++
        here = ($0 == "[" prefix "]")
        if (here && !at) at = count
        if (here) own[count]
    }
    { part[count] = part[count] comments $0 "\n"; comments = "" }
    /^id *=/ {
        value = $0
        sub(/^id *= */, "", value)
        if (!here) used[value]
        else if (id == "") id = value
    }
    END {
        part[count] = part[count] comments
        for (number in own) part[number] = ""
        if (net != "") {
            if (id == "" || id in used) for (id = 0; id in used;) id++
            if (!at) at = ++count
            part[at] = "# environment " prefix "\n[" prefix "]\nid = " id "\nnet = " net "\ndata_net = " data_net "\n"
        }
        for (number = 0; number <= count; number++) printf "%s", part[number]
    }
' "$from") || exit 1
if [ -z "$text" ]; then
    rm -f -- "$file"
    rmdir -- "$directory" 2>/dev/null || :
    exit 0
fi
printf '%s\n' "$text" >"$file.new" || exit 1
sync -- "$file.new"
mv -f -- "$file.new" "$file" || exit 1
sync -- "$directory"
