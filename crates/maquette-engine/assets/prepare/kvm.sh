# Sets who may open the device file of KVM.
# $1: the file  $2: its mode  $3: its group
chgrp -- "$3" "$1"
chmod -- "$2" "$1"
