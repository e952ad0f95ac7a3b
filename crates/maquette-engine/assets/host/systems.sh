# Short names of operating systems in databases of libosinfo, a line each. $@: directories of such; those that are not there are
# passed over. `database` comes first where there is one.
found=
for directory; do
    [ ! -d "$directory" ] || found=yes
done
[ -n "$found" ] || exit 0
echo database
for directory; do
    LC_ALL=C grep -arhoE '<short-id>[A-Za-z0-9._-]{1,64}</short-id>' -- "$directory" 2>/dev/null || :
done | sed 's/<[^>]*>//g' | sort -u | head -n 20000
