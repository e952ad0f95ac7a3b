"""Files, packages and commands that a node's first boot has besides the node itself: as cloud-init's `write_files`,
`packages` and `runcmd`."""

import json
import os

import maquette_agent as agent
import maquette_state
from maquette_agent import ROOT, STATE, Failed, account, read, write

# There until all of it is done; nobody but root may read it.
LEFT = STATE + "/first-boot.json"
# Where cloud-init has what programs say that it runs.
LOG = ROOT + "/var/log/cloud-init-output.log"
SCRIPT = STATE + "/commands"
# Each installs what is named after it; the first that is there does.
MANAGERS = (
    (("apt-get", "-q", "update"), ("apt-get", "-q", "-y", "-o", "Dpkg::Options::=--force-confold", "install", "--")),
    (None, ("dnf", "-q", "-y", "install", "--")),
    (None, ("zypper", "-n", "install", "--")),
)
# Where files are that somebody has read before they are written.
SETTINGS = ("/etc/sysctl.conf", "/etc/sysctl.d/", "/usr/local/lib/sysctl.d/", "/usr/lib/sysctl.d/", "/lib/sysctl.d/")
UNITS = ("/etc/systemd/system/", "/usr/local/lib/systemd/system/", "/usr/lib/systemd/system/", "/lib/systemd/system/")
PATHS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def files(_identity, found):
    """Writes files, as long as no service has started, and keeps the rest for later."""
    # What fails here keeps nothing else from being done.
    write(LEFT, found["first-boot"], 0o600)
    wanted = json.loads(found["first-boot"])
    for file in wanted["files"]:
        path = ROOT + file["path"]
        write(path, file["content"], 0o600)
        if file["owner"]:
            user, group = ids(file["owner"])
            os.chown(path, user, group)
        # Last: another owner takes some of it away.
        os.chmod(path, file["mode"])
    if has(wanted, SETTINGS):
        # A NIC that comes from now on has them, too: see nic.rules.
        agent.unlink(STATE + "/inherits")
        start("/usr/lib/systemd/systemd-sysctl")


def units(_identity, _files):
    """Has systemd know units that it would have found if they had been there from the start; it reads fstab, too."""
    if has(json.loads(read(LEFT)), UNITS):
        start("systemctl", "daemon-reload")


def restarts(_identity, _files):
    """Has what runs already run as its unit says now; what does not run is not started."""
    paths = [file["path"] for file in json.loads(read(LEFT))["files"]]
    found = [path[len(place) :].split("/") for path in paths for place in UNITS if path.startswith(place)]
    # A unit's own file, or one in the directory beside it.
    names = [parts[0].removesuffix(".d") for parts in found if len(parts) == 1 or parts[0].endswith(".d")]
    # Instances of a template unit are found by a pattern.
    units = list(dict.fromkeys(name.replace("@.", "@*.") for name in names if "." in name))
    if units:
        # Nobody waits: one that is to start after the agent would wait for that.
        start("systemctl", "--no-block", "try-restart", "--", *units)


def has(wanted, places):
    return any(file["path"].startswith(places) for file in wanted["files"])


def start(*command):
    if ROOT:
        from maquette_systemd import ordered

        ordered(" ".join(command))
    else:
        agent.run(*command)


def ids(owner):
    """The numbers of a user, and of a group; the group stays as it is where there is none."""
    name, _, group = owner.partition(":")
    found = account(name)
    if found is None:
        raise Failed(f"there is no account `{name}`")
    return found[0], number(group) if group else -1


def number(group):
    for line in read(ROOT + "/etc/group").splitlines():
        fields = line.split(":")
        if fields[0] == group and len(fields) > 2:
            return int(fields[2])
    raise Failed(f"there is no group `{group}`")


def packages(_identity, _files):
    names = json.loads(read(LEFT))["packages"]
    if not names:
        return
    for before, install in MANAGERS:
        if any(os.path.exists(f"{ROOT}{place}/{install[0]}") for place in PATHS):
            if before is not None:
                run(*before)
            run(*install, *names)
            return
    raise Failed("there is no package manager that is known here")


def commands(_identity, _files):
    listed = json.loads(read(LEFT))["commands"]
    if listed:
        write(SCRIPT, "".join(f"{line}\n" for line in ["set -e", *listed]), 0o700)
        try:
            run("/bin/sh", SCRIPT)
        finally:
            # There may be passwords in it, which no copy of the disk is to have.
            os.unlink(SCRIPT)


def run(*command):
    """Runs a program whose output goes to the log; when it fails, its last line there is the error's words."""
    environment = {"PATH": ":".join(PATHS), "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    os.makedirs(os.path.dirname(LOG), exist_ok=True)
    log = os.open(LOG, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        # As cloud-init has it, where there are people who may read logs.
        os.fchown(log, -1, number("adm"))
    except (OSError, Failed):
        pass
    nothing = os.open("/dev/null", os.O_RDONLY)
    try:
        begun = os.lseek(log, 0, os.SEEK_END)
        actions = [(os.POSIX_SPAWN_DUP2, nothing, 0), (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
        try:
            child = os.posix_spawnp(command[0], command, environment, file_actions=actions)
        except OSError as error:
            raise Failed(f"{command[0]}: {error.strerror}") from None
        _, status = os.waitpid(child, 0)
        if status:
            size = os.lseek(log, 0, os.SEEK_END)
            said = os.pread(log, 4096, max(begun, size - 4096)).decode("utf-8", "replace").strip()
            last = said.splitlines()[-1] if said else "it says nothing"
            raise Failed(f"{command[0]} ended with status {os.waitstatus_to_exitcode(status)}: {last}")
    finally:
        os.close(nothing)
        os.close(log)


def finish(identity):
    """What needs the network. Its errors, which are in cloud-init's state, too."""
    errors = agent.attempt((packages, commands), identity, {})
    maquette_state.complete(identity, errors)
    os.unlink(LEFT)
    return errors
