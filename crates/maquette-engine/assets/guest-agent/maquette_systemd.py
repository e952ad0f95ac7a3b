"""systemd's manager, asked for jobs; only the way from a template to a node needs that."""

import os
import socket
import struct
import time

import maquette_agent as agent
from maquette_agent import ROOT, Failed

SLOW = 120
# What can manage the network, and what waits for it. The first that is enabled does.
NETWORKS = (
    ("systemd-networkd.service", "systemd-networkd-wait-online.service"),
    ("NetworkManager.service", "NetworkManager-wait-online.service"),
)
SSH = ("ssh.service", "sshd.service")


class Systemd:
    """Its manager, at its own socket, in D-Bus's words: as `systemctl`, without a start of that."""

    def __init__(self):
        self.serial = 0
        self.jobs = {}
        self.data = b""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.socket.settimeout(SLOW)
        self.socket.connect("/run/systemd/private")
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\nBEGIN\r\n")
        while b"\r\n" not in self.data:
            self.receive()
        said, self.data = self.data.split(b"\r\n", 1)
        if not said.startswith(b"OK "):
            raise Failed("systemd does not let us in")

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise Failed("systemd has hung up")
        self.data += data

    def order(self, method, unit):
        """Has a job queued; an error is systemd's words."""

        def text(value):
            return struct.pack("<I", len(value)) + value.encode() + b"\0"

        def pad(data, to):
            return data + bytes(-len(data) % to)

        self.serial += 1
        fields = b""
        for code, kind, value in (
            (1, "o", "/org/freedesktop/systemd1"),
            (2, "s", "org.freedesktop.systemd1.Manager"),
            (3, "s", method),
            (6, "s", "org.freedesktop.systemd1"),
        ):
            fields = pad(fields, 8) + struct.pack("<BBcB", code, 1, kind.encode(), 0) + text(value)
        fields = pad(fields, 8) + b"\x08\x01g\0\x02ss\0"
        body = pad(text(unit), 4) + text("replace")
        head = struct.pack("<cBBBIII", b"l", 1, 0, 1, len(body), self.serial, len(fields))
        self.socket.sendall(pad(head + fields, 8) + body)
        while True:
            kind, fields, body = self.message()
            if kind in (2, 3) and struct.pack("<BBcBI", 5, 1, b"u", 0, self.serial) in fields:
                size = struct.unpack_from("<I", body)[0] if len(body) > 4 else 0
                words = body[4 : 4 + size].decode()
                if kind == 3:
                    raise Failed(f"{unit}: {words}")
                self.jobs[words] = unit
                return

    def message(self):
        while True:
            if len(self.data) >= 16:
                kind, body, _, fields = struct.unpack_from("<xBxxIII", self.data)
                begin = 16 + fields + -fields % 8
                if len(self.data) >= begin + body:
                    message = kind, self.data[16 : 16 + fields], self.data[begin : begin + body]
                    self.data = self.data[begin + body :]
                    if kind == 4 and b"\0JobRemoved\0" in message[1]:
                        # Its number, then its path.
                        size = struct.unpack_from("<I", message[2], 4)[0]
                        self.jobs.pop(message[2][8 : 8 + size].decode(), None)
                    return message
            self.receive()

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
            with open(ROOT + "/orders", "a", encoding="utf-8") as file:
                file.write(f"{verb} {unit}\n")
        else:
            agent.run("systemctl", "--no-block", verb, unit)
            self.jobs[unit] = verb

    def wait(self, units, _seconds):
        # A second order for the same waits for the first.
        for unit in set(units) & set(self.jobs):
            agent.run("systemctl", "start", unit)


def systemd():
    try:
        return Systemctl() if ROOT else Systemd()
    except (OSError, Failed):
        return Systemctl()


def enabled(unit):
    place = ROOT + "/etc/systemd/system"
    return any(os.path.lexists(f"{place}/{target}.wants/{unit}") for target in ("multi-user.target", "network.target"))


def networks():
    """What manages the network in this system, and what waits for it."""
    return next((units for units in NETWORKS if enabled(units[0])), NETWORKS[0])


def waits_for_network(unit):
    return os.path.lexists(f"{ROOT}/etc/systemd/system/network-online.target.wants/{unit}")
