"""An engine's container as its `engine:` block says: command, environment, probes, how it ends."""

from __future__ import annotations

from typing import Any

from aiplat.catalog.engines import AUTO, Probe, Variant, filled
from aiplat.services.operator.decide import Engaged

Document = dict[str, Any]

# An answer under way may take minutes; only then is a pod ended by force.
GRACE_SECONDS = 630
HOME = "/home/engine"
_DRAIN_SECONDS = 600
# 0A is the state "listening", 01 "established"; the gateway closes idle connections to a pod that goes.
_DRAIN = (
    "end=$((SECONDS+{seconds})); sleep 2; "
    "while [ $SECONDS -lt $end ] && "
    "grep -qE '^ *[0-9]+: [0-9A-F]+:{port:04X} [0-9A-F]+:[0-9A-F]+ 01 ' /proc/net/tcp /proc/net/tcp6; "
    "do sleep 0.2; done"
)


def adapter_mount(number: int) -> str:
    """Return where the adapter of that number is mounted."""
    return f"/adapters/{number}"


def command_of(engaged: Engaged) -> list[str]:
    """Return command and arguments of a Model's engine."""
    run = engaged.engine.run
    said = [*run.command, *run.args, *(word for variant in _variants(engaged) for word in variant.args)]
    words = [filled(word, _values(engaged)) for word in said]
    adapters = engaged.model_spec.adapters if run.adapters else ()
    if run.adapters and adapters:
        words += [filled(word, _values(engaged)) for word in run.adapters.once]
        for number, adapter in enumerate(adapters):
            given = {"name": adapter.name, "path": adapter_mount(number)}
            words += [filled(word, given) for word in run.adapters.each]
    return words


def environment_of(engaged: Engaged) -> dict[str, str]:
    """Return the environment of a Model's engine."""
    said = dict(engaged.engine.run.env)
    for variant in _variants(engaged):
        said |= variant.env
    given = {name: filled(value, _values(engaged)) for name, value in said.items()}
    return {**given, "HOME": HOME}


def probe_of(probe: Probe, engaged: Engaged) -> Document:
    """Return a probe in Kubernetes' form, without how often it is asked."""
    values = _values(engaged)
    way: Document = {"exec": {"command": [filled(word, values) for word in probe.command]}}
    if probe.path:
        way = {"httpGet": {"path": probe.path, "port": "http"}}
    return {**way, "timeoutSeconds": probe.seconds}


def drain(port: int) -> Document:
    """Return what a container does before it is told to end: wait until nobody is connected any more."""
    script = _DRAIN.format(port=port, seconds=_DRAIN_SECONDS)
    return {"preStop": {"exec": {"command": ["bash", "-c", script]}}}


def _variants(engaged: Engaged) -> list[Variant]:
    return [v for v in engaged.engine.run.variants if v.is_for(engaged.features, engaged.gpus)]


def _values(engaged: Engaged) -> dict[str, str | int]:
    run = engaged.engine.run
    return {
        "port": run.port,
        "mount": run.weights.mount,
        "model": engaged.served_as,
        "context": engaged.context_length,
        "total_context": engaged.context_length * engaged.parallel,
        "parallel": engaged.parallel,
        "gpus": engaged.gpus,
        **{name: engaged.cache_gib if v == AUTO else v for name, v in engaged.settings.items()},
    }
