# Switches nested virtualisation on, and prints whether it is: a module in use is left alone, and takes it up when it
# is loaded again. The file comes last: where it is, nothing is left to do.
# $1: the file of the module's options  $2: the module
umask 022
if [ "$(cat "/sys/module/$2/refcnt")" = 0 ]; then
    # In a session of its own: who ends ours in between would leave the hypervisor without KVM.
    setsid -w sh -c 'modprobe -r "$1" || exit 0
        modprobe "$1" nested=1 || modprobe "$1"' sh "$2"
fi
printf '# Written by Maquette; removed by `maquette host restore`.\noptions %s nested=1\n' "$2" > "$1.new"
sync -- "$1.new"
mv -f -- "$1.new" "$1"
sync -- "$(dirname -- "$1")"
cat "/sys/module/$2/parameters/nested"
