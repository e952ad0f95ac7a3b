# Keeps what InfraRed's other plug-ins read of environments with a prefix as facts of Ansible's: a section for each.
# $1: the file  $2: the prefix  $3, $4: third octets of its networks and of its data network; without them it is forgotten
set -u
export LC_ALL=C
file=$1
directory=${file%/*}
[ $# -eq 4 ] || [ -e "$file" ] || exit 0
umask 022
mkdir -p -- "$directory" || exit 1
others=$(awk -v section="[$2]" '
    # A comment belongs to the section that follows.
    /^#/ { comments = comments $0 "\n"; next }
    /^\[/ { here = ($0 == section) }
    !here { printf "%s%s\n", comments, $0 }
    { comments = "" }
' "$file" 2>/dev/null) || others=
if [ $# -eq 4 ]; then
    number=$(printf '%s\n' "$others" | grep -c '^\[') || :
    [ -z "$others" ] || others="$others
"
    others="${others}# environment $2
[$2]
id = $number
net = $3
data_net = $4"
fi
if [ -z "$others" ]; then
    rm -f -- "$file"
    rmdir -- "$directory" 2>/dev/null || :
    exit 0
fi
printf '%s\n' "$others" >"$file.new"
sync -- "$file.new"
mv -f -- "$file.new" "$file"
sync -- "$directory"
