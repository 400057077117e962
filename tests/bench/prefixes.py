"""What choosing a replica by the prompt's beginning brings: real engines, shared and unshared beginnings."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import random
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.bench.engines import MODEL, SLOTS, artifacts, engines
from tests.bench.peers import KEY, gateway_process
from tests.bench.scenarios import percentile

_WORDS = [
    "river",
    "stone",
    "cloud",
    "engine",
    "table",
    "window",
    "garden",
    "paper",
    "silver",
    "morning",
    "letter",
]
_PREFIX_WORDS = 700
_GROUPS = 2 * SLOTS


def prompts(shared: bool, requests: int, seed: int) -> list[str]:
    """Return prompts in random order: of a few beginnings that many share, or each with its own."""
    rng = random.Random(seed)  # noqa: S311 - texts, no secrets

    def beginning() -> str:
        return " ".join(rng.choices(_WORDS, k=_PREFIX_WORDS))

    begins = [beginning() for _ in range(_GROUPS)] if shared else []
    texts = [(begins[n % _GROUPS] if shared else beginning()) + f". Question {n}:" for n in range(requests)]
    rng.shuffle(texts)
    return texts


def first_token_ms(port: int, text: str) -> float:
    """Ask for one token and return how long it took to come, in ms."""
    document = {"model": MODEL, "prompt": text, "max_tokens": 1, "stream": True, "temperature": 0}
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    url = f"http://127.0.0.1:{port}/v1/completions"
    request = urllib.request.Request(url, json.dumps(document).encode(), headers)
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310 - loopback
        answer.readline()
        took = 1000 * (time.perf_counter() - began)
        answer.read()
    return took


Found = dict[tuple[str, str], list[float]]


def measure(rounds: int, requests: int, tell: Callable[[str], None]) -> Found | None:
    """Return times to the first token by beginnings and routing; None where no engine has been built."""
    if (images := artifacts()) is None:
        tell("no Ollama in the cache of `aiplat bundle build`: prefix routing is not measured")
        return None
    found: Found = {(kind, how): [] for kind in ("shared", "unshared") for how in ("load", "prefix")}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aiplat-bench-")))
        urls = stack.enter_context(engines(folder, images))
        ports = {}
        for how in ("load", "prefix"):
            routes = {"models": [{"name": MODEL, "urls": urls}], "routing": how}
            ports[how] = stack.enter_context(gateway_process(folder / how, routes)).port
        for number in range(rounds):
            for at, (kind, how) in enumerate(found):
                # Texts of its own each time: nothing that an engine kept from before helps.
                texts = prompts(kind == "shared", requests, seed=100 * number + at)
                with concurrent.futures.ThreadPoolExecutor(2) as pool:
                    port = ports[how]
                    times = list(pool.map(lambda text, port=port: first_token_ms(port, text), texts))
                found[kind, how] += times
                tell(f"round {number + 1} · {kind} beginnings by {how}: median {median(times):.0f} ms")
    return found


def section(found: Found, requests: int) -> str:
    """Return the section of the report."""
    rows = []
    for (kind, how), times in found.items():
        ordered = sorted(times)
        middle, high, mean = median(ordered), percentile(ordered, 0.9), sum(ordered) / len(ordered)
        rows.append(f"| {kind} | {how} | {middle:,.0f} | {high:,.0f} | {mean:,.0f} |")
    gain = median(found["shared", "load"]) / median(found["shared", "prefix"])
    return (
        f"""\
## Prefix routing with Ollama

Two Ollama engines out of the bundle, each with a core and {SLOTS} slots, {MODEL}; two clients at
once ask for one token after prompts of {_PREFIX_WORDS} words. `shared`: {_GROUPS} beginnings, {requests}
requests a round; `unshared`: every prompt begins differently. Where beginnings are shared, routing by
prompt is **{gain:.1f} times** as fast to the first token (median). Goal: faster
where they are shared, no slower where they are not.

| beginnings | routing | first token p50 ms | p90 ms | mean ms |
|---|---|---|---|---|
"""
        + "\n".join(rows)
        + "\n"
    )


if __name__ == "__main__":
    result = measure(1, 12, lambda line: print(line, file=sys.stderr))  # noqa: T201 - progress
    print(section(result, 12) if result else "nothing measured")  # noqa: T201 - the answer
