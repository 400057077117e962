"""A kubeconfig of somebody's as one file with one context, which works from any folder; asks no cluster."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aiplat.errors import BadInput, Finding

_FILES = ("certificate-authority", "client-certificate", "client-key")
"""Keys that name files whose content may stand in the kubeconfig itself, as `<key>-data`."""
_FIX = "name another file or another of its contexts: kubectl config get-contexts"


def flattened(path: Path, context: str | None) -> dict[str, Any]:
    """Return the one context of a kubeconfig that is meant, with the files it names inside of it.

    A program that gives credentials stays named; it is run as kubectl runs it.

    Raises:
        BadInput: it is not a kubeconfig, has no such context, or names a file that cannot be read.
    """
    if not path.is_file():
        fix = "write one: kubectl config view --raw --minify --flatten > kubeconfig"
        raise BadInput(Finding(str(path), "there is no kubeconfig", fix))
    try:
        document = YAML(typ="safe", pure=True).load(path)
        if not isinstance(document, dict):
            raise ValueError("it is not a kubeconfig")
        chosen = context or document.get("current-context") or ""
        about = _named(document, "contexts", chosen)["context"]
        cluster = dict(_named(document, "clusters", about["cluster"])["cluster"])
        user = dict(_named(document, "users", about["user"])["user"] or {})
        for part in (cluster, user):
            _take_in(part, path.parent)
    except (YAMLError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"nothing in it is called {error}" if isinstance(error, KeyError) else error
        raise BadInput(Finding(str(path), f"cannot be used: {reason}", _FIX)) from error
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": about["cluster"], "cluster": cluster}],
        "users": [{"name": about["user"], "user": user}],
        "contexts": [{"name": chosen, "context": dict(about)}],
        "current-context": chosen,
    }


def _named(document: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] | None = next((one for one in document[kind] if one["name"] == name), None)
    if found is None:
        raise KeyError(name)
    return found


def _take_in(part: dict[str, Any], folder: Path) -> None:
    """Replace the names of files by their content; a token's file may change, so it stays named."""
    for key in _FILES:
        if named := part.pop(key, None):
            content = (folder / Path(named).expanduser()).read_bytes()
            part.setdefault(f"{key}-data", base64.b64encode(content).decode())
    if named := part.get("tokenFile"):
        part["tokenFile"] = str((folder / Path(named).expanduser()).resolve())
    program = part.get("exec") or {}
    # kubectl finds such a program from the kubeconfig's own folder, one without a slash by PATH.
    if "/" in (named := program.get("command", "")):
        part["exec"] = {**program, "command": str((folder / named).resolve())}
