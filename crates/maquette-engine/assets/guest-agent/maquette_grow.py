"""Growing the partition and the file system that the system is on: without programs where that is simple."""

import array
import fcntl
import os

from maquette_agent import read, run


def grow(place, start, end, kind):
    """The partition at `place` of sysfs, from its first sector to the disk's end, and the file system on it."""
    disk = os.path.dirname(place)
    number = int(read(place + "/partition"))
    name = "/dev/" + os.path.basename(disk)
    others = (int(read(f"{disk}/{part}/start")) for part in os.listdir(disk) if part.startswith(name[5:]))
    if start != max(others) or not grow_entry(name, number, start, end - start):
        run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--force", "-N", str(number), name, given=", +\n")
        run("partx", "--update", "--nr", str(number), name)
    if kind == "ext4":
        root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        try:
            blocks = int(read(place + "/size")) * 512 // os.statvfs("/").f_bsize
            fcntl.ioctl(root, 0x40086610, blocks.to_bytes(8, "little"))  # EXT4_IOC_RESIZE_FS
        finally:
            os.close(root)
    else:
        run("/lib/systemd/systemd-growfs", "/")


def grow_entry(disk, number, start, size):
    """Writes the new size into the partition table, if it is of the plain kind; whether it is."""
    at = 446 + 16 * (number - 1)
    with open(disk, "r+b", buffering=0) as device:
        sector = bytearray(device.read(512))
        entry = sector[at : at + 16]
        first = int.from_bytes(entry[8:12], "little")
        plain = sector[510:] == b"\x55\xaa" and 1 <= number <= 4 and entry[4] not in (0, 0xEE) and first == start
        if not plain or size >> 32:
            return False
        # Cylinders, heads and sectors end before it does.
        entry[5:8] = b"\xfe\xff\xff"
        entry[12:16] = size.to_bytes(4, "little")
        sector[at : at + 16] = entry
        device.seek(0)
        device.write(sector)
        os.fsync(device.fileno())
        # While it is open: udev looks at the disk and all that is on it each time that somebody who may have written closes it.
        grow_now(device.fileno(), number, start, size)
    return True


def grow_now(device, number, start, size):
    """Tells the kernel, which would otherwise know at the next start."""
    # struct blkpg_partition, and struct blkpg_ioctl_arg that points to it.
    part = array.array("q", [start * 512, size * 512])
    part.frombytes(number.to_bytes(8, "little") + bytes(128))
    resize = array.array("i", [3, 0, part.itemsize * len(part), 0])
    resize.frombytes(part.buffer_info()[0].to_bytes(8, "little"))
    fcntl.ioctl(device, 0x1269, resize)  # BLKPG
