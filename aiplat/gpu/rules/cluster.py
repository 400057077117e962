"""Rules about Kubernetes on a node with GPUs: device plugin, sharing, MIG, the operator's own checks."""

from __future__ import annotations

from aiplat.gpu.rules.rule import Indication, rule, seen
from aiplat.gpu.signals.all import Signals


@rule("jetson-platform-not-detected")
def jetson_unknown(signals: Signals) -> Indication | None:
    """The plugin detects no platform on what is, or may be, a Jetson."""
    unknown = signals.heard("platform-unknown")
    told = unknown + signals.heard("jetson-plugin", "plugin-library-missing", "no-plugin-devices")
    if signals.cluster.tegra:
        return seen((*told, signals.cluster.tegra)) if told else None
    return seen(unknown) if not signals.gpus and not signals.smi.cards and not is_pc(signals) else None


def is_pc(signals: Signals) -> bool:
    """Whether a fact shows that the host is not an Arm board."""
    return any("x86_64" in fact.flow or "amd64" in fact.flow for fact in signals.facts)


@rule("plugin-pod-without-nvidia-runtime")
def plugin_without_runtime(signals: Signals) -> Indication | None:
    """The plugin cannot load NVML, and the host is not known to lack it."""
    return seen(signals.heard("plugin-library-missing")) if not jetson_unknown.look(signals) else None


@rule("device-plugin-registration-failed")
def registration_failed(signals: Signals) -> Indication | None:
    """The plugin says that it could not register."""
    return seen(signals.heard("registration-failed"))


@rule("device-marked-unhealthy")
def marked_unhealthy(signals: Signals) -> Indication | None:
    """The plugin or kubelet says so, or fewer GPUs are allocatable than the node has."""
    told = signals.heard("marked-unhealthy")
    cluster = signals.cluster
    gpus = [(r, (r.evidence.command, r.name)) for r in cluster.resources if "gpu" in r.name]
    has = {key: r for r, key in gpus if r.section == "capacity"}
    free = {key: r for r, key in gpus if r.section == "allocatable"}
    fewer = tuple(free[key].evidence for key in has if key in free and free[key].count < has[key].count)
    return seen(told + fewer)


@rule("operator-validator-dev-char")
def dev_char(signals: Signals) -> Indication | None:
    """The validator names the links."""
    return seen(signals.heard("dev-char"))


@rule("operator-toolkit-validation-failed")
def toolkit_validation(signals: Signals) -> Indication | None:
    """The validation's container does not find nvidia-smi."""
    without = signals.heard("smi-not-in-path") if _speaks_of_validator(signals) else ()
    return seen(signals.heard("toolkit-validation") + without)


def _speaks_of_validator(signals: Signals) -> bool:
    commands = " ".join(fact.command for fact in signals.facts).lower()
    return bool(signals.heard("validator")) or "validat" in commands or "toolkit" in commands


@rule("mig-and-gpu-both-advertised")
def mig_and_gpu(signals: Signals) -> Indication | None:
    """Both are above 0, and the cards without MIG do not account for the whole ones."""
    slices = tuple(r for r in signals.cluster.counts(r"mig-.*") if r.count)
    whole = tuple(r for r in signals.cluster.counts("gpu") if r.count)
    if not slices or not whole or _cards_without_mig(signals) == whole[0].count:
        return None
    return seen(
        tuple(r.evidence for r in whole + slices), f"{whole[0].count} whole and {len(slices)} kinds of slices"
    )


def _cards_without_mig(signals: Signals) -> int | None:
    listing = [fact for fact in signals.facts if any(line.startswith("GPU 0:") for line in fact.lines)]
    if not listing or not signals.smi.mig_devices:
        return None
    lines = [line.strip() for line in listing[0].lines if line.strip().startswith(("GPU ", "MIG "))]
    pairs = zip(lines, [*lines[1:], ""], strict=True)
    return sum(1 for line, after in pairs if line.startswith("GPU ") and not after.startswith("MIG "))


@rule("time-slicing-not-applied")
def time_slicing(signals: Signals) -> Indication | None:
    """Replicas are set, and the count on the node is not a multiple of them."""
    cluster = signals.cluster
    offered = cluster.counts(r"gpu(?:\.shared)?")
    if not cluster.replicas or cluster.replicas < 2 or not offered or not cluster.replicas_evidence:
        return None
    count, cards = max(r.count for r in offered), signals.smi.count
    applied = count == cards * cluster.replicas if cards else count and count % cluster.replicas == 0
    detail = f"{count} offered with {cluster.replicas} replicas"
    return (
        None
        if applied or not count
        else seen((*(r.evidence for r in offered), cluster.replicas_evidence), detail)
    )


@rule("no-gpu-resource-on-node")
def no_resource(signals: Signals) -> Indication | None:
    """The scheduler misses the resource, or the node's lists lack it or say 0, and nobody offers slices."""
    counts = [resource.count for resource in signals.cluster.resources]
    if any(counts):
        return None
    wanted = signals.heard("gpu-insufficient", "no-plugin-devices")
    node = signals.cluster.without_gpu
    without = (node,) if node else ()
    zero = tuple(resource.evidence for resource in signals.cluster.resources)
    return seen(wanted + (zero or without))
