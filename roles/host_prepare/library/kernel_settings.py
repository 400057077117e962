#!/usr/bin/python
"""Ansible module: kernel modules are loaded and settings in force; files keep them over a boot."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

# A lab host is a container: its kernel is another machine's, and what that refuses is not an error.
LAB = Path("/etc/aiplat/lab-host")

DOCUMENTATION = r"""
module: kernel_settings
short_description: Kernel modules and settings in force
options:
  modules: {description: "Modules; a built-in one counts as loaded.", type: list, elements: str, default: []}
  sysctls: {description: "Settings, name to value.", type: dict, default: {}}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The kernel forwards packets
  kernel_settings: {sysctls: {net.ipv4.ip_forward: "1"}}
"""
RETURN = r"""
notes: {description: "What the kernel of a lab host refused.", type: list, returned: always}
"""


def setting(name: str) -> Path:
    """Return the file behind a setting."""
    return Path("/proc/sys", *name.split("."))


def load(module: str) -> str:
    """Load a kernel module; return what is wrong, or nothing."""
    done = subprocess.run(["modprobe", module], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"module {module}: {done.stderr.strip()}"


def put(name: str, value: str) -> str:
    """Put a setting in force; return what is wrong, or nothing."""
    try:
        setting(name).write_text(value)
    except OSError as error:
        return f"{name}: {error.strerror}"
    return ""


def is_loaded(module: str) -> bool:
    """Say whether the kernel has a module, loaded or built in."""
    return Path("/sys/module", module).exists()


def is_in_force(name: str, value: str) -> bool:
    """Say whether a setting has a value, or for a limit a higher one."""
    try:
        seen = setting(name).read_text().strip()
    except OSError:
        return False
    return seen == value or (name.startswith("fs.") and seen.isdigit() and int(seen) >= int(value))


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "modules": {"type": "list", "elements": "str", "default": []},
            "sysctls": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    modules = [name for name in module.params["modules"] if not is_loaded(name)]
    if module.check_mode:
        module.exit_json(changed=bool(modules), notes=[])
    refused = [problem for name in modules if (problem := load(name))]
    sysctls = {n: str(v) for n, v in module.params["sysctls"].items() if not is_in_force(n, str(v))}
    refused_settings = [problem for name, value in sysctls.items() if (problem := put(name, value))]
    if (refused or refused_settings) and not LAB.exists():
        module.fail_json(msg="the kernel refuses " + "; ".join(refused + refused_settings))
    done = len(modules) + len(sysctls) - len(refused) - len(refused_settings)
    module.exit_json(changed=done > 0, notes=[f"the kernel refuses {r}" for r in refused + refused_settings])


if __name__ == "__main__":
    main()
