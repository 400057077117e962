#!/usr/bin/python
"""Ansible module: the registry serves exactly the manifests of the lock, as links into staged blobs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.aiplat_host import BLOBS, STATE, HostProblem, below, blob
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: registry_content
short_description: Publishes staged content in the layout of CNCF distribution
description:
  - Blobs are hard links into the staged ones, so nothing is copied. What the lock no longer has goes.
options:
  content:
    description:
      - "Manifests to serve, each with repository, tag and manifest (digest)."
      - "An index may name images that nobody here runs: with C(blobs), only what is listed there is served."
    type: list
    elements: dict
    default: []
  blobs: {description: "Where staged content is.", type: path, default: /var/lib/aiplat/blobs}
  registry: {description: "The registry's storage.", type: path, default: /var/lib/aiplat/registry}
  root: {description: "Where the host's paths begin; other than / in tests only.", type: path, default: /}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The registry serves the lock's content
  registry_content:
    content: [{repository: rancher/mirrored-pause, tag: "1.2.3", manifest: "sha256:…"}]
"""
RETURN = r"""
added: {description: "Files added to the storage.", type: int, returned: always}
removed: {description: "Files removed from it.", type: int, returned: always}
"""

# The registry's own layout below its root folder.
LAYOUT = "docker/registry/v2"
# Kinds of manifest that name further manifests.
INDEXES = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
}


def hexdigest(digest: str) -> str:
    """Return a digest without its algorithm."""
    return digest.removeprefix("sha256:")


def reached(store: Path, manifest: str, there: set[str]) -> tuple[set[str], set[str]]:
    """Return the manifests and the other blobs that a manifest reaches.

    Of what an index names, only images in `there` count; with nothing in it, all of them.
    """
    document: dict[str, Any] = json.loads(blob(store, manifest).read_bytes())
    manifests, layers = {manifest}, set()
    if document.get("mediaType") in INDEXES or "manifests" in document:
        for child in document["manifests"]:
            if there and child["digest"] not in there:
                continue
            below_manifests, below_layers = reached(store, child["digest"], there)
            manifests |= below_manifests
            layers |= below_layers
        return manifests, layers
    layers = {layer["digest"] for layer in document.get("layers", ())}
    if "config" in document:
        layers.add(document["config"]["digest"])
    return manifests, layers


def wanted_files(store: Path, content: list[dict[str, Any]]) -> tuple[dict[str, str], set[str]]:
    """Return every link file of the storage with its text, and the digests whose data must be there."""
    links: dict[str, str] = {}
    data: set[str] = set()
    for entry in content:
        manifest = entry["manifest"]
        manifests, layers = reached(store, manifest, set(entry.get("blobs") or ()))
        folder = f"repositories/{entry['repository']}"
        tag = f"{folder}/_manifests/tags/{entry['tag']}"
        if links.get(f"{tag}/current/link", manifest) != manifest:
            raise HostProblem(f"two artifacts are called {entry['repository']}:{entry['tag']}")
        links[f"{tag}/current/link"] = manifest
        links[f"{tag}/index/sha256/{hexdigest(manifest)}/link"] = manifest
        for digest in manifests:
            links[f"{folder}/_manifests/revisions/sha256/{hexdigest(digest)}/link"] = digest
        for digest in manifests | layers:
            links[f"{folder}/_layers/sha256/{hexdigest(digest)}/link"] = digest
        data |= manifests | layers
    return links, data


def data_name(digest: str) -> str:
    """Return where the storage keeps a blob's data."""
    name = hexdigest(digest)
    return f"blobs/sha256/{name[:2]}/{name}/data"


def add_data(storage: Path, store: Path, digest: str) -> bool:
    """Link a staged blob into the storage; say whether it was not there."""
    source, path = blob(store, digest), storage / data_name(digest)
    if path.exists() and path.stat().st_ino == source.stat().st_ino:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name("data.part")
    part.unlink(missing_ok=True)
    os.link(source, part)
    part.replace(path)
    return True


def add_link(path: Path, digest: str) -> bool:
    """Write a link file of the storage; say whether it had to be."""
    if path.exists() and path.read_text() == digest:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name("link.part")
    part.write_text(digest)
    part.replace(path)
    return True


def remove_others(storage: Path, keep: set[str]) -> int:
    """Remove every file that is not in `keep` and the folders left empty; return how many files went."""
    removed = 0
    for folder, _, names in os.walk(storage, topdown=False):
        for name in names:
            path = Path(folder, name)
            if str(path.relative_to(storage)) not in keep:
                path.unlink()
                removed += 1
        if Path(folder) != storage and not any(Path(folder).iterdir()):
            Path(folder).rmdir()
    return removed


def publish(storage: Path, store: Path, content: list[dict[str, Any]], check: bool) -> tuple[int, int]:
    """Make the storage serve exactly `content`; return how many files were added and removed.

    Data comes before the links that name it and goes after them, so that a reader never finds a hole.
    """
    links, data = wanted_files(store, content)
    if check:
        missing = [name for name in [*links, *map(data_name, data)] if not (storage / name).exists()]
        return len(missing), 0
    storage.mkdir(parents=True, exist_ok=True)
    added = sum(add_data(storage, store, digest) for digest in sorted(data))
    added += sum(add_link(storage / name, digest) for name, digest in sorted(links.items()))
    repositories = storage / "repositories"
    removed = remove_others(repositories, {n.removeprefix("repositories/") for n in links})
    removed += remove_others(storage, set(links) | {data_name(digest) for digest in data})
    return added, removed


def main() -> None:
    """Run as an Ansible module."""
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "content": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "repository": text,
                    "tag": text,
                    "manifest": text,
                    "blobs": {"type": "list", "elements": "str", "default": []},
                },
            },
            "blobs": {"type": "path", "default": BLOBS},
            "registry": {"type": "path", "default": str(STATE / "registry")},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    try:
        p = module.params
        storage, store = below(p["root"], p["registry"]) / LAYOUT, below(p["root"], p["blobs"])
        added, removed = publish(storage, store, p["content"], module.check_mode)
    except (HostProblem, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(added or removed), added=added, removed=removed)


if __name__ == "__main__":
    main()
