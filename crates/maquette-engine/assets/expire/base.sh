# Removes environments of Maquette's whose time is up, also when whoever made them is gone. Installed and called by
# Maquette's preparation of this hypervisor; `maquette host restore` takes it away.
# $1: `once`; `logged`, the same with what it says in the system's log; `loop`, for a machine without a timer; or `remove`
#     and a name: `environment.NAME`, by which a lock is known; or `digest` and an element, which tells that of a record
# Before this there is what `below` is, and `close_forwarding`.
# For tests, the directories of notes, locks, texts for logins, BMCs, records of images and of keys may be given in MAQUETTE_NOTES,
# MAQUETTE_LOCKS, MAQUETTE_MOTD, MAQUETTE_BMCS, MAQUETTE_PROGRAMS (theirs), MAQUETTE_IMAGES and MAQUETTE_FORWARDING; how many
# seconds are between two looks at least in MAQUETTE_APART, and for how many libvirt is waited in MAQUETTE_PATIENCE.
set -u
export LC_ALL=C
: "${LIBVIRT_DEFAULT_URI:=qemu:///system}"
export LIBVIRT_DEFAULT_URI
notes=${MAQUETTE_NOTES:-/var/lib/maquette/environments}
locks=${MAQUETTE_LOCKS:-/run/maquette}
motd=${MAQUETTE_MOTD:-/run/motd.d}
bmc=${MAQUETTE_BMCS:-/var/lib/maquette/bmc}
programs=${MAQUETTE_PROGRAMS:-/usr/local/libexec/maquette}
images=${MAQUETTE_IMAGES:-/var/lib/maquette/images}
apart=${MAQUETTE_APART:-45}
patience=${MAQUETTE_PATIENCE:-120}
# Directories that do not answer, for `asked`: all environments of a look go by it, so that one waits for a server and not each.
silent=${MAQUETTE_SILENT-}
logs=/var/log/libvirt/qemu
namespace=https://maquette.dev/xmlns/libvirt/1
tab=$(printf '\t')

# A daemon that is silent holds up nothing else.
virsh() { timeout "$patience" virsh -q "$@"; }
