"""What netplan makes of a seed's network file, without it: starting it takes an emulated guest half a second.

The template has netplan make files of a sample with all that seeds have, and compares: only where these are the same
does a node get its files from here. Until its next boot, that is: then they are netplan's.
"""

import os
import re

NETWORK = "/run/systemd/network/10-netplan-"
RULES = "/run/udev/rules.d/"
# Of the sample, and the same for all networks.
OVS = ("/run/systemd/system/netplan-ovs-cleanup.service", "/run/systemd/system/systemd-networkd.service.wants")

SAMPLE = """version: 2
ethernets:
  eth0:
    match: {macaddress: "52:54:00:00:00:01"}
    set-name: eth0
    dhcp4: false
    dhcp6: false
    addresses: ["192.0.2.10/24"]
    routes: [{to: 0.0.0.0/0, via: 192.0.2.1}]
    nameservers: {addresses: [192.0.2.1]}
    accept-ra: false
    optional: true
    mtu: 1400
  eth1:
    match: {macaddress: "52:54:00:00:00:02"}
    set-name: eth1
    dhcp4: true
    dhcp6: false
    addresses: ["2001:db8::5/64"]
    nameservers: {addresses: [192.0.2.1]}
    mtu: 1400
  eth2:
    match: {macaddress: "52:54:00:00:00:03"}
    set-name: eth2
    dhcp4: false
    dhcp6: false
    addresses: ["192.0.2.11/24", "2001:db8::6/64"]
  eth10:
    match: {macaddress: "52:54:00:00:00:0f"}
    set-name: eth10
    dhcp4: true
    dhcp6: false
    accept-ra: false
    optional: true
"""

LINES = (
    ("mac", re.compile(r'match: \{macaddress: "([0-9a-f:]{17})"\}')),
    ("name", re.compile(r"set-name: ([a-z0-9]+)")),
    ("dhcp4", re.compile("dhcp4: (true|false)")),
    ("dhcp6", re.compile("dhcp6: (false)")),
    ("addresses", re.compile(r"addresses: \[([^\[\]]+)\]")),
    ("route", re.compile(r"routes: \[\{to: 0\.0\.0\.0/0, via: ([0-9.]+)\}\]")),
    ("server", re.compile(r"nameservers: \{addresses: \[([0-9a-f.:]+)\]\}")),
    ("ra", re.compile("accept-ra: (false)")),
    ("optional", re.compile("optional: (true)")),
    ("mtu", re.compile("mtu: ([0-9]+)")),
)


def blocks(config):
    """The NICs of a network file that has nothing but what is known here; else nothing."""
    head, *lines = config.split("\n")
    if head != "version: 2" or lines[:1] != ["ethernets:"]:
        return None
    found = []
    for line in lines[1:]:
        if re.fullmatch(r"  [a-z0-9]+:", line):
            found.append({"id": line[2:-1]})
        elif line:
            known = [(key, match[1]) for key, each in LINES if (match := each.fullmatch(line[4:]))]
            if not line.startswith("    ") or not found or len(known) != 1 or known[0][0] in found[-1]:
                return None
            found[-1].update(known)
    complete = all({"mac", "dhcp4", "dhcp6"} <= set(nic) and nic.get("name") == nic["id"] for nic in found)
    return found if complete and found else None


def addresses(nic):
    return [address.strip('"') for address in nic["addresses"].split(", ")] if "addresses" in nic else []


def network(nic, mtu):
    """What networkd is told of a NIC, after what it finds it by."""
    link = ("RequiredForOnline=no\n" if "optional" in nic else "") + mtu
    text = "\n" + (f"[Link]\n{link}\n" if link else "") + "[Network]\n"
    text += ("DHCP=ipv4\n" if nic["dhcp4"] == "true" else "") + "LinkLocalAddressing=ipv6\n"
    text += "".join(f"Address={address}\n" for address in addresses(nic))
    text += ("IPv6AcceptRA=no\n" if "ra" in nic else "") + (f"DNS={nic['server']}\n" if "server" in nic else "")
    text += f"\n[Route]\nDestination=0.0.0.0/0\nGateway={nic['route']}\n" if "route" in nic else ""
    return text + ("\n[DHCP]\nRouteMetric=100\nUseMTU=true\n" if nic["dhcp4"] == "true" else "")


def made(config):
    """Files by their paths."""
    nics = blocks(config)
    if nics is None:
        return None
    files, denied = {}, ""
    for nic in nics:
        name, mac = nic["name"], nic["mac"]
        mtu = f"MTUBytes={nic['mtu']}\n" if "mtu" in nic else ""
        match = f"[Match]\nPermanentMACAddress={mac}\n"
        files[f"{NETWORK}{name}.link"] = f"{match}\n[Link]\nName={name}\nWakeOnLan=off\n{mtu}"
        files[f"{NETWORK}{name}.network"] = f"{match}Name={name}\n" + network(nic, mtu)
        files[f"{RULES}99-netplan-{name}.rules"] = (
            f'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{mac}", NAME="{name}"\n'
        )
        event = 'SUBSYSTEM=="net", ACTION=="add|change|move", '
        denied += f"# netplan: network.ethernets.{name} (on NetworkManager deny-list)\n"
        denied += f'{event}ENV{{ID_NET_NAME}}=="{name}", ENV{{NM_UNMANAGED}}="1"\n'
        denied += f'{event}ATTR{{address}}=="{mac}", ENV{{NM_UNMANAGED}}="1"\n'
    files[RULES + "90-netplan.rules"] = denied
    return files


def compare(root):
    """What netplan made of the sample in `root` beside what is made here; nothing if that differs."""
    found = {}
    for here, _, names in os.walk(root + "/run"):
        for name in names:
            path = f"{here}/{name}"
            if os.path.islink(path):
                found[path[len(root) :]] = (os.readlink(path),)
            else:
                with open(path, encoding="utf-8") as file:
                    found[path[len(root) :]] = file.read()
    sample = made(SAMPLE)
    rest = {path: text for path, text in found.items() if path not in sample}
    same = all(found.get(path) == text for path, text in sample.items())
    return rest if same and all(path.startswith(OVS) for path in rest) else None
