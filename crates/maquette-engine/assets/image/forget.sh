# Forgets what is recorded of one path.
# $1: the directory of records  $2: the path
for record in "$1"/*; do
    if [ -f "$record" ] && [ "$(head -n 1 -- "$record")" = "$2" ]; then rm -f -- "$record"; fi
done
rmdir -- "$1" 2>/dev/null || :
