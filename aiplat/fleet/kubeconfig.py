"""Brings the cluster's admin kubeconfig to the operator's state; using it belongs to aiplat.cluster."""

from __future__ import annotations

from pathlib import Path

from aiplat.content import write_atomic
from aiplat.errors import AiplatError, Finding
from aiplat.fleet.ssh import run_on
from aiplat.site.addresses import in_url
from aiplat.site.models import Site
from aiplat.state import site_dir

ON_SERVER = "/etc/rancher/k3s/k3s.yaml"
API_PORT = 6443


def fetch_kubeconfig(site: Site) -> Path:
    """Write the first server's kubeconfig to the site's state (0600), reaching that server by its address.

    Raises:
        AiplatError: the host cannot be reached or has no kubeconfig.
    """
    server = site.servers[0]
    done = run_on(site, server, ["cat", ON_SERVER])
    if done.code != 0:
        raise AiplatError(Finding(server.name, f"has no {ON_SERVER}", "run `aiplat bootstrap`"))
    text = done.stdout.decode().replace(
        f"https://127.0.0.1:{API_PORT}", f"https://{in_url(server.address)}:{API_PORT}"
    )
    path = site_dir(site.name) / "kubeconfig"
    write_atomic(path, text.encode(), 0o600)
    return path
