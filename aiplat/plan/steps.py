"""The steps of a bootstrap in order: title, unit, files, artifacts, secrets; who needs one is make's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class StepKind:
    """One kind of step. `id` is its role's and its play's name, except for the two that Python does itself.

    `unit` is what the role runs on a host; `artifacts` are the host files that it installs, by name;
    `secrets` are the identities (aiplat.vault) that it is made from. `files` and `dirs` are what its role
    puts on a host, by the names that the role knows them by, besides its unit's file and folders that a
    site chooses; `links` are links there and what they lead to.
    """

    id: str
    title: str
    by_role: bool = True
    unit: str = ""
    artifacts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    dirs: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_files(self) -> dict[str, str]:
        """Its files, the unit's among them."""
        return {**self.files, **({"unit": f"/etc/systemd/system/{self.unit}"} if self.unit else {})}


CA_FILE = "/etc/aiplat/ca.crt"
"""The certificate of the site's CA on every host."""
_K3S_FILES = {
    "program": "/usr/local/bin/k3s",
    "config": "/etc/rancher/k3s/config.yaml",
    "registries": "/etc/rancher/k3s/registries.yaml",
    "resolver": "/etc/aiplat/resolv.conf",
}
_K3S_DIRS = {"config": "/etc/rancher/k3s"}
_K3S_LINKS = {"/usr/local/bin/kubectl": "k3s", "/usr/local/bin/crictl": "k3s", "/usr/local/bin/ctr": "k3s"}
STEPS = (
    StepKind("bundle", "Make and check the bundle", by_role=False),
    StepKind("stage", "Bring what is missing to the hosts", by_role=False),
    StepKind(
        "host_prepare",
        "Prepare the hosts",
        files={
            "ca": CA_FILE,
            "modules": "/etc/modules-load.d/aiplat.conf",
            "sysctl": "/etc/sysctl.d/90-aiplat.conf",
            "network_manager": "/etc/NetworkManager/conf.d/aiplat.conf",
        },
        dirs={"etc": "/etc/aiplat", "programs": "/usr/local/lib/aiplat", "state": "/var/lib/aiplat"},
    ),
    StepKind(
        "host_gpu",
        "Install GPU drivers",
        unit="aiplat-gpu.service",
        files={
            "modprobe": "/etc/modprobe.d/aiplat-nvidia.conf",
            "program": "/usr/local/lib/aiplat/gpu-at-start",
        },
        dirs={"programs": "/usr/local/lib/aiplat"},
    ),
    StepKind("host_reboot", "Reboot hosts"),
    StepKind(
        "site_registry",
        "Serve images, charts and models",
        unit="aiplat-registry.service",
        artifacts=("registry",),
        secrets=("registry certificate",),
        files={
            "program": "/usr/local/lib/aiplat/registry",
            "config": "/etc/aiplat/registry.yml",
            "certificate": "/etc/aiplat/registry.crt",
            "key": "/etc/aiplat/registry.key",
        },
    ),
    StepKind(
        "k3s_server",
        "Run the control plane",
        unit="k3s.service",
        artifacts=("k3s",),
        secrets=("k3s token",),
        files={
            **_K3S_FILES,
            "audit_policy": "/etc/rancher/k3s/audit-policy.yaml",
            "admission": "/etc/rancher/k3s/admission.yaml",
            "authentication": "/etc/rancher/k3s/authentication.yaml",
        },
        dirs=_K3S_DIRS,
        links=_K3S_LINKS,
    ),
    StepKind(
        "k3s_agent",
        "Join the other hosts",
        unit="k3s-agent.service",
        artifacts=("k3s",),
        secrets=("k3s token",),
        files=_K3S_FILES,
        dirs=_K3S_DIRS,
        links=_K3S_LINKS,
    ),
    StepKind("gpu_sharing", "Share the GPUs"),
    StepKind(
        "plane_release",
        "Install and upgrade the planes",
        artifacts=("helm",),
        secrets=("api key", "gateway certificate", "postgres password"),
    ),
)
ROLE_STEPS = tuple(step for step in STEPS if step.by_role)


def step_kind(named: str) -> StepKind:
    """Return the kind of step of this id; one with nothing for roles that no bootstrap has, as a reset's."""
    return next((step for step in STEPS if step.id == named), StepKind(named, ""))


def managed(role: str) -> dict[str, Any]:
    """Return what a role puts on hosts, as its variable `<role>_managed`.

    For a role of a bootstrap: its unit, its files and dirs by name, its links with what they lead to, and the
    CA's file. For any other, which takes things off hosts: the units, files, links and dirs of all of them.
    """
    step = step_kind(role)
    if step not in STEPS:
        return all_managed()
    named = {"files": step.all_files, "dirs": dict(step.dirs), "links": dict(step.links)}
    return {"unit": step.unit, **named, "ca": CA_FILE}


def all_managed() -> dict[str, list[str]]:
    """Return the units, files, links and dirs of all steps, each once."""
    return {
        "units": [step.unit for step in STEPS if step.unit],
        "files": [*dict.fromkeys(path for step in STEPS for path in step.all_files.values())],
        "links": [*dict.fromkeys(path for step in STEPS for path in step.links)],
        "dirs": [*dict.fromkeys(path for step in STEPS for path in step.dirs.values())],
    }
