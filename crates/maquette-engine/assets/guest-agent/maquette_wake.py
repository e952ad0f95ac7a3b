"""The way from a template to a node, in one process that is there already: each start of a program counts."""

import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import sys
import time

import maquette_agent as agent
import maquette_netplan
from maquette_agent import ROOT, STATE, Failed, Identity, read, write
from maquette_hold import called, libc
from maquette_swap import swap_file
from maquette_systemd import SLOW, SSH, enabled, networks, reload_network, systemd, waits_for_network

# How long the seed and the NICs may take to arrive, in seconds.
PATIENCE = 2 if ROOT else 60
# There while a NIC needs nothing from systemd-sysctl: a rule of udev's looks for it.
INHERITS = STATE + "/inherits"
# How long a report waits for somebody who reads it.
HEARD = 600
# How long whoever is asked what time it is may take to answer, in seconds; in which time, in ns, the answer is exact, and how
# often it is asked until one is.
ANSWER = 0.1 if ROOT else 2
EXACT = 100_000_000
QUESTIONS = 3
# Whoever waits at a console for somebody who logs in looks at it, and shows the name of the system anew.
PROMPTS = ROOT + "/run/agetty.reload"
PID_FILE = ROOT + "/run/sshd.pid"
# How long after its start a node's journal has what the kernel said before, in seconds: to read it takes half a second, and
# nodes that start at the same time come first.
LATER = 0 if ROOT else 60
# Up to where journald has read what the kernel says.
KERNEL_READ = ROOT + "/run/systemd/journal/kernel-seqnum"
BOOT_ID = ROOT + "/proc/sys/kernel/random/boot_id"
PRODUCT_UUID = ROOT + "/sys/class/dmi/id/product_uuid"
# What the kernel tells clients by that they have been here, drawn for the first listener that takes data with a connection's
# first packet: systemd-resolved, in the template.
FAST_OPEN = ROOT + "/proc/sys/net/ipv4/tcp_fastopen_key"
# The firmware's tables, in which the UUID has its first three fields little-endian.
TABLES = ROOT + "/sys/firmware/dmi/tables/DMI"
# Where OpenSSH has this (9.8 on), the listener hands the keys on that it has read; earlier ones read them at each login.
SESSIONS = ("/usr/lib/openssh/sshd-session", "/usr/libexec/openssh/sshd-session")


# What comes first in a node: until then it is the same as every other of this template.


def reseed(fresh, bits):
    """Adds to the kernel's generator, has it believe that as many bits of it are random, and has all that it gives from
    now on depend on it."""
    if ROOT:
        write(ROOT + "/reseeded", fresh.decode())
        return
    pool = struct.pack("ii", bits, len(fresh)) + fresh
    with open("/dev/urandom", "wb", buffering=0) as device:
        fcntl.ioctl(device, 0x40085203, pool)  # RNDADDENTROPY
        fcntl.ioctl(device, 0x5207)  # RNDRESEEDCRNG


def renew_fast_open():
    """Draws the key of TCP Fast Open anew where there is one; where there is none, the kernel draws it when it needs it."""
    if (known(FAST_OPEN) or "").strip("0-"):
        with open(FAST_OPEN, "w", encoding="ascii") as file:
            file.write("-".join(os.urandom(4).hex() for _ in range(4)))


def set_clock(port):
    """Sets the clock as somebody answers who knows the time: what the first line says was written before this system went on.
    An answer is half as old as it took to get; the soonest is the best one."""
    soonest = None
    for _ in range(QUESTIONS):
        asked = time.monotonic_ns()
        said = port.wait_for_time(ANSWER) if port.say("clock\n", ANSWER) else None
        if said is None:
            # The port may just have been opened.
            continue
        heard = time.monotonic_ns()
        took = heard - asked
        if soonest is None or took < soonest[0]:
            soonest = took, said + took // 2 - heard
        if took < EXACT:
            break
    if soonest is None:
        return
    if ROOT:
        write(ROOT + "/clock", f"{soonest[1] + time.monotonic_ns()}\n")
    else:
        time.clock_settime_ns(time.CLOCK_REALTIME, soonest[1] + time.monotonic_ns())


def known(path):
    """A file's only line; nothing where there is no such file."""
    try:
        return read(path).strip().lower()
    except OSError:
        return None


def firmware_id():
    """What a machine-id is made of where systemd takes the UUID that the hypervisor gave; nothing where there is none."""
    name = (known(PRODUCT_UUID) or "").replace("-", "")
    return name if len(name) == 32 else None


def macs():
    """The addresses of all NICs, as nobody finds them in memory who looks for addresses there: those are a node's then."""
    return {int(mac.replace(":", ""), 16) for mac in agent.nics()}


def of_template(before):
    """What is still the template's, of what whoever copied its memory has put in place: two nodes would have the same."""
    if before.boot is not None and known(BOOT_ID) == before.boot:
        return "boot ID"
    if before.macs & macs():
        return "address of a NIC"
    if before.uuid is None:
        return None
    if firmware_id() == before.uuid:
        return "UUID"
    raw = bytes.fromhex(before.uuid)
    try:
        with open(TABLES, "rb") as file:
            return "UUID" if raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:] in file.read() else None
    except OSError:
        return None


def machine_id(name):
    """Where systemd and D-Bus have it; the template's were emptied."""
    path = ROOT + "/etc/machine-id"
    for file in (path, ROOT + "/run/machine-id", ROOT + "/var/lib/dbus/machine-id"):
        there = os.path.isfile(file) and not os.path.islink(file)
        if there or file == path:
            write(file, name + "\n", 0o444, like=file if there else None)


def history(before):
    """When this system was started, and who waits at its consoles; a seed for its next boot."""
    now = time.time()
    for path, data in ((ROOT + "/run/utmp", None), (ROOT + "/var/log/wtmp", before.logins)):
        if not os.path.exists(path):
            continue
        with open(path, "r+b") as file:
            data = bytearray(file.read() if data is None else data)
            # Records of 384 bytes, on this kind of processor.
            for at in range(0, len(data), 384) if len(data) % 384 == 0 else []:
                struct.pack_into("<ii", data, at + 340, int(now), int(now % 1 * 1e6))
            file.seek(0)
            file.write(data)
            file.truncate()
    if before.seed is not None:
        size, marks = before.seed
        path = ROOT + "/var/lib/systemd/random-seed"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(fd, "wb") as file:
            file.write(os.urandom(size))
        for mark in marks:
            if mark.startswith("user."):
                os.setxattr(path, mark, b"1")


def forget_journals(mine):
    """Those of other machines, and there is one: the template."""
    for place in (ROOT + "/run/log/journal", ROOT + "/var/log/journal"):
        for name in os.listdir(place) if os.path.isdir(place) else []:
            if len(name) == 32 and name != mine:
                shutil.rmtree(f"{place}/{name}", ignore_errors=True)


# Becoming a node.


class Arrivals:
    """The seed and the NICs come when they come. What udev is done with is there."""

    def __init__(self):
        self.end = time.monotonic() + PATIENCE
        if ROOT:
            return
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 15)
        # The kernel's events, and udev's.
        self.socket.bind((0, 3))

    def wait(self, found, words):
        """What `found` returns when it returns something; nothing if that takes too long."""
        while True:
            result = found()
            if result:
                # Whatever is next has as long.
                self.end = time.monotonic() + PATIENCE
            left = self.end - time.monotonic()
            if result or left <= 0:
                return result
            self.until_next(left, words)

    def until_next(self, left, words):
        if ROOT:
            time.sleep(0.05)
            return
        self.socket.settimeout(min(left, 5))
        try:
            # Those of other devices come by the dozen.
            while not any(word in self.socket.recv(16384) for word in words):
                pass
        except OSError:
            # Too many at once, or none.
            pass


def node_seed():
    """The seed of a node; not that of the template."""
    try:
        device, files = agent.seed()
    except OSError:
        return None
    identity = Identity(files.get("identity", ""))
    if identity.known and identity.one("instance") is not None:
        return device, files, identity
    return None


def nics_came(identity):
    there = agent.nics()
    if any(mac not in there for _, mac in identity.all("nic")):
        return False
    if not os.path.exists(ROOT + "/run/udev/control"):
        return True
    try:
        # Renaming one that udev is working on confuses both.
        numbers = [read(f"{ROOT}/sys/class/net/{there[mac]}/ifindex").strip() for _, mac in identity.all("nic")]
    except OSError:
        # It has just been renamed, or is gone again.
        return False
    return all(os.path.exists(f"{ROOT}/run/udev/data/n{number}") for number in numbers)


def disk_size():
    place, _ = agent.root()
    return int(read((os.path.dirname(place) if os.path.exists(place + "/partition") else place) + "/size")) * 512


def with_address(config):
    """The NICs that have to have an IPv4 address before somebody can say that the network is up."""
    blocks = {}
    for line in config.splitlines():
        if line.startswith("  ") and not line.startswith("   ") and line.endswith(":"):
            blocks[line.strip(" :")] = text = []
        elif line.startswith("    ") and blocks:
            text.append(line.strip())
    return [
        name
        for name, lines in blocks.items()
        if "optional: true" not in lines
        and ("dhcp4: true" in lines or any(line.startswith("addresses: ") and "." in line for line in lines))
    ]


def until_addressed(names):
    """An address of IPv6 takes a second or two longer, in which it is asked for; nobody has to wait for that."""
    if ROOT:
        return
    end = time.monotonic() + SLOW
    news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    with news:
        news.bind((0, 0x10))  # RTMGRP_IPV4_IFADDR
        while not all(agent.address(name) for name in names):
            left = end - time.monotonic()
            if left <= 0:
                break
            if select.select([news], [], [], min(left, 5))[0]:
                try:
                    news.recv(65536)
                except OSError:
                    # Too many at once.
                    pass


class Sshd:
    """Takes the node's keys, by itself or when it is told to. It says that it is there again by writing its number."""

    def __init__(self):
        self.number = None
        self.watch = None

    def reload(self, always):
        """Whether it runs. There may be nothing new for it but keys, unless it is to read its files `always`."""
        try:
            self.number = int(read(PID_FILE))
            if not always and not any(os.path.exists(ROOT + path) for path in SESSIONS):
                # Reading them again is a start of it that nobody needs.
                if not ROOT:
                    os.kill(self.number, 0)
                return True
            if ROOT:
                write(ROOT + "/hangup", f"{self.number}\n")
                return True
            self.watch = called(libc().inotify_init1(os.O_CLOEXEC), "inotify")
            called(libc().inotify_add_watch(self.watch, b"/run", 8), "/run")  # IN_CLOSE_WRITE
            os.kill(self.number, signal.SIGHUP)
        except (OSError, ValueError, Failed):
            self.number = None
            return False
        return True

    def wait(self):
        if self.watch is None:
            return
        end = time.monotonic() + SLOW
        written = False
        while not written:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.watch], [], [], left)[0]:
                break
            # There are names in it, among numbers.
            written = os.path.basename(PID_FILE).encode() + b"\0" in os.read(self.watch, 4096)
        os.close(self.watch)


class Wake:
    """One way from a template to a node, as tasks like those of a first boot."""

    def __init__(self, before):
        self.before = before
        self.arrivals = Arrivals()
        self.systemd = systemd()
        self.sshd = Sshd()
        # As systemd does on a first boot, of which the template's was one.
        self.name = before.by_firmware and firmware_id() or os.urandom(16).hex()
        self.wanted = []
        self.asked = []
        self.exchanged = False

    def new(self, _identity, _files):
        machine_id(self.name)
        history(self.before)
        # Everything from here on is noted as this machine's, and this boot's.
        self.systemd.order("RestartUnit", "systemd-journald.service")

    def ssh(self, _identity, files):
        # Files of a first boot may be its own.
        if self.sshd.reload("first-boot" in files):
            return
        for unit in SSH:
            if enabled(unit):
                self.systemd.order("StartUnit", unit)
                self.wanted.append(unit)
                return

    def disk(self, identity, _files):
        # It has its size when the hypervisor has said so.
        wanted = int(identity.one("disk", "0"))
        if wanted and not ROOT and not self.arrivals.wait(lambda: disk_size() >= wanted, (b"SUBSYSTEM=block",)):
            raise Failed(f"it has {disk_size()} bytes, and not yet {wanted}")

    def accounts(self, identity, _files):
        wanted = [name for name, *_ in identity.all("user")]
        day = str(int(time.time() // 86400))
        for name in self.before.accounts:
            if name in wanted:
                # Made today.
                agent.change_shadow(name, lambda fields: [*fields[:2], day, *fields[3:]])
            elif agent.account(name) is not None:
                agent.run("userdel", *(["--root", ROOT] if ROOT else []), "-r", "--", name)

    def network(self, identity, files):
        self.exchanged = agent.network_file(identity, files)
        made = None if self.before.netplan is None else maquette_netplan.made(files["network-config"])
        if made is None:
            agent.netplan()
            return
        for path, text in {**made, **self.before.netplan}.items():
            if isinstance(text, tuple):
                agent.link(text[0], ROOT + path)
            else:
                write(ROOT + path, text)

    def swap(self, identity, _files):
        path = swap_file(identity)
        if path is not None and not ROOT:
            called(libc().swapon(path.encode(), 0), f"swapon {path}")

    def online(self, _identity, files):
        # Units that are not for templates may start.
        agent.unlink(agent.MARKER, INHERITS, agent.NOT_YET)
        manager, waits = networks()
        # One that runs while two NICs exchange their names hears of a name that is taken, and gives that NIC up.
        if self.exchanged or not (self.before.reloads and reload_network()):
            self.systemd.order("RestartUnit", manager)
            self.wanted.append(manager)
        self.asked = with_address(files["network-config"])
        if not self.asked and waits_for_network(waits):
            # Only systemd knows when that is so.
            self.systemd.order("RestartUnit", waits)
            self.wanted.append(waits)

    def settle(self):
        """Until it can be reached; that it cannot is seen from outside, as after a cold start."""
        try:
            self.systemd.wait(self.wanted, SLOW)
            until_addressed(self.asked)
        except (OSError, Failed) as error:
            print(error, file=sys.stderr)
        self.sshd.wait()

    def afterwards(self):
        """What nobody waits for."""
        try:
            self.systemd.wait(["systemd-journald.service"], SLOW)
            forget_journals(self.name)
            if os.path.exists(PROMPTS):
                os.utime(PROMPTS)
        except (OSError, Failed) as error:
            print(error, file=sys.stderr)


def forgotten():
    """Before others run in a node that nobody has told anything: it has at least its own UUID to differ from its twins by."""
    try:
        with open(PRODUCT_UUID, "rb") as file:
            reseed(file.read(), 0)
    except OSError as error:
        print(f"random numbers: {error.strerror}", file=sys.stderr)


def note_kernel():
    """Has the journal tell how the kernel has booted, as this machine's and this boot's: where journald does not know how
    far it has read that, it reads all of it."""
    time.sleep(LATER)
    try:
        agent.unlink(KERNEL_READ)
        systemd().order("RestartUnit", "systemd-journald.service")
    except (OSError, Failed) as error:
        print(error, file=sys.stderr)


def failed(error):
    import maquette_state

    return f'result {{"v1": {{"datasource": null, "errors": ["{maquette_state.plain([error])[0]}"]}}}}\n'


def untouched(error):
    """What is told of a template that is what it was: a boot does all anew. Who waits knows it by the first word."""
    return "untouched\n" + failed(error)


def wake(port, before, nanoseconds, fresh):
    """Whether the template has become a node, or has failed as one; a seed that does not come may come later."""
    try:
        return become(port, before, nanoseconds, fresh)
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        # A boot does it all anew as long as there is no instance, and nothing of its user's has run.
        begun = before.set_up or os.path.exists(agent.CLOUD + "/data/instance-id")
        what = f"{type(error).__name__}: {error}"
        port.say(failed(f"agent: {what}") if begun else untouched(f"wake: {what}"), 0)
        return begun


def become(port, before, nanoseconds, fresh):
    try:
        if not ROOT:
            reseed(fresh, len(fresh) * 8)
            time.clock_settime_ns(time.CLOCK_REALTIME, nanoseconds)
        renew_fast_open()
        port.let_go()
        set_clock(port)
    except OSError as error:
        # With the random numbers of its twins it must not go on.
        port.say(untouched(f"wake: {error.strerror}"), 0)
        return False
    finally:
        port.let_go()
    shared = of_template(before)
    if shared is not None:
        port.say(untouched(f"wake: it has the {shared} of its template"), 0)
        return False
    port.say("setting up\n", 0)
    begun = time.time()
    node = Wake(before)
    errors = agent.attempt((node.new,), None, None)
    found = node.arrivals.wait(node_seed, (b"SUBSYSTEM=block",))
    if not found:
        port.say(untouched("seed: the volume of this node did not come"), 0)
        return False
    device, files, identity = found
    write(STATE + "/identity", files["identity"], 0o600)
    more = "first-boot" in files
    people = (node.accounts, agent.users, agent.time_zone)
    if more:
        import maquette_first_boot

        tasks = (*people, maquette_first_boot.files, node.ssh)
    else:
        # sshd needs longer than all of these.
        tasks = (node.ssh, *people)
    errors += agent.attempt((agent.host_name, agent.host_keys, *tasks), identity, files)
    if not node.arrivals.wait(lambda: nics_came(identity), (b"SUBSYSTEM=net",)):
        # They may come later, with another run; until then this is nobody's first boot. The words are cloud-init's.
        there = agent.nics()
        missing = ", ".join(name for name, mac in identity.all("nic") if mac not in there)
        port.say(untouched(f"nics: Not all expected physical devices present: {missing}"), 0)
        return False
    tasks = (node.network, node.online, node.disk, agent.grow, node.swap)
    if more:
        tasks += (maquette_first_boot.units, maquette_first_boot.restarts)
    errors += agent.attempt(tasks, identity, files)
    import maquette_state

    # With errors its next boot is a first one, which may do what could not be done now. Packages and commands come in
    # spite of them, as after a boot.
    maquette_state.write_all(
        identity, files, agent.SOURCE % device, begun, errors, goes_on=more, again=bool(errors)
    )
    before.set_up = True
    if more or not errors:
        node.settle()
    if more and os.path.exists(maquette_first_boot.LEFT):
        maquette_first_boot.finish(identity)
    report = agent.report(identity)
    heard = port.say(report, 0)
    node.afterwards()
    if not heard:
        # The run that woke it is gone; the next one waits for this.
        port.say(report, HEARD)
    return True
