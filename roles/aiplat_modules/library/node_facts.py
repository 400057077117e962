#!/usr/bin/python
"""Ansible module: what a k3s node's configuration depends on and only the host knows; changes nothing."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.aiplat_host import below
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: node_facts
short_description: Control group version and nameservers of a host
options:
  root: {description: "Where the host's paths begin; other than / in tests only.", type: path, default: /}
author: [aiplat]
"""
EXAMPLES = r"""
- name: What the node's configuration depends on is known
  node_facts:
  register: k3s_server_host
"""
RETURN = r"""
cgroup_v1: {description: "Whether the host runs on version 1 control groups.", type: bool, returned: always}
nameservers: {description: "The host's nameservers that pods can reach.", type: list, returned: always}
"""

# Where systemd-resolved runs, /etc/resolv.conf names a loopback address that pods cannot reach.
CANDIDATES = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")


def nameservers(path: Path) -> list[str]:
    """Return the nameservers of a resolver file that are not on loopback."""
    try:
        lines = [line.split() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return []
    servers = [fields[1] for fields in lines if len(fields) > 1 and fields[0] == "nameserver"]
    return [server for server in servers if not server.startswith("127.") and server != "::1"]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec={"root": {"type": "path", "default": "/"}}, supports_check_mode=True)
    root = module.params["root"]
    module.exit_json(
        changed=False,
        cgroup_v1=not below(root, "/sys/fs/cgroup/cgroup.controllers").exists(),
        nameservers=next(filter(None, (nameservers(below(root, name)) for name in CANDIDATES)), []),
    )


if __name__ == "__main__":
    main()
