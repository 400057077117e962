"""`aiplat tunnel`: a site's ports on this machine while it is held open, for clients without ssh."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO
from urllib.parse import urlsplit

from pydantic import Field, ValidationError
from ruamel.yaml import YAML

from aiplat.actions.access import access_to
from aiplat.actions.reported_run import PAGES
from aiplat.catalog.resolve import components_on
from aiplat.cluster.client import Cluster
from aiplat.cluster.port_forward import ForwardedPort
from aiplat.cluster.way import STRAIGHT
from aiplat.content import write_atomic
from aiplat.errors import AiplatError, Finding
from aiplat.fleet.guest_way import GuestWay
from aiplat.fleet.tunnel import Tunnels, is_behind
from aiplat.frozen import Frozen
from aiplat.site.models import Site
from aiplat.state import site_dir

_PORTAL_PODS, _PORTAL_PORT = "app.kubernetes.io/name=portal", 8080
_PORTS = {"gateway": 443, "kubernetes": 6443, "registry": 5443}


class Tunnel(Frozen):
    """The URLs of a site's first server on this machine; where a port is not reached, `notes` say why.

    `portal` is given where the site has no ingress, which would have a name for it.
    """

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Tunnel"] = "Tunnel"
    site: str
    server: str
    gateway: str = ""
    kubernetes: str = ""
    registry: str = ""
    portal: str = ""
    kubeconfig: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Held:
    """A tunnel that this process holds open."""

    tunnel: Tunnel
    tunnels: Tunnels | GuestWay

    def wait(self) -> None:
        """Wait until the connection is lost.

        Raises:
            HostError: why it was.
        """
        raise self.tunnels.wait()


def needs_tunnel(site: Site) -> bool:
    """Whether clients on this machine reach a site's platform through ssh alone."""
    if site.is_guest:
        return not site.cluster.endpoint
    return is_behind(site, site.servers[0])


def reached_by(site: Site) -> str:
    """Return what a site's ports come through, in words: a server's name, or its existing cluster."""
    return "its cluster" if site.is_guest else site.servers[0].name


@contextlib.contextmanager
def open_tunnel(site: Site) -> Iterator[Held]:
    """Bring the ports of a site's first server to this machine while the block runs.

    Raises:
        BadInput: the site was never bootstrapped from here.
        AiplatError: its server cannot be reached, none of its ports is there, or its tunnel is open already.
    """
    access_to(site)
    way = GuestWay(site, always=True) if site.is_guest else Tunnels(site, always=True)
    with _only_one(site) as file, contextlib.closing(way) as tunnels, contextlib.ExitStack() as held:
        try:
            tunnel = _with_portal(site, _opened(site, tunnels), tunnels, held)
            file.write(tunnel.model_dump_json(by_alias=True))
            file.flush()
            yield Held(tunnel, tunnels)
        finally:
            _kubeconfig(site).unlink(missing_ok=True)
            file.truncate(0)


def tunnel_of(site: Site) -> Tunnel | None:
    """Return the tunnel of a site that another process holds open, None where there is none."""
    try:
        with _state(site).open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Tunnel.model_validate_json(file.read())
    except (OSError, ValidationError):
        pass  # none was opened yet, or one is just being opened
    return None


@contextlib.contextmanager
def _only_one(site: Site) -> Iterator[TextIO]:
    with _state(site).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fix = 'use that one: eval "$(aiplat env)"'
            raise AiplatError(Finding(f"site {site.name}", "its tunnel is open already", fix)) from None
        file.truncate(0)
        yield file


def _opened(site: Site, tunnels: Tunnels | GuestWay) -> Tunnel:
    if isinstance(tunnels, GuestWay):
        host, port = tunnels.to(site.endpoint, _PORTS["gateway"])
        kubeconfig = str(site_dir(site.name) / "kubeconfig")
        return Tunnel(
            site=site.name, server=reached_by(site), gateway=f"https://{host}:{port}", kubeconfig=kubeconfig
        )
    server = site.servers[0]
    found: dict[str, str] = {}
    findings: list[Finding] = []
    for name, port in _PORTS.items():
        try:
            host, here = tunnels.to(server.address, port)
        except AiplatError as error:
            findings += error.findings
            if not tunnels.holds:
                break  # the host itself is not reached: the other ports have nothing to add
        else:
            found[name] = f"https://{host}:{here}"
    if not found:
        raise AiplatError(findings)
    kubeconfig = _write_kubeconfig(site, found["kubernetes"]) if "kubernetes" in found else ""
    notes = tuple(str(finding) for finding in findings)
    return Tunnel(site=site.name, server=server.name, **found, kubeconfig=kubeconfig, notes=notes)


def _with_portal(
    site: Site, tunnel: Tunnel, tunnels: Tunnels | GuestWay, held: contextlib.ExitStack
) -> Tunnel:
    """Bring the portal here too where no ingress gives it a name, by Kubernetes' port forwarding.

    It is `localhost` for browsers: they keep its cookies there without TLS, and nowhere else.
    """
    on = {component.name: component for component in components_on(site)}
    if PAGES not in on or "ingress" in on or not tunnel.kubeconfig:
        return tunnel
    try:
        cluster = Cluster.of_site(site.name, STRAIGHT if isinstance(tunnels, GuestWay) else tunnels)
        port = ForwardedPort(cluster, on[PAGES].namespace or "", _PORTAL_PODS, _PORTAL_PORT)
        held.enter_context(contextlib.closing(port))
        port.find()
    except AiplatError as error:
        return tunnel.model_copy(update={"notes": (*tunnel.notes, *map(str, error.findings))})
    return tunnel.model_copy(update={"portal": f"http://localhost:{port.end[1]}"})


def _write_kubeconfig(site: Site, url: str) -> str:
    """Write a kubeconfig through the tunnel; the certificate is still checked for the server's name."""
    known, path = site_dir(site.name) / "kubeconfig", _kubeconfig(site)
    if not known.exists():
        return ""
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(known)
    for entry in document["clusters"]:
        cluster = entry["cluster"]
        cluster["tls-server-name"] = urlsplit(cluster["server"]).hostname
        cluster["server"] = url
    write_atomic(path, json.dumps(document).encode(), 0o600)
    return str(path)


def _state(site: Site) -> Path:
    return site_dir(site.name) / "tunnel.json"


def _kubeconfig(site: Site) -> Path:
    return site_dir(site.name) / "kubeconfig-tunnel"
