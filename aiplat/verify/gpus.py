"""Checks of GPUs: nodes offer them as the site says, and engines have their whole model on them."""

from __future__ import annotations

import re

from aiplat.catalog.components import Component
from aiplat.cluster.objects import Pod
from aiplat.content import parsed_json
from aiplat.plan.gpu_sharing import offers
from aiplat.verify.check import Failed, Skipped, fail_on
from aiplat.verify.context import CheckContext
from aiplat.verify.declared import ModelOnGpu

_ENGINE_LABEL = "aiplat.dev/engine"
# Without keep-alive and without chunks.
_ASK = (
    "exec 3<>/dev/tcp/localhost/{port} && "
    "printf 'GET {path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && cat <&3"
)
_NO_ROOM = "it computes partly on the processor: give it a larger card or share, a smaller context or model"


def gpus_offered(component: Component, context: CheckContext) -> str:
    """Compare what each node offers with what the site makes of its host's GPUs.

    What the operator runs on a node comes minutes after its release.
    """
    wanted = offers(context.site)
    if not wanted:
        raise Skipped("no host of the site names GPUs")
    nodes = {node.name: node for node in context.nodes}
    seen = {offer.host: nodes[offer.host].gpus if offer.host in nodes else {} for offer in wanted}
    starting = [p.name for p in context.pods if p.namespace == component.namespace and not p.ready]
    if starting and not any(seen.values()):
        raise Skipped(f"{starting[0]} is still starting; look again with `aiplat verify`")
    fail_on(
        [
            f"{offer.host} offers {_listed(seen[offer.host])}, expected {_listed(offer.resources)}"
            for offer in wanted
            if seen[offer.host] != offer.resources
        ],
        "look at the pods of aiplat-gpu, and at the host: `aiplat doctor gpu`",
    )
    return "; ".join(
        f"{o.host}: {_listed(o.resources)}{' (simulated)' if nodes[o.host].simulates_gpus else ''}"
        for o in wanted
    )


def model_on_gpu(component: Component, wanted: ModelOnGpu, context: CheckContext) -> str:
    """Ask every pod of the engine that has a GPU how much of its model is there."""
    mine = [p for p in context.pods if p.labels.get(_ENGINE_LABEL) == component.name and p.ready and p.gpus]
    if not mine:
        return "no pod of it has a GPU"
    simulated = {node.name for node in context.nodes if node.simulates_gpus}
    real = [pod for pod in mine if pod.node not in simulated]
    if not real:
        raise Skipped("its GPUs are simulated: it computes on the processor")
    if wanted.because:
        return wanted.because
    said = {pod.name: _share(component, wanted, context, pod) for pod in real}
    short = [
        f"{name}: {part} of {whole} are on the GPU" for name, (part, whole) in said.items() if part < whole
    ]
    fail_on(short, _NO_ROOM)
    return f"{len(real)} pods, all of each"


def _share(component: Component, wanted: ModelOnGpu, context: CheckContext, pod: Pod) -> tuple[int, int]:
    """Return how much of a pod's model is on its GPU, and how much there is, in the engine's own units."""
    return (
        _by_log(wanted.log, context, pod) if wanted.log else _by_answer(component, wanted.path, context, pod)
    )


def _by_answer(component: Component, path: str, context: CheckContext, pod: Pod) -> tuple[int, int]:
    port = component.engine.run.port if component.engine else 0
    ran = context.cluster.run_in_pod(pod, ["bash", "-c", _ASK.format(port=port, path=path)])
    _, _, body = ran.output.replace("\r\n", "\n").partition("\n\n")
    try:
        models = parsed_json(body)["models"]
        return sum(m["size_vram"] for m in models), sum(m["size"] for m in models)
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(f"{pod.name} does not say what is on its GPU: {ran.output.strip()[-200:]}") from error


def _by_log(pattern: str, context: CheckContext, pod: Pod) -> tuple[int, int]:
    found = list(re.finditer(pattern, context.cluster.log(pod)))
    if not found:
        raise Failed(f"{pod.name} did not write what is on its GPU", "it may run without one: see its log")
    return int(found[-1]["part"]), int(found[-1]["whole"])


def _listed(gpus: object) -> str:
    amounts = gpus if isinstance(gpus, dict) else {}
    return ", ".join(f"{number} {name}" for name, number in sorted(amounts.items())) or "no GPU"
