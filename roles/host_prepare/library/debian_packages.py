#!/usr/bin/python
"""Ansible module: Debian packages from staged blobs are installed, without any network."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from ansible.module_utils.aiplat_host import HostProblem, blob, read_ledger, run, sha256_of, write_ledger
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: debian_packages
short_description: Debian packages from staged blobs, installed without network
description:
  - A package that the host has in this or a newer version is left alone and stays the host's own.
  - What is going to be installed is recorded in the ledger first, so that a reset after a kill knows it.
options:
  site: {description: "Name of the site the host belongs to.", type: str, required: true}
  packages:
    description: "Packages, each with name, version and digest of its .deb file."
    type: list
    elements: dict
    default: []
author: [aiplat]
"""
EXAMPLES = r"""
- name: The packages are installed
  debian_packages: {site: ward-3, packages: [{name: conntrack, version: "1:1.2.3-1", digest: "sha256:…"}]}
"""
RETURN = r"""
installed: {description: "Packages installed now.", type: list, returned: always}
ours: {description: "Packages that aiplat installed here, now or earlier.", type: list, returned: always}
"""

STEP = "host_prepare"


def installed_versions() -> dict[str, str]:
    """Return the version of every installed package."""
    lines = run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Version}\\n"]).splitlines()
    fields = (line.split() for line in lines)
    return {f[1]: f[2] for f in fields if f[0] == "ii" and len(f) == 3}


def is_older(version: str, wanted: str) -> bool:
    """Say whether an installed version is older than the wanted one."""
    return subprocess.run(["dpkg", "--compare-versions", version, "lt", wanted], check=False).returncode == 0


def missing(packages: list[dict[str, str]], present: dict[str, str]) -> list[dict[str, str]]:
    """Return the packages that are not there, or only in an older version."""
    return [p for p in packages if p["name"] not in present or is_older(present[p["name"]], p["version"])]


def record(site: str, names: list[str]) -> list[str]:
    """Add packages to the ledger before they are installed; return all that are recorded."""
    ledger = read_ledger("/", site)
    step: dict[str, Any] = ledger["steps"].setdefault(STEP, {"inputs": {}})
    step["packages"] = sorted({*step.get("packages", ()), *names})
    if names:
        write_ledger("/", ledger)
    found: list[str] = step["packages"]
    return found


def install(packages: list[dict[str, str]]) -> None:
    """Install packages together, so that their order does not matter."""
    files = []
    for package in packages:
        path = blob("/", package["digest"])
        if f"sha256:{sha256_of(path)}" != package["digest"]:
            raise HostProblem(
                f"the staged package {package['name']} is damaged; run `aiplat bootstrap` again"
            )
        files.append(str(path))
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    # What an interrupted run left half-configured is finished first.
    run(["dpkg", "--configure", "-a", "--force-confold"])
    run(["dpkg", "--install", "--force-confold", *files])


def main() -> None:
    """Run as an Ansible module."""
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "site": text,
            "packages": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"name": text, "version": text, "digest": text},
            },
        },
        supports_check_mode=True,
    )
    try:
        present = installed_versions()
        todo = missing(module.params["packages"], present)
        # An upgraded package was the host's own before; only new ones are recorded as ours.
        new = [p["name"] for p in todo if p["name"] not in present]
        ours = record(module.params["site"], [] if module.check_mode else new)
        if todo and not module.check_mode:
            install(todo)
    except (HostProblem, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(todo), installed=[p["name"] for p in todo], ours=ours)


if __name__ == "__main__":
    main()
