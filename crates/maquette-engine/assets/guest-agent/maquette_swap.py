"""A file that is swapped to, made without programs."""

import os
import sys

from maquette_agent import ROOT, read, write


def swap_file(identity):
    """Makes it, and has it used from the next boot on; nothing if there is none to make."""
    mib = int(identity.one("swap", "0"))
    path = ROOT + "/swapfile"
    if mib == 0 or not ROOT and any(line.split()[:1] == [path] for line in read("/proc/swaps").splitlines()):
        # None is asked for, or a first boot is begun anew.
        return None
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.posix_fallocate(fd, 0, mib << 20)
        os.pwrite(fd, *swap_head(mib << 20, os.sysconf("SC_PAGE_SIZE")))
    finally:
        os.close(fd)
    table = ROOT + "/etc/fstab"
    text = read(table) if os.path.exists(table) else ""
    if not any(line.split()[:1] == ["/swapfile"] for line in text.splitlines()):
        end = "" if not text or text.endswith("\n") else "\n"
        write(table, f"{text}{end}/swapfile\tnone\tswap\tsw,comment=cloudconfig\t0\t0\n")
    return path


def swap_head(size, page):
    """What `mkswap` writes, and where (the kernel's union swap_header): version, last page, no bad ones, UUID, mark."""
    name = bytearray(os.urandom(16))
    name[6], name[8] = name[6] & 15 | 0x40, name[8] & 63 | 0x80
    numbers = b"".join(number.to_bytes(4, sys.byteorder) for number in (1, size // page - 1, 0))
    return (numbers + name).ljust(page - 1024 - 10, b"\0") + b"SWAPSPACE2", 1024
