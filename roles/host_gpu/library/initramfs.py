#!/usr/bin/python
"""Ansible module: the initramfs of the running kernel is newer than what modprobe is told."""

from __future__ import annotations

import shutil
from pathlib import Path
from platform import release

from ansible.module_utils.aiplat_host import HostProblem, run
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: initramfs
short_description: The initramfs is made again where it is older than modprobe's settings
description:
  - Debian's and Ubuntu's by update-initramfs, that of the RHEL family and SUSE by dracut. A host
    without either, as a container is, has none.
options:
  told: {description: "The file that modprobe reads.", type: path, required: true}
author: [aiplat]
"""
EXAMPLES = r"""
- name: Nouveau is not in the initramfs
  initramfs: {told: /etc/modprobe.d/example.conf}
"""
RETURN = r"""#"""

MAKERS = (("update-initramfs", ("-u",)), ("dracut", ("--force",)))
NAMES = ("initrd.img-{}", "initramfs-{}.img", "initrd-{}")
# A large initramfs on a slow disk takes minutes.
SECONDS = 900


def is_behind(boot: Path, kernel: str, told: Path) -> bool:
    """Say whether a kernel's initramfs is older than what modprobe is told; one that is not seen is."""
    images = [boot / name.format(kernel) for name in NAMES]
    there = [image for image in images if image.exists()]
    return not there or any(image.stat().st_mtime < told.stat().st_mtime for image in there)


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={"told": {"type": "path", "required": True}}, supports_check_mode=True
    )
    told = Path(module.params["told"])
    maker = next(([name, *how] for name, how in MAKERS if shutil.which(name)), None)
    changed = maker is not None and told.exists() and is_behind(Path("/boot"), release(), told)
    try:
        if changed and maker and not module.check_mode:
            run(maker, timeout=SECONDS)
    except HostProblem as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
