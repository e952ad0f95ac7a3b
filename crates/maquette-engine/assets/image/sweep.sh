# Removes what downloads left in a directory, unless a run is at work on it, and prints what it was.
# `.VOLUME.part` and what begins so are names that no volume of an environment can have.
# $1: the directory  $2: how names go on after `.maquette-`; any if it is empty
for file in "$1/.maquette-$2"*.qcow2.part*; do
    [ -f "$file" ] || continue
    part=${file%.qcow2.part*}.qcow2.part
    (
        exec 9>>"$part.lock"
        # Whoever had it may have removed the file, and the next one has another.
        # shellcheck disable=SC3013 # dash, bash and busybox have `-ef`, and POSIX of 2024 has it, too
        flock -n 9 && [ "$part.lock" -ef /dev/fd/9 ] || exit 0
        for left in "$part" "$part"[.-]*; do
            [ ! -f "$left" ] || [ "$left" = "$part.lock" ] || printf '%s\n' "$left"
            rm -f -- "$left"
        done
    )
done
