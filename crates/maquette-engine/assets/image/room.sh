# How many bytes more may come into the directory of a file. A tenth of what is free stays free: guests whose disks are
# there stop when it is full.
room() { echo $(($(stat -f -c '%a * %S' -- "${1%/*}") * 9 / 10)); }
