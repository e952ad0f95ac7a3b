# SPDX-License-Identifier: Apache-2.0
"""An inventory source: the nodes of an environment of Maquette's."""

from __future__ import annotations

DOCUMENTATION = """
name: maquette
short_description: Nodes of an environment that Maquette built
version_added: 0.1.0
author: Maquette's authors
description:
  - Asks C(maquette inventory) which nodes an environment has, and how they are logged in to.
  - The source is a file whose name ends in C(.maquette.yml) or C(.maquette.yaml). Maquette runs in its directory, so that a
    C(maquette.yaml) there says which environment is meant.
extends_documentation_fragment:
  - constructed
requirements:
  - The program C(maquette) on the machine that Ansible runs on.
options:
  plugin:
    description: Says that the file is for this plug-in.
    type: str
    required: true
    choices: [maquette.libvirt.maquette]
  executable:
    description: The program, by its name in E(PATH) or by its path.
    type: str
    default: maquette
  prefix:
    description: Prefix of the environment.
    type: str
  project:
    description: Project file, relative to the directory of the source.
    type: str
  workspace:
    description: Directory with the environment's key and known hosts, relative to the directory of the source.
    type: str
  host_address:
    description: Hypervisor, as C(ssh) knows it.
    type: str
  host_user:
    description: SSH user on the hypervisor.
    type: str
  host_key:
    description: Private key for the hypervisor.
    type: str
  everything:
    description: Whether nodes without an operating system, the hypervisor and C(localhost) are in the inventory, too.
    type: bool
    default: false
  timeout:
    description: How long the hypervisor may take to answer, in seconds.
    type: int
    default: 120
"""

EXAMPLES = """
# lab.maquette.yml: the environment with the prefix `lab` on this machine
plugin: maquette.libvirt.maquette
prefix: lab

# far.maquette.yml: one on another machine, with a group for each user that nodes are logged in to as
plugin: maquette.libvirt.maquette
host_address: hv1.example.com
keyed_groups:
  - key: ansible_user
    prefix: user
"""

import json
import os
import subprocess
import sys

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable

# Options of ours that `maquette` has, too.
FLAGS = ("prefix", "project", "workspace", "host_address", "host_user", "host_key")

# What Maquette writes for the Python that Ansible runs with.
LOCAL_PYTHON = "{{ ansible_playbook_python }}"


class InventoryModule(BaseInventoryPlugin, Constructable):
    """Reads what `maquette inventory --list` prints."""

    NAME = "maquette.libvirt.maquette"

    def verify_file(self, path):
        """Whether a source is ours, by its name: the project file `maquette.yaml` is not."""
        ours = os.path.basename(path).endswith((".maquette.yml", ".maquette.yaml"))
        return ours and super().verify_file(path)

    def parse(self, inventory, loader, path, cache=True):
        """Fills the inventory."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        found = self._ask(os.path.dirname(os.path.abspath(path)))
        hosts = found.get("_meta", {}).get("hostvars", {})
        for name, variables in hosts.items():
            self.inventory.add_host(name)
            for key, value in variables.items():
                # It is no template here: values of an inventory plug-in are not trusted to be one.
                value = sys.executable if value == LOCAL_PYTHON else value
                self.inventory.set_variable(name, key, value)
        for name, group in found.items():
            if name in ("_meta", "all", "ungrouped"):
                continue
            known = self.inventory.add_group(name)
            for host in group.get("hosts", []):
                # Not `add_child`: it takes a name that a group has, too, for the group.
                self.inventory.add_host(host, group=known)
        strict = self.get_option("strict")
        for name in hosts:
            variables = self.inventory.get_host(name).get_vars()
            self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
            self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
            self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)

    def _ask(self, directory):
        """What Maquette knows, as its JSON says it."""
        command = [self.get_option("executable"), "inventory", "--list"]
        if self.get_option("everything"):
            command.append("--everything")
        for option in FLAGS:
            value = self.get_option(option)
            if value is not None:
                command.append("--{}={}".format(option.replace("_", "-"), value))
        limit = self.get_option("timeout")
        try:
            done = subprocess.run(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=limit,
                check=False,
            )
        except OSError as error:
            raise AnsibleParserError("cannot run `{}`: {}".format(command[0], error)) from error
        except subprocess.TimeoutExpired as error:
            raise AnsibleParserError("`maquette inventory` did not answer within {} s".format(limit)) from error
        if done.returncode != 0:
            said = done.stderr.strip() or "it ended with status {}".format(done.returncode)
            raise AnsibleParserError("`maquette inventory` failed: {}".format(said))
        for line in done.stderr.strip().splitlines():
            self.display.warning(line.removeprefix("warning: "))
        try:
            return json.loads(done.stdout)
        except ValueError as error:
            raise AnsibleParserError("`maquette inventory` printed no JSON: {}".format(error)) from error
