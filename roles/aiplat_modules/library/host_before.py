#!/usr/bin/python
"""Ansible module: records, once and before Kubernetes, what it will change and no file says."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

from ansible.module_utils.aiplat_host import HostProblem, below, read_ledger, write_ledger
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_before
short_description: Records kernel settings and nftables tables as they were before Kubernetes
description:
  - Kubernetes sets them itself, so a reset can only put back what stands here.
  - A host on which Kubernetes was installed already is not recorded; its settings are no longer its own.
options:
  site: {description: "Name of the site the host belongs to.", type: str, required: true}
  root: {description: "Where the host's paths begin; other than / in tests only.", type: path, default: /}
author: [aiplat]
"""
EXAMPLES = r"""
- name: What Kubernetes will change is recorded
  host_before: {site: ward-3}
"""
RETURN = r"""
before: {description: "What the ledger has.", type: dict, returned: always}
"""

# What kube-proxy, the port mapping and the kubelet set, and what no file of aiplat's sets.
SYSCTLS = (
    "net.ipv4.conf.all.route_localnet",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.default.forwarding",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "kernel.keys.root_maxbytes",
    "kernel.keys.root_maxkeys",
    "kernel.panic",
    "kernel.panic_on_oops",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
)
KUBERNETES = {"k3s_server", "k3s_agent"}


def sysctls(root: str) -> dict[str, str]:
    """Return the settings that this kernel has."""
    files = {name: below(root, "/proc/sys/" + name.replace(".", "/")) for name in SYSCTLS}
    return {name: path.read_text().strip() for name, path in files.items() if path.exists()}


def tables() -> list[str]:
    """Return the nftables tables, `family name`; none where nft is not there."""
    if not shutil.which("nft"):
        return []
    done = subprocess.run(["nft", "--json", "list", "tables"], capture_output=True, text=True, check=False)
    items = json.loads(done.stdout)["nftables"] if done.returncode == 0 and done.stdout else []
    return sorted(f"{i['table']['family']} {i['table']['name']}" for i in items if "table" in i)


def record(root: str, site: str, check: bool) -> tuple[bool, dict[str, Any]]:
    """Write the record into the ledger where there is none; say whether it was written, and what is there."""
    ledger = read_ledger(root, site)
    if "before" in ledger or KUBERNETES & set(ledger["steps"]):
        return False, ledger.get("before", {})
    ledger["before"] = {"sysctls": sysctls(root), "tables": tables()}
    if not check:
        write_ledger(root, ledger)
    return True, ledger["before"]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "site": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    try:
        changed, before = record(module.params["root"], module.params["site"], module.check_mode)
    except (HostProblem, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, before=before)


if __name__ == "__main__":
    main()
