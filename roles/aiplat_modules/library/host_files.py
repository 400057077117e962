#!/usr/bin/python
"""Ansible module: folders, files and links as they shall be, all of a role's in one call."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

from ansible.module_utils.aiplat_host import (
    BLOBS,
    HostProblem,
    below,
    blob,
    mode_of,
    sha256_of,
    write_atomic,
)
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_files
short_description: Folders, files and links of a role, written atomically
description:
  - Every file is made of C(content) or of a staged blob, whose digest is checked while it is copied.
options:
  dirs: {description: "Folders, each with path and mode (0755).", type: list, elements: dict, default: []}
  files: {description: "Files: path, mode, content or blob.", type: list, elements: dict, default: []}
  links: {description: "Symbolic links, path to target.", type: dict, default: {}}
  blobs: {description: "Where staged content is.", type: path, default: /var/lib/aiplat/blobs}
  root: {description: "Where the host's paths begin; other than / in tests only.", type: path, default: /}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The site's CA is on the host
  host_files:
    files: [{path: /etc/example.crt, content: "{{ ca }}"}]
"""
RETURN = r"""
paths: {description: "What was written.", type: list, returned: always}
"""

DIRECTORY = {"path": {"type": "str", "required": True}, "mode": {"type": "str", "default": "0755"}}
FILE = {
    "path": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0644"},
    "content": {"type": "str"},
    "blob": {"type": "str"},
}


def ensure_dir(path: Path, mode: str, check: bool) -> bool:
    """Make a folder with a mode; say whether it had to be changed."""
    if path.is_dir() and not path.is_symlink() and mode_of(path) == mode:
        return False
    if not check:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(int(mode, 8))
    return True


def ensure_file(root: str, store: Path, wanted: dict[str, Any], check: bool) -> bool:
    """Make a file of its content or blob; say whether it had to be changed."""
    path, mode = below(root, wanted["path"]), wanted["mode"]
    content = (wanted["content"] or "").encode()
    digest = (wanted["blob"] or "").removeprefix("sha256:") or hashlib.sha256(content).hexdigest()
    regular = path.is_file() and not path.is_symlink()
    if regular and sha256_of(path) == digest:
        if mode_of(path) == mode:
            return False
        if not check:
            path.chmod(int(mode, 8))
        return True
    if not check:
        with blob(store, digest).open("rb") if wanted["blob"] else io.BytesIO(content) as source:
            write_atomic(path, source, int(mode, 8), digest)
    return True


def ensure_link(path: Path, target: str, check: bool) -> bool:
    """Make a symbolic link; a file in its place is not ours to replace."""
    if path.is_symlink() and str(path.readlink()) == target:
        return False
    if path.exists() and not path.is_symlink():
        raise HostProblem(f"{path} is a file that aiplat did not put there; move it away")
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    return True


def ensure_all(parameters: dict[str, Any], check: bool) -> list[str]:
    """Make everything and return the paths that had to be changed."""
    root, store = parameters["root"], below(parameters["root"], parameters["blobs"])
    changed = [d["path"] for d in parameters["dirs"] if ensure_dir(below(root, d["path"]), d["mode"], check)]
    changed += [f["path"] for f in parameters["files"] if ensure_file(root, store, f, check)]
    links = parameters["links"].items()
    return changed + [name for name, target in links if ensure_link(below(root, name), target, check)]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "dirs": {"type": "list", "elements": "dict", "options": DIRECTORY, "default": []},
            "files": {
                "type": "list",
                "elements": "dict",
                "options": FILE,
                "default": [],
                "required_one_of": [("content", "blob")],
                "mutually_exclusive": [("content", "blob")],
            },
            "links": {"type": "dict", "default": {}},
            "blobs": {"type": "path", "default": BLOBS},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    try:
        paths = ensure_all(module.params, module.check_mode)
    except (HostProblem, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(paths), paths=paths)


if __name__ == "__main__":
    main()
