#!/usr/bin/python
"""Ansible module: what a k3s node's configuration depends on and only the host knows; changes nothing."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from ansible.module_utils.aiplat_host import HostProblem, below, run
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: node_facts
short_description: Control group version, nameservers, and where a host's own address is
options:
  address:
    description: "The address of the node, or a name for it; with two families both, with a comma."
    type: str
    required: true
  root: {description: "Where the host's paths begin; other than / in tests only.", type: path, default: /}
author: [aiplat]
"""
EXAMPLES = r"""
- name: What the node's configuration depends on is known
  node_facts: {address: 10.0.0.11}
  register: k3s_server_host
"""
RETURN = r"""
cgroup_v1: {description: "Whether the host runs on version 1 control groups.", type: bool, returned: always}
node_ips: {description: "The node's addresses as numbers.", type: list, returned: always}
interface: {description: "The interface that holds them, for the pod network.", type: str, returned: always}
selinux: {description: "Whether SELinux is enforced and knows k3s' folders.", type: bool, returned: always}
nameservers: {description: "The host's nameservers that pods can reach.", type: list, returned: always}
named_issuer: {description: "Whether lines for the sign-in are in /etc/hosts.", type: bool, returned: always}
"""

LAB = "/etc/aiplat/lab-host"
# What the role k3s_server puts around its line in the host's file of names.
HOSTS, ISSUER = "/etc/hosts", "# BEGIN aiplat: the site's sign-in"
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


def outside_nameservers(root: str) -> list[str]:
    """Return whom pods may ask for outside names: nobody in a lab, which leads nowhere."""
    if below(root, LAB).exists():
        return []
    return next(filter(None, (nameservers(below(root, name)) for name in CANDIDATES)), [])


def selinux(root: str) -> bool:
    """Say whether SELinux is enforced here, with the policy without which k3s would not start under it."""
    enforce = below(root, "/sys/fs/selinux/enforce")
    if not enforce.exists() or enforce.read_text().strip() != "1":
        return False
    policies = below(root, "/var/lib/selinux").glob("*/active/modules/*/k3s")
    return below(root, "/usr/share/selinux/packages/k3s.pp").exists() or any(policies)


def as_number(address: str) -> str:
    """Return an address as a number; a name is looked up on the host.

    Raises:
        HostProblem: the host does not know the name.
    """
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise HostProblem(f"{address} is not known on this host: {error}; use an IP address") from error
    return str(found[0][4][0])


def interface_of(node_ips: list[str]) -> str:
    """Return the interface that holds a node's addresses: flannel takes one for both families.

    Raises:
        HostProblem: none does, or each is on another; with those there are.
    """
    links: list[dict[str, Any]] = json.loads(run(["ip", "-json", "address", "show"]))
    held = [(a.get("local", ""), link["ifname"]) for link in links for a in link.get("addr_info", ())]
    for name in dict.fromkeys(name for _, name in held):
        if {(node_ip, name) for node_ip in node_ips} <= set(held):
            return str(name)
    others = ", ".join(f"{local} on {name}" for local, name in held if name != "lo")
    wanted = " and ".join(node_ips)
    raise HostProblem(f"no interface of this host holds {wanted} (it has {others}); name one it has")


def names_issuer(root: str) -> bool:
    """Say whether aiplat's lines are in the host's file of names."""
    try:
        return ISSUER in below(root, HOSTS).read_text(errors="replace").splitlines()
    except OSError:
        return False


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    root = module.params["root"]
    try:
        node_ips = [as_number(address.strip()) for address in module.params["address"].split(",")]
        interface = interface_of(node_ips)
    except HostProblem as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        node_ips=node_ips,
        interface=interface,
        selinux=selinux(root),
        cgroup_v1=not below(root, "/sys/fs/cgroup/cgroup.controllers").exists(),
        nameservers=outside_nameservers(root),
        named_issuer=names_issuer(root),
    )


if __name__ == "__main__":
    main()
