"""Brings the cluster's admin kubeconfig to the operator's state; using it belongs to aiplat.cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from aiplat.content import write_atomic
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.fleet.ssh import run_on
from aiplat.site.addresses import in_url
from aiplat.site.models import Host, Site
from aiplat.site.yaml_file import parse_document
from aiplat.state import site_dir

ON_SERVER = "/etc/rancher/k3s/k3s.yaml"
API_PORT = 6443
# Certificates and a key have some thousands of characters; a text of this length is read at once.
_MOST_BYTES = 256 << 10
_NAME = "default"


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _Cluster(_Part):
    ca: str = Field(alias="certificate-authority-data")


class _User(_Part):
    certificate: str = Field(alias="client-certificate-data")
    key: str = Field(alias="client-key-data")


class _NamedCluster(_Part):
    cluster: _Cluster


class _NamedUser(_Part):
    user: _User


class _Kubeconfig(_Part):
    """What is taken of a server's kubeconfig, and nothing else.

    The format also names commands to run, files to read and where to connect: on the operator's machine that
    is not for a host to say.
    """

    clusters: list[_NamedCluster] = Field(min_length=1, max_length=1)
    users: list[_NamedUser] = Field(min_length=1, max_length=1)


def fetch_kubeconfig(site: Site) -> Path:
    """Write the first server's kubeconfig to the site's state (0600), reaching that server by its address.

    Raises:
        AiplatError: the host cannot be reached, has no kubeconfig, or has something else in its place.
    """
    server = site.servers[0]
    done = run_on(site, server, ["cat", ON_SERVER])
    if done.code != 0:
        raise AiplatError(Finding(server.name, f"has no {ON_SERVER}", "run `aiplat bootstrap`"))
    path = site_dir(site.name) / "kubeconfig"
    document = _document(_read(server, done.stdout), f"https://{in_url(server.address)}:{API_PORT}")
    write_atomic(path, json.dumps(document, indent=2).encode() + b"\n", 0o600)
    return path


def _read(server: Host, data: bytes) -> _Kubeconfig:
    try:
        text = data[: _MOST_BYTES + 1].decode()
        if len(text) > _MOST_BYTES:
            raise ValueError("it is too long")
        return _Kubeconfig.model_validate(parse_document(text, Path(ON_SERVER)).data)
    except (ValueError, BadInput) as error:
        problem = f"its {ON_SERVER} is not one that k3s writes"
        fix = "see what changed it; k3s writes it again when it starts without one"
        raise AiplatError(Finding(server.name, problem, fix)) from error


def _document(found: _Kubeconfig, url: str) -> dict[str, Any]:
    """Return a kubeconfig of this side's own making, with the certificates and the key that were found."""
    cluster = {"server": url, "certificate-authority-data": found.clusters[0].cluster.ca}
    known = found.users[0].user
    user = {"client-certificate-data": known.certificate, "client-key-data": known.key}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _NAME, "cluster": cluster}],
        "users": [{"name": _NAME, "user": user}],
        "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": _NAME}}],
        "current-context": _NAME,
    }
