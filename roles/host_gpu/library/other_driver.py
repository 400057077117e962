#!/usr/bin/python
"""Ansible module: no NVIDIA driver is installed but the packages that are wanted."""

from __future__ import annotations

import re
from typing import Any

from ansible.module_utils.aiplat_host import HostProblem, below
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.host_packages import manager

DOCUMENTATION = r"""
module: other_driver
short_description: Packages of another release or flavour of NVIDIA's driver are removed
description:
  - Two drivers do not go together, and neither dpkg nor rpm replaces one flavour of modules by the other.
    What is loaded stays loaded until the host reboots. The container toolkit stays.
options:
  packages: {description: "The packages that are wanted.", type: list, elements: dict, default: []}
  root: {description: "Where the host's paths begin; other than / in tests only.", type: path, default: /}
author: [aiplat]
"""
EXAMPLES = r"""
- name: No other driver is in the way
  other_driver: {packages: [{name: nvidia-driver-cuda, version: "1.2.3-1"}]}
"""
RETURN = r"""
notes: {description: "What was removed.", type: list, returned: always}
"""

OF_DRIVER = re.compile(
    r"(?:lib)?nvidia-.*|cuda-drivers.*|kmod-nvidia.*|xserver-xorg-video-nvidia.*|xorg-x11-drv-nvidia.*|"
    r"linux-(?:modules|objects|signatures)-nvidia.*"
)
OF_TOOLKIT = re.compile(r"(?:lib)?nvidia-container.*")
# NVIDIA's own installer leaves no packages behind, but this.
UNINSTALLER = "/usr/bin/nvidia-uninstall"


def others(present: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Return the driver's packages that are there in a version that is not wanted, or not wanted at all."""
    of_driver = (n for n in present if OF_DRIVER.fullmatch(n) and not OF_TOOLKIT.fullmatch(n))
    return sorted(name for name in of_driver if present[name] != wanted.get(name))


def remove(root: str, wanted: dict[str, str], check: bool) -> list[str]:
    """Remove other drivers and return the names of their packages.

    Raises:
        HostProblem: one is not a package's, or a package does not go.
    """
    if below(root, UNINSTALLER).exists():
        raise HostProblem("NVIDIA's installer put a driver here; run `nvidia-uninstall`, then plan again")
    tool = manager(root)
    found = others(tool.installed(), wanted)
    if found and not check:
        tool.remove(found)
        if left := others(tool.installed(), wanted):
            raise HostProblem(f"{', '.join(left)} cannot be removed: another package needs them")
    return found


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "dict", "default": []},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    p: dict[str, Any] = module.params
    try:
        gone = remove(p["root"], {one["name"]: one["version"] for one in p["packages"]}, module.check_mode)
    except (HostProblem, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(gone), notes=[f"{name} was removed" for name in gone])


if __name__ == "__main__":
    main()
