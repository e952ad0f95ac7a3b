# How many bytes more may come into the directory of a file. A tenth of what is free stays free: guests whose disks are
# there stop when it is full. What others bring there will still take is not free: each says in a file beside its own how
# large all of its files become, which holds as long as it has its lock.
room() {
    spare=$(($(stat -f -c '%a * %S' -- "${1%/*}") * 9 / 10))
    for claim in "${1%/*}"/.*.part.claim; do
        if [ ! -f "$claim" ] || [ "$claim" = "$1.claim" ]; then continue; fi
        other=${claim%.claim}
        if [ ! -e "$other.lock" ] || flock -n "$other.lock" true; then continue; fi
        whole=$(cat -- "$claim" 2>/dev/null) || continue
        coming=${whole:-0}
        # What was claimed is for all that is made on the way to the image.
        for file in "$other" "$other.new" "$other"-*; do
            [ ! -f "$file" ] || coming=$((coming - $(stat -c %s -- "$file" 2>/dev/null || echo 0)))
        done
        [ "$coming" -le 0 ] || spare=$((spare - coming))
    done
    [ "$spare" -ge 0 ] || spare=0
    echo "$spare"
}
