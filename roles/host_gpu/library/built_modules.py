#!/usr/bin/python
"""Ansible module: NVIDIA's modules are built for the kernel that runs."""

from __future__ import annotations

import re
import shutil
from platform import release

from ansible.module_utils.aiplat_host import HostProblem, run
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: built_modules
short_description: DKMS has built NVIDIA's modules for the running kernel
description:
  - Packages build them when they are installed; after an update of the kernel nobody may have. Where DKMS
    does not know NVIDIA's modules, they come ready-made and there is nothing to build.
options: {}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The modules are built for the kernel that runs
  built_modules:
"""
RETURN = r"""#"""

# Some minutes on a small machine.
SECONDS = 1800


def unbuilt(status: str, kernel: str) -> bool:
    """Say whether DKMS knows NVIDIA's modules and has not installed them for a kernel."""
    lines = [line for line in status.splitlines() if re.match(r"\s*nvidia\b", line)]
    mine = [line for line in lines if re.search(rf"[,/] ?{re.escape(kernel)},", line)]
    return bool(lines) and not any(re.search(r":\s*installed\b", line) for line in mine)


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        behind = bool(shutil.which("dkms")) and unbuilt(run(["dkms", "status"]), release())
        if behind and not module.check_mode:
            run(["dkms", "autoinstall", "-k", release()], timeout=SECONDS)
            if unbuilt(run(["dkms", "status"]), release()):
                problem = f"DKMS did not build NVIDIA's modules for {release()}"
                raise HostProblem(f"{problem}; see /var/lib/dkms/nvidia")
    except HostProblem as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=behind)


if __name__ == "__main__":
    main()
