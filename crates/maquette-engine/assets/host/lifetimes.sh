# Prints the time, and what is noted of all environments.
# $1: the directory with the notes
echo "now $(date +%s)"
for file in "$1"/environment.*; do
    # What was begun of a note; an environment may itself be called `new`.
    case $file in */environment.*.new) continue ;; esac
    [ ! -f "$file" ] || { head -c 1024 -- "$file" && echo; }
done
