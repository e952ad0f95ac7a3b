# Prints what is noted of all environments.
# $1: the directory with the notes
for file in "$1"/environment.*; do
    case $file in *.new) continue ;; esac
    [ ! -f "$file" ] || { head -c 1024 -- "$file" && echo; }
done
