"""systemd, asked over D-Bus: only the way from a template to a node needs that, and starts no programs for it."""

import os
import socket
import struct
import time

import maquette_agent as agent
from maquette_agent import ROOT, Failed

SLOW = 120
NETWORKD = "systemd-networkd.service"
# What can manage the network, and what waits for it. The first that is enabled does.
NETWORKS = (
    (NETWORKD, "systemd-networkd-wait-online.service"),
    ("NetworkManager.service", "NetworkManager-wait-online.service"),
)
SSH = ("ssh.service", "sshd.service")


class Bus:
    """D-Bus's protocol, as far as calls with texts and answers go."""

    def __init__(self, path):
        self.serial = 0
        self.data = b""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.socket.settimeout(SLOW)
        self.socket.connect(path)
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\nBEGIN\r\n")
        while b"\r\n" not in self.data:
            self.receive()
        said, self.data = self.data.split(b"\r\n", 1)
        if not said.startswith(b"OK "):
            raise Failed(f"{path}: not let in")

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise Failed("the bus has hung up")
        self.data += data

    def call(self, to, path, interface, method, *texts):
        """The first text of the answer; an error is in the other side's words."""

        def text(value):
            return struct.pack("<I", len(value)) + value.encode() + b"\0"

        def pad(data, to):
            return data + bytes(-len(data) % to)

        self.serial += 1
        fields = b""
        for code, kind, value in ((1, "o", path), (2, "s", interface), (3, "s", method), (6, "s", to)):
            fields = pad(fields, 8) + struct.pack("<BBcB", code, 1, kind.encode(), 0) + text(value)
        if texts:
            signature = b"s" * len(texts)
            fields = pad(fields, 8) + b"\x08\x01g\0" + bytes([len(signature)]) + signature + b"\0"
        body = b""
        for value in texts:
            body = pad(body, 4) + text(value)
        head = struct.pack("<cBBBIII", b"l", 1, 0, 1, len(body), self.serial, len(fields))
        self.socket.sendall(pad(head + fields, 8) + body)
        while True:
            kind, fields, body = self.message()
            # An answer, or an error, to this one.
            if kind in (2, 3) and struct.pack("<BBcBI", 5, 1, b"u", 0, self.serial) in fields:
                size = struct.unpack_from("<I", body)[0] if len(body) > 4 else 0
                words = body[4 : 4 + size].decode()
                if kind == 3:
                    raise Failed(f"{method}: {words}")
                return words

    def message(self):
        while True:
            if len(self.data) >= 16:
                kind, body, _, fields = struct.unpack_from("<xBxxIII", self.data)
                begin = 16 + fields + -fields % 8
                if len(self.data) >= begin + body:
                    message = kind, self.data[16 : 16 + fields], self.data[begin : begin + body]
                    self.data = self.data[begin + body :]
                    return message
            self.receive()


class Systemd(Bus):
    """Its manager, at its own socket, as `systemctl`."""

    def __init__(self):
        super().__init__(ROOT + "/run/systemd/private")
        self.jobs = {}

    def order(self, method, unit):
        """Has a job queued."""
        manager = "org.freedesktop.systemd1"
        job = self.call(manager, "/org/freedesktop/systemd1", manager + ".Manager", method, unit, "replace")
        self.jobs[job] = unit

    def message(self):
        kind, fields, body = super().message()
        if kind == 4 and b"\0JobRemoved\0" in fields:
            # Its number, then its path.
            size = struct.unpack_from("<I", body, 4)[0]
            self.jobs.pop(body[8 : 8 + size].decode(), None)
        return kind, fields, body

    def wait(self, units, seconds):
        """Until nothing is to be done any more for these."""
        end = time.monotonic() + seconds
        while any(unit in units for unit in self.jobs.values()):
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            self.message()


class Systemctl:
    """The same by its command."""

    def __init__(self):
        self.jobs = {}

    def order(self, method, unit):
        verb = method.removesuffix("Unit").lower()
        if ROOT:
            ordered(f"{verb} {unit}")
        else:
            agent.run("systemctl", "--no-block", verb, unit)
            self.jobs[unit] = verb

    def wait(self, units, _seconds):
        # A second order for the same waits for the first.
        for unit in set(units) & set(self.jobs):
            agent.run("systemctl", "start", unit)


def ordered(text):
    """What tests see of it."""
    with open(ROOT + "/orders", "a", encoding="utf-8") as file:
        file.write(text + "\n")


def systemd():
    try:
        return Systemd()
    except (OSError, Failed):
        return Systemctl()


def reload_network():
    """Has networkd read its files again, which is a tenth of a start; whether it did."""
    if ROOT:
        ordered(f"reload {NETWORKD}")
        return True
    name = "org.freedesktop.network1"
    return asked(name, "/org/freedesktop/network1", name + ".Manager", "Reload")


def start_hostnamed():
    """Who manages the network asks it for the host's name. It is started by being asked, and ends half a minute later."""
    if ROOT:
        ordered("start systemd-hostnamed.service")
    else:
        asked("org.freedesktop.hostname1", "/org/freedesktop/hostname1", "org.freedesktop.DBus.Peer", "Ping")


def asked(name, path, interface, method):
    """Whether somebody on the system's bus did what was asked."""
    try:
        bus = Bus("/run/dbus/system_bus_socket")
        with bus.socket:
            bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
            bus.call(name, path, interface, method)
    except (OSError, Failed):
        return False
    return True


def enabled(unit):
    place = ROOT + "/etc/systemd/system"
    return any(os.path.lexists(f"{place}/{target}.wants/{unit}") for target in ("multi-user.target", "network.target"))


def networks():
    """What manages the network in this system, and what waits for it."""
    return next((units for units in NETWORKS if enabled(units[0])), NETWORKS[0])


def waits_for_network(unit):
    return os.path.lexists(f"{ROOT}/etc/systemd/system/network-online.target.wants/{unit}")
