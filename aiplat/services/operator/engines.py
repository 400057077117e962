"""How each engine is run: command, environment, probes and how it ends; what runs around it is desired's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiplat.services.operator.decide import Engaged

Document = dict[str, Any]

# An answer under way may take minutes; only then is a pod ended by force.
GRACE_SECONDS = 630
_DRAIN_SECONDS = 600
# 0A is the state "listening", 01 "established"; the gateway closes idle connections to a pod that goes.
_DRAIN = (
    "end=$((SECONDS+{seconds})); sleep 2; "
    "while [ $SECONDS -lt $end ] && "
    "grep -qE '^ *[0-9]+: [0-9A-F]+:{port:04X} [0-9A-F]+:[0-9A-F]+ 01 ' /proc/net/tcp /proc/net/tcp6; "
    "do sleep 0.2; done"
)


@dataclass(frozen=True)
class Run:
    """An engine's container, as far as engines differ.

    `mount` is where it finds the weights; requests are worth holding for `hold_seconds` while it starts.
    """

    port: int
    mount: str
    command: list[str]
    env: dict[str, str]
    startup: Document
    health: str
    home_size: str
    hold_seconds: int


def run_of(engaged: Engaged) -> Run:
    """Return how the engine of a Model is run."""
    return _ollama(engaged) if engaged.engine_name == "ollama" else _vllm(engaged)


def port_of(engine: str) -> int:
    """Return the TCP port an engine listens on."""
    return 11434 if engine == "ollama" else 8000


def drain(port: int) -> Document:
    """Return what a container does before it is told to end: wait until nobody is connected any more."""
    script = _DRAIN.format(port=port, seconds=_DRAIN_SECONDS)
    return {"preStop": {"exec": {"command": ["bash", "-c", script]}}}


def _ollama(engaged: Engaged) -> Run:
    port = port_of("ollama")
    env = {
        "OLLAMA_HOST": f"0.0.0.0:{port}",
        "OLLAMA_MODELS": "/models",
        # The store is an image: nothing in it may be tidied away, and nothing may be fetched.
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_NO_CLOUD": "1",
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_NUM_PARALLEL": str(engaged.parallel),
        "OLLAMA_CONTEXT_LENGTH": str(engaged.context_length),
        "HOME": "/home/engine",
    }
    # That the model itself is listed is seen once: its store cannot change under a running pod.
    seen = {"exec": {"command": ["ollama", "show", engaged.served_as]}}
    return Run(port, "/models", ["ollama", "serve"], env, seen, "/api/version", "64Mi", 120)


def _vllm(engaged: Engaged) -> Run:
    port = port_of("vllm")
    command = ["vllm", "serve", "/model", "--served-model-name", engaged.served_as]
    command += ["--port", str(port)]
    command += ["--max-model-len", str(engaged.context_length), "--max-num-seqs", str(engaged.parallel)]
    for number, adapter in enumerate(engaged.wish.adapters):
        command += ["--enable-lora"] if not number else []
        command += ["--lora-modules", f"{adapter.name}=/adapters/{number}"]
    env = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "HOME": "/home/engine"}
    seen = {"httpGet": {"path": "/health", "port": "http"}}
    return Run(port, "/model", command, env, seen, "/health", "1Gi", 300)
