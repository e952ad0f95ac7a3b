"""Sets a node up from its seed volume, in place of cloud-init, which takes five starts of Python for it.

    setup    before the network: who this node is, on its first boot; growing, on each
    ready    when the network and sshd are up: says so on the virtio-serial port

What it does and where it is written is as cloud-init's: whoever looks finds the same files. A volume that has no
`identity` of version 1 is left to cloud-init.

Only modules that are built into Python or nearly so: importing is most of the time that this takes.
"""

import os
import sys
import time

# The root of the system; tests give a directory.
ROOT = sys.argv[2] if len(sys.argv) > 2 else ""
STATE = ROOT + "/run/maquette"
CLOUD = ROOT + "/var/lib/cloud"
RUN_CLOUD = ROOT + "/run/cloud-init"
SOURCE = "DataSourceNoCloud [seed=%s][dsmode=net]"


class Failed(Exception):
    """What could not be done, in words."""


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text, mode=0o644):
    """Replaces a file; whoever reads it finds the old or the new one."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = path + ".maquette"
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(fd, mode)
    os.rename(part, path)


def link(target, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = path + ".maquette"
    if os.path.lexists(part):
        os.unlink(part)
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
    names = ("identity", "host-key", "network-config", "user-data", "meta-data")

    def files(directory):
        paths = ((name, f"{directory}/{name}") for name in names)
        return {name: read(path) for name, path in paths if os.path.exists(path)}

    if ROOT:
        return "/dev/test", files(ROOT + "/seed")
    device = seed_device()
    if device is None:
        return None, {}
    place = STATE + "/seed"
    os.makedirs(place, mode=0o700, exist_ok=True)
    run("mount", "-t", "vfat", "-o", "ro,nosuid,nodev,noexec", device, place)
    try:
        return device, files(place)
    finally:
        run("umount", place)


class Identity:
    """Lines of a keyword and its values; those of version 1 that are not known are for later agents."""

    def __init__(self, text):
        lines = [line.split(" ") for line in text.splitlines() if line]
        self.known = bool(lines) and lines[0] == ["maquette", "1"]
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
        write_kernel("/proc/sys/kernel/hostname", name)


def write_kernel(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def host_keys(identity, files):
    place = ROOT + "/etc/ssh"
    os.makedirs(place, exist_ok=True)
    for name in os.listdir(place):
        if name.startswith("ssh_host_") and "key" in name:
            os.unlink(f"{place}/{name}")
    write(place + "/ssh_host_ed25519_key", files["host-key"], 0o600)
    write(place + "/ssh_host_ed25519_key.pub", identity.one("host-key") + "\n")


def account(name):
    """User, group and home directory of an account; None if there is no such account."""
    for line in read(ROOT + "/etc/passwd").splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) == 7:
            return int(fields[2]), int(fields[3]), fields[5]
    return None


def users(identity, _files):
    rules = []
    for name, *words in identity.all("user"):
        if account(name) is None:
            run("useradd", *(["--root", ROOT] if ROOT else []), "-m", "-s", "/bin/bash", "--", name)
        if "sudo" in words:
            rules.append(f"# User rules for {name}\n{name} ALL=(ALL) NOPASSWD:ALL\n")
    if not ROOT:
        run("passwd", "-q", "-l", "root")
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
    mib = int(identity.one("swap", "0"))
    if mib == 0:
        return
    path = ROOT + "/swapfile"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.posix_fallocate(fd, 0, mib << 20)
    finally:
        os.close(fd)
    run("mkswap", path)
    table = ROOT + "/etc/fstab"
    text = read(table) if os.path.exists(table) else ""
    if not any(line.split()[:1] == ["/swapfile"] for line in text.splitlines()):
        end = "" if not text or text.endswith("\n") else "\n"
        write(table, f"{text}{end}/swapfile\tnone\tswap\tsw,comment=cloudconfig\t0\t0\n")
    if not ROOT:
        run("swapon", path)


def network(identity, files):
    names(identity)
    config = files["network-config"]
    text = "network:\n" + "".join(f"    {line}\n" for line in config.splitlines())
    write(ROOT + "/etc/netplan/50-cloud-init.yaml", text, 0o600)
    if ROOT:
        return
    for program in ("/usr/libexec/netplan/generate", "/lib/netplan/generate"):
        if os.path.exists(program):
            run(program)
            return
    raise Failed("there is no netplan in this image")


def names(identity):
    """Gives NICs the names that they have in the network file; the kernel counts them as it finds them."""
    place = ROOT + "/sys/class/net"
    there = {}
    for name in os.listdir(place) if os.path.isdir(place) else []:
        if os.path.exists(f"{place}/{name}/device"):
            there[read(f"{place}/{name}/address").strip()] = name
    wanted = {mac: name for name, mac in identity.all("nic")}
    missing = [name for mac, name in wanted.items() if mac not in there]
    if missing and not ROOT:
        # In the words of cloud-init, which has that error, too.
        raise Failed(f"Not all expected physical devices present: {missing}")
    wrong = [(there[mac], name) for mac, name in wanted.items() if there.get(mac, name) != name]
    # Two may have each other's name.
    for count, (now, _) in enumerate(wrong):
        run("ip", "link", "set", "dev", now, "down")
        run("ip", "link", "set", "dev", now, "name", f"maquette{count}")
    for count, (_, name) in enumerate(wrong):
        run("ip", "link", "set", "dev", f"maquette{count}", "name", name)


FIRST = (host_name, host_keys, users, time_zone, network, swap)


# What is done on each boot.


def grow(_identity, _files):
    """The last partition of the disk takes what is free behind it, and its file system takes that."""
    if ROOT:
        return
    device = next(line.split() for line in read("/proc/self/mountinfo").splitlines() if line.split()[4] == "/")
    place = os.path.realpath(f"/sys/dev/block/{device[2]}")
    if not os.path.exists(place + "/partition"):
        return
    start, size = (int(read(f"{place}/{name}")) for name in ("start", "size"))
    disk = os.path.dirname(place)
    free = int(read(disk + "/size")) - start - size
    # A partition table in the last sectors, and what is left of a cylinder, are not worth it.
    if free < 4096:
        return
    number = read(place + "/partition").strip()
    name = "/dev/" + os.path.basename(disk)
    run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--force", "-N", number, name, given=", +\n")
    run("partx", "--update", "--nr", number, name)
    run("/lib/systemd/systemd-growfs", "/")


def cloud_state(identity, files, source, begun, errors):
    """The state that cloud-init has after a boot, so that `cloud-init status` and who reads its files see one."""
    instance = identity.one("instance")
    place = f"{CLOUD}/instances/{instance}"
    for name in ("sem", "scripts"):
        os.makedirs(f"{place}/{name}", mode=0o755, exist_ok=True)
    os.chmod(place, 0o755)
    link(place[len(ROOT) :], CLOUD + "/instance")
    write(CLOUD + "/data/instance-id", instance + "\n")
    write(RUN_CLOUD + "/.instance-id", instance + "\n")
    write(place + "/datasource", f"DataSourceNoCloud: {source}\n")
    write(place + "/user-data.txt", files.get("user-data", ""), 0o600)
    # There is none, but `cloud-init query` reads it.
    write(place + "/vendor-data.txt", "", 0o600)
    now = time.time()
    write(place + "/boot-finished", f"{now:.2f} - maquette-agent\n")
    # Only what is printable, so that it is text to JSON and to whoever reads the port.
    plain = ["".join(c if " " <= c <= "~" and c not in '"\\' else "." for c in error)[:300] for error in errors]
    listed = ", ".join(f'"{error}"' for error in plain)
    stages = ", ".join(
        f'"{stage}": {{"errors": [{listed if stage == "init-local" else ""}], '
        f'"start": {begun:.3f}, "finished": {now:.3f}}}'
        for stage in ("init-local", "init", "modules-config", "modules-final")
    )
    status = f'{{"v1": {{"datasource": "{source}", {stages}, "stage": null}}}}\n'
    result = f'{{"v1": {{"datasource": "{source}", "errors": [{listed}]}}}}\n'
    for name, text in (("status.json", status), ("result.json", result)):
        write(f"{CLOUD}/data/{name}", text)
        link(f"../../var/lib/cloud/data/{name}", f"{RUN_CLOUD}/{name}")
    # What `cloud-init query` and `cloud-id` answer from; names and numbers have nothing that JSON would escape.
    names = f'"instance_id": "{instance}", "local_hostname": "{identity.one("hostname")}"'
    facts = (
        f'{{"v1": {{"cloud_id": "nocloud", "cloud_name": "unknown", "platform": "nocloud", '
        f'"subplatform": "{source}", {names}}}}}\n'
    )
    write(RUN_CLOUD + "/instance-data.json", facts)
    write(RUN_CLOUD + "/instance-data-sensitive.json", facts, 0o600)
    write(RUN_CLOUD + "/cloud-id-nocloud", "nocloud\n")
    link("/run/cloud-init/cloud-id-nocloud", RUN_CLOUD + "/cloud-id")


# The port.


def port(identity):
    return "/dev/virtio-ports/" + identity.one("port", "")


def setup():
    begun = time.time()
    os.makedirs(STATE, mode=0o700, exist_ok=True)
    device, files = seed()
    identity = Identity(files.get("identity", ""))
    if not identity.known:
        print("there is no seed of Maquette's, or one of a later version: cloud-init goes on")
        return
    current = CLOUD + "/data/instance-id"
    first = not os.path.exists(current) or read(current).strip() != identity.one("instance")
    # cloud-init's units look for it.
    write(STATE + "/identity", files["identity"], 0o600)
    if first:
        write(STATE + "/first-boot", "")
        begin(identity)
    errors = []
    for task in (grow,) + (FIRST if first else ()):
        try:
            task(identity, files)
        except (Failed, OSError, ValueError, KeyError, StopIteration) as error:
            errors.append(f"{task.__name__}: {error}")
            print(errors[-1], file=sys.stderr)
    cloud_state(identity, files, SOURCE % device, begun, errors)


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


def ready():
    """Reports, on the first boot only. The unit has a time limit, since there may never be a reader."""
    marker = STATE + "/first-boot"
    if not os.path.exists(marker):
        return
    identity = Identity(read(STATE + "/identity"))
    if not os.path.exists(port(identity)) and not ROOT:
        return
    lines = []
    asks = identity.one("asks")
    if asks is not None:
        said = run("ip", "-4", "-o", "address", "show", "dev", asks, "scope", "global").split()
        lines.append(f"address {said[3] if len(said) > 3 else ''}")
    lines.append("result " + read(RUN_CLOUD + "/result.json").strip())
    lines.append("done")
    text = "".join(f"{line}\n" for line in lines)
    if ROOT:
        print(text, end="")
    else:
        # Waits for a reader, and for whoever else has the port.
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
    {"setup": setup, "ready": ready}[sys.argv[1]]()


if __name__ == "__main__":
    main()
