# Sets a limit of the kernel's, now and, applied, after a restart. Restored, it stays if it is something else by now than what
# was applied, or if a file of somebody else's says the same: that is said.
# $1: apply or restore  $2: the file of settings  $3: its name for sysctl  $4: its file below /proc/sys  $5: how many
umask 022
case $1 in
apply)
    {
        echo '# Written by Maquette; removed by `maquette host restore`.'
        # Should this be ended before the kernel has it.
        echo "# It was $(cat "$4" 2>/dev/null)."
        printf '%s = %s\n' "$3" "$5"
    } > "$2"
    echo "$5" > "$4"
    ;;
restore)
    # Another kernel may not have it.
    if [ -e "$4" ]; then
        now=$(cat "$4")
        others=$(grep -lsE "^[[:space:]]*${3}[[:space:]]*=[[:space:]]*${now}[[:space:]]*\$" /etc/sysctl.conf /etc/sysctl.d/*.conf |
            grep -vxF -e "$2" | tr '\n' ' ')
        if [ -n "$others" ]; then
            echo "$3 stays $now, as $others says"
        elif grep -qsxF -e "$3 = $now" -e "# It was $now." "$2"; then
            echo "$5" > "$4"
        elif [ "$now" != "$5" ]; then
            echo "$3 stays $now, which somebody has set since"
        fi
    fi
    # Last: it tells what was applied.
    rm -f -- "$2"
    ;;
esac
