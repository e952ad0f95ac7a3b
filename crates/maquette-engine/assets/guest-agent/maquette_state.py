"""The state that cloud-init has after a boot, so that `cloud-init status` and who reads its files see one."""

import os
import time

from maquette_agent import CLOUD, ROOT, RUN_CLOUD, link, read, unlink, write


def plain(errors):
    """Only what is printable, so that it is text to JSON and to whoever reads the port."""
    return ["".join(c if " " <= c <= "~" and c not in '"\\' else "." for c in error)[:300] for error in errors]


def write_all(identity, files, source, begun, errors, goes_on=False, again=False):
    """All of it, as after a boot that is done; a first boot that `goes_on` is not. What says that it is done comes last,
    so that one that ends before, or that is to be done `again`, is begun anew at the next start."""
    instance = identity.one("instance")
    done = CLOUD + "/data/instance-id"
    # Whoever waits for it waits for the result.
    if goes_on:
        unlink(done, finished(instance), RUN_CLOUD + "/result.json")
    elif again:
        unlink(done)
    place = f"{CLOUD}/instances/{instance}"
    for name in ("sem", "scripts"):
        os.makedirs(f"{place}/{name}", mode=0o755, exist_ok=True)
    os.chmod(place, 0o755)
    link(place[len(ROOT) :], CLOUD + "/instance")
    write(RUN_CLOUD + "/.instance-id", instance + "\n")
    write(place + "/datasource", f"DataSourceNoCloud: {source}\n")
    write(place + "/user-data.txt", files.get("user-data", ""), 0o600)
    # There is none, but `cloud-init query` reads it.
    write(place + "/vendor-data.txt", "", 0o600)
    now = time.time()
    listed = ", ".join(f'"{error}"' for error in plain(errors))
    stages = ", ".join(
        f'"{stage}": {{"errors": [{listed if stage == "init-local" else ""}], '
        f'"start": {begun:.3f}, "finished": {now:.3f}}}'
        for stage in ("init-local", "init", "modules-config", "modules-final")
    )
    status = f'{{"v1": {{"datasource": "{source}", {stages}, "stage": null}}}}\n'
    result = f'{{"v1": {{"datasource": "{source}", "errors": [{listed}]}}}}\n'
    write(CLOUD + "/data/status.json", status)
    link("../../var/lib/cloud/data/status.json", RUN_CLOUD + "/status.json")
    write(CLOUD + "/data/result.json", result)
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
    if not goes_on:
        conclude(instance, now, again)


def finished(instance):
    return f"{CLOUD}/instances/{instance}/boot-finished"


def conclude(instance, now, again):
    """Says that a boot is done, and the first one with it, unless that is to be done `again`."""
    write(finished(instance), f"{now:.2f} - maquette-agent\n")
    if not again:
        write(CLOUD + "/data/instance-id", instance + "\n")
    link("../../var/lib/cloud/data/result.json", RUN_CLOUD + "/result.json")


def complete(identity, errors):
    """What was postponed is done, or was tried."""
    import json

    now = time.time()
    for name in ("status.json", "result.json"):
        path = f"{CLOUD}/data/{name}"
        state = json.loads(read(path))
        if name == "status.json":
            stage = state["v1"]["modules-final"]
            stage["errors"] += plain(errors)
            stage["finished"] = now
        else:
            state["v1"]["errors"] += plain(errors)
            failed = bool(state["v1"]["errors"])
        write(path, json.dumps(state) + "\n")
    conclude(identity.one("instance"), now, failed)
