# Sets a limit of the kernel's, now and, applied, after a restart.
# $1: apply or restore  $2: the file of settings  $3: its name for sysctl  $4: its file below /proc/sys  $5: how many
umask 022
case $1 in
apply)
    printf '# Written by Maquette; removed by `maquette host restore`.\n%s = %s\n' "$3" "$5" > "$2"
    ;;
restore) rm -f -- "$2" ;;
esac
# Another kernel may not have it.
if [ "$1" = apply ] || [ -e "$4" ]; then echo "$5" > "$4"; fi
