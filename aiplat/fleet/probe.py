"""Looks at hosts, one call each, side by side; what follows from what is seen belongs to aiplat.plan."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aiplat.errors import Finding
from aiplat.fleet.answers import document_of, last_line
from aiplat.fleet.side_by_side import of_each
from aiplat.fleet.ssh import HostError, run_on
from aiplat.frozen import place_of
from aiplat.hosts.checks.network import PEER_PORTS, PORTS
from aiplat.hosts.facts import HostLook
from aiplat.hosts.paths import paths_of
from aiplat.plan.models import Facts, HostFacts
from aiplat.plan.steps import STEPS
from aiplat.site.models import Host, Site

PROBE_SECONDS = 60
MAX_PARALLEL = 32
REMOTE = Path(__file__).parent / "remote"
MODULES = ("probe_host", "look_machine", "look_network")
NOT_THERE = 127  # what a shell answers where a command is not installed

# What goes into the look alone; the rest of what it has is among the probe's own facts.
_LOOKED_AT = set(HostLook.model_fields) - set(HostFacts.model_fields)
# What follows from a look on this side: a host that says it itself is not believed.
_OURS = {"host", "reachable", "look", "problem", "fix", "clock_off", "owner", "gpu"}


def gather_facts(site: Site, *, thorough: bool = False) -> Facts:
    """Probe all hosts of a site side by side.

    A host that cannot be reached is a fact (`reachable` false, `problem` a sentence), not an error.
    Each line of `drift` is `<step>: <sentence>`. `thorough` asks hosts that already run aiplat for as much
    as new ones.
    """
    seen = of_each(site.hosts, lambda host: probe(site, host, thorough=thorough), MAX_PARALLEL)
    return Facts(hosts=tuple(seen))


def probe(site: Site, host: Host, *, thorough: bool = False) -> HostFacts:
    """Return one host's facts from a single ssh call."""
    began = time.time()
    try:
        done = run_on(
            site, host, ["python3", "-c", _text("run_looks")], _asked(site, host, thorough), PROBE_SECONDS
        )
    except HostError as error:
        return _unseen(host, error.findings[0])
    if done.code == NOT_THERE or "python3: command not found" in done.stderr:
        return _without_python(site, host)
    if done.code != 0:
        last = last_line(done.stderr, f"exit code {done.code}")
        return _unseen(host, Finding(host.name, f"the probe failed ({last})", "see whether its disk is full"))
    try:
        facts = facts_of(host.name, last_document(done.stdout), between=(began, time.time()))
    except ValueError:
        return _not_understood(host)
    # With no look no check can be asked, and a host that nobody looked at would count as good.
    return facts if facts.look or not facts.reachable or not thorough else _not_understood(host)


def last_document(output: bytes) -> dict[str, Any]:
    """Return the JSON that ends a script's output; what a shell's start files print may come before it.

    Raises:
        ValueError: it does not end with a JSON object.
    """
    return document_of(output.splitlines()[-1] if output.strip() else b"")


def facts_of(name: str, seen: dict[str, Any], between: tuple[float, float] | None = None) -> HostFacts:
    """Turn what the probe printed into facts; a ledger from a newer aiplat is refused in words.

    `between` are this machine's times before and after the call: the host's clock should lie there.
    """
    if "too_old" in seen:
        return _old_python(name, last_line(str(seen["too_old"]), "unknown"))
    look = {key: value for key, value in seen.items() if key in _LOOKED_AT - _OURS}
    rest = {key: value for key, value in seen.items() if key not in _LOOKED_AT | _OURS}
    both = {key: value for key, value in rest.items() if key in HostLook.model_fields}
    try:
        facts = HostFacts.model_validate({**rest, "host": name, "reachable": True})
        judged = _judged(HostLook.model_validate({**both, **look}), facts, between) if look else None
        return facts.model_copy(update={"look": judged})
    except ValidationError as error:
        where = place_of(error.errors()[0]["loc"])
        problem = f"what it has at {where} is not understood; it may be from a newer aiplat"
        return _unseen_as(name, HostLook(problem=problem, fix="use the aiplat that was used for it last"))


def _judged(look: HostLook, facts: HostFacts, between: tuple[float, float] | None) -> HostLook:
    off = _off(look.clock, between) if look.clock and between else None
    return look.model_copy(update={"clock_off": off, "owner": facts.ledger.site if facts.ledger else None})


def _text(module: str) -> str:
    return (REMOTE / f"{module}.py").read_text()


def _asked(site: Site, host: Host, thorough: bool) -> bytes:
    """Return what goes to a host: the modules that look, and what they are to ask for."""
    others = [address for other in site.hosts if other.name != host.name for address in other.node_ips]
    peers = [f"{address}:{port}" for address in others for port in PEER_PORTS]
    paths = paths_of(host.data_dir).model_dump()
    arguments = {
        "ports": list(PORTS),
        "peers": peers,
        "thorough": thorough,
        "paths": paths,
        "units": [step.unit for step in STEPS if step.unit],
    }
    modules = [[name, _text(name)] for name in MODULES]
    return json.dumps({"modules": modules, "root": "/", "arguments": arguments}).encode()


def _off(clock: float, between: tuple[float, float]) -> float:
    before, after = between
    return clock - min(max(clock, before), after)


def _unseen(host: Host, finding: Finding) -> HostFacts:
    return _unseen_as(host.name, HostLook(problem=finding.problem, fix=finding.fix))


def _not_understood(host: Host) -> HostFacts:
    fix = "see what its shell prints at a login without a terminal (`ssh HOST true`)"
    return _unseen(host, Finding(host.name, "the probe's answer is not understood", fix))


def _unseen_as(name: str, look: HostLook) -> HostFacts:
    finding = Finding(name, look.problem, look.fix)
    return HostFacts(host=name, reachable=False, problem=str(finding), look=look)


def _without_python(site: Site, host: Host) -> HostFacts:
    """Return the facts of a host that has no Python: which system it runs says how to install it."""
    try:
        text = run_on(site, host, ["cat", "/etc/os-release"]).stdout.decode(errors="replace")
    except HostError:
        text = ""
    found = dict(line.partition("=")[::2] for line in text.splitlines())
    look = HostLook(os_id=found.get("ID", "").strip("\"'"))
    problem = Finding(host.name, "python3 is not installed", "install the package python3")
    return HostFacts(host=host.name, reachable=False, problem=str(problem), look=look)


def _old_python(name: str, version: str) -> HostFacts:
    problem = Finding(name, f"its python3 is {version}, and 3.9 is the oldest that will do")
    return HostFacts(host=name, reachable=False, problem=str(problem), look=HostLook(python=version))
