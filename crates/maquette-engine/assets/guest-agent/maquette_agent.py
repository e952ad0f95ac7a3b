"""Sets a node up from its seed volume, in place of cloud-init, which takes five starts of Python for it.

    setup    before the network: who this node is, on its first boot; growing, on each
    ready    when the network and sshd are up: says so on the virtio-serial port
    template when everything is up, in a system that is nobody yet: see maquette_template.py

What it does and where it is written is as cloud-init's: whoever looks finds the same files. A volume that has no
`identity` of a version that is known here is left to cloud-init.

Only modules that are built into Python or nearly so: importing is most of the time that this takes.
"""

import gc
import os
import sys
import time

# Nothing here lives long enough for what that would find.
gc.disable()

# The root of the system; tests give a directory.
ROOT = sys.argv[2] if len(sys.argv) > 2 else ""
STATE = ROOT + "/run/maquette"
# There in a system that is nobody yet; the accounts in it were made because nodes are thought to have them.
MARKER = STATE + "/template"
# NetworkManager sets up NICs that it finds, and keeps what it has set: it leaves them alone while there is this, and a node's
# finds them as those of a system that starts.
NOT_YET = ROOT + "/run/NetworkManager/conf.d/maquette-template.conf"
SSH_PLACE = ROOT + "/etc/ssh"
CLOUD = ROOT + "/var/lib/cloud"
RUN_CLOUD = ROOT + "/run/cloud-init"
NETPLAN = ("/usr/libexec/netplan/generate", "/lib/netplan/generate")
GENERATOR = "/usr/lib/systemd/system-generators/netplan"
WANTED = "/etc/systemd/system/multi-user.target.wants"
SOURCE = "DataSourceNoCloud [seed=%s][dsmode=net]"


class Failed(Exception):
    """What could not be done, in words."""


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text, mode=0o644, like=None):
    """Replaces a file; whoever reads it finds the old or the new one. It is everybody's whose `like` is."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = path + ".maquette"
    # One may be left half made.
    unlink(part)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)
        if like is not None:
            past = os.stat(like)
            os.fchown(fd, past.st_uid, past.st_gid)
            mode = past.st_mode & 0o7777
            for name in os.listxattr(like):
                os.setxattr(fd, name, os.getxattr(like, name))
        os.fchmod(fd, mode)
    os.rename(part, path)


def unlink(*paths):
    """Files that are to be gone, whether they are there or not."""
    for path in paths:
        if os.path.lexists(path):
            os.unlink(path)


def link(target, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = path + ".maquette"
    unlink(part)
    os.symlink(target, part)
    os.rename(part, path)


def run(*command, given=""):
    """Runs a command; what it says when it fails is the error's words."""
    out_r, out_w = os.pipe()
    in_r, in_w = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, in_r, 0), (os.POSIX_SPAWN_DUP2, out_w, 1), (os.POSIX_SPAWN_DUP2, out_w, 2)]
    actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in (in_w, out_r)]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    try:
        child = os.posix_spawnp(command[0], command, environment, file_actions=actions)
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from None
    finally:
        os.close(in_r)
        os.close(out_w)
    os.write(in_w, given.encode())
    os.close(in_w)
    with open(out_r, encoding="utf-8", errors="replace") as pipe:
        said = pipe.read(65536).strip()
    _, status = os.waitpid(child, 0)
    if status:
        raise Failed(f"{' '.join(command)}: {said or 'failed'}")
    return said


# The seed volume.


def seed_device():
    """The disk whose FAT file system is labelled `cidata`, by its first sector: udev may not have come so far."""
    for name in sorted(os.listdir("/sys/class/block")):
        if os.path.exists(f"/sys/class/block/{name}/partition") or name.startswith(("loop", "ram", "zram")):
            continue
        try:
            with open(f"/dev/{name}", "rb") as disk:
                sector = disk.read(512)
        except OSError:
            continue
        if sector[510:] == b"\x55\xaa" and b"cidata     " in (sector[43:54], sector[71:82]):
            return f"/dev/{name}"
    return None


def seed():
    """The device, and what is on it by name."""
    if ROOT:
        place = ROOT + "/seed"
        if not os.path.isdir(place):
            with open(ROOT + "/seed.img", "rb", buffering=0) as disk:
                return "/dev/test", fat_files(disk)
        return "/dev/test", {name: read(f"{place}/{name}") for name in os.listdir(place)}
    device = seed_device()
    if device is None:
        return None, {}
    with open(device, "rb", buffering=0) as disk:
        return device, fat_files(disk)


def fat_files(disk):
    """The files of a small FAT12 file system, as our seeds are: mounting takes two programs and four modules."""
    # Most have no more than that, and reading is slow.
    data = disk.read(1 << 16)

    def number(data, at, size=2):
        return int.from_bytes(data[at : at + size], "little")

    if data[54:59] != b"FAT12" or data[13] == 0:
        return {}
    sector, reserved, entries = number(data, 11), number(data, 14), number(data, 17)
    table = data[reserved * sector :]
    root = (reserved + data[16] * number(data, 22)) * sector
    area, unit = root + entries * 32, data[13] * sector
    files, name = {}, ""
    for entry in (data[at : at + 32] for at in range(root, area, 32)):
        if len(entry) < 32 or entry[0] == 0:
            break
        if entry[11] == 0x0F and entry[0] != 0xE5:
            # A part of a name, the last one first.
            part = (entry[1:11] + entry[14:26] + entry[28:32]).decode("utf-16-le", "replace")
            name = part.split("\0")[0] + name
            continue
        if entry[0] != 0xE5 and not entry[11] & 0x18:
            short = entry[:8].decode("ascii", "replace").rstrip().lower()
            cluster, left, parts = number(entry, 26), number(entry, 28, 4), []
            while left > 0 and 2 <= cluster < 0xFF0:
                begin = area + (cluster - 2) * unit
                if begin + unit > len(data):
                    data += disk.read(8 << 20)
                parts.append(data[begin : begin + min(unit, left)])
                left -= unit
                word = number(table, cluster * 3 // 2)
                cluster = word >> 4 if cluster & 1 else word & 0xFFF
            files[name or short] = b"".join(parts).decode("utf-8", "replace")
        name = ""
    return files


class Identity:
    """Lines of a keyword and its values; those that are not known are for later agents. Version 2 has `first-boot`."""

    def __init__(self, text):
        lines = [line.split(" ") for line in text.splitlines() if line]
        self.known = bool(lines) and lines[0] in (["maquette", "1"], ["maquette", "2"])
        self.lines = lines[1:]

    def all(self, keyword):
        return [line[1:] for line in self.lines if line[0] == keyword]

    def one(self, keyword, default=None):
        found = self.all(keyword)
        return " ".join(found[0]) if found else default


# What is done on the first boot. Each is a task of its own: what fails is told, and the others are done.


def host_name(identity, _files):
    name = identity.one("hostname")
    write(ROOT + "/etc/hostname", name + "\n")
    if not ROOT:
        with open("/proc/sys/kernel/hostname", "w", encoding="utf-8") as file:
            file.write(name)


def host_keys(identity, files):
    no_host_keys()
    write(SSH_PLACE + "/ssh_host_ed25519_key", files["host-key"], 0o600)
    write(SSH_PLACE + "/ssh_host_ed25519_key.pub", identity.one("host-key") + "\n")


def no_host_keys():
    os.makedirs(SSH_PLACE, exist_ok=True)
    for name in os.listdir(SSH_PLACE):
        if name.startswith("ssh_host_") and "key" in name:
            os.unlink(f"{SSH_PLACE}/{name}")


def account(name):
    """User, group and home directory of an account; None if there is no such account."""
    for line in read(ROOT + "/etc/passwd").splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) == 7:
            return int(fields[2]), int(fields[3]), fields[5]
    return None


def ensure_account(name):
    """Whether it had to be made."""
    if account(name) is not None:
        return False
    run("useradd", *(["--root", ROOT] if ROOT else []), "-m", "-s", "/bin/bash", "--", name)
    return True


def users(identity, _files):
    rules = []
    for name, *words in identity.all("user"):
        ensure_account(name)
        if "sudo" in words:
            rules.append(f"# User rules for {name}\n{name} ALL=(ALL) NOPASSWD:ALL\n")
    lock("root")
    if rules:
        place = ROOT + "/etc/sudoers.d"
        os.makedirs(place, exist_ok=True)
        os.chmod(place, 0o750)
        write(place + "/90-cloud-init-users", "\n".join(rules), 0o440)
    for name, *key in identity.all("key"):
        found = account(name)
        if found is None:
            raise Failed(f"there is no account `{name}`")
        user, group, home = found
        place = f"{ROOT}{home}/.ssh"
        os.makedirs(place, mode=0o700, exist_ok=True)
        os.chmod(place, 0o700)
        path = place + "/authorized_keys"
        known = read(path) if os.path.exists(path) else ""
        line = " ".join(key)
        if line not in known.splitlines():
            known += line + "\n"
        write(path, known, 0o600)
        for owned in (place, path):
            os.chown(owned, user, group, follow_symlinks=False)


def lock(name):
    """What `passwd --lock` does."""
    change_shadow(name, lambda fields: [fields[0], "!" + fields[1].removeprefix("!"), *fields[2:]])


def change_shadow(name, change):
    path = ROOT + "/etc/shadow"
    if not os.path.exists(path):
        return
    text = read(path)
    lines = [line.split(":") for line in text.splitlines()]
    lines = [change(line) if line[0] == name and len(line) == 9 else line for line in lines]
    changed = "".join(":".join(line) + "\n" for line in lines)
    if changed != text:
        write(path + "-", text, like=path)
        write(path, changed, like=path)


def time_zone(identity, _files):
    zone = identity.one("timezone")
    if zone is None:
        return
    file = f"/usr/share/zoneinfo/{zone}"
    if not os.path.isfile(ROOT + file):
        raise Failed(f"there is no time zone `{zone}` in this image")
    write(ROOT + "/etc/timezone", zone + "\n")
    link(file, ROOT + "/etc/localtime")


def swap(identity, _files):
    if identity.one("swap", "0") == "0":
        return
    import maquette_swap

    path = maquette_swap.swap_file(identity)
    if path is not None and not ROOT:
        run("swapon", path)


def network(identity, files):
    network_file(identity, files)
    netplan()


def network_file(identity, files):
    """Whether NICs have changed their names with each other."""
    changed = names(identity)
    config = files["network-config"]
    if not has_netplan():
        import maquette_native

        maquette_native.write_files(config, bool(renderer()))
        return changed
    text = "network:\n" + "".join(f"    {line}\n" for line in [*renderer(), *config.splitlines()])
    write(ROOT + "/etc/netplan/50-cloud-init.yaml", text, 0o600)
    return changed


def has_netplan():
    return any(os.path.exists(ROOT + path) for path in NETPLAN)


def renderer():
    """netplan takes networkd where it is not told."""
    return ["renderer: NetworkManager"] if wanted("NetworkManager") and not wanted("systemd-networkd") else []


def wanted(name):
    return os.path.lexists(f"{ROOT}{WANTED}/{name}.service")


def netplan():
    """Makes the network manager's files. Called as at a boot it starts no other programs to find out whether there is
    something to start, which there is not if the manager is started without netplan."""
    if ROOT or not has_netplan():
        return
    if os.path.exists(GENERATOR) and wanted("systemd-networkd"):
        place = STATE + "/units"
        places = [f"{place}/{name}" for name in ("normal", "early", "late")]
        try:
            for each in places:
                os.makedirs(each)
            run(GENERATOR, *places)
        finally:
            for here, _, names in os.walk(place, topdown=False):
                for name in names:
                    os.unlink(f"{here}/{name}")
                os.rmdir(here)
        return
    run(next(program for program in NETPLAN if os.path.exists(program)))


def nics():
    """The names of the NICs by their MACs; what is not a device is left out."""
    place = ROOT + "/sys/class/net"
    there = {}
    for name in os.listdir(place) if os.path.isdir(place) else []:
        try:
            if os.path.exists(f"{place}/{name}/device"):
                there[read(f"{place}/{name}/address").strip()] = name
        except OSError:
            # It was renamed, or is gone.
            pass
    return there


def names(identity):
    """Gives NICs the names that they have in the network file, since the kernel counts them as it finds them; whether
    one has another's name now.
    """
    there = nics()
    wanted = {mac: name for name, mac in identity.all("nic")}
    missing = [name for mac, name in wanted.items() if mac not in there]
    if missing and (there or not ROOT):
        # In the words of cloud-init, which has that error, too.
        raise Failed(f"Not all expected physical devices present: {missing}")
    wrong = [(there[mac], name) for mac, name in wanted.items() if there.get(mac, name) != name]
    # Two may have each other's name.
    for count, (now, _) in enumerate(wrong):
        rename(now, f"maquette{count}")
    for count, (_, name) in enumerate(wrong):
        rename(f"maquette{count}", name)
    return bool({now for now, _ in wrong} & {name for _, name in wrong})


def rename(now, name):
    """What `ip link set dev … down` and `ip link set dev … name …` do."""
    if ROOT:
        os.rename(f"{ROOT}/sys/class/net/{now}", f"{ROOT}/sys/class/net/{name}")
        return
    import _socket
    import fcntl

    control = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    device = now.encode().ljust(16, b"\0")
    try:
        flags = bytearray(fcntl.ioctl(control, 0x8913, device + bytes(24)))  # SIOCGIFFLAGS
        if flags[16] & 1:
            flags[16] &= ~1
            fcntl.ioctl(control, 0x8914, bytes(flags))  # SIOCSIFFLAGS
        fcntl.ioctl(control, 0x8923, device + name.encode().ljust(24, b"\0"))  # SIOCSIFNAME
    finally:
        control.close()


FIRST = (host_name, host_keys, users, time_zone, network, swap)


# What is done on each boot.


def grow(_identity, _files):
    """The last partition of the disk takes what is free behind it, and its file system takes that."""
    if ROOT:
        return
    place, kind = root()
    if not os.path.exists(place + "/partition"):
        return
    start, size = (int(read(f"{place}/{name}")) for name in ("start", "size"))
    end = int(read(os.path.dirname(place) + "/size"))
    # A partition table in the last sectors, and what is left of a cylinder, are not worth it.
    if end - start - size >= 4096:
        import maquette_grow

        maquette_grow.grow(place, start, end, kind)


def root():
    """Where sysfs has what the system is on, and the kind of file system that it is."""
    line = next(line.split() for line in read("/proc/self/mountinfo").splitlines() if line.split()[4] == "/")
    return os.path.realpath(f"/sys/dev/block/{line[2]}"), line[line.index("-") + 1]


# The port.


def port(identity):
    return ROOT + "/dev/virtio-ports/" + identity.one("port", "")


def attempt(tasks, identity, files):
    """Does what can be done; what could not be, in words."""
    errors = []
    for task in tasks:
        try:
            task(identity, files)
        except Exception as error:
            # What went wrong in an unforeseen way is a failure of that task all the same.
            kind = "" if isinstance(error, (Failed, OSError, ValueError)) else f"{type(error).__name__}: "
            errors.append(f"{task.__name__}: {kind}{error}")
            print(errors[-1], file=sys.stderr)
    return errors


def setup():
    begun = time.time()
    os.makedirs(STATE, mode=0o700, exist_ok=True)
    device, files = seed()
    identity = Identity(files.get("identity", ""))
    if not identity.known:
        print("there is no seed of Maquette's, or one of a later version: cloud-init goes on")
        return
    if identity.all("template"):
        # cloud-init's units look for it, and the next unit for the other.
        write(STATE + "/identity", files["identity"], 0o600)
        write(MARKER, "")
        if wanted("NetworkManager"):
            # It has the NICs of a node, and nobody has said yet what they are for.
            write(NOT_YET, "[keyfile]\nunmanaged-devices=*\n")
        attempt((beforehand,), identity, files)
        return
    current = CLOUD + "/data/instance-id"
    first = not os.path.exists(current) or read(current).strip() != identity.one("instance")
    # cloud-init's units look for it.
    write(STATE + "/identity", files["identity"], 0o600)
    if first:
        write(STATE + "/first-boot", "")
        begin(identity)
    tasks = (grow,) + (FIRST if first else ())
    more = first and "first-boot" in files
    if more:
        import maquette_first_boot

        tasks += (maquette_first_boot.files, maquette_first_boot.units)
    errors = attempt(tasks, identity, files)
    import maquette_state

    again = first and bool(errors)
    maquette_state.write_all(identity, files, SOURCE % device, begun, errors, goes_on=more, again=again)


def beforehand(identity, _files):
    """What takes long and nodes have in common: sshd, which only has to read a node's key then, and their account."""
    no_host_keys()
    if not ROOT:
        # Removed before anybody can see it.
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", SSH_PLACE + "/ssh_host_ed25519_key")
    made = [name for name, *_ in identity.all("user") if ensure_account(name)]
    write(MARKER, "".join(f"{name}\n" for name in made))


def begin(identity):
    """Says that it has begun, if somebody listens; nobody has to."""
    try:
        fd = os.open(port(identity), os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        os.write(fd, b"setting up\n")
    except OSError:
        pass
    finally:
        os.close(fd)


def address(name):
    """The IPv4 address of an interface, with the length of its subnet; nothing if it has none."""
    import _socket
    import fcntl

    question = name.encode().ljust(40, b"\0")
    control = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    try:
        # SIOCGIFADDR and SIOCGIFNETMASK.
        own, mask = (fcntl.ioctl(control, number, question)[20:24] for number in (0x8915, 0x891B))
    except OSError:
        return ""
    finally:
        control.close()
    return f"{'.'.join(map(str, own))}/{int.from_bytes(mask, 'big').bit_count()}"


def report(identity):
    """How it went, for whoever waits for it."""
    lines = []
    asks = identity.one("asks")
    if asks is not None:
        lines.append(f"address {address(asks)}")
    lines.append("result " + read(RUN_CLOUD + "/result.json").strip())
    lines.append("done")
    return "".join(f"{line}\n" for line in lines)


def ready():
    """What a first boot does last, and its report."""
    marker = STATE + "/first-boot"
    if not os.path.exists(marker):
        return
    identity = Identity(read(STATE + "/identity"))
    if not os.path.exists(port(identity)) and not ROOT:
        return
    if os.path.exists(STATE + "/first-boot.json"):
        import maquette_first_boot

        maquette_first_boot.finish(identity)
    text = report(identity)
    if ROOT:
        print(text, end="")
    else:
        import _signal

        # Waits for a reader, and for whoever else has the port, but not for ever: there may be none.
        _signal.alarm(600)
        while True:
            try:
                fd = os.open(port(identity), os.O_WRONLY)
                break
            except OSError:
                time.sleep(1)
        os.write(fd, text.encode())
        os.close(fd)
    os.unlink(marker)


def main():
    if sys.argv[1] == "template":
        import maquette_template

        maquette_template.template()
    else:
        {"setup": setup, "ready": ready}[sys.argv[1]]()


if __name__ == "__main__":
    main()
