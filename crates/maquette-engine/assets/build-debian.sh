# Builds a bootable Debian cloud image from distribution packages, without loop devices and without
# mounting anything: the file system is filled as it is made, GRUB is put in place byte by byte.
#
# $1 suite (bookworm)   $2 work directory   $3 output (qcow2)   $4 apt sources file, or empty   $5 the suite that it is for
# $6…: the agent's files, each as where it goes and its text
#
# Lines that start with "::" on standard error are for the user.
suite=$1 work=$2 output=$3 sources=$4 current=$5
shift 5
root=$work/root
say() { echo ":: $*" >&2; }

mkdir -p "$work"
trap 'rm -rf "$work"' EXIT

# What the official "generic" images have and a node needs; documentation is left out. The kernel for
# clouds has no driver for the e1000 that links to switches are made of.
packages=linux-image-amd64,systemd-sysv,systemd-resolved,dbus,udev,openssh-server,cloud-init
packages=$packages,netplan.io,iproute2,iputils-ping,python3,sudo,cloud-guest-utils,e2fsprogs,fdisk
packages=$packages,ca-certificates,procps,less,tzdata,zstd

# The initial RAM disk holds the drivers that virtual machines have, and no others: also that of the CD-ROM which the seed
# is, for the agent is there before udev. The kernel has looked for it when the driver of its bus is loaded (`scan=sync`).
mkdir -p "$work/initramfs"
cat > "$work/initramfs/maquette.conf" <<'CONF'
MODULES=list
COMPRESS=zstd
CONF
printf '%s\n' virtio_pci virtio_blk virtio_scsi virtio_net virtio_rng sd_mod sr_mod ata_piix ahci ext4 \
    > "$work/initramfs/modules"

# The same mirrors have the other suites. A list that does not name its suite (`stable`) says nothing of others.
if [ -n "$sources" ] && [ "$suite" != "$current" ]; then
    if grep -q "^Suites:.*\\b$current\\b" "$sources"; then
        sed "/^Suites:/s/\\b$current\\b/$suite/g" "$sources" > "$work/debian.sources"
        sources=$work/debian.sources
    else
        sources=''
    fi
fi

say "installing packages"
mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"' \
    --essential-hook="copy-in '$work/initramfs/maquette.conf' /etc/initramfs-tools/conf.d" \
    --essential-hook="copy-in '$work/initramfs/modules' /etc/initramfs-tools" \
    "$suite" "$root" ${sources:+"$sources"}

say "adapting the system"
cat > "$root/etc/fstab" <<'FSTAB'
LABEL=root / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1
FSTAB
echo debian > "$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' > "$root/etc/hosts"
: > "$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id" "$root/etc/resolv.conf"
ln -s ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
cat > "$root/etc/cloud/cloud.cfg.d/90_maquette.cfg" <<'CFG'
# The only data source that a virtual machine of Maquette has.
datasource_list: [NoCloud, None]
CFG
# Nothing that only pays off on a machine that lives for weeks may slow a first boot down.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
    e2scrub_all.timer e2scrub_reap.service systemd-pstore.service cloud-init-hotplugd.socket; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
# networkd asks for wireless networks, which loads this; without a database of its rules it asks udev for one every
# three seconds. What needs it still loads it.
mkdir -p "$root/etc/modprobe.d"
echo 'blacklist cfg80211' > "$root/etc/modprobe.d/maquette.conf"
# As cloud-init has it where nobody asks for passwords; what it writes when somebody does comes before this.
mkdir -p "$root/etc/ssh/sshd_config.d"
printf 'PasswordAuthentication no\nKbdInteractiveAuthentication no\n' > "$root/etc/ssh/sshd_config.d/90-maquette.conf"
# It has five programs started for each login.
rm -rf "$root/etc/update-motd.d"
# In place of cloud-init where the seed is Maquette's.
while [ $# -ge 2 ]; do
    mkdir -p "$root/$(dirname "$1")"
    printf '%s' "$2" > "$root/$1"
    shift 2
done
chmod 755 "$root/usr/lib/maquette/maquette-agent"
chroot "$root" python3 -m compileall -q /usr/lib/maquette
systemctl --root="$root" --quiet enable systemd-networkd.service ssh.service \
    maquette-agent.service maquette-ready.service maquette-template.service || true
# A boot menu that shows nothing and waits for nobody.
kernel=$(basename "$(ls "$root"/boot/vmlinuz-* | tail -n 1)")
mkdir -p "$root/boot/grub"
cat > "$root/boot/grub/grub.cfg" <<GRUB
set timeout=0
linux /boot/$kernel root=LABEL=root ro console=tty0 console=ttyS0,115200 net.ifnames=0 no_timer_check scsi_mod.scan=sync quiet
initrd /boot/initrd.img-${kernel#vmlinuz-}
boot
GRUB

say "making the disk"
disk=$work/disk.raw
used=$(du -sm "$root" | cut -f1)
size=$((used * 13 / 10 + 256))
truncate -s "$((size + 2))M" "$disk"
printf 'label: dos\nstart=2048, type=83, bootable\n' | sfdisk --quiet "$disk"
mke2fs -q -t ext4 -L root -d "$root" -E offset=1048576 "$disk" "${size}M"
grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o "$work/core.img" \
    biosdisk part_msdos ext2 linux normal configfile
dd if=/usr/lib/grub/i386-pc/boot.img of="$disk" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$disk" bs=512 seek=1 conv=notrunc status=none

say "writing the image"
# It needs nothing but these two files and gets them open, so that it can be nobody, with limits, wherever they are.
: > "$output.part"
set -- qemu-img convert -f raw -O qcow2 /dev/fd/3 /dev/fd/4
if [ "$(id -u)" = 0 ]; then
    chown 65534:65534 "$disk" "$output.part"
    set -- setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --no-new-privs -- "$@"
fi
env -i "PATH=$PATH" LC_ALL=C prlimit --core=0 --nofile=64 --as=4294967296 --cpu=3600 \
    "--fsize=$(((size + 64) * 2097152))" -- "$@" 3<"$disk" 4<>"$output.part"
[ "$(id -u)" != 0 ] || chown 0:0 "$output.part"
mv "$output.part" "$output"
