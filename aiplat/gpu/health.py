"""What proves that a host is well, and what forbids to say so; which illness it is belongs to the rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from aiplat.gpu.facts import Evidence, Fact
from aiplat.gpu.knowledge import words_of_trouble
from aiplat.gpu.rules.driver import versions_differ
from aiplat.gpu.rules.fabric import has_switches
from aiplat.gpu.signals.all import Signals

_ECC_CELL = re.compile(
    r"\|\s{0,8}\d+\s+\S.{0,60}?(?:On|Off|N/A)\s{0,20}\|\s*[0-9a-f]{4,8}:[0-9a-f:.]+\s+\S+\s*\|\s*([1-9]\d*)\s*\|",
    re.IGNORECASE,
)


_LINES_SHOWN = 3
_IDLE_LINK = re.compile(r"Link \d+: <inactive>")


@dataclass(frozen=True)
class Proof:
    """A layer that was seen to work."""

    layer: str
    evidence: Evidence


def troubles(signals: Signals) -> tuple[Evidence, ...]:
    """Return what forbids to call a host healthy: words of failure, memory errors, missing cards."""
    differ = versions_differ(signals)
    mixed = differ.evidence if differ else ()
    without = (signals.cluster.without_gpu,) if signals.cluster.without_gpu else ()
    cards = _memory_errors(signals) + _unlisted(signals) + _held_by_others(signals)
    return _words(signals) + cards + mixed + without


def _words(signals: Signals) -> tuple[Evidence, ...]:
    """Return each fact's first lines with a word that no healthy host prints, cut around the last one."""
    joined = has_switches(signals)  # links between cards that have none are never up
    return tuple(evidence for fact in signals.facts for evidence in _lines_of_trouble(fact, joined))


def _lines_of_trouble(fact: Fact, joined: object) -> list[Evidence]:
    found = ((line, _trouble_in(line, joined)) for line in fact.lines)
    cut = (fact.evidence(line, at) for line, at in found if at is not None)
    return list(dict.fromkeys(islice(cut, _LINES_SHOWN)))


def _trouble_in(line: str, joined: object) -> int | None:
    """Return where a line's last word of trouble stands, None where it has none that means something."""
    trouble, harmless = words_of_trouble()
    if not trouble.search(line) or (not joined and _IDLE_LINK.search(line)):
        return None
    # Blanks in place of harmless words keep every other word where it stood.
    rest = harmless.sub(lambda match: " " * len(match[0]), line)
    places = [match.start() for match in trouble.finditer(rest)]
    return places[-1] if places else None


def _memory_errors(signals: Signals) -> tuple[Evidence, ...]:
    cells = (fact.evidence(line) for fact in signals.facts for line in fact.lines if _ECC_CELL.search(line))
    counted = signals.smi.values(r"uncorr\w*.*")
    return (*cells, *(field.evidence for field in counted if re.fullmatch(r"[1-9]\d*", field.value)))


def _unlisted(signals: Signals) -> tuple[Evidence, ...]:
    """Return the GPUs on the bus where the driver lists fewer of them."""
    addressed = [device for device in signals.gpus if device.address]
    if any(_is_whole_listing(fact) for fact in signals.facts) and len(addressed) > signals.smi.count:
        return tuple(device.evidence for device in addressed)
    return ()


def _is_whole_listing(fact: Fact) -> bool:
    asked = re.search(r"nvidia-smi (?:-L|--list-gpus|--query-gpu)", fact.command)
    return bool(asked) and not re.search(r"extract|first|head|one|-i \d|--id", fact.command)


def _held_by_others(signals: Signals) -> tuple[Evidence, ...]:
    held = tuple(device.proof for device in signals.gpus if device.driver and device.driver != "nvidia")
    nouveau = signals.modules.listed.get("nouveau")
    return (*held, nouveau) if nouveau and not signals.modules.is_loaded("nvidia") else held


def proofs(signals: Signals) -> tuple[Proof, ...]:
    """Return the layers that were positively seen to work, from the driver's answer up to Kubernetes."""
    found = [
        ("the driver lists its cards", _first(card.evidence for card in signals.smi.cards)),
        ("nvidia-smi answers without complaint", _silent_answer(signals)),
        ("a CUDA program ran", _first(signals.heard("cuda-test-passed"))),
        (
            "the card is bound to the NVIDIA driver",
            _first(d.proof for d in signals.gpus if d.driver == "nvidia"),
        ),
        ("the kernel module was loaded", _module(signals)),
        ("the container library sees the card", _first(signals.heard("card-in-container-list"))),
        ("the container runtime knows NVIDIA's runtime", _first(signals.heard("runtime-configured"))),
        ("the device plugin has registered", _first(signals.heard("plugin-registered"))),
        ("the node offers GPUs", _first(r.evidence for r in signals.cluster.resources if r.count)),
    ]
    return tuple(Proof(layer, evidence) for layer, evidence in found if evidence)


def _silent_answer(signals: Signals) -> Evidence | None:
    # Without a driver this command complains; a card without NVLink has nothing to print.
    silent = (fact for fact in signals.facts if "nvidia-smi nvlink" in fact.command and not fact.lines)
    return _first(fact.evidence("(no output)") for fact in silent if signals.gpus)


def _module(signals: Signals) -> Evidence | None:
    listed = signals.modules.listed.get("nvidia")
    loaded = signals.kernel.module
    return listed or (loaded.evidence if loaded and loaded.is_open is not None else None)


def _first(passages: Iterable[Evidence]) -> Evidence | None:
    return next(iter(passages), None)
