"""What is measured and in which order: every scenario on every peer, interleaved, several rounds."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.peers import KEY, OTHER_CORE, ROOT, Peer, pinned

TOKEN_CHARACTERS = 4  # of English text, by the usual rule


@dataclass(frozen=True)
class Scenario:
    """Some connections that ask the same for a while. `prompt` in characters."""

    name: str
    connections: int
    model: str = "frames-8"
    stream: bool = False
    prompt: int = 60
    seconds: float = 5.0


def scenarios(seconds: float) -> tuple[Scenario, ...]:
    """Return all scenarios, each to last so long."""
    whole = [Scenario(f"json c{n}", n, seconds=seconds) for n in (1, 16, 64)]
    prompts = [
        Scenario(f"prompt {n}k", 1, prompt=n * 1000 * TOKEN_CHARACTERS, seconds=seconds) for n in (1, 10, 100)
    ]
    streams = [
        Scenario("stream c1", 1, "frames-64", stream=True, seconds=seconds),
        Scenario("stream c32", 32, "frames-64", stream=True, seconds=seconds),
        Scenario("paced c100", 100, "paced-50-20", stream=True, seconds=max(seconds, 2.0)),
    ]
    return (*whole, *prompts, *streams)


@dataclass
class Measured:
    """What one scenario showed of one peer, over all rounds. Times in ms, memory in MB."""

    ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    wall: float = 0.0
    frames: int = 0
    wrong_frames: int = 0
    failed: int = 0
    cpu: float = 0.0
    memory: float = 0.0
    rounds: list[float] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many answers came whole."""
        return len(self.ms)

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.requests / self.wall if self.wall else 0.0

    @property
    def frames_per_second(self) -> float:
        """Frames of streams a second."""
        return self.frames / self.wall if self.wall else 0.0

    def add(self, seen: dict[str, Any], cpu: float, memory: float) -> None:
        """Take in one round."""
        self.ms = sorted([*self.ms, *seen["ms"]])
        self.first_ms = sorted([*self.first_ms, *seen["first_ms"]])
        self.wall += seen["wall"]
        self.frames += seen["frames"]
        self.wrong_frames += seen["wrong_frames"]
        self.failed += seen["failed"]
        self.cpu += cpu
        self.memory = max(self.memory, memory)
        self.rounds.append(len(seen["ms"]) / seen["wall"])


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` of sorted `values` do not exceed; 0 where there are none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def run(scenario: Scenario, peer: Peer, into: Measured) -> None:
    """Put a scenario's load on a peer once."""
    asked = {
        "port": peer.port,
        "key": KEY,
        "model": scenario.model,
        "stream": scenario.stream,
        "connections": scenario.connections,
        "seconds": scenario.seconds,
        "prompt": scenario.prompt,
        "usage_frame": peer.usage_frame,
    }
    before = peer.cpu_seconds()
    command = pinned(OTHER_CORE, [sys.executable, "-m", "tests.bench.load", json.dumps(asked)])
    memory = 0.0
    # A file and not a pipe: what is measured is not held up by whoever reads of it.
    with tempfile.TemporaryFile() as out:
        load = subprocess.Popen(command, stdout=out, cwd=ROOT)
        while load.poll() is None:
            memory = max(memory, peer.memory_mb())
            with contextlib.suppress(subprocess.TimeoutExpired):
                load.wait(max(0.5, scenario.seconds / 4))
        if load.returncode:
            raise SystemExit(f"the load on {peer.name} ended with {load.returncode}")
        out.seek(0)
        seen = json.loads(out.read())
    into.add(seen, peer.cpu_seconds() - before, memory)


Results = dict[str, dict[str, Measured]]


def measure(
    peers: Iterable[Peer], todo: tuple[Scenario, ...], rounds: int, tell: Callable[[str], None]
) -> Results:
    """Run all scenarios; peers take turns within each round, so that a busy moment hits all alike."""
    found = tuple(peers)
    results: Results = {s.name: {p.name: Measured() for p in found} for s in todo}
    for number in range(rounds):
        for scenario in todo:
            # Another order each round: nobody is always first on a warm machine.
            for peer in found[number % len(found) :] + found[: number % len(found)]:
                measured = results[scenario.name][peer.name]
                run(scenario, peer, measured)
                tell(f"round {number + 1} · {scenario.name} · {peer.name}: {measured.rounds[-1]:.0f}/s")
    return results


def save(results: Results, idle: dict[str, float], path: Path) -> None:
    """Write the raw results, without single latencies, as JSON."""
    document = {
        name: {
            peer: {
                "requests": m.requests,
                "per_second": m.per_second,
                "p50": percentile(m.ms, 0.5),
                "p99": percentile(m.ms, 0.99),
                "first_p50": percentile(m.first_ms, 0.5),
                "first_p99": percentile(m.first_ms, 0.99),
                "frames_per_second": m.frames_per_second,
                "wrong_frames": m.wrong_frames,
                "failed": m.failed,
                "cpu_us": 1e6 * m.cpu / m.requests if m.requests else 0.0,
                "memory": m.memory,
                "rounds": m.rounds,
            }
            for peer, m in by_peer.items()
        }
        for name, by_peer in results.items()
    }
    path.write_text(json.dumps({"idle_mb": idle, "scenarios": document}, indent=1))
