"""Builds sites, locks and facts for plan tests from a few words; holds no expectations.

Facts of a host may also say `staged` (names of artifacts whose blobs arrived) and `forgotten` (steps that
never finished).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiplat.catalog.artifacts import Artifact, Blob, Lock
from aiplat.catalog.catalog import Catalog, read_catalog
from aiplat.catalog.values import merged
from aiplat.content import sha256_bytes
from aiplat.plan.inputs import START, step_inputs
from aiplat.plan.models import Facts, HostFacts, Ledger, LedgerStep, ManagedFile
from aiplat.plan.role_variables import PlaneRelease, RoleVariables
from aiplat.plan.staging import wanted_blobs
from aiplat.plan.variables import PublicParts, role_variables
from aiplat.site.models import Site

HERE = Path(__file__).parent
PUBLIC = PublicParts(
    ca_certificate="CA",
    registry_certificate="REGISTRY",
    identities={
        "ca": sha256_bytes(b"ca"),
        "registry certificate": sha256_bytes(b"registry"),
        "gateway certificate": sha256_bytes(b"gateway"),
        "api key": sha256_bytes(b"key"),
        "k3s token": sha256_bytes(b"token"),
        "postgres password": sha256_bytes(b"password"),
    },
)
SITE: dict[str, Any] = {
    "apiVersion": "aiplat.dev/v1alpha1",
    "kind": "Site",
    "name": "case",
    "hosts": [{"name": "s1", "address": "10.0.0.11", "role": "server"}],
    "models": [{"name": "tiny:1b"}],
}
MIB = 1 << 20
# kind, name, version, component, hosts, MiB
ARTIFACTS = (
    ("hostfile", "k3s", "v1.36.3+k3s1", "k3s", "all", 130),
    ("hostfile", "registry", "3.1.2", "registry", "server", 20),
    ("hostfile", "helm", "3.22.0", "helm", "server", 60),
    ("hostfile", "nftables", "1.0.6-2", "host-packages", "all", 1),
    ("image", "docker.io/ollama/ollama", "0.17.4", "ollama", "all", 200),
    ("chart", "ghcr.io/aiplat/charts/ollama", "0.1.0", "ollama", "server", 1),
    ("chart", "ghcr.io/aiplat/charts/gateway", "0.1.0", "gateway", "server", 1),
    ("model", "registry.example/library/tiny", "1b-base", "ollama", "all", 250),
)
UNITS = {
    "site_registry": "aiplat-registry.service",
    "k3s_server": "k3s.service",
    "k3s_agent": "k3s-agent.service",
}

# What the units of these worlds read when they start.
STARTED_WITH = ("/program", "/configuration")


def small_catalog() -> Catalog:
    """Return the tests' own catalogue."""
    return read_catalog(HERE / "charts")


def site_of(over: dict[str, Any] | None = None) -> Site:
    """Return a site of one server with `over` laid on it."""
    return Site.model_validate(merged(SITE, over or {}))


def lock_of(described: dict[str, Any] | None = None) -> Lock:
    """Return a lock.

    `described` may have `built`, `unbuilt` (names), `versions`, `rebuilt`, `lab_only`, `supply`, and `arm64`:
    host files are then there for that architecture, too.
    """
    described = described or {}
    artifacts = [_artifact(row, described) for row in ARTIFACTS]
    if described.get("arm64"):
        artifacts += [_artifact(row, described, "linux/arm64") for row in ARTIFACTS if row[0] == "hostfile"]
    return Lock(site="case", supply=described.get("supply", "packages"), artifacts=tuple(artifacts))


def _artifact(row: tuple[Any, ...], described: dict[str, Any], platform: str = "linux/amd64") -> Artifact:
    kind, name, version, component, hosts, mib = row
    version = described.get("versions", {}).get(name, version)
    seed = f"{kind} {name} {version} {name in described.get('rebuilt', ())}"
    seed += "" if platform == "linux/amd64" else platform
    built = described.get("built", True) and name not in described.get("unbuilt", ())
    content, manifest = sha256_bytes(f"{seed} content".encode()), sha256_bytes(f"{seed} manifest".encode())
    supplied = {
        "digest": manifest,
        "file": content if kind in {"hostfile", "chart"} else None,
        "blobs": (Blob(digest=manifest, size=1024), Blob(digest=content, size=mib * MIB)),
    }
    return Artifact(
        kind=kind,
        name=name,
        version=version,
        component=component,
        platform=platform,
        hosts=hosts,
        lab_only=name == "k3s" and described.get("lab_only", True),
        inputs=sha256_bytes(f"{seed} inputs".encode()),
        **(supplied if built else {}),
    )


def facts_of(site: Site, installed: dict[str, tuple[Site, Lock]], over: dict[str, Any]) -> Facts:
    """Return the facts of all hosts: fresh ones, or as left by an earlier site and lock; `over` per host."""
    return Facts(
        hosts=tuple(
            _host_facts(site, h.name, installed.get(h.name), over.get(h.name, {})) for h in site.hosts
        )
    )


def _host_facts(site: Site, name: str, earlier: tuple[Site, Lock] | None, over: dict[str, Any]) -> HostFacts:
    seen: dict[str, Any] = {
        "host": name,
        "reachable": True,
        "arch": "x86_64",
        "x86_64_level": 3,
        "disk_free_mib": 100_000,
        "is_root": True,
        "lab": site.name,
        "default_route": True,
    }
    over = dict(over)
    staged, forgotten = over.pop("staged", ()), over.pop("forgotten", ())
    if earlier:
        seen |= _installed(name, *earlier)
    if staged:
        seen["blobs"] = [b.digest for a in lock_of().artifacts if a.name in staged for b in a.blobs]
    for step in forgotten:
        del seen["ledger"]["steps"][step]
    return HostFacts.model_validate(merged(seen, over))


def _installed(name: str, site: Site, lock: Lock) -> dict[str, Any]:
    roles = role_variables(site, lock, small_catalog(), PUBLIC)[name]
    files = {path: ManagedFile(sha256="as-written", mode="0600") for path in STARTED_WITH}
    steps = {
        r.role: LedgerStep(inputs=step_inputs(r, lock, PUBLIC.identities, site.host(name)), files=files)
        for r in roles
    }
    running = {
        unit: {"ActiveState": "active", "MainPID": "1"} for role, unit in UNITS.items() if role in steps
    }
    started = {
        UNITS[role]: {"content": step.inputs[START], "files": dict.fromkeys(STARTED_WITH, "as-written")}
        for role, step in steps.items()
        if role in UNITS
    }
    return {
        "running": started,
        "ledger": Ledger(site=site.name, steps=steps).model_dump(mode="json", by_alias=True),
        "blobs": [b.digest for b in wanted_blobs(site, lock)[name]],
        "units": running,
        "nodes_ready": [h.name for h in site.hosts] if "k3s_server" in steps else [],
        "releases": [release for role in roles for release in _releases(role)],
    }


def _releases(role: RoleVariables) -> list[dict[str, Any]]:
    wanted = role.releases if isinstance(role, PlaneRelease) else ()
    return [
        {"name": r.name, "namespace": r.namespace, "revision": 1, "status": "deployed", "inputs": r.inputs}
        for r in wanted
    ]
