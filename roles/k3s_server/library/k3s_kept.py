#!/usr/bin/python
"""Ansible module: before another k3s comes, the one that runs is kept with a whole copy of its datastore."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.aiplat_host import HostProblem, below, run, sha256_of
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: k3s_kept
short_description: The old k3s, its configuration, token and datastore are kept before an upgrade
description:
  - Does nothing where k3s is not there yet, has no datastore, or is the wanted one.
  - The datastore is copied by SQLite itself, while k3s runs; where Python has no SQLite, k3s is stopped.
options:
  program: {description: "Where k3s is.", type: path, required: true}
  unit: {description: "The unit that runs it.", type: str, required: true}
  files: {description: "What is kept besides it.", type: list, elements: path, required: true}
  binary: {description: "Digest of the k3s that will be installed.", type: str, required: true}
  data: {description: "k3s' data folder.", type: path, default: /var/lib/rancher/k3s}
  folder: {description: "Where what is kept goes.", type: path, default: /var/lib/aiplat/k3s-before}
  keep: {description: "How many are kept.", type: int, default: 2}
  root: {description: "Where the host's paths begin; other than / in tests only.", type: path, default: /}
author: [aiplat]
"""
EXAMPLES = r"""
- name: What runs is kept
  k3s_kept: {binary: "sha256:…", program: /opt/k3s, unit: k3s, files: []}
"""
RETURN = r"""
notes: {description: "Where it is, and how to go back.", type: list, returned: always}
"""

# In k3s' data folder.
DATASTORE, TOKEN = "server/db/state.db", "server/token"
SPARE = 64 << 20


def version_of(program: Path) -> str:
    """Return the version a k3s says it is; the start of its digest where it says none."""
    try:
        words = run([str(program), "--version"], timeout=30).split()
    except (HostProblem, OSError):
        words = []
    return words[2] if len(words) > 2 and words[2].startswith("v") else sha256_of(program)[:12]


def copy_datastore(source: Path, target: Path, unit: str) -> None:
    """Copy a SQLite datastore as of one moment, and have the copy looked through.

    Raises:
        HostProblem: the copy is not whole.
    """
    try:
        import sqlite3  # noqa: PLC0415 - a minimal Python has none
    except ImportError:
        copy_at_rest(source, target, unit)
        return
    try:
        before, after = sqlite3.connect(f"file:{source}?mode=ro", uri=True), sqlite3.connect(target)
        try:
            before.backup(after)
            (said,) = after.execute("PRAGMA integrity_check").fetchone()
        finally:
            before.close()
            after.close()
    except sqlite3.Error as error:
        raise HostProblem(f"the datastore {source} cannot be copied: {error}") from error
    if said != "ok":
        raise HostProblem(f"the copy of the datastore {source} is not whole: {said}")


def copy_at_rest(source: Path, target: Path, unit: str) -> None:
    """Copy a datastore with what was not written into it yet, while nobody writes; pods go on."""
    subprocess.run(["systemctl", "stop", unit], check=False, capture_output=True)
    for name in (source, Path(f"{source}-wal"), Path(f"{source}-shm")):
        if name.exists():
            shutil.copy2(name, target.with_name(name.name))


def require_space(folder: Path, files: list[Path]) -> None:
    """Raise HostProblem where the copies would not fit."""
    need = sum(path.stat().st_size for path in files) + SPARE
    if shutil.disk_usage(folder).free < need:
        raise HostProblem(f"{need >> 20} MiB are needed below {folder} to keep the k3s that runs; make room")


def keep_all(p: dict[str, Any], target: Path) -> None:
    """Copy program, files and datastore into a new folder that only root can read."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True, mode=0o700)
    root, data = p["root"], below(p["root"], p["data"])
    shutil.copy2(below(root, p["program"]), target / "k3s")
    for path in (*(below(root, name) for name in p["files"]), data / TOKEN):
        if path.exists():
            shutil.copy2(path, target / path.name)
    copy_datastore(data / DATASTORE, target / "state.db", p["unit"])
    for path in target.iterdir():
        path.chmod(0o700 if path.name == "k3s" else 0o600)


def ensure(p: dict[str, Any], check: bool) -> list[str]:
    """Keep what runs if another is to come; return what there is to say."""
    root, data = p["root"], below(p["root"], p["data"])
    program, store = below(root, p["program"]), data / DATASTORE
    wanted = p["binary"].removeprefix("sha256:")
    if not program.exists() or not store.exists() or sha256_of(program) == wanted:
        return []
    version = version_of(program)
    folder = below(root, p["folder"])
    kept = f"{p['folder']}/{version}"
    said = (
        f"k3s {version} and its datastore are kept in {kept}; to go back: systemctl stop k3s, put"
        f" k3s and state.db back without state.db-wal and state.db-shm, use the aiplat that brought it"
    )
    if check:
        return [said]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    require_space(folder, [program, store])
    half = folder / f".{version}"
    keep_all(p, half)
    shutil.rmtree(folder / version, ignore_errors=True)
    half.rename(folder / version)
    os.utime(folder / version)
    for old in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[: -p["keep"]]:
        shutil.rmtree(old)
    return [said]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "binary": {"type": "str", "required": True},
            "program": {"type": "path", "required": True},
            "unit": {"type": "str", "required": True},
            "files": {"type": "list", "elements": "path", "required": True},
            "data": {"type": "path", "default": "/var/lib/rancher/k3s"},
            "folder": {"type": "path", "default": "/var/lib/aiplat/k3s-before"},
            "keep": {"type": "int", "default": 2},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    try:
        notes = ensure(module.params, module.check_mode)
    except (HostProblem, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(notes), notes=notes)


if __name__ == "__main__":
    main()
