"""What only templates need: a system that has booted as nobody in particular, whose memory is saved, and which is then
a node, again and again.

    template    when everything has started: waits on the virtio-serial port for the line that wakes it

Everything that is imported, and every page of a program that is read, is so before the memory is saved, and costs a
node nothing. From the line on, each start of a program counts.
"""

import mmap
import os
import re
import select
import shutil
import signal
import sys
import time

import maquette_agent as agent
import maquette_netplan
import maquette_wake
import maquette_grow  # noqa: F401: for later
from maquette_agent import ROOT, STATE, Failed, Identity, read, write
from maquette_hold import Hold
from maquette_systemd import NETWORKD, networks, start_hostnamed

# How long whoever makes the template may take to listen, in seconds.
HEARD = 600
# Memory that stays free while the rest is cleared, and the most that is: booting has used no more, and the hypervisor
# shall not have to have all that a template may use. In bytes.
SPARED = 48 << 20
CLEARED = 1 << 30
# Comes before the boot ID in a page of its own: whoever starts a node from this memory finds out by it what to look for,
# and puts another in place of all 16 bytes that are the same. As text it is in places that nobody changes.
MARK = b"maquette boot id "
# An event that was lost is made up for after this long.
TICK = 30

# Half a line may stand before one.
WAKE = re.compile(rb"(?:wake ([0-9]{18,20}) ([0-9a-f]{128})|still)\r?\Z")
TIME = re.compile(rb"clock ([0-9]{18,20})\r?\Z")
LONGEST = 4096

# What two nodes must not have from one template, and nobody misses: it is made anew when it is needed.
OWN = (
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/NetworkManager/secret_key",
    "var/lib/dhcp",
    "var/lib/dhclient",
    "var/lib/NetworkManager/internal",
    "var/lib/cloud/data/instance-id",
)
# What starts when a node wakes, and what a login takes; libraries are in use, and so in memory. It is read back after
# the page cache was dropped, which is done so that memory has nothing else.
FILES = (
    "lib/systemd/systemd",
    "lib/systemd/systemd-executor",
    "lib/systemd/systemd-journald",
    "lib/systemd/systemd-networkd-wait-online",
    "lib/systemd/systemd-user-runtime-dir",
    "bin/bash",
    "bin/cat",
    "bin/journalctl",
    "bin/ls",
    "bin/sudo",
    "bin/systemctl",
    "bin/systemd-machine-id-setup",
    "bin/udevadm",
    "lib/openssh/sftp-server",
    "lib/udev/scsi_id",
    "libexec/sudo/libsudo_util.so.0",
    "libexec/sudo/sudoers.so",
    "sbin/agetty",
    "sbin/sshd",
)
MODULES = "/usr/lib/x86_64-linux-gnu/security"


# The port. A line may be cut off, be rubbish, and come twice.


class Port:
    """Reading it ends at once while nobody is connected; events tell when somebody is, or writes."""

    def __init__(self, path):
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        if ROOT:
            self.input = os.open(path + ".in", os.O_RDONLY | flags)
            self.output = os.open(path + ".out", os.O_WRONLY | os.O_CREAT | os.O_APPEND | flags, 0o600)
        else:
            self.input = self.output = os.open(path, os.O_RDWR | flags)
        self.rest = b""
        self.hold = None
        self.events = select.epoll()
        # Only changes: otherwise it would be an event all the time that nobody is connected.
        self.events.register(self.input, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)

    def wait_for_wake(self):
        """The time, in ns, and the random bytes of the next line that is one of ours."""
        while True:
            found = self.read(WAKE)
            if found is not None and found[1] is not None:
                return int(found[1]), bytes.fromhex(found[2].decode())
            if found is not None and self.hold is None:
                # Before it is said, since the memory is saved then.
                self.hold = Hold()
                self.say("still\n", HEARD)
            elif self.hold is not None and self.hold.is_forgotten():
                print("nobody has said who this is: everything goes on", file=sys.stderr)
                maquette_wake.forgotten()
                self.let_go()
            elif self.hold is None:
                self.events.poll(TICK)

    def let_go(self):
        """Has other processes go on."""
        if self.hold is not None:
            self.hold.end()
            self.hold = None

    def wait_for_time(self, patience):
        """The time, in ns, in the next line that answers what time it is; nothing where none comes."""
        end = time.monotonic() + patience
        while True:
            found = self.read(TIME)
            left = end - time.monotonic()
            if found is not None or left <= 0:
                return None if found is None else int(found[1])
            self.events.poll(left)

    def read(self, wanted):
        """What was found in the last line that is as wanted; nothing where there is none, and no more to read now."""
        found = None
        while True:
            try:
                data = os.read(self.input, 4096)
            except BlockingIOError:
                return found
            if not data:
                if self.hold is None:
                    # Who wrote half a line is gone.
                    self.rest = b""
                return found
            *lines, self.rest = (self.rest + data).split(b"\n")
            self.rest = self.rest[-LONGEST:]
            for line in lines:
                # The last one has the time that it is.
                found = wanted.search(line) or found

    def say(self, text, patience):
        """Whether somebody was there to hear it."""
        data = text.encode()
        end = time.monotonic() + patience
        while data:
            try:
                data = data[os.write(self.output, data) :]
            except BlockingIOError:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self.events.poll(min(left, TICK))
        return True

    def close(self):
        self.events.close()
        os.close(self.input)


# Before the memory is saved.


def quietly(*command):
    try:
        return agent.run(*command)
    except Failed:
        return None


class Before:
    """What was taken away, and is needed to make a node's own."""

    def __init__(self):
        self.logins = b""
        self.seed = None
        self.reloads = False
        self.netplan = None
        self.accounts = read(agent.MARKER).split()
        self.boot = maquette_wake.known(maquette_wake.BOOT_ID)
        self.uuid = maquette_wake.firmware_id()
        self.macs = maquette_wake.macs()
        own = maquette_wake.known(ROOT + "/etc/machine-id")
        # Which systems do so depends on systemd's version and the kind of virtualisation.
        self.by_firmware = self.uuid is not None and own == self.uuid
        # Whether it is a node, whose first boot nobody may begin anew unnoticed.
        self.set_up = False
        self.page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.page.write(MARK + (self.boot or "").encode())

    def take(self):
        for name in OWN:
            path = f"{ROOT}/{name}"
            if name.endswith("random-seed") and os.path.exists(path):
                self.seed = os.path.getsize(path), os.listxattr(path)
            remove(path)
        agent.no_host_keys()
        # An empty one makes the next boot a first one.
        name = ROOT + "/etc/machine-id"
        if os.path.exists(name):
            write(name, "", like=name)
        wtmp = ROOT + "/var/log/wtmp"
        if os.path.exists(wtmp):
            with open(wtmp, "r+b") as file:
                self.logins = file.read()
                file.truncate(0)


def remove(path):
    """A file, or what is in a directory."""
    if os.path.isdir(path) and not os.path.islink(path):
        for name in os.listdir(path):
            inner = f"{path}/{name}"
            shutil.rmtree(inner) if os.path.isdir(inner) and not os.path.islink(inner) else os.unlink(inner)
    else:
        agent.unlink(path)


def prepare():
    before = Before()
    if not ROOT:
        # Until everything has started.
        quietly("systemctl", "is-system-running", "--wait")
        quietly("udevadm", "settle", "--timeout=30")
    manager, waits = networks()
    if manager != NETWORKD:
        if not ROOT:
            # Before its secrets are taken away: it makes new ones as it starts.
            quietly("systemctl", "restart", manager)
    before.take()
    if manager == NETWORKD:
        # One that has never seen a machine-id can go on with a node's: its name to DHCP servers is made of that.
        before.reloads = bool(ROOT) or quietly("systemctl", "restart", NETWORKD) is not None
    inherit = inherits()
    if not ROOT:
        pretend_online(waits)
        os.sync()
        # Not what is known of files, which is small and takes many reads.
        with open("/proc/sys/vm/drop_caches", "w", encoding="utf-8") as file:
            file.write("1")
        read_back(before)
        clear_memory()
    if inherit:
        write(maquette_wake.INHERITS, "")
    start_hostnamed()
    # The last, since whoever says something after it has it made anew.
    maquette_wake.forget_journals("")
    os.sync()
    return before


def pretend_online(unit):
    """Has what waits for the network end as it does in a node, which has not to start it then: there is no network."""
    place = f"/run/systemd/system/{unit}.d"
    write(place + "/zz-template.conf", "[Unit]\nConditionPathExists=\n[Service]\nExecStart=\nExecStart=/bin/true\n")
    quietly("systemctl", "daemon-reload")
    quietly("systemctl", "start", unit)
    shutil.rmtree(place)
    quietly("systemctl", "daemon-reload")


def inherits():
    """Whether systemd-sysctl has nothing to do for a NIC, since the kernel gives it what is set for `default`, and nobody
    else has udev run something for it: our rule clears that, too."""
    try:
        return all(as_default(*line) for line in sysctls()) and not any(runs_for_nics(*rules) for rules in configured("udev/rules.d"))
    except (OSError, ValueError):
        return False


def configured(directory, ending=""):
    """The names and texts of files that a program has read from all places where such are."""
    for place in ("/etc", "/run", "/usr/local/lib", "/usr/lib"):
        place = f"{ROOT}{place}/{directory}"
        for name in os.listdir(place) if os.path.isdir(place) else []:
            if name.endswith(ending):
                yield name, read(f"{place}/{name}")


def runs_for_nics(name, text):
    # systemd's own runs systemd-sysctl, and ours has it not run.
    own = name in ("99-systemd.rules", "99-zz-maquette.rules")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return not own and any("RUN" in line for line in lines) and any('"net"' in line for line in lines)


def sysctls():
    """The names and values that the system sets; no value for what it leaves alone."""
    for _, text in configured("sysctl.d", ".conf"):
        for line in text.splitlines():
            name, equals, value = line.strip().partition("=")
            if name and name[0] not in "#;":
                yield name.strip().lstrip("-"), value.strip() if equals else None


def as_default(name, value):
    # What comes first, a dot or a slash, is what parts the name.
    slash, dot = name.find("/"), name.find(".")
    parts = name.split("/" if slash >= 0 and (dot < 0 or slash < dot) else ".")
    if any("*" in part or "?" in part or "[" in part for part in parts[:3]):
        return False
    if parts[0] != "net" or parts[2:3] not in (["conf"], ["neigh"]) or parts[3:4] in (["all"], ["default"]):
        return True
    place = f"{ROOT}/proc/sys/{'/'.join([*parts[:3], 'default', *parts[4:]])}"
    return parts[3:4] == ["*"] and value is not None and os.path.exists(place) and read(place).split() == value.split()


def clear_memory():
    """Pages that nobody has are not saved if there are only zeros in them."""
    try:
        size = clearable(read("/proc/meminfo"), read("/proc/sys/vm/min_free_kbytes"))
        if size > 0:
            mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()
    except (OSError, ValueError) as error:
        # The image is larger, and as good.
        print(f"memory is not cleared: {error}", file=sys.stderr)


def clearable(memory, reserve):
    """How much can be taken, in bytes, without the kernel giving up pages that were read: it begins to below twice its
    reserve, which is in KiB."""
    free = next(int(line.split()[1]) for line in memory.splitlines() if line.startswith("MemFree:"))
    return min((free << 10) - SPARED - (2 * int(reserve) << 10), CLEARED)


def read_back(before):
    place = STATE + "/try"
    text = "network:\n" + "".join(f"    {line}\n" for line in maquette_netplan.SAMPLE.splitlines())
    write(place + "/etc/netplan/50-cloud-init.yaml", text, 0o600)
    for program in agent.NETPLAN:
        if os.path.exists(program):
            quietly(program, "--root-dir", place)
            break
    before.netplan = None if agent.renderer() else maquette_netplan.compare(place)
    shutil.rmtree(place)
    modules = os.listdir(MODULES) if os.path.isdir(MODULES) else []
    for path in [f"/usr/{name}" for name in FILES] + [f"{MODULES}/{name}" for name in modules]:
        if os.path.isfile(path):
            with open(path, "rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass


def leave(number, _frame):
    """Ends one that is shut down before it is anybody. systemd keeps random numbers of it for its next boot: no
    other node shall have those. What only this machine has is its UUID, and what it has met since it runs."""
    maquette_wake.forgotten()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def template():
    signal.signal(signal.SIGTERM, leave)
    port = Port(agent.port(Identity(read(STATE + "/identity"))))
    try:
        before = prepare()
    except Exception as error:
        port.say(maquette_wake.failed(f"template: {type(error).__name__}: {error}"), HEARD)
        raise
    # Whoever makes the template waits for it, and takes the seed away.
    port.say("template\n", HEARD)
    while not maquette_wake.wake(port, before, *port.wait_for_wake()):
        pass
    port.close()
    maquette_wake.note_kernel()
