"""What each step on each host is made from, as name → value that the ledger keeps and later plans compare."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.content import digest_of, digest_tree
from aiplat.plan.gpus import gpu_artifacts
from aiplat.plan.packages import content_digest
from aiplat.plan.role_variables import HostGpu, PlaneRelease, RoleVariables, SharedGpus, SiteRegistry
from aiplat.plan.staging import served
from aiplat.plan.steps import managed, step_kind
from aiplat.plan.variables import packages_of
from aiplat.shipped import shipped
from aiplat.site.models import Host
from aiplat.site.references import identity_name
from aiplat.vault.generated import OF_COMPONENT

# Variables that inputs of their own already stand for.
_BY_ARTIFACT = {"binary", "helm", "kubectl", "packages", "content", "releases", "nodes", "configs"}
# Variables that say what a host was like when it was looked at, and are others when the role is done.
_BY_FACTS = {"replace", "initramfs", "again", "fabric_manager", "restart", "drain", "node"}
# What a unit reads again while it runs.
_READ_AGAIN = {"variable:authentication", "variable:issuer_host", "variable:issuer_address"}
START = "start"
"""The input that stands for all others a role's unit is started with: another value is a restart."""

# What a role's files that are written on the host are made of, besides variables.
_TEXTS = ("templates", "vars", "defaults")


def step_inputs(
    variables: RoleVariables, lock: Lock, identities: Mapping[str, str], host: Host
) -> dict[str, str]:
    """Return the inputs of one role on one host.

    Names: `role` (its files), `variable:<name>`, `artifact:<name>` (value `version@digest`),
    `chart:<release>`, `values:<release>`, `secret:<name>` (digest of what others may see of it),
    `gpus:<node>` (a sentence), and `start` of a role with a unit.
    """
    role = variables.role
    plain = variables.model_dump(mode="json", exclude=_BY_ARTIFACT | _BY_FACTS)
    inputs = {"role": role_digest(role)}
    inputs |= {f"variable:{name}": digest_of(value) for name, value in plain.items()}
    inputs |= {f"artifact:{a.name}": identity(a) for a in _artifacts_of(variables, lock, host)}
    inputs |= {f"secret:{n}": identities[n] for n in step_kind(role).secrets if n in identities}
    if isinstance(variables, SharedGpus):
        inputs |= {f"gpus:{node.name}": node.says for node in variables.nodes}
    if isinstance(variables, PlaneRelease):
        inputs |= {f"secret:{n}": i for n, i in identities.items() if n.startswith(OF_COMPONENT)}
        for release in variables.releases:
            inputs[f"chart:{release.name}"] = f"{release.chart_ref.rpartition(':')[2]}@{release.chart}"
            inputs[f"values:{release.name}"] = digest_of(release.values)
            of_site = (identity_name(name) for name in release.secret_names)
            inputs |= {f"secret:{name}": identities.get(name, "") for name in of_site}
    if step_kind(role).unit:
        inputs[START] = digest_of([texts_digest(role), {n: v for n, v in inputs.items() if _starts(role, n)}])
    return dict(sorted(inputs.items()))


def _starts(role: str, name: str) -> bool:
    """Whether a role's unit is started with an input: not with the tasks, nor with what is only served."""
    return name not in {"role", *_READ_AGAIN} and (
        not name.startswith("artifact:") or name.partition(":")[2] in step_kind(role).artifacts
    )


def identity(artifact: Artifact) -> str:
    """Return an artifact's version and digest as `version@sha256:…`; `version@` until it is made."""
    return f"{artifact.version}@{content_digest(artifact) if artifact.digest else ''}"


@cache
def role_digest(role: str) -> str:
    """Return the digest of a role's files, of the modules all roles share, and of where it puts what."""
    shared = shipped("roles") / "aiplat_modules"
    return digest_of([digest_tree(shipped(f"roles/{role}")), digest_tree(shared), managed(role)])


@cache
def texts_digest(role: str) -> str:
    """Return the digest of what a role's templates and variables say, and where; its tasks are not in it."""
    folders = (shipped(f"roles/{role}") / name for name in _TEXTS)
    return digest_of([*(digest_tree(folder) for folder in folders if folder.is_dir()), managed(role)])


def _artifacts_of(variables: RoleVariables, lock: Lock, host: Host) -> list[Artifact]:
    named = [lock.hostfile(name, host.arch) for name in step_kind(variables.role).artifacts]
    if variables.role == "host_prepare":
        named += packages_of(host, lock)
    if isinstance(variables, HostGpu):
        named += [a for a in gpu_artifacts(host, lock) if variables.driver or a.when == "gpu"]
    if isinstance(variables, SiteRegistry):
        named += served(lock)
    return named
