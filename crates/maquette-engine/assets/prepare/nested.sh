# Switches nested virtualisation on, and prints whether it is: a module in use is left alone, and takes it up when it
# is loaded again.
# $1: the file of the module's options  $2: the module
umask 022
printf '# Written by Maquette; removed by `maquette host restore`.\noptions %s nested=1\n' "$2" > "$1"
if [ "$(cat "/sys/module/$2/refcnt")" = 0 ]; then modprobe -r "$2" && modprobe "$2"; fi
cat "/sys/module/$2/parameters/nested"
