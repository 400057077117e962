"""The steps of a bootstrap in order: title, unit, artifacts and secrets of each; who needs one is make's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepKind:
    """One kind of step. `id` is its role's and its play's name, except for the two that Python does itself.

    `unit` is what the role runs on a host; `artifacts` are the host files that it installs, by name;
    `secrets` are the identities (aiplat.vault) that it is made from.
    """

    id: str
    title: str
    by_role: bool = True
    unit: str = ""
    artifacts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


STEPS = (
    StepKind("bundle", "Make and check the bundle", by_role=False),
    StepKind("stage", "Bring what is missing to the hosts", by_role=False),
    StepKind("host_prepare", "Prepare the hosts"),
    StepKind(
        "site_registry",
        "Serve images, charts and models",
        unit="aiplat-registry.service",
        artifacts=("registry",),
        secrets=("registry certificate",),
    ),
    StepKind(
        "k3s_server",
        "Run the control plane",
        unit="k3s.service",
        artifacts=("k3s",),
        secrets=("k3s token",),
    ),
    StepKind(
        "k3s_agent",
        "Join the other hosts",
        unit="k3s-agent.service",
        artifacts=("k3s",),
        secrets=("k3s token",),
    ),
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
