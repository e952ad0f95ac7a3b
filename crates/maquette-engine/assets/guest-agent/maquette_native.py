"""The network of a node whose system has no netplan: files of systemd-networkd's own, or key files of NetworkManager's,
named as cloud-init names its own. Which of them says what is in the seed's network file."""

import maquette_netplan
from maquette_agent import ROOT, Failed, unlink, write

LINKS = "/etc/systemd/network/10-cloud-init-"
KEYS = "/etc/NetworkManager/system-connections/cloud-init-"


def made(config, for_manager):
    """Files by their paths, each as text and mode; nothing where there is something unknown in the network."""
    nics = maquette_netplan.blocks(config)
    if nics is None:
        return None
    files = {}
    for nic in nics:
        name = nic["name"]
        # udev gives the name, whoever manages the network.
        mtu = f"MTUBytes={nic['mtu']}\n" if "mtu" in nic else ""
        match = f"[Match]\nPermanentMACAddress={nic['mac']}\n"
        files[f"{LINKS}{name}.link"] = f"{match}\n[Link]\nName={name}\n{mtu}", 0o644
        if for_manager:
            # Others' files it does not read: there may be secrets in it.
            files[f"{KEYS}{name}.nmconnection"] = key_file(nic), 0o600
        else:
            files[f"{LINKS}{name}.network"] = match + maquette_netplan.network(nic, mtu), 0o644
    return files


def key_file(nic):
    """A connection of NetworkManager's, found by the NIC's MAC (nm-settings-keyfile(5))."""
    addresses = maquette_netplan.addresses(nic)
    fours = [address for address in addresses if ":" not in address]
    sixes = [address for address in addresses if ":" in address]
    text = f"[connection]\nid=cloud-init {nic['name']}\ntype=ethernet\n"
    text += f"\n[ethernet]\nmac-address={nic['mac']}\n" + (f"mtu={nic['mtu']}\n" if "mtu" in nic else "")
    four = "auto" if nic["dhcp4"] == "true" else "manual" if fours else "disabled"
    server = nic.get("server", "")
    text += f"\n[ipv4]\nmethod={four}\n" + numbered(fours)
    text += f"gateway={nic['route']}\n" if "route" in nic else ""
    text += f"dns={server};\n" if server and ":" not in server else ""
    # As networkd: what routers say counts beside addresses that are given, unless it shall not.
    six = "auto" if "ra" not in nic else "manual" if sixes else "link-local"
    text += f"\n[ipv6]\nmethod={six}\n" + numbered(sixes)
    return text + (f"dns={server};\n" if ":" in server else "")


def numbered(addresses):
    return "".join(f"address{number}={address}\n" for number, address in enumerate(addresses, 1))


def write_files(config, for_manager):
    files = made(config, for_manager)
    if files is None:
        raise Failed("there is no netplan in this image, and its network has something that only netplan knows")
    for path, (text, mode) in files.items():
        # One that is there may be somebody else's to read.
        unlink(ROOT + path)
        write(ROOT + path, text, mode)
